"""The picture: what a reader sees in it, of which data and networks, and how its command ends."""

import os
import runpy
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage, imread
from torch import Tensor, nn

import common
import mlp_api
import picture
from support import ROOT, Capture, Ends, Patch, both_scripts, finish, start

CLASSES = common.CLASS_NAMES
HISTORY = [common.Epoch(1.5, 0.4, 0.6), common.Epoch(0.9, 0.7, 0.5), common.Epoch(0.8, 0.75, 0.65)]
HEIGHT, WIDTH = 12, 20  # of the images here, which are not those of Fashion-MNIST


class Seen(NamedTuple):
    """What was handed in, and the axes of the picture that was made of it."""

    X: Tensor  # [60, 1, 12, 20], from -2 to 3
    y: Tensor  # [60], every third differs from y_hat
    y_hat: Tensor  # [60]
    W1: Tensor  # [240, 30]
    W2: Tensor  # [30, 10]
    figure: Figure
    loss: Axes
    accuracy: Axes
    matrix: Axes
    mistakes: list[Axes]
    columns: list[Axes]


@pytest.fixture(scope="module", params=["by hand", "nn.Module"])
def seen(request: pytest.FixtureRequest) -> Seen:
    """Draw a network that is a function of its parameters, and the same one as an nn.Module."""
    torch.manual_seed(0)
    X = 5 * torch.rand(60, 1, HEIGHT, WIDTH) - 2
    X[-1, 0, 0, :2] = torch.tensor([-2.0, 3.0])
    W1, b1 = torch.randn(HEIGHT * WIDTH, 30), torch.randn(30)
    W2, b2 = torch.randn(30, 10), torch.randn(10)
    net: common.Net
    if request.param == "by hand":
        params = [nn.Parameter(values) for values in (W1, b1, W2, b2)]
        net = partial(logits_of, params=params)
    else:
        net = nn.Sequential(nn.Flatten(), nn.Linear(*W1.shape), nn.ReLU(), nn.Linear(*W2.shape))
        params = list(net.parameters())
        for param, values in zip(params, (W1.T, b1, W2.T, b2), strict=True):
            param.data = values.clone()
    y_hat = net(X).argmax(dim=1)
    y = y_hat.clone()
    y[::3] = (y_hat[::3] + 1) % 10
    batches = [(X[:25], y[:25]), (X[25:50], y[25:50]), (X[50:], y[50:])]
    figure = picture.draw(net, params, HISTORY, iter(batches))
    loss, accuracy, matrix, *images = figure.axes
    mistakes, columns = images[:12], images[12:]
    return Seen(X, y, y_hat, W1, W2, figure, loss, accuracy, matrix, mistakes, columns)


def logits_of(X: Tensor, params: list[nn.Parameter]) -> Tensor:
    W1, b1, W2, b2 = params
    return (X.flatten(1) @ W1 + b1).clamp(min=0) @ W2 + b2


def image_in(axes: Axes) -> AxesImage:
    """Return the only image in some axes, which must be drawn as it is."""
    [image] = axes.images
    height, width = image.get_size()
    assert axes.get_xlim() == (-0.5, width - 0.5), "the image is cut off, or left is right"
    assert axes.get_ylim() == (height - 0.5, -0.5), "the image is cut off, or above is below"
    assert axes.get_aspect() == 1, "a pixel is not a square"
    assert [*image.get_extent()] == [*axes.get_xlim(), *axes.get_ylim()], "the image is turned"
    assert image.get_interpolation() == "nearest", "the pixels run into each other"
    assert type(image.norm) is Normalize, "colours must be in proportion to the numbers"
    assert image.get_alpha() in (None, 1), "the image is pale"
    return image


def numbers_in(axes: Axes) -> list[list[float]]:
    """Return the numbers of the only image in some axes, [height, width]."""
    numbers: list[list[float]] = np.asarray(image_in(axes).get_array()).tolist()
    return numbers


