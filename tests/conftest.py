"""Which code is graded, on which data, what stands beside a learner's crash, and the two tables."""

import os
import re
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support import Ends
    from trainings import Trainings

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
GRADED = [ROOT / "mlp_scratch.py", ROOT / "mlp_api.py", ROOT / "common.py"]


# ---- Which code is graded ----


def pytest_configure(config: pytest.Config) -> None:
    """Read the learner's code and these tests as they are now, not as an earlier run did."""
    # One thread, here and in the scripts, unless the environment says otherwise: two trainings of
    # several threads would wait for each other. To be set before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("MPLBACKEND", None)  # a wrong one would stop matplotlib's import
    os.environ["PYTHON_COLORS"] = "0"  # newer Pythons colour what a test reads

    other = getattr(config, "graded_root", ROOT)
    if other != ROOT:
        raise pytest.UsageError(f"start pytest once for each of {other} and {ROOT}")
    # A mark for the conftest.py of the other one.
    setattr(config, "graded_root", ROOT)  # noqa: B010

    forget_modules()
    for folder in (ROOT, TESTS):  # the tests find both, wherever and however pytest is started
        sys.path.insert(0, str(folder))
    for path in GRADED:
        message = import_error(path.stem)
        if message:
            raise pytest.UsageError(f"no test can start: {message}")


def forget_modules() -> None:
    """Take from Python's memory what an earlier run in this process has read, here or elsewhere."""
    ours = {path.stem for folder in (ROOT, TESTS) for path in folder.glob("*.py")}
    for name, module in list(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "nowhere")
        if (name in ours or path.parent in (ROOT, TESTS)) and path.name != "conftest.py":
            del sys.modules[name]


def import_error(name: str) -> str:
    """Import what a learner has written; return why and where that fails, or nothing."""
    try:
        import_module(name)
    except (Exception, SystemExit) as error:  # main() at the end of a script exits
        frames = traceback.extract_tb(error.__traceback__)
        places = [at for at in frames if Path(at.filename).resolve() in GRADED]
        where = [f"{Path(at.filename).name}, line {at.lineno}" for at in places]
        text = f"{type(error).__name__}: {error}"  # a SyntaxError names its place itself
        return f"{text} ({'; '.join(where)})" if where else text
    return ""


def pytest_report_header() -> str:
    """Say which files are graded."""
    return f"graded: {', '.join(path.name for path in GRADED)} in {ROOT}"


# ---- On which data ----


@pytest.fixture(scope="session", autouse=True)
def small_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let all tests find 1,000 training and 300 test images: an epoch takes no time.

    What they start in another process finds the whole data set.
    """
    import common
    from support import RAW, md5

    root = tmp_path_factory.mktemp("small") / "data"
    (root / RAW).mkdir(parents=True)
    for name in common.MD5:
        n = 1000 if name.startswith("train") else 300
        end = 16 + n * 784 if "images" in name else 8 + n
        content = (common.DATA_DIR / RAW / name).read_bytes()
        content = content[:4] + n.to_bytes(4, "big") + content[8:end]
        (root / RAW / name).write_bytes(content)
        common.MD5[name] = md5(content)
    common.DATA_DIR = root


@pytest.fixture
def ends(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> "Ends":
    """Let both scripts, or one main, end with a status; return the line that is said of it."""
    import common
    import mlp_api
    import mlp_scratch

    def last_line(main: Callable[[list[str]], object], argv: list[str], status: int) -> str:
        with pytest.raises((SystemExit, common.UserError, KeyboardInterrupt)) as raised:
            common.run(partial(main, argv))  # type: ignore[arg-type]
        sys.excepthook(raised.type, raised.value, raised.tb)  # as Python does at the end
        assert getattr(raised.value, "code", 1) == status, "it ends with another status"
        errors = capsys.readouterr().err
        lines = re.sub(".*\r.*\n", "", errors).splitlines()  # without a download's bar
        if status == 1:
            assert len(lines) == 1, f"it must be one line: {errors}"
        return lines[-1] if lines else ""

    def both_end(*argv: object, main: Any = None, status: int = 1) -> str:
        monkeypatch.setattr(sys, "argv", ["mlp.py"])
        monkeypatch.setattr(
            sys, "excepthook", sys.excepthook
        )  # which run sets, and this takes back
        words = [str(value) for value in argv]
        if main:
            return last_line(main, words, status)
        line = last_line(mlp_scratch.main, words, status)
        assert line == last_line(mlp_api.main, words, status), "the scripts say different things"
        return line

    return both_end


@pytest.fixture(scope="session", autouse=True)
def trainings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Trainings]":
    """Let both scripts train beside all other tests, if a test asks for their runs."""
    from trainings import Trainings

    trainings = Trainings(tmp_path_factory.mktemp("trainings"))
    one_of_many = hasattr(request.config, "workerinput")  # pytest-xdist: another may do it
    items = request.session.items
    if not one_of_many and any("runs" in getattr(item, "fixturenames", []) for item in items):
        trainings.start()
    yield trainings
    trainings.stop()


@pytest.fixture(scope="session")
def runs(trainings: "Trainings") -> dict[str, list[str]]:
    """Return the lines that each script printed without options, and those of its sessions."""
    return trainings.lines()


# ---- What stands beside a learner's crash ----


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Put remarks beside the traceback of a learner's crash; find gradients that stay off."""
    import torch

    from grading import remarks

    try:
        result = yield
    except (Exception, SystemExit) as error:
        if pyfuncitem.path.name == "test_article.py":
            for title, text in remarks(error, GRADED):
                pyfuncitem.add_report_section("call", title, text)
        raise
    finally:
        still_on = torch.is_grad_enabled()
        torch.set_grad_enabled(True)
    if not still_on:
        pytest.fail(
            "Your code turns gradients off and leaves them off: use `with torch.no_grad():`, after"
            " whose block they are on again.",
            pytrace=False,
        )
    return result


# ---- The two tables ----


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the tables that test_tables.py recorded, this run's beside the article's."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "table":
                title, *lines = value
                terminalreporter.section(f"{title}.py: this run | the article")
                terminalreporter.write("\n".join([*lines, ""]))
