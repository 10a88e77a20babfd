"""A small copy of the data set, one whole run of both scripts, and the closing table."""

import os

# One thread, here and in the scripts, unless the environment says otherwise: two trainings of
# several threads would wait for each other. To be set before torch is imported.
THREADS = os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PYTHON_COLORS"] = "0"  # Python 3.14 would colour the help that a test reads
os.environ.pop("MPLBACKEND", None)  # a wrong one would stop matplotlib's import

import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageOps
from torchvision.datasets import FashionMNIST

import article
import common
import mlp_api
import mlp_scratch

ROOT = Path(common.__file__).parent
SECONDS = 900  # after which a process counts as hanging
Process = subprocess.Popen[str]
Runs = dict[str, list[str]]
Ends = Callable[..., str]
Patch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]
RUNS: Runs = {}  # the lines that each script printed
both_scripts = pytest.mark.parametrize("script", [mlp_scratch, mlp_api], ids=["scratch", "api"])


def start(*arguments: object, **kwargs: Any) -> Process:
    """Start Python with some arguments, buffering and writing __pycache__ as it does by itself."""
    unusual = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if name not in unusual}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | kwargs
    return subprocess.Popen([sys.executable, *map(str, arguments)], text=True, env=env, **pipes)


@pytest.fixture
def ends(monkeypatch: Patch, capsys: Capture) -> Ends:
    """Run a script that ends with this status and says why in one line, or nothing; return what it says."""

    def ends(*argv: object, main: Callable[[list[str]], object] = mlp_api.main, status: int = 1) -> str:
        monkeypatch.setattr(sys, "argv", ["mlp.py"])
        with pytest.raises(SystemExit) as exit_:
            common.run(lambda: main([str(value) for value in argv]))
        lines = capsys.readouterr().err.splitlines() or [""]
        assert (exit_.value.code, len(lines)) == (status, 1)
        return lines[0]

    return ends


@pytest.fixture(scope="session", autouse=True)
def small_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let all tests find 1,000 training and 300 test images as the data set: an epoch takes no time."""
    root = shutil.copytree(ROOT / "data", tmp_path_factory.mktemp("small") / "data", copy_function=shutil.copyfile)
    for path in root.rglob("*-ubyte"):
        n = 1000 if path.name.startswith("train") else 300
        end = 16 + n * 784 if "images" in path.name else 8 + n
        content = path.read_bytes()
        path.write_bytes(content[:4] + n.to_bytes(4, "big") + content[8:end])
    common.DATA_DIR = root
    common.load_data_fashion_mnist.__defaults__ = (root,)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only copy of what a run needs."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "data", folder / "data")
    for name in ("common.py", "mlp_scratch.py", "mlp_api.py"):
        shutil.copy(ROOT / name, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555)
    return folder


# What a reader types after `python -i mlp_api.py`: all lines of the README that begin with >>>.
SESSION = f"""
import doctest
options = {{"module_relative": False, "globs": globals(), "optionflags": doctest.ELLIPSIS}}
print("failed:", doctest.testfile({str(ROOT / "README.md")!a}, encoding="utf-8", **options).failed)
"""


@pytest.fixture(scope="session", autouse=True)
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Process]]:
    """Start both scripts, if a test looks at them, without options from another folder: they run while others do."""
    processes: dict[str, Process] = {}
    if not any("runs" in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield processes
        return
    checkout, folder = request.getfixturevalue("checkout"), tmp_path_factory.mktemp("started")
    session = folder / "session.py"
    session.write_text(SESSION, encoding="utf-8")
    # A pullover as a phone might store it: in grey on a transparent ground, and turned.
    cloth = FashionMNIST(ROOT / "data", train=False)[1][0].resize((560, 560))
    photo = ImageOps.invert(cloth).convert("RGBA")
    photo.putalpha(cloth.point(lambda value: 255 * (value > 0)))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned clockwise before it is shown
    photo.transpose(Image.Transpose.ROTATE_90).save(folder / "photo.jpg", "PNG", exif=exif)
    for script, options in (("mlp_scratch", []), ("mlp_api", ["-i"])):
        path = checkout / f"{script}.py"
        if sys.platform != "win32":  # where Python would look for common.py beside the link
            path = folder / path.name
            path.symlink_to(checkout / path.name)
        with session.open() as stdin:
            processes[script] = start(*options, path, cwd=folder, stdin=stdin)
        if THREADS != "1":
            processes[script].wait(SECONDS)
    yield processes
    for process in processes.values():
        process.kill()


@pytest.fixture(scope="session")
def runs(started: dict[str, Process]) -> Runs:
    """What both scripts print without options, and after mlp_api.py the end of the session."""
    for script, process in started.items():
        out, err = process.communicate(timeout=SECONDS)
        assert (err.replace(">>> ", "").strip(), process.returncode) == ("", 0), err
        RUNS[script] = out.splitlines()
    return RUNS


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Where code that a learner may have written stops, say its line and its error in place of a traceback."""
    try:
        return (yield)
    except Exception as error:
        if isinstance(error, AssertionError) or pyfuncitem.path.name != "test_article.py":
            raise
        ours = (ROOT, ROOT / "tests")
        *_, at = (frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent in ours)
        message = f"{at.name} stops in line {at.lineno} of {Path(at.filename).name}, {at.line}: {error}"
    pytest.fail(message, pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print this run's table and the article's, side by side."""
    for script, lines in RUNS.items():
        terminalreporter.section(f"{script}.py: this run | the article")
        for line, row in zip(lines[3:13], article.tables()[script], strict=False):
            terminalreporter.write_line(line + " | {:.4f}, {:.4f}, {:.4f}".format(*row))
