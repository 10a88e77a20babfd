"""The experiments of the page: `python tests/experiments.py`, or only one: add its number.

A run is mlp_api.py with something changed; a Kind says what. Each kind is trained with the seeds
0 to 4, and once, however many experiments show it. After its last epoch it is settled: it gets one
more epoch with a tenth of its last learning rate.

What has to be chosen, such as a rate, is a Choice between kinds. They are trained with the seeds 0
and 1 on the first 50,000 training images; the mean accuracy on the other 10,000, settled, decides.
What is chosen is then trained with all images and measured with the test images, as all kinds are
that a table shows; no test accuracy decides anything.

Tables come out in Markdown, and a picture for each experiment. A cell is the mean over the seeds
and, in brackets, their range; so are a line in a picture and the band around it.
"""

import argparse
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from itertools import islice
from multiprocessing import Pool
from operator import mul
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # each core trains on its own; before torch's import
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam
from torch.utils.data import Subset

import common
import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURES = [*common.Epoch._fields, "test_loss", "sure when wrong"]  # of each epoch
Figures = dict[str, list[float]]  # a name and its figures: one an epoch, one a step, or one alone


# ---- Networks: each function returns a new one, with its first weights ----


class Net(nn.Sequential):
    """A network whose layers have names; not each has all of these."""

    hidden: nn.Linear
    activation: nn.Module
    output: nn.Linear


def named(**layers: nn.Module) -> Net:
    """Return a network that flattens its images; its layers have these names."""
    return Net(OrderedDict(flatten=nn.Flatten(), **layers))


def redraw(net: Net, std: float) -> Net:
    """Draw all weights anew and set all biases to zero, as init_weights in mlp_api.py does."""
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)
    return net


def mlp(
    num_hiddens: int = 256,
    activation: Callable[[], nn.Module] = nn.ReLU,
    std: float | None = 0.01,
) -> Net:
    """Return the MLP. std None leaves PyTorch's own first weights."""
    hidden, output = nn.Linear(784, num_hiddens), nn.Linear(num_hiddens, 10)
    net = named(hidden=hidden, activation=activation(), output=output)
    return net if std is None else redraw(net, std)


# ---- A run ----


class Kind(NamedTuple):
    """How a run is made; what is not said is as in mlp_api.py."""

    net: Callable[[], Net] = mlp
    rates: tuple[float, ...] = (0.1,) * 10  # the learning rate of each epoch
    batch_size: int = 256
    loss: common.Loss = functional.cross_entropy
    trainer: Callable[..., torch.optim.Optimizer] = SGD
    images: int = 60_000  # it is trained on the first so many
    validate: bool = False  # and measured with the last 10,000 training images


class Choice(NamedTuple):
    """What is chosen, and the labels and kinds between which the validation images decide."""

    title: str
    candidates: dict[str, Kind]


class Trained(NamedTuple):
    """What an experiment can look at: a network before and after its training, and its images."""

    kind: Kind
    untrained: Net
    net: Net
    settled: Net
    train_iter: common.Loader
    test_iter: common.Loader


Look = Callable[[Trained], Figures]


def constant(rate: float, epochs: int = 10) -> tuple[float, ...]:
    """Return the same rate for all epochs."""
    return (rate,) * epochs


def falling(rate: float, epochs: int) -> tuple[float, ...]:
    """Return rates that fall in equal steps to a hundredth in the last epoch."""
    step = 0.99 * rate / (epochs - 1)
    return tuple(rate - step * epoch for epoch in range(epochs))


def settling_rate(kind: Kind) -> float | None:
    """Return a tenth of the last rate; or None, if the rates have fallen to a hundredth already."""
    first, last = kind.rates[0], kind.rates[-1]
    return None if last < 0.011 * first else last / 10  # a hundredth, and room for rounding


def cost(kind: Kind) -> float:
    """Return how many epochs of 60,000 images a run takes."""
    epochs = len(kind.rates) if settling_rate(kind) is None else len(kind.rates) + 1
    images = min(kind.images, 50_000) if kind.validate else kind.images
    return epochs * images / 60_000


