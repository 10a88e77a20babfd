"""Options, and how a run ends: one clear line, the right exit status, nothing lost."""

import os
import re
import runpy
import signal
import sys
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest

import common
import mlp_scratch
from conftest import ROOT, SECONDS, Capture, Ends, Patch, both_scripts, start


def test_options_have_defaults_and_take_good_values(tmp_path: Path) -> None:
    defaults = {"epochs": 10, "batch_size": 256, "num_hiddens": 256, "lr": 0.1}
    args = vars(common.parse_args("", [], **defaults))
    assert args == {**defaults, "seed": 0, "data_dir": str(common.DATA_DIR), "figure": None}
    picture = tmp_path / "x.SVG"
    numbers = ["--epochs=1", "--batch-size=100000", "--num-hiddens=1", "--lr=1e-3", f"--seed={2**64 - 1}"]
    args = vars(common.parse_args("", [*numbers, f"--data-dir={tmp_path}", f"--figure={picture}"], **defaults))
    assert list(args.values()) == [1, 100_000, 1, 0.001, 2**64 - 1, str(tmp_path), picture]
    assert not picture.exists()


BAD = {
    "--epochs=": ["", "0", "-1", "1.5", "1e3", "ten", "1,5", "nan", "1" + "0" * 5000],
    "--batch-size=": ["0"],
    "--num-hiddens=": ["0", str(2**63)],
    "--lr=": ["0", "-0.1", "nan", "inf", "1e39", "ten"],
    "--seed=": ["-1", "1.5", str(2**64)],
    "--data-dir=": ["", "nowhere", "file.png"],
    "--figure=": ["", "x", "x.txt", ".png", "png", "nowhere/x.png", "folder.png"],
    "--momentum=": ["0.9"],
    "--epochs": [""],  # without a value
    "extra": [""],
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option, values in BAD.items() for value in values])
def test_a_bad_option_or_value_is_refused_in_one_line_that_names_it(
    option: str, value: str, tmp_path: Path, ends: Ends, monkeypatch: Patch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.png").touch()
    Path("folder.png").mkdir()
    assert re.search(f"error: .*argument.* {option.rstrip('=')}\\b", ends(option + value, status=2))
    assert sorted(os.listdir()) == ["file.png", "folder.png"]


@both_scripts
def test_help_shows_each_default_on_any_code_page(script: ModuleType, ends: Ends, monkeypatch: Patch) -> None:
    output = BytesIO()
    monkeypatch.setattr(common, "DATA_DIR", Path("/用户"))
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(output, "cp1252"))
    ends("--help", main=script.main, status=0)
    sys.stdout.flush()
    text = " ".join(output.getvalue().decode().split())
    assert text.startswith("usage: ")
    assert "None" not in text
    assert "--figure FIGURE" in text
    defaults = {"epochs": "10", "batch-size": "256", "num-hiddens": "256", "lr": "0.1", "seed": "0"}
    for name, value in (defaults | {"data-dir": r".\\u7528\\u6237"}).items():
        assert re.search(rf"--{name} [A-Z_]+ [^()]+ \(default: {value}\)", text)


@pytest.mark.parametrize("buffering", [-1, 0])  # 0: as after python -u
def test_a_closed_pipe_ends_a_run_in_silence(buffering: int, ends: Ends, monkeypatch: Patch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    # And closing it, for which Python writes again, raises nothing.
    with TextIOWrapper(open(writing, "wb", buffering), write_through=not buffering) as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert ends(main=mlp_scratch.main, status=141) == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_the_output_is_named(ends: Ends, monkeypatch: Patch) -> None:
    with open("/dev/full", "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        line = ends()
    assert line == "mlp.py: error: cannot write the output ([Errno 28] No space left on device): send it elsewhere"


def test_ctrl_c_in_the_middle_of_an_epoch(ends: Ends, monkeypatch: Patch) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(common, "accuracy", lambda *_: signal.raise_signal(signal.SIGINT))
    assert ends(status=130) == "mlp.py: interrupted"


@pytest.mark.parametrize("output", [StringIO(), None])  # as in an IDE, and without a console
def test_a_diverging_run_stops_whatever_the_output(output: StringIO | None, ends: Ends, monkeypatch: Patch) -> None:
    monkeypatch.setattr(sys, "stdout", output)
    assert ends("--lr=1e37") == "mlp.py: error: the training diverged, its loss is not finite: try a smaller --lr"
    if output:
        assert output.getvalue().splitlines()[-1].startswith("epoch 01: train_loss=nan")


@both_scripts
@pytest.mark.parametrize("num_hiddens", [10**12, 2**62])
def test_more_hidden_units_than_any_memory_holds(script: ModuleType, num_hiddens: int, ends: Ends) -> None:
    line = ends("--num-hiddens", num_hiddens, main=script.main)
    assert line == "mlp.py: error: not enough memory: try a smaller --num-hiddens or --batch-size"


@pytest.mark.parametrize("error", [RuntimeError("shape"), OSError("photo"), OSError(28, "full"), OSError(32, "pipe")])
def test_a_learner_s_own_error_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        common.run(Mock(side_effect=error))
    assert raised.value is error


@both_scripts
def test_importing_a_script_runs_nothing(script: ModuleType, capsys: Capture) -> None:
    runpy.run_path(str(script.__file__), run_name="imported")
    assert capsys.readouterr() == ("", "")
    last = Path(str(script.__file__)).read_text(encoding="utf-8").splitlines()[-1]
    assert last.startswith("    net, params, history = common.run(main)"), "the names that python -i finds"


def test_python_i_goes_on_after_an_error() -> None:
    process = start("-i", ROOT / "mlp_scratch.py", "--epochs=0")
    out, err = process.communicate("print('alive')\n", timeout=SECONDS)
    assert out == "alive\n"
    assert err.startswith("mlp_scratch.py: error: argument --epochs: '0' is not a whole number")
    assert "Traceback" not in err


@pytest.mark.usefixtures("runs")
def test_nothing_is_written_into_the_checkout(checkout: Path) -> None:
    if os.access(checkout, os.W_OK):
        pytest.skip("permissions do not bind this user, so Python writes its __pycache__")
    names = {path.name for path in checkout.iterdir()}
    assert names == {"common.py", "data", "mlp_scratch.py", "mlp_api.py"}
