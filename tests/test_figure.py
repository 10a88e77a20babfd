"""The picture: its format, and what is in it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MAINS
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from torch import Tensor, nn

import common
import mlp_api

HISTORY = [common.Epoch(1.0, 0.5, 0.4), common.Epoch(0.5, 0.75, 0.7), common.Epoch(0.25, 0.8, 0.6)]
PICTURES = {".png": b"\x89PNG\r\n", ".svg": b"<?xml", ".pdf": b"%PDF-", ".PNG": b"\x89PNG\r\n"}


def boots(X: Tensor) -> Tensor:
    """The logits of a network for which everything is an ankle boot."""
    return torch.eye(10)[[9] * len(X)]


def cells(axes: Axes, number: int, columns: int) -> list[Tensor]:
    """The first 28 x 28 images of a grid, as they were handed to imshow."""
    grid = torch.from_numpy(np.ma.getdata(np.ma.asarray(axes.images[0].get_array())))
    corners = [(2 + 30 * (i // columns), 2 + 30 * (i % columns)) for i in range(number)] if number > 1 else [(0, 0)]
    return [grid[top : top + 28, left : left + 28] for top, left in corners]


@pytest.fixture
def test_iter(small_data: Path) -> common.Loader:
    return common.load_data_fashion_mnist(256, small_data)[1]


@pytest.mark.parametrize("ending", PICTURES)
def test_figure_saves_png_svg_or_pdf_by_the_ending(ending: str, small_data: Path, tmp_path: Path) -> None:
    path = tmp_path / f"picture{ending}"
    MAINS["mlp_api"](["--epochs", "1", "--num-hiddens", "3", "--data-dir", str(small_data), "--figure", str(path)])
    assert path.read_bytes().startswith(PICTURES[ending])


def test_the_curves_are_the_history(test_iter: common.Loader, tmp_path: Path) -> None:
    figure = common.save_figure(tmp_path / "x.png", HISTORY, boots, test_iter, torch.rand(784, 2))
    lines = [line for axes in figure.axes for line in axes.lines]
    assert [np.asarray(line.get_xdata()).tolist() for line in lines] == [[1, 2, 3]] * 3
    assert [tuple(np.asarray(line.get_ydata()).tolist()) for line in lines] == list(zip(*HISTORY, strict=True))
    assert [line.get_label() for line in lines] == list(common.Epoch._fields)


@pytest.mark.parametrize("right", [494, 499, 500])  # of 500: six mistakes or fewer
def test_the_images_are_the_first_six_and_the_first_six_mistakes_which_are_coloured(
    right: int, test_iter: common.Loader, tmp_path: Path
) -> None:
    X, y = (torch.cat(parts) for parts in zip(*test_iter, strict=True))
    y_hat = torch.cat([y[:right], (y[right:] + 1) % 10])
    answers = iter(torch.eye(10)[y_hat].split(256))
    figure = common.save_figure(tmp_path / "x.png", HISTORY, lambda X: next(answers), test_iter, torch.rand(784, 2))
    mistakes = [*range(right, 500), *range(6)][:6]
    for axes, expected in zip(figure.axes[2:4], (range(6), mistakes), strict=True):
        for i, image, text in zip(expected, cells(axes, 6, 6), axes.texts, strict=True):
            assert torch.equal(image, X[i, 0])
            assert text.get_text() == f"{common.CLASS_NAMES[y[i]]}\n{common.CLASS_NAMES[y_hat[i]]}"
            assert same_color(text.get_color(), "black") == (i < right)


@pytest.mark.parametrize("num_hiddens", [1, 13, 60])
def test_the_unit_grid_holds_the_largest_columns_of_w1_on_one_scale(
    num_hiddens: int, test_iter: common.Loader, tmp_path: Path
) -> None:
    W1 = torch.randn(784, num_hiddens) * 1.3 ** torch.arange(num_hiddens)  # each column larger than the one before
    axes = common.save_figure(tmp_path / "x.png", HISTORY, boots, test_iter, W1).axes[4]
    low, high = axes.images[0].get_clim()
    assert low == -high < 0
    largest = list(reversed(range(max(0, num_hiddens - 48), num_hiddens)))
    for column, image in zip(largest, cells(axes, len(largest), 12), strict=True):
        assert torch.equal(image, W1[:, column].reshape(28, 28))


def test_both_scripts_hand_over_their_own_w1_wherever_the_first_linear_layer_stands(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = []
    monkeypatch.setattr(common, "save_figure", lambda *args, W1: handed.append(W1))
    options = ["--epochs", "1", "--data-dir", str(small_data), "--figure", str(tmp_path / "x.png")]
    _, params, _ = MAINS["mlp_scratch"](options)
    assert torch.equal(handed.pop(), params[0])

    first = nn.Linear(784, 5)
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), first, nn.ReLU(), nn.Linear(5, 10))
    monkeypatch.setattr(mlp_api, "make_net", lambda num_hiddens: net)
    MAINS["mlp_api"](options)
    assert torch.equal(handed.pop(), first.weight.T)