def run(kind: Kind, seed: int, looks: list[Look]) -> Figures:
    """Train with a seed, settle, and return the figures of each epoch and what the looks find."""
    torch.manual_seed(seed)
    train_iter, test_iter = common.load_data_fashion_mnist(kind.batch_size, common.DATA_DIR)
    images = train_iter.dataset
    assert isinstance(images, common.ImageDataset)
    end = len(images) * 5 // 6 if kind.validate else len(images)  # 50,000 of 60,000
    if kind.validate:
        held_out = Subset(images, range(end, len(images)))
        test_iter = common.loader(held_out, kind.batch_size, shuffle=False)
    n = min(kind.images, end)
    if n < len(images):
        train_iter = common.loader(Subset(images, range(n)), kind.batch_size, shuffle=True)
    net = kind.net()
    untrained = deepcopy(net)
    trainer = kind.trainer(net.parameters(), lr=kind.rates[0])

    found: Figures = {name: [] for name in FIGURES}
    for rate in kind.rates:
        figures = one_epoch(rate, net, train_iter, test_iter, kind.loss, trainer)
        for name, figure in figures.items():
            found[name].append(figure)
    trained = deepcopy(net)
    rate_to_settle = settling_rate(kind)
    if rate_to_settle is not None:
        figures = one_epoch(rate_to_settle, net, train_iter, test_iter, kind.loss, trainer)
    found["settled"] = [figures["test_acc"]]  # of the settling epoch, or of the last one
    for look in looks:
        torch.manual_seed(seed)  # what a look finds must not depend on those before it
        found |= look(Trained(kind, untrained, trained, net, train_iter, test_iter))
    return found


def one_epoch(
    rate: float,
    net: Net,
    train_iter: common.Loader,
    test_iter: common.Loader,
    loss: common.Loss,
    trainer: torch.optim.Optimizer,
) -> dict[str, float]:
    """Train for an epoch with this rate; return its figures."""
    for group in trainer.param_groups:
        group["lr"] = rate
    train_loss, train_acc = common.train_epoch(net, train_iter, loss, trainer)
    net.eval()
    with torch.no_grad():
        answers = [(net(X), y) for X, y in test_iter]
    logits, y = (torch.cat(parts) for parts in zip(*answers, strict=True))
    test_acc = common.accuracy(logits, y) / len(y)
    test_loss = loss(logits, y).item()
    p, y_hat = logits.softmax(dim=1).max(dim=1)
    sure_when_wrong = p[y_hat != y].mean().item()  # the mean probability of wrong answers
    figures = [train_loss, train_acc, test_acc, test_loss, sure_when_wrong]
    return dict(zip(FIGURES, figures, strict=True))


# ---- What an experiment shows ----

Row = Kind | Choice


class After(NamedTuple):
    """The figures after an epoch that is not the last one."""

    epoch: int
    row: Row


class Table(NamedTuple):
    """Names of figures, and what is trained for each row."""

    title: str
    columns: list[str]
    rows: Mapping[str, Row | After]
    looks: tuple[Look, ...] = ()  # which find other figures than those of each epoch


class SeedTable(NamedTuple):
    """Names of figures of one row, with a line for each seed."""

    columns: list[str]
    row: Row
    looks: tuple[Look, ...] = ()


class Panel(NamedTuple):
    """A part of a picture: one figure over the epochs, for each label."""

    figure: str
    limits: tuple[float, float]
    lines: Mapping[str, Row]


class SeedPanel(NamedTuple):
    """A part of a picture: one figure over some steps, for each seed."""

    figure: str
    limits: tuple[float, float]
    row: Row


class Experiment(NamedTuple):
    """What is asked, and what is shown."""

    title: str
    tables: list[Table | SeedTable]
    panels: list[Panel | SeedPanel]

    def wanted(self) -> list[tuple[Row, tuple[Look, ...]]]:
        """Return all that is to be trained, and what is to be looked at then."""
        found: list[tuple[Row, tuple[Look, ...]]] = []
        for part in (*self.tables, *self.panels):
            looks = part.looks if isinstance(part, Table | SeedTable) else ()
            if isinstance(part, Table):
                rows = list(part.rows.values())
            elif isinstance(part, Panel):
                rows = list(part.lines.values())
            else:
                rows = [part.row]
            for row in rows:
                found.append((row.row if isinstance(row, After) else row, looks))
        return found


# ---- The experiments, in the order of the page ----

EXPERIMENTS: list[Experiment] = []
LAST = ["train_loss", "test_acc", "settled"]
LOSS, TEST_ACC = (0.2, 1.0), (0.7, 0.9)
MLP = Kind()


