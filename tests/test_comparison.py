"""Both scripts, run as a person runs them, against the article and against each other."""

import runpy
from pathlib import Path

import pytest
from article import epoch_lines
from conftest import EPOCH, MAINS, ROOT, SCRIPTS, Runs, article_table

import common


@pytest.mark.parametrize("script", SCRIPTS)
def test_prints_three_steps_ten_epochs_and_six_predictions(runs: Runs, script: str) -> None:
    lines = runs[script].output.splitlines()
    assert lines[:3] == [
        "Loading Fashion-MNIST",
        "Building the model: 784 -> 256 -> 10",
        "Training for 10 epochs",
    ]
    assert [EPOCH.fullmatch(line)[1] for line in lines[3:13]] == [f"{n:02d}" for n in range(1, 11)]  # type: ignore[index]
    names = ["ankle boot", "pullover", "trouser", "trouser", "shirt", "trouser"]
    assert lines[13:] == ["", "Predictions:"] + [
        f"{n}. true: {name:<10}  predicted: {name}" for n, name in enumerate(names, start=1)
    ]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_row_is_the_article_s(runs: Runs, script: str) -> None:
    article = article_table()[script]
    assert len(runs[script].epochs) == len(article) == 10
    for actual, expected in zip(runs[script].epochs, article, strict=True):
        assert actual.train_loss == pytest.approx(expected.train_loss, rel=0, abs=0.001)
        assert actual.train_acc == pytest.approx(expected.train_acc, rel=0, abs=0.001)
        assert actual.test_acc == pytest.approx(expected.test_acc, rel=0, abs=0.003)


def test_both_reach_the_same_test_accuracy(runs: Runs) -> None:
    scratch, api = (runs[script].epochs[-1].test_acc for script in SCRIPTS)
    assert scratch >= 0.84
    assert api >= 0.84
    assert abs(scratch - api) <= 0.01


def test_both_predict_the_same_six_names(runs: Runs) -> None:
    scratch, api = (runs[script].predictions for script in SCRIPTS)
    assert len(scratch) == 6
    assert scratch == api


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    ("epochs", "batch_size", "num_hiddens", "lr", "seed"),
    [(3, 256, 256, 0.1, 0), (2, 7, 5, 0.02, 3), (2, 5000, 40, 0.5, 2**64 - 1)],
)
def test_for_any_options_the_epoch_lines_are_those_of_the_article_s_own_way(
    script: str,
    epochs: int,
    batch_size: int,
    num_hiddens: int,
    lr: float,
    seed: int,
    small_data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = epoch_lines(script, small_data, epochs, batch_size, num_hiddens, lr, seed)
    options = f"--epochs {epochs} --batch-size {batch_size} --num-hiddens {num_hiddens} --lr {lr} --seed {seed}"
    history = MAINS[script]([*options.split(), "--data-dir", str(small_data)])
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert printed == expected.splitlines()
    assert len(history) == epochs
    assert f"test_acc={history[-1].test_acc:.4f}" in printed[-1]


@pytest.mark.parametrize("script", SCRIPTS)
def test_importing_a_script_runs_nothing(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / f"{script}.py"), run_name=script)
    assert capsys.readouterr() == ("", "")


def test_the_data_folder_is_found_from_the_script_s_own_place() -> None:
    assert common.DATA_DIR == ROOT / "data"
