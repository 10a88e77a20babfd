"""What both scripts share: data, metrics, loops, predictions, picture, command line and clear errors."""

import argparse
import math
import socket
import sys
from collections.abc import Callable, Iterable
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler, TensorDataset
from torchvision.datasets import FashionMNIST
from torchvision.utils import make_grid

DATA_DIR = Path(__file__).resolve().parent / "data"
DOWNLOAD_TIMEOUT = 20.0  # seconds that a server may stay silent
REMEDY = "put back the file that data/README.md describes"
CLASS_NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

Batches = Iterable[tuple[Tensor, Tensor]]
Net = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
T = TypeVar("T")


class UserError(Exception):
    """Something that the user can mend; its text says what is wrong and what to do."""


class BatchDataset(TensorDataset):
    """Tensors in memory, indexed by a whole batch at a time."""

    def __getitem__(self, indices: list[int]) -> tuple[Tensor, ...]:
        """Return the rows `indices` (0 .. n - 1) of every tensor, as copies."""
        # index_select copies whole rows; tensor[indices] gives the same values several times slower.
        index = torch.tensor(indices, dtype=torch.int64)
        return tuple(tensor.index_select(0, index) for tensor in self.tensors)


def _count_items(path: Path, item_shape: tuple[int, ...]) -> int:
    """Return how many items of bytes an IDX file holds; UserError unless it is whole and says so in its header."""
    header_size = 8 + 4 * len(item_shape)
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(header_size)
    n = int.from_bytes(header[4:8], "big")
    numbers = (0x801 + len(item_shape), n, *item_shape)  # unsigned bytes in that many dimensions, then their sizes
    whole = header == b"".join(number.to_bytes(4, "big") for number in numbers)
    if n == 0 or not whole or size != header_size + n * math.prod(item_shape):
        what = "28 x 28 images" if item_shape else "labels"
        raise UserError(f"{path} is damaged, its {size} bytes are no whole IDX file of {what}: {REMEDY}")
    return n


def _check_data(root: str | Path) -> None:
    """Download the data set into root if a file is missing; UserError if it then is not there, whole and consistent."""
    if not Path(root).is_dir():
        raise UserError(f"--data-dir {root} is not a folder: name the one that holds FashionMNIST/raw")
    raw = Path(root, "FashionMNIST", "raw")
    pairs = [(raw / f"{name}-images-idx3-ubyte", raw / f"{name}-labels-idx1-ubyte") for name in ("train", "t10k")]
    missing = [path for pair in pairs for path in pair if not path.is_file()]
    if missing:
        timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
        try:
            FashionMNIST(root, download=True)
        except (OSError, RuntimeError, HTTPException) as error:
            reason = " ".join(str(error).split())
            text = f"{missing[0]} is missing and cannot be downloaded: put it there from a fresh clone's data folder"
            raise UserError(f"{text} ({reason})") from error
        finally:
            socket.setdefaulttimeout(timeout)
    for images, labels in pairs:
        if (n := _count_items(labels, ())) != (expected := _count_items(images, (28, 28))):
            raise UserError(f"{labels} has {n} labels for {expected} images: {REMEDY}")


def load_data_fashion_mnist(
    batch_size: int, root: str | Path = DATA_DIR
) -> tuple[DataLoader[tuple[Tensor, ...]], DataLoader[tuple[Tensor, ...]]]:
    """Load Fashion-MNIST once and return (train_iter, test_iter); only train_iter shuffles.

    Each yields X: [batch, 1, 28, 28] float32 in 0..1 and y: [batch] int64 in 0..9; the last batch may be smaller.
    root: torchvision's root; files that are missing there are downloaded into it. UserError if that fails or a file is
    damaged. Batches and random draws are those of ToTensor with DataLoader(shuffle=True).
    Source: "Loading Batched and Non-Batched Data" in the documentation of torch.utils.data.
    """
    _check_data(root)
    loaders = []
    for train in (True, False):
        source = FashionMNIST(root, train=train)
        if source.targets.max() >= len(CLASS_NAMES):
            labels = Path(source.raw_folder, f"{'train' if train else 't10k'}-labels-idx1-ubyte")
            raise UserError(f"{labels} has a label above 9: {REMEDY}")
        dataset = BatchDataset(source.data.unsqueeze(1).float().div_(255), source.targets)
        sampler: Sampler[int] = RandomSampler(dataset) if train else SequentialSampler(dataset)
        batches = BatchSampler(sampler, min(batch_size, len(dataset)), drop_last=False)
        loaders.append(DataLoader(dataset, batch_size=None, sampler=batches))
    train_iter, test_iter = loaders
    return train_iter, test_iter


