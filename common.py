"""What both scripts share, in the order of the lesson: data, metrics, training, prediction."""

import importlib.util
import math
import os
import socket
import sys
from argparse import SUPPRESS, ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DATA_DIR = Path(__file__).parent / "data"
CLASS_NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

Batches = Iterable[tuple[Tensor, Tensor]]
Loader = DataLoader[tuple[Tensor, Tensor]]
Net = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
History = list["Epoch"]
Result = tuple[Net, list[nn.Parameter], History]


def load_data_fashion_mnist(batch_size: int, root: str | Path = DATA_DIR) -> tuple[Loader, Loader]:
    """Load Fashion-MNIST and return (train_iter, test_iter); only train_iter shuffles, anew in every epoch.

    Each yields X: [batch, 1, 28, 28] float32 in 0..1 and y: [batch] int64 in 0..9; the last batch may be smaller.
    Batches and random draws are those of DataLoader(batch_size=batch_size, shuffle=True) with ToTensor.
    root: torchvision's root; missing files are downloaded into it. UserError if that fails or a file is damaged.
    """
    train_set, test_set = FashionMNIST(root, train=True), FashionMNIST(root, train=False)
    train_rows = BatchSampler(RandomSampler(train_set), batch_size, drop_last=False)
    test_rows = BatchSampler(range(len(test_set)), batch_size, drop_last=False)
    # A batch is a list of row numbers, taken from its set at once; so the loader has none to put together (None).
    return DataLoader(train_set, None, sampler=train_rows), DataLoader(test_set, None, sampler=test_rows)


class Accumulator:
    """Sums of n quantities."""

    def __init__(self, n: int) -> None:
        self.data = [0.0] * n

    def add(self, *args: float) -> None:
        """Add one number to each sum; ValueError unless there are exactly n."""
        self.data = [a + float(b) for a, b in zip(self.data, args, strict=True)]

    def __getitem__(self, index: int) -> float:
        return self.data[index]


def accuracy(y_hat: Tensor, y: Tensor) -> float:
    """Return the number of correct predictions.

    y: class indices [batch]. y_hat: the same, or logits [batch, classes], whose largest (the first of equals) counts.
    """
    if y_hat.ndim > 1:
        y_hat = y_hat.argmax(dim=1)
    return float((y_hat == y).sum())


def evaluate_accuracy(net: Net, data_iter: Batches) -> float:
    """Return the share of samples, 0..1, that net puts into the right class; an nn.Module is put into eval mode."""
    if isinstance(net, nn.Module):
        net.eval()
    metric = Accumulator(2)  # number correct, number of samples
    with torch.no_grad():
        for X, y in data_iter:
            metric.add(accuracy(net(X), y), len(y))
    return metric[0] / metric[1]


def train_epoch(net: Net, train_iter: Batches, loss: Loss, trainer: Optimizer) -> tuple[float, float]:
    """Train on every batch once and return (mean loss, accuracy in 0..1) over all samples, taken while training.

    net: anything from X to logits [batch, classes]; an nn.Module is put into train mode.
    loss: from (logits, y) to one value a sample, [batch], or to their mean, [].
    """
    if isinstance(net, nn.Module):
        net.train()
    metric = Accumulator(3)  # sum of losses, number correct, number of samples
    for X, y in train_iter:
        y_hat = net(X)
        mean_loss = loss(y_hat, y).mean()
        trainer.zero_grad()
        mean_loss.backward()
        trainer.step()
        metric.add(mean_loss.item() * len(y), accuracy(y_hat, y), len(y))
    return metric[0] / metric[2], metric[1] / metric[2]


class Epoch(NamedTuple):
    """What one epoch reached: the mean loss over the training samples, and both accuracies in 0..1."""

    train_loss: float
    train_acc: float
    test_acc: float


def train(net: Net, train_iter: Batches, test_iter: Batches, loss: Loss, trainer: Optimizer, epochs: int) -> History:
    """Run train_epoch `epochs` times, print a line each, and return the history; UserError if a loss is not finite."""
    history = []
    for epoch in range(1, epochs + 1):
        train_loss, train_acc = train_epoch(net, train_iter, loss, trainer)
        test_acc = evaluate_accuracy(net, test_iter)
        print(f"epoch {epoch:02d}: train_loss={train_loss:.4f}, train_acc={train_acc:.4f}, test_acc={test_acc:.4f}")
        if not math.isfinite(train_loss):
            raise UserError("the training diverged, its loss is no longer finite: try a smaller --lr")
        history.append(Epoch(train_loss, train_acc, test_acc))
    return history


