"""The experiments: how a run is made, what is looked at, and what stands at which label."""

import math
import pickle
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from copy import deepcopy
from functools import cache
from io import StringIO
from itertools import groupby, pairwise
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple
from unittest.mock import Mock, patch

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.text import Text
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam

import common
import experiments
import mlp_api
import picture
from experiments import Choice, Figures, Kind, Look, Net, Trained
from support import ROOT, Capture, Ends, Patch

pytestmark = pytest.mark.page  # a program behind the pages

# ---- What the page shows, written by hand: each kind in the words that words_for finds ----

MLP = "as mlp_api.py"
LAST = "train_loss | test_acc | settled |"  # the end of many headers
DEEPER = "784-256 ReLU 256-128 ReLU 128-10"
FEW = "lr 0.1 x 100, batches of 25, 1000 images"
FALLING_10, FALLING_30, FALLING_60 = (
    f"PyTorch's own weights, lr 0.1 falling to 0.001 in {n} epochs, SGD momentum 0.9"
    for n in (10, 30, 60)
)
RECIPE = "put together"  # a choice
CANDIDATES = {  # the labels and kinds of each choice
    "SGD, lr": {"0.1": MLP, "0.2": "lr 0.2 x 10", "0.5": "lr 0.5 x 10", "1": "lr 1 x 10"},
    "squared error, lr": {lr: f"lr {lr} x 10, squared error" for lr in ("0.5", "1", "2")},
    "momentum 0.9, lr": {
        "0.03": "lr 0.03 x 10, SGD momentum 0.9",
        "0.1": "SGD momentum 0.9",
        "0.3": "lr 0.3 x 10, SGD momentum 0.9",
    },
    "Adam, lr": {lr: f"lr {lr} x 10, Adam" for lr in ("0.001", "0.003", "0.01")},
    "weight decay": {
        decay: f"lr 0.1 x 100, batches of 25, SGD weight_decay {decay}, 1000 images"
        for decay in ("0.0003", "0.001", "0.003", "0.01")
    },
    "dropout": {p: f"784-256 ReLU Dropout {p} 256-10, {FEW}" for p in ("0.2", "0.5", "0.8")},
    "stopping after epoch": {
        "10": "batches of 25, 1000 images",
        "20": "lr 0.1 x 20, batches of 25, 1000 images",
        "40": "lr 0.1 x 40, batches of 25, 1000 images",
        "100": FEW,
    },
    RECIPE: {
        "10 epochs": FALLING_10,
        "30 epochs": FALLING_30,
        "60 epochs": FALLING_60,
        "60 epochs, weight decay 0.0001": f"{FALLING_60} weight_decay 0.0001",
        "60 epochs, weight decay 0.0002": f"{FALLING_60} weight_decay 0.0002",
        "60 epochs, weight decay 0.0005": f"{FALLING_60} weight_decay 0.0005",
        "60 epochs, dropout 0.2": f"784-256 ReLU Dropout 0.2 256-10, {FALLING_60}",
    },
}
BEST = {  # by the validation figures that are made up here: neither the first nor the last
    "SGD, lr": "0.5",
    "squared error, lr": "1",
    "momentum 0.9, lr": "0.1",
    "Adam, lr": "0.003",
    "weight decay": "0.001",
    "dropout": "0.5",
    "stopping after epoch": "20",
    RECIPE: "60 epochs, weight decay 0.0002",
}

RATES = {
    "lr 0.01": "lr 0.01 x 10",
    "lr 0.1": MLP,
    "lr 0.5": "lr 0.5 x 10",
    "lr 1": "lr 1 x 10",
    "lr 2": "lr 2 x 10",
}
FIRST_EPOCHS = {
    "one epoch with lr 0.1": "lr 0.1 x 1",
    "one epoch with lr 2": "lr 2 x 1",
    "three epochs with lr 2": "lr 2 x 3",
    "ten epochs with lr 2": "lr 2 x 10",
    "one with lr 2, then four with lr 0.1": "lr 2 x 1, 0.1 x 4",
    "32 units, four with lr 0.1": "784-32 ReLU 32-10, lr 0.1 x 4",
}
NETWORKS = {
    "one layer": "784-10",
    "no activation": "784-256 256-10",
    "ReLU: the MLP": MLP,
    "one layer more": DEEPER,
}
LONGER = {"ReLU: the MLP": "lr 0.1 x 20", "one layer more": f"{DEEPER}, lr 0.1 x 20"}
ACTIVATIONS = {
    "ReLU": MLP,
    "PReLU": "784-256 PReLU 256-10",
    "sigmoid": "784-256 Sigmoid 256-10",
    "tanh": "784-256 Tanh 256-10",
}
SLOPES = {
    **ACTIVATIONS,
    "sigmoid, faster": (
        "784-256 Sigmoid 256-10, gradient of hidden.weight x 2.84, gradient of hidden.bias x 2.84"
    ),
    "ReLU, slower": "gradient of hidden.weight x 0.352, gradient of hidden.bias x 0.352",
}
UNITS = {
    "16": "784-16 ReLU 16-10",
    "256": MLP,
    "1024": "784-1024 ReLU 1024-10",
    "256, each four times": "784-1024 ReLU 1024-10, 256 different units",
}
BATCHES = {
    "32": "batches of 32",
    "32, lr 0.0125": "lr 0.0125 x 10, batches of 32",
    "256": MLP,
    "256, lr 0.8": "lr 0.8 x 10",
    "1024": "batches of 1024",
    "1024, lr 0.4": "lr 0.4 x 10, batches of 1024",
}
WEIGHTS = {
    "0": "weights all 0",
    "all 0.01": "weights all 0.01",
    "std 0.0001": "weights std 0.0001",
    "std 0.01": MLP,
    "std 0.1": "weights std 0.1",
    "std 1": "weights std 1",
    "PyTorch's own": "PyTorch's own weights",
}
EQUAL_UNITS = {"256 equal units": "weights all 0.01", "one unit, std 0.01": "784-1 ReLU 1-10"}
DEEPER_WEIGHTS = {
    "std 0.01": DEEPER,
    "std 0.036 between the hidden layers": (
        f"{DEEPER}, weights std 0.01 then weights std 0.036 then weights std 0.01"
    ),
    "PyTorch's own": f"{DEEPER}, PyTorch's own weights",
}
LOSSES = {"cross-entropy": MLP, "squared error": "squared error"}
AT_ONE_RATE = {
    "cross-entropy, lr 0.1": MLP,
    "squared error, lr 0.1": "squared error",
    "cross-entropy, lr 0.02": "lr 0.02 x 10",
}
CHOSEN_LOSSES = {"cross-entropy": "SGD, lr", "squared error": "squared error, lr"}
OPTIMIZERS = {"SGD": "SGD, lr", "momentum 0.9": "momentum 0.9, lr", "Adam": "Adam, lr"}
REMEDIES = {
    "nothing": FEW,
    "weight decay": "weight decay",
    "dropout": "dropout",
    "stopping": "stopping after epoch",
}
TOGETHER = {"the MLP": MLP, "put together": RECIPE}


