"""The data set: what can be done with it, and what is said of files that are not right."""

import errno
import gzip
import hashlib
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from torch.utils.data import DataLoader, Subset, random_split
from torchvision.datasets import FashionMNIST

import article
import common
from conftest import Fails

RAW = Path("FashionMNIST", "raw")
TO_DO = ": put the file there that data/README.md lists"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody listens at the mirror, no proxy is asked, and the time limit is taken back."""
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setenv("no_proxy", "*")
    yield
    socket.setdefaulttimeout(None)


@pytest.fixture
def copy(small_data: Path, tmp_path: Path) -> Path:
    """A small data set of its own, as root."""
    return shutil.copytree(small_data, tmp_path / "data")


def test_images_can_be_taken_out_one_by_one_in_slices_and_through_any_loader(small_data: Path) -> None:
    train_iter, stock_iter = (load(64, small_data)[0] for load in (common.load_data_fashion_mnist, article.loaders))
    ours, stock = train_iter.dataset, stock_iter.dataset
    assert isinstance(ours, common.ImageDataset)
    assert len(ours) == 1000
    for index in (0, 7, -1):
        assert torch.equal(ours[index][0], stock[index][0])
        assert int(ours[index][1]) == stock[index][1]
    for several in (slice(3, 9, 2), [3, 5, 7], range(3, 9, 2), torch.tensor([3, 5, 7])):
        X, y = ours[several]  # type: ignore[index]
        assert torch.equal(X, torch.stack([stock[i][0] for i in (3, 5, 7)]))
        assert y.tolist() == [stock[i][1] for i in (3, 5, 7)]
    assert torch.equal(ours[[-1, -2]][0], torch.stack([stock[-1][0], stock[-2][0]]))
    assert torch.equal(ours[ours.labels == 6][1], torch.full((len(ours[ours.labels == 6][1]),), 6))
    for index in (1000, -1001):
        with pytest.raises(IndexError):
            ours[index]
    for part, stock_part in (
        (ours, stock),
        (Subset(ours, range(5, 200)), Subset(stock, range(5, 200))),
        [random_split(d, [100, 900], torch.Generator().manual_seed(1))[0] for d in (ours, stock)],
    ):
        pairs = zip(DataLoader(part, 32), DataLoader(stock_part, 32), strict=True)
        assert all(torch.equal(*both) for batches in pairs for both in zip(*batches, strict=True))


def test_images_are_bytes_in_memory(small_data: Path) -> None:
    tensors = vars(common.load_data_fashion_mnist(256, small_data)[0].dataset).values()
    assert sum(tensor.numel() * tensor.element_size() for tensor in tensors) <= 1000 * (784 + 16)


@pytest.mark.parametrize("batch_size", [1000, 60_000])
def test_a_batch_larger_than_the_data_set_is_the_whole_set(batch_size: int, small_data: Path) -> None:
    for loader, n in zip(common.load_data_fashion_mnist(batch_size, small_data), (1000, 300), strict=True):
        assert [len(y) for _, y in loader] == [n]


def test_the_data_folder_is_found_from_the_script_s_own_place() -> None:
    assert Path(common.__file__).parent / "data" == common.DATA_DIR


def test_a_tilde_is_the_home_folder(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(copy.parent))
    monkeypatch.setenv("USERPROFILE", str(copy.parent))
    common.load_data_fashion_mnist(256, "~/data")
    args = common.parse_args("", ["--data-dir=~/data", "--figure=~/x.png"], epochs=1)
    assert (args.data_dir, args.figure) == (os.path.expanduser("~/data"), copy.parent / "x.png")


def sized(height: int, width: int) -> Callable[[bytes], bytes]:
    """Say that the images of a file have this size."""
    size = height.to_bytes(4, "big") + width.to_bytes(4, "big")
    return lambda content: content[:8] + size + content[16:]


IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
ANOTHER = "is cut, too long or of another data set "
DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "cut": (IMAGES, lambda content: content[:-1], f"{ANOTHER}(784015 bytes)"),
    "cut in its header": (LABELS, lambda content: content[:7], f"{ANOTHER}(7 bytes)"),
    "too long": (LABELS, lambda content: content + b"\0", f"{ANOTHER}(309 bytes)"),
    "empty": (IMAGES, lambda _: b"", "is empty"),
    "a web page": (IMAGES, lambda _: b"\n<html>not found</html>\n" * 9, "is a web page"),
    "a Git LFS pointer": (LABELS, lambda _: b"version https://git-lfs", "is a Git LFS pointer"),
    "a renamed .gz": (IMAGES, gzip.compress, "is still packed"),
    "images of another size": (IMAGES, sized(14, 56), ANOTHER),
    "images for labels": (LABELS, lambda content: b"\0\0\x08\x03" + content[4:], ANOTHER),
    "no images": (IMAGES, lambda content: content[:4] + bytes(4) + content[8:16], ANOTHER),
    "a label above 9": (LABELS, lambda content: content[:-1] + b"\x0a", "labels up to 10"),
    "too few labels": (
        LABELS,
        lambda content: content[:4] + (299).to_bytes(4, "big") + content[8:-1],
        "has 299 labels up to 9 for 300 images",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_with_its_fault_and_what_to_do(damage: str, copy: Path, fails: Fails) -> None:
    name, change, fault = DAMAGES[damage]
    path = copy / RAW / name
    path.write_bytes(change(path.read_bytes()))
    line = fails("mlp_scratch", "--data-dir", copy)
    assert line.startswith(f"{path} ")
    assert fault in line
    assert line.endswith(TO_DO)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_a_missing_file_is_named_and_so_is_what_stops_its_download(name: str, copy: Path, fails: Fails) -> None:
    (copy / RAW / name).unlink()
    line = fails("mlp_api", "--data-dir", copy)
    assert line.startswith(f"{copy / RAW / name} is missing, no download (")
    assert line.endswith(TO_DO)


@pytest.mark.parametrize(
    ("root", "moved"),
    [
        ("data/FashionMNIST", ""),
        ("data/FashionMNIST/raw", ""),
        (".", ""),
        ("data", "FashionMNIST/train-images-idx3-ubyte"),
        ("data", "FashionMNIST/raw/train-images.idx3-ubyte"),
    ],
)
def test_files_that_lie_beside_their_place_are_found_and_nothing_is_left_behind(
    root: str, moved: str, copy: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.parent)
    if moved:
        (copy / RAW / IMAGES).rename(copy / moved)
    before = sorted(copy.parent.rglob("*"))
    line = fails("mlp_api", "--data-dir", root)
    assert line.startswith(f"{Path(root, RAW, IMAGES)} is missing, but ")
    found = Path(line.split(" is missing, but ")[1].split(" is there: ")[0])
    assert found.resolve() == (copy / (moved or RAW / IMAGES)).resolve()
    assert sorted(copy.parent.rglob("*")) == before


def test_missing_files_are_downloaded(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served, resources = tmp_path / "server", []
    served.mkdir()
    for archive, _ in FashionMNIST.resources:
        packed = gzip.compress((small_data / RAW / archive[:-3]).read_bytes(), 1)
        (served / archive).write_bytes(packed)
        resources.append((archive, hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        _, test_iter = common.load_data_fashion_mnist(300, tmp_path)
        server.shutdown()
    _, expected = common.load_data_fashion_mnist(300, small_data)
    assert torch.equal(next(iter(test_iter))[0], next(iter(expected))[0])


def test_a_server_that_does_not_answer_is_given_up(
    tmp_path: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []
    socket.setdefaulttimeout(0.2)
    monkeypatch.setattr(socket, "setdefaulttimeout", limits.append)
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never says a word
        port = server.getsockname()[1]
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
        assert "timed out" in fails("mlp_api", "--data-dir", tmp_path)
    monkeypatch.undo()
    assert limits == [20]


@pytest.mark.parametrize("place", [RAW / LABELS, RAW, "FashionMNIST"])
def test_what_may_not_be_read_is_named(place: Path | str, copy: Path, fails: Fails) -> None:
    (copy / place).chmod(0)
    try:
        if os.access(copy / place, os.R_OK):
            pytest.skip("permissions do not bind this user")
        assert "Permission denied" in fails("mlp_scratch", "--data-dir", copy)
    finally:
        (copy / place).chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="no permissions of that kind")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, fails: Fails) -> None:
    tmp_path.chmod(0o555)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("permissions do not bind this user")
    line = fails("mlp_scratch", "--data-dir", tmp_path)
    assert line.startswith(f"{tmp_path / RAW / IMAGES} is missing, no download (")
    assert "Permission denied" in line


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EIO, "Input/output error"), f"{LABELS} cannot be read (Input/output error)"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_a_file_that_cannot_be_read_whole(
    error: Exception, words: str, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: str) -> torch.Tensor:
        raise error

    monkeypatch.setattr(common, "read_label_file", read)
    assert words.replace("t10k", "train") in fails("mlp_scratch")


def test_an_error_in_our_own_code_does_not_blame_the_data(small_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "ImageDataset", lambda *args: [][0])
    with pytest.raises(IndexError):
        common.load_data_fashion_mnist(256, small_data)
