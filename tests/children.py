"""What only a process of its own can show. These processes run beside the tests, and end on their own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, TextIO

import common

ROOT = Path(common.__file__).parent


class Ended(NamedTuple):
    """What a process printed, and its exit status."""

    out: str
    err: str
    status: int


# Ctrl-C has its usual meaning even where tests run in the background, and permissions bind even root (Linux).
PREPARE = """
import ctypes, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
if sys.platform == "linux" and os.geteuid() == 0:
    ctypes.CDLL(None).prctl(24, 1)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def start(*command: str, cwd: Path | None = None, stdout: int | TextIO = subprocess.PIPE) -> "subprocess.Popen[str]":
    """Start Python with the command, with its own ways of buffering and of writing __pycache__."""
    prepare = [] if sys.platform == "win32" else ["-c", PREPARE]
    arguments = [sys.executable, *prepare, *command]
    unusual = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    env = {name: value for name, value in os.environ.items() if name not in unusual}
    return subprocess.Popen(arguments, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=cwd, env=env)


def wait(process: "subprocess.Popen[str]") -> Ended:
    """Return what the process prints until it ends."""
    out, err = process.communicate()
    return Ended(out, err, process.returncode)


def make_checkout(folder: Path) -> Path:
    """Make a read-only copy of what a run needs."""
    shutil.copytree(common.DATA_DIR, folder / "data")
    for name in ("common.py", "mlp_scratch.py", "mlp_api.py"):
        shutil.copy(ROOT / name, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555)
    return folder


def full_run(script: str, checkout: Path, folder: Path) -> Ended:
    """Run a script without options from another folder, through a link to its checkout."""
    link = folder / f"{script}.py"
    try:
        link.symlink_to(checkout / link.name)
    except OSError:  # Windows asks for a special right
        link = checkout / link.name
    return wait(start(str(link), cwd=folder))


def closed_pipe() -> Ended:
    """Run a script into a pipe that is closed after its first line."""
    process = start(str(ROOT / "mlp_scratch.py"), "--epochs", "3")
    assert process.stdout is not None
    assert process.stderr is not None
    out = process.stdout.readline()
    process.stdout.close()
    return Ended(out, process.stderr.read(), process.wait())


def full_disk() -> Ended:
    """Run a script whose output goes into a full disk."""
    with Path("/dev/full").open("w") as output:
        process = start(str(ROOT / "mlp_scratch.py"), stdout=output)
        _, err = process.communicate()
    return Ended("", err, process.returncode)


def ctrl_c() -> Ended:
    """Interrupt a script in the middle of an epoch."""
    process = start(str(ROOT / "mlp_scratch.py"), "--batch-size", "8")  # epochs of several seconds
    assert process.stdout is not None
    while process.stdout.readline() not in ("Training\n", ""):
        pass
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    return wait(process)


def locked_folder(folder: Path) -> Ended:
    """Name a folder that may not be written, first as --data-dir, then, as a bad option, for --figure."""
    (folder / "locked").mkdir(mode=0o555)
    program = f"""
import sys
sys.path[0] = {str(ROOT)!r}
import common, mlp_api
try:
    common.run(lambda: mlp_api.main(["--data-dir", "locked"]))
except SystemExit as exit_:
    print(exit_.code, file=sys.stderr)
common.run(lambda: mlp_api.main(["--figure", "locked/x.png"]))
"""
    return wait(start("-c", program, cwd=folder))
