"""The experiments of the page: `python tests/experiments.py`, about 23 minutes on two cores.

Tables come out in Markdown, and a picture of the same runs. A run is mlp_api.py with one thing
changed. A cell of a table is the mean over the seeds and, in brackets, their range; so are a line
and the band around it in the picture.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # each core trains on its own; before torch's import
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor, nn
from torch.nn import functional

import common
import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NETS: dict[str, Callable[[int], list[nn.Module]]] = {
    "one layer": lambda n: [nn.Linear(784, 10)],
    "no activation": lambda n: [nn.Linear(784, n), nn.Linear(n, 10)],
    "ReLU": lambda n: [nn.Linear(784, n), nn.ReLU(), nn.Linear(n, 10)],
    "PReLU": lambda n: [nn.Linear(784, n), nn.PReLU(), nn.Linear(n, 10)],
    "sigmoid": lambda n: [nn.Linear(784, n), nn.Sigmoid(), nn.Linear(n, 10)],
    "tanh": lambda n: [nn.Linear(784, n), nn.Tanh(), nn.Linear(n, 10)],
    "deeper": lambda n: [nn.Linear(784, n), nn.ReLU(), nn.Linear(n, 128), nn.ReLU(), nn.Linear(128, 10)],
}


def squared_error(logits: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared distance of the probabilities from the one-hot labels."""
    return (logits.softmax(dim=1) - functional.one_hot(y, 10)).square().sum(dim=1).mean()


class Change(NamedTuple):
    """How a run is made; what is not said is as in mlp_api.py."""

    epochs: int = 10
    net: str = "ReLU"
    num_hiddens: int = 256
    std: float | None = 0.01  # None: PyTorch's own weights
    lr: float = 0.1
    batch_size: int = 256
    loss: common.Loss = functional.cross_entropy
    trainer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD
    images: int | None = None  # trains on the first so many, and notes the test loss of every epoch
    then: tuple[
        float, ...
    ] = ()  # parts of lr, each for one more epoch of the trained network, which is looked at closely


Run = dict[str, list[float]]  # a name and its figures, one an epoch or one alone


def run(job: tuple[Change, int]) -> Run:
    """Train with a seed, and return what was measured."""
    change, seed = job
    torch.manual_seed(seed)
    train_loader, test_iter = common.load_data_fashion_mnist(change.batch_size, common.DATA_DIR)
    X, y = test_iter.dataset[:]
    net = nn.Sequential(nn.Flatten(), *NETS[change.net](change.num_hiddens))
    for layer in net:
        if isinstance(layer, nn.Linear) and change.std is not None:
            nn.init.normal_(layer.weight, std=change.std)
            nn.init.zeros_(layer.bias)
    trainer = change.trainer(net.parameters(), lr=change.lr)
    train_iter: common.Data = train_loader
    if change.images:
        few = (part.split(change.batch_size) for part in train_loader.dataset[: change.images])
        train_iter = [*zip(*few, strict=True)]

    found: Run = {name: [] for name in (*common.Epoch._fields, "test loss")}
    for epoch in range(1, change.epochs + 1):
        batches = watched(train_iter, net, found) if epoch in (1, 4) else train_iter
        figures = *common.train_epoch(net, batches, change.loss, trainer), common.evaluate_accuracy(net, test_iter)
        for name, figure in zip(common.Epoch._fields, figures, strict=True):
            found[name].append(figure)
        if change.images:
            with torch.no_grad():
                found["test loss"].append(change.loss(net(X), y).item())
    if change.images:
        lowest = min(found["test loss"])
        found |= {"lowest test loss": [lowest], "its epoch": [1 + found["test loss"].index(lowest)]}
    found |= {name: [figure] for name, figure in look(net, X, y, bool(change.then)).items()}

    iter(test_iter)  # draws what predict draws in mlp_api.py
    draws = torch.get_rng_state()
    for part in change.then:
        torch.set_rng_state(draws)
        copy = deepcopy(net)
        trainer = torch.optim.SGD(copy.parameters(), lr=part * change.lr)
        found[f"train_loss, then {part}"] = [common.train_epoch(copy, train_iter, change.loss, trainer)[0]]
        found[f"test_acc, then {part}"] = [common.evaluate_accuracy(copy, test_iter)]
        if len(net) > 3:
            found["alive again"] = [int((dead(net, X) & ~dead(copy, X)).sum())]
    return found


