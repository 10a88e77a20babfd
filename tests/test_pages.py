"""What the two pages say: commands, links, code, figures, and that they agree with each other."""

import ast
import math
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
import torch

import article
import common
import mlp_api
import mlp_scratch
from support import ROOT, Patch

pytestmark = pytest.mark.page

FILES = [ROOT / "README.md", ROOT / ".github" / "guide.zh.md"]
# A copy without folders that begin with a dot still collects the other tests.
PAGES = [file.read_text(encoding="utf-8") if file.exists() else "" for file in FILES]
ENGLISH, CHINESE = PAGES
SCRIPTS = [ROOT / "mlp_scratch.py", ROOT / "mlp_api.py", ROOT / "common.py"]
both_pages = pytest.mark.parametrize("page", PAGES, ids=["english", "chinese"])


def blocks(page: str, language: str) -> list[str]:
    """Return what stands in the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def section(page: str, title: str) -> str:
    """Return the part of a page below a title, up to the next one of the same or a higher level."""
    level = len(title) - len(title.lstrip("#"))
    after = page.split(f"\n{title}\n")[1]
    return re.split(rf"^#{{1,{level}}} ", after, flags=re.MULTILINE)[0]


# ---- Commands and links ----


@both_pages
def test_ci_and_the_workflow_run_the_page_s_own_commands(page: str) -> None:
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    start, test = re.findall(r"^    (python3 -m venv .*)$", page, re.MULTILINE)
    assert start.endswith("mlp_scratch.py")
    assert test in ci
    assert test in workflow
    on_windows = r".venv\Scripts\pip install .[dev]"
    assert f"`{on_windows}`" in page
    assert on_windows in workflow


@pytest.mark.parametrize("file", FILES, ids=["english", "chinese"])
def test_every_link_and_file_that_a_page_names_is_there(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    anchors = set()
    for title in re.findall(r"^#+ (.*)$", page, re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", title).strip().lower()
        anchors.add("#" + words.replace(" ", "-"))
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"`[^`]*`|^    .*", "", prose, flags=re.MULTILINE)
    targets = re.findall(r"(?:\]\(|src=\")([^)\"]+)", prose)
    assert len(targets) > 40
    for target in targets:
        known = target in anchors or target.startswith("https://")
        assert known or (file.parent / target).exists(), f"{target} is not there"


@both_pages
def test_every_picture_of_the_page_is_shown(page: str) -> None:
    shown = set(re.findall(r"src=\"(?:\.github/)?([^\"]+)\"", page))
    pictures = {path.name for path in (ROOT / ".github").glob("*.png")}
    assert shown == pictures, (
        "a picture is shown that is not there, or there is one that is not shown"
    )


@both_pages
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    tests = (ROOT / "tests" / "test_article.py").read_text(encoding="utf-8")
    names = re.findall(r"`(?:pytest -k )?(test_[45]\w*)`", page)
    assert len(names) > 20
    for name in names:
        assert f"def {name}" in tests, f"no test begins with {name}"


@pytest.mark.parametrize(
    ("page", "title"),
    [(ENGLISH, "## Write it yourself"), (CHINESE, "## 动手写")],
    ids=["english", "chinese"],
)
def test_the_tasks_stand_in_the_order_of_their_checks(page: str, title: str) -> None:
    tests = (ROOT / "tests" / "test_article.py").read_text(encoding="utf-8")
    checks = re.findall(r"@pytest\.mark\.task\ndef (\w+)", tests)
    named = re.findall(r"`pytest -k (\w+)`", section(page, title))
    assert len(named) == len(checks) == 8
    for name, check in zip(named, checks, strict=True):
        assert check.startswith(name)


# ---- Code ----


def without_hints(function: ast.FunctionDef) -> ast.FunctionDef:
    """Return a function without its docstring and type hints."""
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            node.annotation = None
    function.returns = None
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:]
    return function


def functions_of_the_files() -> dict[str, ast.FunctionDef]:
    """Return the functions of the scripts and common.py by name, without docstrings and hints."""
    functions: dict[str, ast.FunctionDef] = {}
    for path in SCRIPTS:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                functions.setdefault(node.name, without_hints(node))  # main: of mlp_scratch.py
    return functions


@both_pages
def test_code_on_the_page_is_that_of_the_files(page: str) -> None:
    functions = functions_of_the_files()
    shown = []
    for block in blocks(page, "python"):
        nodes = ast.parse(block).body
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                same = ast.dump(node) == ast.dump(functions[node.name])
                assert same, f"{node.name} is another in the file"
                shown.append(node.name)
        if not isinstance(nodes[0], ast.FunctionDef):
            [loop] = [x for x in functions["train_epoch"].body if isinstance(x, ast.For)]
            lines = [ast.dump(node) for node in loop.body[: len(nodes)]]
            assert [ast.dump(node) for node in nodes] == lines, "the step is another in the file"
            shown.append("a step")
    expected = ["init_params", "relu", "forward", "a step", "accuracy", "evaluate_accuracy"]
    expected += ["train", "loader", "main", "make_net", "init_weights"]
    assert sorted(shown) == sorted(expected)


def edited(source: str, edit: str) -> str:
    """Return a file's text after an edit, or nothing if a line that it begins from is not there."""
    lines = [line.partition("  #")[0].rstrip() for line in source.splitlines()]
    place = 0
    for line in edit.splitlines():
        if line.startswith("+"):
            lines.insert(place, line[1:])
        elif line[1:] in lines[place:]:
            place = lines.index(line[1:], place)
            if line.startswith("-"):
                del lines[place]
                continue
        else:
            return ""
        place += 1
    return "\n".join(lines)


