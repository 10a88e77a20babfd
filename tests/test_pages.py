"""What the two pages say: commands, links, code, figures, and that they agree with each other."""

import re
from collections import Counter
from pathlib import Path

import pytest

import article
import common
import mlp_api
import mlp_scratch
from support import ROOT

pytestmark = pytest.mark.page

FILES = [ROOT / "README.md", ROOT / ".github" / "README.zh.md"]
ENGLISH, CHINESE = PAGES = [file.read_text(encoding="utf-8") for file in FILES]
both_pages = pytest.mark.parametrize("file", FILES, ids=["english", "chinese"])


def tables_of(page: str) -> list[list[list[str]]]:
    """Return the tables of a page: each a list of rows, a row a list of cells."""
    tables = []
    for block in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
        rows = [line.strip("| ").split(" | ") for line in block.splitlines()]
        tables.append(rows[:1] + rows[2:])
    return tables


@both_pages
def test_ci_and_the_workflow_run_the_page_s_own_commands(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    start, test = re.findall(r"^    (python3 -m venv .*)$", page, re.MULTILINE)
    assert start.endswith("mlp_scratch.py")
    assert test in ci
    assert test in workflow
    on_windows = r".venv\Scripts\pip install .[dev]"
    assert set(re.findall(r"`(\.venv\\Scripts\\pip install \.[^`]*)`", page)) == {on_windows}
    assert on_windows in workflow


@both_pages
def test_every_link_and_file_that_a_page_names_is_there(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    anchors = set()
    for title in re.findall(r"^#+ (.*)$", page, re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", title).strip().lower()
        anchors.add("#" + words.replace(" ", "-"))
    prose = re.sub(r"`[^`]*`|^    .*", "", page, flags=re.MULTILINE)
    targets = re.findall(r"(?:\]\(|src=\")([^)\"]+)", prose)
    assert len(targets) > 20
    for target in targets:
        known = target in anchors or target.startswith("https://")
        assert known or (file.parent / target).exists(), f"{target} is not there"


@both_pages
def test_every_test_that_a_page_names_is_there(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    tests = (ROOT / "tests" / "test_article.py").read_text(encoding="utf-8")
    for name in re.findall(r"`(?:pytest -k )?(test_[45]\w*)`", page):
        assert f"def {name}" in tests, f"no test begins with {name}"


@both_pages
def test_the_tasks_stand_in_the_order_of_their_checks(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    tests = (ROOT / "tests" / "test_article.py").read_text(encoding="utf-8")
    checks = re.findall(r"@pytest\.mark\.task\ndef (\w+)", tests)
    title = "Write it yourself" if file.name == "README.md" else "动手写"
    section = page.split(f"\n## {title}\n")[1].split("\n## ")[0]
    named = re.findall(r"`pytest -k (\w+)`", section)
    assert len(named) == len(checks) == 8
    for name, check in zip(named, checks, strict=True):
        assert check.startswith(name)


@both_pages
def test_the_page_lists_the_options_with_their_defaults(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    args = common.parse_args(
        None,
        [],
        epochs=mlp_api.num_epochs,
        batch_size=mlp_api.batch_size,
        num_hiddens=mlp_api.num_hiddens,
        lr=mlp_api.lr,
    )
    rows = re.findall(r"^\| `--([a-z-]+)` \| `?([\d.]+|data)`? \|", page, re.MULTILINE)
    expected = {name.replace("_", "-"): str(value) for name, value in vars(args).items()}
    expected["data-dir"] = "data"
    assert dict(rows) == expected


@both_pages
def test_the_page_lists_the_classes_in_label_order(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    across = " | ".join(common.CLASS_NAMES)
    down = re.findall(r"^\| (\d) \| ([a-z -]+) \|", page, re.MULTILINE)
    listed = [name for _, name in down]
    assert f"| {across} |" in page or listed[:10] == common.CLASS_NAMES


@both_pages
def test_the_page_holds_the_article_s_two_tables(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    figures = re.findall(r"\b[01]\.\d{4}\b", page)
    for name, rows in article.tables().items():
        assert len(rows) == 10
        for row in rows:
            texts = [f"{figure:.4f}" for figure in row]
            in_order = any(figures[i : i + 3] == texts for i in range(len(figures)))
            assert in_order, f"the row {texts} of {name} is not on the page"


def test_the_scripts_headers_say_what_the_article_s_tables_end_with() -> None:
    for script in (mlp_scratch, mlp_api):
        train_loss, _, test_acc = article.tables()[script.__name__][-1]
        text = f"train_loss {train_loss:.3f} and test_acc {test_acc:.2f}"
        assert text in (script.__doc__ or "")


@both_pages
def test_the_page_names_the_oldest_python_and_torch(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    oldest = (ROOT / ".github" / "oldest.txt").read_text(encoding="utf-8")
    [python] = re.findall(r'requires-python = ">=(.*)"', project)
    [torch] = re.findall(r"^torch==(.*)$", oldest, re.MULTILINE)
    assert f'"torch>={torch}; ' in project
    assert f"torch {torch}" in page
    assert re.search(rf"Python {re.escape(python)}.{{1,4}}3\.14", page)


def test_both_pages_hold_the_same_code_and_the_same_figures() -> None:
    for what in (r"^    .*$", r"\d+\.\d\d+", r"\d+,\d+", r"--[a-z][a-z-]+"):
        english, chinese = (Counter(re.findall(what, page, re.MULTILINE)) for page in PAGES)
        different = english.keys() ^ chinese.keys()
        assert not different, f"only on one page: {different}"
        assert not english - chinese, f"more often on the English page: {english - chinese}"


def test_both_pages_have_the_same_sessions_in_the_same_order() -> None:
    # The tests of the runs type those of the English page.
    typed = r"^<!-- .*|^    >>> .*\n(?:    .*\n)*"
    first, second = (re.findall(typed, page, re.MULTILINE) for page in PAGES)
    assert first == second