class Table(NamedTuple):
    """A table: its first line, and for each row its label and a kind or what is chosen for it."""

    header: str
    rows: dict[str, str] | str  # one kind alone has a row for each seed
    epochs: tuple[int, ...] = ()  # after which each row's figures are taken; else the last


class Panel(NamedTuple):
    """A panel: its figure and limits, and for each line its label and a kind, as in a table."""

    figure: str
    limits: tuple[float, float]
    lines: dict[str, str] | str  # one kind alone has a line for each seed


class Shown(NamedTuple):
    """An experiment on the page."""

    title: str
    tables: list[Table]
    panels: list[Panel]


SHOWN = {
    1: Shown(
        "Only another seed?",
        [
            Table(
                "| seed | train_acc | on training images | test_acc | ten steps later "
                "| ten other steps later | settled |",
                MLP,
            ),
        ],
        [
            Panel("test_acc, steps with lr 0.1", (0.76, 0.87), MLP),
            Panel("test_acc, steps with lr 0.01", (0.76, 0.87), MLP),
        ],
    ),
    2: Shown(
        "Which learning rate?",
        [
            Table(f"| ten epochs | {LAST}", {**RATES, "chosen": "SGD, lr"}),
            Table("|  | images with a unit on | dead units | test_acc |", FIRST_EPOCHS),
        ],
        [Panel("train_loss", (0.2, 2.5), RATES), Panel("test_acc", (0, 1), RATES)],
    ),
    3: Shown(
        "A hidden layer, and its activation?",
        [
            Table(f"| network | {LAST}", NETWORKS),
            Table(f"| 20 epochs | {LAST}", LONGER),
            Table(f"| activation | {LAST}", SLOPES),
            Table("| first step | slope | gradient of W1 | ratio |", ACTIVATIONS),
        ],
        [Panel("train_loss", (0.35, 1.1), NETWORKS), Panel("train_loss", (0.35, 1.1), SLOPES)],
    ),
    4: Shown(
        "More hidden units?",
        [Table(f"| `--num-hiddens` | {LAST}", UNITS)],
        [Panel("train_loss", (0.35, 1.1), UNITS)],
    ),
    5: Shown(
        "Smaller batches?",
        [Table(f"| `--batch-size` | lr x steps | {LAST}", BATCHES)],
        [Panel("train_loss", (0.2, 1.0), BATCHES)],
    ),
    6: Shown(
        "Other first weights?",
        [
            Table(f"| first weights | {LAST}", WEIGHTS),
            Table(f"| equal units | {LAST}", EQUAL_UNITS),
            Table(
                "| epoch 1 | loss of step 1 | mean loss of steps 1 to 20 | train_loss |",
                {"std 0.01": MLP, "std 1": "weights std 1"},
                epochs=(1, 1),
            ),
            Table(f"| one layer more | {LAST}", DEEPER_WEIGHTS),
            Table("| one layer more, epoch 1 | train_loss |", DEEPER_WEIGHTS, epochs=(1, 1, 1)),
        ],
        [Panel("train_loss", (0, 2.5), WEIGHTS), Panel("test_acc", (0, 1), WEIGHTS)],
    ),
    7: Shown(
        "Another loss?",
        [
            Table("| at one rate | train_acc | test_acc | settled |", AT_ONE_RATE),
            Table("| first step | gradient of W1 |", LOSSES),
            Table("| each at its own rate | train_acc | test_acc | settled |", CHOSEN_LOSSES),
        ],
        [Panel("train_acc", (0.7, 0.9), CHOSEN_LOSSES)],
    ),
    8: Shown(
        "Momentum and Adam?",
        [
            Table(f"| each at its own rate | {LAST}", OPTIMIZERS),
            Table(
                f"| plain SGD, ten times momentum's 0.1 | {LAST}",
                {
                    "lr 1": "lr 1 x 10",
                    "one epoch with lr 0.1, then nine with lr 1": "lr 0.1 x 1, 1 x 9",
                },
            ),
        ],
        [Panel("train_loss", (0.15, 0.8), OPTIMIZERS), Panel("test_acc", (0.7, 0.9), OPTIMIZERS)],
    ),
    9: Shown(
        "1,000 images by heart?",
        [
            Table(
                "| epoch | train_loss | test_loss | train_acc | test_acc | sure when wrong |",
                {"10": FEW, "20": FEW, "30": FEW, "100": FEW},
                epochs=(10, 20, 30, 100),
            ),
            Table(
                "| remedy | train_acc | test_loss | test_acc | settled | sure when wrong |",
                REMEDIES,
            ),
        ],
        [Panel("train_loss", (0, 1.2), REMEDIES), Panel("test_loss", (0.5, 1.2), REMEDIES)],
    ),
    10: Shown(
        "Put together",
        [
            Table("|  | train_loss | on training images, settled | test_acc | settled |", TOGETHER),
            Table("| seed | test_acc |", RECIPE),
        ],
        [Panel("test_acc", (0.8, 0.91), TOGETHER)],
    ),
}
FINDS: dict[Look, list[str]] = {  # the figures that each look finds
    experiments.next_steps: [
        "test_acc, steps with lr 0.1",
        "test_acc, steps with lr 0.01",
        "ten steps later",
    ],
    experiments.other_next_steps: ["ten other steps later"],
    experiments.units_on: ["images with a unit on", "dead units"],
    experiments.first_step: ["slope", "gradient of W1", "ratio"],
    experiments.rate_times_steps: ["lr x steps"],
    experiments.first_losses: ["loss of step 1", "mean loss of steps 1 to 20"],
    experiments.on_training_images: ["on training images"],
    experiments.settled_on_training_images: ["on training images, settled"],
}
EPOCH_FIGURES = ["train_loss", "train_acc", "test_acc", "test_loss", "sure when wrong"]
each_experiment = pytest.mark.parametrize("number", SHOWN)


def kind_of(words: str) -> str:
    """Return a kind, or of a choice the kind that is chosen."""
    return CANDIDATES[words][BEST[words]] if words in BEST else words


def label_of(label: str, words: str) -> str:
    """Return the label of a row: of a choice with what is chosen, and no word twice."""
    if words not in BEST:
        return label
    return (
        f"{words} {BEST[words]}" if words.startswith(label) else f"{label}, {words} {BEST[words]}"
    )


def kinds_in(shown: Shown) -> set[str]:
    """Return all kinds that an experiment shows."""
    found: set[str] = set()
    for some in [table.rows for table in shown.tables] + [panel.lines for panel in shown.panels]:
        rows = [some] if isinstance(some, str) else some.values()
        found.update(kind_of(words) for words in rows)
    return found


# ---- A kind in words ----

DEFAULTS = ["784-256 ReLU 256-10", "weights std 0.01", "lr 0.1 x 10", "batches of 256"]
DEFAULTS += ["cross-entropy", "SGD", "60000 images"]


@cache
def words_for(kind: Kind) -> str:
    """Say how a kind differs from mlp_api.py: this tries what it does, and knows no label."""
    torch.manual_seed(0)
    net = kind.net()
    facts = [
        layers_of(net),
        weights_of(net),
        *gradients_of(net),
        rates_of(kind),
        f"batches of {kind.batch_size}",
        loss_of(kind),
        trainer_of(kind),
        f"{kind.images} images",
    ]
    return ", ".join(fact for fact in facts if fact not in DEFAULTS) or MLP


