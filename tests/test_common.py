"""Each function of common.py, against a plain recomputation."""

import gzip
import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from torch import Tensor, nn
from torchvision.datasets import FashionMNIST

import common


@pytest.fixture
def batches() -> list[tuple[Tensor, Tensor]]:
    """Two whole batches and a smaller one of 3-dimensional points in 4 classes."""
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 3, generator=generator), torch.randint(4, (n,), generator=generator)) for n in (8, 8, 3)]


def test_accumulator_keeps_one_sum_for_each_argument() -> None:
    metric = common.Accumulator(3)
    metric.add(1, 2.5, -1)
    metric.add(10, 0.5, -1)
    assert [metric[i] for i in range(3)] == [11.0, 3.0, -2.0]


@pytest.mark.parametrize("args", [(1.0,), (1.0, 2.0, 3.0)])
def test_accumulator_refuses_another_number_of_arguments(args: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="argument"):
        common.Accumulator(2).add(*args)


def test_accuracy_counts_correct_logits_and_correct_indices() -> None:
    y = torch.tensor([2, 0, 1])
    logits = torch.tensor([[0.1, 0.2, 0.7], [0.9, 0.0, 0.1], [0.5, 0.2, 0.3]])
    assert common.accuracy(logits, y) == 2.0
    assert common.accuracy(torch.tensor([2, 1, 1]), y) == 2.0


def test_evaluate_accuracy_weighs_samples_and_not_batches(batches: list[tuple[Tensor, Tensor]]) -> None:
    # Right on the whole last batch, wrong on the others: 3 of 19, where the mean of batch means would be 1 of 3.
    answers = iter([(y + 1) % 4 for _, y in batches[:2]] + [batches[2][1]])
    assert common.evaluate_accuracy(lambda X: next(answers), batches) == 3 / 19


def test_evaluate_accuracy_puts_a_module_into_eval_mode(batches: list[tuple[Tensor, Tensor]]) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
    net.train()
    first = common.evaluate_accuracy(net, batches)
    assert not net.training
    assert common.evaluate_accuracy(net, batches) == first


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_train_epoch_returns_loss_and_accuracy_over_all_samples(
    batches: list[tuple[Tensor, Tensor]], reduction: str
) -> None:
    net = nn.Linear(3, 4).eval()
    trainer = torch.optim.SGD(net.parameters(), lr=0.0)  # nothing moves, so a recomputation is possible
    X, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    train_loss, train_acc = common.train_epoch(net, batches, nn.CrossEntropyLoss(reduction=reduction), trainer)
    assert net.training
    assert train_loss == pytest.approx(nn.functional.cross_entropy(net(X), y).item(), rel=1e-6)
    assert train_acc == (net(X).argmax(1) == y).double().mean().item()


def test_train_prints_each_epoch_and_returns_the_history(
    batches: list[tuple[Tensor, Tensor]], capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    net = nn.Linear(3, 4)
    trainer = torch.optim.SGD(net.parameters(), lr=0.5)
    history = common.train(net, batches, batches, nn.CrossEntropyLoss(), 11, trainer)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"epoch {n:02d} : train_loss={loss:.4f}, train_acc={train_acc:.4f}, test_acc={test_acc:.4f}"
        for n, (loss, train_acc, test_acc) in enumerate(history, start=1)
    ]
    assert len(history) == 11
    # Each epoch's figures are its own: sums carried over from the epochs before would never fall this far.
    assert history[-1].train_loss < history[0].train_loss
    assert history[-1].test_acc == common.evaluate_accuracy(net, batches)


@pytest.mark.parametrize("batch_size", [1, 4, 256])
def test_predict_prints_and_returns_six_pairs_of_names(
    batch_size: int, small_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, test_iter = common.load_data_fashion_mnist(batch_size, small_data)
    pairs = common.predict(lambda X: torch.eye(10)[[3] * len(X)], test_iter)  # everything is a dress
    true = ["ankle boot", "pullover", "trouser", "trouser", "shirt", "trouser"]
    assert pairs == [(name, "dress") for name in true]
    assert capsys.readouterr().out.splitlines() == ["", "Predictions:"] + [
        f"{n}. true: {name:<10}  predicted: dress" for n, name in enumerate(true, start=1)
    ]


def test_the_loaders_hand_out_whole_batches_and_keep_the_smaller_last_one() -> None:
    for data_iter, n in zip(common.load_data_fashion_mnist(256), (60_000, 10_000), strict=True):
        assert isinstance(data_iter, torch.utils.data.DataLoader)
        sizes = []
        for X, y in data_iter:
            assert X.shape == (len(y), 1, 28, 28)
            assert y.shape == (len(y),)
            assert (X.dtype, y.dtype) == (torch.float32, torch.int64)
            sizes.append(len(y))
        assert sizes == [256] * (n // 256) + [n % 256]
        assert len(data_iter) == len(sizes)


def test_a_batch_larger_than_the_data_set_is_the_whole_data_set(small_data: Path) -> None:
    sizes = [[len(y) for _, y in data_iter] for data_iter in common.load_data_fashion_mnist(10**9, small_data)]
    assert sizes == [[2000], [500]]


def test_missing_files_are_downloaded_as_ever(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served = tmp_path / "server"
    served.mkdir()
    resources = []
    for path in sorted((small_data / "FashionMNIST" / "raw").iterdir()):
        archive = gzip.compress(path.read_bytes(), mtime=0)
        (served / f"{path.name}.gz").write_bytes(archive)
        resources.append((f"{path.name}.gz", hashlib.md5(archive).hexdigest()))
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(FashionMNIST, "resources", resources)
        _, test_iter = common.load_data_fashion_mnist(500, tmp_path)
        server.shutdown()
    _, expected = common.load_data_fashion_mnist(500, small_data)
    assert all(torch.equal(*pair) for pair in zip(next(iter(test_iter)), next(iter(expected)), strict=True))
