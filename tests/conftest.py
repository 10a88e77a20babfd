"""Where the tests find the code, what they all run on, and the two tables at the end."""

import os
import sys
from pathlib import Path

# One thread, here and in the scripts, unless the environment says otherwise: two trainings of
# several threads would wait for each other. To be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PYTHON_COLORS"] = "0"  # Python 3.14 would colour what a test reads
os.environ.pop("MPLBACKEND", None)  # a wrong one would stop matplotlib's import
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # wherever and however pytest is started

import hashlib
import re
import subprocess
import traceback
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest
import torch

try:
    import common
    import mlp_api
    import mlp_scratch
except Exception as error:  # in what a learner has written; a SyntaxError names its place itself
    frames = [at for at in traceback.extract_tb(error.__traceback__) if Path(at.filename).resolve().parent == ROOT]
    place = "".join(f" ({Path(at.filename).name}, line {at.lineno})" for at in frames[-1:])
    sys.exit(f"no test can start: {type(error).__name__}: {error}{place}")

SECONDS = 900  # after which a process counts as hanging
RAW = Path("FashionMNIST", "raw")
Process = subprocess.Popen[str]
Ends = Callable[..., str]
Patch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]
both_scripts = pytest.mark.parametrize("script", [mlp_scratch, mlp_api], ids=["scratch", "api"])


@pytest.fixture(scope="session", autouse=True)
def small_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let all tests, if not what they start, find 1,000 training and 300 test images: an epoch takes no time."""
    root = tmp_path_factory.mktemp("small") / "data"
    (root / RAW).mkdir(parents=True)
    for name in common.MD5:
        n = 1000 if name.startswith("train") else 300
        end = 16 + n * 784 if "images" in name else 8 + n
        content = (common.DATA_DIR / RAW / name).read_bytes()
        content = content[:4] + n.to_bytes(4, "big") + content[8:end]
        (root / RAW / name).write_bytes(content)
        common.MD5[name] = hashlib.md5(content).hexdigest()
    common.DATA_DIR = root


def start(*arguments: object, **kwargs: Any) -> Process:
    """Start Python with some arguments, buffering and writing __pycache__ as it does by itself."""
    unusual = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if name not in unusual} | {"MPLBACKEND": "agg"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | kwargs
    return subprocess.Popen([sys.executable, *map(str, arguments)], text=True, env=env, **pipes)


def finish(process: Process, typed: str = "") -> tuple[str, str, int]:
    """Type something, wait for the end, and return the output, the errors and the status."""
    output, errors = process.communicate(typed, timeout=SECONDS)
    return output, errors, process.returncode


@pytest.fixture
def ends(capsys: Capture, monkeypatch: Patch) -> Ends:
    """Let both scripts, or one main, end with a status; return the one line, or nothing, that is said of it."""

    def ends(*argv: object, main: Callable[[list[str]], common.Result] | None = None, status: int = 1) -> str:
        monkeypatch.setattr(sys, "argv", ["mlp.py"])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # which run sets, and this takes back
        said = set()
        for script in [main] if main else [mlp_scratch.main, mlp_api.main]:
            with pytest.raises((SystemExit, common.UserError, KeyboardInterrupt)) as raised:
                common.run(partial(script, [str(value) for value in argv]))
            sys.excepthook(raised.type, raised.value, raised.tb)
            assert getattr(raised.value, "code", 1) == status, "it ends with another status"
            said.add(re.sub(".*\r.*\n", "", capsys.readouterr().err))  # without a download's bar
        text = said.pop()
        assert not said, f"one script says {text}, the other {said}"
        assert text.count("\n") == bool(text), f"it must be one line: {text}"
        return text.rstrip("\n")

    return ends


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Where code that a learner may have written stops, say its line, its error and the shapes there."""
    try:
        result = yield
        if torch.is_grad_enabled():
            return result
        parts = ["Gradients stay off afterwards: `with torch.no_grad():` turns them on again."]
    except (Exception, SystemExit) as error:
        stack = error.__traceback__
        steps = [*zip(traceback.extract_tb(stack), traceback.walk_tb(stack), strict=True)]
        ours = [step for step in steps if Path(step[0].filename).resolve().parent in (ROOT, ROOT / "tests")]
        asserted = isinstance(error, AssertionError) and Path(ours[-1][0].filename).resolve().parent != ROOT
        if asserted or pyfuncitem.path.name != "test_article.py":
            raise
        first, *others = [step for step in ours if Path(step[0].filename).resolve().parent == ROOT] or ours[-1:]
        places = [first, *others[-1:]]  # in the learner's function, and where it led to
        parts = [f"{at.name} stops in line {at.lineno} of {Path(at.filename).name}, `{at.line}`:" for at, _ in places]
        parts += [f"{type(error).__name__}: {error}".splitlines()[0].rstrip(":. ") + "."]
        names = places[-1][1][0].f_locals.items()
        shapes = [f"{name} is {list(value.shape)}" for name, value in names if isinstance(value, torch.Tensor)]
        parts += [f"Here {', '.join(shapes)}."] * bool(shapes)
        parts += ["Inside `with torch.no_grad():` it may be changed."] * ("leaf Variable" in str(error))
    finally:
        torch.set_grad_enabled(True)
    pytest.fail(" ".join(parts), pytrace=False)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the tables that test_tables.py recorded, this run's beside the article's."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for title, lines in report.user_properties:
            terminalreporter.section(f"{title}.py: this run | the article")
            terminalreporter.write("\n".join([*lines, ""]))