def layers_of(net: Net) -> str:
    """Name the layers in their order."""
    names = []
    for module in net.modules():
        if isinstance(module, nn.Linear):
            names.append(f"{module.in_features}-{module.out_features}")
        elif isinstance(module, nn.Dropout):
            names.append(f"Dropout {module.p}")
        elif not isinstance(module, nn.Sequential | nn.Flatten):
            names.append(type(module).__name__)
    return " ".join(names)


def weights_of(net: Net) -> str:
    """Say how the weights are drawn, once if it is the same for all layers."""
    layers = [module for module in net.modules() if isinstance(module, nn.Linear)]
    drawn = [weights_of_layer(layer) for layer in layers]
    words = drawn[0] if len(set(drawn)) == 1 else " then ".join(drawn)
    different = len({tuple(row) for row in layers[0].weight[:, :9].tolist()})  # 9 weights tell it
    if 1 < different < layers[0].out_features:
        words = f"{different} different units"
    return words


def weights_of_layer(layer: nn.Linear) -> str:
    """Say how the weights of a layer are drawn; its biases are zero, unless PyTorch draws them."""
    weight, bias = layer.weight, layer.bias
    std = weight.std().item()
    tolerance = 5 / math.sqrt(2 * weight.numel())  # five standard errors
    if bias.any():
        own = math.isclose(std, 1 / math.sqrt(3 * layer.in_features), rel_tol=tolerance)
        return "PyTorch's own weights" if own else f"weights std {std} and biases"
    if weight.min() == weight.max():
        return f"weights all {weight[0, 0].item():.2g}"
    known = min(STDS, key=lambda known: abs(math.log(std / known)))  # the nearest
    return f"weights std {known if math.isclose(std, known, rel_tol=tolerance) else std}"


STDS = [0.0001, 0.01, 0.036, 0.1, 1]  # standard deviations that the page names


def gradients_of(net: Net) -> list[str]:
    """Name the parameters whose gradients are stretched."""
    facts = []
    for name, param in net.named_parameters():
        param.sum().backward()  # a gradient of ones
        assert param.grad is not None
        if not (param.grad == 1).all():
            facts.append(f"gradient of {name} x {param.grad.mean().item():.3g}")
    return facts


def rates_of(kind: Kind) -> str:
    """Name the rates: in equal steps from the first to the last, or in groups of equal ones."""
    steps = {round(rate - following, 9) for rate, following in pairwise(kind.rates)}
    if len(steps) == 1 and steps != {0}:
        first, last = kind.rates[0], kind.rates[-1]
        return f"lr {first:g} falling to {last:g} in {len(kind.rates)} epochs"
    groups = [f"{rate:g} x {len([*group])}" for rate, group in groupby(kind.rates)]
    return f"lr {', '.join(groups)}"


def loss_of(kind: Kind) -> str:
    """Name the loss by what it is where all ten classes have the same probability."""
    loss = kind.loss(torch.zeros(1, 10), torch.tensor([3])).item()
    if loss == pytest.approx(math.log(10)):
        return "cross-entropy"
    return "squared error" if loss == pytest.approx(0.9**2 + 9 * 0.1**2) else f"loss {loss}"


def trainer_of(kind: Kind) -> str:
    """Name the trainer, and what is set in it otherwise than PyTorch does."""
    params = [nn.Parameter(torch.zeros(1))]
    trainer = kind.trainer(params, lr=1)
    make_plain: Callable[..., torch.optim.Optimizer] = type(trainer)
    plain = make_plain(params, lr=1)
    words = [type(trainer).__name__]
    for name, value in trainer.defaults.items():
        if value != plain.defaults[name]:
            words.append(f"{name} {value}")
    return " ".join(words)


# ---- The program, with runs that take no time and whose figures are known ----


class Job(NamedTuple):
    """A run."""

    kind: str  # in words
    seed: int
    validate: bool = False


class Seen(NamedTuple):
    """What the program has trained, printed and drawn."""

    jobs: list[Job]
    found: dict[Job, Figures]
    workers: list[int]
    pictures: dict[Path, Figure]
    text: str = ""

    def runs(self, words: str) -> list[Figures]:
        """Return the figures of a kind, or of the kind that is chosen, for each seed."""
        jobs = [Job(kind_of(words), seed) for seed in range(5)]
        for job in jobs:
            assert job in self.found, f"no run with seed {job.seed} is made for: {job.kind}"
        return [self.found[job] for job in jobs]

    def section(self, number: int) -> list[str]:
        """Return the lines that are printed of an experiment."""
        sections = self.text.split("\n## ")[1:]
        found = [section for section in sections if section.startswith(f"{number}. ")]
        assert len(found) == 1, f"experiment {number} is printed {len(found)} times"
        return [line for line in found[0].splitlines() if line]

    def panels(self, number: int) -> list[tuple[Panel, Axes]]:
        """Return what each panel of an experiment's picture must show, and what is drawn."""
        path = ROOT / ".github" / f"experiment_{number}.png"
        assert path in self.pictures, f"{path} is not written"
        wanted, drawn = SHOWN[number].panels, self.pictures[path].axes
        assert len(drawn) == len(wanted), f"{path.name} has {len(drawn)} panels"
        return [*zip(wanted, drawn, strict=True)]


def numbers(n: int, *about: object) -> list[float]:
    """Return n numbers from 0 to 1000, always the same; about something else there are others."""
    source = random.Random(str(about))
    return [source.uniform(0, 1000) for _ in range(n)]


def false_run(kind: Kind, seed: int, looks: list[Look]) -> Figures:
    """Return figures with the names that a run gives them; no two of them are equal."""
    job = Job(words_for(kind), seed, kind.validate)
    found = {"settled": numbers(1, job, "settled")}
    for name in EPOCH_FIGURES:
        found[name] = numbers(len(kind.rates), job, name)
    if kind.validate and job.kind in map(kind_of, BEST):
        found["settled"][0] += 1000  # more than with any other kind
    for look in looks:
        for name in FINDS[look]:
            found[name] = numbers(31, job, name)
    return found


def one_thread(workers: int, initializer: object, arguments: object) -> ThreadPool:
    """Return what stands in for several processes, which would not see what a test replaces."""
    return ThreadPool(1)


def program(*options: str) -> Seen:
    """Return what the program does with these options."""
    seen = Seen([], {}, [], {})

    def run(kind: Kind, seed: int, looks: list[Look]) -> Figures:
        pickle.dumps((kind, seed, looks))  # as on its way to another process
        job = Job(words_for(kind), seed, kind.validate)
        seen.jobs.append(job)
        seen.found[job] = false_run(kind, seed, looks)
        return seen.found[job]

    def pool(workers: int, initializer: object, arguments: object) -> ThreadPool:
        seen.workers.append(workers)
        return one_thread(workers, initializer, arguments)

    def write(figure: Figure, path: Path, dpi: int = 100, replace: bool = True) -> None:
        if replace:
            seen.pictures[path] = figure

    with (
        patch.object(experiments, "run", run),
        patch.object(experiments, "Pool", pool),
        patch.object(picture, "write", write),
        matplotlib.rc_context({"font.size": 3}),  # as a reader may have set it
        redirect_stdout(StringIO()) as output,
    ):
        experiments.main([*options])
    return seen._replace(text=output.getvalue())


