"""Options, what main returns, and how a run ends: one clear line, and the right status."""

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
from torch import Tensor, nn

import common
import mlp_scratch
from support import ROOT, Capture, Ends, Patch, both_scripts, finish, start

# ---- Options ----

BAD_OPTIONS = [
    *["--epochs=", "--epochs=-1", "--epochs=1.5", "--epochs=1e3", "--epochs=ten", "--epochs=nan"],
    *["--epochs", "--batch-size=0", "--batch-size=-1", "--num-hiddens=0", "--num-hiddens=x"],
    *["--lr=0", "--lr=-0.1", "--lr=nan", "--lr=inf", "--lr=1e39", "--lr=ten"],
    *["--seed=-1", "--seed=1.5", f"--seed={2**64}"],
    *["--data-dir=", "--data-dir=nowhere", "--data-dir=file", "--figure=x.png", "extra"],
]


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_a_bad_option_is_named_and_ends_with_status_2(
    option: str, tmp_path: Path, ends: Ends, monkeypatch: Patch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    line = ends(option, status=2)
    name = option.partition("=")[0]
    assert re.search(rf"error: .*arguments?:? {name}\b", line), f"it does not name {name}: {line}"


@pytest.mark.parametrize("option", ["--epochs=0", "--lr=1e38", f"--seed={2**64 - 1}"])
@both_scripts
def test_the_ends_of_what_is_allowed_are_allowed(script: ModuleType, option: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "train", lambda *args: [])
        patch.setattr(common, "predict", lambda *args: [])
        script.main([option])


@both_scripts
def test_help_shows_each_default_on_any_code_page(
    script: ModuleType, ends: Ends, monkeypatch: Patch
) -> None:
    output = BytesIO()
    monkeypatch.setattr(common, "DATA_DIR", Path("用户"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(output, "cp1252"))
    ends("--help", main=script.main, status=0)
    sys.stdout.flush()
    text = " ".join(output.getvalue().decode().split())
    assert text.startswith("usage: ")
    for option, words, default in (
        ("--epochs EPOCHS", "passes over the training images", "10"),
        ("--batch-size BATCH_SIZE", "images a step", "256"),
        ("--num-hiddens NUM_HIDDENS", "hidden units", "256"),
        ("--lr LR", "learning rate", "0.1"),
        ("--seed SEED", "start of the random draws", "0"),
        ("--data-dir DATA_DIR", "holds FashionMNIST/raw", r"\u7528\u6237"),
    ):
        assert f"{option} {words} (default: {default})" in text


# ---- What main does and returns ----


@both_scripts
def test_main_returns_a_network_that_can_be_copied_and_its_parameters(script: ModuleType) -> None:
    net, params, _, _, _ = script.main(["--epochs=0"])
    X = torch.rand(9, 1, 28, 28)
    twin, logits = copy.deepcopy(net), net(X)
    for param in params:
        param.data.zero_()
    assert not net(X).any(), "the parameters that main returns must be those of its net"
    assert torch.equal(twin(X), logits), "a copy must have weights of its own"


@both_scripts
def test_main_returns_the_loaders_that_it_has_trained_and_tested_with(script: ModuleType) -> None:
    net, _, history, train_iter, test_iter = script.main(["--epochs=1", "--batch-size=99"])
    assert [len(y) for _, y in train_iter] == [99] * 10 + [10]
    assert [len(y) for _, y in test_iter] == [99, 99, 99, 3]
    assert history[-1].test_acc == common.evaluate_accuracy(net, test_iter)


@both_scripts
@pytest.mark.parametrize("epochs", [0, 3])
def test_as_many_epochs_are_trained_as_are_asked_for(
    script: ModuleType, epochs: int, capsys: Capture
) -> None:
    _, _, history, _, _ = script.main([f"--epochs={epochs}"])
    assert capsys.readouterr().out.count("epoch ") == len(history) == epochs


def test_importing_runs_nothing_and_needs_no_matplotlib_or_numpy(
    capsys: Capture, monkeypatch: Patch
) -> None:
    for name in ("matplotlib", "numpy", *sys.modules):
        if name.partition(".")[0] in ("matplotlib", "numpy"):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "common")
    for name in ("mlp_scratch.py", "mlp_api.py"):
        runpy.run_path(str(ROOT / name), run_name="imported")
    assert capsys.readouterr() == ("", "")


@both_scripts
def test_a_whole_script_in_a_cell_trains_without_the_notebook_s_own_options(
    script: ModuleType, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/lib/ipykernel_launcher.py", "-f", "kernel.json"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    _, _, history, _, _ = common.run(script.main)
    assert len(history) == 10


# ---- How a run ends ----


@pytest.mark.parametrize("console", [True, False])  # as in an editor, and without one
def test_a_run_that_diverges_says_so_after_its_first_epoch(
    console: bool, ends: Ends, monkeypatch: Patch
) -> None:
    output = StringIO() if console else None
    monkeypatch.setattr(sys, "stdout", output)
    line = ends("--lr=1e37", "--batch-size=100")
    assert re.fullmatch(r"mlp\.py: error: .*diverged.* --lr is too large", line)
    if output:
        assert output.getvalue().count("epoch ") == 2, "each script must stop after one epoch"


def test_a_run_that_diverges_in_its_very_last_step_says_so(ends: Ends) -> None:
    assert "diverged" in ends("--lr=1e37", "--epochs=1", "--batch-size=1000")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_loss_and_no_score_may_be_infinite(number: float) -> None:
    weight = nn.Parameter(torch.ones(10))
    data = [(torch.ones(6, 1, 28, 28), torch.zeros(6, dtype=torch.int64))]
    trainer = torch.optim.SGD([weight], lr=0.1)

    def net(X: Tensor) -> Tensor:
        return X[:, 0, 0, :10] * weight

    def loss(y_hat: Tensor, y: Tensor) -> Tensor:
        return y_hat.sum() * number

    with pytest.raises(common.UserError, match="diverged"):
        common.train(net, data, data, loss, trainer, 1)
    with pytest.raises(common.UserError, match="diverged"):
        common.predict(lambda X: X[:, 0, 0, :10] * number, data)


@pytest.mark.parametrize("fault", [RuntimeError(), OSError(22, ""), OSError(32, "")])
def test_a_learner_s_own_error_keeps_its_traceback(
    fault: Exception, capsys: Capture, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(mlp_scratch, "relu", Mock(side_effect=fault))
    with pytest.raises(type(fault)) as raised:
        common.run(partial(mlp_scratch.main, []))
    sys.excepthook(raised.type, raised.value, raised.tb)
    errors = capsys.readouterr().err
    assert re.match(r"Traceback(.|\n)* H = relu\(X @ W1 \+ b1\)", errors), "no traceback"


def test_a_closed_pipe_ends_a_run_in_silence() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start(ROOT / "mlp_api.py", stdout=writing)
    os.close(writing)
    assert finish(process)[1:] == ("", 141)


no_shell = sys.platform == "win32" or not shutil.which("bash")


@pytest.mark.skipif(no_shell, reason="needs a shell and its signals")
def test_ctrl_c_ends_a_shell_s_loop_too() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # not inherited as ignored
    loop = 'for epochs in 30 0; do "$0" "$1" --epochs $epochs; done'  # $0 is Python, $1 the script
    script = ROOT / "mlp_scratch.py"
    bash = shutil.which("bash")
    process = start("-c", loop, sys.executable, script, executable=bash, start_new_session=True)
    signal.signal(signal.SIGINT, before)
    assert process.stdout
    while process.stdout.readline() != "Training\n":
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    _, errors, status = finish(process)
    assert errors == "mlp_scratch.py: interrupted\n"
    assert status == -signal.SIGINT, "it must die of the signal, as the shell looks at that"
