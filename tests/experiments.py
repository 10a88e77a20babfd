"""The README's experiments: `python tests/experiments.py`, about ten minutes on two cores.

Each row is mlp_api.py with one thing changed, by an option or in its network, over five seeds. The tables come out in
Markdown: the mean after the last epoch and, in brackets, the range over the seeds.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from itertools import product
from pathlib import Path
from statistics import mean
from typing import NamedTuple
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")  # each core trains on its own; to be said before torch is imported
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from torch import nn

import common
import mlp_api

SEEDS = range(5)

NETS: dict[str, Callable[[], list[nn.Module]]] = {
    "linear": lambda: [nn.Linear(784, 10)],
    "two linear": lambda: [nn.Linear(784, 256), nn.Linear(256, 10)],
    "deeper": lambda: [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)],
    "PReLU": lambda: [nn.Linear(784, 256), nn.PReLU(), nn.Linear(256, 10)],
    "sigmoid": lambda: [nn.Linear(784, 256), nn.Sigmoid(), nn.Linear(256, 10)],
    "tanh": lambda: [nn.Linear(784, 256), nn.Tanh(), nn.Linear(256, 10)],
}


class Change(NamedTuple):
    """What is not the article's: an option, one of NETS, or that the layers keep the weights that PyTorch draws."""

    option: str = ""
    net: str = ""
    own_weights: bool = False


TABLES: dict[str, dict[str, Change]] = {
    "network": {
        "784-10: softmax regression": Change(net="linear"),
        "no activation": Change(net="two linear"),
        "ReLU, [0, inf): the MLP": Change(),
        "784-256-128-10": Change(net="deeper"),
        "PReLU, (-inf, inf)": Change(net="PReLU"),
        "sigmoid, (0, 1)": Change(net="sigmoid"),
        "tanh, (-1, 1)": Change(net="tanh"),
    },
    "change": {
        "`--lr 0.01`": Change("--lr 0.01"),
        "`--lr 0.5`": Change("--lr 0.5"),
        "`--lr 2`": Change("--lr 2"),
        "`--num-hiddens 16`": Change("--num-hiddens 16"),
        "`--num-hiddens 1024`": Change("--num-hiddens 1024"),
        "`--batch-size 32`": Change("--batch-size 32"),
        "`--batch-size 1024`": Change("--batch-size 1024"),
        "PyTorch's own weights": Change(own_weights=True),
        "the same, 784-256-128-10": Change(net="deeper", own_weights=True),
    },
}


def last_epoch(change: Change, seed: int) -> common.Epoch:
    """Return what mlp_api.py with that change reaches in its last epoch; not a number if the training diverges."""

    def make_net(num_hiddens: int) -> nn.Sequential:
        return nn.Sequential(nn.Flatten(), *NETS[change.net]())

    def keep_weights(module: nn.Module) -> None:
        pass

    with (
        patch.object(mlp_api, "make_net", make_net if change.net else mlp_api.make_net),
        patch.object(mlp_api, "init_weights", keep_weights if change.own_weights else mlp_api.init_weights),
        redirect_stdout(StringIO()),
    ):
        try:
            _, _, history = mlp_api.main([f"--seed={seed}", *change.option.split()])
        except common.UserError:
            return common.Epoch(*[float("nan")] * 3)
    return history[-1]


def cell(values: tuple[float, ...]) -> str:
    """Return mean and range."""
    return f"{mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def main() -> None:
    """Train, say how far it is on stderr, and print the tables."""
    runs = list(product(dict.fromkeys(change for rows in TABLES.values() for change in rows.values()), SEEDS))
    results: dict[Change, list[common.Epoch]] = {change: [] for change, _ in runs}
    with ProcessPoolExecutor() as pool:
        epochs = pool.map(last_epoch, *zip(*runs, strict=True))
        for done, ((change, _), epoch) in enumerate(zip(runs, epochs, strict=True), start=1):
            results[change].append(epoch)
            print(f"\r{done} of {len(runs)} runs", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for title, rows in TABLES.items():
        print(f"\n| {title} | train_loss | train_acc | test_acc |\n| --- | --- | --- | --- |")
        for name, change in rows.items():
            print(f"| {name} | {' | '.join(cell(column) for column in zip(*results[change], strict=True))} |")
    print(f"\n| `--seed` | {' | '.join(map(str, SEEDS))} |\n| --- |{' --- |' * len(SEEDS)}")
    for name, values in zip(common.Epoch._fields, zip(*results[Change()], strict=True), strict=True):
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |")


if __name__ == "__main__":
    main()