def matrix_in(axes: Axes) -> Tensor:
    """Return the numbers that stand written in the confusion matrix, [true, predicted]."""
    n = len(axes.get_yticks())
    counts = torch.zeros(n, n, dtype=torch.int64)
    for text in axes.texts:
        column, row = text.get_position()
        counts[int(row), int(column)] = int(text.get_text())
    return counts


# ---- What a reader sees ----


@pytest.mark.parametrize("name", common.Epoch._fields)
def test_each_curve_is_a_column_of_the_history_and_the_legend_names_it(
    name: str, seen: Seen
) -> None:
    axes = seen.loss if name == "train_loss" else seen.accuracy
    legend = axes.get_legend()
    assert legend is not None, "the curves have no legend"
    names = [text.get_text() for text in legend.get_texts()]
    assert name in names, f"the legend does not name {name}"
    colour = to_hex(legend.get_lines()[names.index(name)].get_color())
    lines = [line for line in axes.lines if to_hex(line.get_color()) == colour]
    assert len(lines) == 1, "each curve needs a colour of its own"
    dots = np.asarray(lines[0].get_xydata()).tolist()
    figures = [getattr(epoch, name) for epoch in HISTORY]
    assert dots == [[1, figures[0]], [2, figures[1]], [3, figures[2]]], "the curve is another"
    assert (lines[0].get_marker(), lines[0].get_linestyle()) == ("o", "-"), "a dot for each epoch"
    assert lines[0].get_alpha() in (None, 1), "the curve is pale"


def test_the_axes_of_the_curves_are_linear_and_show_all_of_them(seen: Seen) -> None:
    for axes, values in [
        (seen.loss, [epoch.train_loss for epoch in HISTORY]),
        (seen.accuracy, [acc for epoch in HISTORY for acc in epoch[1:]]),
    ]:
        assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert left < 1 < 3 < right, "an epoch is cut off, or time runs to the left"
        assert bottom < min(values) < max(values) < top, "a curve is cut off, or upside down"
        ticks = [tick for tick in axes.get_xticks() if 0.5 < tick < 3.5]
        assert ticks == [1, 2, 3], "an epoch is a whole number"
    assert seen.accuracy.get_xlabel() == "epoch"


def test_the_matrix_has_a_row_for_each_true_class_and_a_column_for_each_predicted(
    seen: Seen,
) -> None:
    counts = [[0] * 10 for _ in range(10)]
    for true, predicted in zip(seen.y.tolist(), seen.y_hat.tolist(), strict=True):
        counts[true][predicted] += 1
    assert len(seen.matrix.texts) == 100, "each field needs one number"
    assert matrix_in(seen.matrix).tolist() == counts, "a number is another"
    assert numbers_in(seen.matrix) == counts, "the colours show other numbers than those written"
    for ticks, labels in [
        (seen.matrix.get_xticks(), seen.matrix.get_xticklabels()),
        (seen.matrix.get_yticks(), seen.matrix.get_yticklabels()),
    ]:
        assert [*ticks] == [*range(10)], "a name stands beside its row or column"
        assert [label.get_text() for label in labels] == CLASSES
    assert seen.matrix.get_title() == "Number of test images"
    assert seen.matrix.get_xlabel() == "predicted class"
    assert seen.matrix.get_ylabel() == "true class"


def test_the_matrix_is_dark_where_many_are_and_each_number_is_readable(seen: Seen) -> None:
    image = image_in(seen.matrix)
    largest = int(matrix_in(seen.matrix).max())
    assert image.get_clim() == (0, largest), "the colours go from 0 to the largest number"
    light = [sum(image.cmap(count / largest)[:3]) / 3 for count in range(largest + 1)]
    assert light == sorted(light, reverse=True), "a larger number must be darker"
    assert light[0] > 0.9, "0 must be almost white"
    assert light[-1] < 0.5, "the largest number must be dark"
    for text in seen.matrix.texts:
        ink = {"#000000": 0, "#ffffff": 1}[to_hex(text.get_color())]
        assert abs(ink - light[int(text.get_text())]) > 0.3, "a number is not readable"


