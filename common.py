"""What both scripts share, in the order of the lesson: data, metrics, training, prediction."""

import errno
import math
import os
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from http.client import HTTPException
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, Subset
from torchvision.datasets import FashionMNIST
from torchvision.datasets.utils import check_integrity

DATA_DIR = Path(__file__).parent / "data"
CLASS_NAMES = ["t-shirt", "trouser", "pullover", "dress", "coat"]
CLASS_NAMES += ["sandal", "shirt", "sneaker", "bag", "ankle boot"]

Batch = tuple[Tensor, Tensor]  # X: [batch, 1, 28, 28] float32 in 0..1 and y: [batch] int64
Data = Iterable[Batch]
Loader = DataLoader[Batch]
Net = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


class ImageDataset(Dataset[Batch]):
    """Images, bytes in memory that become floats when they are taken out, and their labels."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        """images: [n, height, width] uint8, labels: [n] int64, as MNIST(...).data and .targets.

        ValueError for other images, such as floats, which would be divided by 255 a second time.
        """
        if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.ndim != 3:
            dtype, shape = getattr(images, "dtype", None), getattr(images, "shape", None)
            found = f"{type(images).__name__} (dtype {dtype}, shape {shape})"
            raise ValueError(f"images must be a uint8 tensor [n, height, width], not {found}")
        self.images, self.labels = images, labels
        self.rows = torch.arange(len(labels))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int | slice | list[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Return X: [1, height, width] float32 in 0..1 and y: []; of k rows [k, 1, ...] and [k].

        A loader takes a whole batch at once: its images share any random change made here.
        """
        rows = self.rows[index]  # row numbers, whether index is -1, a slice, a list or a mask
        X = self.images.index_select(0, rows.flatten())  # takes a third of the time of images[rows]
        return X.reshape(*rows.shape, 1, *X.shape[1:]) / 255, self.labels[rows]


def loader(dataset: ImageDataset | Subset[Batch], batch_size: int, shuffle: bool) -> Loader:
    """Return a loader that takes each batch out of the dataset at once; the last may be smaller.

    dataset: images and labels, or a part of them, as random_split makes it.
    shuffle: draw another order in each pass. len() of a loader is its number of batches.
    """
    rows = RandomSampler(dataset) if shuffle else range(len(dataset))
    batches = BatchSampler(rows, batch_size=batch_size, drop_last=False)  # lists of row numbers
    return DataLoader(dataset, sampler=batches, batch_size=None)  # None: they are batches already


