"""Draw what needs no training, into .github or another folder: `python tests/illustrations.py`.

The ten classes, the network, activation functions with their derivatives, and the backward pass.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor

import common
import mlp_scratch
import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]
WIDTH = 4.5  # inches; shown 400 px wide, matplotlib's usual 10 points are 12.3 px
BLUE, GREEN, VERMILION = "#0072B2", "#009E73", "#D55E00"  # told apart by the colour-blind, too
PALE_BLUE, PALE_GREEN, PALE_GREY, GREY = "#D9ECF7", "#CCEDE2", "#F4F4F4", "#606060"


@picture.defaults()
def draw_classes() -> "Figure":
    """Draw the first training image of each class, below its label and name."""
    from matplotlib.figure import Figure

    X, y = first_images(256)  # every class is among them
    figure = Figure(figsize=(WIDTH, 2.32))
    grid = figure.subplots(2, 5)
    figure.subplots_adjust(0.01, 0.015, 0.99, 0.9, wspace=0.06, hspace=0.24)
    for label, axes in enumerate(grid.flat):
        row = int((y == label).nonzero()[0])
        axes.imshow(X[row, 0].tolist(), cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"{label} {common.CLASS_NAMES[label]}", fontsize=10)
        axes.axis("off")
    return figure


@picture.defaults()
def draw_network() -> "Figure":
    """Draw the network from top to bottom, with names and shapes at the right."""
    shapes = tensor_shapes("batch")
    inputs = place_some(mlp_scratch.num_inputs)
    hiddens = place_some(mlp_scratch.num_hiddens)
    outputs = {label: 21.5 + 23 * label for label in range(mlp_scratch.num_outputs)}
    figure, axes = drawing_board(height=512)

    X, _ = first_images(1)
    place = (93, 157, 68, 4)  # left, right, bottom, top
    axes.imshow(X[0, 0].tolist(), cmap="gray", vmin=0, vmax=1, extent=place, aspect="auto")
    draw_note(axes, 36, "an image", "28 x 28 pixels")

    draw_box(axes, (2, 84), (396, 372), GREY, PALE_GREY)
    axes.text(12, 99, "the network", color=GREY, weight="bold", va="center")
    draw_arrow(axes, (125, 68), (125, 116), BLUE)
    draw_note(axes, 99, "", "flatten")
    draw_units(axes, inputs, 136, radius=16)
    draw_note(axes, 136, f"X {shapes['X']}", "one image a row")

    draw_weights(axes, inputs, 152, hiddens, 244)
    draw_note(axes, 182, f"W1 {shapes['W1']}", "a line is a weight")
    draw_note(axes, 220, f"b1 {shapes['b1']}", "a dot is a bias")
    draw_box(axes, (8, 244), (234, 24), BLUE, "white", "ReLU")
    draw_note(axes, 256, "", "H = relu(X @ W1 + b1)")
    for x in hiddens.values():
        draw_arrow(axes, (x, 268), (x, 286), BLUE)
    draw_units(axes, hiddens, 302, radius=16)
    draw_note(axes, 302, f"H {shapes['H']}", "hidden layer")

    draw_weights(axes, hiddens, 318, outputs, 414)
    draw_note(axes, 343, f"W2 {shapes['W2']}", "")
    draw_note(axes, 364, f"b2 {shapes['b2']}", "")
    draw_note(axes, 392, "", "O = H @ W2 + b2")
    draw_units(axes, outputs, 428, radius=11)
    draw_note(axes, 428, f"O {shapes['O']}", "logits, one a class")

    draw_arrow(axes, (125, 440), (125, 478), BLUE)
    draw_box(axes, (8, 478), (234, 28), GREY, "white", "softmax, cross-entropy", "dashed")
    draw_note(axes, 492, "loss", "not in the network")
    return figure


@picture.defaults()
def draw_activations() -> "Figure":
    """Draw four activation functions, below each one its derivative."""
    from matplotlib.figure import Figure

    x = torch.arange(-400, 401, dtype=torch.float64) / 100
    zero, one, a = torch.zeros_like(x), torch.ones_like(x), 0.25
    relu_slope = torch.where(x > 0, one, zero)
    prelu = torch.where(x > 0, x, a * x)
    prelu_slope = torch.where(x > 0, one, a * one)
    relu_slope[x == 0] = torch.nan  # they jump there: no line is drawn
    prelu_slope[x == 0] = torch.nan
    sigmoid = 1 / (1 + torch.exp(-x))
    sigmoid_slope = sigmoid * (1 - sigmoid)
    tanh = (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x))
    tanh_slope = 1 - tanh**2

    figure = Figure(figsize=(WIDTH, 6.6), layout="constrained")
    grid = figure.subplots(4, 2, sharex=True, sharey="row", height_ratios=[3, 2, 3, 2])
    for above, below, name, values, slope in [
        (grid[0, 0], grid[1, 0], "ReLU", mlp_scratch.relu(x), relu_slope),
        (grid[0, 1], grid[1, 1], f"PReLU, a = {a}", prelu, prelu_slope),
        (grid[2, 0], grid[3, 0], "sigmoid", sigmoid, sigmoid_slope),
        (grid[2, 1], grid[3, 1], "tanh", tanh, tanh_slope),
    ]:
        above.plot(x.tolist(), values.tolist(), color=BLUE, linewidth=2)
        above.set_title(name, weight="bold")
        below.plot(x.tolist(), slope.tolist(), color=VERMILION, linewidth=2)
        below.set_title("its derivative", fontsize=10)
        if slope.isnan().any():  # hollow dots: the line ends just before them
            ends = [slope[x < 0][-1].item(), slope[x > 0][0].item()]
            below.plot([0, 0], ends, "o", color=VERMILION, markerfacecolor="white")
    for row, ticks in enumerate(
        [["0", "2", "4"], ["0", "0.25", "1"], ["-1", "0", "1"], ["0", "0.25", "1"]]
    ):
        grid[row, 0].set_yticks([float(tick) for tick in ticks], ticks)
    for axes in [*grid[1], *grid[3]]:
        axes.set_ylim(-0.1, 1.1)
    for axes in grid.flat:
        axes.set_xticks([-4, -2, 0, 2, 4], ["-4", "-2", "0", "2", "4"])
        axes.grid(color="#CCCCCC")
    return figure


@picture.defaults()
def draw_backward() -> "Figure":
    """Draw the forward pass, downwards, and the six steps of the backward pass, upwards."""
    shapes = tensor_shapes("n")
    figure, axes = drawing_board(height=638)
    axes.text(240, 14, "forward", color=BLUE, weight="bold", va="center")
    axes.text(240, 31, "backward, steps 1-6", color=VERMILION, weight="bold", va="center")
    axes.text(240, 48, "n: number of images", va="center")
    axes.text(3, 66, "parameters", va="center")

    for name, top, height in [
        ("X", 6, 28),
        ("Z", 70, 172),
        ("H", 292, 28),
        ("O", 370, 172),
        ("loss", 602, 28),
    ]:
        draw_box(axes, (186, top), (44, height), BLUE, PALE_BLUE, name)
    for name, top in [("W1", 83), ("b1", 172), ("W2", 383), ("b2", 472)]:
        draw_box(axes, (3, top), (32, 36), GREEN, PALE_GREEN, name)
    draw_box(axes, (3, 602), (32, 28), GREY, PALE_GREY, "y")

    for name, start, end in [("X", 34, 70), ("Z", 242, 292), ("H", 320, 370), ("O", 542, 602)]:
        draw_arrow(axes, (197, start), (197, end), BLUE)
        text = f"{name} {shapes[name]}"
        axes.text(189, (start + end) / 2, text, color=BLUE, ha="right", va="center")
    for name, y in [("W1", 93), ("b1", 182), ("W2", 393), ("b2", 482), ("y", 616)]:
        draw_arrow(axes, (35, y), (186, y), BLUE)
        axes.text(110, y - 4, f"{name} {shapes[name]}", color=BLUE, ha="center", va="bottom")
    for formula, y in [
        ("Z = X @ W1 + b1", 156),
        ("H = relu(Z)", 306),
        ("O = H @ W2 + b2", 456),
        ("mean cross-entropy", 616),
    ]:
        axes.text(240, y, formula, color=BLUE, va="center")

    dO = "dO = (O.softmax(dim=1)\n- one_hot(y, 10)) / n"
    for step, formula, name, start, end in [
        (1, dO, "O", 602, 542),
        (4, "dH = dO @ W2.T", "H", 370, 320),
        (4, "dZ = dH * (Z > 0)", "Z", 292, 242),
    ]:
        draw_arrow(axes, (219, start), (219, end), VERMILION, step)
        text = f"{formula}\n{shapes[name]}"
        axes.text(240, (start + end) / 2, text, color=VERMILION, va="center")
    for step, formula, name, y in [
        (2, "dW2 = H.T @ dO", "W2", 409),
        (3, "db2 = dO.sum(dim=0)", "b2", 498),
        (5, "dW1 = X.T @ dZ", "W1", 109),
        (6, "db1 = dZ.sum(dim=0)", "b1", 198),
    ]:
        draw_arrow(axes, (186, y), (35, y), VERMILION, step)
        text = f"{formula}\n{shapes[name]}"
        axes.text(110, y + 10, text, color=VERMILION, ha="center", va="top")
    return figure


def first_images(n: int) -> tuple[Tensor, Tensor]:
    """Return the first n training images X: [n, 1, 28, 28] and their labels y: [n]."""
    train_iter, _ = common.load_data_fashion_mnist(n, common.DATA_DIR)
    X, y = train_iter.dataset[:n]
    return X, y


def tensor_shapes(n: str) -> dict[str, str]:
    """Return shapes by the tensor's name, as "[n, 256]"; n: what the number of images is called."""
    W1, b1, W2, b2 = mlp_scratch.init_params(mlp_scratch.num_hiddens)
    shapes = {"W1": W1.shape, "b1": b1.shape, "W2": W2.shape, "b2": b2.shape}
    texts = {name: str(list(shape)) for name, shape in shapes.items()}
    columns = {"X": len(W1), "Z": len(b1), "H": len(W2), "O": len(b2)}
    for name, number in columns.items():
        texts[name] = f"[{n}, {number}]"
    texts["y"] = f"[{n}]"
    return texts


