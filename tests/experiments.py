"""The README's experiments: `python tests/experiments.py`, about fifteen minutes on two cores.

Every row is mlp_api.py with one thing changed, trained with seeds 0 to 4. The tables come out in
Markdown: the mean and, in brackets, the range over the seeds.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from functools import partial
from io import StringIO
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import NamedTuple
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")  # each core trains on its own; before torch's import
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

import common
import mlp_api

Figures = Sequence[float]
NETS: dict[str, Callable[[], list[nn.Module]]] = {
    "linear": lambda: [nn.Linear(784, 10)],
    "two linear": lambda: [nn.Linear(784, 256), nn.Linear(256, 10)],
    "PReLU": lambda: [nn.Linear(784, 256), nn.PReLU(), nn.Linear(256, 10)],
    "sigmoid": lambda: [nn.Linear(784, 256), nn.Sigmoid(), nn.Linear(256, 10)],
    "tanh": lambda: [nn.Linear(784, 256), nn.Tanh(), nn.Linear(256, 10)],
    "deeper": lambda: [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)],
}


class Change(NamedTuple):
    """What is not as in mlp_api.py: options, the network, the standard deviation of its weights."""

    options: str = ""
    net: str = ""
    std: float | None = 0.01  # None: PyTorch's own weights


@contextmanager
def changed(change: Change) -> Iterator[None]:
    """Make and initialise networks in that way, and print nothing."""

    def make_net(num_hiddens: int) -> nn.Sequential:
        return nn.Sequential(nn.Flatten(), *NETS[change.net]())

    def init_weights(module: nn.Module) -> None:
        if isinstance(module, nn.Linear) and change.std is not None:
            nn.init.normal_(module.weight, std=change.std)
            nn.init.zeros_(module.bias)

    with (
        patch.object(mlp_api, "make_net", make_net if change.net else mlp_api.make_net),
        patch.object(mlp_api, "init_weights", init_weights),
        redirect_stdout(StringIO()),
    ):
        yield


def train(change: Change, seed: int) -> tuple[nn.Sequential, list[common.Epoch]]:
    """Return the network and the history of mlp_api.py with that change."""
    with changed(change):
        net, _, history = mlp_api.main([f"--seed={seed}", *change.options.split()])
    assert isinstance(net, nn.Sequential)
    return net, history


def last_epoch(change: Change, seed: int) -> Figures:
    """Return train_loss and test_acc of the last epoch."""
    epoch = train(change, seed)[1][-1]
    return [epoch.train_loss, epoch.test_acc]


def losses(change: Change, seed: int) -> Figures:
    """Return train_loss after each epoch."""
    return [epoch.train_loss for epoch in train(change, seed)[1]]


def step_length(change: Change, seed: int) -> Figures:
    """Return how far a step moves the product of all matrices: the mean over one more epoch."""
    net, _ = train(change, seed)

    def product() -> Tensor:
        first, *rest = [layer.weight.detach() for layer in net if isinstance(layer, nn.Linear)]
        return rest[0] @ first if rest else first.clone()

    trainer = torch.optim.SGD(net.parameters(), lr=0.1)
    points = [product()]
    for batch in common.load_data_fashion_mnist(256)[0]:
        common.train_epoch(net, [batch], nn.CrossEntropyLoss(), trainer)
        points.append(product())
    return [mean((after - before).norm().item() for before, after in pairwise(points))]


def hidden_units(change: Change, seed: int) -> Figures:
    """Return the share of H above zero, and how many units are dead, zero for all test images."""
    net, _ = train(change, seed)
    active = torch.cat([net[:3](X) > 0 for X, _ in common.load_data_fashion_mnist(256)[1]])
    return [active.float().mean().item(), int((~active.any(dim=0)).sum())]


def story(change: Change, seed: int) -> Figures:
    """Return what the last epoch reached, and what became of it.

    The share of the pullovers, coats and shirts that are found; test_acc after one more epoch with
    the learning rate 0.1, and after one with 0.01 instead.
    """
    net, history = train(change, seed)
    train_iter, test_iter = common.load_data_fashion_mnist(256)
    y_hat, y = net(test_iter.dataset[:][0]).argmax(dim=1), test_iter.dataset[:][1]
    found = [(y_hat[y == label] == label).float().mean().item() for label in (2, 4, 6)]
    more, draws = [], torch.get_rng_state()
    for lr in (0.1, 0.01):
        torch.set_rng_state(draws)
        copy = deepcopy(net)
        trainer = torch.optim.SGD(copy.parameters(), lr=lr)
        common.train_epoch(copy, train_iter, nn.CrossEntropyLoss(), trainer)
        more.append(common.evaluate_accuracy(copy, test_iter))
    return [history[-1].train_loss, history[-1].test_acc, *found, *more]


def over_fitting(epochs: Sequence[int], change: Change, seed: int) -> Figures:
    """Return train_acc, test_acc and the test loss after so many epochs with 1,000 images."""
    torch.manual_seed(seed)
    train_iter, test_iter = common.load_data_fashion_mnist(256)
    few: DataLoader[tuple[Tensor, Tensor]]
    few = DataLoader(Subset(train_iter.dataset, range(1000)), batch_size=25, shuffle=True)
    net = mlp_api.make_net(256).apply(mlp_api.init_weights)
    loss, trainer = nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.1)
    X, y = test_iter.dataset[:]
    figures: list[float] = []
    for epoch in range(1, max(epochs) + 1):
        _, train_acc = common.train_epoch(net, few, loss, trainer)
        test_acc = common.evaluate_accuracy(net, test_iter)
        if epoch in epochs:
            figures += [train_acc, test_acc, loss(net(X), y).item()]
    return figures


LAST = ["train_loss", "test_acc"]
Measure = Callable[[Change, int], Figures]
Row = tuple[Measure, Change, slice]  # which of the measured figures it shows


def last(options: str = "", net: str = "", std: float | None = 0.01) -> Row:
    """Return the row of the last epoch."""
    return last_epoch, Change(options, net, std), slice(None)


MLP: Row = (story, Change(), slice(2))
few = partial(over_fitting, (10, 30, 100))
TABLES: list[tuple[str, list[str], dict[str, Row]]] = [
    (
        "network",
        LAST,
        {
            "one layer: softmax regression": last(net="linear"),
            "no activation": last(net="two linear"),
            "ReLU, [0, inf): the MLP": MLP,
            "one layer more": last(net="deeper"),
            "PReLU, (-inf, inf)": last(net="PReLU"),
            "sigmoid, (0, 1)": last(net="sigmoid"),
            "tanh, (-1, 1)": last(net="tanh"),
            "one layer, 20 epochs": last("--epochs 20", "linear"),
            "no activation, 20 epochs": last("--epochs 20", "two linear"),
        },
    ),
    (
        "train_loss",
        ["epoch 1", "epoch 2", "epoch 3"],
        {
            "one layer": (losses, Change("--epochs 3", "linear"), slice(3)),
            "the MLP": (losses, Change("--epochs 3"), slice(3)),
        },
    ),
    (
        "in the fourth epoch",
        ["mean length of a step"],
        {
            "one layer: of W": (step_length, Change("--epochs 3", "linear"), slice(1)),
            "no activation: of W1 W2": (step_length, Change("--epochs 3", "two linear"), slice(1)),
        },
    ),
    ("`--lr`", LAST, {"0.01": last("--lr 0.01"), "0.1": MLP, "0.5": last("--lr 0.5"), "2": last("--lr 2")}),
    (
        "`--lr`, one epoch",
        ["share of H above 0", "dead units of 256"],
        {lr: (hidden_units, Change(f"--epochs 1 --lr {lr}"), slice(2)) for lr in ("0.1", "2")},
    ),
    ("`--num-hiddens`", LAST, {"16": last("--num-hiddens 16"), "256": MLP, "1024": last("--num-hiddens 1024")}),
    (
        "`--batch-size`",
        LAST,
        {
            "32": last("--batch-size 32"),
            "32, `--lr 0.0125`": last("--batch-size 32 --lr 0.0125"),
            "256": MLP,
            "1024": last("--batch-size 1024"),
        },
    ),
    (
        "standard deviation",
        ["train_loss, one epoch"],
        {f"{std}": (losses, Change("--epochs 1", std=std), slice(1)) for std in (0, 0.0001, 0.01, 0.1, 1)},
    ),
    (
        "PyTorch's own weights",
        LAST,
        {"the MLP": last(std=None), "one layer more": last(net="deeper", std=None)},
    ),
    (
        "1,000 images: epoch",
        ["train_acc", "test_acc", "test loss"],
        {f"{n}": (few, Change(), slice(3 * i, 3 * i + 3)) for i, n in enumerate((10, 30, 100))},
    ),
]
BY_SEED = [
    *LAST,
    *(f"share of {name}s found" for name in ("pullover", "coat", "shirt")),
    "test_acc after epoch 11",
    "test_acc after epoch 11 with `lr` 0.01",
]


def main(seeds: Sequence[int] = range(5), options: str = "", workers: int | None = None) -> None:
    """Train, print a dot a run on stderr, then the tables; options are added to all runs."""
    rows = [row[:2] for _, _, table in TABLES for row in table.values()]
    jobs = [(what, change, seed) for what, change in dict.fromkeys([MLP[:2], *rows]) for seed in seeds]
    results: dict[tuple[Measure, Change], list[Figures]] = {}
    with ProcessPoolExecutor(workers) as pool:
        added = [change._replace(options=f"{change.options} {options}") for _, change, _ in jobs]
        figures = pool.map(run, [job[0] for job in jobs], added, [job[2] for job in jobs])
        for (what, change, _), values in zip(jobs, figures, strict=True):
            results.setdefault((what, change), []).append(values)
            print(end=".", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for title, columns, table in TABLES:
        print(f"\n| {title} | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
        for name, (what, change, part) in table.items():
            cells = [cell(column) for column in list(zip(*results[what, change], strict=True))[part]]
            print(f"| {name} | {' | '.join(cells)} |")
    print(f"\n| `--seed` | {' | '.join(BY_SEED)} |\n|{' --- |' * (len(BY_SEED) + 1)}")
    for seed, values in zip(seeds, results[MLP[:2]], strict=True):
        print(f"| {seed} | {' | '.join(f'{value:.3f}' for value in values)} |")


def run(what: Measure, change: Change, seed: int) -> Figures:
    """Return what it measures, in a process of its own."""
    return list(what(change, seed))


def cell(values: Sequence[float]) -> str:
    """Return mean and range."""
    digits = 0 if all(isinstance(value, int) for value in values) else 3
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), mean(values), max(values)))
    return f"{middle} ({low}-{high})"


if __name__ == "__main__":
    main()
