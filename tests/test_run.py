"""Options, what main returns, and how a run ends: one clear line, the right status, nothing hidden."""

import copy
import math
import os
import re
import runpy
import shutil
import signal
import sys
from functools import partial
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest
import torch
from torch import nn

import common
import mlp_scratch
from conftest import ROOT, Capture, Ends, Patch, both_scripts, finish, start

DEFAULTS = {"epochs": 10, "batch_size": 256, "num_hiddens": 256, "lr": 0.1}
BAD = f"""--epochs= --epochs=-1 --epochs=1.5 --epochs=1e3 --epochs=1,5 --epochs=ten --epochs=nan --epochs=1{"0" * 5000}
    --epochs --batch-size=0 --num-hiddens=0 --num-hiddens={2**63} --lr=0 --lr=-0.1 --lr=nan --lr=inf --lr=1e39 --lr=ten
    --seed=-1 --seed=1.5 --seed={2**64} --data-dir= --data-dir=nowhere --data-dir=file --figure=x.png extra""".split()


@pytest.mark.parametrize("option", BAD)
def test_a_bad_option_is_refused_in_one_line(option: str, tmp_path: Path, ends: Ends, monkeypatch: Patch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    line = ends(option, status=2)
    assert re.search(f"error: .*argument.* {option.partition('=')[0]}\\b", line), f"it does not name the option: {line}"


@both_scripts
def test_help_shows_each_default_on_any_code_page(script: ModuleType, ends: Ends, monkeypatch: Patch) -> None:
    output = BytesIO()
    monkeypatch.setattr(common, "DATA_DIR", Path("/用户"))
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(output, "cp1252"))
    ends("--help", main=script.main, status=0)
    sys.stdout.flush()
    text = " ".join(output.getvalue().decode().split())
    assert text.startswith("usage: ")
    for name, value in (DEFAULTS | {"seed": 0, "data_dir": r".\\u7528\\u6237"}).items():
        option = name.replace("_", "-")
        assert re.search(rf"--{option} [A-Z_]+ [^()]+ \(default: {value}\)", text), f"no default of --{option}: {text}"


@both_scripts
def test_main_returns_a_network_that_can_be_copied_and_its_parameters(script: ModuleType) -> None:
    net, params, _ = script.main(["--epochs=0"])
    X = torch.rand(9, 1, 28, 28)
    twin, logits = copy.deepcopy(net), net(X)
    for param in params:
        param.data.zero_()
    assert not net(X).any(), "the parameters that main returns must be those of its net"
    assert torch.equal(twin(X), logits), "a copy must have weights of its own"


def test_importing_runs_nothing_and_needs_no_matplotlib_or_numpy(capsys: Capture, monkeypatch: Patch) -> None:
    for name in ("matplotlib", "numpy", *sys.modules):
        if name.partition(".")[0] in ("matplotlib", "numpy"):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "common")
    for name in ("mlp_scratch.py", "mlp_api.py"):
        runpy.run_path(str(ROOT / name), run_name="imported")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("output", "epochs"), [(StringIO(), 10), (None, 1)])  # as in an IDE, and without a console
def test_a_run_that_diverges_says_so(output: StringIO | None, epochs: int, ends: Ends, monkeypatch: Patch) -> None:
    monkeypatch.setattr(sys, "stdout", output)
    line = ends("--lr=1e37", f"--epochs={epochs}", "--batch-size=100000")  # with 1, in the very last step
    assert re.fullmatch(r"mlp\.py: error: .*diverged.* --lr", line)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_loss_and_no_score_may_be_infinite(number: float) -> None:
    weight = nn.Parameter(torch.ones(10))
    data = [(torch.ones(6, 1, 28, 28), torch.zeros(6, dtype=torch.int64))]
    trainer = torch.optim.SGD([weight], lr=0.1)
    with pytest.raises(common.UserError, match="diverged"):
        common.train(lambda X: X[:, 0, 0, :10] * weight, data, data, lambda y_hat, y: y_hat.sum() * number, trainer, 1)
    with pytest.raises(common.UserError, match="diverged"):
        common.predict(lambda X: X[:, 0, 0, :10] * number, data)


@pytest.mark.parametrize("fault", [RuntimeError(), OSError(22, ""), OSError(32, ""), lambda X: torch.zeros(10**15)])
def test_a_learner_s_own_error_keeps_its_traceback(fault: object, capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(mlp_scratch, "relu", Mock(side_effect=fault))
    with pytest.raises((RuntimeError, OSError)) as raised:
        common.run(partial(mlp_scratch.main, []))
    sys.excepthook(raised.type, raised.value, raised.tb)
    assert re.match(r"Traceback(.|\n)* H = relu\(X @ W1 \+ b1\)", capsys.readouterr().err), "no traceback to the line"


def test_a_closed_pipe_ends_a_run_in_silence() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start(ROOT / "mlp_api.py", stdout=writing)
    os.close(writing)
    assert finish(process)[1:] == ("", 141)


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="needs a shell and its signals")
def test_ctrl_c_ends_a_shell_s_loop_too() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what is started would inherit that it is ignored
    loop = 'for epochs in 30 0; do "$0" "$1" --epochs $epochs; done'
    bash = {"executable": shutil.which("bash"), "start_new_session": True}
    process = start("-c", loop, sys.executable, ROOT / "mlp_scratch.py", **bash)
    assert process.stdout
    while process.stdout.readline() != "Training\n":
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    assert finish(process)[1:] == ("mlp_scratch.py: interrupted\n", -signal.SIGINT), "it must die of the signal"
