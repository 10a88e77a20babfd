"""Whose code the tests grade, and what a learner sees of a crash, in pytest as he starts it."""

import shutil
from pathlib import Path

import pytest

import common
from support import ROOT, finish, start

pytestmark = pytest.mark.page  # what grades a learner is tested before a commit

NEEDED = ["common.py", "mlp_scratch.py", "mlp_api.py", "pyproject.toml", "README.md"]
NEEDED += ["tests/conftest.py", "tests/support.py", "tests/trainings.py", "tests/grading.py"]
NEEDED += ["tests/article.py", "tests/test_article.py"]

# Runs of pytest in one process, as in a notebook or an editor, between which code is edited.
PROGRAM = """
import sys
from pathlib import Path
import pytest

ann, bob = Path(sys.argv[1]), Path(sys.argv[2])

def edit(clone, old, new):
    script = clone / "mlp_scratch.py"
    script.write_text(script.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

def run(title, *arguments, check="test_4_1_4"):
    print("\\n====", title)
    status = pytest.main(["-p", "no:cacheprovider", "-k", check, *map(str, arguments)])
    print("\\nstatus", int(status))

right = "torch.maximum(X, torch.zeros_like(X))"
edit(bob, right, "X + 0")
run("bob broken", bob)
run("ann", ann)
edit(ann, right, "X + 0")
run("ann broken", ann)
run("both", ann, bob)
edit(ann, "    X = X.reshape(-1, num_inputs)  # [batch, 784]\\n", "")
run("crash", ann, check="test_4_1_5")
run("pdb", ann, "--pdb", check="test_4_1_5")
edit(ann, '__name__ == "__main__"', "True")
run("main", ann)
"""


def test_each_run_grades_the_code_that_is_there(tmp_path: Path) -> None:
    clones = [tmp_path / "ann", tmp_path / "bob"]
    for clone in clones:
        shutil.copytree(common.DATA_DIR, clone / "data")
        (clone / "tests").mkdir()
        for name in NEEDED:
            shutil.copy(ROOT / name, clone / name)
    process = start("-c", PROGRAM, *clones, cwd=tmp_path)
    output, errors, _ = finish(process, typed="p list(X.shape)\nc\n")
    said = {}
    for part in output.split("\n==== ")[1:]:
        title, _, text = part.partition("\n")
        said[title] = text

    def status(title: str) -> str:
        return said[title].split()[-1]

    graded = "graded: mlp_scratch.py, mlp_api.py, common.py in "
    assert f"{graded}{clones[0]}" in said["ann"], "the header must name the files that are graded"
    assert f"{graded}{clones[1]}" in said["bob broken"]
    assert status("ann") == "0", "it is bob's code that is graded"
    assert "relu(-2.0) is -2.0" in said["ann broken"], "the edit is not seen"
    assert "relu(-2.0) is -2.0" in said["bob broken"]
    assert (status("ann broken"), status("bob broken")) == ("1", "1")
    assert "ERROR: start pytest once for each of " in errors, "two learners' code in one run"
    assert status("both") == "4"
    assert "in forward\n    H = relu(X @ W1 + b1)" in said["crash"], "no traceback of the crash"
    assert "shapes in forward" in said["crash"]
    assert "When it stopped, X is [60, 1, 28, 28], W1 is [784, 300]" in said["crash"]
    assert "Each image is one row of 784 numbers" in said["crash"]
    assert "(Pdb) [60, 1, 28, 28]" in said["pdb"], "--pdb must stop in the learner's function"
    assert "ERROR: no test can start: SystemExit: 2 (mlp_scratch.py, line " in errors
    assert status("main") == "4"
