"""A small copy of the data set, one whole run of both scripts, and the closing table."""

import os

# One thread, here and in the scripts, unless the environment says otherwise: two trainings of
# several threads would wait for each other. To be set before torch is imported.
THREADS = os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PYTHON_COLORS"] = "0"  # Python 3.14 would colour the help that a test reads
os.environ.pop("MPLBACKEND", None)  # a wrong one would stop matplotlib's import

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import ExifTags, Image, ImageOps

import article
import common
import mlp_api
import mlp_scratch

SECONDS = 900  # after which a process counts as hanging
EPOCH = r"epoch (\d\d): train_loss=(\d\.\d{4}), train_acc=(\d\.\d{4}), test_acc=(\d\.\d{4})"
Start = Callable[..., "subprocess.Popen[str]"]
Fails = Callable[..., str]


class Run(NamedTuple):
    """What a script printed, as lines, and the figures of its epochs."""

    lines: list[str]
    history: list[common.Epoch]


RUNS = pytest.StashKey[dict[str, Run]]()


@pytest.fixture(scope="session")
def start() -> Start:
    """Start Python with some arguments, buffering and writing __pycache__ as it does by itself."""
    unusual = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if name not in unusual}

    def start(*arguments: object, **kwargs: Any) -> "subprocess.Popen[str]":
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | kwargs
        return subprocess.Popen([sys.executable, *map(str, arguments)], text=True, env=env, **pipes)

    return start


@pytest.fixture(scope="session", autouse=True)
def early(request: pytest.FixtureRequest) -> None:
    """Start the processes that selected tests will look at: they run while other tests do."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in sorted(wanted):
        if name.startswith("started_") and THREADS == "1":
            request.getfixturevalue(name)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    """Run a script that ends with status 1 and one line; return what that line says."""

    def fails(script: str, *argv: object) -> str:
        main = {"mlp_scratch": mlp_scratch.main, "mlp_api": mlp_api.main}[script]
        with pytest.raises(SystemExit) as exit_:
            common.run(lambda: main([str(value) for value in argv]))
        lines = capsys.readouterr().err.splitlines()
        assert (exit_.value.code, len(lines)) == (1, 1)
        _, mark, message = lines[0].partition(": error: ")
        assert mark
        return message

    return fails


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only copy of what a run needs."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(common.DATA_DIR, folder / "data")
    for name in ("common.py", "mlp_scratch.py", "mlp_api.py"):
        shutil.copy(common.DATA_DIR.parent / name, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555)
    return folder


# What a reader types after `python -i mlp_api.py`: all lines of the README that begin with >>>.
SESSION = """
import doctest
options = {{"module_relative": False, "globs": globals(), "optionflags": doctest.ELLIPSIS}}
print("failed:", doctest.testfile({readme!r}, encoding="utf-8", **options).failed)
"""


def make_photo(path: Path) -> None:
    """Save a test pullover as a phone might: in grey on a transparent ground, and stored turned."""
    content = (common.DATA_DIR / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").read_bytes()
    cloth = Image.frombytes("L", (28, 28), content[16 + 784 : 16 + 2 * 784]).resize((560, 560))
    photo = ImageOps.invert(cloth).convert("RGBA")
    photo.putalpha(cloth.point(lambda value: 255 * (value > 0)))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned clockwise before it is shown
    photo.transpose(Image.Transpose.ROTATE_90).save(path, "PNG", exif=exif)


@pytest.fixture(scope="session")
def started_runs(
    start: Start, checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> "dict[str, subprocess.Popen[str]]":
    """Both scripts, started without options from another folder; mlp_api.py by python -i."""
    processes, folder = {}, tmp_path_factory.mktemp("started")
    make_photo(folder / "photo.jpg")
    session = folder / "session.py"
    session.write_text(SESSION.format(readme=str(common.DATA_DIR.parent / "README.md")), encoding="utf-8")
    for script, options in (("mlp_scratch", []), ("mlp_api", ["-i"])):
        path = checkout / f"{script}.py"
        if sys.platform != "win32":  # where Python would look for common.py beside the link
            path = folder / path.name
            path.symlink_to(checkout / path.name)
        with session.open() as stdin:
            processes[script] = start(*options, path, cwd=folder, stdin=stdin)
        if THREADS != "1":
            processes[script].wait(SECONDS)
    return processes


@pytest.fixture(scope="session")
def runs(started_runs: "dict[str, subprocess.Popen[str]]", pytestconfig: pytest.Config) -> dict[str, Run]:
    """What both scripts print without options, and after mlp_api.py the end of the session."""
    results = {}
    for script, process in started_runs.items():
        out, err = process.communicate(timeout=SECONDS)
        assert (err.replace(">>> ", "").strip(), process.returncode) == ("", 0), err
        rows = re.findall(f"^{EPOCH}$", out, re.MULTILINE)
        history = [common.Epoch(*map(float, row[1:])) for row in rows]
        results[script] = Run(out.splitlines(), history[:10])
    pytestconfig.stash[RUNS] = results
    return results


@pytest.fixture(scope="session")
def started_session(start: Start) -> "subprocess.Popen[str]":
    """Python -i with a script that ends in an error."""
    return start("-i", common.DATA_DIR.parent / "mlp_scratch.py", "--epochs=0")


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torchvision root with 1,000 training and 300 test images: an epoch takes no time."""
    root = tmp_path_factory.mktemp("data")
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (common.DATA_DIR / "FashionMNIST" / "raw").iterdir():
        n = 1000 if path.name.startswith("train") else 300
        header, size = (16, 784) if "images" in path.name else (8, 1)
        content = path.read_bytes()
        (raw / path.name).write_bytes(content[:4] + n.to_bytes(4, "big") + content[8 : header + n * size])
    return root


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the article's table and this run's, side by side."""
    runs = config.stash.get(RUNS, {})
    if not runs:
        return
    write: Callable[[str], None] = terminalreporter.write_line
    terminalreporter.section("article / this run")
    write("      " + "".join(f"  {script:<45}" for script in runs).rstrip())
    write("epoch " + "".join(f"  {name:<13}" for _ in runs for name in common.Epoch._fields).rstrip())
    for number in range(10):
        pairs = [
            f"  {expected:.4f}/{actual:.4f}"
            for script, run in runs.items()
            for expected, actual in zip(article.tables()[script][number], run.history[number], strict=True)
        ]
        write(f"{number + 1:5} " + "".join(pairs))