def test_the_first_twelve_mistakes_are_shown_in_their_own_grey(seen: Seen) -> None:
    rows = [row for row in range(60) if seen.y[row] != seen.y_hat[row]]
    for axes, row in zip(seen.mistakes, rows[:12], strict=True):
        assert numbers_in(axes) == seen.X[row, 0].tolist(), "the image is another"
        true, predicted = CLASSES[seen.y[row]], CLASSES[seen.y_hat[row]]
        assert axes.get_title() == f"{true}\n{predicted}"
        image = image_in(axes)
        assert image.get_clim() == (-2, 3), "the limits are those of all images"
        assert to_hex(image.cmap(0.0)) == "#000000", "the smallest number must be black"
        assert to_hex(image.cmap(1.0)) == "#ffffff", "the largest number must be white"
    title = seen.mistakes[0].figure.get_suptitle()
    assert title == "The first test images that it gets wrong:\ntrue class, predicted class"


def test_the_twelve_largest_columns_of_w1_are_shown_in_their_order(seen: Seen) -> None:
    units = sorted(range(30), key=lambda unit: -seen.W1[:, unit].norm().item())[:12]
    for axes, unit in zip(seen.columns, sorted(units), strict=True):
        column = seen.W1[:, unit].reshape(HEIGHT, WIDTH)
        assert numbers_in(axes) == column.tolist(), "the column is another, or its pixels are"
        name = CLASSES[seen.W2[unit].argmax()]
        assert axes.get_title() == name, "its class is the one whose logit the unit raises most"
    title = seen.columns[0].figure.get_suptitle()
    assert title == (
        "Columns of W1: a unit wants bright pixels where blue,\ndark ones where red; its class"
    )


def test_the_columns_of_w1_have_one_scale_from_red_over_white_to_blue(seen: Seen) -> None:
    images = [image_in(axes) for axes in seen.columns]
    limits = {image.get_clim() for image in images}
    assert len(limits) == 1, "the colours must mean the same in all columns"
    [(low, high)] = limits
    assert low == -high, "zero must be white"
    shown = torch.tensor([numbers_in(axes) for axes in seen.columns])
    beyond = (shown.abs() > high).float().mean().item()
    assert 0.01 < beyond < 0.03, "about two in a hundred numbers are beyond the scale"
    red, white, blue = (images[0].cmap(place)[:3] for place in (0.0, 0.5, 1.0))
    assert red[0] > 0.3 > red[2], "negative numbers must be red"
    assert min(white) > 0.9, "zero must be white"
    assert blue[2] > 0.3 > blue[0], "positive numbers must be blue"


def test_the_panels_stand_where_the_page_says_and_images_in_reading_order(seen: Seen) -> None:
    seen.figure.draw_without_rendering()  # so that all places are known
    first = seen.loss, seen.matrix, seen.mistakes[0], seen.columns[0]
    curves, matrix, mistakes, columns = (axes.bbox for axes in first)
    assert curves.x1 < matrix.x0, "the curves are left of the matrix"
    assert mistakes.x1 < columns.x0, "the mistakes are left of the columns"
    assert seen.accuracy.bbox.y0 > mistakes.y1, "the curves are above the mistakes"
    assert matrix.y0 > columns.y1, "the matrix is above the columns"
    assert curves.y0 > seen.accuracy.bbox.y1, "the loss is above the accuracies"
    for twelve in (seen.mistakes, seen.columns):
        order = sorted(twelve, key=lambda axes: (-round(axes.bbox.y0), axes.bbox.x0))
        assert order == twelve, "the order is from left to right, then from above to below"
        assert all([*axes.get_xticks(), *axes.get_yticks()] == [] for axes in twelve)


def test_no_figure_stays_open(seen: Seen) -> None:
    assert pyplot.get_fignums() == [], "pyplot would keep the figure in memory"


# ---- Of which data, and of which networks ----


def always(label: int, classes: int) -> common.Net:
    """Return a network that puts each image into the same class."""
    return lambda X: torch.eye(classes)[label].repeat(len(X), 1)