def on_training_images(run: Trained) -> Figures:
    """Return the accuracy on the training images after the training."""
    return {"on training images": [common.evaluate_accuracy(run.net, run.train_iter)]}


def settled_on_training_images(run: Trained) -> Figures:
    """Return the accuracy on the training images of the settled network."""
    accuracy = common.evaluate_accuracy(run.settled, run.train_iter)
    return {"on training images, settled": [accuracy]}


def steps(run: Trained, batches: list[common.Batch], rate: float) -> list[float]:
    """Return test_acc of the trained network, and then after a step with each batch."""
    net = deepcopy(run.net)
    trainer = SGD(net.parameters(), lr=rate)
    accuracies = [common.evaluate_accuracy(net, run.test_iter)]
    for batch in batches:
        common.train_epoch(net, [batch], run.kind.loss, trainer)
        accuracies.append(common.evaluate_accuracy(net, run.test_iter))
    return accuracies


def next_steps(run: Trained) -> Figures:
    """Return test_acc before and after each of 30 further steps, with two rates."""
    torch.manual_seed(1000)  # every seed meets the same batches, and none of its own
    batches = list(islice(run.train_iter, 30))
    found: Figures = {}
    for rate in (0.1, 0.01):
        found[f"test_acc, steps with lr {rate}"] = steps(run, batches, rate)
    found["ten steps later"] = [found["test_acc, steps with lr 0.1"][10]]
    return found


def other_next_steps(run: Trained) -> Figures:
    """Return test_acc after ten further steps with batches that each seed draws for itself."""
    batches = list(islice(run.train_iter, 10))
    return {"ten other steps later": steps(run, batches, 0.1)[-1:]}


EXPERIMENTS += [
    Experiment(
        "Only another seed?",
        [
            SeedTable(
                [
                    "train_acc",
                    "on training images",
                    "test_acc",
                    "ten steps later",
                    "ten other steps later",
                    "settled",
                ],
                MLP,
                looks=(on_training_images, next_steps, other_next_steps),
            ),
        ],
        [
            SeedPanel("test_acc, steps with lr 0.1", (0.76, 0.87), MLP),
            SeedPanel("test_acc, steps with lr 0.01", (0.76, 0.87), MLP),
        ],
    ),
]


@torch.no_grad()
def units_on(run: Trained) -> Figures:
    """Return for how many training images any hidden unit is on, and how many units never are."""
    X, _ = run.train_iter.dataset[:]
    on = run.net.activation(run.net.hidden(X.flatten(1))) > 0  # [images, units]
    share = on.any(dim=1).float().mean().item()
    dead = len(on[0]) - int(on.any(dim=0).sum())
    return {"images with a unit on": [share], "dead units": [dead]}


AT_RATE = {rate: Kind(rates=constant(rate)) for rate in (0.01, 0.1, 0.2, 0.5, 1, 2)}
CHOSEN_SGD = Choice("SGD, lr", {str(rate): AT_RATE[rate] for rate in (0.1, 0.2, 0.5, 1)})
SHOWN_RATES = {f"lr {rate}": AT_RATE[rate] for rate in (0.01, 0.1, 0.5, 1, 2)}
EXPERIMENTS += [
    Experiment(
        "Which learning rate?",
        [
            Table("ten epochs", LAST, {**SHOWN_RATES, "chosen": CHOSEN_SGD}),
            Table(
                "",
                ["images with a unit on", "dead units", "test_acc"],
                {
                    "one epoch with lr 0.1": Kind(rates=(0.1,)),
                    "one epoch with lr 2": Kind(rates=(2,)),
                    "three epochs with lr 2": Kind(rates=constant(2, 3)),
                    "ten epochs with lr 2": AT_RATE[2],
                    "one with lr 2, then four with lr 0.1": Kind(rates=(2, *constant(0.1, 4))),
                    "32 units, four with lr 0.1": Kind(
                        partial(mlp, num_hiddens=32), rates=constant(0.1, 4)
                    ),
                },
                looks=(units_on,),
            ),
        ],
        [Panel("train_loss", (0.2, 2.5), SHOWN_RATES), Panel("test_acc", (0, 1), SHOWN_RATES)],
    ),
]


def one_layer() -> Net:
    """Return softmax regression."""
    return redraw(named(output=nn.Linear(784, 10)), std=0.01)


