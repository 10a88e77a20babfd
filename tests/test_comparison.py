"""Both scripts, run as a person runs them, against the article and against each other."""

from pathlib import Path

import article
import pytest
from conftest import EPOCH, MAINS, SCRIPTS, Runs, article_table

STEPS = {"mlp_scratch": "Initialising the MLP's parameters", "mlp_api": "Creating the MLP"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_prints_three_steps_ten_epochs_and_six_predictions(runs: Runs, script: str) -> None:
    lines = runs[script].output.splitlines()
    assert lines[:3] == ["Loading Fashion-MNIST", STEPS[script], "Training"]
    assert [EPOCH.fullmatch(line)[1] for line in lines[3:13]] == [f"{n:02d}" for n in range(1, 11)]  # type: ignore[index]
    assert lines[13:] == [
        "",
        "Predictions:",
        "1. true: ankle boot predicted: ankle boot",
        "2. true: pullover   predicted: pullover",
        "3. true: trouser    predicted: trouser",
        "4. true: trouser    predicted: trouser",
        "5. true: shirt      predicted: shirt",
        "6. true: trouser    predicted: trouser",
    ]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_row_is_the_article_s(runs: Runs, script: str) -> None:
    table = article_table()[script]
    assert len(runs[script].history) == len(table) == 10
    for actual, expected in zip(runs[script].history, table, strict=True):
        assert actual.train_loss == pytest.approx(expected.train_loss, rel=0, abs=0.001)
        assert actual.train_acc == pytest.approx(expected.train_acc, rel=0, abs=0.001)
        assert actual.test_acc == pytest.approx(expected.test_acc, rel=0, abs=0.003)


def test_both_reach_the_same_test_accuracy(runs: Runs) -> None:
    scratch, api = (runs[script].history[-1].test_acc for script in SCRIPTS)
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
    [(2, 256, 256, 0.1, 0), (2, 30, 5, 0.02, 3), (2, 5000, 40, 0.5, 2**64 - 1)],
)
def test_for_any_options_the_epochs_are_those_of_the_article_s_own_way(
    script: str, epochs: int, batch_size: int, num_hiddens: int, lr: float, seed: int, small_data: Path
) -> None:
    expected = article.history(script, small_data, epochs, batch_size, num_hiddens, lr, seed)
    options = f"--epochs {epochs} --batch-size {batch_size} --num-hiddens {num_hiddens} --lr {lr} --seed {seed}"
    _, _, history = MAINS[script]([*options.split(), "--data-dir", str(small_data)])
    assert [epoch[1:] for epoch in history] == [row[1:] for row in expected]
    # The article adds up the losses of a batch, here at most 2,000 float32, where common.py takes their mean. Adding in
    # pairs, either is off by at most log2(2000) roundings of 2**-24 each: 1.3e-6 together.
    losses = [epoch.train_loss for epoch in history]
    assert losses == pytest.approx([row[0] for row in expected], rel=1.3e-6, abs=0)
