"""What the README says to do: its commands, and the measurements behind its figures."""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import benchmark
import common
import experiments
from conftest import ROOT, Capture, Patch

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_and_the_workflow_run_the_readme_s_own_commands() -> None:
    test, _ = sorted(set(re.findall(r"^    (python3 -m venv .*)$", README, re.MULTILINE)))  # the same in both halves
    (windows,) = set(re.findall(r"`(\.venv\\Scripts\\pip install [^`]+)`", README))
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    assert test in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert test in workflow
    assert windows in workflow


def test_every_link_and_file_that_the_readme_names_is_there() -> None:
    titles = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {"#" + re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}
    text = re.sub(r"`[^`]*`|^    .*", "", README, flags=re.MULTILINE)
    for target in re.findall(r"(?:\]\(|src=\")([^)\"]+)", text):
        assert target in anchors or target.startswith("https://") or (ROOT / target).exists(), target


def test_the_benchmark_starts(monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setattr(benchmark, "peak_megabytes", lambda code: 1.0)
    benchmark.main(common.DATA_DIR, fast=1, slow=1)
    assert re.search(r"^\| here \| \d+\.\d\d \| \d+\.\d\d \|$", capsys.readouterr().out, re.MULTILINE)


def test_the_experiments_start(monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setattr(experiments, "ProcessPoolExecutor", ThreadPoolExecutor)
    tables = [(title, names, dict([*rows.items()][:1])) for title, names, rows in experiments.TABLES]
    tables[-1][2]["10"] = (partial(experiments.over_fitting, (1, 2, 3)), experiments.Change(), slice(3))
    monkeypatch.setattr(experiments, "TABLES", tables)
    experiments.main(range(1), "--epochs 1", workers=1)
    out = capsys.readouterr().out
    assert "nan" not in out
    assert out.count("\n| ") == 3 * len(tables) + 2 + 1
