"""Both scripts, run as a person runs them, against the article and against each other."""

from pathlib import Path

import pytest

import article
import mlp_api
import mlp_scratch
from conftest import Run

STEPS = {"mlp_scratch": "Initialising the MLP's parameters", "mlp_api": "Creating the MLP"}
both_scripts = pytest.mark.parametrize("script", STEPS)


@both_scripts
def test_prints_three_steps_ten_epochs_and_six_predictions(script: str, runs: dict[str, Run]) -> None:
    lines = runs[script].lines
    assert lines[:3] == ["Loading Fashion-MNIST", STEPS[script], "Training"]
    assert [line[:9] for line in lines[3:13]] == [f"epoch {n:02d}:" for n in range(1, 11)]
    assert len(runs[script].history) == 10
    assert lines[13:21] == [
        "",
        "Predictions:",
        "1. true: ankle boot predicted: ankle boot",
        "2. true: pullover   predicted: pullover",
        "3. true: trouser    predicted: trouser",
        "4. true: trouser    predicted: trouser",
        "5. true: shirt      predicted: shirt",
        "6. true: trouser    predicted: trouser",
    ]


def test_a_session_goes_on_after_the_run_and_prints_what_the_readme_says(runs: dict[str, Run]) -> None:
    lines = runs["mlp_api"].lines[21:]
    assert lines == ["failed: 0"], "\n".join(lines)


@both_scripts
def test_every_row_is_the_article_s(script: str, runs: dict[str, Run]) -> None:
    for actual, row in zip(runs[script].history, article.tables()[script], strict=True):
        train_loss, train_acc, test_acc = row
        assert actual.train_loss == pytest.approx(train_loss, rel=0, abs=0.001)
        assert actual.train_acc == pytest.approx(train_acc, rel=0, abs=0.001)
        assert actual.test_acc == pytest.approx(test_acc, rel=0, abs=0.003)


def test_both_reach_the_same_test_accuracy(runs: dict[str, Run]) -> None:
    scratch, api = (runs[script].history[-1].test_acc for script in STEPS)
    assert min(scratch, api) >= 0.84
    assert abs(scratch - api) <= 0.01


@both_scripts
@pytest.mark.parametrize(("batch_size", "num_hiddens", "lr", "seed"), [(30, 5, 0.02, 3), (5000, 40, 0.5, 2**64 - 1)])
def test_for_any_options_the_epochs_are_those_of_the_article_s_own_way(
    script: str, batch_size: int, num_hiddens: int, lr: float, seed: int, small_data: Path
) -> None:
    expected = article.history(script, small_data, 2, batch_size, num_hiddens, lr, seed)
    options = f"--batch-size {batch_size} --num-hiddens {num_hiddens} --lr {lr} --seed {seed}"
    main = {"mlp_scratch": mlp_scratch.main, "mlp_api": mlp_api.main}[script]
    _, _, history = main(["--epochs=2", *options.split(), "--data-dir", str(small_data)])
    assert [epoch[1:] for epoch in history] == [row[1:] for row in expected]
    # The article adds up the losses of a batch, here at most 1,000 float32, where common.py takes
    # their mean. Adding in pairs, either is off by at most log2(1000) roundings of 2**-24 each.
    losses = [epoch.train_loss for epoch in history]
    assert losses == pytest.approx([row[0] for row in expected], rel=1.2e-6, abs=0)
