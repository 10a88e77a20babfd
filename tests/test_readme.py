"""What the two pages say: their commands and links, that they agree, and the measurements behind their figures."""

import re
from collections import Counter
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

import benchmark
import common
import experiments
from conftest import ROOT, Capture, Patch

FILES = (ROOT / "README.md", ROOT / ".github" / "README.zh.md")
ENGLISH, CHINESE = PAGES = [file.read_text(encoding="utf-8") for file in FILES]


def test_ci_and_the_workflow_run_the_pages_own_commands() -> None:
    workflow, ci = ((ROOT / ".github/workflows/test.yml").read_text("utf-8"), (ROOT / ".ci/run").read_text("utf-8"))
    for page in PAGES:
        start, test = re.findall(r"^    (python3 -m venv .*)$", page, re.MULTILINE)
        assert start.endswith("mlp_scratch.py")
        assert test in ci
        assert test in workflow
        assert set(re.findall(r"`(\.venv\\Scripts\\pip install [^`]+)`", page)) == {r".venv\Scripts\pip install .[dev]"}
    assert r".venv\Scripts\pip install .[dev]" in workflow


@pytest.mark.parametrize("file", FILES, ids=["english", "chinese"])
def test_every_link_and_file_that_a_page_names_is_there(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    anchors = {"#" + re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}
    targets = re.findall(r"(?:\]\(|src=\")([^)\"]+)", re.sub(r"`[^`]*`|^    .*", "", page, flags=re.MULTILINE))
    assert len(targets) > 20
    for target in targets:
        assert target in anchors or target.startswith("https://") or (file.parent / target).exists(), target
    for name in re.findall(r"`(?:pytest -k )?(test_[45]\w*)`", page):
        tests = (ROOT / "tests" / "test_article.py").read_text(encoding="utf-8")
        assert f"def {name}" in tests, f"no test begins with {name}"


def test_both_pages_hold_the_same_code_and_the_same_figures() -> None:
    for what in (r"^    .*$", r"\d+\.\d\d+", r"\d+,\d+", r"--[a-z][a-z-]+"):
        english, chinese = (Counter(re.findall(what, page, re.MULTILINE)) for page in PAGES)
        assert english.keys() == chinese.keys(), f"only on one page: {english.keys() ^ chinese.keys()}"
        assert not english - chinese, f"more often on the English page: {english - chinese}"
    typed = r"^<!-- .*|^    >>> .*\n(?:    .*\n)*"
    first, second = (re.findall(typed, page, re.MULTILINE) for page in PAGES)
    assert first == second, "the sessions must stand in one order, as test_tables.py types those of one page"


def test_the_benchmark_starts(monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setattr(benchmark, "peak_megabytes", lambda code: 1.0)
    benchmark.main(common.DATA_DIR, rounds=1)
    assert re.search(r"^\| here \| \d+\.\d\d \| \d+\.\d\d \|$", capsys.readouterr().out, re.MULTILINE)


def test_the_experiments_start_and_draw(tmp_path: Path, monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setattr(experiments, "Pool", lambda workers, *_: ThreadPool(workers))  # which finds the small data
    file = tmp_path / "experiments.png"
    experiments.main(["--seeds=1", "--epochs=1", "--workers=1", f"--picture={file}"])
    out = capsys.readouterr().out
    assert "nan" not in out
    for title, _, rows in experiments.TABLES:
        assert f"| {title} |" in out
        assert all(f"\n| {name} | " in out for name in rows), title
    assert file.stat().st_size > 50_000
