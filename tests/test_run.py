"""Options, and how a run ends: one clear line, the right exit status, nothing lost."""

import errno
import io
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import common
import mlp_api
import mlp_scratch
from conftest import SECONDS, Fails, Run

ROOT = Path(common.__file__).parent
DEFAULTS = {"epochs": 10, "batch_size": 256, "num_hiddens": 256, "lr": 0.1}
full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
both_scripts = pytest.mark.parametrize("script", ["mlp_scratch", "mlp_api"])


def parse(*argv: str) -> dict[str, object]:
    """The options in argv."""
    return vars(common.parse_args("", list(argv), **DEFAULTS))


# Options


def test_without_options_the_defaults_hold() -> None:
    assert parse() == {**DEFAULTS, "seed": 0, "data_dir": str(common.DATA_DIR), "figure": None}


def test_good_values_are_taken(tmp_path: Path) -> None:
    numbers = ["--epochs=1", "--batch-size=100000", "--num-hiddens=1", "--lr=1e-3"]
    picture = tmp_path / "x.SVG"
    options = [*numbers, f"--seed={2**64 - 1}", f"--data-dir={tmp_path}", f"--figure={picture}"]
    expected = [1, 100_000, 1, 0.001, 2**64 - 1, str(tmp_path), picture]
    assert list(parse(*options).values()) == expected
    assert not picture.exists()


BAD = {
    "--epochs": ["", "0", "-1", "1.5", "1e3", "ten", "1,5", "nan", "1" + "0" * 5000],
    "--batch-size": ["0"],
    "--num-hiddens": ["0", str(2**63)],
    "--lr": ["0", "-0.1", "nan", "inf", "1e39", "ten"],
    "--seed": ["-1", "1.5", str(2**64)],
    "--data-dir": ["", "nowhere", "file.png"],
    "--figure": ["", "x", "x.txt", ".png", "png", "nowhere/x.png", "folder.png"],
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option, values in BAD.items() for value in values])
def test_a_bad_value_is_refused_in_one_line_that_names_the_option(
    option: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.png").touch()
    Path("folder.png").mkdir()
    with pytest.raises(SystemExit) as exit_:
        parse(f"{option}={value}")
    out, err = capsys.readouterr()
    assert (exit_.value.code, out, err.count("\n")) == (2, "", 1)
    assert f"error: argument {option}: " in err
    assert sorted(os.listdir()) == ["file.png", "folder.png"]


@pytest.mark.parametrize("argv", [["--momentum", "0.9"], ["extra"], ["--epochs"]])
def test_an_unknown_option_or_a_missing_value_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(*argv)
    err = capsys.readouterr().err
    assert (exit_.value.code, err.count("\n")) == (2, 1)
    assert argv[0] in err


@both_scripts
def test_help_shows_its_usage_every_option_and_its_default(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        {"mlp_scratch": mlp_scratch, "mlp_api": mlp_api}[script].main(["--help"])
    assert exit_.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("usage: ")
    assert "None" not in text
    defaults = {"epochs": "10", "batch-size": "256", "num-hiddens": "256", "lr": "0.1", "seed": "0"}
    for name, value in (defaults | {"data-dir": "[^)]+"}).items():
        assert re.search(rf"--{name} [A-Z_]+ [^()]+ \(default: {value}\)", text)
    assert "--figure FIGURE" in text


# Output that takes no character, no line, or nothing more


def test_help_survives_a_code_page_without_the_characters_of_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(common, "DATA_DIR", Path("/用户/data"))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, "cp1252"))
    with pytest.raises(SystemExit) as exit_:
        common.run(lambda: mlp_api.main(["--help"]))
    sys.stdout.flush()
    assert exit_.value.code == 0
    assert b"\\u7528\\u6237" in output.getvalue()