def watched(batches: common.Data, net: nn.Sequential, found: Run) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches, and note what happens meanwhile.

    The mean slope of the activation in the first step; the norm of W1's gradient there, its mean
    over the epoch, and the mean norm of a step, of the change of the product of all matrices.
    """
    matrices = [layer.weight for layer in net if isinstance(layer, nn.Linear)]
    gradients: list[float] = []
    steps: list[float] = []
    slope = 1.0

    def product() -> Tensor:
        W = matrices[0].detach().clone()
        for matrix in matrices[1:]:
            W = matrix.detach() @ W
        return W

    before = product()
    for X, y in batches:
        if not steps and len(net) > 3:
            Z = net[:2](X).detach().requires_grad_()
            slope = torch.autograd.grad(net[2](Z).sum(), Z)[0].mean().item()
        yield X, y
        after = product()
        steps.append((after - before).norm().item())
        gradients.append(0 if matrices[0].grad is None else matrices[0].grad.norm().item())
        before = after
    notes = {"slope": slope, "first gradient": gradients[0], "mean gradient": mean(gradients), "mean step": mean(steps)}
    for name, note in notes.items():
        found.setdefault(name, []).append(note)


def dead(net: nn.Sequential, X: Tensor) -> Tensor:
    """Return for each hidden unit whether it is zero for all these images."""
    H: Tensor = net[:3](X)
    return (H <= 0).all(dim=0)


@torch.no_grad()
def look(net: nn.Sequential, X: Tensor, y: Tensor, closely: bool) -> dict[str, float]:
    """Return what a trained network does with the test images; closely: with moved ones, too."""

    def accuracy(images: Tensor) -> float:
        return common.accuracy(net(images), y) / len(y)

    p, y_hat = net(X).softmax(dim=1).max(dim=1)
    figures = {SURE: p[y_hat != y].mean().item()}
    for label in (2, 4, 6):
        found = y_hat[y == label] == label
        figures[f"found {common.CLASS_NAMES[label]}s"] = found.float().mean().item()
    if len(net) > 3:
        figures |= {"share of H above 0": (net[:3](X) > 0).float().mean().item(), "dead units": int(dead(net, X).sum())}
        figures["slope below 0"] = (net[2](torch.tensor([0.0])) - net[2](torch.tensor([-1.0]))).item()
    if closely:
        for n in (1, 3):  # pixels, filled with black, to both sides
            figures[f"shifted {n}"] = mean(accuracy(functional.pad(X, (shift, -shift))) for shift in (n, -n))
        figures["mirrored"] = accuracy(X.flip(3))
    return figures


MLP, ONE, TWO = Change(then=(1, 0.1)), Change(net="one layer", then=(0.1,)), Change(20, "no activation")
PRELU, SIGMOID, TANH, DEEPER = (Change(net=name) for name in ("PReLU", "sigmoid", "tanh", "deeper"))
LONG_ONE, LONG_MLP = Change(20, "one layer", lr=0.5, then=(0.1,)), Change(20, lr=0.5, then=(0.1,))
SLOW, FAST, THIN, WIDE = Change(lr=0.01), Change(lr=2), Change(num_hiddens=16), Change(num_hiddens=1024)
SMALL, LARGE, SMALL_SLOW = Change(batch_size=32), Change(batch_size=1024), Change(batch_size=32, lr=0.0125)
STD_01, STD_1, OWN, OWN_DEEPER = Change(std=0.1), Change(std=1), Change(std=None), Change(net="deeper", std=None)
SQUARED, SQUARED_FAST = Change(loss=squared_error), Change(loss=squared_error, lr=0.5)
MOMENTUM, ADAM = Change(trainer=partial(torch.optim.SGD, momentum=0.9)), Change(trainer=torch.optim.Adam, lr=0.001)
FEW = Change(100, images=1000, batch_size=25)

LAST, ALL, SURE = ["train_loss", "test_acc"], [*common.Epoch._fields], "sure when wrong"
# Title, figures, name of a row -> run, and which of its epochs if not the last.
TABLES: list[tuple[str, list[str], dict[str, Change | tuple[Change, int]]]] = [
    ("network", LAST, {"one layer": ONE, "no activation": (TWO, 10), "ReLU: the MLP": MLP, "one layer more": DEEPER}),
    ("activation", LAST, {"ReLU": MLP, "PReLU": PRELU, "sigmoid": SIGMOID, "tanh": TANH}),
    ("20 epochs", LAST, {"one layer": Change(20, "one layer"), "no activation": TWO}),
    ("one layer, epoch", LAST, {f"{n}": (ONE, n) for n in (1, 2, 3)}),
    ("the MLP, epoch", LAST, {f"{n}": (MLP, n) for n in (1, 2, 3)}),
    ("fourth epoch", ["mean step"], {"one layer: of W": ONE, "no activation: of W1 W2": TWO}),
    (
        "first epoch",
        ["train_loss", "slope", "first gradient", "mean gradient"],
        {"ReLU": (MLP, 1), "PReLU": (PRELU, 1), "sigmoid": (SIGMOID, 1), "tanh": (TANH, 1)},
    ),
    (
        "and one more epoch with a tenth of `lr`",
        [*LAST, "test_acc, then 0.1"],
        {"one layer": ONE, "the MLP": MLP, "one layer, 20 epochs, 0.5": LONG_ONE, "the MLP, 20, 0.5": LONG_MLP},
    ),
    ("`--lr`", LAST, {"0.01": SLOW, "0.1": MLP, "0.5": (LONG_MLP, 10), "2": FAST}),
    (
        "`--lr`, one epoch, then one with 0.1",
        ["share of H above 0", "dead units", "alive again"],
        {"0.1": Change(1, then=(1,)), "2": Change(1, lr=2, then=(0.05,))},
    ),
    ("`--num-hiddens`", LAST, {"16": THIN, "256": MLP, "1024": WIDE}),
    ("`--batch-size`", LAST, {"32": SMALL, "32, `--lr 0.0125`": SMALL_SLOW, "256": MLP, "1024": LARGE}),
    ("std, one epoch", [*ALL, SURE], {f"{std}": Change(1, std=std) for std in (0, 0.0001, 0.01, 0.1, 1)}),
    ("std", [*LAST, SURE], {"0.01": MLP, "0.1": STD_01, "1": STD_1}),
    ("PyTorch's own weights", LAST, {"the MLP": OWN, "one layer more": OWN_DEEPER}),
    ("1,000 images, epoch", [*ALL, "test loss"], {f"{n}": (FEW, n) for n in (10, 30, 100)}),
    ("1,000 images", ["lowest test loss", "its epoch"], {"": FEW}),
    ("loss", ALL[1:], {"cross-entropy": MLP, "squared error": SQUARED}),
    ("loss, `--lr 0.5`", ALL[1:], {"cross-entropy": (LONG_MLP, 10), "squared error": SQUARED_FAST}),
    ("loss, epoch 1", ["train_acc", "first gradient"], {"cross-entropy": (MLP, 1), "squared error": (SQUARED, 1)}),
    ("SGD, epoch", LAST, {f"{n}": (MLP, n) for n in (1, 4, 10)}),
    ("momentum 0.9, epoch", LAST, {f"{n}": (MOMENTUM, n) for n in (1, 4, 10)}),
    ("Adam, `lr` 0.001, epoch", LAST, {f"{n}": (ADAM, n) for n in (1, 4, 10)}),
    ("Adam, `lr` 0.1, epoch", LAST, {"1": Change(1, trainer=torch.optim.Adam, lr=0.1)}),
    ("test images", ["test_acc", "shifted 1", "shifted 3", "mirrored"], {"test_acc": MLP}),
]
AFTER = ["found pullovers", "found coats", "found shirts", "test_acc, then 1", "test_acc, then 0.1"]
BY_SEED = [("seed", [*LAST, *AFTER], MLP), ("PReLU, seed", ["train_loss", "slope below 0"], PRELU)]
# Of the picture: title; range of train_loss and of test_acc; name of a line -> run, of which ten epochs are drawn.
PANELS: list[tuple[str, tuple[float, float], tuple[float, float], dict[str, Change]]] = [
    ("1. Network", (0.36, 0.66), (0.7, 0.87), {"one layer": ONE, "no activation": TWO, "the MLP": MLP}),
    ("2. Learning rate", (0.2, 2.5), (0, 0.95), {"0.01": SLOW, "0.1": MLP, "0.5": LONG_MLP, "2": FAST}),
    ("2. Optimizer", (0.2, 1), (0.7, 0.9), {"SGD": MLP, "momentum": MOMENTUM, "Adam": ADAM}),
    ("3. Hidden units", (0.34, 0.9), (0.7, 0.87), {"16": THIN, "256": MLP, "1024": WIDE}),
    ("4. Batch size", (0.2, 1), (0.6, 0.9), {"32": SMALL, "256": MLP, "1024": LARGE}),
    ("5. First weights", (0.3, 2.5), (0.6, 0.9), {"std 0.01": MLP, "0.1": STD_01, "1": STD_1, "PyTorch's": OWN}),
]


def draw(results: dict[Change, list[Run]]) -> "Figure":
    """Return the picture: a row an experiment, train_loss at the left, test_acc at the right."""
    from matplotlib.figure import Figure

    def curve(axes: "Axes", runs: list[list[float]], label: str) -> None:
        low, middle, high = ([kind(column) for column in zip(*runs, strict=True)] for kind in (min, mean, max))
        (line,) = axes.plot(range(1, len(middle) + 1), middle, label=label)
        axes.fill_between(range(1, len(middle) + 1), low, high, color=line.get_color(), alpha=0.3)

    with picture.defaults():
        figure = Figure(figsize=(7, 19), layout="constrained")
        grid = figure.subplots(8, 2)
        for pair, (title, *limits, changes) in zip(grid[:6], PANELS, strict=True):
            for axes, name, limit in zip(pair, LAST, limits, strict=True):
                for label, change in changes.items():
                    curve(axes, [run[name][:10] for run in results[change]], label)
                axes.set(title=f"{title}: {name}", ylim=limit)
        for axes, name, limit in zip(grid[6], LAST, [(0.34, 0.7), (0.7, 0.87)], strict=True):
            for seed, run in enumerate(results[MLP]):
                curve(axes, [run[name] + run[f"{name}, then 0.1"]], f"seed {seed}")
            axes.set(title=f"6. {name}, epoch 11: lr 0.01", ylim=limit)
        for axes, name, limit in zip(grid[7], LAST, [(0, 1.2), (0.6, 0.85)], strict=True):
            for kind in (name, "test loss")[: 2 if name == "train_loss" else 1]:
                curve(axes, [run[kind] for run in results[FEW]], kind)
            axes.set(title=f"7. 1,000 images: {name}", ylim=limit)
        for axes in grid.flat:
            axes.locator_params(axis="x", integer=True, min_n_ticks=1)
        for left, _ in grid:
            left.legend()
        for axes in grid[-1]:
            axes.set_xlabel("epoch")
    return figure


def cell(values: list[float]) -> str:
    """Return mean and range."""
    digits = 0 if all(isinstance(value, int) for value in values) else 3
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), mean(values), max(values)))
    return f"{middle} ({low}-{high})"


def main(argv: list[str] | None = None) -> None:
    """Train with every seed, print the tables, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    where = picture.ROOT / ".github" / "experiments.png"
    parser.add_argument("--picture", type=Path, default=where, help="file to write, by its ending: .png, .svg or .pdf")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each kind, with the seeds 0, 1, ...")
    parser.add_argument("--epochs", type=int, default=100, help="epochs of a run at most, to try it")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="runs at a time")
    args = parser.parse_args(argv)
    from matplotlib.figure import Figure
    from tqdm import tqdm

    picture.write(Figure(), args.picture, replace=False)
    changes = [MLP, *(row if isinstance(row, Change) else row[0] for *_, rows in TABLES for row in rows.values())]
    results: dict[Change, list[Run]] = {change: [] for change in changes}
    jobs = [(change, seed) for seed in range(args.seeds) for change in results]  # so that tqdm guesses well
    short = [(change._replace(epochs=min(change.epochs, args.epochs)), seed) for change, seed in jobs]
    with Pool(args.workers, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:  # Ctrl-C is for this process
        runs = tqdm(pool.imap(run, short), total=len(jobs), unit="run", smoothing=0)
        for (change, _), found in zip(jobs, runs, strict=True):
            results[change].append(found)

    for title, columns, rows in TABLES:
        print(f"\n| {title} | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
        for name, row in rows.items():
            change, epoch = (row, row.epochs) if isinstance(row, Change) else row
            cells = [cell([run[key][:epoch][-1] for run in results[change]]) for key in columns]
            print(f"| {name} | {' | '.join(cells)} |")
    for title, columns, change in BY_SEED:
        print(f"\n| {title} | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
        for seed, found in enumerate(results[change]):
            print(f"| {seed} | {' | '.join(f'{found[key][-1]:.3f}' for key in columns)} |")
    picture.write(draw(results), args.picture)


if __name__ == "__main__":
    common.run(main)  # type: ignore[arg-type] # which returns nothing
