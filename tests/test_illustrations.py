"""What a reader sees in the pictures that need no training, and what stops their writing."""

import os
import sys
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from unittest.mock import Mock, patch

import numpy as np
import pytest
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage, imread
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

import common
import illustrations
import mlp_scratch
import picture
import support
from support import Ends, Patch

pytestmark = pytest.mark.page

Array = NDArray[np.float64]
NAMES = ["classes", "network", "activations", "backward"]
FILES = ["activations.png", "backward.png", "classes.png", "network.png"]
FORWARD, BACKWARD, PARAMETERS = "#0072b2", "#d55e00", "#009e73"  # of Okabe and Ito
FUNCTIONS = {
    "ReLU": nn.ReLU(),
    "PReLU, a = 0.25": nn.PReLU(init=0.25).double(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
}
FORWARD_ARROWS = [  # from, to
    ("X", "Z"),
    ("W1", "Z"),
    ("b1", "Z"),
    ("Z", "H"),
    ("H", "O"),
    ("W2", "O"),
    ("b2", "O"),
    ("O", "loss"),
    ("y", "loss"),
]
BACKWARD_ARROWS = [  # from, to, and the step's number on the page
    ("loss", "O", "1"),
    ("O", "W2", "2"),
    ("O", "b2", "3"),
    ("O", "H", "4"),
    ("H", "Z", "4"),
    ("Z", "W1", "5"),
    ("Z", "b1", "6"),
]
each_picture = pytest.mark.parametrize("name", NAMES)


# ---- How the tests look at a picture: in px where it is shown 400 px wide, y upwards ----


class Seen(NamedTuple):
    """A picture: its file, what it is made of, and the texts in it with their places."""

    pixels: Array  # [height, width, 4] in 0..1: red, green, blue, opacity
    figure: Figure
    texts: list[tuple[Text, Bbox]]

    def where(self, text: str) -> Bbox:
        """Return the place of a text that is there once."""
        places = [place for artist, place in self.texts if artist.get_text() == text]
        assert len(places) == 1, f"{text!r} must be there once, not {len(places)} times"
        return places[0]

    def downwards(self, *texts: str) -> bool:
        """Return whether each text stands below the one before it."""
        places = [self.where(text) for text in texts]
        return all(upper.ymin > lower.ymax for upper, lower in pairwise(places))


def shown(artist: Artist) -> Bbox:
    """Return the place of a part of a picture."""
    figure = artist.get_figure()
    assert figure is not None
    return Bbox(artist.get_window_extent().get_points() * 400 / figure.bbox.width)


def shown_points(axes: Axes, points: object) -> Array:
    """Return the places of points of the axes' own coordinates; both are [n, 2]."""
    found = axes.transData.transform(np.asarray(points, dtype=float))
    return np.asarray(found * 400 / axes.figure.bbox.width)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """Return what the command draws and writes, by the file's name."""
    folder = tmp_path_factory.mktemp("pictures")
    with patch.object(picture, "write", wraps=picture.write) as write:
        illustrations.main([str(folder)])
    found = {}
    for figure, path in [call.args for call in write.call_args_list]:
        figure.set_dpi(200)
        with picture.defaults(), patch.object(Text, "draw", autospec=True) as draw:
            figure.savefig(BytesIO(), dpi=200)
        texts = dict.fromkeys(call.args[0] for call in draw.call_args_list)  # each once
        drawn = [text for text in texts if text.get_text() and text.get_visible()]
        pixels = np.asarray(imread(path), dtype=float)
        found[path.stem] = Seen(pixels, figure, [(text, shown(text)) for text in drawn])
    return found


def inside(outer: Bbox, inner: Bbox) -> bool:
    """Return whether one place lies inside the other."""
    (left, bottom), (right, top) = outer.get_points()
    (x0, y0), (x1, y1) = inner.get_points()
    return bool(left <= x0 and x1 <= right and bottom <= y0 and y1 <= top)


def on_edge(box: Bbox, point: Array) -> bool:
    """Return whether a point is on the edge of a box, give or take 1 px."""
    x, y = point
    return box.padded(1).contains(x, y) and not box.padded(-1).contains(x, y)


def distance(box: Bbox, point: Array) -> float:
    """Return how far a point is from a box."""
    return float(np.linalg.norm(point - np.clip(point, *box.get_points())))


def middle_of(box: Bbox) -> float:
    """Return the x of a box's middle."""
    return float(box.x0 + box.x1) / 2


def circles(seen: Seen) -> list[Bbox]:
    """Return the places of the circles, which stand for units."""
    [axes] = seen.figure.axes
    return [shown(circle) for circle in axes.patches if isinstance(circle, Circle)]


def boxes(seen: Seen) -> dict[str, Bbox]:
    """Return the boxes by the text inside; the one with many texts is the frame."""
    [axes] = seen.figure.axes
    found = {}
    for rectangle in axes.patches:
        if isinstance(rectangle, Rectangle):
            box = shown(rectangle)
            texts = [text.get_text() for text, place in seen.texts if inside(box, place)]
            found[texts[0] if len(texts) == 1 else "frame"] = box
    return found


class Line(NamedTuple):
    """The ends and the colour of a line or an arrow."""

    start: Array
    end: Array
    color: str


def arrows(seen: Seen) -> list[Line]:
    """Return all arrows."""
    [axes] = seen.figure.axes
    found = []
    for text in axes.texts:
        if isinstance(text, Annotation) and text.arrow_patch:
            start, end = shown_points(axes, [text.xyann, text.xy])
            found.append(Line(start, end, to_hex(text.arrow_patch.get_edgecolor())))
    return found


def weights(seen: Seen) -> list[Line]:
    """Return all lines between two points."""
    [axes] = seen.figure.axes
    found = []
    for line in axes.lines:
        if line.get_linestyle() == "-":
            start, end = shown_points(axes, line.get_xydata())
            found.append(Line(start, end, to_hex(line.get_color())))
    return found


def biases(seen: Seen) -> list[Line]:
    """Return all dots, as lines without a length."""
    [axes] = seen.figure.axes
    found = []
    for line in axes.lines:
        if line.get_marker() == "o":
            [point] = shown_points(axes, line.get_xydata())
            found.append(Line(point, point, to_hex(line.get_color())))
    return found


def image_is(seen: Seen, image: AxesImage, X: Tensor) -> bool:
    """Return whether each pixel is seen as grey as the network sees it; X: [28, 28] in 0..1."""
    box = image.get_window_extent()
    middles = (np.arange(28) + 0.5) / 28
    rows = (len(seen.pixels) - box.ymax + middles * box.height).astype(int)
    columns = (box.xmin + middles * box.width).astype(int)
    colors, grey = seen.pixels[rows][:, columns, :3], np.array(X.tolist())
    black = bool((colors[grey == 0] == 0).all())
    return black and bool(np.abs(colors - grey[:, :, None]).max() < 0.005)


# ---- What the tests compare it with ----


def train_images() -> tuple[Tensor, Tensor]:
    """Return all training images, [n, 28, 28] in 0..1, and their labels."""
    train_iter, _ = common.load_data_fashion_mnist(256, common.DATA_DIR)
    X, y = train_iter.dataset[:]
    return X[:, 0], y


class Pass(NamedTuple):
    """Tensors of a forward pass of 7 images, and the gradients that autograd finds."""

    tensors: dict[str, Tensor]
    gradients: dict[str, Tensor]

    def text(self, name: str, n: str) -> str:
        """Return a tensor's name and shape; n: stands for the number of images."""
        sizes = [n if size == 7 else str(size) for size in self.tensors[name].shape]
        return f"{name} [{', '.join(sizes)}]"

    def holds(self, formula: str) -> bool:
        """Return whether a formula is right, such as "H = relu(Z)"; dH is the gradient of H."""
        name, expression = formula.replace("\n", " ").split(" = ")
        known = {**self.tensors, **self.gradients}
        value = eval(expression, {"relu": torch.relu, "one_hot": one_hot, "n": 7, **known})
        return value.shape == known[name].shape and torch.allclose(value, known[name])


@pytest.fixture(scope="module")
def step() -> Pass:
    """Return what a network with the script's shapes and random parameters computes."""
    torch.manual_seed(1)
    random = [torch.randn(p.shape).double() / 10 for p in mlp_scratch.init_params(256)]
    W1, b1, W2, b2 = (param.requires_grad_() for param in random)
    X, y = train_images()
    X, y = X[:7].flatten(1).double(), y[:7]
    Z = X @ W1 + b1
    H = nn.ReLU()(Z)
    logits = nn.functional.linear(H, W2.T, b2)
    learned = {"W1": W1, "b1": b1, "W2": W2, "b2": b2, "Z": Z, "H": H, "O": logits}
    gradients = torch.autograd.grad(cross_entropy(logits, y), [*learned.values()])
    names = [f"d{name}" for name in learned]
    return Pass({**learned, "X": X, "y": y}, dict(zip(names, gradients, strict=True)))


# ---- All pictures ----


@each_picture
def test_it_is_sharp_and_white_on_a_dark_page_too(name: str, pictures: dict[str, Seen]) -> None:
    pixels = pictures[name].pixels
    assert pixels.shape[1] == 900, "it must be sharp where it is shown 400 to 450 px wide"
    assert pixels[:, :, 3].min() == 1, "it must not be transparent"
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.min() == 1, "a corner is not white"


@each_picture
def test_each_text_is_large_and_plain_and_stands_out(name: str, pictures: dict[str, Seen]) -> None:
    seen = pictures[name]
    assert len(seen.texts) >= 10
    for text, place in seen.texts:
        said = repr(text.get_text())
        size = float(text.get_fontsize()) / 72 * 400 / seen.figure.get_figwidth()
        assert size >= 12, f"{said} is {size:.1f} px high where the picture is 400 px wide"
        assert said.isascii(), f"{said} is not plain ASCII"
        left, bottom, right, top = (round(edge * 900 / 400) for edge in place.extents)
        grey = seen.pixels[::-1][bottom:top, left:right, :3].mean(axis=2)
        assert np.ptp(grey) > 0.4, f"{said} is too pale, or something lies over it"


@each_picture
def test_no_text_touches_anything(name: str, pictures: dict[str, Seen]) -> None:
    seen = pictures[name]
    height, width, _ = seen.pixels.shape
    whole = Bbox([[0, 0], [400, height * 400 / width]])
    lines: list[Line] = []
    fields: list[Bbox] = []  # which a text may be in, but not half
    axes_places = [shown(axes) for axes in seen.figure.axes]
    if len(axes_places) == 1:
        lines = [*arrows(seen), *weights(seen)]
        fields = [*circles(seen), *boxes(seen).values()]
        axes_places = [shown(image) for image in seen.figure.axes[0].images]
    for i, (text, place) in enumerate(seen.texts):
        said = repr(text.get_text())
        assert inside(whole, place), f"{said} is not wholly in the picture"
        for other, other_place in seen.texts[:i]:
            assert not place.overlaps(other_place), f"{said} lies on {other.get_text()!r}"
        for axes_place in axes_places:
            assert not place.overlaps(axes_place), f"{said} lies on an image or a curve"
        for field in fields:
            assert inside(field, place) or not place.overlaps(field), f"{said} lies on an edge"
        if text.get_bbox_patch() is None:  # a step's number is on its arrow
            for start, end, _ in lines:
                crossed = Outline([start, end]).intersects_bbox(place, filled=False)
                assert not crossed, f"{said} lies on a line"


# ---- The classes ----


def test_each_class_is_shown_by_its_first_training_image(pictures: dict[str, Seen]) -> None:
    seen = pictures["classes"]
    X, y = train_images()
    places = []
    for label, axes in enumerate(seen.figure.axes):
        title = f"{label} {common.CLASS_NAMES[label]}"
        [image] = axes.images
        name, place = seen.where(title), shown(image)
        assert 0 < name.ymin - place.ymax < 10, f"{title} is not above its image"
        assert abs(middle_of(name) - middle_of(place)) < 2, f"{title} is not above the middle"
        assert image_is(seen, image, X[y == label][0]), f"{title} is another image, or turned"
        assert abs(place.width - place.height) < 0.01, "a pixel is not square"
        places.append((-round(place.ymin), round(place.xmin)))
    assert places == sorted(places), "the labels do not rise from left to right"
    assert [row for row, _ in places] == [places[0][0]] * 5 + [places[5][0]] * 5


# ---- The network ----


def test_the_network_names_each_tensor_and_its_shape(pictures: dict[str, Seen], step: Pass) -> None:
    seen = pictures["network"]
    said = [step.text(name, "batch") for name in ["X", "W1", "b1", "H", "W2", "b2", "O"]]
    texts = [text.get_text() for text, _ in seen.texts]
    assert [text for text in texts if "[" in text] == said
    hidden, logits = "H = relu(X @ W1 + b1)", "O = H @ W2 + b2"
    assert step.holds(hidden)
    assert step.holds(logits)
    X, W1, b1, H, W2, b2, O = said  # noqa: E741 # as on the page
    assert seen.downwards("an image", "28 x 28 pixels", "flatten", X, "one image a row")
    assert seen.downwards(X, W1, "a line is a weight", b1, "a dot is a bias", hidden, H)
    assert seen.downwards(H, "hidden layer", W2, b2, logits, O, "logits, one a class")
    assert seen.downwards(b1, "ReLU", H)

    loss = ["softmax, cross-entropy", "loss", "not in the network"]
    frame = boxes(seen)["frame"]
    outside = [text.get_text() for text, place in seen.texts if not inside(frame, place)]
    assert sorted(outside) == sorted(["an image", "28 x 28 pixels", *loss])
    assert inside(frame, seen.where("the network"))


def test_the_network_has_units_with_weights_between_them(pictures: dict[str, Seen]) -> None:
    seen = pictures["network"]
    numbers = []
    for circle in circles(seen):
        numbers += [text.get_text() for text, place in seen.texts if inside(circle, place)]
    inputs, hiddens, outputs = circles(seen)[:5], circles(seen)[5:10], circles(seen)[10:]
    labels = [str(label) for label in range(10)]
    assert numbers == ["0", "1", "2", "782", "783", "0", "1", "2", "254", "255", *labels]
    gaps = [place for text, place in seen.texts if text.get_text() == "..."]
    for row, gap in zip([inputs, hiddens], gaps, strict=True):
        assert row[2].xmax < gap.xmin < gap.xmax < row[3].xmin, "the ... is not in the gap"
        assert row[2].ymin < gap.ymin < gap.ymax < row[2].ymax, "the ... is not in the row"

    relu, lines = boxes(seen)["ReLU"], weights(seen)
    first = [line for line in lines if line.start[1] > relu.ymax]
    second = [line for line in lines if line.start[1] < relu.ymin]
    for layer, above, below, goal in [
        (first, inputs, hiddens, relu.ymax),
        (second, hiddens, outputs, outputs[0].ymax),
    ]:
        pairs = {(unit_at(line.start[0], above), unit_at(line.end[0], below)) for line in layer}
        assert len(layer) == len(pairs) == len(above) * len(below), "each is connected with each"
        for line in layer:
            assert abs(line.start[1] - above[0].ymin) < 1, "a line does not begin at its unit"
            assert -1 < line.end[1] - goal < 5, "a line does not end at the next layer"
    sums = {tuple(line.end.round()) for line in lines}
    dots = {tuple(dot.end.round()) for dot in biases(seen)}
    assert dots == sums, "where the lines to a unit end, there is a dot, its bias"
    assert {line.color for line in [*lines, *biases(seen)]} == {PARAMETERS}


def unit_at(x: float, units: list[Bbox]) -> int:
    """Return the place in its row of the unit above or below a point."""
    [found] = [i for i, unit in enumerate(units) if abs(middle_of(unit) - x) < 1]
    return found


def test_the_network_leads_from_an_image_to_the_loss(pictures: dict[str, Seen]) -> None:
    seen = pictures["network"]
    found, units = boxes(seen), circles(seen)
    [image] = seen.figure.axes[0].images
    assert image_is(seen, image, train_images()[0][0]), "it is another image, or turned"
    assert shown(image).ymin > found["frame"].ymax, "the image is not above the network"
    into, *through, out = arrows(seen)
    assert on_edge(shown(image), into.start)
    assert 0 < into.end[1] - units[0].ymax < 10, "the arrow does not lead to X"
    for arrow, unit in zip(through, units[5:10], strict=True):
        assert on_edge(found["ReLU"], arrow.start)
        assert on_edge(unit, arrow.end)
    assert 0 < units[10].ymin - out.start[1] < 10, "the arrow does not come from O"
    assert on_edge(found["softmax, cross-entropy"], out.end)
    assert {arrow.color for arrow in arrows(seen)} == {FORWARD}


# ---- The activation functions ----


def points_of(line: Line2D) -> tuple[Tensor, Tensor]:
    """Return x and y of a curve's points, float64."""
    x, y = np.asarray(line.get_xydata(), dtype=float).T.tolist()
    return torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_curve_is_torchs_and_its_derivative_is_below(
    name: str, pictures: dict[str, Seen]
) -> None:
    grid = np.array(pictures["activations"].figure.axes).reshape(4, 2)
    [[row, column]] = np.argwhere([[axes.get_title() == name for axes in two] for two in grid])
    above, below = grid[row, column], grid[row + 1, column]
    assert below.get_title() == "its derivative"
    assert shown(above).ymin > shown(below).ymax
    assert abs(shown(above).xmin - shown(below).xmin) < 1

    [curve], [slopes, *rest] = above.lines, below.lines
    (x, y), (same_x, slope) = points_of(curve), points_of(slopes)
    x.requires_grad_()
    right_y = FUNCTIONS[name](x)
    [right_slope] = torch.autograd.grad(right_y.sum(), x)
    jumps = (x == 0) & ("ReLU" in name)
    assert torch.allclose(y, right_y, rtol=0, atol=1e-6)
    assert same_x.equal(x)
    assert slope.isnan().equal(jumps), "a gap belongs where the derivative jumps, and only there"
    assert torch.allclose(slope[~jumps], right_slope[~jumps], rtol=0, atol=1e-6)

    assert [x.min().item(), x.max().item()] == [-4, 4]
    assert x.diff().min() > 0
    assert x.diff().max() < 0.05, "the curve has corners"
    steepest = (slope.diff().abs() / x.diff()).nan_to_num().max()
    assert steepest < 1, "a vertical line"
    for line, color in [(curve, FORWARD), (slopes, BACKWARD)]:
        look = [to_hex(line.get_color()), line.get_linestyle(), line.get_drawstyle()]
        assert look == [color, "-", "default"]
    if jumps.any():
        [dots] = rest
        assert dots.get_linestyle() == "None", "a vertical line"
        ends = [right_slope[0].item(), right_slope[-1].item()]
        assert [part.tolist() for part in points_of(dots)] == [[0, 0], ends]
        assert dots.get_markerfacecolor() == "white", "0 does not belong to the line"
    else:
        assert not rest


def test_the_axes_can_be_compared_and_hide_nothing(pictures: dict[str, Seen]) -> None:
    grid = np.array(pictures["activations"].figure.axes).reshape(4, 2)
    assert len({axes.get_xlim() for axes in grid.flat}) == 1, "the ranges of x differ"
    assert len({axes.get_ylim() for axes in grid[[1, 3]].flat}) == 1, "those of derivatives differ"
    for left, right in grid:
        assert left.get_ylim() == right.get_ylim(), "the ranges of y differ in a row"
    for axes in grid.flat:
        assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")
        (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
        for line in axes.lines:
            x, y = (part.nan_to_num() for part in points_of(line))
            assert x0 <= min(x) <= max(x) <= x1, "x is cut off"
            assert y0 < min(y) <= max(y) < y1, "y is cut off"
        for line in [*axes.get_xgridlines(), *axes.get_ygridlines()]:
            assert line.get_visible(), "there is no grid"


def test_each_number_stands_at_its_place_on_an_axis(pictures: dict[str, Seen]) -> None:
    seen = pictures["activations"]
    grid = np.array(seen.figure.axes).reshape(4, 2)
    numbers = []
    for axes in grid[-1]:
        for text in axes.get_xticklabels():
            [[x, _]] = shown_points(axes, [[float(text.get_text()), 0]])
            assert abs(middle_of(shown(text)) - x) < 4
            numbers.append(text)
    for axes in grid[:, 0]:
        for text in axes.get_yticklabels():
            [[_, y]] = shown_points(axes, [[0, float(text.get_text())]])
            assert shown(text).ymin < y < shown(text).ymax
            numbers.append(text)
    drawn = [text for text, _ in seen.texts if not text.get_text()[0].isalpha()]
    assert {id(text) for text in drawn} == {id(text) for text in numbers}
    assert len(numbers) == 2 * 5 + 4 * 3


# ---- The backward pass ----


def arrow_between(start: str, end: str, color: str, seen: Seen) -> Array:
    """Return the middle of the only arrow from one box to another."""
    from_box, to_box = boxes(seen)[start], boxes(seen)[end]
    found = []
    for arrow in arrows(seen):
        if on_edge(from_box, arrow.start) and on_edge(to_box, arrow.end):
            found.append(arrow)
    assert len(found) == 1, f"there must be one arrow from {start} to {end}, not {len(found)}"
    assert found[0].color == color, f"the arrow from {start} to {end} has the other colour"
    return np.asarray((found[0].start + found[0].end) / 2)


def text_beside(point: Array, color: str, seen: Seen) -> str:
    """Return the text of a colour that is next to a point."""
    texts = [(text, place) for text, place in seen.texts if to_hex(text.get_color()) == color]
    text, place = min(texts, key=lambda pair: distance(pair[1], point))
    assert distance(place, point) < 25, f"{text.get_text()!r} is too far from its arrow"
    return text.get_text()


def test_forward_each_arrow_says_what_flows(pictures: dict[str, Seen], step: Pass) -> None:
    seen = pictures["backward"]
    for start, end in FORWARD_ARROWS:
        middle = arrow_between(start, end, FORWARD, seen)
        assert text_beside(middle, FORWARD, seen) == step.text(start, "n")
    assert seen.downwards("X", "Z", "H", "O", "loss")
    formulas = {"Z": "Z = X @ W1 + b1", "H": "H = relu(Z)", "O": "O = H @ W2 + b2"}
    for formula in formulas.values():
        assert step.holds(formula)
    for name, text in [*formulas.items(), ("loss", "mean cross-entropy")]:
        box, place = boxes(seen)[name], seen.where(text)
        assert box.ymin < place.ymin < place.ymax < box.ymax, f"{text} is not beside its box"
        assert 0 < place.xmin - box.xmax < 20, f"{text} is not beside its box"


def test_backward_each_arrow_says_a_gradient_that_autograd_finds_too(
    pictures: dict[str, Seen], step: Pass
) -> None:
    seen = pictures["backward"]
    for start, end, number in BACKWARD_ARROWS:
        middle = arrow_between(start, end, BACKWARD, seen)
        formula, _, shape = text_beside(middle, BACKWARD, seen).rpartition("\n")
        assert formula.startswith(f"d{end} = "), f"{formula} is beside the arrow to {end}"
        assert step.holds(formula), f"{formula}: autograd finds another gradient"
        assert f"{end} {shape}" == step.text(end, "n"), f"{formula} has another shape"
        on_arrow = [text.get_text() for text, place in seen.texts if distance(place, middle) == 0]
        assert on_arrow == [number], f"{formula} is another step on the page"
    assert len(arrows(seen)) == len(FORWARD_ARROWS) + len(BACKWARD_ARROWS)


def test_the_colours_and_letters_of_the_backward_pass_are_explained(
    pictures: dict[str, Seen],
) -> None:
    seen = pictures["backward"]
    colors = {text.get_text(): to_hex(text.get_color()) for text, _ in seen.texts}
    assert colors["forward"] == FORWARD
    assert colors["backward, steps 1-6"] == BACKWARD
    assert "n: number of images" in colors
    W1 = boxes(seen)["W1"]
    assert 0 < seen.where("parameters").ymin - W1.ymax < 20, "the column has no heading"
    faces = {}
    for box in seen.figure.axes[0].patches:
        [name] = [text.get_text() for text, place in seen.texts if inside(shown(box), place)]
        faces[name] = to_hex(box.get_edgecolor())
    parameters = [name for name, color in faces.items() if color == PARAMETERS]
    assert parameters == ["W1", "b1", "W2", "b2"]


# ---- The command ----


def test_the_command_draws_the_same_on_any_machine(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("here", "there"):
        Path(name).mkdir()
    Path("matplotlibrc").write_text("image.origin: lower\ntext.usetex: True\nfont.size: 30")
    process = support.start(support.ROOT / "tests" / "illustrations.py", "there")
    output, errors, status = support.finish(process)
    assert (errors, status) == ("", 0)
    assert [Path(line).name for line in output.splitlines()] == [f"{name}.png" for name in NAMES]
    illustrations.main(["here"])
    assert sorted(os.listdir("here")) == sorted(os.listdir("there")) == FILES
    assert sorted(os.listdir()) == ["here", "matplotlibrc", "there"]
    for file in FILES:
        same = Path("here", file).read_bytes() == Path("there", file).read_bytes()
        assert same, f"the settings must not change {file}"


def test_without_a_folder_the_pictures_of_the_page_are_drawn_anew(monkeypatch: Patch) -> None:
    monkeypatch.setattr(picture, "write", written := Mock(return_value=Path("x.png")))
    illustrations.main([])
    paths = [call.args[1] for call in written.call_args_list]
    assert paths == [support.ROOT / ".github" / f"{name}.png" for name in NAMES]


def test_a_fault_is_said_in_one_line(tmp_path: Path, ends: Ends) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for folder in (tmp_path / "nowhere", file):
        line = ends(folder, main=illustrations.main)
        assert f"cannot write {folder}" in line
    with patch.dict(sys.modules, {"matplotlib.figure": None}):  # its import raises an ImportError
        line = ends(tmp_path, main=illustrations.main)
    assert line.endswith("pip install matplotlib")
    line = ends(tmp_path, "more", main=illustrations.main, status=2)
    assert line.endswith("arguments: more")
    assert os.listdir(tmp_path) == ["file"]