def no_activation() -> Net:
    """Return the MLP without its ReLU."""
    return redraw(named(hidden=nn.Linear(784, 256), output=nn.Linear(256, 10)), std=0.01)


def deeper(std: float | None = 0.01, std_between: float | None = None) -> Net:
    """Return the MLP with one layer more. std_between: of the matrix between both hidden ones."""
    between = nn.Linear(256, 128)
    net = named(
        hidden=nn.Linear(784, 256),
        activation=nn.ReLU(),
        between=between,
        second_activation=nn.ReLU(),
        output=nn.Linear(128, 10),
    )
    if std is not None:
        redraw(net, std)
    if std_between is not None:
        nn.init.normal_(between.weight, std=std_between)
    return net


def stretched(activation: Callable[[], nn.Module], factor: float) -> Net:
    """Return the MLP with gradients of the first layer that are so many times as long."""
    net = mlp(activation=activation)
    for param in net.hidden.parameters():
        param.register_hook(partial(mul, factor))
    return net


def first_step(run: Trained) -> Figures:
    """Return the length of W1's gradient for 256 images, and the root mean square of the slope."""
    X, y = run.train_iter.dataset[:256]
    net = run.untrained
    (gradient,) = torch.autograd.grad(run.kind.loss(net(X), y), net.hidden.weight)
    length = gradient.norm().item()
    Z = net.hidden(X.flatten(1)).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(net.activation(Z).sum(), Z)
    slope = slopes.square().mean().sqrt().item()
    return {"slope": [slope], "gradient of W1": [length], "ratio": [length / slope]}


NETWORKS = {
    "one layer": Kind(one_layer),
    "no activation": Kind(no_activation),
    "ReLU: the MLP": MLP,
    "one layer more": Kind(deeper),
}
ACTIVATIONS = {
    "ReLU": MLP,
    "PReLU": Kind(partial(mlp, activation=nn.PReLU)),
    "sigmoid": Kind(partial(mlp, activation=nn.Sigmoid)),
    "tanh": Kind(partial(mlp, activation=nn.Tanh)),
}
SLOPE_RATIO = 2.84  # of ReLU to sigmoid in the first step, as the table of the first step shows
SLOPES = {
    **ACTIVATIONS,
    "sigmoid, faster": Kind(partial(stretched, nn.Sigmoid, SLOPE_RATIO)),
    "ReLU, slower": Kind(partial(stretched, nn.ReLU, 1 / SLOPE_RATIO)),
}
EXPERIMENTS += [
    Experiment(
        "A hidden layer, and its activation?",
        [
            Table("network", LAST, NETWORKS),
            Table(
                "20 epochs",
                LAST,
                {
                    "ReLU: the MLP": Kind(rates=constant(0.1, 20)),
                    "one layer more": Kind(deeper, rates=constant(0.1, 20)),
                },
            ),
            Table("activation", LAST, SLOPES),
            Table("first step", ["slope", "gradient of W1", "ratio"], ACTIVATIONS, (first_step,)),
        ],
        [
            Panel("train_loss", (0.35, 1.1), NETWORKS),
            Panel("train_loss", (0.35, 1.1), SLOPES),
        ],
    ),
]


def copied_units() -> Net:
    """Return an MLP with 1,024 hidden units: 256 different ones, each of them four times."""
    net = mlp(num_hiddens=1024)
    with torch.no_grad():
        net.hidden.weight.copy_(net.hidden.weight[:256].repeat(4, 1))
        net.output.weight.copy_(net.output.weight[:, :256].repeat(1, 4))
    return net


UNITS = {
    "16": Kind(partial(mlp, num_hiddens=16)),
    "256": MLP,
    "1024": Kind(partial(mlp, num_hiddens=1024)),
    "256, each four times": Kind(copied_units),
}
EXPERIMENTS += [
    Experiment(
        "More hidden units?",
        [Table("`--num-hiddens`", LAST, UNITS)],
        [Panel("train_loss", (0.35, 1.1), UNITS)],
    ),
]


def rate_times_steps(run: Trained) -> Figures:
    """Return the learning rate times the number of steps of an epoch."""
    return {"lr x steps": [run.kind.rates[0] * len(run.train_iter)]}


