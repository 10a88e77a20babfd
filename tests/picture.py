"""Train a script and draw what came of it: `python tests/picture.py mlp_scratch picture.png`.

The script's own options may follow, such as --epochs 3. In a notebook or a session
`draw(net, params, history, test_iter)` draws what main returned.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor, nn

import common

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

ROOT = Path(__file__).resolve().parent.parent
if "ipykernel" not in sys.modules:  # a notebook draws below its cells
    os.environ.pop("MPLBACKEND", None)  # names a window system, which a file does not need


@contextmanager
def defaults() -> Iterator[None]:
    """Draw with matplotlib's own settings, whatever this machine's are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def new_figure(**settings: Any) -> "Figure":
    """Return an empty figure, which needs no display; UserError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise common.UserError(f"no matplotlib ({error}): pip install matplotlib") from error
    return Figure(**settings)


@defaults()
def draw(
    net: common.Net,
    params: list[nn.Parameter],
    history: list[common.Epoch],
    test_iter: common.Data,
    class_names: Sequence[str] = common.CLASS_NAMES,
) -> "Figure":
    """Return a picture of curves, confusion matrix, mistakes and columns of W1.

    net, params, history, test_iter: what main returned; an nn.Module is left in eval mode.
    test_iter: batches of X: [batch, 1, height, width], floats in any range, and y: [batch] int64.
    class_names: in label order; classes beyond them are numbered.
    The columns are drawn if W1, the first matrix, has height * width rows.
    """
    X, y, logits = answers(net, test_iter)
    y_hat = logits.argmax(dim=1)
    n = max(logits.shape[1], int(y.max()) + 1)
    names = [class_names[i] if i < len(class_names) else str(i) for i in range(n)]

    figure = new_figure(figsize=(11, 8), layout="constrained")
    panels = figure.subfigures(2, 2, squeeze=False, height_ratios=[5, 3])
    curves, matrix, mistakes, columns = panels.flat
    draw_curves(curves, history)
    draw_matrix(matrix, y, y_hat, names)
    draw_mistakes(mistakes, X[:, 0], y, y_hat, names)
    matrices = [param.detach() for param in params if param.ndim == 2]
    if isinstance(net, nn.Module):
        matrices = [weight.T for weight in matrices]  # nn.Linear holds [outputs, inputs]
    height, width = X.shape[2:]
    if matrices and len(matrices[0]) == height * width:
        draw_columns(columns, matrices, height, width, names)
    return figure


def answers(net: common.Net, test_iter: common.Data) -> tuple[Tensor, Tensor, Tensor]:
    """Return all images X: [n, 1, height, width], labels y: [n], and logits: [n, classes]."""
    if isinstance(net, nn.Module):
        net.eval()
    images, labels, logits = [], [], []
    with torch.no_grad():
        for X, y in test_iter:
            images.append(X)
            labels.append(y)
            logits.append(net(X))
    return torch.cat(images), torch.cat(labels), torch.cat(logits)


def draw_curves(figure: "SubFigure", history: list[common.Epoch]) -> None:
    """Draw the loss above both accuracies, with a dot an epoch."""
    loss_axes, accuracy_axes = figure.subplots(2, 1, sharex=True)
    epochs = range(1, len(history) + 1)
    loss_axes.plot(epochs, [epoch.train_loss for epoch in history], "o-", label="train_loss")
    accuracy_axes.plot(epochs, [epoch.train_acc for epoch in history], "o-", label="train_acc")
    accuracy_axes.plot(epochs, [epoch.test_acc for epoch in history], "o-", label="test_acc")
    loss_axes.legend()
    accuracy_axes.legend()
    accuracy_axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    accuracy_axes.set_xlabel("epoch")


def draw_matrix(figure: "SubFigure", y: Tensor, y_hat: Tensor, names: list[str]) -> None:
    """Draw how many test images of each true class, a row, were taken for which, a column."""
    n = len(names)
    counts = [[0] * n for _ in range(n)]
    for true, predicted in zip(y.tolist(), y_hat.tolist(), strict=True):
        counts[true][predicted] += 1
    largest = max(max(row) for row in counts)
    size = min(10, 140 / n)  # points: the numbers of many classes would overlap

    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues", vmin=0, interpolation="nearest")
    axes.set_xticks(range(n), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), names)
    axes.tick_params(labelsize=size)
    axes.set(title="Number of test images", xlabel="predicted class", ylabel="true class")
    for i in range(n):
        for j in range(n):
            color = "white" if counts[i][j] > largest / 2 else "black"
            number = str(counts[i][j])
            axes.text(j, i, number, ha="center", va="center", color=color, fontsize=size)


def draw_mistakes(
    figure: "SubFigure", images: Tensor, y: Tensor, y_hat: Tensor, names: list[str]
) -> None:
    """Draw the first twelve of images, [n, height, width], that the network gets wrong."""
    figure.suptitle("The first test images that it gets wrong:\ntrue class, predicted class")
    darkest, brightest = images.min().item(), images.max().item()
    rows = (y != y_hat).nonzero().flatten()
    for axes, row in zip(twelve_axes(figure), rows, strict=False):  # there may be fewer
        image = images[row].tolist()
        axes.imshow(image, cmap="gray", vmin=darkest, vmax=brightest, interpolation="nearest")
        axes.set_title(f"{names[y[row]]}\n{names[y_hat[row]]}", fontsize="medium")


def draw_columns(
    figure: "SubFigure", matrices: list[Tensor], height: int, width: int, names: list[str]
) -> None:
    """Draw the twelve columns of W1 with the largest norms, in their order, as images.

    matrices: W1 and those of the later layers, each [inputs, outputs].
    Above a column stands the class to whose logit its hidden unit adds most, if W2 says that.
    """
    W1 = matrices[0]
    units = W1.norm(dim=0).topk(min(12, W1.shape[1])).indices.sort().values
    title = "Columns of W1: a unit wants bright pixels where blue,\ndark ones where red"
    unit_names = [""] * len(units)
    if len(matrices) == 1 and W1.shape[1] == len(names):  # no hidden layer: a unit is a logit
        unit_names = [names[unit] for unit in units]
    if len(matrices) == 2 and matrices[1].shape == (W1.shape[1], len(names)):
        unit_names = [names[matrices[1][unit].argmax()] for unit in units]
    if any(unit_names):
        title += "; its class"

    figure.suptitle(title)
    limit = W1[:, units].abs().quantile(0.98).item()  # the few beyond it would make all others pale
    for axes, unit, name in zip(twelve_axes(figure), units, unit_names, strict=False):
        image = W1[:, unit].reshape(height, width).tolist()
        axes.imshow(image, cmap="RdBu", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(name, fontsize="medium")


def twelve_axes(figure: "SubFigure") -> "list[Axes]":
    """Return axes for twelve images, in two rows, without frames and numbers."""
    grid = figure.subplots(2, 6, subplot_kw={"frame_on": False, "xticks": [], "yticks": []})
    return list(grid.flat)


@defaults()
def write(figure: "Figure", path: str | Path, dpi: int = 100, replace: bool = True) -> Path:
    """Write the picture, and return where it is: of a link, where that leads to.

    path: its ending says the format. dpi: pixels an inch.
    replace: False only tries whether it could be written.
    UserError if it cannot. After an error, and after Ctrl-C, an earlier picture is as it was.
    """
    path = Path(os.path.realpath(os.path.expanduser(path)))
    try:
        with TemporaryDirectory(dir=path.parent) as folder:
            file = Path(folder, path.name)
            figure.savefig(file, format=path.suffix[1:], dpi=dpi)
            if path.exists():
                path.open("ab").close()  # refused if it is locked, or a folder
            if replace:
                os.replace(file, path)
    except OSError as error:
        raise common.UserError(f"cannot write {path}: {error.strerror or error}") from error
    except ValueError as error:  # of another ending
        raise common.UserError(f"cannot write {path}: {error}") from error
    return path


def main_of(script: str) -> Callable[[list[str]], common.Result]:
    """Return the function main of a script in the project's folder; UserError if there is none.

    script: its name, with or without .py, and with or without the folder.
    """
    folder, name = os.path.split(script)
    path = Path(folder or ROOT, name.removesuffix(".py") + ".py")
    main: Callable[[list[str]], common.Result] | None = None
    if path.parent.resolve() == ROOT and path.is_file():
        main = getattr(import_module(path.stem), "main", None)
    if main is None:
        raise common.UserError(f"{ROOT} holds no script {script}: name mlp_scratch or mlp_api")
    return main


def main(argv: list[str] | None = None) -> common.Result:
    """Train, draw, and return what the script's main returned."""
    parser = argparse.ArgumentParser(
        description=__doc__, usage="%(prog)s [-h] script picture [the script's own options]"
    )
    parser.add_argument("script", help="mlp_scratch, mlp_api or a copy beside them")
    parser.add_argument("picture", help="file to write, by its ending: .png, .svg or .pdf")
    args, options = parser.parse_known_args(argv)
    train = main_of(args.script)
    write(new_figure(), args.picture, replace=False)

    net, params, history, train_iter, test_iter = train(options)
    path = write(draw(net, params, history, test_iter), args.picture)
    print(f"\nThe picture is in {path}")
    return net, params, history, train_iter, test_iter


if __name__ == "__main__":
    net, params, history, train_iter, test_iter = common.run(main)
