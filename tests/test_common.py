"""What common.py promises beyond the article's claims."""

import gzip
import hashlib
import runpy
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import article
import pytest
import torch
from children import ROOT
from conftest import MAINS, SCRIPTS
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import FashionMNIST

import common


def constant_net(label: int) -> common.Net:
    """A network for which every image is of one class."""
    return lambda X: torch.eye(10)[[label] * len(X)]


def same(batch: tuple[Tensor, object], expected: tuple[Tensor, object]) -> bool:
    """Whether both are the same pair of images and labels, bit for bit."""
    (X, y), (X_, y_) = batch, expected
    return torch.equal(X, X_) and torch.equal(torch.as_tensor(y), torch.as_tensor(y_))


# Data


def test_the_data_set_can_be_explored_like_the_article_s(small_data: Path) -> None:
    ours, theirs = (load(64, small_data)[0].dataset for load in (common.load_data_fashion_mnist, article.loaders))
    assert len(ours) == len(theirs) == 2000  # type: ignore[arg-type]
    for index in (0, 7, 1999, -1):
        assert same(ours[index], theirs[index])
        assert isinstance(ours[index][1], int)
    for index in (2000, -2001):
        with pytest.raises(IndexError):
            ours[index]
    assert same(ours[[3, 1, 4]], (torch.stack([theirs[i][0] for i in (3, 1, 4)]), [theirs[i][1] for i in (3, 1, 4)]))
    for ours_, theirs_ in ((ours, theirs), (Subset(ours, range(5, 300)), Subset(theirs, range(5, 300)))):
        assert all(same(*pair) for pair in zip(DataLoader(ours_, 32), DataLoader(theirs_, 32), strict=True))


def test_images_stay_bytes_in_memory(small_data: Path) -> None:
    train_iter, _ = common.load_data_fashion_mnist(256, small_data)
    tensors = [value for value in vars(train_iter.dataset).values() if isinstance(value, Tensor)]
    assert sum(tensor.numel() * tensor.element_size() for tensor in tensors) == 2000 * (784 + 8)


def test_a_batch_larger_than_the_data_set_is_the_whole_data_set(small_data: Path) -> None:
    sizes = [[len(y) for _, y in data_iter] for data_iter in common.load_data_fashion_mnist(60_000, small_data)]
    assert sizes == [[2000], [500]]


def test_missing_files_are_downloaded(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "server"
    served.mkdir()
    resources = []
    for path in sorted((small_data / "FashionMNIST" / "raw").iterdir()):
        archive = gzip.compress(path.read_bytes(), mtime=0)
        (served / f"{path.name}.gz").write_bytes(archive)
        resources.append((f"{path.name}.gz", hashlib.md5(archive).hexdigest()))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(FashionMNIST, "resources", resources)
        _, test_iter = common.load_data_fashion_mnist(500, tmp_path)
        server.shutdown()
    _, expected = common.load_data_fashion_mnist(500, small_data)
    assert same(next(iter(test_iter)), next(iter(expected)))


def test_the_data_folder_is_found_from_the_script_s_own_place() -> None:
    assert common.DATA_DIR == ROOT / "data"


# Metrics, training, prediction


@pytest.mark.parametrize("args", [(1.0,), (1.0, 2.0, 3.0)])
def test_accumulator_refuses_another_number_of_arguments(args: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="argument"):
        common.Accumulator(2).add(*args)


def test_modes_a_module_trains_in_train_mode_and_is_judged_in_eval_mode(small_data: Path) -> None:
    modes = []

    class Watched(nn.Linear):
        def forward(self, X: Tensor) -> Tensor:
            modes.append(self.training)
            return super().forward(X.flatten(1))

    net = Watched(784, 10)
    train_iter, test_iter = common.load_data_fashion_mnist(2000, small_data)
    calls: tuple[Callable[[], object], ...] = (
        partial(common.train_epoch, net, train_iter, nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.1)),
        partial(common.evaluate_accuracy, net, test_iter),
        partial(common.predict, net, test_iter),
    )
    for call, training in zip(calls, (True, False, False), strict=True):
        net.train(not training)
        call()
        assert modes.pop() == training


def test_train_prints_each_epoch_and_returns_the_history(capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.Generator().manual_seed(1)
    batches = [(torch.randn(n, 3, generator=generator), torch.randint(4, (n,), generator=generator)) for n in (8, 3)]
    torch.manual_seed(0)
    net = nn.Linear(3, 4)
    trainer = torch.optim.SGD(net.parameters(), lr=0.5)
    history = common.train(net, batches, batches, nn.CrossEntropyLoss(), trainer, 11)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"epoch {n:02d}: train_loss={loss:.4f}, train_acc={train_acc:.4f}, test_acc={test_acc:.4f}"
        for n, (loss, train_acc, test_acc) in enumerate(history, start=1)
    ]
    assert len(history) == 11
    # Each epoch's figures are its own: sums carried over from the epochs before would never fall this far.
    assert history[-1].train_loss < history[0].train_loss
    assert history[-1].test_acc == common.evaluate_accuracy(net, batches)


@pytest.mark.parametrize(("batch_size", "n"), [(4, 4), (6, 6), (256, 6)])
def test_predict_prints_and_returns_names_from_the_first_test_batch(
    batch_size: int, n: int, small_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, test_iter = common.load_data_fashion_mnist(batch_size, small_data)
    names = common.predict(constant_net(3), test_iter)  # everything is a dress
    true = ["ankle boot", "pullover", "trouser", "trouser", "shirt", "trouser"][:n]
    assert names == [(name, "dress") for name in true]
    assert capsys.readouterr().out.splitlines() == ["", "Predictions:"] + [
        f"{number}. true: {name:<10} predicted: dress" for number, name in enumerate(true, start=1)
    ]


# What a learner does with it


@pytest.mark.parametrize("script", SCRIPTS)
def test_importing_a_script_runs_nothing(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / f"{script}.py"), run_name=script)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("script", SCRIPTS)
def test_main_returns_the_network_its_parameters_and_the_history(script: str, small_data: Path) -> None:
    net, params, history = MAINS[script](["--epochs", "2", "--data-dir", str(small_data)])
    _, test_iter = common.load_data_fashion_mnist(256, small_data)
    assert len(history) == 2
    assert history[-1].test_acc == common.evaluate_accuracy(net, test_iter)
    for param in params:
        param.data.zero_()
    assert not net(next(iter(test_iter))[0]).any()  # without them, nothing is left of it


def test_python_i_ends_in_a_session_with_the_results(small_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for script, name in (("mlp_scratch", "model"), ("mlp_api", "net")):
        path = str(ROOT / f"{script}.py")
        monkeypatch.setattr("sys.argv", [path, "--epochs", "1", "--data-dir", str(small_data)])
        session = runpy.run_path(path, run_name="__main__")
        assert len(session["history"]) == 1
        assert sum(param.numel() for param in session["params"]) == 203_530
        assert session[name](torch.zeros(1, 1, 28, 28)).shape == (1, 10)