BATCHES = {
    "32": Kind(batch_size=32),
    "32, lr 0.0125": Kind(batch_size=32, rates=constant(0.0125)),
    "256": MLP,
    "256, lr 0.8": Kind(rates=constant(0.8)),
    "1024": Kind(batch_size=1024),
    "1024, lr 0.4": Kind(batch_size=1024, rates=constant(0.4)),
}
EXPERIMENTS += [
    Experiment(
        "Smaller batches?",
        [Table("`--batch-size`", ["lr x steps", *LAST], BATCHES, (rate_times_steps,))],
        [Panel("train_loss", LOSS, BATCHES)],
    ),
]


def equal_weights() -> Net:
    """Return the MLP with 0.01 in place of each weight."""
    net = mlp()
    nn.init.constant_(net.hidden.weight, 0.01)
    nn.init.constant_(net.output.weight, 0.01)
    return net


def first_losses(run: Trained) -> Figures:
    """Return the loss of the first step, and the mean loss of the first 20 steps."""
    net = deepcopy(run.untrained)
    trainer = run.kind.trainer(net.parameters(), lr=run.kind.rates[0])
    losses = []
    for batch in islice(run.train_iter, 20):
        train_loss, _ = common.train_epoch(net, [batch], run.kind.loss, trainer)
        losses.append(train_loss)
    return {"loss of step 1": losses[:1], "mean loss of steps 1 to 20": [mean(losses)]}


OWN_WEIGHTS = partial(mlp, std=None)
WEIGHTS = {
    "0": Kind(partial(mlp, std=0)),
    "all 0.01": Kind(equal_weights),
    "std 0.0001": Kind(partial(mlp, std=0.0001)),
    "std 0.01": MLP,
    "std 0.1": Kind(partial(mlp, std=0.1)),
    "std 1": Kind(partial(mlp, std=1)),
    "PyTorch's own": Kind(OWN_WEIGHTS),
}
EQUAL_UNITS = {
    "256 equal units": WEIGHTS["all 0.01"],
    "one unit, std 0.01": Kind(partial(mlp, num_hiddens=1)),
}
DEEPER_WEIGHTS = {
    "std 0.01": NETWORKS["one layer more"],
    "std 0.036 between the hidden layers": Kind(partial(deeper, std_between=0.036)),
    "PyTorch's own": Kind(partial(deeper, std=None)),
}
EXPERIMENTS += [
    Experiment(
        "Other first weights?",
        [
            Table("first weights", LAST, WEIGHTS),
            Table("equal units", LAST, EQUAL_UNITS),
            Table(
                "epoch 1",
                ["loss of step 1", "mean loss of steps 1 to 20", "train_loss"],
                {"std 0.01": After(1, MLP), "std 1": After(1, WEIGHTS["std 1"])},
                (first_losses,),
            ),
            Table("one layer more", LAST, DEEPER_WEIGHTS),
            Table(
                "one layer more, epoch 1",
                ["train_loss"],
                {label: After(1, kind) for label, kind in DEEPER_WEIGHTS.items()},
            ),
        ],
        [Panel("train_loss", (0, 2.5), WEIGHTS), Panel("test_acc", (0, 1), WEIGHTS)],
    ),
]


