"""The picture: what a reader sees in it, of which networks, on which machine, and what stops it before the training."""

import os
import re
import runpy
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, patch

import pytest
import torch
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import imread
from torch import Tensor, nn

import common
import mlp_api
import mlp_scratch
import picture
from conftest import ROOT, Capture, Ends, Patch

CLASSES = common.CLASS_NAMES
# What a machine's matplotlibrc may ask for; neither TeX nor such a font need be there.
SETTINGS = """image.origin: lower\nimage.cmap: hot\naxes.grid: True\ntext.usetex: True\nfont.sans-serif: SimHei
figure.dpi: 50\nsavefig.facecolor: black\ntext.color: white\nlines.linewidth: 9\nytick.color: white"""


def parts(figure: Figure) -> list[SubFigure]:
    """Return curves, matrix, mistakes and columns of W1, by where they stand: older versions list them otherwise."""
    return sorted(figure.subfigs, key=lambda part: (-round(part.bbox.y0), part.bbox.x0))


@pytest.fixture(scope="module", params=[mlp_scratch, mlp_api])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Return the parts of each script's picture, its file and pixels, and what should be in it."""
    net, params, history = request.param.main(["--epochs=2"])
    W1, W2 = (W.detach() if request.param is mlp_scratch else W.detach().T for W in params[::2])
    X, y = map(torch.cat, zip(*common.load_data_fashion_mnist(256, common.DATA_DIR)[1], strict=True))
    figure, file = picture.draw(net, params, history, common.DATA_DIR), tmp_path_factory.mktemp("seen") / "x.png"
    picture.write(figure, file)
    drawn = dict(parts=parts(figure), file=file, pixels=torch.tensor(imread(file)))
    return SimpleNamespace(**drawn, history=history, W1=W1, W2=W2, X=X, y=y, y_hat=net(X).argmax(dim=1))


def colour(seen: SimpleNamespace, axes: object, n: int, at: float = 0.5) -> tuple[Tensor, ...]:
    """Return red, green and blue, [n, n] each, of n x n places of the file's picture, the uppermost row first."""
    box, steps = axes.get_window_extent(), (torch.arange(n) + at) / n  # type: ignore[attr-defined]
    rows, columns = len(seen.pixels) - box.y1 + steps * box.height, box.x0 + steps * box.width
    return seen.pixels[rows.long()][:, columns.long(), :3].unbind(dim=2)  # type: ignore[no-any-return]


