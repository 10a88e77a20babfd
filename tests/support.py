"""What several test files need: where the project is, and how a Python is started and ended."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlp_api
import mlp_scratch

ROOT = Path(__file__).resolve().parent.parent
RAW = Path("FashionMNIST", "raw")
SECONDS = 900  # after which a process counts as hanging

Process = subprocess.Popen[str]
Ends = Callable[..., str]
Patch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]

both_scripts = pytest.mark.parametrize("script", [mlp_scratch, mlp_api], ids=["scratch", "api"])


def md5(content: bytes) -> str:
    """Return the MD5 sum, also on hosts where MD5 may not be used for security."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def start(*arguments: object, **kwargs: Any) -> Process:
    """Start Python with some arguments, in an environment that does not change what it does."""
    env = {"MPLBACKEND": "agg"}
    for name, value in os.environ.items():
        # Where Python finds its parts, and how both ends of a pipe encode their text.
        kept = name in ("PYTHONHOME", "PYTHONPATH", "PYTHONUTF8")
        if kept or not name.startswith(("PYTHON", "PYTEST", "MPL")):
            env[name] = value
    env |= {"PYTHON_COLORS": "0", "PY_COLORS": "0"}  # which newer Pythons and pytest obey
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, text=True, env=env, **(pipes | kwargs))


def finish(process: Process, typed: str = "") -> tuple[str, str, int]:
    """Type something, wait for the end, and return the output, the errors and the status."""
    output, errors = process.communicate(typed, timeout=SECONDS)
    return output, errors, process.returncode
