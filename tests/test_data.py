"""The data set: what can be done with it, and what is said of files that are not right."""

import gzip
import re
import shutil
import timeit
from functools import partial
from http.client import IncompleteRead
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.error import URLError
from urllib.request import Request

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import FashionMNIST

import article
import common
from support import RAW, Ends, Patch, md5

# ---- What can be done with it ----


def test_images_can_be_taken_out_one_by_one_in_slices_and_through_any_loader() -> None:
    ours = common.load_data_fashion_mnist(64, common.DATA_DIR)
    stock = article.loaders(64, common.DATA_DIR)
    for loader, stock_loader in zip(ours, stock, strict=True):
        dataset: Any = loader.dataset
        images, labels = next(iter(DataLoader(stock_loader.dataset, batch_size=1000)))
        n = len(labels)
        X, y = next(iter(DataLoader(dataset, batch_size=1000)))
        assert torch.equal(X, images), "other images through a stock loader"
        assert torch.equal(y, labels)
        slices = [slice(3, 9, 2), slice(-5, None), range(3, 9)]
        for rows in (-1, *slices, [3 - n, 5], torch.tensor([3, 5]), labels == 6):
            X, y = dataset[rows]
            assert torch.equal(X, images[rows]), f"other images for {rows}"
            assert torch.equal(y, labels[rows])
        with pytest.raises(IndexError):
            dataset[n]
        size = sum(tensor.numel() * tensor.element_size() for tensor in vars(dataset).values())
        assert size <= n * (784 + 16), "an image must be 784 bytes in memory, also after its use"


def test_images_may_have_any_height_and_width() -> None:
    images = torch.arange(5 * 3 * 4, dtype=torch.uint8).reshape(5, 3, 4)
    dataset = common.ImageDataset(images, torch.arange(5))
    X, y = dataset[1:3]
    assert torch.equal(X, images[1:3].reshape(2, 1, 3, 4) / 255)
    assert y.tolist() == [1, 2]
    X, _ = dataset[-1]
    assert torch.equal(X, images[-1:] / 255)


@pytest.mark.parametrize(
    ("images", "named"),
    [
        (torch.zeros(5, 28, 28), r"Tensor \(dtype torch.float32, .*\[5, 28, 28\]"),
        (torch.zeros(5, 28, 28, dtype=torch.int64), "torch.int64"),
        (torch.zeros(5, 784, dtype=torch.uint8), r"dtype torch.uint8, .*\[5, 784\]"),
        (torch.zeros(5, 1, 28, 28, dtype=torch.uint8), r"\[5, 1, 28, 28\]"),
        (
            Mock(spec=["dtype", "shape"], dtype="float64", shape=(5, 2, 2)),
            r"float64, .*\(5, 2, 2\)",
        ),
        ([[[0]]], r"list \(dtype None, shape None\)"),
    ],
)
def test_other_images_are_refused_with_their_type_and_shape(images: Any, named: str) -> None:
    with pytest.raises(ValueError, match=rf"uint8 tensor \[n, height, width\], not .*{named}"):
        common.ImageDataset(images, torch.arange(5))


def test_a_loader_takes_each_batch_of_a_part_of_the_images_at_once(monkeypatch: Patch) -> None:
    images, labels = torch.zeros(20, 2, 2, dtype=torch.uint8), torch.arange(20)
    part = Subset(common.ImageDataset(images, labels), range(3, 13))
    taken = Mock(wraps=common.ImageDataset.__getitem__)
    monkeypatch.setattr(common.ImageDataset, "__getitem__", lambda *args: taken(*args))
    in_order = [y.tolist() for _, y in common.loader(part, batch_size=4, shuffle=False)]
    assert in_order == [[3, 4, 5, 6], [7, 8, 9, 10], [11, 12]]
    assert taken.call_count == 3, "a batch must be taken out at once, not image by image"
    shuffled = common.loader(part, batch_size=4, shuffle=True)
    assert (len(shuffled), shuffled.num_workers) == (3, 0)
    passes = [torch.cat([y for _, y in shuffled]).tolist() for _ in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(3, 13))
    assert passes[0] != passes[1], "each pass must have an order of its own"


def test_a_batch_costs_no_more_in_a_larger_set() -> None:
    seconds = []
    for n in (8, 100_000):  # of one and the same image, which needs no memory
        images = torch.zeros(1, 28, 28, dtype=torch.uint8).expand(n, 28, 28)
        dataset = common.ImageDataset(images, torch.zeros(n, dtype=torch.int64))
        take = partial(dataset.__getitem__, slice(8))
        seconds.append(min(timeit.repeat(take, number=1, repeat=7)))
    assert seconds[1] < 50 * seconds[0], "a batch must be taken first and then made floats"


# ---- Files ----


class Reply(BytesIO):
    """What urlopen returns: it can be read, and torchvision asks for these two, too."""

    url = length = None


