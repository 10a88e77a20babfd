"""What an epoch costs, and what it need not: `python tests/benchmark.py`, about four minutes.

Every figure is the median of several rounds of one run; in each round all variants take their turn,
so that a ratio compares neighbours in time.
"""

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor, nn
from tqdm import tqdm

import article
import common
import mlp_api
import mlp_scratch

Work = Callable[[], object]


def scratch_epoch(loaders: Iterable[common.Data]) -> Work:
    """Return what trains and tests mlp_scratch's network for one epoch."""
    params = mlp_scratch.init_params(256)

    def net(X: Tensor) -> Tensor:
        return mlp_scratch.forward(X, *params)

    return whole_epoch(net, nn.CrossEntropyLoss(reduction="none"), params, loaders)


def api_epoch(loaders: Iterable[common.Data]) -> Work:
    """Return the same for mlp_api's network."""
    net = mlp_api.make_net(256).apply(mlp_api.init_weights)
    return whole_epoch(net, nn.CrossEntropyLoss(), net.parameters(), loaders)


def whole_epoch(
    net: common.Net,
    loss: common.Loss,
    params: Iterable[nn.Parameter],
    loaders: Iterable[common.Data],
) -> Work:
    """Return what trains and tests net for one epoch with the scripts' own loop."""
    train_iter, test_iter = loaders
    trainer = torch.optim.SGD(params, lr=0.1)

    def epoch() -> None:
        common.train_epoch(net, train_iter, loss, trainer)
        common.evaluate_accuracy(net, test_iter)

    return epoch


def products_epoch(train_sizes: list[int], test_sizes: list[int]) -> Work:
    """Return what does the matrix products of an epoch: five a training step, two a test batch."""
    X, W1, W2 = torch.rand(256, 784), torch.rand(784, 256), torch.rand(256, 10)
    H, logits = torch.rand(256, 256), torch.rand(256, 10)

    def epoch() -> None:
        for n in train_sizes + test_sizes:
            X[:n] @ W1
            H[:n] @ W2
        for n in train_sizes:
            H[:n].T @ logits[:n]
            logits[:n] @ W2.T
            X[:n].T @ H[:n]

    return epoch


def measure(epochs: dict[str, Work], rounds: int, title: str) -> dict[str, list[float]]:
    """Return for each variant the seconds of each round; in a round all take their turn."""
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for number in tqdm(range(rounds + 1), desc=title, unit="round"):
        for name, epoch in epochs.items():
            start = time.perf_counter()
            epoch()
            seconds = time.perf_counter() - start
            if number > 0:  # round 0 is for warming up
                times[name].append(seconds)
    return times


def ratio(times: list[float], others: list[float]) -> float:
    """Return the median over the rounds of the ratio of both times."""
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


def main(root: Path = common.DATA_DIR, rounds: int = 7) -> None:
    """Measure and print a Markdown table."""
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, ", end="")
    print(f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads\n")
    ours = common.load_data_fashion_mnist(256, root)
    stock = article.loaders(256, root)
    train_sizes, test_sizes = ([len(y) for _, y in data_iter] for data_iter in ours)
    products = products_epoch(train_sizes, test_sizes)

    columns = []
    for script, make in {"mlp_scratch.py": scratch_epoch, "mlp_api.py": api_epoch}.items():
        epochs = {"here": make(ours), "article": make(stock), "products": products}
        times = measure(epochs, rounds, script)
        column = {
            "here": f"{statistics.median(times['here']):.2f}",
            "the article's way": f"{statistics.median(times['article']):.2f}",
            "times as long": f"{ratio(times['article'], times['here']):.1f}",
            "matrix products alone": f"{statistics.median(times['products']):.2f}",
        }
        columns.append(column)

    scratch, api = columns
    print("| seconds an epoch | `mlp_scratch.py` | `mlp_api.py` |\n| --- | --- | --- |")
    for name in scratch:
        print(f"| {name} | {scratch[name]} | {api[name]} |")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    common.run(main)  # type: ignore[arg-type] # which returns nothing