class Accumulator:
    """Sums of n quantities."""

    def __init__(self, n: int) -> None:
        """Start n sums at 0.0."""
        self.data = [0.0] * n

    def add(self, *args: float) -> None:
        """Add one number to each sum; ValueError unless there are exactly n."""
        self.data = [a + float(b) for a, b in zip(self.data, args, strict=True)]

    def __getitem__(self, index: int) -> float:
        """Return the sum at `index`."""
        return self.data[index]


def accuracy(y_hat: Tensor, y: Tensor) -> float:
    """Return the number of correct predictions.

    y_hat: logits [batch, classes], of which the largest counts (the first of equals), or class indices [batch].
    y: class indices [batch].
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


def train_epoch(net: Net, train_iter: Batches, loss: Loss, trainer: torch.optim.Optimizer) -> tuple[float, float]:
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
    """What one epoch reached: the mean loss in nats, both accuracies in 0..1."""

    train_loss: float
    train_acc: float
    test_acc: float


def train(
    net: Net,
    train_iter: Batches,
    test_iter: Batches,
    loss: Loss,
    num_epochs: int,
    trainer: torch.optim.Optimizer,
) -> list[Epoch]:
    """Train for num_epochs, print one line an epoch, and return the history.

    Arguments as in train_epoch; UserError after an epoch whose train loss is not finite.
    """
    history = []
    for number in range(1, num_epochs + 1):
        epoch = Epoch(*train_epoch(net, train_iter, loss, trainer), evaluate_accuracy(net, test_iter))
        history.append(epoch)
        metrics = ", ".join(f"{name}={value:.4f}" for name, value in epoch._asdict().items())
        print(f"epoch {number:02d} : {metrics}", flush=True)
        if not math.isfinite(epoch.train_loss):
            raise UserError(f"the training diverged, the loss of epoch {number} is not finite: try a smaller --lr")
    return history


def predict(net: Net, test_iter: Batches, n: int = 6) -> list[tuple[str, str]]:
    """Print the true and the predicted name of the first n test images, and return these pairs of names."""
    pairs: list[tuple[str, str]] = []
    with torch.no_grad():
        for X, y in test_iter:
            pairs += [(CLASS_NAMES[i], CLASS_NAMES[j]) for i, j in zip(y, net(X).argmax(dim=1), strict=True)]
            if len(pairs) >= n:
                break
    del pairs[n:]
    width = max(map(len, CLASS_NAMES))
    print("\nPredictions:")
    for number, (true, predicted) in enumerate(pairs, start=1):
        print(f"{number}. true: {true:<{width}}  predicted: {predicted}")
    return pairs


def save_figure(path: Path, history: list[Epoch], net: Net, test_iter: Batches, W1: Tensor) -> None:
    """Save one picture, PNG, SVG or PDF by path's ending: the history, test images, and what hidden units have learned.

    net: as trained, from X to logits. W1: [784, num_hiddens]; its columns are drawn as 28 x 28 images.
    UserError if the file cannot be written.
    """
    from matplotlib.figure import Figure  # an optional dependency; a Figure of its own needs no display

    blue, orange = "#0072B2", "#D55E00"  # from the Okabe-Ito palette: told apart whatever the eyes
    figure = Figure(figsize=(10, 11), layout="constrained")
    curves, first, mistakes, units = figure.subfigures(4, 1, squeeze=False, height_ratios=[3, 2, 2, 3.5]).flat

    epochs = range(1, len(history) + 1)
    loss_axes, accuracy_axes = curves.subplots(1, 2)
    loss_axes.plot(epochs, [epoch.train_loss for epoch in history], "o-", color=blue, label="train")
    loss_axes.set_ylabel("mean loss (nats)")
    accuracy_axes.plot(epochs, [epoch.train_acc for epoch in history], "o-", color=blue, label="train")
    accuracy_axes.plot(epochs, [epoch.test_acc for epoch in history], "s--", color=orange, label="test")
    accuracy_axes.set_ylabel("accuracy")
    for axes in (loss_axes, accuracy_axes):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()

    with torch.no_grad():
        batches = [(X, y, net(X).argmax(dim=1)) for X, y in test_iter]
    X, y, y_hat = (torch.cat(parts) for parts in zip(*batches, strict=True))
    first.suptitle("The first six test images: true name above, predicted name below", weight="bold")
    mistakes.suptitle("The first six mistakes", weight="bold")
    for row, indices in ((first, range(len(y))), (mistakes, (y != y_hat).nonzero().flatten().tolist())):
        all_axes = row.subplots(1, 6)
        for axes in all_axes:
            axes.set(xticks=[], yticks=[], frame_on=False)
        for axes, i in zip(all_axes, indices, strict=False):
            axes.imshow(X[i, 0].numpy(), cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(CLASS_NAMES[y[i]])
            mark, color = ("", "black") if y[i] == y_hat[i] else ("wrong: ", orange)
            axes.set_xlabel(mark + CLASS_NAMES[y_hat[i]], fontsize="large", color=color)

    largest = W1.detach().norm(dim=0).topk(min(48, W1.shape[1])).indices
    columns = W1.detach()[:, largest].T.reshape(-1, 1, 28, 28)
    units.suptitle(f"What hidden units look for: the {len(columns)} largest columns of W1 as images", weight="bold")
    axes = units.subplots()
    limit = columns.abs().quantile(0.998).item()  # the few pixels beyond it would make all others pale
    grid = make_grid(columns, nrow=12, padding=2, pad_value=math.nan)[0]  # three equal channels, of which one is enough
    axes.set_axis_off()
    image = axes.imshow(grid.numpy(), cmap="RdBu", vmin=-limit, vmax=limit)
    units.colorbar(image, label="weight", extend="both")

    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise UserError(
            f"cannot save the picture to {path} ({error.strerror or error}): name another --figure"
        ) from error


class Options(argparse.Namespace):
    """The command line, as parse_args returns it."""

    epochs: int
    batch_size: int
    num_hiddens: int
    lr: float
    seed: int
    data_dir: str
    figure: Path | None


def _checked(convert: Callable[[str], T], accept: Callable[[T], bool], expected: str) -> Callable[[str], T]:
    """Make an argparse type that refuses what `convert` or `accept` refuses, and says what was `expected`."""

    def parse(text: str) -> T:
        try:
            value = convert(text)
            accepted = accept(value)
        except ValueError:
            accepted = False
        if not accepted:
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
        return value

    return parse


def parse_args(description: str | None, argv: list[str] | None = None) -> Options:
    """Return the options in argv, by default those of the command line.

    A bad one exits with status 2; UserError if --figure could not work.
    """
    count = _checked(int, lambda n: 1 <= n <= 10**9, "a whole number from 1 to 1000000000")
    seed = _checked(int, lambda n: 0 <= n < 2**64, "a whole number from 0 to 2**64 - 1")
    largest = torch.finfo(torch.float32).max
    rate = _checked(float, lambda x: 0 < x <= largest, f"a number above 0 and at most {largest:.4g}")
    folder = _checked(str, bool, "the name of a folder")
    endings = {".png", ".svg", ".pdf"}
    picture = _checked(Path, lambda path: path.suffix.lower() in endings, "a name ending in .png, .svg or .pdf")
    # Without its usage lines, a refusal is the one line that matters.
    parser = argparse.ArgumentParser(description=description, usage=argparse.SUPPRESS)
    add = parser.add_argument
    add("--epochs", type=count, default=10, metavar="N", help="passes over the training set (default: %(default)s)")
    add("--batch-size", type=count, default=256, metavar="N", help="images a step (default: %(default)s)")
    add("--num-hiddens", type=count, default=256, metavar="N", help="hidden units (default: %(default)s)")
    add("--lr", type=rate, default=0.1, metavar="RATE", help="learning rate (default: %(default)s)")
    add("--seed", type=seed, default=0, metavar="N", help="start of the random draws (default: %(default)s)")
    place = "folder of the data set (default: data, beside the scripts)"
    add("--data-dir", type=folder, default=str(DATA_DIR), metavar="DIR", help=place)
    add("--figure", type=picture, metavar="PATH", help="save a picture: .png, .svg or .pdf (default: none)")
    options = parser.parse_args(argv, namespace=Options())
    if options.figure is not None:
        if options.figure.is_dir() or not options.figure.parent.is_dir():
            raise UserError(f"--figure {options.figure} cannot be saved: name a file in a folder that exists")
        try:
            import matplotlib.figure  # noqa: F401  # now, and not only after the training
        except ImportError as error:
            raise UserError("--figure needs matplotlib: install it with pip install -e '.[plot]'") from error
    return options


def run(main: Callable[[], object]) -> NoReturn:
    """Run main and exit: with one line and status 1 after what the user can mend, with a traceback after anything else.

    Ctrl-C exits with status 130, a pipe that was closed with 141, as a shell expects it.
    """
    try:
        main()
        print(end="", flush=True)
        sys.exit()
    except UserError as error:
        message = str(error)
    except KeyboardInterrupt:
        print(f"{Path(sys.argv[0]).name}: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):
            raise
        message = "there is not enough memory: try a smaller --num-hiddens or --batch-size"
    except OSError as error:
        if error.filename is not None:
            message = f"cannot use {error.filename} ({error.strerror}): mend its permissions, or name another one"
        else:
            message = f"cannot print ({error.strerror}): send the output elsewhere"
    sys.exit(f"{Path(sys.argv[0]).name}: error: {message}")
