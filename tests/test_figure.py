"""The picture: what is in it, of which networks, and what stops it before the training."""

import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, patch

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import common
import mlp_api
import mlp_scratch
from conftest import Ends, Patch

HISTORY = [common.Epoch(1.0, 0.5, 0.4), common.Epoch(0.5, 0.75, 0.7), common.Epoch(0.25, 0.8, 0.6)]
CLASSES = common.CLASS_NAMES
NET = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
Saved = SimpleNamespace


@pytest.fixture
def saved(monkeypatch: Patch) -> Saved:
    """The figures that were saved and the panels of images (images, names, style), both not drawn in truth."""
    result = SimpleNamespace(figures=[], panels=[])
    monkeypatch.setattr(common, "draw", lambda *panel, **style: result.panels.append((*panel[2:], style)))
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: result.figures.append(figure))
    return result


def save(net: common.Net = NET, history: list[common.Epoch] = HISTORY, weights: tuple[Tensor, ...] = ()) -> None:
    _, test_iter = common.load_data_fashion_mnist(256)
    common.save_figure("x.png", history, net, test_iter, list(weights))


def test_a_script_saves_a_picture_by_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "picture.PNG"
    mlp_api.main(["--epochs=1", "--figure", str(path)])
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert path.stat().st_size > 50_000


def test_the_hand_written_network_hands_over_its_weights(monkeypatch: Patch) -> None:
    handed: list[Tensor] = []
    monkeypatch.setattr(common, "save_figure", lambda *_, weights: handed.extend(weights))
    _, (W1, _, W2, _), _ = mlp_scratch.main(["--epochs=1", "--figure=x.svg"])
    assert handed[0] is W1
    assert handed[1] is W2


@pytest.mark.parametrize("epochs", [3, 1])
def test_the_curves_are_the_history_with_a_tick_an_epoch(epochs: int, saved: Saved) -> None:
    save(NET.train(), HISTORY[:epochs])
    assert not NET.training, "dropout would change the picture"
    left, right, _ = saved.figures[0].axes
    lines = [*left.lines, *right.lines]
    assert [tuple(line.get_ydata()) for line in lines] == [*zip(*HISTORY[:epochs], strict=True)]
    assert [line.get_label() for line in lines] == [*common.Epoch._fields]
    low, high = left.get_xlim()
    assert [tick for tick in left.get_xticks() if low <= tick <= high] == [1, 2, 3][:epochs]


@pytest.mark.parametrize("right", [286, 295, 300])  # of 300: twelve mistakes or fewer
def test_the_confusion_matrix_and_the_first_mistakes_with_both_names(right: int, saved: Saved) -> None:
    X, y = (torch.cat(parts) for parts in zip(*common.load_data_fashion_mnist(256)[1], strict=True))
    y_hat = torch.cat([y[:right], (y[right:] + 1) % 10])
    answers = iter(torch.eye(10)[y_hat].split(256))
    save(lambda X: next(answers))
    matrix = saved.figures[0].axes[2]
    counts = np.zeros((10, 10))
    np.add.at(counts, (y.numpy(), y_hat.numpy()), 1)
    assert (matrix.images[0].get_array() == counts).all()
    assert [int(text.get_text()) for text in matrix.texts] == counts.flatten().tolist()
    for labels in (matrix.get_xticklabels(), matrix.get_yticklabels()):
        assert [label.get_text() for label in labels] == CLASSES
    (images, names, _), wrong = saved.panels[0], list(range(right, 300)[:12])
    assert torch.equal(images, X[wrong, 0])
    assert names == [f"{CLASSES[y[i]]}\n{CLASSES[y_hat[i]]}" for i in wrong]


@pytest.mark.parametrize("num_hiddens", [1, 13, 60])
def test_the_largest_columns_of_w1_have_one_scale_and_the_class_they_vote_for(num_hiddens: int, saved: Saved) -> None:
    # Each column is larger than the one before, and votes for the class of its last digit.
    W1 = torch.randn(784, num_hiddens) * 1.3 ** torch.arange(num_hiddens)
    W2 = torch.eye(10).repeat(6, 1)[:num_hiddens]
    save(weights=(W1, W2))
    (images, names, style), units = saved.panels[1], list(range(num_hiddens)[-12:])
    assert torch.equal(images, W1.T[units].reshape(-1, 28, 28))
    assert names == [CLASSES[unit % 10] for unit in units]
    assert style["vmax"] == -style["vmin"] > 0


def test_draw_shows_each_image_below_its_name() -> None:
    images, figure = torch.rand(7, 28, 28), Figure()
    common.draw(figure, "seven", images, list("abcdefg"), cmap="gray")  # type: ignore[arg-type]
    panels = [axes for axes in figure.axes if axes.images]
    assert [np.asarray(axes.images[0].get_array()).tolist() for axes in panels] == images.tolist()
    assert [axes.get_title() for axes in panels] == list("abcdefg")


@pytest.mark.parametrize(
    ("net", "panels"),  # panels of columns of W1, each as its names
    [
        (NET, [CLASSES]),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 4), nn.Linear(4, 3), nn.Linear(3, 10)), [[""] * 4]),
        (nn.Sequential(nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(784, 10)))), [CLASSES]),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.GLU(), nn.Linear(4, 10)), [[""] * 8]),
        (nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten()), []),
        (nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Flatten(), nn.Linear(6 * 784, 10)), []),
    ],
)
def test_any_network_gets_a_picture(net: nn.Module, panels: list[list[str]], saved: Saved, monkeypatch: Patch) -> None:
    monkeypatch.setattr(mlp_api, "make_net", lambda num_hiddens: net)
    mlp_api.main(["--epochs=1", "--figure=x.png"])
    assert [names for _, names, _ in saved.panels[1:]] == panels


@pytest.mark.usefixtures("saved")
def test_a_full_disk_behind_the_picture_is_named(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Figure, "savefig", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(common.UserError, match=r"^cannot write the picture \(.* No space left on device\): name an"):
        save()


def test_a_broken_matplotlib_is_named_before_the_training(ends: Ends, monkeypatch: Patch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # its import raises an ImportError
    line = ends("--figure=x.png", status=2)
    assert "error: argument --figure: cannot draw 'x.png' (import of matplotlib.figure halted" in line
    assert "pip install matplotlib" in line


@patch.dict(sys.modules)
def test_no_backend_of_the_environment_matters(tmp_path: Path, monkeypatch: Patch) -> None:
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        del sys.modules[name]  # so that it is imported anew
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    args = common.parse_args("", [f"--figure={tmp_path / 'x.png'}"])
    assert args.figure == tmp_path / "x.png"