def load_data_fashion_mnist(batch_size: int, root: str | Path = DATA_DIR) -> tuple[Loader, Loader]:
    """Return (train_iter, test_iter), loaders of X: [batch, 1, 28, 28] in 0..1 and y: [batch].

    Only train_iter shuffles. root: torchvision's root; the data set is downloaded to it if none
    of its files is there. UserError if one is missing or damaged.
    """
    root = Path(os.path.expanduser(root))
    check_files(root)
    parts = FashionMNIST(root, train=True), FashionMNIST(root, train=False)
    train_set, test_set = (ImageDataset(part.data, part.targets) for part in parts)
    return loader(train_set, batch_size, shuffle=True), loader(test_set, batch_size, shuffle=False)


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

    y: class indices [batch]. y_hat: the same, or logits [batch, classes]: the first largest counts,
    which for a single score a row is always class 0. ValueError if the shapes do not fit.
    """
    if y_hat.ndim > 1:
        y_hat = y_hat.argmax(dim=1)
    if y_hat.shape != y.shape:
        raise ValueError(f"predictions {list(y_hat.shape)} do not fit labels {list(y.shape)}")
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
    trainer: the article's name for the optimizer, which changes the parameters.
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


# What each script's main returns: net, params, history, train_iter, test_iter.
Result = tuple[Net, list[nn.Parameter], list[Epoch], Loader, Loader]


def train(
    net: Net,
    train_iter: Data,
    test_iter: Data,
    loss: Loss,
    trainer: Optimizer,
    epochs: int,
    scheduler: "torch.optim.lr_scheduler.LRScheduler | None" = None,  # quoted for torch 1.13
) -> list[Epoch]:
    """Train, print a line an epoch and return the history; UserError if a loss is not finite.

    scheduler: changes the learning rate after each epoch, by its step() without arguments.
    """
    history = []
    for epoch in range(1, epochs + 1):
        train_loss, train_acc = train_epoch(net, train_iter, loss, trainer)
        test_acc = evaluate_accuracy(net, test_iter)
        print(f"epoch {epoch:02d}: {train_loss=:.4f}, {train_acc=:.4f}, {test_acc=:.4f}")
        if not math.isfinite(train_loss):
            raise UserError(DIVERGED)
        history.append(Epoch(train_loss, train_acc, test_acc))
        if scheduler is not None:
            scheduler.step()
    return history


def predict(
    net: Net, test_iter: Data, n: int = 6, class_names: Sequence[str] = CLASS_NAMES
) -> list[tuple[str, str]]:
    """Print and return (true, predicted) names of the first n images of the first batch.

    class_names: in label order; classes beyond them are numbered. UserError if it diverged.
    """
    if isinstance(net, nn.Module):
        net.eval()
    X, y = next(iter(test_iter))
    with torch.no_grad():
        logits = net(X)
    if not logits.isfinite().all():
        raise UserError(DIVERGED)
    names = dict(enumerate(class_names))
    pairs = []
    print("\nPredictions:")
    for i, j in zip(y[:n].tolist(), logits.argmax(dim=1)[:n].tolist(), strict=True):
        true, predicted = names.get(i, str(i)), names.get(j, str(j))
        pairs.append((true, predicted))
        print(f"{len(pairs)}. true: {true:<10} predicted: {predicted}")
    return pairs


# ---- Nothing of the lesson stands below this line: only files, options and endings. ----


class UserError(Exception):
    """Something that the user can mend; its text says what is wrong and what to do."""


DIVERGED = "the training diverged, its numbers are not finite: most often --lr is too large"
MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def check_files(root: Path) -> None:
    """Download the data set if none of its files is there; UserError if one is not whole."""
    raw = root / "FashionMNIST" / "raw"
    advice = "put the files there that data/README.md lists"
    try:
        if not any(os.path.lexists(raw / name) for name in MD5):  # nor a link that is broken
            FashionMNIST(root, download=True)
        faulty = [name for name, md5 in MD5.items() if not check_integrity(raw / name, md5)]
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split())  # torchvision's has several lines
        raise UserError(f"{raw} cannot be read or downloaded ({reason}): {advice}") from error
    if faulty:
        advice += f", or delete {raw} to download them all"
        raise UserError(f"{raw / faulty[0]} is missing, damaged or of another data set: {advice}")


def parse_args(about: str | None, argv: list[str] | None, **defaults: float) -> Namespace:
    """Return the options in argv (None: of the command line); a bad one exits with status 2."""
    parser = ArgumentParser(description=about, formatter_class=ArgumentDefaultsHelpFormatter)
    parser.set_defaults(**defaults, seed=0, data_dir=DATA_DIR)
    parser.add_argument("--epochs", type=int, help="passes over the training images")
    parser.add_argument("--batch-size", type=int, help="images a step")
    parser.add_argument("--num-hiddens", type=int, help="hidden units")
    parser.add_argument("--lr", type=float, help="learning rate")
    parser.add_argument("--seed", type=int, help="start of the random draws")
    parser.add_argument("--data-dir", type=os.path.expanduser, help="holds FashionMNIST/raw")
    args = parser.parse_args(argv)
    if args.epochs < 0:
        parser.error("argument --epochs: it must be 0 or more")
    if args.batch_size < 1:
        parser.error("argument --batch-size: it must be 1 or more")
    if args.num_hiddens < 1:
        parser.error("argument --num-hiddens: it must be 1 or more")
    if not 0 < args.lr <= 1e38:
        parser.error("argument --lr: it must be above 0 and at most 1e38")
    if not 0 <= args.seed < 2**64:
        parser.error("argument --seed: it must be from 0 to 2**64 - 1")
    if args.data_dir != DATA_DIR and not os.path.isdir(args.data_dir):
        parser.error(f"argument --data-dir: {args.data_dir!r} is not a folder")
    return args


def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End in one line after a UserError or Ctrl-C, in none if nobody reads the output any more."""
    if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.EINVAL):  # Windows: EINVAL
        try:
            print(flush=True)
        except OSError:  # the pipe is closed, as by `| head`
            os._exit(141)  # the usual status then, and without Python's own complaint
    script = Path(sys.argv[0]).name
    if isinstance(error, UserError):
        print(f"{script}: error: {error}", file=sys.stderr)
    elif isinstance(error, KeyboardInterrupt):
        print(f"{script}: interrupted", file=sys.stderr)
    elif isinstance(error, SystemExit) and isinstance(error.code, int):
        pass  # after `python -i`: argparse has said already what is wrong
    else:
        sys.__excepthook__(kind, error, trace)


def run(main: Callable[[], Result]) -> Result:
    """Return what main returns; all errors that main does not catch end as end says."""
    sys.excepthook = end
    if "kernel_launcher" in sys.argv[0]:
        del sys.argv[1:]  # of a notebook or an editor, not options of the script
    if isinstance(sys.stdout, TextIOWrapper):  # not so in IDLE, and without a console
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    return main()