@pytest.fixture(scope="module")
def whole() -> Seen:
    """Return what the program does without options."""
    return program()


# ---- A run ----


@pytest.fixture
def rates(monkeypatch: Patch) -> list[float]:
    """Return a list that fills with the rate of each epoch, as its trainer has it."""
    rates: list[float] = []
    trainers: list[torch.optim.Optimizer] = []
    train_epoch = common.train_epoch

    def watched(
        net: common.Net, train_iter: common.Data, loss: common.Loss, trainer: torch.optim.Optimizer
    ) -> tuple[float, float]:
        rates.append(trainer.param_groups[0]["lr"])
        trainers.append(trainer)
        assert trainer is trainers[0], "a new trainer would forget its momentum"
        return train_epoch(net, train_iter, loss, trainer)

    monkeypatch.setattr(common, "train_epoch", watched)
    return rates


def same(net: nn.Module, params: list[nn.Parameter]) -> bool:
    """Return whether a network has these parameters."""
    return all(torch.equal(a, b) for a, b in zip(net.parameters(), params, strict=True))


def test_a_run_of_the_mlp_is_that_of_mlp_api() -> None:
    found = experiments.run(Kind(rates=(0.1, 0.1)), 3, [])
    for epochs in (1, 2):
        net, _, history, _, test_iter = mlp_api.main([f"--epochs={epochs}", "--seed=3"])
        figures = [found[name][epochs - 1] for name in common.Epoch._fields]
        assert figures == [*history[-1]], f"epoch {epochs} has not the figures of mlp_api.py"
        X, y = test_iter.dataset[:]
        wanted = pytest.approx(cross_entropy(net(X), y).item(), rel=1e-5)
        assert found["test_loss"][epochs - 1] == wanted, "test_loss is that of all test images"


def test_the_looks_see_the_network_before_its_training_and_after_its_last_epoch() -> None:
    seen: list[Trained] = []

    def look(run: Trained) -> Figures:
        seen.append(run)
        return {"seen": [1.0]}

    kind = Kind(rates=(0.1, 0.1), batch_size=100)
    found = experiments.run(kind, 3, [look])
    assert found["seen"] == [1.0], "what a look finds is missing"
    [run] = seen
    _, before, *_ = mlp_api.main(["--epochs=0", "--seed=3", "--batch-size=100"])
    _, after, *_ = mlp_api.main(["--epochs=2", "--seed=3", "--batch-size=100"])
    assert same(run.untrained, before), "it is not as it was before the training"
    assert same(run.net, after), "it is not as it was after the last epoch"
    accuracy = common.evaluate_accuracy(run.settled, run.test_iter)
    assert found["settled"] == [accuracy], "it is not as it was when it had settled"
    assert run.kind == kind, "a look is told of another kind"
    sizes = [len(run.train_iter), len(run.test_iter)]
    assert sizes == [10, 3], "a look must see the batches of the training and test images"


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (Kind(rates=(0.1, 0.1)), [0.1, 0.1, 0.01]),
        (Kind(rates=(2,)), [2, 0.2]),
        (Kind(rates=(2, 0.1)), [2, 0.1, 0.01]),
        (Kind(rates=(0.4, 0.2), trainer=Adam), [0.4, 0.2, 0.02]),
        (Kind(rates=experiments.falling(0.1, 3)), [0.1, 0.0505, 0.001]),
        (Kind(rates=experiments.falling(0.2, 2)), [0.2, 0.002]),
    ],
)
def test_each_epoch_has_its_rate_and_all_settle_whose_rate_has_not_fallen(
    kind: Kind, wanted: list[float], rates: list[float]
) -> None:
    found = experiments.run(kind, 0, [])
    assert rates == pytest.approx(wanted), "these are not the rates, the settling one included"
    epochs = {len(found[name]) for name in EPOCH_FIGURES}
    assert epochs == {len(kind.rates)}, "there must be a figure for each epoch, settling left out"


def test_settled_is_the_accuracy_after_one_more_epoch_with_a_tenth_of_the_rate() -> None:
    found = experiments.run(Kind(rates=(0.5,)), 0, [])
    by_hand = experiments.run(Kind(rates=(0.5, 0.05)), 0, [])["test_acc"]
    assert found["settled"] == by_hand[1:], "it is that of the epoch in which the run settles"
    assert found["test_acc"] == by_hand[:1], "test_acc is that before it"
    falling = experiments.run(Kind(rates=experiments.falling(0.5, 2)), 0, [])
    assert falling["settled"] == falling["test_acc"][-1:], "such a run is settled at its end"


def test_settled_is_that_of_the_last_epoch_though_another_was_better(monkeypatch: Patch) -> None:
    figures = dict.fromkeys(EPOCH_FIGURES, 0.6)
    epochs = [{**figures, "test_acc": accuracy} for accuracy in (0.5, 0.9, 0.7)]
    monkeypatch.setattr(experiments, "one_epoch", Mock(side_effect=epochs))
    found = experiments.run(Kind(rates=(0.1, 0.1)), 0, [])
    assert found["test_acc"] == [0.5, 0.9], "test_acc is that of both epochs"
    assert found["settled"] == [0.7], "settled is that of the epoch after them"


