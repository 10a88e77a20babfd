"""Both scripts run once as a person runs them, a small copy of the data set, and the closing table."""

import csv
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import NamedTuple

# One thread for this process and its children, unless the environment says otherwise. It must be said before torch is
# imported.
THREADS = os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PYTHON_COLORS"] = "0"  # Python 3.14 would colour the help that a test reads

import children
import pytest

import common
import mlp_api
import mlp_scratch

MAINS = {"mlp_scratch": mlp_scratch.main, "mlp_api": mlp_api.main}
SCRIPTS = tuple(MAINS)


class Run(NamedTuple):
    """What a script printed, whole and taken apart."""

    output: str
    history: common.History
    predictions: list[tuple[str, str]]


Runs = dict[str, Run]
RUNS = pytest.StashKey[Runs]()
Processes = dict[str, "Future[children.Ended]"]

EPOCH = re.compile(r"^epoch (\d\d): train_loss=(\d\.\d{4}), train_acc=(\d\.\d{4}), test_acc=(\d\.\d{4})$", re.MULTILINE)
PREDICTION = re.compile(r"^\d\. true: (.{10}) predicted: (.+)$", re.MULTILINE)


def article_table() -> dict[str, common.History]:
    """The two tables that the article prints."""
    tables: dict[str, common.History] = {script: [] for script in SCRIPTS}
    with (Path(__file__).parent / "article.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            tables[row["script"]].append(common.Epoch(*(float(row[name]) for name in common.Epoch._fields)))
    return tables


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only copy of what a run needs."""
    return children.make_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session", autouse=True)
def processes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """The processes that the selected tests are going to look at, started before the first test."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    calls: dict[str, Callable[[], children.Ended]] = {}
    if "runs" in wanted:
        checkout, folder = request.getfixturevalue("checkout"), tmp_path_factory.mktemp("links")
        calls |= {script: partial(children.full_run, script, checkout, folder) for script in SCRIPTS}
    if "ended" in wanted:
        calls |= {"closed pipe": children.closed_pipe, "ctrl-c": children.ctrl_c, "full disk": children.full_disk}
        calls["locked folder"] = partial(children.locked_folder, tmp_path_factory.mktemp("children"))
    # Trainings of one thread each can go side by side. Those of several would wait for each other in busy loops.
    with ThreadPoolExecutor(2 if THREADS == "1" else 1) as pool:
        futures = {name: pool.submit(call) for name, call in calls.items()}
        if THREADS != "1":
            wait(futures.values())
        yield futures


@pytest.fixture(scope="session")
def runs(processes: Processes, pytestconfig: pytest.Config) -> Runs:
    """What both scripts printed without options, both at the same time."""
    result = {}
    for script in SCRIPTS:
        out, err, status = processes[script].result()
        assert (err, status) == ("", 0)
        history = [common.Epoch(*map(float, row[1:])) for row in EPOCH.findall(out)]
        predictions = [(true.rstrip(), predicted) for true, predicted in PREDICTION.findall(out)]
        result[script] = Run(out, history, predictions)
    pytestconfig.stash[RUNS] = result
    return result


@pytest.fixture
def ended(processes: Processes) -> Callable[[str], children.Ended]:
    """The end of the process of that name."""
    return lambda name: processes[name].result()


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
            for expected, actual in zip(article[script][number], runs[script].history[number], strict=True)
        ]
        write(f"{number + 1:5} " + "".join(cells))
