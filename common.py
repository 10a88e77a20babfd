"""What both scripts share: the data, the metrics, the loops, the predictions and the command line."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler, TensorDataset
from torchvision.datasets import FashionMNIST

DATA_DIR = Path(__file__).resolve().parent / "data"
CLASS_NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

Batches = Iterable[tuple[Tensor, Tensor]]
Net = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
T = TypeVar("T")


class BatchDataset(TensorDataset):
    """Tensors in memory, indexed by a whole batch at a time."""

    def __getitem__(self, indices: list[int]) -> tuple[Tensor, ...]:
        """Return the rows `indices` (0 .. n - 1) of every tensor, as copies."""
        # index_select copies whole rows; tensor[indices] gives the same values several times slower.
        index = torch.tensor(indices, dtype=torch.int64)
        return tuple(tensor.index_select(0, index) for tensor in self.tensors)


def load_data_fashion_mnist(
    batch_size: int, root: str | Path = DATA_DIR
) -> tuple[DataLoader[tuple[Tensor, ...]], DataLoader[tuple[Tensor, ...]]]:
    """Load Fashion-MNIST once and return (train_iter, test_iter); only train_iter shuffles.

    Each yields X: [batch, 1, 28, 28] float32 in 0..1 and y: [batch] int64 in 0..9; the last batch may be smaller.
    root: torchvision's root; files that are missing there are downloaded into it.
    Batches and random draws are those of ToTensor with DataLoader(shuffle=True). Source: "Disable automatic batching"
    in torch.utils.data.
    """
    loaders = []
    for train in (True, False):
        source = FashionMNIST(root, train=train, download=True)
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
    """Train for num_epochs, print one line an epoch, and return the history. Arguments as in train_epoch."""
    history = []
    for number in range(1, num_epochs + 1):
        epoch = Epoch(*train_epoch(net, train_iter, loss, trainer), evaluate_accuracy(net, test_iter))
        history.append(epoch)
        metrics = ", ".join(f"{name}={value:.4f}" for name, value in epoch._asdict().items())
        print(f"epoch {number:02d} : {metrics}", flush=True)
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


class Options(argparse.Namespace):
    """The command line, as parse_args returns it."""

    epochs: int
    batch_size: int
    num_hiddens: int
    lr: float
    seed: int
    data_dir: str


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
    """Return the options in argv, by default those of the command line; a bad one exits with status 2."""
    count = _checked(int, lambda n: 1 <= n <= 10**9, "a whole number from 1 to 1000000000")
    seed = _checked(int, lambda n: 0 <= n < 2**64, "a whole number from 0 to 2**64 - 1")
    largest = torch.finfo(torch.float32).max
    rate = _checked(float, lambda x: 0 < x <= largest, f"a number above 0 and at most {largest:.4g}")
    name = _checked(str, bool, "the name of a folder")
    # Without its usage lines, a refusal is the one line that matters.
    parser = argparse.ArgumentParser(description=description, usage=argparse.SUPPRESS)
    add = parser.add_argument
    add("--epochs", type=count, default=10, metavar="N", help="passes over the training set (default: %(default)s)")
    add("--batch-size", type=count, default=256, metavar="N", help="images a step (default: %(default)s)")
    add("--num-hiddens", type=count, default=256, metavar="N", help="hidden units (default: %(default)s)")
    add("--lr", type=rate, default=0.1, metavar="RATE", help="learning rate (default: %(default)s)")
    add("--seed", type=seed, default=0, metavar="N", help="start of the random draws (default: %(default)s)")
    place = "folder of the data set (default: data, beside the scripts)"
    add("--data-dir", type=name, default=str(DATA_DIR), metavar="DIR", help=place)
    return parser.parse_args(argv, namespace=Options())
