"""The command line: defaults, good values and bad ones."""

import re
import sys
from pathlib import Path

import pytest
from conftest import MAINS, SCRIPTS

import common

DEFAULTS = {"epochs": 10, "batch_size": 256, "num_hiddens": 256, "lr": 0.1}


def parse(*argv: str) -> dict[str, object]:
    """The options in argv."""
    return vars(common.parse_args("", list(argv), **DEFAULTS))


def test_without_options_the_defaults_hold() -> None:
    assert parse() == {**DEFAULTS, "seed": 0, "data_dir": str(common.DATA_DIR), "figure": None}


def test_good_values_are_taken(tmp_path: Path) -> None:
    picture = tmp_path / "x.svg"
    numbers = ["--epochs=1", "--batch-size=60000", "--num-hiddens=1", "--lr=1e-3", f"--seed={2**64 - 1}"]
    assert parse(*numbers, f"--data-dir={tmp_path}", f"--figure={picture}") == {
        "epochs": 1,
        "batch_size": 60_000,
        "num_hiddens": 1,
        "lr": 0.001,
        "seed": 2**64 - 1,
        "data_dir": str(tmp_path),
        "figure": picture,
    }
    assert not picture.exists()


BAD_NUMBERS = ["", " ", "-1", "nan", "inf", "-inf", "ten", "1,5", "1" + "0" * 5000]
BAD = {
    "--epochs": [*BAD_NUMBERS, "0", "1.5", "1e3"],
    "--batch-size": [*BAD_NUMBERS, "0", "1.5", "1e3", "60001"],
    "--num-hiddens": [*BAD_NUMBERS, "0", "1.5", "1e3"],
    "--lr": [*BAD_NUMBERS, "0", "-0.1", "1e39", "1e400"],
    "--seed": [*BAD_NUMBERS, "1.5", "1e3", str(2**64)],
    "--data-dir": ["", "nowhere", "file.png"],
    "--figure": ["", "x", "x.jpeg", ".png", "png", "nowhere/x.png", "folder.png"],
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option in BAD for value in BAD[option]])
def test_a_bad_value_is_refused_in_one_line_that_names_the_option(
    option: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.png").touch()
    Path("folder.png").mkdir()
    with pytest.raises(SystemExit) as exit_:
        parse(f"{option}={value}")
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"error: argument {option}: " in err


@pytest.mark.parametrize("argv", [["--momentum", "0.9"], ["extra"], ["--epochs"]])
def test_an_unknown_option_or_a_missing_value_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(*argv)
    assert exit_.value.code == 2
    assert argv[0] in capsys.readouterr().err


def test_a_figure_without_matplotlib_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit) as exit_:
        parse("--figure=x.png")
    assert exit_.value.code == 2
    assert "argument --figure: this needs matplotlib: pip install matplotlib\n" in capsys.readouterr().err


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_every_option_and_its_default(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        MAINS[script](["--help"])
    assert exit_.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for option, default in [
        ("--epochs EPOCHS", "10"),
        ("--batch-size BATCH_SIZE", "256"),
        ("--num-hiddens NUM_HIDDENS", "256"),
        ("--lr LR", "0.1"),
        ("--seed SEED", "0"),
        ("--data-dir DATA_DIR", "[^)]+"),
        ("--figure FIGURE", "None"),
    ]:
        assert re.search(rf"{option} [^-]+\(default: {default}\)", text)
