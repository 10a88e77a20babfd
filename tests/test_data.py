"""The data set: what can be done with it, and what is said of files that are not right."""

import gzip
import hashlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from unittest.mock import Mock

import pytest
import torch
from torch.utils.data import DataLoader, random_split
from torchvision.datasets import FashionMNIST

import article
import common
from conftest import Ends, Patch

RAW = Path("FashionMNIST", "raw")
IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
ANOTHER = "cut, too long or of another data set"
TO_DO = ": put the file there that data/README.md lists"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: Patch) -> Iterator[None]:
    """Nobody listens at the mirror, no proxy is asked, and the time limit is taken back."""
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setenv("no_proxy", "*")
    yield
    monkeypatch.undo()
    socket.setdefaulttimeout(None)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A small data set of its own, as root."""
    return shutil.copytree(common.DATA_DIR, tmp_path / "data")


def test_images_can_be_taken_out_one_by_one_in_slices_and_through_any_loader() -> None:
    ours = common.load_data_fashion_mnist(64)[0].dataset
    stock = article.loaders(64, common.DATA_DIR)[0].dataset
    assert isinstance(ours, common.ImageDataset)
    assert len(ours) == 1000
    assert torch.equal(ours[-1][0], stock[-1][0])
    for rows in (slice(3, 9, 2), [3, 5, 7], [3 - 1000, 5, 7], range(3, 9, 2), torch.tensor([3, 5, 7])):
        X, y = ours[rows]  # type: ignore[index]
        assert torch.equal(X, torch.stack([stock[row][0] for row in (3, 5, 7)]))
        assert y.tolist() == [stock[row][1] for row in (3, 5, 7)]
    assert (ours[ours.labels == 6][1] == 6).all()
    with pytest.raises(IndexError):
        ours[1000]
    size = sum(tensor.numel() * tensor.element_size() for tensor in vars(ours).values())
    assert size <= 1000 * (784 + 16), "an image is 784 bytes in memory"
    parts = (random_split(data, [100, 900], torch.Generator().manual_seed(1))[0] for data in (ours, stock))
    for batches in zip(*(DataLoader(part, 32) for part in parts), strict=True):
        assert all(torch.equal(*both) for both in zip(*batches, strict=True))


def test_a_tilde_is_the_home_folder(copy: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("HOME", str(copy.parent))
    monkeypatch.setenv("USERPROFILE", str(copy.parent))
    common.load_data_fashion_mnist(256, "~/data")
    args = common.parse_args("", ["--data-dir=~/data", "--figure=~/x.png"])
    assert (args.data_dir, args.figure) == (os.path.expanduser("~/data"), copy.parent / "x.png")


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        (IMAGES, lambda content: content[:-1], f"is {ANOTHER} (784015 bytes)"),
        (LABELS, lambda content: content[:7], f"is {ANOTHER} (7 bytes)"),
        (LABELS, lambda content: content + b"\0", f"is {ANOTHER} (309 bytes)"),
        (IMAGES, lambda content: b"", "is empty"),
        (IMAGES, lambda content: b"\n<html>not found</html>\n", "is a web page"),
        (LABELS, lambda content: b"version https://git-lfs", "is a Git LFS pointer"),
        (IMAGES, gzip.compress, "is still packed"),
        (IMAGES, lambda content: content[:11] + b"\x0e\0\0\0\x38" + content[16:], f"is {ANOTHER} (784016 bytes)"),
        (LABELS, lambda content: b"\0\0\x08\x03" + content[4:], f"is {ANOTHER} (308 bytes)"),
        (IMAGES, lambda content: content[:4] + bytes(4) + content[8:16], f"is {ANOTHER} (16 bytes)"),
        (LABELS, lambda content: content[:-1] + b"\x0a", "has 300 labels up to 10 for 300 images"),
        (LABELS, lambda content: content[:7] + b"\x2b" + content[8:-1], "has 299 labels up to 9 for 300 images"),
    ],
)
def test_a_damaged_file_is_named_with_its_fault_and_what_to_do(
    name: str, change: Callable[[bytes], bytes], fault: str, copy: Path, ends: Ends
) -> None:
    path = copy / RAW / name
    path.write_bytes(change(path.read_bytes()))
    assert ends("--data-dir", copy) == f"mlp.py: error: {path} {fault}{TO_DO}"


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_a_missing_file_is_named_and_so_is_what_stops_its_download(name: str, copy: Path, ends: Ends) -> None:
    (copy / RAW / name).unlink()
    line = ends("--data-dir", copy)
    assert line.startswith(f"mlp.py: error: {copy / RAW / name} is missing, no download (")
    assert line.endswith(TO_DO)


@pytest.mark.parametrize(
    ("root", "found"),
    [
        ("data/FashionMNIST", RAW / IMAGES),
        ("data/FashionMNIST/raw", RAW / IMAGES),
        (".", RAW / IMAGES),
        ("data", Path("FashionMNIST", IMAGES)),
        ("data", RAW / "train-images.idx3-ubyte"),
    ],
)
def test_files_that_lie_beside_their_place_are_found_and_nothing_is_left_behind(
    root: str, found: Path, copy: Path, ends: Ends, monkeypatch: Patch
) -> None:
    monkeypatch.chdir(copy.parent)
    (copy / RAW / IMAGES).rename(copy / found)
    before = sorted(copy.parent.rglob("*"))
    advice = f"{Path(root, RAW, IMAGES)} is missing, but {Path('data', found)} is there: move it or change --data-dir"
    assert ends("--data-dir", root) == f"mlp.py: error: {advice}"
    assert sorted(copy.parent.rglob("*")) == before


def test_a_missing_file_alone_is_downloaded(copy: Path, monkeypatch: Patch) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*-ubyte")}
    (copy / RAW / IMAGES).unlink()
    resources = []
    for archive, _ in FashionMNIST.resources:
        packed = gzip.compress(before[copy / RAW / archive[:-3]] if archive.startswith(IMAGES) else b"another")
        (copy / archive).write_bytes(packed)
        resources.append((archive, hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    handler = partial(SimpleHTTPRequestHandler, directory=str(copy))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        common.load_data_fashion_mnist(256, copy)
        server.shutdown()
    assert {path: path.read_bytes() for path in copy.rglob("*-ubyte")} == before


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path, ends: Ends, monkeypatch: Patch) -> None:
    limits: list[float] = []
    socket.setdefaulttimeout(0.2)
    monkeypatch.setattr(socket, "setdefaulttimeout", limits.append)
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never says a word
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
        assert "timed out" in ends("--data-dir", tmp_path)
    assert limits == [20]


@pytest.mark.parametrize(
    ("root", "path", "mode"),
    [("data", RAW / LABELS, 0), ("data", RAW, 0), ("data", RAW.parent, 0), ("empty", Path(), 0o555)],
)
def test_what_may_not_be_read_or_written_is_named(root: str, path: Path, mode: int, copy: Path, ends: Ends) -> None:
    (copy.parent / "empty").mkdir()
    path = copy.parent / root / path
    path.chmod(mode)
    try:
        if os.access(path, os.W_OK if mode else os.R_OK):
            pytest.skip("permissions do not bind this user")
        assert "Permission denied" in ends("--data-dir", copy.parent / root)
    finally:
        path.chmod(0o755)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(5, "I/O error"), "labels-idx1-ubyte cannot be read (I/O error)"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_a_file_that_cannot_be_read_whole(error: Exception, words: str, ends: Ends, monkeypatch: Patch) -> None:
    monkeypatch.setattr(common, "read_label_file", Mock(side_effect=error))
    assert words in ends()


def test_an_error_in_our_own_code_does_not_blame_the_data(monkeypatch: Patch) -> None:
    monkeypatch.setattr(common, "ImageDataset", lambda *args: [][0])
    with pytest.raises(IndexError):
        common.load_data_fashion_mnist(256)
