"""The data set: what can be done with it, and what is said of files that are not right or not there."""

import gzip
import os
import re
import shutil
import socket
import timeit
from functools import partial
from hashlib import md5
from http.client import IncompleteRead
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock
from urllib.request import Request

import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import FashionMNIST

import article
import common
from conftest import RAW, Ends, Patch, both_scripts


class Reply(BytesIO):
    url = length = None  # which torchvision asks of what urlopen returns, besides reading it


@pytest.fixture(autouse=True)
def mirror(monkeypatch: Patch) -> None:
    """Let the four archives be all that can be downloaded: no test reaches the network."""
    archives = {f"{name}.gz": gzip.compress((common.DATA_DIR / RAW / name).read_bytes(), 0) for name in common.MD5}

    def urlopen(request: Request) -> Reply:
        assert 1 <= (socket.getdefaulttimeout() or 0) <= 60, "a server that stays silent must be given up"
        return Reply(archives[request.full_url.removeprefix("http://127.0.0.1:1/")])

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:1/"])
    monkeypatch.setattr(FashionMNIST, "resources", [(name, md5(archives[name]).hexdigest()) for name in archives])


def contents(root: Path) -> dict[Path, bytes]:
    """Return what each file below root holds, and that each folder is there."""
    return {path.relative_to(root): path.read_bytes() if path.is_file() else b"" for path in root.rglob("*")}


def test_images_can_be_taken_out_one_by_one_in_slices_and_through_any_loader() -> None:
    root = common.DATA_DIR
    for loader, stock in zip(common.load_data_fashion_mnist(64, root), article.loaders(64, root), strict=True):
        dataset: Any = loader.dataset
        images, labels = next(iter(DataLoader(stock.dataset, batch_size=1000)))
        whole, n = next(iter(DataLoader(dataset, batch_size=1000))), len(labels)
        assert all(map(torch.equal, whole, (images, labels))), "other data from a stock loader"
        for rows in (-1, slice(3, 9, 2), slice(-5, None), range(3, 9), [3 - n, 5], torch.tensor([3, 5]), labels == 6):
            assert all(map(torch.equal, dataset[rows], (images[rows], labels[rows]))), f"other data for {rows}"
        with pytest.raises(IndexError):
            dataset[n]
        size = sum(tensor.numel() * tensor.element_size() for tensor in vars(dataset).values())
        assert size <= n * (784 + 16), "an image must be 784 bytes in memory, also after it was taken out"


def test_a_batch_costs_no_more_in_a_larger_set() -> None:
    seconds = []
    for n in (8, 100_000):  # of one and the same image, which needs no memory
        images = torch.zeros(1, 28, 28, dtype=torch.uint8).expand(n, 28, 28)
        dataset = common.ImageDataset(images, torch.zeros(n, dtype=torch.int64))
        seconds.append(min(timeit.repeat(partial(dataset.__getitem__, slice(8)), number=1, repeat=7)))
    assert seconds[1] < 50 * seconds[0], "a batch must be taken first and then made floats, not the whole set"


def test_each_file_is_read_once_to_check_it_and_once_to_load_it(monkeypatch: Patch) -> None:
    opened = Mock(wraps=open)
    monkeypatch.setattr("builtins.open", opened)
    common.load_data_fashion_mnist(256, common.DATA_DIR)
    assert sorted(Path(call.args[0]).name for call in opened.mock_calls) == sorted([*common.MD5] * 2)


def test_a_file_that_may_not_be_read_is_named(ends: Ends, monkeypatch: Patch) -> None:
    monkeypatch.setattr("builtins.open", Mock(side_effect=PermissionError(13, "Permission denied")))
    assert re.match("mlp.py: error: .*train-images-idx3-ubyte cannot be read .*Permission denied", ends())


def test_a_tilde_is_the_home_folder(monkeypatch: Patch) -> None:
    monkeypatch.setenv("HOME", str(common.DATA_DIR.parent))
    monkeypatch.setenv("USERPROFILE", str(common.DATA_DIR.parent))
    common.load_data_fashion_mnist(256, "~/data")
    args = common.parse_args("", ["--data-dir=~/data"], epochs=1, batch_size=1, num_hiddens=1, lr=1)
    assert Path(args.data_dir) == common.DATA_DIR


@pytest.mark.parametrize("name", common.MD5)
def test_a_damaged_file_is_named_a_missing_one_downloaded(
    name: str, tmp_path: Path, ends: Ends, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(FashionMNIST, "resources", [row for row in FashionMNIST.resources if name in row[0]])
    root = shutil.copytree(common.DATA_DIR, tmp_path / "data")
    path = root / RAW / name
    path.with_suffix(".gz").write_bytes(b"the user's own")
    wanted = contents(root)
    path.write_bytes(path.read_bytes()[:-1] + b"\xfe")
    assert re.match(rf"mlp.py: error: {re.escape(str(path))} is damaged .*data/README.md", ends("--data-dir", root))
    path.unlink()
    common.load_data_fashion_mnist(256, root)
    assert contents(root) == wanted


@both_scripts
def test_two_first_runs_at_once_both_download_the_data(script: ModuleType, tmp_path: Path, monkeypatch: Patch) -> None:
    def overtaken(error: OSError, *paths: object) -> None:
        windows.undo()
        shutil.rmtree(common.DATA_DIR)  # not there yet when the other run starts
        script.main(["--epochs=0"])
        raise error

    wanted = contents(common.DATA_DIR)
    monkeypatch.setattr(common, "DATA_DIR", tmp_path / "data")
    with monkeypatch.context() as windows:  # where a file that is there, and being read, stays as it is
        windows.setattr(os, "rename", partial(overtaken, FileExistsError(17, "it is there")))
        windows.setattr(os, "replace", partial(overtaken, PermissionError(13, "it is being read")))
        script.main(["--epochs=0"])
    assert contents(common.DATA_DIR) == wanted


@pytest.mark.parametrize("end", [OSError(28, "full"), IncompleteRead(b""), KeyboardInterrupt(), b""])
def test_a_failed_download_leaves_nothing_behind(end: object, tmp_path: Path, ends: Ends, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Reply, "read", Mock(side_effect=[gzip.compress(b"another page"), end] * 2))
    socket.setdefaulttimeout(300)  # a limit of the user's own
    line = ends("--data-dir", tmp_path)
    assert socket.getdefaulttimeout() == 300, "after a download the limit must be the one from before"
    socket.setdefaulttimeout(None)
    said = "interrupted" if isinstance(end, KeyboardInterrupt) else "error: .*train-images-idx3-ubyte cannot be .*"
    assert re.fullmatch(f"mlp.py: {said}", line)
    assert not [*tmp_path.iterdir()]