@pytest.mark.parametrize(
    ("kind", "training", "testing"),
    [
        (Kind(), range(60), range(100, 112)),
        (Kind(images=25), range(25), range(100, 112)),
        (Kind(validate=True), range(50), range(50, 60)),
        (Kind(validate=True, images=25), range(25), range(50, 60)),
    ],
    ids=["all images", "25 images", "validation", "validation, 25 images"],
)
def test_which_images_a_run_is_trained_on_and_measured_with(
    kind: Kind, training: range, testing: range, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(common, "load_data_fashion_mnist", lambda *_: numbered_images())
    rows: dict[bool, list[list[int]]] = {True: [], False: []}  # in training, in eval mode

    def note(net: nn.Module, inputs: tuple[Tensor]) -> None:
        rows[net.training].append((inputs[0][:, 0, 0, 0] * 255).round().int().tolist())

    def net() -> Net:
        net = experiments.mlp(num_hiddens=1)
        net.register_forward_pre_hook(note)
        return net

    experiments.run(kind._replace(net=net, rates=(0.1,), batch_size=20), 0, [])
    epochs = in_epochs(rows[True], len(training))
    for epoch in epochs:
        assert sorted(epoch) == [*training], "it is trained on other images"
        assert epoch != [*training], "the images must be shuffled"
    assert epochs[0] != epochs[1], "each epoch must have an order of its own"
    assert in_epochs(rows[False], len(testing)) == [[*testing]] * 2, (
        "after each epoch it is measured with these images, in eval mode"
    )
    assert len(rows[True][0]) == 20, "a batch has another size"


def numbered_images() -> tuple[common.Loader, common.Loader]:
    """Return loaders of 60 training and 12 test images; a pixel is the image's own number."""
    loaders = []
    for numbers in (range(60), range(100, 112)):
        pixels = torch.tensor([*numbers], dtype=torch.uint8)
        images = pixels.reshape(-1, 1, 1).repeat(1, 28, 28)
        dataset = common.ImageDataset(images, torch.zeros(len(numbers), dtype=torch.int64))
        loaders.append(common.loader(dataset, 20, shuffle=numbers.start == 0))
    train_iter, test_iter = loaders
    return train_iter, test_iter


def in_epochs(batches: list[list[int]], size: int) -> list[list[int]]:
    """Return the rows of each epoch of this size."""
    rows = [row for batch in batches for row in batch]
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@pytest.mark.parametrize(
    ("kind", "epochs"),
    [
        (Kind(), 11),
        (Kind(rates=(2,)), 2),
        (Kind(rates=experiments.falling(0.1, 30)), 30),
        (Kind(images=6000), 1.1),
        (Kind(validate=True), 11 * 5 / 6),
        (Kind(images=6000, validate=True), 1.1),
    ],
)
def test_a_run_costs_its_epochs_times_its_share_of_the_images(kind: Kind, epochs: float) -> None:
    assert experiments.cost(kind) == pytest.approx(epochs), f"it takes {epochs:.2f} epochs"


# ---- What is looked at, by hand ----


def trained(
    net: Net,
    images: list[list[int]],
    y: list[int],
    kind: Kind = experiments.MLP,
    batch_size: int = 2,
) -> Trained:
    """Return a network as if it were trained on images of one row; each pixel is 0 or 1.

    Before, all its parameters were 0. It is tested with one black image of class 0.
    """
    before = deepcopy(net)
    for param in before.parameters():
        nn.init.zeros_(param)
    black = [[0] * len(images[0])]
    train_iter, test_iter = loader(images, y, batch_size), loader(black, [0], 1)
    return Trained(kind, before, net, deepcopy(before), train_iter, test_iter)


def loader(
    images: list[list[int]], y: list[int], batch_size: int, shuffle: bool = False
) -> common.Loader:
    """Return a loader of images of one row; each pixel is 0 or 1."""
    pixels = (255 * torch.tensor(images)).to(torch.uint8).unsqueeze(dim=1)
    return common.loader(common.ImageDataset(pixels, torch.tensor(y)), batch_size, shuffle)


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    """Return a layer; weight: [outputs, inputs]."""
    layer = nn.Linear(len(weight[0]), len(weight))
    layer.weight.data = torch.tensor(weight)
    layer.bias.data = torch.tensor(bias)
    return layer


def test_units_on() -> None:
    hidden = linear([[1.0, 0.0], [1.0, 0.0], [-1.0, -1.0]], [0.0] * 3)
    net = experiments.named(hidden=hidden, activation=nn.ReLU(), output=nn.Linear(3, 2))
    found = experiments.units_on(trained(net, [[1, 0], [0, 1], [0, 0]], [0, 0, 0]))
    assert found["images with a unit on"] == [pytest.approx(1 / 3)], "only the first image has one"
    assert found["dead units"] == [1], "only the third unit is on for no image"
    assert isinstance(found["dead units"][0], int), "a number of units is printed without a point"


def test_first_step() -> None:
    hidden, output = linear([[1.0, 0.0]], [0.0]), linear([[1.0], [-1.0]], [-1.0, 1.0])
    net = experiments.named(hidden=hidden, activation=nn.ReLU(), output=output)
    run = trained(net, [[1, 0], [1, 1], [0, 1]], [0, 1, 0])
    found = experiments.first_step(run._replace(untrained=net, net=run.untrained))
    # The unit is on for the first two images, whose logits are 0 and 0. Their probabilities are
    # one half, so its gradient is -1 and 1, and that of W1 is (-1 * [1, 0] + 1 * [1, 1]) / 3.
    assert found["gradient of W1"] == [pytest.approx(1 / 3)], "W1's gradient is [0, 1/3]"
    assert found["slope"] == [pytest.approx(math.sqrt(2 / 3))], "the slopes are 1, 1 and 0"
    assert found["ratio"] == [pytest.approx(1 / 3 / math.sqrt(2 / 3))], "gradient by slope"


def test_first_step_takes_256_images() -> None:
    hidden, output = linear([[1.0]], [0.0]), linear([[1.0], [-1.0]], [-1.0, 1.0])
    net = experiments.named(hidden=hidden, activation=nn.ReLU(), output=output)
    run = trained(net, [[1]] * 128 + [[0]] * 128 + [[1]] * 44, [0] * 300)
    found = experiments.first_step(run._replace(untrained=net))
    assert found["gradient of W1"] == [pytest.approx(1 / 2)], "half of the first 256 images count"
    assert found["slope"] == [pytest.approx(math.sqrt(1 / 2))], "half of the first 256 are on"


def test_rate_times_steps() -> None:
    kind = Kind(rates=(0.5, 9))
    run = trained(experiments.one_layer(), [[1], [1], [1]], [0, 0, 0], kind)
    assert experiments.rate_times_steps(run) == {"lr x steps": [1.0]}, "it is 0.5 times 2"


def first_logit(logits: Tensor, y: Tensor) -> Tensor:
    """Return a loss whose gradient is 1: a step with rate lr on a white pixel takes 2 lr off."""
    return logits[:, 0].mean()


def test_first_losses() -> None:
    net = experiments.named(output=linear([[3.0]], [0.0]))
    kind = Kind(rates=(0.5, 9), loss=first_logit)
    run = trained(net, [[1]] * 25, [0] * 25, kind, batch_size=1)
    found = experiments.first_losses(run._replace(untrained=net, net=run.untrained))
    assert found["loss of step 1"] == pytest.approx([3]), "the first logit is 3"
    assert found["mean loss of steps 1 to 20"] == pytest.approx([-6.5]), "they are 3, 2, ..., -16"
    assert net.output.weight.item() == 3, "a look must leave the network as it is"


def test_next_steps() -> None:
    net = experiments.named(output=linear([[0.31], [0.0]], [0.0, 0.0]))
    run = trained(net, [[1]] * 40, [0] * 40, Kind(loss=first_logit), batch_size=1)
    test_iter = loader([[1]], [1], 1)  # it is right as soon as the first logit is below 0
    found = experiments.next_steps(run._replace(test_iter=test_iter))
    assert found == {
        "test_acc, steps with lr 0.1": [0] * 2 + [1] * 29,  # 0.31, 0.11, -0.09, ...
        "test_acc, steps with lr 0.01": [0] * 16 + [1] * 15,  # 0.31, ..., 0.01, -0.01, ...
        "ten steps later": [1],
    }, "it is after each of 30 steps, of which both rates start anew"
    assert net.output.weight[0].item() == pytest.approx(0.31), "a look must leave it as it is"


def test_ten_steps_later() -> None:
    for first, accuracy in ((2.1, 0), (1.9, 1)):  # ten steps later it is 0.1 and -0.1
        net = experiments.named(output=linear([[first], [0.0]], [0.0, 0.0]))
        run = trained(net, [[1]] * 40, [0] * 40, Kind(loss=first_logit), batch_size=1)
        found = experiments.next_steps(run._replace(test_iter=loader([[1]], [1], 1)))
        assert found["ten steps later"] == [accuracy], "it is after ten steps with lr 0.1"


def noting(met: list[int]) -> Trained:
    """Return a network whose loss notes which of 40 shuffled images it meets, one in a step."""

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        met.append(int(y))
        return logits.mean()

    run = trained(experiments.named(output=nn.Linear(1, 2)), [[1]], [0], Kind(loss=loss))
    return run._replace(train_iter=loader([[1]] * 40, [*range(40)], 1, shuffle=True))


def test_next_steps_meet_the_same_batches_with_both_rates_and_all_seeds() -> None:
    met: list[int] = []
    run = noting(met)
    for seed in (1, 2):
        torch.manual_seed(seed)
        experiments.next_steps(run)
    assert len({*met[:30]}) == 30, "an image is met twice"
    assert met == met[:30] * 4, "another rate or seed meets other images"


def answers(*probabilities: list[float]) -> Net:
    """Return a network that answers to the first pixel with the first probabilities, and so on."""
    return experiments.named(output=linear(torch.tensor(probabilities).T.log().tolist(), [0.0] * 3))


def test_sure_when_wrong() -> None:
    net = answers([0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1])
    test_iter = loader([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 1, 2], 2)
    trainer = SGD(net.parameters(), lr=1)
    found = experiments.one_epoch(0, net, test_iter, test_iter, cross_entropy, trainer)
    sure = found["sure when wrong"]
    assert sure == pytest.approx(0.7), "the wrong answers have 0.6 and 0.8"


def test_on_training_images() -> None:
    net = answers([0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1])
    run = trained(net, [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 2, 1])
    found = experiments.on_training_images(run)
    assert found == {"on training images": [pytest.approx(2 / 3)]}, "only the second is wrong"


def test_settled_on_training_images() -> None:
    net = answers([0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1])
    run = trained(net, [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 2, 1])
    found = experiments.settled_on_training_images(run._replace(net=run.settled, settled=net))
    assert found == {"on training images, settled": [pytest.approx(2 / 3)]}, (
        "only the second is wrong"
    )


def test_other_next_steps() -> None:
    for first, accuracy in ((2.1, 0), (1.9, 1)):  # ten steps later it is 0.1 and -0.1
        net = experiments.named(output=linear([[first], [0.0]], [0.0, 0.0]))
        run = trained(net, [[1]] * 40, [0] * 40, Kind(loss=first_logit), batch_size=1)
        found = experiments.other_next_steps(run._replace(test_iter=loader([[1]], [1], 1)))
        assert found == {"ten other steps later": [accuracy]}, "it is after ten steps with lr 0.1"
        assert net.output.weight[0].item() == pytest.approx(first), "a look must leave it as it is"


def test_other_next_steps_meet_batches_of_each_seed_s_own() -> None:
    met: list[int] = []
    run = noting(met)
    for seed in (0, 1):
        torch.manual_seed(seed)
        experiments.other_next_steps(run)
    experiments.next_steps(run)
    assert met[:10] != met[10:20], "both seeds meet the same batches"
    assert met[20:30] not in (met[:10], met[10:20]), "the shared batches are those of a seed"


@pytest.mark.parametrize("look", FINDS, ids=lambda look: look.__name__)
def test_a_look_finds_in_a_run_what_its_tables_and_panels_name(look: Look) -> None:
    found = experiments.run(Kind(rates=(0.1,), batch_size=30), 0, [look])
    names = [*EPOCH_FIGURES, "settled", *FINDS[look]]
    assert list(found) == names, "it finds figures of other names"


def test_the_squared_error_is_the_mean_over_the_images_of_the_sum_over_the_classes() -> None:
    logits = torch.zeros(2, 10)
    logits[0, 3] = 100  # sure of it, and right
    loss = experiments.squared_error(logits, torch.tensor([3, 4]))
    assert loss.item() == pytest.approx((0 + 0.81 + 9 * 0.01) / 2), (
        "that of the images is 0 and 0.9"
    )


def test_what_a_look_finds_does_not_depend_on_the_looks_before_it() -> None:
    kind = Kind(rates=(0.1,), batch_size=30)
    alone = experiments.run(kind, 3, [experiments.first_losses])
    torch.manual_seed(0)
    among = experiments.run(kind, 3, [experiments.next_steps, experiments.first_losses])
    for name in FINDS[experiments.first_losses]:
        assert among[name] == alone[name], f"{name} is another after other looks"


# ---- What each label's kind is ----


def test_what_is_the_same_is_one_kind_which_is_trained_once() -> None:
    found: dict[str, Kind] = {}
    for experiment in experiments.EXPERIMENTS:
        for row, _ in experiment.wanted():
            kinds = [*row.candidates.values()] if isinstance(row, Choice) else [row]
            for kind in kinds:
                words = words_for(kind)
                assert found.setdefault(words, kind) == kind, f"two kinds are the same: {words}"


def test_the_candidates_are_what_their_labels_say() -> None:
    found = {}
    for choice in experiments.choices_of(experiments.EXPERIMENTS):
        kinds = {label: words_for(kind) for label, kind in choice.candidates.items()}
        found[choice.title] = kinds
    assert found == CANDIDATES, "a label stands at another kind"


def test_the_layers_have_the_names_by_which_the_looks_find_them() -> None:
    X = torch.rand(5, 1, 28, 28)
    for net in (experiments.mlp(), experiments.mlp(activation=nn.Tanh), experiments.copied_units()):
        by_name = net.output(net.activation(net.hidden(X.flatten(1))))
        assert torch.equal(by_name, net(X)), "hidden, activation and output must follow each other"


def test_each_of_256_units_is_there_four_times_with_all_its_weights() -> None:
    net = experiments.copied_units()
    for weight in (net.hidden.weight, net.output.weight.T):
        assert weight.std().item() == pytest.approx(0.01, rel=0.05), "they are drawn with std 0.01"
        for copy in weight.split(256):
            assert torch.equal(copy, weight[:256]), "a copy has other weights"


def test_all_weights_are_equal_and_all_biases_zero() -> None:
    net = experiments.equal_weights()
    for layer in (net.hidden, net.output):
        assert (layer.weight == 0.01).all(), "all weights must be 0.01"
        assert not layer.bias.any(), "all biases must be 0"


# ---- What is trained, and what is chosen ----


def test_each_kind_is_trained_once_with_the_seeds_0_to_4_and_each_candidate_with_0_and_1(
    whole: Seen,
) -> None:
    shown = {kind for experiment in SHOWN.values() for kind in kinds_in(experiment)}
    candidates = {kind for kinds in CANDIDATES.values() for kind in kinds.values()}
    jobs = [Job(kind, seed) for kind in shown for seed in (0, 1, 2, 3, 4)]
    jobs += [Job(kind, seed, validate=True) for kind in candidates for seed in (0, 1)]
    assert Counter(whole.jobs) == Counter(jobs), "other runs are made, or one of them twice"


@each_experiment
def test_an_experiment_alone_is_printed_as_among_all_and_trains_only_what_it_shows(
    number: int, whole: Seen
) -> None:
    alone = program(str(number))
    assert alone.section(number) == whole.section(number), "it is printed in another way"
    assert alone.text.count("\n## ") == 1, "other experiments are printed, too"
    files = [ROOT / ".github" / f"experiment_{number}.png"]
    assert [*alone.pictures] == files, "another picture is written"
    kinds = {job.kind for job in alone.jobs if not job.validate}
    assert kinds == kinds_in(SHOWN[number]), "other kinds are trained"


def test_the_runs_of_a_kind_stand_in_the_order_of_their_seeds_and_are_counted_in_epochs(
    monkeypatch: Patch, capsys: Capture
) -> None:
    def run(kind: Kind, seed: int, looks: list[Look]) -> dict[str, object]:
        time.sleep(0.02 * (2 - seed))  # those with seed 2 end first
        return {"seed": seed, "looks": looks}  # in place of figures

    pool = Mock(side_effect=lambda workers, *_: ThreadPool(workers))
    monkeypatch.setattr(experiments, "Pool", pool)
    monkeypatch.setattr(experiments, "run", run)
    kinds: dict[Kind, list[Look]] = {
        Kind(): [experiments.units_on],  # 11 epochs
        Kind(rates=experiments.falling(0.1, 10)): [],  # 10
        Kind(images=6000): [experiments.first_step, experiments.units_on],  # 1.1
        Kind(validate=True): [],  # 9.17
    }
    results = experiments.train(kinds, seeds=3, workers=7)
    for kind, looks in kinds.items():
        wanted: list[object] = [{"seed": seed, "looks": looks} for seed in (0, 1, 2)]
        assert [*results[kind]] == wanted, "a kind has other seeds or looks"
    assert [*results] == [*kinds], "other kinds are trained"
    line = capsys.readouterr().err.splitlines()[0]
    assert line == "12 runs, as many images as in 94 epochs", "they are 31.27 epochs, three times"
    pool.assert_called_once_with(7, signal.signal, (signal.SIGINT, signal.SIG_IGN))


def runs(settled: tuple[float, float], last: float, loss: float) -> list[Figures]:
    """Return what the runs with seed 0 and 1 have found; last: their last test_acc."""
    found = []
    for accuracy in settled:
        found.append({"settled": [accuracy], "test_acc": [0.5, last], "train_loss": [1.0, loss]})
    return found


def test_the_mean_accuracy_on_validation_images_decides_when_all_have_settled(
    monkeypatch: Patch, capsys: Capture
) -> None:
    known = {
        "most in one run": runs((0.8, 0.9), last=0.85, loss=0.5),
        "most in the worse run": runs((0.852, 0.853), last=0.85, loss=0.5),
        "most before it settles": runs((0.84, 0.84), last=0.99, loss=0.5),
        "most on average": runs((0.85, 0.86), last=0.84, loss=0.6),
        "least loss": runs((0.83, 0.83), last=0.85, loss=0.1),
        "least of all": runs((0.82, 0.82), last=0.8, loss=0.9),
    }
    candidates = {label: Kind(images=number) for number, label in enumerate(known)}
    asked = []

    def train(looks: Mapping[Kind, list[Look]], seeds: int, workers: int) -> experiments.Results:
        asked.append((dict(looks), seeds, workers))
        return {kind: [*known.values()][kind.images] for kind in looks}

    monkeypatch.setattr(experiments, "train", train)
    best = experiments.choose([Choice("rate", candidates)], 7)
    assert best == {"rate": "most on average"}, "the mean of the settled accuracies decides"
    validated = [kind._replace(validate=True) for kind in candidates.values()]
    assert asked == [({kind: [] for kind in validated}, 2, 7)], (
        "two runs of each candidate must be measured with validation images, and nothing else"
    )
    assert capsys.readouterr().out.splitlines() == [
        "",
        "| rate | validation accuracy, settled |",
        "| --- | --- |",
        "| most in one run | 0.8500 (0.8000-0.9000) |",
        "| most in the worse run | 0.8525 (0.8520-0.8530) |",
        "| most before it settles | 0.8400 |",
        "| most on average | 0.8550 (0.8500-0.8600) |",
        "| least loss | 0.8300 |",
        "| least of all | 0.8200 |",
    ], "what decided is printed in another way"


@pytest.mark.usefixtures("nothing_is_trained")
def test_where_there_is_no_choice_nothing_is_trained_for_it() -> None:
    assert experiments.choose([], 7) == {}, "there is nothing to choose"


def test_what_is_chosen_is_printed_first_with_what_decided(whole: Seen) -> None:
    wanted = []
    for title, kinds in CANDIDATES.items():
        wanted += [f"| {title} | validation accuracy, settled |", "| --- | --- |"]
        for label, kind in kinds.items():
            runs = [whole.found[Job(kind, seed, validate=True)] for seed in (0, 1)]
            low, high = sorted(figures["settled"][0] for figures in runs)
            wanted.append(f"| {label} | {(low + high) / 2:.4f} ({low:.4f}-{high:.4f}) |")
    before = whole.text.partition("\n## ")[0]
    found = [line for line in before.splitlines() if line]
    assert found == wanted, "other candidates are printed, or their figures stand elsewhere"


# ---- Tables ----


def test_a_cell_is_the_mean_and_the_range() -> None:
    assert experiments.cell([1.0, 2.0, 6.0]) == "3.000 (1.000-6.000)", "mean, smallest, largest"
    assert experiments.cell([6.0, 2.0, 1.0], digits=1) == "3.0 (1.0-6.0)", "one digit is asked for"
    assert experiments.cell([2, 6, 1]) == "3 (1-6)", "whole numbers have no point"
    assert experiments.cell([1, 2.0, 6]) == "3.000 (1.000-6.000)", "one of them has a point"


@each_experiment
def test_each_figure_of_the_tables_stands_in_its_row_and_column(number: int, whole: Seen) -> None:
    wanted = [f"{number}. {SHOWN[number].title}"]
    for table in SHOWN[number].tables:
        wanted += [table.header, "| --- " * len(table.header.split(" | ")) + "|"]
        wanted += rows_of(table, whole)
    assert whole.section(number) == wanted, "a figure is another, or stands at another place"


def rows_of(table: Table, seen: Seen) -> list[str]:
    """Return the rows of a table: each cell has the mean and the range over the seeds."""
    columns = table.header.removesuffix(" |").split(" | ")[1:]
    rows = []
    if isinstance(table.rows, str):
        for seed, figures in enumerate(seen.runs(table.rows)):
            cells = [f"{figures[column][-1]:.3f}" for column in columns]
            rows.append(f"| {seed} | {' | '.join(cells)} |")
        return rows
    for number, (label, words) in enumerate(table.rows.items()):
        position = table.epochs[number] - 1 if table.epochs else -1
        cells = []
        for column in columns:
            values = [figures[column][position] for figures in seen.runs(words)]
            middle = sum(values) / 5
            cells.append(f"{middle:.3f} ({min(values):.3f}-{max(values):.3f})")
        rows.append(f"| {label_of(label, words)} | {' | '.join(cells)} |")
    return rows


# ---- Pictures ----


def points(line: Line2D) -> tuple[list[float], list[float]]:
    """Return the places x and the values y of a line."""
    x, y = (np.asarray(data).tolist() for data in line.get_data())
    return x, y


@each_experiment
def test_each_panel_names_its_figure_and_has_its_limits(number: int, whole: Seen) -> None:
    for panel, axes in whole.panels(number):
        assert axes.get_title() == panel.figure, "a panel has another title"
        assert axes.get_ylim() == panel.limits, f"{panel.figure} has other limits"
        assert axes.get_xscale() == axes.get_yscale() == "linear", "the scale must be linear"
        over = "steps after the training" if isinstance(panel.lines, str) else "epoch"
        assert axes.get_xlabel() == over, "the horizontal axis has another name"
        left, right = axes.get_xlim()
        for line in axes.lines:
            x, _ = points(line)
            assert left < min(x) < max(x) < right, f"{line.get_label()} is cut off"


@each_experiment
def test_each_line_is_the_mean_and_its_band_the_range(number: int, whole: Seen) -> None:
    for panel, axes in whole.panels(number):
        if isinstance(panel.lines, str):
            continue
        bands = [band.get_paths()[0] for band in axes.collections]
        for line, band, words in zip(axes.lines, bands, panel.lines.values(), strict=True):
            runs = [figures[panel.figure] for figures in whole.runs(words)]
            by_epoch = [*zip(*runs, strict=True)]  # the values of all seeds
            epochs = [*range(1, len(by_epoch) + 1)]
            x, y = points(line)
            name = f"{panel.figure}, {line.get_label()}"
            assert x == epochs, f"{name}: a line goes from epoch 1 to the last one"
            assert y == pytest.approx([sum(values) / 5 for values in by_epoch]), (
                f"{name}: it must be the mean over the seeds"
            )
            edges = defaultdict(list)  # of the band, by epoch
            for epoch, value in np.asarray(band.vertices).tolist():
                edges[epoch].append(value)
            assert sorted(edges) == epochs, f"{name}: the band goes from epoch 1 to the last one"
            lowest = [min(edges[epoch]) for epoch in epochs]
            highest = [max(edges[epoch]) for epoch in epochs]
            assert lowest == [min(values) for values in by_epoch], (
                f"{name}: a band begins at the smallest"
            )
            assert highest == [max(values) for values in by_epoch], (
                f"{name}: a band ends at the largest"
            )


def test_each_seed_has_a_line_over_the_steps_after_the_training(whole: Seen) -> None:
    for panel, axes in whole.panels(1):
        for line, figures in zip(axes.lines, whole.runs(MLP), strict=True):
            wanted = [*range(31)], figures[panel.figure]
            assert points(line) == wanted, f"{line.get_label()}: before and after each of 30 steps"


@each_experiment
def test_each_line_has_a_colour_of_its_own_and_its_label_in_the_legend(
    number: int, whole: Seen
) -> None:
    for panel, axes in whole.panels(number):
        labels = [f"seed {seed}" for seed in range(5)]
        if not isinstance(panel.lines, str):
            labels = [label_of(label, words) for label, words in panel.lines.items()]
        assert [line.get_label() for line in axes.lines] == labels, "a label is at another line"
        legend = axes.get_legend()
        assert legend, "a panel has no legend"
        names = [text.get_text() for text in legend.get_texts()]
        assert names == labels, "the legend has other labels"
        colours = [to_hex(str(line.get_color())) for line in axes.lines]
        assert len({*colours}) == len(labels), f"two lines have the same colour: {colours}"
        handles = [to_hex(str(line.get_color())) for line in legend.get_lines()]
        assert handles == colours, "a colour in the legend is that of another line"
        faces = [np.asarray(band.get_facecolor())[0] for band in axes.collections]
        bands = [to_hex(face.tolist()) for face in faces]
        assert bands in (colours, []), "the colour of a band is that of another line"
        assert all(0.1 < opacity < 0.5 for *_, opacity in faces), "a band hides, or is not seen"


@each_experiment
def test_the_labels_of_a_picture_are_those_of_its_tables(number: int, whole: Seen) -> None:
    rows = [line.removeprefix("| ").split(" | ")[0] for line in whole.section(number)]
    for panel, axes in whole.panels(number):
        for line in axes.lines:
            label = str(line.get_label())
            if isinstance(panel.lines, str):
                label = label.removeprefix("seed ")
            same = [
                row for row in rows if row == label or row.startswith((f"{label}, ", f"{label} "))
            ]
            assert same, f"no table of experiment {number} has a row {label!r}"


@each_experiment
def test_each_text_is_12_px_high_where_a_picture_is_400_px_wide(number: int, whole: Seen) -> None:
    for _, axes in whole.panels(number):
        figure = axes.get_figure()
        assert isinstance(figure, Figure)
        texts = axes.findobj(Text)
        assert len(texts) > 20, "title, label, legend and ticks are missing"
        for text in texts:
            assert isinstance(text, Text)
            height = float(text.get_fontsize()) / 72 * 400 / figure.get_figwidth()
            assert height >= 12, f"{text} is {height:.1f} px high"


# ---- The command ----


@pytest.fixture
def nothing_is_trained(monkeypatch: Patch) -> None:
    """Let a test fail in which a training starts."""
    monkeypatch.setattr(experiments, "train", Mock(side_effect=AssertionError("it trains")))


@pytest.mark.usefixtures("nothing_is_trained")
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--seeds=2"], "--folder"),
        (["4", "--seeds=6"], "--folder"),
        (["--seeds=0", "--folder=."], "--seeds"),
        (["--seeds=8", "--folder=."], "--seeds"),  # there are seven colours
        (["--workers=0"], "--workers"),
        (["0"], "number"),
        (["11"], "number"),
    ],
)
def test_bad_options_are_named_before_anything_is_trained(
    options: list[str], named: str, ends: Ends
) -> None:
    line = ends(*options, main=experiments.main, status=2)
    assert named in line, f"it does not name {named}: {line}"


