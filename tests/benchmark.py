"""What an epoch costs, and what it need not: `python tests/benchmark.py`, about three minutes.

Every figure is the median of several rounds of one run; in each round all variants take their turn, so that a ratio
compares neighbours in time.
"""

import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import article
import torch
from torch import Tensor, nn

import common
import mlp_api
import mlp_scratch

Epoch = Callable[[], tuple[float, float]]

STATUS = Path("/proc/self/status")  # where Linux keeps a process's peak memory
PEAK = """
import sys
sys.path[:0] = {path!r}
import article, common, mlp_api, mlp_scratch
{code}
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def seconds(work: Callable[[], object]) -> float:
    """Return how long work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def scratch_epoch(train_iter: common.Batches, test_iter: common.Batches, num_hiddens: int = 256) -> Epoch:
    """Return what trains and tests mlp_scratch's network for one epoch: (train seconds, test seconds)."""
    params = mlp_scratch.init_params(num_hiddens)

    def net(X: Tensor) -> Tensor:
        return mlp_scratch.net(X, *params)

    return timed_epoch(net, nn.CrossEntropyLoss(reduction="none"), params, train_iter, test_iter)


def api_epoch(train_iter: common.Batches, test_iter: common.Batches) -> Epoch:
    """Return the same for mlp_api's network."""
    net = mlp_api.make_net(256).apply(mlp_api.init_weights)
    return timed_epoch(net, nn.CrossEntropyLoss(), net.parameters(), train_iter, test_iter)


def timed_epoch(
    net: common.Net,
    loss: common.Loss,
    params: Iterable[nn.Parameter],
    train_iter: common.Batches,
    test_iter: common.Batches,
) -> Epoch:
    """Return what trains and tests net for one epoch with the scripts' own loop."""
    trainer = torch.optim.SGD(params, lr=0.1)

    def epoch() -> tuple[float, float]:
        train = partial(common.train_epoch, net, train_iter, loss, trainer)
        return seconds(train), seconds(partial(common.evaluate_accuracy, net, test_iter))

    return epoch


def products_epoch(train_sizes: list[int], test_sizes: list[int]) -> Epoch:
    """Return what does only the matrix products of an epoch: five a training step and two a test batch."""
    X, W1, W2 = torch.rand(256, 784), torch.rand(784, 256), torch.rand(256, 10)
    H, logits = torch.rand(256, 256), torch.rand(256, 10)

    def forward(n: int) -> None:
        X[:n] @ W1
        H[:n] @ W2

    def train() -> None:
        for n in train_sizes:
            forward(n)
            H[:n].T @ logits[:n]
            logits[:n] @ W2.T
            X[:n].T @ H[:n]

    def test() -> None:
        for n in test_sizes:
            forward(n)

    return lambda: (seconds(train), seconds(test))


def rounds(epochs: dict[str, Epoch], number: int) -> dict[str, list[list[float]]]:
    """Return for each variant the seconds [train, test, both] of each round; in a round all take their turn."""
    times: dict[str, list[list[float]]] = {name: [] for name in epochs}
    for round_ in range(number + 1):
        for name, epoch in epochs.items():
            train, test = epoch()
            if round_:  # the first round is for warming up
                times[name].append([train, test, train + test])
    return times


def median_row(rows: list[list[float]]) -> str:
    """Return the median seconds of train, test and both as cells of a table."""
    return " | ".join(f"{statistics.median(column):.3f}" for column in zip(*rows, strict=True))


def median_ratio(rows: list[list[float]], others: list[list[float]]) -> float:
    """Return the median over the rounds of the ratio of both times."""
    return statistics.median(row[2] / other[2] for row, other in zip(rows, others, strict=True))


def peak_megabytes(code: str) -> float:
    """Return the peak memory of a new Python that imports this project and runs code."""
    path = [str(common.DATA_DIR.parent), str(Path(__file__).parent)]
    program = PEAK.format(path=path, code=code)
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return int(process.stdout.split()[-1]) / 1000


def main() -> None:
    """Measure and print Markdown tables."""
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, ", end="")
    print(f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads\n")

    ours, stock = common.load_data_fashion_mnist(256), article.loaders(256, common.DATA_DIR)
    sizes = [[len(y) for _, y in data_iter] for data_iter in ours]
    X, y = next(iter(ours[0]))
    resident = [[(X[:n], y[:n]) for n in row] for row in sizes]
    print("| seconds an epoch | train | test | both | against the script |")
    print("| --- | --- | --- | --- | --- |")
    for script, make_epoch in (("mlp_scratch", scratch_epoch), ("mlp_api", api_epoch)):
        own = make_epoch(*ours)
        fast = rounds({"own": own, "resident": make_epoch(*resident), "products": products_epoch(*sizes)}, 15)
        slow = rounds({"own": own, "article": make_epoch(*stock)}, 5)
        print(f"| **{script}** | {median_row(fast['own'])} | |")
        print(f"| the article's way | {median_row(slow['article'])} | ", end="")
        print(f"takes {median_ratio(slow['article'], slow['own']):.1f} times as long |")
        print(f"| one batch kept in memory | {median_row(fast['resident'])} | ", end="")
        print(f"the script takes {median_ratio(fast['own'], fast['resident']):.2f} times as long |")
        print(f"| bare matrix products | {median_row(fast['products'])} | ", end="")
        print(f"the script takes {median_ratio(fast['own'], fast['products']):.2f} times as long |")

    if STATUS.exists():
        peaks = {
            "the article's way": "article.history('mlp_scratch', common.DATA_DIR, 1, 256, 256, 0.1, 0)",
            "mlp_scratch": "mlp_scratch.main(['--epochs', '1'])",
            "mlp_api": "mlp_api.main(['--epochs', '1'])",
            "imports alone": "",
        }
        megabytes = {name: peak_megabytes(code) for name, code in peaks.items()}
        print("\n| peak memory | MB | ratio |\n| --- | --- | --- |")
        for name, peak in megabytes.items():
            print(f"| {name} | {peak:.0f} | {peak / megabytes[next(iter(peaks))]:.2f} |")

    by_units = {str(n): scratch_epoch(*ours, num_hiddens=n) for n in (64, 128, 256, 512, 1024)}
    by_batch = {str(n): scratch_epoch(*common.load_data_fashion_mnist(n)) for n in (16, 64, 256, 1024)}
    for title, epochs in (("num_hiddens, batch size 256", by_units), ("batch size, num_hiddens 256", by_batch)):
        print(f"\n| mlp_scratch: {title} | train | test | both |\n| --- | --- | --- | --- |")
        for name, times in rounds(epochs, 3).items():
            print(f"| {name} | {median_row(times)} |")


if __name__ == "__main__":
    main()