def squared_error(logits: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared distance of the probabilities from the one-hot labels."""
    right = functional.one_hot(y, 10)
    return (logits.softmax(dim=1) - right).square().sum(dim=1).mean()


SQUARED = {rate: Kind(rates=constant(rate), loss=squared_error) for rate in (0.1, 0.5, 1, 2)}
CHOSEN_SQUARED = Choice("squared error, lr", {str(rate): SQUARED[rate] for rate in (0.5, 1, 2)})
LOSSES: dict[str, Row] = {"cross-entropy": CHOSEN_SGD, "squared error": CHOSEN_SQUARED}
EXPERIMENTS += [
    Experiment(
        "Another loss?",
        [
            Table(
                "at one rate",
                ["train_acc", "test_acc", "settled"],
                {
                    "cross-entropy, lr 0.1": MLP,
                    "squared error, lr 0.1": SQUARED[0.1],
                    "cross-entropy, lr 0.02": Kind(rates=constant(0.02)),
                },
            ),
            Table(
                "first step",
                ["gradient of W1"],
                {"cross-entropy": MLP, "squared error": SQUARED[0.1]},
                (first_step,),
            ),
            Table("each at its own rate", ["train_acc", "test_acc", "settled"], LOSSES),
        ],
        [Panel("train_acc", (0.7, 0.9), LOSSES)],
    ),
]

MOMENTUM = partial(SGD, momentum=0.9)
CHOSEN_MOMENTUM = Choice(
    "momentum 0.9, lr",
    {str(rate): Kind(rates=constant(rate), trainer=MOMENTUM) for rate in (0.03, 0.1, 0.3)},
)
CHOSEN_ADAM = Choice(
    "Adam, lr",
    {str(rate): Kind(rates=constant(rate), trainer=Adam) for rate in (0.001, 0.003, 0.01)},
)
OPTIMIZERS: dict[str, Row] = {
    "SGD": CHOSEN_SGD,
    "momentum 0.9": CHOSEN_MOMENTUM,
    "Adam": CHOSEN_ADAM,
}
EXPERIMENTS += [
    Experiment(
        "Momentum and Adam?",
        [
            Table("each at its own rate", LAST, OPTIMIZERS),
            Table(
                "plain SGD, ten times momentum's 0.1",
                LAST,
                {
                    "lr 1": AT_RATE[1],
                    "one epoch with lr 0.1, then nine with lr 1": Kind(
                        rates=(0.1, *constant(1, 9))
                    ),
                },
            ),
        ],
        [Panel("train_loss", (0.15, 0.8), OPTIMIZERS), Panel("test_acc", TEST_ACC, OPTIMIZERS)],
    ),
]


def relu_and_dropout(p: float) -> nn.Module:
    """Return a ReLU behind which, in training, each value is made zero with probability p."""
    return nn.Sequential(nn.ReLU(), nn.Dropout(p))


def few(epochs: int = 100, dropout: float = 0, decay: float = 0) -> Kind:
    """Return a kind that is trained on 1,000 images."""
    activation = partial(relu_and_dropout, dropout) if dropout else nn.ReLU
    return Kind(
        net=partial(mlp, activation=activation),
        rates=constant(0.1, epochs),
        batch_size=25,
        trainer=partial(SGD, weight_decay=decay),
        images=1000,
    )


FEW = few()
REMEDIES: dict[str, Row] = {
    "nothing": FEW,
    "weight decay": Choice(
        "weight decay", {str(decay): few(decay=decay) for decay in (0.0003, 0.001, 0.003, 0.01)}
    ),
    "dropout": Choice("dropout", {str(p): few(dropout=p) for p in (0.2, 0.5, 0.8)}),
    "stopping": Choice(
        "stopping after epoch", {"10": few(10), "20": few(20), "40": few(40), "100": FEW}
    ),
}
EXPERIMENTS += [
    Experiment(
        "1,000 images by heart?",
        [
            Table(
                "epoch",
                ["train_loss", "test_loss", "train_acc", "test_acc", "sure when wrong"],
                {str(epoch): After(epoch, FEW) for epoch in (10, 20, 30, 100)},
            ),
            Table(
                "remedy",
                ["train_acc", "test_loss", "test_acc", "settled", "sure when wrong"],
                REMEDIES,
            ),
        ],
        [
            Panel("train_loss", (0, 1.2), REMEDIES),
            Panel("test_loss", (0.5, 1.2), REMEDIES),
        ],
    ),
]


def recipe(epochs: int, decay: float = 0, dropout: float = 0) -> Kind:
    """Return a kind with PyTorch's own weights, momentum and a falling rate."""
    activation = partial(relu_and_dropout, dropout) if dropout else nn.ReLU
    return Kind(
        net=partial(mlp, activation=activation, std=None),
        rates=falling(0.1, epochs),
        trainer=partial(SGD, momentum=0.9, weight_decay=decay),
    )


RECIPE = Choice(
    "put together",
    {
        "10 epochs": recipe(10),
        "30 epochs": recipe(30),
        "60 epochs": recipe(60),
        "60 epochs, weight decay 0.0001": recipe(60, decay=0.0001),
        "60 epochs, weight decay 0.0002": recipe(60, decay=0.0002),
        "60 epochs, weight decay 0.0005": recipe(60, decay=0.0005),
        "60 epochs, dropout 0.2": recipe(60, dropout=0.2),
    },
)
TOGETHER: dict[str, Row] = {"the MLP": MLP, "put together": RECIPE}
EXPERIMENTS += [
    Experiment(
        "Put together",
        [
            Table(
                "",
                ["train_loss", "on training images, settled", "test_acc", "settled"],
                TOGETHER,
                (settled_on_training_images,),
            ),
            SeedTable(["test_acc"], RECIPE),
        ],
        [Panel("test_acc", (0.8, 0.91), TOGETHER)],
    ),
]

SEEDS = 5
SEEDS_TO_CHOOSE = 2


# ---- The program ----

Results = dict[Kind, list[Figures]]  # of each kind, for each seed
Best = dict[str, str]  # of each choice, by its title, the label that was chosen


def kind_of(row: Row, best: Best) -> Kind:
    """Return what was chosen, or the kind itself."""
    return row.candidates[best[row.title]] if isinstance(row, Choice) else row


def label_of(label: str, row: Row | After, best: Best) -> str:
    """Return the label of a row; of a choice with what was chosen, and no word twice."""
    if not isinstance(row, Choice):
        return label
    chosen = f"{row.title} {best[row.title]}"
    return chosen if chosen.startswith(label) else f"{label}, {chosen}"


def choices_of(experiments: list[Experiment]) -> list[Choice]:
    """Return the choices in the order in which they are shown, each once."""
    rows = [row for experiment in experiments for row, _ in experiment.wanted()]
    return list({row.title: row for row in rows if isinstance(row, Choice)}.values())


def looks_of(experiments: list[Experiment], best: Best) -> dict[Kind, list[Look]]:
    """Return all kinds that are shown, and for each one everything that is looked at."""
    looks: dict[Kind, list[Look]] = {}
    for experiment in experiments:
        for row, some_looks in experiment.wanted():
            known = looks.setdefault(kind_of(row, best), [])
            known += [look for look in some_looks if look not in known]
    return looks


def train(looks: dict[Kind, list[Look]], seeds: int, workers: int) -> Results:
    """Train each kind with each seed, several at a time, and show the progress."""
    from tqdm import tqdm

    jobs = [(kind, seed, looks[kind]) for seed in range(seeds) for kind in looks]
    epochs = sum(cost(kind) for kind, _, _ in jobs)
    print(f"{len(jobs)} runs, as many images as in {epochs:.0f} epochs", file=sys.stderr)
    results: Results = {kind: [] for kind in looks}
    ignore_ctrl_c = (signal.SIGINT, signal.SIG_IGN)  # it is for this process alone
    with Pool(workers, signal.signal, ignore_ctrl_c) as pool:
        runs = tqdm(pool.imap(run_job, jobs), total=len(jobs), unit="run", smoothing=0)
        for (kind, _, _), figures in zip(jobs, runs, strict=True):
            results[kind].append(figures)
    return results


def run_job(job: tuple[Kind, int, list[Look]]) -> Figures:
    """Run in another process."""
    return run(*job)


def choose(choices: list[Choice], workers: int) -> Best:
    """Return of each choice the best label, and print what decided."""
    if not choices:
        return {}
    kinds = [kind for choice in choices for kind in choice.candidates.values()]
    validated = [kind._replace(validate=True) for kind in kinds]
    results = train({kind: [] for kind in validated}, SEEDS_TO_CHOOSE, workers)
    best = {}
    for choice in choices:
        print(f"\n| {choice.title} | validation accuracy, settled |\n| --- | --- |")
        accuracies = {}
        for label, kind in choice.candidates.items():
            runs = results[kind._replace(validate=True)]
            settled = [figures["settled"][-1] for figures in runs]
            accuracies[label] = mean(settled)
            print(f"| {label} | {cell(settled, digits=4)} |")
        best[choice.title] = max(accuracies, key=lambda label: accuracies[label])
    return best


def cell(values: list[float], digits: int = 3) -> str:
    """Return the mean and, in brackets, the range; one figure alone, if all are equal."""
    low, high, middle = min(values), max(values), mean(values)
    if all(isinstance(value, int) for value in values):
        digits = 0
    if low == high:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def print_tables(experiment: Experiment, results: Results, best: Best) -> None:
    """Print the tables of an experiment in Markdown."""
    for table in experiment.tables:
        title = table.title if isinstance(table, Table) else "seed"
        print(f"\n| {title} | {' | '.join(table.columns)} |")
        print("| --- " * (len(table.columns) + 1) + "|")
        if isinstance(table, SeedTable):
            for seed, figures in enumerate(results[kind_of(table.row, best)]):
                cells = [f"{figures[column][-1]:.3f}" for column in table.columns]
                print(f"| {seed} | {' | '.join(cells)} |")
            continue
        for label, row in table.rows.items():
            position = -1
            if isinstance(row, After):
                position = row.epoch - 1
                row = row.row
            runs = results[kind_of(row, best)]
            cells = []
            for column in table.columns:
                cells.append(cell([figures[column][position] for figures in runs]))
            print(f"| {label_of(label, row, best)} | {' | '.join(cells)} |")


# Colours that the colour-blind tell apart (Okabe and Ito), and two kinds of line.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000"]
LINES = ["-", "--", "-.", ":", "--", "-.", "-"]


def draw(experiment: Experiment, results: Results, best: Best) -> "Figure":
    """Return the picture of an experiment: its panels, one below the other."""
    n = len(experiment.panels)
    with picture.defaults():
        figure = picture.new_figure(figsize=(4.5, 4 * n), layout="constrained")
        for axes, panel in zip(
            figure.subplots(n, squeeze=False).flat, experiment.panels, strict=True
        ):
            if isinstance(panel, SeedPanel):
                draw_seeds(axes, panel, results[kind_of(panel.row, best)])
            else:
                draw_lines(axes, panel, results, best)
            axes.set_title(panel.figure)
            axes.set_ylim(panel.limits)
            axes.locator_params(axis="x", integer=True, min_n_ticks=1)
            longest = max(len(str(line.get_label())) for line in axes.lines)
            columns = 2 if longest < 20 else 1  # that fit below the panel, where no line is hidden
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns)
    return figure


