"""Both scripts' runs against the article and each other, and the page's sessions after them."""

import re
from collections.abc import Callable
from types import ModuleType

import pytest

import article
import common
from support import both_scripts
from trainings import README

Runs = dict[str, list[str]]
STEPS = {"mlp_scratch": "Initialising the MLP's parameters", "mlp_api": "Creating the MLP"}
TOLERANCES = (0.001, 0.001, 0.003)  # of train_loss, train_acc and test_acc


@both_scripts
def test_prints_its_table(
    script: ModuleType, runs: Runs, record_property: Callable[[str, object], None]
) -> None:
    """Three steps, the article's table, and six predictions."""
    name, lines = script.__name__, runs[script.__name__]
    table = [line for line in lines if line.startswith("epoch ")]
    rows = article.tables()[name]
    beside = []
    for line, row in zip(table, rows, strict=True):
        beside.append("{} | {:.4f}, {:.4f}, {:.4f}".format(line, *row))
    record_property("table", [name, *beside])  # for the two tables at the end
    for number, (line, row) in enumerate(zip(table, rows, strict=True), start=1):
        figures = re.findall(r"=(\d\.\d{4})\b", line)
        words = "epoch {:02d}: train_loss={}, train_acc={}, test_acc={}"
        assert line == words.format(number, *figures)
        for figure, expected, tolerance in zip(figures, row, TOLERANCES, strict=True):
            near = float(figure) == pytest.approx(expected, abs=tolerance)
            assert near, f"far from the article's: {beside[number - 1]}"
    names = ["ankle boot", "pullover", "trouser", "trouser", "shirt", "trouser"]
    predictions = []
    for number, class_name in enumerate(names, start=1):
        predictions.append(f"{number}. true: {class_name:<10} predicted: {class_name}")
    others = [line for line in lines if line not in table]
    steps = ["Loading Fashion-MNIST", STEPS[name], "Training"]
    assert others[:11] == [*steps, "", "Predictions:", *predictions]


def test_both_end_with_the_same_accuracy(runs: Runs) -> None:
    last = []
    for lines in runs.values():
        accuracies = re.findall(r"^epoch.* test_acc=(.*)$", "\n".join(lines), re.MULTILINE)
        last.append(float(accuracies[9]))
    # The article's are 0.0003 apart. A run may be 0.003 away from its own, but not each in another
    # direction.
    assert abs(last[0] - last[1]) <= 0.004, f"by hand {last[0]}, with PyTorch's layers {last[1]}"


def test_sessions_after_the_runs_print_what_the_page_says(runs: Runs) -> None:
    said = "\n".join(line for lines in runs.values() for line in lines)
    results = re.findall(r"^TestResults\(failed=0, attempted=(\d+)\)$", said, re.MULTILINE)
    typed = len(re.findall(r"^ *>>> ", README, re.MULTILINE))
    right = sum(map(int, results))
    assert right == typed, f"of {typed} lines only {right} are in a session that is right:\n{said}"


@both_scripts
@pytest.mark.parametrize("values", [(30, 5, 0.02, 3), (5000, 40, 0.5, 2**64 - 1)])
def test_for_any_options_the_run_is_the_article_s(
    script: ModuleType, values: tuple[int, int, float, int]
) -> None:
    expected = article.history(script.__name__, common.DATA_DIR, 2, *values)
    options = "--epochs=2 --batch-size={} --num-hiddens={} --lr={} --seed={}".format(*values)
    _, _, history, _, _ = script.main(options.split())
    for row, right in zip(history, expected, strict=True):
        assert row == pytest.approx(right, rel=1e-6)
