"""Faults that a user meets: one clear line, the right exit status, nothing lost.

common.run ends with SystemExit and the line, so most need no process of their own.
"""

import errno
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from children import Ended
from conftest import EPOCH, MAINS, PREDICTION, SCRIPTS, Runs
from torchvision.datasets import FashionMNIST, mnist

import common

full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    """Take back the time limit that common.run sets for downloads."""
    yield
    socket.setdefaulttimeout(None)


def message(script: str, *argv: str) -> str:
    """The line with which common.run ends the script in this process; its exit status would be 1."""
    with pytest.raises(SystemExit) as exit_:
        common.run(partial(MAINS[script], list(argv)))
    line = exit_.value.code
    assert isinstance(line, str)
    assert "\n" not in line
    return line


# Where it is started and what it prints


def test_nothing_is_written_into_the_checkout(runs: Runs, checkout: Path) -> None:
    assert len(runs) == 2
    if sys.platform != "win32":  # where a folder that is read-only can be written
        assert {path.name for path in checkout.iterdir()} == {"common.py", "data", "mlp_scratch.py", "mlp_api.py"}


def test_a_pipe_that_closes_early_ends_it_in_silence(ended: Callable[[str], Ended]) -> None:
    out, err, status = ended("closed pipe")
    assert out == "Loading Fashion-MNIST\n"
    if sys.platform != "win32":  # which has no signal for it
        assert (err, status) == ("", 141)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process alone")
def test_ctrl_c_in_the_middle_of_an_epoch(ended: Callable[[str], Ended]) -> None:
    assert ended("ctrl-c") == ("", "mlp_scratch.py: interrupted\n", 130)


@full_disk
def test_a_full_disk_behind_the_output(ended: Callable[[str], Ended]) -> None:
    text = "cannot write the output ([Errno 28] No space left on device): send it elsewhere"
    assert ended("full disk") == ("", f"mlp_scratch.py: error: {text}\n", 1)


@full_disk
def test_a_full_disk_behind_the_picture_loses_no_line_of_the_table(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.png").symlink_to("/dev/full")
    monkeypatch.setattr(os, "dup2", lambda *args: None)  # the output of this process is still needed
    options = ("--epochs", "2", "--data-dir", str(small_data), "--figure", str(tmp_path / "x.png"))
    assert "cannot write the output ([Errno 28] No space left on device)" in message("mlp_api", *options)
    out, _ = capfd.readouterr()
    assert len(EPOCH.findall(out)) == 2
    assert len(PREDICTION.findall(out)) == 6


# What it reads


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "truncated": ("raw/train-images-idx3-ubyte", lambda content: content[:-1], "size 1567999"),
    "too long": ("raw/train-labels-idx1-ubyte", lambda content: content + b"\x00", "size 2001"),
    "a text": ("raw/t10k-images-idx3-ubyte", lambda _: b"<html>not found</html>\n" * 9, "AssertionError"),
    "empty": ("raw/train-labels-idx1-ubyte", lambda _: b"", "ValueError"),
    "no images": ("raw/t10k-images-idx3-ubyte", lambda content: content[:4] + bytes(4) + content[8:16], "ValueError"),
    "of another size": (
        "raw/t10k-images-idx3-ubyte",
        lambda content: content[:8] + (14).to_bytes(4, "big") + (56).to_bytes(4, "big") + content[16:],
        "images [500, 14, 56], labels [500] from 0 to 9",
    ),
    "a label above 9": (
        "raw/t10k-labels-idx1-ubyte",
        lambda content: content[:-1] + b"\x0a",
        "images [500, 28, 28], labels [500] from 0 to 10",
    ),
    "too few labels": (
        "raw/train-labels-idx1-ubyte",
        lambda content: content[:4] + (1999).to_bytes(4, "big") + content[8:-1],
        "images [2000, 28, 28], labels [1999] from 0 to 9",
    ),
    "of an old torchvision": ("processed/training.pt", lambda _: b"garbage", "UnpicklingError"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_data_is_named_with_what_to_do(damage: str, small_data: Path, tmp_path: Path) -> None:
    name, change, reason = DAMAGES[damage]
    folder = shutil.copytree(small_data, tmp_path / damage) / "FashionMNIST"
    if name.startswith("processed"):
        (folder / "processed").mkdir()
        (folder / "processed" / "test.pt").touch()
        (folder / name).touch()
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    line = message("mlp_scratch", "--data-dir", str(tmp_path / damage))
    set_ = "training" if "train" in name else "test"
    assert f"{folder}: no whole {set_} set (" in line
    assert reason in line
    assert line.endswith("): put the files there that data/README.md lists, no others")


def test_a_missing_data_file_without_network(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(small_data, tmp_path / "incomplete")
    (tmp_path / "incomplete" / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").unlink()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])  # nobody listens there
    line = message("mlp_api", "--data-dir", str(tmp_path / "incomplete"))
    assert "no whole training set (RuntimeError: Error downloading train-images-idx3-ubyte.gz" in line


def test_a_download_without_an_answer_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    socket.setdefaulttimeout(0.5)
    monkeypatch.setattr(socket, "setdefaulttimeout", limits.append)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never says a word
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
        line = message("mlp_api", "--data-dir", str(tmp_path))
    monkeypatch.undo()
    assert limits == [20]
    assert "no whole training set (" in line
    assert "timed out" in line


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EIO, "Input/output error"), "Input/output error): put the files there"),
        (MemoryError(), "there is not enough memory: close other programs"),
    ],
)
def test_a_file_that_cannot_be_read(error: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: str) -> None:
        raise error

    monkeypatch.setattr(mnist, "read_label_file", read)
    assert words in message("mlp_scratch")


@pytest.mark.skipif(sys.platform == "win32", reason="no permissions of that kind")
def test_a_folder_that_may_not_be_written_and_the_status_of_a_bad_option(ended: Callable[[str], Ended]) -> None:
    out, err, status = ended("locked folder")
    assert out == "Loading Fashion-MNIST\n"
    assert status == 2
    data, figure = err.splitlines()
    assert "no whole training set (PermissionError: " in data
    assert figure.endswith(
        "error: argument --figure: cannot write 'locked/x.png': name a writable .png, .svg or .pdf file"
    )


# What it is asked


def test_a_learning_rate_that_is_too_high_stops_after_that_epoch(
    small_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = message("mlp_scratch", "--lr", "1e9", "--data-dir", str(small_data))
    assert line.endswith("error: the training diverged, its loss is no longer finite: try a smaller --lr")
    assert capsys.readouterr().out.splitlines()[-1].startswith("epoch 01: train_loss=nan")


@pytest.mark.parametrize("script", SCRIPTS)
def test_more_hidden_units_than_any_memory_holds(script: str, small_data: Path) -> None:
    line = message(script, "--num-hiddens", str(10**12), "--data-dir", str(small_data))
    assert "there is not enough memory: close other programs, or try a smaller --num-hiddens or --batch-size" in line


def test_an_error_of_another_kind_keeps_its_traceback() -> None:
    def main() -> common.Result:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        common.run(main)
