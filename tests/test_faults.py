"""Faults that a user meets: one clear line, the right exit status, nothing lost. Run as a person runs it."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from conftest import EPOCH, PREDICTION, ROOT, SCRIPTS, Process, run_script, run_together

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="signals, permissions, /dev/full and refused memory, as Linux has them"
)
OFFLINE = {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}  # nobody listens there: refused at once


def assert_fails(process: Process, status: int, *words: str) -> None:
    """Check the exit status and that stderr is one line with all words in it."""
    assert process.returncode == status, process.stderr
    assert process.stderr.count("\n") == 1, process.stderr
    assert process.stderr.startswith(("mlp_scratch.py: ", "mlp_api.py: "))
    for word in words:
        assert word in process.stderr


def obey_permissions() -> None:
    """Let root, too, be stopped by a file's permissions, in the program that is started next."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE


@pytest.fixture(scope="module")
def children(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Process]:
    """Short runs that have nothing to do with each other, made together to save time."""
    folder = tmp_path_factory.mktemp("children")
    (shutil.copytree(small_data, folder / "incomplete") / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").unlink()
    (folder / "x.png").symlink_to("/dev/full")
    small = ("--epochs", "2", "--data-dir", str(small_data))
    calls = {
        "missing": partial(run_script, "mlp_scratch", "--data-dir", "incomplete", env=OFFLINE),
        "diverging": partial(run_script, "mlp_scratch", *small, "--lr", "1e30"),
        "too large": partial(run_script, "mlp_api", *small, "--num-hiddens", "1000000000"),
        "full disk": partial(run_script, "mlp_api", *small, "--figure", "x.png"),
        "nowhere": partial(run_script, "mlp_api", "--data-dir", "nowhere"),
        "a file": partial(run_script, "mlp_api", "--data-dir", "x.png"),
    }
    return dict(zip(calls, run_together(partial(call, cwd=folder) for call in calls.values()), strict=True))


# Where it is started


def test_through_symbolic_links_from_another_folder(small_data: Path, tmp_path: Path) -> None:
    options = ("--epochs", "1", "--data-dir", str(small_data))
    for script in SCRIPTS:
        (tmp_path / f"{script}.py").symlink_to(ROOT / f"{script}.py")
    calls = (partial(run_script, script, *options, cwd=tmp_path, root=tmp_path) for script in SCRIPTS)
    for process in run_together(calls):
        assert process.returncode == 0, process.stderr
        assert process.stderr == ""


def test_from_a_read_only_checkout_into_files_both_scripts_at_the_same_time(small_data: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(small_data, checkout / "data")
    for name in ("common.py", *(f"{script}.py" for script in SCRIPTS)):
        shutil.copy(ROOT / name, checkout)
    folders = [checkout, *(path for path in checkout.rglob("*") if path.is_dir())]
    for path in checkout.rglob("*"):
        path.chmod(0o555)
    checkout.chmod(0o555)
    processes = []
    for script in SCRIPTS:
        with (tmp_path / f"{script}.txt").open("w") as file:
            command = [sys.executable, f"{script}.py", "--epochs", "2"]
            processes.append(subprocess.Popen(command, cwd=checkout, stdout=file, preexec_fn=obey_permissions))
    statuses = [process.wait(timeout=300) for process in processes]
    written = list(checkout.rglob("__pycache__"))
    for folder in folders:
        folder.chmod(0o755)  # so that pytest can clean up
    assert statuses == [0, 0]
    assert written == []
    for script in SCRIPTS:
        text = (tmp_path / f"{script}.txt").read_text(encoding="ascii")
        assert len(EPOCH.findall(text)) == 2
        assert len(PREDICTION.findall(text)) == 6


def test_a_pipe_that_closes_early_ends_it_in_silence(small_data: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "mlp_scratch.py"), "--epochs", "100000", "--data-dir", str(small_data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 128 + signal.SIGPIPE
    assert lines[0] == "Loading Fashion-MNIST\n"


def test_an_encoding_without_unicode(small_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "donn\u00e9es"  # a name that such an encoding cannot print
    shutil.copytree(small_data, folder)
    (folder / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(b"")
    run = partial(run_script, "mlp_api", "--epochs", "1", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    good, bad = run_together(partial(run, "--data-dir", str(path)) for path in (small_data, folder))
    assert good.returncode == 0, good.stderr
    assert len(EPOCH.findall(good.stdout)) == 1
    assert_fails(bad, 1, "t10k-labels-idx1-ubyte is damaged")


def test_a_full_disk_behind_the_output(small_data: Path) -> None:
    command = [sys.executable, str(ROOT / "mlp_scratch.py"), "--epochs", "1", "--data-dir", str(small_data)]
    with Path("/dev/full").open("w") as output:
        process = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, timeout=60)
    assert_fails(process, 1, "cannot print (No space left on device)")


# What it reads


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "truncated": ("train-images-idx3-ubyte", lambda content: content[:-1], "28 x 28 images"),
    "text": ("t10k-images-idx3-ubyte", lambda _: b"<html>not found</html>\n" * 9, "28 x 28 images"),
    "empty": ("train-labels-idx1-ubyte", lambda _: b"", "labels"),
    "label above 9": ("t10k-labels-idx1-ubyte", lambda content: content[:-1] + b"\x0a", "a label above 9"),
    "too few labels": (
        "train-labels-idx1-ubyte",
        lambda content: content[:4] + (1999).to_bytes(4, "big") + content[8:-1],
        "1999 labels for 2000 images",
    ),
}


def test_a_damaged_data_file_is_named_with_what_to_do(small_data: Path, tmp_path: Path) -> None:
    calls = []
    for damage, (name, change, _) in DAMAGES.items():
        path = shutil.copytree(small_data, tmp_path / damage) / "FashionMNIST" / "raw" / name
        path.write_bytes(change(path.read_bytes()))
        calls.append(partial(run_script, "mlp_scratch", "--data-dir", damage, cwd=tmp_path))
    for (damage, (name, _, words)), process in zip(DAMAGES.items(), run_together(calls), strict=True):
        assert_fails(process, 1, f"{damage}/FashionMNIST/raw/{name}", words, "put back the file")


def test_a_missing_data_file_without_network(children: dict[str, Process]) -> None:
    path = "incomplete/FashionMNIST/raw/t10k-images-idx3-ubyte"
    assert_fails(children["missing"], 1, f"{path} is missing and cannot be downloaded: put it there")


def test_a_download_without_an_answer_gives_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never says a word
        proxy = f"http://127.0.0.1:{server.getsockname()[1]}"
        code = "import common, mlp_api; common.DOWNLOAD_TIMEOUT = 0.5; "
        code += "common.run(lambda: mlp_api.main(['--data-dir', '.']))"
        process = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "http_proxy": proxy, "no_proxy": ""},
            capture_output=True,
            text=True,
            timeout=60,  # against a download that hangs; it takes half a second
        )
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1
    assert "train-images-idx3-ubyte is missing and cannot be downloaded" in process.stderr
    assert "timed out" in process.stderr


def test_a_data_dir_that_does_not_exist_or_is_a_file(children: dict[str, Process]) -> None:
    what_to_do = "is not a folder: name the one that holds FashionMNIST/raw"
    assert_fails(children["nowhere"], 1, f"--data-dir nowhere {what_to_do}")
    assert_fails(children["a file"], 1, f"--data-dir x.png {what_to_do}")


def test_an_empty_data_dir_that_may_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir(mode=0o555)
    command = [sys.executable, str(ROOT / "mlp_scratch.py"), "--data-dir", str(folder)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=obey_permissions)
    assert_fails(process, 1, f"{folder}/FashionMNIST/raw/train-images-idx3-ubyte is missing", "Permission denied")


# What it is asked


def test_a_learning_rate_that_is_too_high_stops_after_that_epoch(children: dict[str, Process]) -> None:
    assert_fails(children["diverging"], 1, "diverged", "try a smaller --lr")
    assert children["diverging"].stdout.splitlines()[-1].startswith("epoch 01 : train_loss=nan")


def test_more_hidden_units_than_memory(children: dict[str, Process]) -> None:
    assert_fails(children["too large"], 1, "not enough memory: try a smaller --num-hiddens or --batch-size")


def test_a_figure_that_could_not_be_saved_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "matplotlib.py").write_text("raise ImportError")
    cases = {
        "nowhere/x.png": "--figure nowhere/x.png cannot be saved: name a file in a folder that exists",
        "folder.png": "--figure folder.png cannot be saved: name a file in a folder that exists",
        "x.png": "--figure needs matplotlib: install it with pip install -e '.[plot]'",
    }
    run = partial(run_script, "mlp_scratch", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    processes = run_together(partial(run, "--figure", path) for path in cases)
    for words, process in zip(cases.values(), processes, strict=True):
        assert_fails(process, 1, words)
        assert process.stdout == ""


def test_a_full_disk_behind_the_picture_loses_no_line_of_the_table(children: dict[str, Process]) -> None:
    process = children["full disk"]
    assert_fails(process, 1, "cannot save the picture to x.png (No space left on device)")
    assert len(EPOCH.findall(process.stdout)) == 2
    assert len(PREDICTION.findall(process.stdout)) == 6


def test_ctrl_c_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "mlp_scratch.py"), "--batch-size", "8"],  # epochs of several seconds
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    while process.stdout.readline() != "Training for 10 epochs\n":
        assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert out == ""
    assert err == "mlp_scratch.py: interrupted\n"
