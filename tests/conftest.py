"""Both scripts run once as a person runs them, a small copy of the data set, and the closing table."""

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
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


def run_script(script: str, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of this project in a child process, from the folder cwd."""
    command = [sys.executable, str(ROOT / f"{script}.py"), *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


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


@pytest.fixture
def data_copy(small_data: Path, tmp_path: Path) -> Path:
    """A copy of small_data to break."""
    return Path(shutil.copytree(small_data, tmp_path / "data"))


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
