"""The benchmark: what it times, how often, and what its table says about it."""

import re
import time
from collections.abc import Callable, Iterable

import pytest
import torch

import article
import benchmark
import common
from support import Capture, Patch

pytestmark = pytest.mark.page  # a program behind the pages

MakeEpoch = Callable[[Iterable[common.Data]], benchmark.Work]


class Clock:
    """A clock that stands still until somebody lets seconds pass; it notes who that was."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.turns: list[str] = []

    def epoch(self, name: str, first: float, later: list[float]) -> benchmark.Work:
        """Return an epoch that takes so many seconds the first time, and the later times."""
        seconds = iter([first, *later])

        def epoch() -> None:
            self.turns.append(name)
            self.now += next(seconds)

        return epoch


@pytest.fixture
def clock(monkeypatch: Patch) -> Clock:
    """Let the benchmark look at a clock of ours."""
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def test_each_variant_takes_its_turn_in_each_round_and_the_first_round_is_not_counted(
    clock: Clock,
) -> None:
    epochs = {"a": clock.epoch("a", 50, [1, 2, 3]), "b": clock.epoch("b", 70, [5, 4, 9])}
    times = benchmark.measure(epochs, 3, "two variants")
    assert clock.turns == ["a", "b"] * 4, "after one round to warm up, a and b must alternate"
    assert times == {"a": [1, 2, 3], "b": [5, 4, 9]}, "the seconds of a round are others"


def test_the_ratio_is_the_median_of_the_ratios_in_each_round() -> None:
    ratio = benchmark.ratio([20.0, 30.0, 6.0], [2.0, 6.0, 3.0])
    assert ratio == 5, "the ratios of the rounds are 10, 5 and 2, so their median is 5"


def test_each_figure_of_the_table_stands_beside_its_name(
    clock: Clock, monkeypatch: Patch, capsys: Capture
) -> None:
    batches = [(torch.zeros(2, 1, 28, 28), torch.zeros(2))]
    ours, stock = (batches, batches), [batches, batches]
    monkeypatch.setattr(common, "load_data_fashion_mnist", lambda *_: ours)
    monkeypatch.setattr(article, "loaders", lambda *_: stock)

    def make(script: str, here: list[float], way: list[float]) -> MakeEpoch:
        """Return what makes an epoch of known lengths, by the loaders that it is given."""
        epochs = {
            id(ours): clock.epoch(f"{script}, our loaders", 100, here),
            id(stock): clock.epoch(f"{script}, the article's loaders", 100, way),
        }
        return lambda loaders: epochs[id(loaders)]

    monkeypatch.setattr(benchmark, "scratch_epoch", make("scratch", [1, 2, 4], [40, 20, 20]))
    monkeypatch.setattr(benchmark, "api_epoch", make("api", [3, 3, 3], [24, 30, 27]))
    products = clock.epoch("products", 100, [0.25, 0.25, 0.25, 100, 0.5, 0.5, 0.5])
    monkeypatch.setattr(benchmark, "products_epoch", lambda *sizes: products)

    benchmark.main(common.DATA_DIR, rounds=3)
    assert len(set(clock.turns)) == 5, "both scripts with both loaders and the products are timed"
    table = capsys.readouterr().out.partition("\n\n")[2].splitlines()
    assert table == [
        "| seconds an epoch | `mlp_scratch.py` | `mlp_api.py` |",
        "| --- | --- | --- |",
        "| here | 2.00 | 3.00 |",
        "| the article's way | 20.00 | 27.00 |",
        "| times as long | 10.0 | 9.0 |",  # scratch: the median of 40, 10 and 5
        "| matrix products alone | 0.25 | 0.50 |",
    ], "a figure of the table is another, or stands at another name"


@pytest.mark.parametrize("make", [benchmark.scratch_epoch, benchmark.api_epoch])
def test_an_epoch_trains_and_tests_once_with_the_products_that_are_timed_alone(
    make: MakeEpoch,
) -> None:
    train_iter = [(torch.rand(n, 1, 28, 28), torch.zeros(n, dtype=torch.int64)) for n in (8, 8, 5)]
    test_iter = [(torch.rand(n, 1, 28, 28), torch.zeros(n, dtype=torch.int64)) for n in (8, 3)]
    epoch = make((train_iter, test_iter))
    alone = benchmark.products_epoch([8, 8, 5], [8, 3])
    assert multiplications(alone) == multiplications(epoch), (
        "an epoch has five matrix products a training step and two a test batch, of these sizes"
    )


def multiplications(epoch: benchmark.Work) -> list[int]:
    """Return how many multiplications each matrix product takes, in order of size."""
    processor = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[processor], record_shapes=True) as profile:
        epoch()
    found = []
    for event in profile.events():
        if event.name in ("aten::mm", "aten::addmm"):
            matrices = [shape for shape in event.input_shapes if len(shape) == 2]
            (rows, inner), (_, columns) = matrices[-2:]  # before them may stand a bias
            found.append(rows * inner * columns)
    return sorted(found)


def test_the_benchmark_starts(capsys: Capture) -> None:
    benchmark.main(common.DATA_DIR, rounds=1)
    out = capsys.readouterr().out
    assert f"torch {torch.__version__}, Python 3." in out, "it must say what it ran on"
    rows = re.findall(r"^\| ([a-z' ]+) \| \d+\.\d+ \| \d+\.\d+ \|$", out, re.MULTILINE)
    assert rows == ["here", "the article's way", "times as long", "matrix products alone"]
