"""What an epoch costs, and what it need not: `python tests/benchmark.py`, about four minutes.

Every figure is the median of several rounds of one run; in each round all variants take their turn,
so that a ratio compares neighbours in time.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor, nn

import article
import common
import mlp_api
import mlp_scratch

Epoch = Callable[[], object]
PEAK = """
import sys
sys.path[:0] = {path!r}
import article, common, mlp_api, mlp_scratch
{code}
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def scratch_epoch(loaders: Iterable[common.Data]) -> Epoch:
    """Return what trains and tests mlp_scratch's network for one epoch."""
    params = mlp_scratch.init_params(256)

    def net(X: Tensor) -> Tensor:
        return mlp_scratch.forward(X, *params)

    return whole_epoch(net, nn.CrossEntropyLoss(reduction="none"), params, loaders)


def api_epoch(loaders: Iterable[common.Data]) -> Epoch:
    """Return the same for mlp_api's network."""
    net = mlp_api.make_net(256).apply(mlp_api.init_weights)
    return whole_epoch(net, nn.CrossEntropyLoss(), net.parameters(), loaders)


def whole_epoch(
    net: common.Net, loss: common.Loss, params: Iterable[nn.Parameter], loaders: Iterable[common.Data]
) -> Epoch:
    """Return what trains and tests net for one epoch with the scripts' own loop."""
    train_iter, test_iter = loaders
    trainer = torch.optim.SGD(params, lr=0.1)

    def epoch() -> None:
        common.train_epoch(net, train_iter, loss, trainer)
        common.evaluate_accuracy(net, test_iter)

    return epoch


def products_epoch(train_sizes: list[int], test_sizes: list[int]) -> Epoch:
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


def measure(epochs: dict[str, Epoch], rounds: int, title: str) -> dict[str, list[float]]:
    """Return for each variant the seconds of each round; in a round all take their turn."""
    from tqdm import tqdm

    times: dict[str, list[float]] = {name: [] for name in epochs}
    for round_ in tqdm(range(rounds + 1), desc=title, unit="round"):
        for name, epoch in epochs.items():
            start = time.perf_counter()
            epoch()
            if round_:  # the first round is for warming up
                times[name].append(time.perf_counter() - start)
    return times


def ratio(times: list[float], others: list[float]) -> float:
    """Return the median over the rounds of the ratio of both times."""
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


def peak_megabytes(code: str) -> float:
    """Return the peak memory of a new Python that imports this project and runs code (Linux)."""
    path = [str(common.DATA_DIR.parent), str(Path(__file__).parent)]
    program = PEAK.format(path=path, code=code)
    command = [sys.executable, "-c", program]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(process.stdout.split()[-1]) / 1000


def main(root: Path = common.DATA_DIR, rounds: int = 7) -> None:
    """Measure and print Markdown tables."""
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, ", end="")
    print(f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads\n")
    ours, stock = common.load_data_fashion_mnist(256, root), article.loaders(256, root)
    products = products_epoch(*([len(y) for _, y in data_iter] for data_iter in ours))
    columns = []
    for name, make in {"mlp_scratch.py": scratch_epoch, "mlp_api.py": api_epoch}.items():
        times = measure({"here": make(ours), "article": make(stock), "products": products}, rounds, name)
        here, way, alone = (f"{statistics.median(seconds):.2f}" for seconds in times.values())
        columns.append([here, way, f"{ratio(times['article'], times['here']):.1f}", alone])
    print("| seconds an epoch | `mlp_scratch.py` | `mlp_api.py` |\n| --- | --- | --- |")
    names = ("here", "the article's way", "times as long", "matrix products alone")
    for name, *figures in zip(names, *columns, strict=True):
        print(f"| {name} | {' | '.join(figures)} |")

    if sys.platform == "linux":
        one = f"article.history('mlp_scratch', {str(root)!r}, 1, 256, 256, 0.1, 0)"
        peaks = {
            "the article's way": one,
            "`mlp_scratch.py`": f"mlp_scratch.main(['--epochs=1', {f'--data-dir={root}'!r}])",
            "`mlp_api.py`": f"mlp_api.main(['--epochs=1', {f'--data-dir={root}'!r}])",
            "imports alone": "",
        }
        megabytes = {name: peak_megabytes(code) for name, code in peaks.items()}
        print("\n| peak memory | MB | ratio |\n| --- | --- | --- |")
        for name, peak in megabytes.items():
            print(f"| {name} | {peak:.0f} | {peak / megabytes[next(iter(peaks))]:.2f} |")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    main()