@pytest.mark.parametrize("edit", blocks(ENGLISH, "diff"))
def test_an_edit_of_the_page_fits_its_file_and_trains(edit: str, monkeypatch: Patch) -> None:
    results = {}
    for path in SCRIPTS:
        text = edited(path.read_text(encoding="utf-8"), edit)
        if text:
            results[path.stem] = text
    assert results, f"no file has the lines that are replaced here: {edit}"
    name, text = results.popitem()  # if it fits both scripts, mlp_api.py
    text = text.replace("50_000", "500").replace("60_000", "1000")  # the tests' data is small
    module = ModuleType(name)
    module.__dict__["__file__"] = str(ROOT / f"{name}.py")
    exec(compile(text, f"{name}.py", "exec"), module.__dict__)
    if name == "common":
        monkeypatch.setattr(common, "train_epoch", module.train_epoch)
        module = mlp_scratch
    _, _, history, _, _ = module.main(["--epochs=2"])
    assert math.isfinite(history[-1].train_loss)


def test_both_pages_hold_the_same_code_and_formulas() -> None:
    for language in ("diff", "math"):
        assert blocks(ENGLISH, language) == blocks(CHINESE, language)
    # The Chinese page follows the article's sections, so some functions stand at another place.
    assert sorted(blocks(ENGLISH, "python")) == sorted(blocks(CHINESE, "python"))


def test_both_pages_have_the_same_sessions_in_the_same_order() -> None:
    # The tests of the runs type those of the English page.
    typed = r"^<!-- .*|^    >>> .*\n(?:    .*\n)*"
    first, second = (re.findall(typed, page, re.MULTILINE) for page in PAGES)
    assert first == second


# ---- Figures ----


@both_pages
def test_the_page_lists_the_options_with_their_defaults(page: str) -> None:
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
def test_the_page_lists_the_classes_in_label_order(page: str) -> None:
    in_two_rows = [" | ".join(common.CLASS_NAMES[:5]), " | ".join(common.CLASS_NAMES[5:])]
    across = all(f"| {row} |" in page for row in in_two_rows)
    down = re.findall(r"^\| \d \| ([a-z -]+) \|", page, re.MULTILINE)
    assert across or down[:10] == common.CLASS_NAMES


@both_pages
def test_the_page_holds_the_article_s_two_tables(page: str) -> None:
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
def test_the_page_names_the_oldest_python_and_torch(page: str) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    oldest = (ROOT / ".github" / "oldest.txt").read_text(encoding="utf-8")
    [python] = re.findall(r'requires-python = ">=(.*)"', project)
    [oldest_torch] = re.findall(r"^torch==(.*)$", oldest, re.MULTILINE)
    assert f'"torch>={oldest_torch}; ' in project
    assert f"torch {oldest_torch}" in page
    assert re.search(rf"Python {re.escape(python)}.{{1,4}}3\.14", page)


def test_both_pages_hold_the_same_figures() -> None:
    for what in (r"^    .*$", r"\d+\.\d\d+", r"\d+,\d+", r"--[a-z][a-z-]+"):
        english, chinese = (Counter(re.findall(what, page, re.MULTILINE)) for page in PAGES)
        different = english.keys() ^ chinese.keys()
        assert not different, f"only on one page: {different}"
        assert not english - chinese, f"more often on the English page: {english - chinese}"


@pytest.mark.parametrize(
    ("page", "title"),
    [(ENGLISH, "## With pencil and paper"), (CHINESE, "## 纸笔练习")],
    ids=["english", "chinese"],
)
def test_the_answers_to_the_exercises_are_right(page: str, title: str) -> None:
    answers = section(page, title)
    layers = [784 * 256 + 256, 256 * 128 + 128, 128 * 10 + 10]
    for number in (*layers, sum(layers)):
        assert f"{number:,}" in answers
    x = torch.linspace(-3, 3, 7)
    assert torch.allclose(x.tanh(), 2 * (2 * x).sigmoid() - 1)
    logits = torch.zeros(3, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(0))
    loss.backward()
    assert logits.grad is not None
    after = logits.detach() - 3 * logits.grad
    assert torch.allclose(logits.grad, torch.tensor([-2 / 3, 1 / 3, 1 / 3]))
    assert torch.allclose(after, torch.tensor([2.0, -1.0, -1.0]))
    p = after.softmax(dim=0)[0].item()
    for value in (loss.item(), p, -math.log(p)):
        assert f"{value:.3f}" in answers
    right, wrong = math.e / (math.e + 9), 1 / (math.e + 9)
    for value in (right, wrong, -math.log(right), -math.log(wrong)):
        assert f"{value:.3f}" in answers
    assert f"{0.1 / 256:.5f}" in answers
