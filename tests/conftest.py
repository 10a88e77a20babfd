"""Both scripts run once as a person runs them, a small copy of the data set, and the closing table."""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

import common
import mlp_api
import mlp_scratch

ROOT = Path(common.__file__).parent
MAINS = {"mlp_scratch": mlp_scratch.main, "mlp_api": mlp_api.main}
SCRIPTS = tuple(MAINS)


class Run(NamedTuple):
    """What a script printed, whole and taken apart."""

    output: str
    epochs: list[common.Epoch]
    predictions: list[tuple[str, str]]


Runs = dict[str, Run]
RUNS = pytest.StashKey[Runs]()

EPOCH = re.compile(
    r"^epoch (\d\d) : train_loss=(\d\.\d{4}), train_acc=(\d\.\d{4}), test_acc=(\d\.\d{4})$", re.MULTILINE
)
PREDICTION = re.compile(r"^\d\. true: (.{10})  predicted: (.+)$", re.MULTILINE)


def article_table() -> dict[str, list[common.Epoch]]:
    """The two tables that the article prints."""
    tables: dict[str, list[common.Epoch]] = {script: [] for script in SCRIPTS}
    with (Path(__file__).parent / "article.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            tables[row["script"]].append(common.Epoch(*(float(row[name]) for name in common.Epoch._fields)))
    return tables


Process = subprocess.CompletedProcess[str]


def run_script(script: str, *args: str, cwd: Path, root: Path = ROOT, env: Mapping[str, str] = {}) -> Process:
    """Run a script of the checkout `root` in a child process, from the folder cwd, with `env` set in addition."""
    command = [sys.executable, str(root / f"{script}.py"), *args]
    return subprocess.run(command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=300)


def run_together(calls: Iterable[Callable[[], Process]]) -> list[Process]:
    """Run several children, two at a time: most of a short run is the import of torch, on one core."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda call: call(), calls))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Runs:
    """Both scripts, run without options."""
    result = {}
    for script in SCRIPTS:
        process = run_script(script, cwd=tmp_path_factory.mktemp(script))
        assert process.returncode == 0, process.stderr
        assert process.stderr == ""
        epochs = [common.Epoch(*map(float, row[1:])) for row in EPOCH.findall(process.stdout)]
        predictions = [(true.rstrip(), predicted) for true, predicted in PREDICTION.findall(process.stdout)]
        result[script] = Run(process.stdout, epochs, predictions)
    pytestconfig.stash[RUNS] = result
    return result


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torchvision root with the first 2,000 training and 500 test images, so that an epoch takes no time."""
    root = tmp_path_factory.mktemp("data")
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (common.DATA_DIR / "FashionMNIST" / "raw").iterdir():
        n = 2000 if path.name.startswith("train") else 500
        header, size = (16, 784) if "images" in path.name else (8, 1)
        content = path.read_bytes()
        (raw / path.name).write_bytes(content[:4] + n.to_bytes(4, "big") + content[8 : header + n * size])
    return root


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the article's table and this run's, side by side."""
    runs = config.stash.get(RUNS, None)
    if runs is None:
        return
    article = article_table()
    write: Callable[[str], None] = terminalreporter.write_line
    terminalreporter.section("article / this run")
    write("      " + "".join(f"  {script:<45}" for script in SCRIPTS).rstrip())
    write("epoch " + "".join(f"  {name:<13}" for _ in SCRIPTS for name in common.Epoch._fields).rstrip())
    for number in range(len(article[SCRIPTS[0]])):
        cells = [
            f"  {expected:.4f}/{actual:.4f}"
            for script in SCRIPTS
            for expected, actual in zip(article[script][number], runs[script].epochs[number], strict=True)
        ]
        write(f"{number + 1:5} " + "".join(cells))
