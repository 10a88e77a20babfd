"""What both scripts share, in the order of the lesson: data, metrics, training, prediction."""

import argparse
import math
import os
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler
from torchvision.datasets import FashionMNIST
from torchvision.datasets.utils import check_integrity, download_and_extract_archive

DATA_DIR = Path(__file__).parent / "data"
CLASS_NAMES = [name.lower().removesuffix("/top") for name in FashionMNIST.classes]

Data = Iterable[tuple[Tensor, Tensor]]  # batches of X: [batch, 1, 28, 28] and y: [batch]
Loader = DataLoader[tuple[Tensor, Tensor]]
Net = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


class ImageDataset(Dataset[tuple[Tensor, Tensor]]):
    """Images, bytes in memory that become floats when they are taken out, and their labels."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        """images: [n, 28, 28] uint8, labels: [n] int64, such as MNIST(...).data and .targets."""
        self.images, self.labels = images, labels
        self.rows = torch.arange(len(labels))  # from which a slice, a mask or -1 takes row numbers

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int | slice | list[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Return X: [1, 28, 28] float32 in 0..1, y: [] int64; of k rows [k, 1, 28, 28] and [k].

        The loaders take a whole batch at once: its images share any random change made here.
        """
        rows = self.rows[index]
        X = self.images.index_select(0, rows.flatten()).reshape(*rows.shape, 1, 28, 28) / 255
        return X, self.labels[rows]


def load_data_fashion_mnist(batch_size: int, root: str | Path = DATA_DIR) -> tuple[Loader, Loader]:
    """Return (train_iter, test_iter), loaders of X: [batch, 1, 28, 28] in 0..1 and y: [batch].

    Only train_iter shuffles, anew in each pass. The last batch may be smaller; len() is of batches.
    root: torchvision's root; a missing file is downloaded. UserError if one cannot be used.
    """
    root = check_files(Path(os.path.expanduser(root)))
    parts = FashionMNIST(root, train=True), FashionMNIST(root, train=False)
    train_set, test_set = (ImageDataset(part.data, part.targets) for part in parts)
    train_rows = BatchSampler(RandomSampler(train_set), batch_size=batch_size, drop_last=False)
    test_rows = BatchSampler(range(len(test_set)), batch_size=batch_size, drop_last=False)
    # A sampler gives a list of rows for each batch; batch_size=None: do not batch them again.
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
    ValueError unless predictions and labels then have one shape.
    """
    if y_hat.ndim > 1:
        y_hat = y_hat.argmax(dim=1)
    if y_hat.shape != y.shape:
        raise ValueError(f"{list(y_hat.shape)} predictions do not fit {list(y.shape)} labels")
    return float((y_hat == y).sum())


def evaluate_accuracy(net: Net, data_iter: Data) -> float:
    """Return the share of samples, 0..1, that net puts into the right class, in eval mode."""
    if isinstance(net, nn.Module):
        net.eval()
    metric = Accumulator(2)  # number correct, number of samples
    with torch.no_grad():
        for X, y in data_iter:
            metric.add(accuracy(net(X), y), len(y))
    return metric[0] / metric[1]  # ZeroDivisionError: data_iter is empty, or used up


def train_epoch(net: Net, train_iter: Data, loss: Loss, trainer: Optimizer) -> tuple[float, float]:
    """Train on every batch once; return mean loss and accuracy, 0..1, taken before each step.

    net: anything from X to logits [batch, classes]; an nn.Module is put into train mode.
    loss: loss(logits, y) is one value for each sample, [batch], or their mean, [].
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
    return metric[0] / metric[2], metric[1] / metric[2]  # ZeroDivisionError: no batch is left


class Epoch(NamedTuple):
    """What an epoch reached: the mean loss over the training samples, both accuracies in 0..1."""

    train_loss: float
    train_acc: float
    test_acc: float


Result = tuple[Net, list[nn.Parameter], list[Epoch]]  # what each script's main returns


def train(
    net: Net, train_iter: Data, test_iter: Data, loss: Loss, trainer: Optimizer, epochs: int
) -> list[Epoch]:
    """Train, print a line an epoch and return the history; UserError if a loss is not finite."""
    history = []
    for epoch in range(1, epochs + 1):
        train_loss, train_acc = train_epoch(net, train_iter, loss, trainer)
        test_acc = evaluate_accuracy(net, test_iter)
        print(f"epoch {epoch:02d}: {train_loss=:.4f}, {train_acc=:.4f}, {test_acc=:.4f}")
        if not math.isfinite(train_loss):
            raise UserError(DIVERGED)
        history.append(Epoch(train_loss, train_acc, test_acc))
    return history


