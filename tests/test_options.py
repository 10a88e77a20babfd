"""The command line: defaults, good values and bad ones."""

import re
from functools import partial
from pathlib import Path

import pytest
from conftest import MAINS, SCRIPTS, run_script, run_together

import common


def test_without_options_the_article_s_hyperparameters_hold() -> None:
    assert vars(common.parse_args("", [])) == {
        "epochs": 10,
        "batch_size": 256,
        "num_hiddens": 256,
        "lr": 0.1,
        "seed": 0,
        "data_dir": str(common.DATA_DIR),
        "figure": None,
    }


def test_good_values_are_taken() -> None:
    numbers = ["--epochs=1", "--batch-size=60001", "--num-hiddens=1", "--lr=1e-3", f"--seed={2**64 - 1}"]
    assert vars(common.parse_args("", [*numbers, "--data-dir", "x", "--figure", "x.svg"])) == {
        "epochs": 1,
        "batch_size": 60001,
        "num_hiddens": 1,
        "lr": 0.001,
        "seed": 2**64 - 1,
        "data_dir": "x",
        "figure": Path("x.svg"),
    }


BAD_NUMBERS = ["", " ", "-1", "nan", "inf", "-inf", "ten", "1,5", "1" + "0" * 5000]
BAD = {
    "--epochs": [*BAD_NUMBERS, "0", "1.5", "1e3"],
    "--batch-size": [*BAD_NUMBERS, "0", "1.5", "1e3"],
    "--num-hiddens": [*BAD_NUMBERS, "0", "1.5", "1e3"],
    "--lr": [*BAD_NUMBERS, "0", "-0.1", "1e39", "1e400"],
    "--seed": [*BAD_NUMBERS, "1.5", "1e3", str(2**64)],
    "--data-dir": [""],
    "--figure": ["", "x", "x.jpeg", ".png", "png"],
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option in BAD for value in BAD[option]])
def test_a_bad_value_is_refused_in_one_line_that_names_the_option(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        common.parse_args("", [f"{option}={value}"])
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"error: argument {option}: {value!r} is not " in err


@pytest.mark.parametrize("argv", [["--momentum", "0.9"], ["extra"], ["--epochs"]])
def test_an_unknown_option_or_a_missing_value_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        common.parse_args("", argv)
    assert exit_.value.code == 2
    assert argv[0] in capsys.readouterr().err


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_every_option_and_its_default(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        MAINS[script](["--help"])
    assert exit_.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.isascii()
    for option, default in [
        ("--epochs N", "10"),
        ("--batch-size N", "256"),
        ("--num-hiddens N", "256"),
        ("--lr RATE", "0.1"),
        ("--seed N", "0"),
        ("--data-dir DIR", "data, beside the scripts"),
        ("--figure PATH", "none"),
    ]:
        assert re.search(rf"{option} [^-]+\(default: {default}\)", text)


def test_a_script_refuses_a_bad_option_with_status_2(tmp_path: Path) -> None:
    processes = run_together(partial(run_script, script, "--epochs", "0", cwd=tmp_path) for script in SCRIPTS)
    for process, script in zip(processes, SCRIPTS, strict=True):
        assert process.returncode == 2
        assert process.stdout == ""
        assert process.stderr == (
            f"{script}.py: error: argument --epochs: '0' is not a whole number from 1 to 1000000000\n"
        )