def likeness(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def test_each_curve_is_a_column_of_the_history_and_the_legend_names_it(seen: SimpleNamespace) -> None:
    for axes, names in zip(seen.parts[0].axes, [["train_loss"], ["train_acc", "test_acc"]], strict=True):
        legend, colours = axes.get_legend(), [line.get_color() for line in axes.lines]
        assert [text.get_text() for text in legend.get_texts()] == names
        assert [handle.get_color() for handle in legend.legend_handles] == colours, "the legend has other colours"
        assert len(set(colours)) == len(names), "two curves have one colour"
        for line, name in zip(axes.lines, names, strict=True):
            assert (line.get_marker(), line.get_linestyle()) == ("o", "-")
            values = [getattr(epoch, name) for epoch in seen.history]
            assert list(zip(*line.get_data(), strict=True)) == list(enumerate(values, start=1)), f"{name} is another"
    assert (axes.get_xlabel(), [x for x in axes.get_xticks() if 0.9 < x < 2.1]) == ("epoch", [1, 2])


def test_the_matrix_has_a_row_for_a_true_class_and_is_dark_where_many_are(seen: SimpleNamespace) -> None:
    [axes] = seen.parts[1].axes
    counts = Counter(zip(seen.y_hat.tolist(), seen.y.tolist(), strict=True))  # by column and row
    light = torch.stack(colour(seen, axes, 10, at=0.1)).mean(dim=0)
    expected = torch.tensor([[counts[column, row] for column in range(10)] for row in range(10)])
    assert likeness(light, expected) < -0.9, "a cell must be dark where its count is large"
    assert len(axes.texts) == 100
    for text in axes.texts:
        column, row = text.get_position()
        assert text.get_text() == str(counts[column, row]), f"row {row}, column {column} shows another number"
        contrast = float(text.get_color() == "white") - light[row, column]
        assert abs(contrast) > 0.3, f"the number in row {row}, column {column} is not readable"
    for axis in (axes.xaxis, axes.yaxis):
        assert {tick.get_loc(): tick.label1.get_text() for tick in axis.get_major_ticks()} == dict(enumerate(CLASSES))
    assert (axes.get_title(), axes.get_ylabel()) == ("Number of test images", "true class")
    assert axes.get_xlabel() == "predicted class"


def test_mistakes_and_columns_of_w1_stand_upright_below_their_names(seen: SimpleNamespace) -> None:
    wrong = [i for i in range(300) if seen.y[i] != seen.y_hat[i]][:12]
    units = sorted(sorted(range(256), key=lambda unit: -seen.W1[:, unit].norm())[:12])
    pairs = [f"{CLASSES[seen.y[i]]}\n{CLASSES[seen.y_hat[i]]}" for i in wrong]
    votes = [CLASSES[seen.W2[unit].argmax()] for unit in units]
    for part, title, names, images, zero in (
        (seen.parts[2], "first test images .* wrong:\ntrue class, predicted class$", pairs, seen.X[wrong], 0),
        (seen.parts[3], "bright pixels where blue,\ndark ones where red; its class$", votes, seen.W1.T[units], 1),
    ):
        assert re.search(title, part.get_suptitle())
        assert [axes.get_title() for axes in part.axes] == names
        assert len({axes.images[0].get_clim() for axes in part.axes}) == 1, "the images have several scales"
        for axes, name, image in zip(part.axes, names, images, strict=True):
            red, _, blue = colour(seen, axes, 28)
            assert likeness(blue - red if zero else red, image) > 0.8, (
                f"below {name!r} is another image, or a turned one"
            )
            of_zero = axes.images[0].cmap(axes.images[0].norm(0))[:3]
            assert of_zero == pytest.approx([zero] * 3, abs=0.05), "zero is not black, in W1 not white"


@pytest.mark.parametrize(
    ("layers", "names"),  # and the names above the columns of W1
    [
        ([nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(784, 11)))], [*CLASSES, "10"]),
        ([nn.Flatten(), nn.Linear(784, 4), nn.Linear(4, 3), nn.Linear(3, 11)], [""] * 4),
        ([nn.Flatten(), nn.Linear(784, 8), nn.GLU(), nn.Linear(4, 11)], [""] * 8),
        ([nn.Conv2d(1, 11, 28), nn.Flatten()], []),
    ],
)
def test_any_network_is_drawn(layers: list[nn.Module], names: list[str]) -> None:
    net, modes = nn.Sequential(*layers).bfloat16().train(), set()
    net.register_forward_hook(lambda net, *_: modes.add((net.training, torch.is_grad_enabled())))
    nn.init.constant_([*net.parameters()][-1][10:], 1e9)  # so that it predicts an eleventh class
    torch.set_default_dtype(torch.bfloat16)
    try:
        figure = picture.draw(net, [*net.parameters()], [], common.DATA_DIR)
    finally:
        torch.set_default_dtype(torch.float32)
    assert modes == {(False, False)}, "draw must put the network into eval mode and keep no gradients"
    _, matrix, mistakes, units = parts(figure)
    counts = [int(text.get_text()) for text in matrix.axes[0].texts]
    assert (len(counts), sum(counts[10::11])) == (121, 300), "the column of the eleventh class must hold all images"
    assert mistakes.axes[0].get_title() == "ankle boot\n10"
    assert [axes.get_title() for axes in units.axes if axes.images] == names
    assert ("its class" in units.get_suptitle()) == any(names)


