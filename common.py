"""What both scripts share, in the order of the lesson: data, metrics, training, prediction."""

import argparse
import errno
import math
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler
from torchvision.datasets.mnist import FashionMNIST, read_image_file, read_label_file
from torchvision.datasets.utils import download_and_extract_archive

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

DATA_DIR = Path(__file__).parent / "data"
CLASS_NAMES = [name.lower().removesuffix("/top") for name in FashionMNIST.classes]

Batches = Iterable[tuple[Tensor, Tensor]]  # X: [batch, 1, 28, 28] and y: [batch]
Loader = DataLoader[tuple[Tensor, Tensor]]
Net = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
T = TypeVar("T")


class ImageDataset(Dataset[tuple[Tensor, Tensor]]):
    """Images, bytes in memory that become floats when they are taken out, and their labels."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        """images: [n, 28, 28] uint8 in 0..255. labels: [n] int64 in 0..9."""
        self.images, self.labels = images, labels
        self.rows = torch.arange(len(labels))  # makes row numbers of a slice, a mask or -1

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int | slice | list[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Return X: [1, 28, 28] float32 in 0..1, y: [] int64; of k rows [k, 1, 28, 28] and [k].

        The loaders take whole batches: one random change of X would befall all its images alike.
        """
        rows = self.rows[index]
        X = self.images.index_select(0, rows.flatten()).reshape(*rows.shape, 1, 28, 28) / 255
        return X, self.labels[rows]


def load_data_fashion_mnist(batch_size: int, root: str | Path = DATA_DIR) -> tuple[Loader, Loader]:
    """Return (train_iter, test_iter), loaders of X: [batch, 1, 28, 28] in 0..1 and y: [batch].

    Only train_iter shuffles, anew in every pass. The last batch may be smaller; len() counts them.
    root: torchvision's root; missing files are downloaded. UserError if one stays so or is damaged.
    """
    train_set, test_set = read_fashion_mnist(Path(os.path.expanduser(root)))
    train_rows = BatchSampler(RandomSampler(train_set), batch_size=batch_size, drop_last=False)
    test_rows = BatchSampler(range(len(test_set)), batch_size=batch_size, drop_last=False)
    # Each batch is a list of rows, taken at once; None: the loader has no items to put together.
    train_iter = DataLoader(dataset=train_set, sampler=train_rows, batch_size=None)
    test_iter = DataLoader(dataset=test_set, sampler=test_rows, batch_size=None)
    return train_iter, test_iter


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

    y: class indices [batch]. y_hat: the same, or logits [batch, classes]; the first largest counts.
    """
    if y_hat.ndim > 1:
        y_hat = y_hat.argmax(dim=1)
    return float((y_hat == y).sum())


def evaluate_accuracy(net: Net, data_iter: Batches) -> float:
    """Return the share of samples, 0..1, that net puts into the right class, in eval mode."""
    if isinstance(net, nn.Module):
        net.eval()
    metric = Accumulator(2)  # number correct, number of samples
    with torch.no_grad():
        for X, y in data_iter:
            metric.add(accuracy(net(X), y), len(y))
    return metric[0] / metric[1]


def train_epoch(
    net: Net, train_iter: Batches, loss: Loss, trainer: Optimizer
) -> tuple[float, float]:
    """Train on every batch once; return (mean loss, accuracy in 0..1) of all samples meanwhile.

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
    """What an epoch reached: the mean loss over the training samples, both accuracies in 0..1."""

    train_loss: float
    train_acc: float
    test_acc: float


def train(
    net: Net, train_iter: Batches, test_iter: Batches, loss: Loss, trainer: Optimizer, epochs: int
) -> list[Epoch]:
    """Train, print a line an epoch and return the history; UserError if a loss is not finite."""
    history = []
    for epoch in range(1, epochs + 1):
        train_loss, train_acc = train_epoch(net, train_iter, loss, trainer)
        test_acc = evaluate_accuracy(net, test_iter)
        print(f"epoch {epoch:02d}: {train_loss=:.4f}, {train_acc=:.4f}, {test_acc=:.4f}")
        if not math.isfinite(train_loss):
            raise UserError("the training diverged, its loss is not finite: try a smaller --lr")
        history.append(Epoch(train_loss, train_acc, test_acc))
    return history


def predict(net: Net, test_iter: Batches, n: int = 6) -> list[tuple[str, str]]:
    """Print and return (true, predicted) names of the first batch's first n, in eval mode."""
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


# ---- Nothing of the lesson stands below this line: only files, picture, options and errors. ----


class UserError(Exception):
    """Something that the user can mend; its text says what is wrong and what to do."""


WHAT_TO_DO = "put the file there that data/README.md lists"


