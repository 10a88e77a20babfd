"""The picture: its format, and what is in it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MAINS, SCRIPTS
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

import common

HISTORY = [common.Epoch(1.0, 0.5, 0.4), common.Epoch(0.5, 0.75, 0.7), common.Epoch(0.25, 0.8, 0.6)]


def pixels(image: AxesImage) -> Tensor:
    """What the image shows, as it was handed to imshow."""
    array = image.get_array()
    assert array is not None
    return torch.from_numpy(np.ma.getdata(array))


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every Figure that is saved, instead of the file."""
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *args, **kwargs: figures.append(figure))
    return figures


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    ("ending", "start"), [(".png", b"\x89PNG\r\n"), (".svg", b"<?xml"), (".pdf", b"%PDF-"), (".PNG", b"\x89PNG\r\n")]
)
def test_figure_saves_png_svg_or_pdf_by_the_ending(
    script: str, ending: str, start: bytes, small_data: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"picture{ending}"
    MAINS[script](["--epochs", "1", "--num-hiddens", "3", "--data-dir", str(small_data), "--figure", str(path)])
    assert path.read_bytes().startswith(start)


def test_the_curves_are_the_history(saved: list[Figure], small_data: Path) -> None:
    _, test_iter = common.load_data_fashion_mnist(256, small_data)
    common.save_figure(Path("x.png"), HISTORY, lambda X: torch.eye(10)[[9] * len(X)], test_iter, torch.rand(784, 2))
    lines = [line for axes in saved[0].axes for line in axes.lines]
    assert [np.asarray(line.get_xdata()).tolist() for line in lines] == [[1, 2, 3]] * 3
    assert [tuple(np.asarray(line.get_ydata()).tolist()) for line in lines] == list(zip(*HISTORY, strict=True))


def test_the_images_are_the_first_six_and_the_first_six_mistakes_which_are_marked(
    saved: list[Figure], small_data: Path
) -> None:
    _, test_iter = common.load_data_fashion_mnist(256, small_data)
    X, y = (torch.cat(parts) for parts in zip(*test_iter, strict=True))

    def net(X: Tensor) -> Tensor:  # everything is an ankle boot
        return torch.eye(10)[[9] * len(X)]

    common.save_figure(Path("x.png"), HISTORY, net, test_iter, torch.rand(784, 2))
    axes = saved[0].axes[2:14]
    expected = [*range(6), *(y != 9).nonzero().flatten().tolist()[:6]]
    for ax, i in zip(axes, expected, strict=True):
        assert torch.equal(pixels(ax.images[0]), X[i, 0])
        assert ax.get_title() == common.CLASS_NAMES[y[i]]
        assert ax.get_xlabel() == ("ankle boot" if y[i] == 9 else "wrong: ankle boot")


@pytest.mark.parametrize("num_hiddens", [1, 13, 60])
def test_the_unit_grid_holds_the_largest_columns_of_w1_on_one_scale(
    num_hiddens: int, saved: list[Figure], small_data: Path
) -> None:
    _, test_iter = common.load_data_fashion_mnist(256, small_data)
    W1 = torch.randn(784, num_hiddens) * 1.3 ** torch.arange(num_hiddens)  # each column larger than the one before
    common.save_figure(Path("x.png"), HISTORY, lambda X: torch.eye(10)[[9] * len(X)], test_iter, W1)
    image = saved[0].axes[14].images[0]
    grid = pixels(image)
    low, high = image.get_clim()
    assert low == -high < 0
    edge = 0 if num_hiddens == 1 else 2
    for position, column in enumerate(reversed(range(max(0, num_hiddens - 48), num_hiddens))):
        top, left = (edge + 30 * (position // 12), edge + 30 * (position % 12))
        assert torch.equal(grid[top : top + 28, left : left + 28], W1[:, column].reshape(28, 28))