@pytest.mark.parametrize("seen", [mlp_api], indirect=True)
@patch.dict(sys.modules)
def test_the_command_draws_the_same_from_any_folder_on_any_machine(
    seen: SimpleNamespace, tmp_path: Path, monkeypatch: Patch, caplog: pytest.LogCaptureFixture, capsys: Capture
) -> None:
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        del sys.modules[name]  # so that it is imported anew and reads what the folder and the environment say
    Path(tmp_path, "matplotlibrc").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Qt4Agg")
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if Path(folder) not in (ROOT, ROOT / "tests")])
    monkeypatch.setattr(sys, "argv", ["picture.py", "mlp_api", "x.png", "--epochs=2"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    runpy.run_path(str(picture.__file__), run_name="__main__")
    assert str(ROOT) in sys.path, "the scripts must be found from any folder"
    assert Path("x.png").read_bytes() == seen.file.read_bytes(), "the machine's settings must not change the picture"
    assert "findfont" not in caplog.text, "matplotlib warns of the machine's font"
    assert (capsys.readouterr().err, sorted(os.listdir())) == ("", ["matplotlibrc", "x.png"])
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setenv("MPLBACKEND", "inline")
    runpy.run_path(str(picture.__file__))
    assert os.environ["MPLBACKEND"] == "inline", "a notebook must keep its own"


@pytest.fixture
def drawing(monkeypatch: Patch, tmp_path: Path) -> Mock:
    """Go where x.png and folder.png are; let training and drawing take no time."""
    monkeypatch.chdir(tmp_path)
    Path("x.png").write_bytes(b"earlier")
    Path("folder.png").mkdir()
    monkeypatch.setattr(common, "train", Mock(return_value=[]))
    monkeypatch.setattr(picture, "draw", drawing := Mock(return_value=Figure()))
    return drawing


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize(
    ("argv", "status", "line"),
    [
        ("--help", 0, "^$"),
        ("", 2, "required: script, picture$"),
        ("mlp_api", 2, "required: picture$"),
        ("--epochs=1 mlp_api x.png", 2, "--epochs"),
        ("mlp_api x.png --epochs=ten", 2, "--epochs"),
        ("mlp_api x.png --data-dir", 2, "--data-dir"),
        ("mlp_none x.png", 1, "no script mlp_none.py: name mlp_scratch or mlp_api$"),
        ("mlp_api x.txt", 1, "x.txt: Format 'txt' is not supported"),
        ("mlp_api nowhere/x.png", 1, r"x.png: [^[\]]+$"),
        ("mlp_api folder.png", 1, r"folder.png: [^[\]]+$"),
        ("mlp_api x.png", 1, "x.png: locked$"),
        ("mlp_api x.png", 1, r"no matplotlib \(.*\): pip install matplotlib$"),
    ],
)
def test_a_fault_is_said_in_one_line_before_the_training(argv: str, status: int, line: str, ends: Ends) -> None:
    locked = patch.object(Path, "open", side_effect=PermissionError(13, "locked"))
    missing = patch.dict(sys.modules, {"matplotlib.figure": None})  # whose import then raises an ImportError
    training = patch.object(common, "train", side_effect=AssertionError("the training has begun"))
    with training, locked if "locked" in line else missing if "pip" in line else nullcontext():
        assert re.search(line, ends(*argv.split(), main=picture.main, status=status))
    assert (sorted(os.listdir()), Path("x.png").read_bytes()) == (["folder.png", "x.png"], b"earlier")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "full")])
def test_an_earlier_picture_survives_what_stops_the_writing(error: BaseException, drawing: Mock, ends: Ends) -> None:
    def savefig(path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise error

    drawing.return_value.savefig = savefig
    assert re.search("interrupted$|x.png: full$", ends("mlp_api", "x.png", main=picture.main))
    assert (sorted(os.listdir()), Path("x.png").read_bytes()) == (["folder.png", "x.png"], b"earlier")


@pytest.mark.skipif(sys.platform == "win32", reason="links and permissions are others there")
def test_a_copy_is_drawn_with_its_options_into_the_target_of_a_link(drawing: Mock, monkeypatch: Patch) -> None:
    Path("my_copy.py").write_text("from mlp_scratch import main")
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.setattr(picture, "ROOT", Path.cwd())
    here = str(common.DATA_DIR)
    for target, options in (("x.png", []), ("new.png", ["--num-hiddens=3", "--data-dir", here])):
        link = Path("folder.png", target)
        link.symlink_to(Path("..", target))  # which new.png makes: it is not there yet
        net, params, history = picture.main(["./my_copy.py", str(link), *options])
        drawing.assert_called_with(net, params, history, data_dir=here if options else common.DATA_DIR)
        assert params[0].shape == (784, 3 if options else 256), "the script is another, or does not get its options"
        assert link.is_symlink(), "the link is gone"
        assert Path(target).read_bytes().startswith(b"\x89PNG\r\n")
        assert Path(target).stat().st_mode == Path("my_copy.py").stat().st_mode, "other permissions than a new file's"
