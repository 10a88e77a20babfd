"""The data set: what can be done with it, and what is said of files that are not right or not there."""

import gzip
import os
import re
import shutil
import socket
import timeit
from collections import Counter
from collections.abc import Iterator
from functools import partial
from hashlib import md5
from http.client import IncompleteRead
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch.utils.data import DataLoader, random_split
from torchvision.datasets import FashionMNIST
from torchvision.datasets.utils import download_and_extract_archive

import article
import common
from conftest import RAW, Ends, Patch, both_scripts

IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture(autouse=True)
def mirror(tmp_path: Path, monkeypatch: Patch) -> Iterator[Path]:
    """The folder of a server on this machine, from which the four archives are downloaded."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name in common.MD5:
        (folder / f"{name}.gz").write_bytes(gzip.compress((common.DATA_DIR / RAW / name).read_bytes(), 1))
    sums = [(archive.name, md5(archive.read_bytes()).hexdigest()) for archive in folder.iterdir()]
    monkeypatch.setattr(FashionMNIST, "resources", sums)
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", Mock())
    monkeypatch.setattr(ThreadingHTTPServer, "handle_error", Mock())  # of a client that has hung up
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        yield folder
        server.shutdown()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A small data set of its own, as root."""
    return shutil.copytree(common.DATA_DIR, tmp_path / "data")


def contents(root: Path) -> dict[Path, bytes]:
    """Return what each file below root holds, and that each folder is there."""
    return {path.relative_to(root): path.read_bytes() if path.is_file() else b"" for path in root.rglob("*")}


def test_images_can_be_taken_out_one_by_one_in_slices_and_through_any_loader() -> None:
    pairs = zip(common.load_data_fashion_mnist(64, common.DATA_DIR), article.loaders(64, common.DATA_DIR), strict=True)
    for loader, stock_loader in pairs:
        assert [len(y) for _, y in loader] == [len(y) for _, y in stock_loader], "batches of other sizes"
        dataset: Any = loader.dataset
        stock, n = stock_loader.dataset, len(dataset)
        for rows in (slice(3, 9, 2), slice(-5, None), [3, 5, 7], [3 - n, -1], range(3, 9, 2), torch.tensor([3, 5])):
            X, y = dataset[rows]
            images, labels = zip(*(stock[row] for row in torch.arange(n)[rows].tolist()), strict=True)
            assert torch.equal(X, torch.stack(images)), f"other images for {rows}"
            assert y.tolist() == [*labels], f"other labels for {rows}"
        assert torch.equal(dataset[-1][0], stock[n - 1][0])
        assert (dataset[dataset.labels == 6][1] == 6).all()
        with pytest.raises(IndexError):
            dataset[n]
        parts = (random_split(data, [100, n - 100], torch.Generator().manual_seed(1))[0] for data in (dataset, stock))
        for batches in zip(*(DataLoader(part, 32) for part in parts), strict=True):
            assert all(torch.equal(*both) for both in zip(*batches, strict=True))
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
    opened, really = Counter[str](), open
    monkeypatch.setattr("builtins.open", lambda file, *args: (opened.update([Path(file).name]), really(file, *args))[1])
    common.load_data_fashion_mnist(256, common.DATA_DIR)
    assert opened == dict.fromkeys(common.MD5, 2)