def test_names_of_one_s_own_come_first_and_classes_beyond_them_are_numbered() -> None:
    batch = torch.rand(4, 1, HEIGHT, WIDTH), torch.tensor([0, 1, 2, 5])
    figure = picture.draw(always(4, classes=5), [], HISTORY, [batch], class_names=["a", "b", "c"])
    matrix, mistakes = figure.axes[2], figure.axes[3:7]
    names = ["a", "b", "c", "3", "4", "5"]
    assert [label.get_text() for label in matrix.get_xticklabels()] == names
    assert [label.get_text() for label in matrix.get_yticklabels()] == names
    assert [axes.get_title() for axes in mistakes] == ["a\n4", "b\n4", "c\n4", "5\n4"]
    assert matrix_in(matrix)[:, 4].tolist() == [1, 1, 1, 0, 0, 1]


def test_there_are_no_more_classes_than_the_network_and_the_labels_have() -> None:
    batch = torch.rand(4, 1, HEIGHT, WIDTH), torch.tensor([0, 1, 1, 0])
    figure = picture.draw(always(1, classes=2), [], HISTORY, [batch])
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == CLASSES[:2]


def test_the_numbers_of_many_classes_do_not_overlap() -> None:
    batch = torch.rand(3000, 1, HEIGHT, WIDTH), torch.arange(3000) % 20  # 150 of each class
    figure = picture.draw(always(3, classes=20), [], HISTORY, [batch])
    figure.draw_without_rendering()
    matrix = figure.axes[2]
    field = matrix.bbox.width / 20
    numbers = [text.get_window_extent() for text in matrix.texts]
    assert max(number.width for number in numbers) < field, "150 is wider than its field"
    labels = [label.get_window_extent() for label in matrix.get_yticklabels()]
    assert max(label.height for label in labels) < field, "the names of the rows overlap"


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        pytest.param([nn.Flatten(), nn.Linear(240, 10)], CLASSES, id="one layer"),
        pytest.param(
            [nn.Flatten(), nn.Linear(240, 4), nn.Linear(4, 6), nn.Linear(6, 10)],
            [""] * 4,
            id="three layers, so that W2 does not lead to the logits",
        ),
        pytest.param(
            [nn.Flatten(), nn.Linear(240, 8), nn.AvgPool1d(2), nn.Linear(4, 10)],
            [""] * 8,
            id="units that are averaged, so that W2 has other rows",
        ),
        pytest.param(
            [nn.Flatten(), nn.Linear(240, 16), nn.AvgPool1d(2, 1), nn.AvgPool1d(6, 1)],
            [""] * 12,
            id="averages of units as logits",
        ),
        pytest.param([nn.Conv2d(1, 10, (12, 20)), nn.Flatten()], [], id="no matrix"),
        pytest.param(
            [nn.AvgPool2d(2), nn.Flatten(), nn.Linear(60, 10)], [], id="a matrix of other inputs"
        ),
    ],
)
def test_columns_are_drawn_of_a_w1_that_takes_the_pixels_and_named_if_known(
    layers: list[nn.Module], names: list[str]
) -> None:
    net = nn.Sequential(*layers)
    batch = torch.rand(40, 1, HEIGHT, WIDTH), torch.arange(40) % 10
    _, _, _, *images = picture.draw(net, list(net.parameters()), [], [batch]).axes
    columns = [axes for axes in images[12:] if axes.images]
    assert [axes.get_title() for axes in columns] == names, "other columns, or other names"
    if columns:
        title = columns[0].figure.get_suptitle()
        assert ("its class" in title) == any(names), "the title speaks of names that are not there"


def test_a_network_without_mistakes_is_drawn() -> None:
    batch = torch.rand(4, 1, HEIGHT, WIDTH), torch.tensor([7, 7, 7, 7])
    figure = picture.draw(always(7, classes=10), [], HISTORY, [batch])
    assert not any(axes.images for axes in figure.axes[3:15])