@pytest.fixture(autouse=True)
def mirror(monkeypatch: Patch) -> None:
    """Let the four archives be all that can be downloaded: no test reaches the network."""
    archives = {}
    for name in common.MD5:
        archives[f"{name}.gz"] = gzip.compress((common.DATA_DIR / RAW / name).read_bytes(), 0)

    def urlopen(request: Request, **_: object) -> Reply:
        return Reply(archives[request.full_url.removeprefix("http://127.0.0.1:1/")])

    resources = [(name, md5(content)) for name, content in archives.items()]
    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:1/"])
    monkeypatch.setattr(FashionMNIST, "resources", resources)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a copy of the data."""
    return Path(shutil.copytree(common.DATA_DIR, tmp_path / "data"))


def contents(folder: Path) -> dict[str, bytes]:
    """Return what each file in a folder holds."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def labels_of(root: Path) -> Tensor:
    """Return the labels of the training images in the order of the file."""
    train_iter, _ = common.load_data_fashion_mnist(256, root)
    return train_iter.dataset[:][1]


def test_the_files_of_the_root_are_loaded_and_not_the_project_s_own(
    root: Path, monkeypatch: Patch
) -> None:
    path = root / RAW / "train-labels-idx1-ubyte"
    content = path.read_bytes()
    path.write_bytes(content[:8] + content[:7:-1])  # the labels from the last to the first
    monkeypatch.setitem(common.MD5, path.name, md5(path.read_bytes()))
    assert labels_of(root).tolist() == list(content[:7:-1])


def test_each_file_is_read_once_to_check_it_and_once_to_load_it(monkeypatch: Patch) -> None:
    opened = Mock(wraps=open)
    monkeypatch.setattr("builtins.open", opened)
    common.load_data_fashion_mnist(256, common.DATA_DIR)
    names = [Path(call.args[0]).name for call in opened.mock_calls]
    names = [name for name in names if name in common.MD5]
    assert sorted(names) == sorted([*common.MD5, *common.MD5])


def test_a_tilde_is_the_home_folder(monkeypatch: Patch) -> None:
    monkeypatch.setenv("HOME", str(common.DATA_DIR.parent))
    monkeypatch.setenv("USERPROFILE", str(common.DATA_DIR.parent))
    common.load_data_fashion_mnist(256, "~/data")
    args = common.parse_args("", ["--data-dir=~/data"], epochs=1, batch_size=1, num_hiddens=1, lr=1)
    assert Path(args.data_dir) == common.DATA_DIR


def test_a_file_that_may_not_be_read_is_named(ends: Ends, monkeypatch: Patch) -> None:
    denied = PermissionError(13, "Permission denied", "train-images-idx3-ubyte")
    monkeypatch.setattr("builtins.open", Mock(side_effect=denied))
    line = ends()
    assert re.match("mlp.py: error: .* cannot be read .*Permission denied.*train-images", line)


@pytest.mark.parametrize("name", common.MD5)
def test_a_damaged_file_is_named_and_so_is_a_missing_one(name: str, root: Path, ends: Ends) -> None:
    path = root / RAW / name
    damaged = path.read_bytes()[:-1] + b"\xfe"
    path.write_bytes(damaged)
    expected = rf"mlp.py: error: {re.escape(str(path))} is missing, damaged .*data/README.md"
    assert re.match(expected, ends("--data-dir", root))
    assert path.read_bytes() == damaged, "the file is the user's: it must stay as it is"
    path.unlink()
    kept = contents(root / RAW)
    assert re.match(expected, ends("--data-dir", root))
    assert contents(root / RAW) == kept, "nothing may be downloaded over the files that are there"


def test_without_any_file_all_four_are_downloaded(tmp_path: Path) -> None:
    common.load_data_fashion_mnist(256, tmp_path)
    for name in common.MD5:
        assert (tmp_path / RAW / name).read_bytes() == (common.DATA_DIR / RAW / name).read_bytes()


def test_a_download_that_holds_other_data_is_named(
    tmp_path: Path, ends: Ends, monkeypatch: Patch
) -> None:
    monkeypatch.setitem(common.MD5, "t10k-labels-idx1-ubyte", md5(b"other data"))
    expected = "mlp.py: error: .*t10k-labels-idx1-ubyte is missing, damaged or of another data set"
    assert re.match(expected, ends("--data-dir", tmp_path))


@pytest.mark.parametrize(
    "fault", [URLError("no network"), OSError(28, "full"), IncompleteRead(b""), b"another page"]
)
def test_a_failed_download_ends_in_one_line(
    fault: Any, tmp_path: Path, ends: Ends, monkeypatch: Patch
) -> None:
    def urlopen(*_: object, **__: object) -> Reply:
        if isinstance(fault, bytes):
            return Reply(fault)
        raise fault

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    line = ends("--data-dir", tmp_path)
    assert re.fullmatch("mlp.py: error: .* cannot be read or downloaded .*data/README.md.*", line)