def read_fashion_mnist(root: Path) -> list[ImageDataset]:
    """Return the training and the test set; UserError names a file that is missing or damaged."""
    sets = []
    for part in ("train", "t10k"):
        images = read_file(root, f"{part}-images-idx3-ubyte")
        labels = read_file(root, f"{part}-labels-idx1-ubyte")
        if len(images) != len(labels) or labels.max() > 9:
            what = f"has {len(labels)} labels up to {labels.max()} for {len(images)} images"
            path = root / "FashionMNIST" / "raw" / f"{part}-labels-idx1-ubyte"
            raise UserError(f"{path} {what}: {WHAT_TO_DO}")
        sets.append(ImageDataset(images, labels))
    return sets


def read_file(root: Path, name: str) -> Tensor:
    """Return what torchvision reads from one of the four files; UserError unless it is whole."""
    path, images = root / "FashionMNIST" / "raw" / name, "images" in name
    try:
        if not path.parent.is_dir() or name not in os.listdir(path.parent):
            download(root, path)
        with path.open("rb") as file:
            head, size = file.read(16), os.fstat(file.fileno()).st_size
        n = int.from_bytes(head[4:8], "big")
        header = struct.pack(">4I", 2051, n, 28, 28) if images else struct.pack(">2I", 2049, n)
        if n and head.startswith(header) and size == len(header) + n * (784 if images else 1):
            return read_image_file(str(path)) if images else read_label_file(str(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): make it readable") from error
    kinds = {b"": "empty", b"<": "a web page", b"v": "a Git LFS pointer", b"\x1f": "still packed"}
    kind = kinds.get(head.lstrip()[:1], f"cut, too long or of another data set ({size} bytes)")
    raise UserError(f"{path} is {kind}: {WHAT_TO_DO}")


def download(root: Path, path: Path) -> None:
    """Let torchvision download the file; UserError if it cannot, or if the file lies nearby."""
    for place in ("FashionMNIST/raw", ".", "raw", "FashionMNIST", "*/FashionMNIST/raw"):
        for near in root.glob(f"{place}/{path.name.replace('-idx', '?idx')}"):
            raise UserError(f"{path} is missing, but {near} is there: move it or change --data-dir")
    socket.setdefaulttimeout(20)  # seconds that the server may stay silent
    [(archive, md5)] = [row for row in FashionMNIST.resources if path.name in row[0]]
    try:
        url = FashionMNIST.mirrors[0] + archive
        download_and_extract_archive(url, str(path.parent), md5=md5, remove_finished=True)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[-1]
        raise UserError(f"{path} is missing, no download ({reason}): {WHAT_TO_DO}") from error


def save_figure(
    path: str | Path, history: list[Epoch], net: Net, test_iter: Batches, weights: list[Tensor]
) -> None:
    """Save curves, confusion matrix, mistakes and columns of W1; UserError if it cannot be written.

    weights: the matrix of each layer, [inputs, outputs]; columns are drawn if W1 has 784 inputs.
    """
    from matplotlib.figure import Figure  # an optional dependency; a Figure needs no display

    if isinstance(net, nn.Module):
        net.eval()
    with torch.no_grad():
        answers = [(X, y, net(X).argmax(dim=1)) for X, y in test_iter]
    X, y, y_hat = (torch.cat(parts) for parts in zip(*answers, strict=True))

    figure = Figure(figsize=(7, 13.5), layout="constrained")
    panels = figure.subfigures(4, 1, squeeze=False, height_ratios=[4, 8, 6, 5.5])
    curves, matrix, mistakes, units = panels.flat
    for axes, part in zip(curves.subplots(1, 2), (slice(1), slice(1, 3)), strict=True):
        rows = [epoch[part] for epoch in history]
        axes.plot(range(1, len(rows) + 1), rows, "o-", label=Epoch._fields[part])
        axes.locator_params(axis="x", integer=True, min_n_ticks=1)
        axes.set_xlabel("epoch")
        axes.legend()

    counts = torch.bincount(10 * y + y_hat, minlength=100)
    axes = matrix.subplots()
    axes.imshow(counts.reshape(10, 10).tolist(), cmap="Blues")
    axes.set_xticks(range(10), CLASS_NAMES, rotation=45)
    axes.set_yticks(range(10), CLASS_NAMES)
    axes.set(title="Test images of each class", xlabel="predicted", ylabel="true")
    for i, n in enumerate(counts.tolist()):
        axes.text(i % 10, i // 10, n, ha="center", va="center", color="w" if n > 500 else "k")

    wrong = (y != y_hat).nonzero().flatten()[:12]
    names = [f"{CLASS_NAMES[y[i]]}\n{CLASS_NAMES[y_hat[i]]}" for i in wrong]
    title = "The first mistakes: true class, predicted class"
    draw(mistakes, title, X[wrong, 0], names, cmap="gray")
    if weights and len(weights[0]) == 784:
        W1, *rest = (W.detach() for W in weights)
        largest = W1.norm(dim=0).topk(min(12, W1.shape[1])).indices.sort().values
        W2 = rest[0] if rest else torch.eye(W1.shape[1])
        known = len(rest) < 2 and W2.shape == (W1.shape[1], 10)  # else a unit has no class
        names = [CLASS_NAMES[W2[unit].argmax()] if known else "" for unit in largest]
        title = "Columns of W1: what a unit looks for (blue) or not (red), and its class"
        images = W1.T[largest].reshape(-1, 28, 28)
        limit = images.abs().quantile(0.98).item()  # the few beyond it would make all others pale
        draw(units, title, images, names, cmap="RdBu", vmin=-limit, vmax=limit)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise UserError(f"cannot write the picture ({error}): name another file") from error


def draw(
    figure: "SubFigure", title: str, images: Tensor, names: list[str], **style: str | float
) -> None:
    """Draw up to twelve images, [n, 28, 28], each below its name."""
    figure.suptitle(title)
    grid = figure.subplots(2, 6, subplot_kw={"frame_on": False, "xticks": [], "yticks": []})
    for axes, image, name in zip(grid.flat, images.tolist(), names, strict=False):
        axes.imshow(image, **style)
        axes.set_title(name)


def checked(kind: Callable[[str], T], valid: Callable[[T], bool], what: str, text: str) -> T:
    """Return kind(text) if that is valid; argparse makes one line of the error."""
    with suppress(ValueError):
        if valid(kind(text)):
            return kind(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not {what}")


def picture(text: str) -> Path:
    """Return the path of a picture, made ready: matplotlib draws it, its file can be written."""
    path = Path(os.path.expanduser(text))
    if "ipykernel" not in sys.modules:  # which draws below its cells
        os.environ.pop("MPLBACKEND", None)  # names a window system, which a file does not need
    try:
        from matplotlib.figure import Figure

        Figure().savefig(BytesIO(), format=path.suffix[1:])
        new = not path.exists()
        path.open("ab").close()
        if new:
            path.unlink()
    except (ImportError, AttributeError, ValueError, OSError) as error:
        what = "it takes matplotlib (pip install matplotlib) and a .png, .svg or .pdf file"
        reason = " ".join(str(error).split())
        raise argparse.ArgumentTypeError(f"cannot draw {text!r} ({reason}): {what}") from error
    return path


def parse_args(about: str | None, argv: list[str] | None, **defaults: float) -> argparse.Namespace:
    """Return the options in argv (None: of the command line); a bad one exits with status 2."""
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=about, formatter_class=formatter)
    parser.error = lambda text: parser.exit(2, f"{parser.prog}: error: {text}\n")  # type: ignore
    parser.set_defaults(**defaults, seed=0, data_dir=str(DATA_DIR), figure=None)
    count = partial(checked, int, range(1, 2**63).__contains__, "a whole number above 0")
    rate = partial(checked, float, lambda lr: 0 < lr < 1e38, "a number above 0")
    seed = partial(checked, int, range(2**64).__contains__, "a whole number from 0 to 2**64 - 1")
    folder = partial(checked, os.path.expanduser, os.path.isdir, "the folder above FashionMNIST")
    option = parser.add_argument
    option("--epochs", type=count, help="passes over the training set")
    option("--batch-size", type=count, help="images a step")
    option("--num-hiddens", type=count, help="hidden units")
    option("--lr", type=rate, help="learning rate")
    option("--seed", type=seed, help="start of the random draws")
    option("--data-dir", type=folder, help="folder that holds FashionMNIST/raw")
    option("--figure", type=picture, default=argparse.SUPPRESS, help="picture: .png, .svg, .pdf")
    return parser.parse_args(argv)


def run(main: Callable[[], T]) -> T:
    """Return what main returns, or end in one line: status 1, after Ctrl-C 130, closed pipe 141."""
    if isinstance(sys.stdout, TextIOWrapper):  # which in IDLE it is not
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    if sys.flags.inspect:  # python -i, which would show the traceback of an exit
        show = sys.excepthook
        sys.excepthook = lambda kind, *rest: None if kind is SystemExit else show(kind, *rest)
    status = 1
    try:
        return main()
    except KeyboardInterrupt:
        status, message = 130, "interrupted"
    except UserError as error:
        message = f"error: {error}"
    except (MemoryError, RuntimeError) as error:
        if not any(word in repr(error) for word in ("MemoryError", "Allocator", "Storage size")):
            raise
        message = "error: not enough memory: try a smaller --num-hiddens or --batch-size"
    except OSError:
        try:
            print(flush=True)
        except OSError as error:  # so it was the output that failed
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again
            if error.errno in (errno.EPIPE, errno.EINVAL):
                sys.exit(141)
            message = f"error: cannot write the output ({error}): send it elsewhere"
        else:
            raise
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    sys.exit(status)