def predict(net: Net, test_iter: Batches, n: int = 6) -> list[tuple[str, str]]:
    """Print and return (true, predicted) names of the first n images in the first test batch, a module in eval mode."""
    if isinstance(net, nn.Module):
        net.eval()
    X, y = next(iter(test_iter))
    with torch.no_grad():
        y_hat = net(X).argmax(dim=1)
    names = [(CLASS_NAMES[i], CLASS_NAMES[j]) for i, j in zip(y[:n], y_hat[:n], strict=True)]
    print("\nPredictions:")
    for number, (true, predicted) in enumerate(names, start=1):
        print(f"{number}. true: {true:<10} predicted: {predicted}")
    return names


# ---- Nothing about networks comes below this line: only the picture, the options and the errors. ---------------------


def save_figure(path: str | Path, history: History, net: Net, test_iter: Batches, W1: Tensor) -> "Figure":
    """Save and return one picture: the history as curves, test images with their predictions, columns of W1 as images.

    path: ends in .png, .svg or .pdf; OSError if it cannot be written. W1: [784, num_hiddens].
    """
    from matplotlib.figure import Figure  # an optional dependency; a Figure of its own needs no display

    figure = Figure(figsize=(10, 11), layout="constrained")
    left, right, first, mistakes, units = figure.subplot_mosaic("ab;cc;dd;ee", height_ratios=[3, 2, 2, 5]).values()
    epochs = range(1, len(history) + 1)
    left.plot(epochs, [epoch.train_loss for epoch in history], "o-", label="train_loss")
    right.plot(epochs, [epoch.train_acc for epoch in history], "o-", label="train_acc")
    right.plot(epochs, [epoch.test_acc for epoch in history], "s--", label="test_acc")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True)
        axes.grid(alpha=0.3)
        axes.legend()

    with torch.no_grad():
        batches = [(X, y, net(X).argmax(dim=1)) for X, y in test_iter]
    X, y, y_hat = (torch.cat(parts) for parts in zip(*batches, strict=True))
    wrong_first = (y == y_hat).int().argsort(stable=True)
    for axes, title, order in ((first, "test images", torch.arange(len(y))), (mistakes, "mistakes", wrong_first)):
        rows = order[:6].tolist()
        axes.set_title(f"\nThe first six {title}, with the true name above the predicted one", weight="bold")
        axes.imshow(torchvision.utils.make_grid(X[rows], nrow=6, pad_value=1)[0].numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_axis_off()
        for column, row in enumerate(rows):
            names = f"{CLASS_NAMES[y[row]]}\n{CLASS_NAMES[y_hat[row]]}"
            color = "black" if y[row] == y_hat[row] else "tab:red"
            axes.text(16 + 30 * column, 33, names, color=color, fontsize="large", ha="center", va="top")

    largest = W1.detach().norm(dim=0).topk(min(48, W1.shape[1])).indices
    columns = W1.detach()[:, largest].T.reshape(-1, 1, 28, 28)
    limit = columns.abs().quantile(0.998).item()  # the few pixels beyond it would make all others pale
    grid = torchvision.utils.make_grid(columns, nrow=12, pad_value=math.nan)[0].numpy()  # of three equal channels, one
    units.set_title(f"\nWhat hidden units look for: the {len(columns)} largest columns of W1 as images", weight="bold")
    units.set_axis_off()
    image = units.imshow(grid, cmap="RdBu", vmin=-limit, vmax=limit, interpolation="nearest")
    figure.colorbar(image, label="weight", extend="both", location="bottom", shrink=0.8, aspect=60)
    figure.savefig(path, dpi=120)
    return figure


def parse_args(description: str | None, argv: list[str] | None, **defaults: float) -> Namespace:
    """Return the options in argv (None: of the command line); a bad one exits with status 2 and no more than a line."""
    parser = ArgumentParser(description=description, usage=SUPPRESS, formatter_class=ArgumentDefaultsHelpFormatter)
    parser.add_argument("--epochs", type=int, help="passes over the training set")
    parser.add_argument("--batch-size", type=int, help="images a step")
    parser.add_argument("--num-hiddens", type=int, help="hidden units")
    parser.add_argument("--lr", type=float, help="learning rate")
    parser.add_argument("--seed", type=int, default=0, help="start of the random draws")
    parser.add_argument("--data-dir", default=str(DATA_DIR), help="folder that holds FashionMNIST/raw")
    parser.add_argument("--figure", type=Path, help="save a picture: .png, .svg or .pdf")
    parser.set_defaults(**defaults)
    args = parser.parse_args(argv)
    for name, low, high in (
        ("epochs", 1, 10**9),
        ("batch_size", 1, 60_000),
        ("num_hiddens", 1, 10**12),
        ("lr", 1e-9, 1e9),
        ("seed", 0, 2**64 - 1),
    ):
        if not low <= (value := getattr(args, name)) <= high:
            parser.error(f"argument --{name.replace('_', '-')}: {value} is not in the range {low} to {high}")
    if not os.path.isdir(args.data_dir):
        parser.error(f"argument --data-dir: '{args.data_dir}' is no folder: name the one that holds FashionMNIST/raw")
    if args.figure is not None:
        if importlib.util.find_spec("matplotlib") is None:
            parser.error("argument --figure: this needs matplotlib: pip install matplotlib")
        writable = os.access(args.figure if args.figure.exists() else args.figure.parent, os.W_OK)
        if not writable or args.figure.is_dir() or args.figure.suffix.lower() not in (".png", ".svg", ".pdf"):
            parser.error(f"argument --figure: cannot write '{args.figure}': name a writable .png, .svg or .pdf file")
    return args


class UserError(Exception):
    """Something that the user can mend; its text says what is wrong and what to do."""


class FashionMNIST(torchvision.datasets.FashionMNIST):
    """torchvision's data set, its bytes in memory; a list of row numbers takes a whole batch, [batch, 1, 28, 28]."""

    def __init__(self, root: str | Path, train: bool) -> None:
        """Read one of the sets, downloaded into root if a file is missing; UserError unless it is whole then."""
        try:
            super().__init__(root, train, transform=torchvision.transforms.ToTensor(), download=True)
            X, y = self.data, self.targets
            if X.shape != (len(y), 28, 28) or not 0 <= y.min() <= y.max() <= 9:
                raise ValueError(f"images {list(X.shape)}, labels {list(y.shape)} from {y.min()} to {y.max()}")
        except MemoryError:
            raise
        except Exception as error:  # torchvision checks little: damaged bytes raise whatever they lead to
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            what = f"{Path(root, 'FashionMNIST')}: no whole {'training' if train else 'test'} set"
            raise UserError(f"{what} ({reason}): put the files there that data/README.md lists, no others") from error

    def __getitem__(self, index: int | list[int]) -> tuple[Tensor, Tensor | int]:
        if isinstance(index, list):
            rows = torch.tensor(index)
            return self.data.index_select(0, rows).unsqueeze(1) / 255, self.targets.index_select(0, rows)
        return super().__getitem__(index)


def run(main: Callable[[], Result]) -> Result:
    """Return what main returns; after what a user can mend, exit with status 1 and one line.

    Ctrl-C exits with 130, a closed pipe with 141, as a shell expects it. Anything else keeps its traceback.
    """
    name = Path(sys.argv[0]).name
    socket.setdefaulttimeout(20)  # seconds that the server of a download may stay silent
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # through a pipe, too, a line comes when it is printed
    try:
        return main()
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        sys.exit(130)
    except UserError as error:
        message = str(error)
    except OSError as error:  # of a print or the picture: reading has its UserError
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or it would fail again when Python ends
        if isinstance(error, BrokenPipeError):
            sys.exit(141)
        message = f"cannot write the output ({error}): send it elsewhere"
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        message = "there is not enough memory: close other programs, or try a smaller --num-hiddens or --batch-size"
    sys.exit(f"{name}: error: {message}")