@pytest.mark.usefixtures("nothing_is_trained")
def test_a_folder_that_cannot_be_written_is_named_before_anything_is_trained(
    ends: Ends, tmp_path: Path
) -> None:
    line = ends("4", "--folder", tmp_path / "nowhere", main=experiments.main)
    assert "cannot write" in line, f"it does not say what is wrong: {line}"
    assert "nowhere" in line, f"it does not name the folder: {line}"


def test_other_seeds_go_into_another_folder_with_as_many_workers_as_are_asked_for(
    tmp_path: Path,
) -> None:
    seen = program("4", "--seeds=2", f"--folder={tmp_path}", "--workers=3")
    wanted = [Job(kind, seed) for kind in UNITS.values() for seed in (0, 1)]
    assert Counter(seen.jobs) == Counter(wanted), "it must be trained with the seeds 0 and 1"
    assert [*seen.pictures] == [tmp_path / "experiment_4.png"], "another picture is written"
    assert {*seen.workers} == {3}, "another number of runs is made at a time"


def test_the_picture_is_written_900_pixels_wide(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(experiments, "run", false_run)
    monkeypatch.setattr(experiments, "Pool", one_thread)
    experiments.main(["4", f"--folder={tmp_path}"])
    files = [path.name for path in tmp_path.iterdir()]
    assert files == ["experiment_4.png"], "nothing else is written"
    height, width = imread(tmp_path / "experiment_4.png").shape[:2]
    assert (width, height) == (900, 800), "it must be sharp where it is 400 px wide"
