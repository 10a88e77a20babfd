"""The picture: what a reader sees in it, of which networks, on which machine, and what stops it before the training."""

import os
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import common
import picture
from conftest import ROOT, Ends, Patch

CLASSES = common.CLASS_NAMES
NETWORKS = [  # their layers, and the names above the columns of W1
    ([nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(784, 11)))], [*CLASSES, "10"]),
    ([nn.Flatten(), nn.Linear(784, 4), nn.Linear(4, 11), nn.Linear(11, 11)], [""] * 4),
    ([nn.Flatten(), nn.Linear(784, 8), nn.GLU(), nn.Linear(4, 11)], [""] * 8),
    ([nn.Conv2d(1, 11, 28), nn.Flatten()], []),
]
FAULTS = [  # what is typed, the status, and how the line ends
    ("", 2, "required: script, picture"),
    ("mlp_api new.png --data-dir", 2, "--data-dir: expected one argument"),
    ("mlp_none new.png", 1, "no script mlp_none.py: name mlp_scratch or mlp_api"),
    ("common new.png", 1, "no script common.py: name mlp_scratch or mlp_api"),
    ("mlp_api new.txt", 1, "new.txt: Format 'txt' is not supported .*"),
    ("mlp_api nowhere/new.png", 1, r"new.png: [^[\]]+"),
    ("mlp_api folder.png", 1, "folder.png: locked"),
    ("mlp_api x.png", 1, "x.png: locked"),
    ("mlp_api x.png", 1, r"no matplotlib \(.*\): pip install matplotlib"),
]


@pytest.fixture(scope="module", params=["mlp_scratch", "mlp_api"])
def seen(request: pytest.FixtureRequest) -> SimpleNamespace:
    """Return each script's picture, its axes in the order of drawing, and what should be in them."""
    net, params, history = runpy.run_module(request.param)["main"](["--epochs=2"])
    W1, W2 = (W.detach() if request.param == "mlp_scratch" else W.detach().T for W in params[::2])
    X, y = next(iter(common.load_data_fashion_mnist(300, common.DATA_DIR)[1]))
    figure, y_hat = picture.draw(net, params, history, common.DATA_DIR), net(X).argmax(dim=1)
    return SimpleNamespace(figure=figure, axes=figure.axes, history=history, W1=W1, W2=W2, X=X, y=y, y_hat=y_hat)


def colours(axes: Any) -> tuple[Tensor, ...]:
    """Return red, green and blue of an image that stands upright, [n, n] each in 0..1."""
    [image], n = axes.images, len(axes.images[0].get_array())
    assert [*axes.get_xlim(), *axes.get_ylim()] == [*image.get_extent()] == [-0.5, n - 0.5, n - 0.5, -0.5], "turned"
    return torch.tensor(image.to_rgba(image.get_array())).float().unbind(dim=2)[:3]


def test_each_curve_is_a_column_of_the_history_and_the_legend_names_it(seen: SimpleNamespace) -> None:
    for name, first, second in zip(common.Epoch._fields, *seen.history, strict=True):
        legend = seen.axes[0 if name == "train_loss" else 1].get_legend()
        handle = legend.legend_handles[[text.get_text() for text in legend.get_texts()].index(name)]
        [line] = [line for line in legend.axes.lines if line.get_color() == handle.get_color()]
        assert line.get_xydata().tolist() == [[1, first], [2, second]], f"the line of {name} is another"
        assert (line.get_marker(), line.get_linestyle()) == ("o", "-")
    assert (seen.axes[1].get_xlabel(), [x for x in seen.axes[1].get_xticks() if 0.9 < x < 2.1]) == ("epoch", [1, 2])


def test_the_matrix_has_a_row_for_a_true_class_and_is_dark_where_many_are(seen: SimpleNamespace) -> None:
    axes, light = seen.axes[2], torch.stack(colours(seen.axes[2])).mean(dim=0)
    counts = torch.stack([torch.bincount(seen.y_hat[seen.y == true], minlength=10) for true in range(10)])
    assert light[counts == 0].min() > 0.9 > 0.5 > light[counts == counts.max()].max(), "the largest count must be dark"
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    assert numbers == {(x, y): str(int(counts[y, x])) for x in range(10) for y in range(10)}
    contrasts = [float(text.get_color() == "white") - light[text.get_position()[::-1]] for text in axes.texts]
    assert min(map(abs, contrasts)) > 0.3, "a number is not readable"
    assert [*axes.get_xticks(), *axes.get_yticks()] == [*range(10), *range(10)]
    texts = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.title, axes.xaxis.label, axes.yaxis.label]
    assert [t.get_text() for t in texts] == [*CLASSES * 2, "Number of test images", "predicted class", "true class"]


def test_mistakes_and_columns_of_w1_stand_upright_below_their_names(seen: SimpleNamespace) -> None:
    for axes, i in zip(seen.axes[3:15], torch.where(seen.y != seen.y_hat)[0][:12], strict=True):
        assert axes.get_title() == f"{CLASSES[seen.y[i]]}\n{CLASSES[seen.y_hat[i]]}"
        assert torch.allclose(colours(axes)[0], seen.X[i], atol=0.001), "the image is another, or zero is not black"
    assert re.search("first test images .* wrong:\ntrue class, predicted class$", axes.figure.get_suptitle())
    units = sorted(seen.W1.norm(dim=0).argsort(descending=True)[:12].tolist())
    for axes, unit in zip(seen.axes[15:], units, strict=True):
        assert axes.get_title() == CLASSES[seen.W2[unit].argmax()]
        red, _, blue = colours(axes)
        likeness = torch.corrcoef(torch.stack([(blue - red).flatten(), seen.W1[:, unit]]))[0, 1]
        assert likeness > 0.8, "the column is another, or is not blue where it is positive"
    [(low, high)] = {axes.images[0].get_clim() for axes in seen.axes[15:]}
    assert low == -high, "zero is not white"
    assert re.search("bright pixels where blue,\ndark ones where red; its class$", axes.figure.get_suptitle())