def test_the_network_is_drawn_in_eval_mode_and_without_gradients() -> None:
    modes = []
    net = nn.Sequential(nn.Flatten(), nn.Linear(HEIGHT * WIDTH, 10))
    net.register_forward_hook(lambda *_: modes.append((net.training, torch.is_grad_enabled())))
    batch = torch.rand(4, 1, HEIGHT, WIDTH), torch.arange(4)
    picture.draw(net.train(), list(net.parameters()), HISTORY, [batch, batch])
    assert modes == [(False, False)] * 2, "each batch goes through once, in eval mode"
    assert not net.training, "it is left in eval mode, as the docstring says"


@both_scripts
def test_the_matrix_of_a_run_has_its_test_accuracy(script: ModuleType) -> None:
    net, params, history, _, test_iter = script.main(["--epochs=1"])
    figure = picture.draw(net, params, history, test_iter)
    assert share_on_the_diagonal(figure) == pytest.approx(history[-1].test_acc)
    assert len(figure.axes) == 3 + 12 + 12, "the columns of W1 are missing"


def test_a_script_that_changes_its_images_gets_a_picture_of_these(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    text = (ROOT / "mlp_api.py").read_text(encoding="utf-8")
    line = "    train_iter, test_iter = common.load_data_fashion_mnist("
    line += "args.batch_size, args.data_dir)\n"
    assert line in text, f"this test replaces the following line of mlp_api.py:\n{line}"
    more = """
    train_iter = [((X - 0.286) / 0.353, y) for X, y in train_iter]
    test_iter = [((X - 0.286) / 0.353, y) for X, y in test_iter]
    """
    file = tmp_path / "normalised.py"
    file.write_text(text.replace(line, line + more), encoding="utf-8")
    monkeypatch.setattr(picture, "ROOT", tmp_path.resolve())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "normalised", raising=False)
    monkeypatch.setattr(picture, "write", write := Mock())
    _, _, history, _, _ = picture.main(["normalised", "x.png", "--epochs=2"])
    share = share_on_the_diagonal(write.call_args.args[0])
    assert share == pytest.approx(history[-1].test_acc), "the matrix is of other images"


def share_on_the_diagonal(figure: Figure) -> float:
    counts = matrix_in(figure.axes[2])
    return float(counts.diag().sum() / counts.sum())


# ---- The file ----


@pytest.fixture
def earlier_picture(tmp_path: Path, monkeypatch: Patch) -> None:
    """Go where an earlier picture is, x.png, and a folder that is called like one."""
    monkeypatch.chdir(tmp_path)
    Path("x.png").write_bytes(b"earlier")
    Path("folder.png").mkdir()


def assert_as_before() -> None:
    assert sorted(os.listdir()) == ["folder.png", "x.png"], "a file was left, or is gone"
    assert Path("x.png").read_bytes() == b"earlier", "the earlier picture is gone"


@pytest.mark.usefixtures("earlier_picture")
def test_a_picture_replaces_an_earlier_one_with_so_many_pixels_an_inch() -> None:
    figure = Figure(figsize=(4, 3))
    assert picture.write(figure, "x.png") == Path("x.png").resolve()
    assert imread("x.png").shape[:2] == (300, 400), "dpi is 100 unless something else is asked for"
    assert imread("x.png").min() == 1, "an empty picture is white, not transparent"
    picture.write(figure, Path("x.png"), dpi=50)
    assert imread("x.png").shape[:2] == (150, 200), "dpi must be 50 as asked for"
    assert sorted(os.listdir()) == ["folder.png", "x.png"], "a file was left"


@pytest.mark.usefixtures("earlier_picture")
@pytest.mark.parametrize(("name", "start_of_file"), [("a.svg", b"<?xml"), ("a.PDF", b"%PDF")])
def test_the_ending_says_the_format(name: str, start_of_file: bytes) -> None:
    picture.write(Figure(), name)
    assert Path(name).read_bytes().startswith(start_of_file)


@pytest.mark.usefixtures("earlier_picture")
def test_a_trial_changes_nothing() -> None:
    picture.write(Figure(), "x.png", replace=False)
    picture.write(Figure(), "new.png", replace=False)
    assert_as_before()


