"""What the README says to do: its commands, and the measurements behind its figures."""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import benchmark
import common
import experiments

ROOT = Path(common.__file__).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_and_the_workflow_run_the_readme_s_own_commands() -> None:
    commands = set(re.findall(r"^    (python3 -m venv .*)$", README, re.MULTILINE))
    assert len(commands) == 2
    (test,) = [command for command in commands if command.endswith("pytest")]
    windows = re.findall(r"`(\.venv\\Scripts\\pip install [^`]+)`", README)
    assert windows
    for file, lines in ((".ci/run", [test]), (".github/workflows/test.yml", [test, *windows])):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert all(line in text for line in lines), file


def test_every_link_and_file_that_the_readme_names_is_there() -> None:
    anchors = {
        re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    text = re.sub(r"`[^`]*`|^    .*", "", README, flags=re.MULTILINE)
    for target in re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", text):
        name = "".join(target)
        if name.startswith("#"):
            assert name[1:] in anchors, name
        elif not name.startswith("https://"):
            assert (ROOT / name).exists(), name


def test_the_benchmark_starts(
    small_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "peak_megabytes", lambda code: 1.0)
    benchmark.main(small_data, fast=1, slow=1)
    assert re.search(r"^\| here \| 0\.\d\d \| 0\.\d\d \|$", capsys.readouterr().out, re.MULTILINE)


def test_the_experiments_start(
    small_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(experiments, "ProcessPoolExecutor", ThreadPoolExecutor)
    monkeypatch.setattr(common.load_data_fashion_mnist, "__defaults__", (small_data,))
    few = [(title, names, dict([*rows.items()][:1])) for title, names, rows in experiments.TABLES]
    monkeypatch.setattr(experiments, "few", partial(experiments.over_fitting, (1, 2, 3)))
    few[-1][2]["10"] = (experiments.few, experiments.Change(), slice(3))
    monkeypatch.setattr(experiments, "TABLES", few)
    experiments.main(range(1), f"--epochs 1 --data-dir {small_data}", workers=1)
    out = capsys.readouterr().out
    assert "nan" not in out
    assert out.count("\n| ") == 3 * len(few) + 2 + 1