def predict(net: Net, test_iter: Data, n: int = 6) -> list[tuple[str, str]]:
    """Print and return (true, predicted) names, up to n of a batch; UserError if it diverged."""
    if isinstance(net, nn.Module):
        net.eval()
    X, y = next(iter(test_iter))
    with torch.no_grad():
        largest, y_hat = net(X).max(dim=1)
    if not largest.isfinite().all():
        raise UserError(DIVERGED)
    names = [(CLASS_NAMES[i], CLASS_NAMES[j]) for i, j in zip(y[:n], y_hat[:n], strict=True)]
    print("\nPredictions:")
    for number, (true, predicted) in enumerate(names, start=1):
        print(f"{number}. true: {true:<10} predicted: {predicted}")
    return names


# ---- Nothing of the lesson stands below this line: only files, options and endings. ----


class UserError(Exception):
    """Something that the user can mend; its text says what is wrong and what to do."""


DIVERGED = "the training diverged, its numbers are not finite: try a smaller --lr"
MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def check_files(root: Path) -> Path:
    """Return root, missing files downloaded; UserError names a file that is not there and whole."""
    for name, md5 in MD5.items():
        path = root / "FashionMNIST" / "raw" / name
        try:
            if not os.path.lexists(path):
                download(path)
            fault = "" if check_integrity(str(path), md5) else "is damaged or of another data set"
        except (OSError, RuntimeError, HTTPException) as error:
            fault = f"cannot be read or downloaded ({error!r})"
        if fault:
            raise UserError(f"{path} {fault}: put the file there that data/README.md lists")
    return root


def download(path: Path) -> None:
    """Download the file into a temporary folder and move it: it is there whole or not at all."""
    [(archive, md5)] = [row for row in FashionMNIST.resources if path.name in row[0]]
    beside = next(filter(Path.is_dir, path.parents), path.parent)  # on the same disk: one move
    with TemporaryDirectory(dir=beside) as folder, ExitStack() as at_the_end:
        at_the_end.callback(socket.setdefaulttimeout, socket.getdefaulttimeout())
        socket.setdefaulttimeout(20)  # seconds that the server may stay silent
        download_and_extract_archive(FashionMNIST.mirrors[0] + archive, folder, md5=md5)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # on Windows, if another run was faster
            os.rename(os.path.join(folder, path.name), path)


def parse_args(about: str | None, argv: list[str] | None, **defaults: float) -> argparse.Namespace:
    """Return the options in argv (None: of the command line); a bad one exits with status 2."""
    parser = argparse.ArgumentParser(description=about)
    parser.error = lambda text: parser.exit(2, f"{parser.prog}: error: {text}\n")  # type: ignore
    parser.set_defaults(**defaults, seed=0, data_dir=DATA_DIR)
    numbers = {
        "--epochs": (int, 0, 2**63 - 1, "passes over the training set"),
        "--batch-size": (int, 1, 2**63 - 1, "images a step"),
        "--num-hiddens": (int, 1, 2**63 - 1, "hidden units"),
        "--lr": (float, 1e-45, 1e38, "learning rate"),
        "--seed": (int, 0, 2**64 - 1, "start of the random draws"),
    }
    for name, (kind, _, _, what) in numbers.items():
        parser.add_argument(name, type=kind, help=f"{what} (default: %(default)s)")
    what = "folder that holds FashionMNIST/raw (default: %(default)s)"
    parser.add_argument("--data-dir", type=os.path.expanduser, help=what)
    args = parser.parse_args(argv)
    for name, (_, low, high, _) in numbers.items():
        if not low <= vars(args)[name[2:].replace("-", "_")] <= high:
            parser.error(f"argument {name}: it must be a number from {low} to {high}")
    if args.data_dir != DATA_DIR and not os.path.isdir(args.data_dir):
        parser.error(f"argument --data-dir: {args.data_dir!r} is not a folder")
    return args


def run(main: Callable[[], Result]) -> Result:
    """Return what main returns. A UserError and Ctrl-C end in one line, a closed pipe in none."""

    def show(kind: type[BaseException], error: BaseException, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in (22, 32):  # a closed pipe: Windows, others
            try:
                print(flush=True)
            except OSError:  # so nobody reads the output any more
                os._exit(141)
        if isinstance(error, UserError | KeyboardInterrupt):
            message = f"error: {error}" if isinstance(error, UserError) else "interrupted"
            print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
        elif not isinstance(error, SystemExit) or isinstance(error.code, str):  # after python -i
            sys.__excepthook__(kind, error, error.__traceback__)

    if hasattr(sys.stdout, "reconfigure"):  # IDLE's has no such method
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    sys.excepthook = show
    return main()
