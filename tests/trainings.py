"""Both scripts as a person runs them: `python -i`, and then a page's sessions are typed."""

import re
import shutil
import sys
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torchvision.datasets import FashionMNIST

from support import ROOT, SECONDS, Process, start

SCRIPTS = ["mlp_scratch", "mlp_api"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The sessions are those of README.md (the Chinese page has the same: test_pages.py). Afterwards an
# error that a user can mend, and one that keeps its traceback.
TYPED = """import doctest
flags = doctest.ELLIPSIS
print(doctest.testfile("README.md", False, globs=globals(), optionflags=flags, encoding="utf-8"))
raise common.UserError("typed")
1 / 0
"""


class Trainings:
    """Starts both scripts in the background, and waits for what they print."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, Process] = {}

    def start(self) -> None:
        """Start both trainings, or only the first if they take several threads each."""
        make_checkout(self.folder / "checkout")
        at_once = SCRIPTS if torch.get_num_threads() == 1 else SCRIPTS[:1]
        for script in at_once:
            self.start_script(script)

    def start_script(self, script: str) -> None:
        """Start one training in a folder of its own, with a photo and the sessions of the page."""
        folder, path = self.folder / script, self.folder / "checkout" / f"{script}.py"
        folder.mkdir()
        if sys.platform != "win32":  # there, Python would look for common.py beside the link
            path = folder / path.name
            path.symlink_to(self.folder / "checkout" / path.name)
        save_photo(folder / "photo.jpg")
        (folder / "README.md").write_text(sessions_of(script), encoding="utf-8")
        (folder / "typed").write_text(TYPED, encoding="utf-8")
        with (
            (folder / "typed").open() as typed,
            (folder / "output").open("w") as output,
            (folder / "errors").open("w") as errors,
        ):
            self.processes[script] = start(
                "-i", path, cwd=folder, stdin=typed, stdout=output, stderr=errors
            )

    def lines(self) -> dict[str, list[str]]:
        """Wait, and return the lines that each script and its sessions have printed."""
        if not self.processes:
            self.start()
        found = {}
        for script in SCRIPTS:
            if script not in self.processes:
                self.start_script(script)
            self.processes[script].wait(SECONDS)
            check_errors(script, (self.folder / script / "errors").read_text())
            found[script] = (self.folder / script / "output").read_text().splitlines()
        return found

    def stop(self) -> None:
        """End what is still running."""
        for process in self.processes.values():
            process.kill()
            process.wait()


def make_checkout(folder: Path) -> None:
    """Make a read-only copy of what a run needs."""
    shutil.copytree(ROOT / "data", folder / "data")
    for name in ("common.py", "mlp_scratch.py", "mlp_api.py"):
        shutil.copy(ROOT / name, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555)


def sessions_of(script: str) -> str:
    """Return README.md without the sessions that a comment above them gives to the other script."""
    parts = re.split(r"^<!-- python -i (\w+)\.py -->$", README, flags=re.MULTILINE)
    text = "" if script != "mlp_api" else parts[0]
    for owner, part in zip(parts[1::2], parts[2::2], strict=True):
        text += part if owner == script else ""
    return text


def save_photo(path: Path) -> None:
    """Save a pullover as a phone might: in grey on a transparent ground, and turned."""
    cloth = FashionMNIST(ROOT / "data", train=False)[1][0].resize((560, 560))
    photo = ImageOps.invert(cloth).convert("RGBA")
    photo.putalpha(cloth.point(lambda value: 255 if value else 0))
    exif = Image.Exif()
    exif[274] = 6  # the orientation: to be turned clockwise before it is shown
    photo.rotate(90, expand=True).save(path, "PNG", exif=exif)


def check_errors(script: str, errors: str) -> None:
    """Fail unless the two errors typed at the end are all that a script and its sessions said."""
    lines = errors.replace(">>> ", "").splitlines()
    said = [line for line in lines if "rror:" in line or "Traceback" in line]  # others are warnings
    typed = f"{script}.py: error: typed"
    traceback = ["Traceback (most recent call last):", "ZeroDivisionError: division by zero"]
    assert said == [typed, *traceback], errors
