"""Both scripts, run as a person runs them, against the article and each other, and the page's sessions after them."""

import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image, ImageOps
from torchvision.datasets import FashionMNIST

import article
import common
from conftest import ROOT, both_scripts, finish, start

Runs = dict[str, list[str]]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STEPS = {"mlp_scratch": "Initialising the MLP's parameters", "mlp_api": "Creating the MLP"}
# What is typed after `python -i`: the lines of the page (the Chinese one has the same: test_readme.py), and two errors.
SESSION = """import doctest
print(doctest.testfile("README.md", False, globs=globals(), optionflags=doctest.ELLIPSIS, encoding="utf-8"))
raise common.UserError("typed")
1 / 0
"""


def save_photo(path: Path) -> None:
    """Save a pullover as a phone might: in grey on a transparent ground, and turned."""
    cloth = FashionMNIST(ROOT / "data", train=False)[1][0].resize((560, 560))
    photo = ImageOps.invert(cloth).convert("RGBA")
    photo.putalpha(cloth.point(lambda value: 255 * (value > 0)))
    exif = Image.Exif()
    exif[274] = 6  # the orientation: to be turned clockwise before it is shown
    photo.rotate(90, expand=True).save(path, "PNG", exif=exif)


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


@pytest.fixture(scope="session")
def runs(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The lines that each script prints without options, started in another folder, and then those of its sessions."""

    def run(script: str) -> list[str]:
        folder, path = tmp_path_factory.mktemp(script), checkout / f"{script}.py"
        if sys.platform != "win32":  # where Python would look for common.py beside the link
            path = folder / path.name
            path.symlink_to(checkout / path.name)
        save_photo(folder / "photo.jpg")
        # Without the sessions that a comment above them gives to the other script.
        parts = re.split(r"^<!-- python -i (\w+)\.py -->$", README, flags=re.MULTILINE)
        owned = zip(["mlp_api", *parts[1::2]], parts[::2], strict=True)
        text = "".join(part if owner == script else "\n" * part.count("\n") for owner, part in owned)
        (folder / "README.md").write_text(text, encoding="utf-8")
        output, errors, _ = finish(start("-i", path, cwd=folder), SESSION)
        calm = r"(?:(?!Error|Traceback).|\n)*"  # torch 2.4's load and matplotlib's first start warn
        expected = rf"{calm}{script}\.py: error: typed\nTraceback {calm}ZeroDivisionError: .*\s*"
        assert re.fullmatch(expected, errors.replace(">>> ", "")), errors
        return output.splitlines()

    with ThreadPoolExecutor(1 if torch.get_num_threads() > 1 else 2) as pool:
        return dict(zip(STEPS, pool.map(run, STEPS), strict=True))


@both_scripts
def test_prints_its_table(script: ModuleType, runs: Runs, record_property: Callable[[str, object], None]) -> None:
    """Three steps, the article's table, and six predictions."""
    name, lines = script.__name__, runs[script.__name__]
    table = [line for line in lines if line.startswith("epoch ")]
    rows = article.tables()[name]
    beside = ["{} | {:.4f}, {:.4f}, {:.4f}".format(line, *row) for line, row in zip(table, rows, strict=True)]
    record_property(name, beside)  # for the two tables at the end
    for number, (line, row) in enumerate(zip(beside, rows, strict=True), start=1):
        figures = re.findall(r"=(\d\.\d{4})\b", line)
        assert line.startswith("epoch {:02d}: train_loss={}, train_acc={}, test_acc={} | ".format(number, *figures))
        for figure, expected, tolerance in zip(figures, row, (0.001, 0.001, 0.003), strict=True):
            assert float(figure) == pytest.approx(expected, abs=tolerance), f"far from the article's: {line}"
    names = enumerate(["ankle boot", "pullover", "trouser", "trouser", "shirt", "trouser"], start=1)
    predictions = [f"{number}. true: {name:<10} predicted: {name}" for number, name in names]
    others = [line for line in lines if line not in table]
    assert others[:11] == ["Loading Fashion-MNIST", STEPS[name], "Training", "", "Predictions:", *predictions]


def test_both_end_with_the_same_accuracy(runs: Runs) -> None:
    scratch, api = (float(re.findall(r"^epoch.* test_acc=(.*)$", "\n".join(run), re.M)[-1]) for run in runs.values())
    # The article's are 0.0003 apart. A run may be 0.003 away from its own, but not each in another direction.
    assert abs(scratch - api) <= 0.004, f"by hand {scratch}, with PyTorch's layers {api}"


def test_sessions_after_the_runs_print_what_the_page_says(runs: Runs) -> None:
    said = "\n".join(line for lines in runs.values() for line in lines)
    right = sum(map(int, re.findall(r"^TestResults\(failed=0, attempted=(\d+)\)$", said, re.MULTILINE)))
    typed = len(re.findall(r"^ *>>> ", README, re.MULTILINE))
    assert right == typed, f"of {typed} lines only {right} are in a session where every answer is right:\n{said}"


@both_scripts
@pytest.mark.parametrize("values", [(30, 5, 0.02, 3), (5000, 40, 0.5, 2**64 - 1)])
def test_for_any_options_the_run_is_the_article_s(script: ModuleType, values: tuple[int, int, float, int]) -> None:
    options = "--epochs=2 --batch-size={} --num-hiddens={} --lr={} --seed={}".format(*values)
    expected = article.history(script.__name__, common.DATA_DIR, 2, *values)
    assert script.main(options.split())[2] == [pytest.approx(row, rel=1e-6) for row in expected]
