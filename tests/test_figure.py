"""The picture: what is in it, of which networks, and what stops it before the training."""

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import common
import mlp_api
import mlp_scratch

HISTORY = [common.Epoch(1.0, 0.5, 0.4), common.Epoch(0.5, 0.75, 0.7), common.Epoch(0.25, 0.8, 0.6)]


class Panel(NamedTuple):
    """What common.draw is told to draw."""

    images: Tensor
    names: list[str]
    style: dict[str, object]


class Saved(NamedTuple):
    """The figures that were saved and the panels of images that were drawn, both not in truth."""

    figures: list[Figure]
    panels: list[Panel]


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> Saved:
    result = Saved([], [])

    def draw(_: object, title: str, images: Tensor, names: list[str], **style: object) -> None:
        result.panels.append(Panel(images, names, style))

    monkeypatch.setattr(common, "draw", draw)
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: result.figures.append(figure))
    return result


@pytest.fixture
def test_iter(small_data: Path) -> common.Loader:
    return common.load_data_fashion_mnist(256, small_data)[1]


def boots(X: Tensor) -> Tensor:
    """The logits of a network for which everything is an ankle boot."""
    return torch.eye(10)[[9] * len(X)]


def test_a_script_saves_a_picture_by_its_ending(small_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "picture.PNG"
    mlp_api.main(["--epochs=1", "--data-dir", str(small_data), "--figure", str(path)])
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert path.stat().st_size > 50_000


def test_the_hand_written_network_hands_over_its_weights(small_data: Path, saved: Saved) -> None:
    options = ["--epochs=1", "--data-dir", str(small_data), "--figure=x.svg"]
    _, (W1, _, W2, _), _ = mlp_scratch.main(options)
    images, names, _ = saved.panels[1]
    columns = [int(((W1.T.reshape(-1, 28, 28) - image) == 0).all(2).all(1).nonzero()) for image in images]
    assert names == [common.CLASS_NAMES[W2[column].argmax()] for column in columns]


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:1]])
def test_the_curves_are_the_history_with_a_tick_an_epoch(
    history: list[common.Epoch], test_iter: common.Loader, saved: Saved
) -> None:
    common.save_figure("x.png", history, boots, test_iter, [])
    left, right, _ = saved.figures[0].axes
    lines = [*left.lines, *right.lines]
    columns = [list(column) for column in zip(*history, strict=True)]
    assert [np.asarray(line.get_ydata()).tolist() for line in lines] == columns
    assert [line.get_label() for line in lines] == list(common.Epoch._fields)
    low, high = left.get_xlim()
    ticks = [tick for tick in left.get_xticks() if low <= tick <= high]
    assert ticks == list(range(1, len(history) + 1))


@pytest.mark.parametrize("right", [286, 295, 300])  # of 300: twelve mistakes or fewer
def test_the_confusion_matrix_and_the_first_mistakes_with_both_names(
    right: int, test_iter: common.Loader, saved: Saved
) -> None:
    X, y = (torch.cat(parts) for parts in zip(*test_iter, strict=True))
    y_hat = torch.cat([y[:right], (y[right:] + 1) % 10])
    answers = iter(torch.eye(10)[y_hat].split(256))
    common.save_figure("x.png", HISTORY, lambda X: next(answers), test_iter, [])
    matrix = saved.figures[0].axes[2]
    counts = torch.zeros(10, 10)
    for true, predicted in zip(y, y_hat, strict=True):
        counts[true, predicted] += 1
    assert np.asarray(matrix.images[0].get_array()).tolist() == counts.tolist()
    assert [int(text.get_text()) for text in matrix.texts] == counts.flatten().tolist()
    for labels in (matrix.get_xticklabels(), matrix.get_yticklabels()):
        assert [label.get_text() for label in labels] == common.CLASS_NAMES
    wrong = list(range(right, 300)[:12])
    assert torch.equal(saved.panels[0].images, X[wrong, 0])
    assert saved.panels[0].names == [f"{common.CLASS_NAMES[y[i]]}\n{common.CLASS_NAMES[y_hat[i]]}" for i in wrong]