# ---- What the pictures of the network and of the backward pass are made of ----


def drawing_board(height: float) -> tuple["Figure", "Axes"]:
    """Return a figure and axes over all of it; (0, 0) is the upper left corner.

    A unit of the axes is a px of the picture when it is shown 400 px wide.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, WIDTH * height / 400))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 400), ylim=(height, 0))
    axes.axis("off")
    return figure, axes


def draw_box(
    axes: "Axes",
    corner: Point,
    size: Point,
    color: str,
    facecolor: str,
    name: str = "",
    linestyle: str = "solid",
) -> None:
    """Draw a box with a name in it; corner: the upper left one, size: width and height."""
    from matplotlib.patches import Rectangle

    width, height = size
    axes.add_patch(
        Rectangle(corner, width, height, edgecolor=color, facecolor=facecolor, linestyle=linestyle)
    )
    x, y = corner[0] + width / 2, corner[1] + height / 2
    axes.text(x, y, name, weight="bold", ha="center", va="center")


def draw_arrow(axes: "Axes", start: Point, end: Point, color: str, step: int | None = None) -> None:
    """Draw an arrow; step: a number on it."""
    style = {"arrowstyle": "-|>", "color": color, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=style)
    if step is not None:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        disc = {"boxstyle": "circle,pad=0.15", "facecolor": color, "edgecolor": "none"}
        axes.text(x, y, str(step), color="white", ha="center", va="center", bbox=disc)


def place_some(n: int) -> dict[int, float]:
    """Return the first three and the last two of n units, as number -> x."""
    return {0: 26, 1: 62, 2: 98, n - 2: 188, n - 1: 224}


def draw_units(axes: "Axes", units: dict[int, float], y: float, radius: float) -> None:
    """Draw a circle with its number for each unit, and dots where units are left out."""
    from matplotlib.patches import Circle

    for number, x in units.items():
        axes.add_patch(Circle((x, y), radius, facecolor=PALE_BLUE, edgecolor=BLUE))
        axes.text(x, y, str(number), ha="center", va="center")
    if len(units) <= max(units):
        axes.text(143, y, "...", ha="center", va="center")


def draw_weights(
    axes: "Axes", above: dict[int, float], top: float, below: dict[int, float], bottom: float
) -> None:
    """Draw a weight's line from each unit above to each below, and there a dot, its bias."""
    for end in below.values():
        for start in above.values():
            axes.plot([start, end], [top, bottom], color=GREEN, linewidth=0.7)
        axes.plot(end, bottom, "o", color=GREEN, markersize=5)


def draw_note(axes: "Axes", y: float, name: str, explanation: str) -> None:
    """Write a name, an explanation, or one above the other, at the right of the network."""
    apart = 8 if name and explanation else 0
    axes.text(250, y - apart, name, weight="bold", va="center")
    axes.text(250, y + apart, explanation, va="center")


def main(argv: list[str] | None = None) -> None:
    """Draw the pictures and write them into the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    github = picture.ROOT / ".github"
    parser.add_argument("folder", nargs="?", type=Path, default=github, help="default: .github")
    folder = parser.parse_args(argv).folder
    picture.new_figure()  # says so if matplotlib is missing
    figures = {
        "classes": draw_classes(),
        "network": draw_network(),
        "activations": draw_activations(),
        "backward": draw_backward(),
    }
    for name, figure in figures.items():
        print(picture.write(figure, folder / f"{name}.png", dpi=200))


if __name__ == "__main__":
    common.run(main)  # type: ignore[arg-type] # which returns nothing