@pytest.mark.parametrize(("layers", "names"), NETWORKS)
def test_any_network_is_drawn(layers: list[nn.Module], names: list[str], request: pytest.FixtureRequest) -> None:
    net, modes = nn.Sequential(*layers).bfloat16().train(), set()
    net.register_forward_hook(lambda net, *_: modes.add((net.training, torch.is_grad_enabled())))
    nn.init.constant_([*net.parameters()][-1][10:], 1e9)  # so that it predicts an eleventh class
    request.addfinalizer(lambda: torch.set_default_dtype(torch.float32))
    torch.set_default_dtype(torch.bfloat16)
    _, _, matrix, *images = picture.draw(net, [*net.parameters()], [], common.DATA_DIR).axes
    assert modes == {(False, False)}, "draw must put the network into eval mode and keep no gradients"
    counts = [int(text.get_text()) for text in matrix.texts]
    assert (len(counts), sum(counts[10::11])) == (121, 300), "the column of the eleventh class must hold all images"
    assert [axes.get_title() for axes in images[12:] if axes.images] == names
    assert all(("its class" in axes.figure.get_suptitle()) == any(names) for axes in images[12:])


@pytest.mark.parametrize("seen", ["mlp_api"], indirect=True)
@patch.dict(sys.modules)
def test_the_command_draws_the_same_on_any_machine(seen: SimpleNamespace, tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.chdir(tmp_path)
    with picture.defaults():
        seen.figure.savefig("seen.png", dpi=100)
    Path("matplotlibrc").write_text("image.origin: lower\ntext.usetex: True\nsavefig.facecolor: black")
    monkeypatch.setenv("MPLBACKEND", "Qt4Agg")
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        del sys.modules[name]  # so that it is imported anew and reads the settings
    with patch.multiple(sys, argv=["", "mlp_api", "x.png", "--epochs=2"], path=["", *sys.path], excepthook=None):
        runpy.run_path(str(picture.__file__), run_name="__main__")
        assert sys.path[0] == str(ROOT), "the scripts must be found from any folder"
    assert Path("x.png").read_bytes() == Path("seen.png").read_bytes(), "the settings must not change the picture"
    with patch.dict(sys.modules, ipykernel=sys), patch.dict(os.environ, MPLBACKEND="inline"):
        runpy.run_path(str(picture.__file__))
        assert os.environ["MPLBACKEND"] == "inline", "a notebook must keep its own"


@pytest.fixture
def drawing(monkeypatch: Patch, tmp_path: Path) -> Mock:
    """Go where x.png and folder.png are; let the drawing take no time."""
    monkeypatch.chdir(tmp_path)
    Path("x.png").write_bytes(b"earlier")
    Path("folder.png").mkdir()
    monkeypatch.setattr(picture, "draw", drawing := Mock(return_value=Figure()))
    return drawing


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize(("argv", "status", "end"), FAULTS)
def test_a_fault_is_said_in_one_line_before_the_training(argv: str, status: int, end: str, ends: Ends) -> None:
    missing = patch.dict(sys.modules, {"matplotlib.figure": None} if "pip" in end else {})  # raises an ImportError
    locked = patch.object(Path, "open", side_effect=PermissionError(13, "locked"))
    with missing, locked, patch.object(common, "train", side_effect=AssertionError("the training has begun")):
        assert re.search(f"{end}$", ends(*argv.split(), main=picture.main, status=status))
    assert (sorted(os.listdir()), Path("x.png").read_bytes()) == (["folder.png", "x.png"], b"earlier")


def test_an_earlier_picture_survives_what_stops_the_writing(drawing: Mock, ends: Ends) -> None:
    with patch.object(os, "replace", side_effect=KeyboardInterrupt):
        assert ends("mlp_api", "x.png", "--epochs=0", main=picture.main).endswith("interrupted")
    assert (sorted(os.listdir()), Path("x.png").read_bytes()) == (["folder.png", "x.png"], b"earlier")


@pytest.mark.skipif(sys.platform == "win32", reason="links and permissions are others there")
def test_the_script_s_options_and_the_target_of_a_link_are_used(drawing: Mock) -> None:
    link, data_dir = Path("folder.png", "x.png"), str(common.DATA_DIR)
    link.symlink_to(Path("..", "new.png"))  # which is not there yet
    result = picture.main(["./mlp_scratch.py", str(link), "--epochs=0", "--num-hiddens=3", "--data-dir", data_dir])
    drawing.assert_called_once_with(*result, data_dir=data_dir)
    assert result[1][0].shape == (784, 3), "the script is another, or does not get its options"
    assert link.is_symlink(), "the link is gone"
    assert Path("new.png").stat().st_mode == Path("x.png").stat().st_mode, "other permissions than a new file's"