@pytest.mark.usefixtures("earlier_picture")
@pytest.mark.parametrize("fault", [OSError(28, "no space left"), KeyboardInterrupt()])
def test_an_earlier_picture_survives_a_fault_while_a_new_one_is_written(
    fault: BaseException, monkeypatch: Patch
) -> None:
    def write_half(figure: Figure, path: Path, **_: object) -> None:
        path.write_bytes(b"half a picture")
        raise fault

    monkeypatch.setattr(Figure, "savefig", write_half)
    with pytest.raises((common.UserError, KeyboardInterrupt)):
        picture.write(Figure(), "x.png")
    assert_as_before()


@pytest.mark.usefixtures("earlier_picture")
@pytest.mark.parametrize("fault", [OSError(13, "locked"), KeyboardInterrupt()])
def test_an_earlier_picture_survives_a_fault_while_it_is_replaced(
    fault: BaseException, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(os, "replace", Mock(side_effect=fault))
    with pytest.raises((common.UserError, KeyboardInterrupt)):
        picture.write(Figure(), "x.png")
    assert_as_before()


@pytest.mark.usefixtures("earlier_picture")
def test_a_locked_picture_is_found_by_the_trial(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Path, "open", Mock(side_effect=PermissionError(13, "locked")))
    with pytest.raises(common.UserError, match=r"^cannot write .*x\.png: locked$"):
        picture.write(Figure(), "x.png", replace=False)


@pytest.mark.usefixtures("earlier_picture")
@pytest.mark.skipif(sys.platform == "win32", reason="links and permissions are others there")
def test_the_target_of_a_link_is_written() -> None:
    link = Path("folder.png", "link.png")
    link.symlink_to(Path("..", "new.png"))  # which is not there yet
    assert picture.write(Figure(), link) == Path("new.png").resolve()
    assert link.is_symlink(), "the link is gone"
    assert imread("new.png").ndim == 3, "the target is no picture"
    mode = Path("x.png").stat().st_mode
    assert Path("new.png").stat().st_mode == mode, "other permissions than any new file's"


# ---- The command ----


@pytest.mark.usefixtures("earlier_picture")
def test_the_command_draws_what_the_script_s_main_returns(
    monkeypatch: Patch, capsys: Capture
) -> None:
    figure = Figure()
    figure.suptitle("this one")
    net, params, history, train_iter, test_iter = (Mock() for _ in range(5))
    result = net, params, history, train_iter, test_iter
    monkeypatch.setattr(mlp_api, "main", train := Mock(return_value=result))
    monkeypatch.setattr(picture, "draw", draw := Mock(return_value=figure))
    options = ["--epochs", "3", "--lr=0.5", "--data-dir", "x"]
    assert picture.main(["mlp_api", "x.png", *options]) == result
    train.assert_called_once_with(options)
    draw.assert_called_once_with(net, params, history, test_iter)
    picture.write(figure, "expected.png")
    assert Path("x.png").read_bytes() == Path("expected.png").read_bytes(), "another picture"
    last_line = capsys.readouterr().out.splitlines()[-1]
    assert last_line == f"The picture is in {Path('x.png').resolve()}"


@pytest.mark.usefixtures("earlier_picture")
@pytest.mark.parametrize("name", ["mlp_api", "mlp_api.py", str(ROOT / "mlp_api.py")])
def test_the_script_is_that_of_the_project(name: str, monkeypatch: Patch) -> None:
    Path("mlp_api.py").write_text("raise AssertionError('a script of another folder')")
    monkeypatch.setattr(mlp_api, "main", main := Mock())
    assert picture.main_of(name) is main
    with pytest.raises(common.UserError, match="holds no script"):
        picture.main_of("./mlp_api.py")  # which is there, but would not be the one that is drawn


FAULTS = [  # what is typed, the status, and how the line ends
    ("", 2, "required: script, picture"),
    ("mlp_api", 2, "required: picture"),
    ("mlp_api new.png --epochs=x", 2, "--epochs: invalid int value: 'x'"),
    ("mlp_api new.png --data-dir", 2, "--data-dir: expected one argument"),
    ("mlp_none new.png", 1, "holds no script mlp_none: name mlp_scratch or mlp_api"),
    ("common new.png", 1, "holds no script common: name mlp_scratch or mlp_api"),
    ("./mlp_api new.png", 1, "holds no script ./mlp_api: name mlp_scratch or mlp_api"),
    ("mlp_api new.txt", 1, "new.txt: Format 'txt' is not supported (supported formats:"),
    ("mlp_api new", 1, "new: Format '' is not supported (supported formats:"),
    ("mlp_api nowhere/new.png", 1, "new.png: "),
    ("mlp_api folder.png", 1, "folder.png: "),
]


@pytest.mark.usefixtures("earlier_picture")
@pytest.mark.parametrize(("typed", "status", "part"), FAULTS)
def test_a_fault_is_said_in_one_line_before_the_training(
    typed: str, status: int, part: str, ends: Ends, monkeypatch: Patch
) -> None:
    began = AssertionError("the training has begun")
    monkeypatch.setattr(common, "train", Mock(side_effect=began))
    line = ends(*typed.split(), main=picture.main, status=status)
    assert part in line, f"it does not say what is wrong: {line}"
    assert "Errno" not in line, f"a number says nothing: {line}"
    assert_as_before()


@pytest.mark.usefixtures("earlier_picture")
def test_a_missing_matplotlib_is_said_before_the_training(ends: Ends, monkeypatch: Patch) -> None:
    monkeypatch.setattr(mlp_api, "main", Mock(side_effect=AssertionError("training")))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # its import fails
    assert ends("mlp_api", "x.png", main=picture.main).endswith("pip install matplotlib")
    assert_as_before()


@pytest.mark.usefixtures("earlier_picture")
def test_ctrl_c_in_the_training_leaves_the_earlier_picture(ends: Ends, monkeypatch: Patch) -> None:
    monkeypatch.setattr(mlp_api, "main", Mock(side_effect=KeyboardInterrupt))
    assert ends("mlp_api", "x.png", main=picture.main).endswith("interrupted")
    assert_as_before()


# ---- On which machine ----

OTHER_SETTINGS = """
axes.grid: True
font.size: 20
image.cmap: gray
image.origin: lower
savefig.facecolor: black
"""
DRAWING = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import picture  # first, as it lets the others be found
import common
import torch
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
test_iter = [(torch.rand(50, 1, 28, 28), torch.arange(50) % 10)]
history = [common.Epoch(0.9, 0.7, 0.5), common.Epoch(0.8, 0.8, 0.6)]
figure = picture.draw(net, list(net.parameters()), history, test_iter)
picture.write(figure, "x.png")
"""


@pytest.mark.page
def test_a_machine_s_settings_do_not_change_the_picture(tmp_path: Path, monkeypatch: Patch) -> None:
    (tmp_path / "matplotlibrc").write_text(OTHER_SETTINGS, encoding="utf-8")  # read by a new Python
    _, errors, status = finish(start("-c", DRAWING, cwd=tmp_path))
    assert status == 0, f"the settings must not stop it: {errors}"
    other = (tmp_path / "x.png").read_bytes()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which the drawing adds
    exec(DRAWING, {})
    assert Path("x.png").read_bytes() == other, "it looks otherwise with other settings"


@pytest.mark.page
def test_the_command_starts_in_any_folder(tmp_path: Path) -> None:
    command = ROOT / "tests" / "picture.py", "mlp_api", "x.txt"
    _, errors, status = finish(start(*command, cwd=tmp_path))
    assert status == 1, "it must end with the fault of .txt"
    line = errors.splitlines()[-1]
    assert line.startswith("picture.py: error: cannot write "), f"it ends otherwise: {errors}"
    assert f"{tmp_path.resolve() / 'x.txt'}: Format 'txt' is not supported" in line


@pytest.mark.parametrize(("module", "backend"), [("ipykernel", "inline"), ("os", None)])
def test_only_a_notebook_keeps_its_own_window_system(
    module: str, backend: str | None, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which it adds
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setitem(sys.modules, module, sys.modules["os"])
    monkeypatch.setenv("MPLBACKEND", "inline")
    runpy.run_path(str(picture.__file__))
    assert os.environ.get("MPLBACKEND") == backend