@pytest.mark.parametrize("stdout", [io.StringIO(), None])
def test_output_that_is_no_file_hides_no_error(
    stdout: io.StringIO | None, small_data: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", stdout)
    assert "training diverged" in fails("mlp_api", "--lr=1e37", "--data-dir", small_data)


def test_a_closed_pipe_ends_a_run_in_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(SystemExit) as exit_:
            common.run(lambda: mlp_scratch.main([]))
        monkeypatch.undo()  # and closing it, for which Python writes again, raises nothing
    assert (exit_.value.code, capsys.readouterr().err) == (141, "")


@full_disk
def test_a_full_disk_behind_the_output_is_named(fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        text = "cannot write the output ([Errno 28] No space left on device): send it elsewhere"
        assert fails("mlp_scratch") == text
        monkeypatch.undo()


def test_a_full_disk_behind_the_picture_loses_no_line_and_leaves_the_output_alive(
    small_data: Path, tmp_path: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    def savefig(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", savefig)
    monkeypatch.setattr(common, "picture", Path)
    monkeypatch.setattr(common, "draw", lambda *_, **__: None)
    with open(tmp_path / "output", "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        text = "cannot write the picture ([Errno 28] No space left on device): name another file"
        assert fails("mlp_api", "--epochs=2", "--data-dir", small_data, "--figure=x.png") == text
        print("alive")
        monkeypatch.undo()
    lines = (tmp_path / "output").read_text().splitlines()
    assert len([line for line in lines if line.startswith(("epoch", "6. true"))]) == 3
    assert lines[-1] == "alive"


# What stops it


def test_ctrl_c_in_the_middle_of_an_epoch(
    small_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(common, "accuracy", interrupt)
    monkeypatch.setattr(sys, "argv", ["mlp_api.py"])
    with pytest.raises(SystemExit) as exit_:
        common.run(lambda: mlp_api.main(["--data-dir", str(small_data)]))
    assert exit_.value.code == 130
    assert capsys.readouterr().err == "mlp_api.py: interrupted\n"


def test_a_training_that_diverges_stops_after_that_epoch(
    small_data: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    text = "the training diverged, its loss is not finite: try a smaller --lr"
    assert fails("mlp_scratch", "--lr=1e9", "--data-dir", small_data) == text
    assert output.getvalue().splitlines()[-1].startswith("epoch 01: train_loss=nan")


@both_scripts
@pytest.mark.parametrize("num_hiddens", [10**12, 2**62])
def test_more_hidden_units_than_any_memory_holds(script: str, num_hiddens: int, small_data: Path, fails: Fails) -> None:
    text = "not enough memory: try a smaller --num-hiddens or --batch-size"
    assert fails(script, "--num-hiddens", num_hiddens, "--data-dir", small_data) == text


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "mlp.pt"),
        OSError("cannot identify image file 'photo.jpg'"),
        OSError(errno.ENOSPC, "No space left on device"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
    ],
)
def test_a_learner_s_own_error_keeps_its_traceback(error: Exception) -> None:
    def main() -> None:
        raise error

    with pytest.raises(type(error), match=str(error.args[-1])) as raised:
        common.run(main)
    assert raised.value is error


# What a learner does with it


@both_scripts
def test_importing_a_script_runs_nothing(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / f"{script}.py"), run_name=script)
    assert capsys.readouterr() == ("", "")


@both_scripts
def test_main_returns_the_network_its_parameters_and_the_history(script: str, small_data: Path) -> None:
    main = {"mlp_scratch": mlp_scratch, "mlp_api": mlp_api}[script].main
    net, params, history = main(["--epochs", "2", "--data-dir", str(small_data)])
    _, test_iter = common.load_data_fashion_mnist(256, small_data)
    assert len(history) == 2
    assert history[-1].test_acc == common.evaluate_accuracy(net, test_iter)
    for param in params:
        param.data.zero_()
    assert not net(torch.ones(1, 1, 28, 28)).any()  # without them, nothing is left of it


def test_nothing_is_written_into_the_checkout(runs: dict[str, Run], checkout: Path) -> None:
    if os.access(checkout, os.W_OK):
        pytest.skip("permissions do not bind this user, so Python writes its __pycache__")
    assert len(runs) == 2
    names = {path.name for path in checkout.iterdir()}
    assert names == {"common.py", "data", "mlp_scratch.py", "mlp_api.py"}


def test_python_i_goes_on_after_an_error(started_session: "subprocess.Popen[str]") -> None:
    out, err = started_session.communicate("print('alive')\n", timeout=SECONDS)
    assert out == "alive\n"
    assert err.startswith("mlp_scratch.py: error: argument --epochs: '0' is not a whole number")
    assert "Traceback" not in err