@pytest.mark.parametrize("num_hiddens", [1, 13, 60])
def test_the_largest_columns_of_w1_stand_on_one_scale_with_the_class_that_they_vote_for(
    num_hiddens: int, test_iter: common.Loader, saved: Saved
) -> None:
    # Each column is larger than the one before, and votes for the class of its last digit.
    W1 = torch.randn(784, num_hiddens) * 1.3 ** torch.arange(num_hiddens)
    W2 = torch.eye(10).repeat(6, 1)[:num_hiddens]
    common.save_figure("x.png", HISTORY, boots, test_iter, [W1, W2])
    images, names, style = saved.panels[1]
    units = list(range(num_hiddens)[-12:])
    assert torch.equal(images, W1.T[units].reshape(-1, 28, 28))
    assert names == [common.CLASS_NAMES[unit % 10] for unit in units]
    assert style["vmax"] == -style["vmin"] > 0  # type: ignore[operator]


def test_draw_shows_each_image_below_its_name() -> None:
    images, figure = torch.rand(7, 28, 28), Figure()
    common.draw(figure, "seven", images, list("abcdefg"), cmap="gray")  # type: ignore[arg-type]
    panels = [axes for axes in figure.axes if axes.images]
    pixels = [np.asarray(axes.images[0].get_array()).tolist() for axes in panels]
    assert pixels == images.tolist()
    assert [axes.get_title() for axes in panels] == list("abcdefg")


class Own(nn.Module):
    """A network of a learner's own, without a Linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.zeros(784, 10))

    def forward(self, X: Tensor) -> Tensor:
        return X.flatten(1) @ self.W


def layers(*sizes: int) -> nn.Sequential:
    """Return Linear layers of these sizes."""
    return nn.Sequential(nn.Flatten(), *(nn.Linear(*pair) for pair in pairwise(sizes)))


def compiled() -> nn.Module:
    """Return a compiled network, which torch has from 2.0 on."""
    if not hasattr(torch, "compile"):
        pytest.skip("no torch.compile")
    return torch.compile(layers(784, 10), backend="eager")  # type: ignore[return-value]


NETS: dict[str, tuple[Callable[[], nn.Module], list[list[str]]]] = {  # and the names of its panel
    "one layer": (lambda: layers(784, 10), [common.CLASS_NAMES]),
    "three layers": (lambda: layers(784, 4, 3, 10), [[""] * 4]),
    "nested": (lambda: nn.Sequential(nn.Sequential(layers(784, 10))), [common.CLASS_NAMES]),
    "own module": (Own, []),
    "convolution": (lambda: nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), layers(6 * 784, 10)), []),
    "compiled": (compiled, [common.CLASS_NAMES]),
}


@pytest.mark.parametrize("name", NETS)
def test_any_network_from_images_to_logits_gets_a_picture(
    name: str, small_data: Path, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, names = NETS[name]
    monkeypatch.setattr(mlp_api, "make_net", lambda num_hiddens: make())
    mlp_api.main(["--epochs=1", "--data-dir", str(small_data), "--figure=x.png"])
    assert [panel.names for panel in saved.panels[1:]] == names


def test_dropout_does_not_change_the_picture(test_iter: common.Loader, saved: Saved) -> None:
    net = nn.Sequential(nn.Dropout(0.5), layers(784, 10))
    for _ in range(2):
        common.save_figure("x.png", HISTORY, net.train(), test_iter, [])
    first, second = (np.asarray(figure.axes[2].images[0].get_array()) for figure in saved.figures)
    assert (first == second).all()


@pytest.fixture
def fresh_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let matplotlib be imported anew."""
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("fresh_matplotlib")
def test_a_broken_matplotlib_is_named_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('DLL load failed')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit):
        mlp_api.main(["--figure=x.png"])
    out, err = capsys.readouterr()
    assert out == ""
    assert "argument --figure: cannot draw 'x.png' (DLL load failed)" in err
    assert "pip install matplotlib" in err


@pytest.mark.usefixtures("fresh_matplotlib")
def test_no_backend_of_the_environment_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    args = common.parse_args("", [f"--figure={tmp_path / 'x.png'}"], epochs=1)
    assert args.figure == tmp_path / "x.png"