def draw_lines(axes: "Axes", panel: Panel, results: Results, best: Best) -> None:
    """Draw a line and a band for each label, over the epochs."""
    for number, (label, row) in enumerate(panel.lines.items()):
        runs = [figures[panel.figure] for figures in results[kind_of(row, best)]]
        epochs = range(1, len(runs[0]) + 1)
        columns = list(zip(*runs, strict=True))
        low, high = [min(column) for column in columns], [max(column) for column in columns]
        middle = [mean(column) for column in columns]
        (line,) = axes.plot(
            epochs, middle, LINES[number], color=COLOURS[number], label=label_of(label, row, best)
        )
        axes.fill_between(epochs, low, high, color=line.get_color(), alpha=0.25, linewidth=0)
    axes.set_xlabel("epoch")


def draw_seeds(axes: "Axes", panel: SeedPanel, runs: list[Figures]) -> None:
    """Draw a line for each seed, over the steps."""
    for seed, figures in enumerate(runs):
        values = figures[panel.figure]
        axes.plot(
            range(len(values)), values, LINES[seed], color=COLOURS[seed], label=f"seed {seed}"
        )
    axes.set_xlabel("steps after the training")


def main(argv: list[str] | None = None) -> None:
    """Choose, train, print the tables, and draw the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = range(1, len(EXPERIMENTS) + 1)
    cores = min(os.cpu_count() or 1, 32)  # each run has all images in its own memory
    parser.add_argument("number", nargs="?", type=int, choices=numbers, help="default: all")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"default: {SEEDS}")
    parser.add_argument("--folder", type=Path, help="of the pictures; with other seeds a must")
    parser.add_argument("--workers", type=int, default=cores, help="runs at a time")
    args = parser.parse_args(argv)
    if not 1 <= args.seeds <= len(COLOURS):
        parser.error(f"--seeds must be from 1 to {len(COLOURS)}: each has a colour of its own")
    if args.workers < 1:
        parser.error("--workers must be 1 or more")
    if args.folder is None and args.seeds != SEEDS:
        parser.error(f"the pictures of the page have {SEEDS} seeds: add --folder FOLDER")
    folder = args.folder or picture.ROOT / ".github"
    chosen = [args.number] if args.number else list(numbers)
    experiments = {number: EXPERIMENTS[number - 1] for number in chosen}
    files = {number: folder / f"experiment_{number}.png" for number in chosen}
    for file in files.values():
        picture.write(picture.new_figure(), file, replace=False)  # before any work is lost

    best = choose(choices_of(list(experiments.values())), args.workers)
    looks = looks_of(list(experiments.values()), best)
    results = train(looks, args.seeds, args.workers)
    for number, experiment in experiments.items():
        print(f"\n## {number}. {experiment.title}")
        print_tables(experiment, results, best)
        picture.write(draw(experiment, results, best), files[number], dpi=200)


if __name__ == "__main__":
    common.run(main)  # type: ignore[arg-type] # which returns nothing