def test_a_tilde_is_the_home_folder(copy: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("HOME", str(copy.parent))
    monkeypatch.setenv("USERPROFILE", str(copy.parent))
    common.load_data_fashion_mnist(256, "~/data")
    args = common.parse_args("", ["--data-dir=~/data"], epochs=1, batch_size=1, num_hiddens=1, lr=1)
    assert Path(args.data_dir) == copy


@pytest.mark.parametrize("name", common.MD5)
def test_a_damaged_file_is_named_with_what_to_do(name: str, copy: Path, ends: Ends) -> None:
    path = copy / RAW / name
    path.write_bytes(path.read_bytes()[:-1] + b"\xfe")
    before = contents(copy)
    assert re.match(f"mlp.py: error: {re.escape(str(path))} is damaged .*data/README.md", ends("--data-dir", copy))
    assert contents(copy) == before


@pytest.mark.parametrize("name", common.MD5)
def test_a_missing_file_alone_is_downloaded_and_the_user_s_own_stay(name: str, copy: Path, mirror: Path) -> None:
    (copy / RAW / f"{name}.gz").write_bytes(b"the user's own")
    before = contents(copy)
    (copy / RAW / name).unlink()
    for archive in mirror.iterdir():
        archive.write_bytes(archive.read_bytes() if archive.stem == name else b"another")
    common.load_data_fashion_mnist(256, copy)
    assert contents(copy) == before


@both_scripts
def test_without_options_and_a_data_folder_all_is_downloaded(
    script: ModuleType, tmp_path: Path, monkeypatch: Patch
) -> None:
    wanted = contents(common.DATA_DIR)
    monkeypatch.setattr(common, "DATA_DIR", tmp_path / "folder" / "data")
    script.main(["--epochs=0"])
    assert contents(common.DATA_DIR) == wanted


def test_a_server_that_stays_silent_is_given_up(tmp_path: Path, ends: Ends, monkeypatch: Patch) -> None:
    limits: list[float] = []
    socket.setdefaulttimeout(0.2)
    with monkeypatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as server:  # never says a word
        patch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
        patch.setattr(socket, "setdefaulttimeout", limits.append)
        line = ends("--data-dir", tmp_path)
    socket.setdefaulttimeout(None)
    assert "timed out" in line
    assert 1 <= max(limits) <= 60, "a download must have a time limit"
    assert limits[1::2] == [0.2, 0.2], "and after it the limit must be the one from before"


@pytest.mark.parametrize("error", [OSError(28, "full"), IncompleteRead(b""), KeyboardInterrupt(), None])
def test_a_download_that_fails_leaves_nothing_behind(
    error: BaseException | None, copy: Path, mirror: Path, ends: Ends, monkeypatch: Patch
) -> None:
    def download(url: str, folder: str, md5: str) -> None:
        Path(folder, IMAGES).write_bytes(b"half")
        if error:
            raise error
        download_and_extract_archive(url, folder, md5=md5)

    monkeypatch.setattr(common, "download_and_extract_archive", download)
    (mirror / f"{IMAGES}.gz").write_bytes(gzip.compress(b"another page"))
    shutil.rmtree(copy / RAW.parent)
    line = ends("--data-dir", copy)
    missing = f"mlp.py: error: {re.escape(str(copy / RAW / IMAGES))} cannot be read or downloaded .*data/README.md"
    assert re.match("mlp.py: interrupted$" if isinstance(error, KeyboardInterrupt) else missing, line)
    assert not contents(copy)


def test_another_run_that_is_faster_does_no_harm(copy: Path, monkeypatch: Patch) -> None:
    def download(url: str, folder: str, md5: str) -> None:
        monkeypatch.setattr(common, "download_and_extract_archive", download_and_extract_archive)
        common.load_data_fashion_mnist(256, copy)  # another run, from its start to its end
        download_and_extract_archive(url, folder, md5=md5)

    monkeypatch.setattr(common, "download_and_extract_archive", download)
    shutil.rmtree(copy / RAW.parent)
    common.load_data_fashion_mnist(256, copy)
    assert contents(copy) == contents(common.DATA_DIR)


@pytest.mark.parametrize(("place", "mode"), [(RAW / LABELS, 0), (RAW, 0), (RAW.parent, 0), (RAW, 0o555)])
def test_what_may_not_be_read_or_written_is_named(place: Path, mode: int, copy: Path, ends: Ends) -> None:
    path = copy / place
    if mode:
        (copy / RAW / IMAGES).unlink()  # so that it is to be written
    path.chmod(mode)
    try:
        if os.access(path, os.W_OK if mode else os.R_OK):
            pytest.skip("permissions do not bind this user")
        assert "Permission denied" in ends("--data-dir", copy)
    finally:
        path.chmod(0o755)


def test_labels_of_another_shape_are_refused_with_both_shapes() -> None:
    batch = torch.zeros(4, 1, 28, 28), torch.zeros(4, 1, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"\[4\] .*\[4, 1\]"):
        common.evaluate_accuracy(lambda X: torch.zeros(len(X), 10), [batch])


def test_an_error_in_our_own_code_does_not_blame_the_data(monkeypatch: Patch) -> None:
    monkeypatch.setattr(common, "ImageDataset", Mock(side_effect=RuntimeError("mine")))
    with pytest.raises(RuntimeError, match="mine"):
        common.load_data_fashion_mnist(256, common.DATA_DIR)
