"""Both scripts, run as a person runs them, against the article and against each other."""

import re
from types import ModuleType

import pytest

import article
import common
from conftest import Runs, both_scripts

STEPS = {"mlp_scratch": "Initialising the MLP's parameters", "mlp_api": "Creating the MLP"}


@both_scripts
def test_prints_three_steps_the_article_s_table_and_six_predictions(script: ModuleType, runs: Runs) -> None:
    lines = runs[script.__name__]
    assert lines[:3] == ["Loading Fashion-MNIST", STEPS[script.__name__], "Training"]
    for number, row in enumerate(article.tables()[script.__name__], start=1):
        line = lines[2 + number]
        figures = re.fullmatch(f"epoch {number:02d}: train_loss=(.{{6}}), train_acc=(.{{6}}), test_acc=(.{{6}})", line)
        assert figures, line
        for figure, expected, tolerance in zip(figures.groups(), row, (0.001, 0.001, 0.003), strict=True):
            assert float(figure) == pytest.approx(expected, abs=tolerance), line
    names = enumerate(["ankle boot", "pullover", "trouser", "trouser", "shirt", "trouser"], start=1)
    predictions = [f"{number}. true: {name:<10} predicted: {name}" for number, name in names]
    assert lines[13:21] == ["", "Predictions:", *predictions]


def test_both_reach_the_same_test_accuracy(runs: Runs) -> None:
    scratch, api = (float(lines[12].rpartition("=")[2]) for lines in runs.values())
    assert min(scratch, api) >= 0.84
    assert abs(scratch - api) <= 0.01


def test_a_session_goes_on_after_the_run_and_prints_what_the_readme_says(runs: Runs) -> None:
    lines = runs["mlp_api"][21:]
    assert lines == ["failed: 0"], "\n".join(lines)


@both_scripts
@pytest.mark.parametrize(("batch_size", "num_hiddens", "lr", "seed"), [(30, 5, 0.02, 3), (5000, 40, 0.5, 2**64 - 1)])
def test_for_any_options_the_epochs_are_those_of_the_article_s_own_way(
    script: ModuleType, batch_size: int, num_hiddens: int, lr: float, seed: int
) -> None:
    options = f"--epochs 2 --batch-size {batch_size} --num-hiddens {num_hiddens} --lr {lr} --seed {seed}"
    _, _, history = script.main(options.split())
    expected = article.history(script.__name__, common.DATA_DIR, 2, batch_size, num_hiddens, lr, seed)
    assert history == [pytest.approx(row, rel=1e-6) for row in expected]
