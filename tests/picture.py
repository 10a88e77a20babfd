"""Train a script and draw what came of it: `python tests/picture.py mlp_scratch picture.png`.

The script's own options may follow, such as --epochs 3. In a notebook or a session
`draw(net, params, history)` draws what main returned.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor, nn

import common

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

ROOT = Path(common.__file__).parent
if "ipykernel" not in sys.modules:  # a notebook draws below its cells
    os.environ.pop("MPLBACKEND", None)  # names a window system, which a file does not need


@contextmanager
def defaults() -> Iterator[None]:
    """Draw with matplotlib's own settings, whatever this machine's are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def draw(
    net: common.Net,
    params: list[nn.Parameter],
    history: list[common.Epoch],
    data_dir: str | Path = common.DATA_DIR,
) -> "Figure":
    """Return a picture of curves, confusion matrix, mistakes and columns of W1.

    net, params, history: what main returned. The columns are drawn if W1 has 784 inputs.
    """
    from matplotlib.figure import Figure  # which needs no display

    if isinstance(net, nn.Module):
        net.eval()
    _, test_iter = common.load_data_fashion_mnist(256, data_dir)
    with torch.no_grad():
        answers = [(X, y, net(X)) for X, y in test_iter]
    X, y, logits = (torch.cat(parts) for parts in zip(*answers, strict=True))
    y_hat = logits.argmax(dim=1)
    classes = [*common.CLASS_NAMES, *map(str, range(10, logits.shape[1]))]
    matrices = [param.detach().float() for param in params if param.ndim == 2]
    if isinstance(net, nn.Module):  # whose layers hold W transposed
        matrices = [W.T for W in matrices]

    with defaults():
        figure = Figure(figsize=(11, 8), layout="constrained")
        panels = figure.subfigures(2, 2, squeeze=False, height_ratios=[5, 3])
        curves, matrix, mistakes, units = panels.flat
        draw_curves(curves, history)
        draw_matrix(matrix, y, y_hat, classes)
        wrong = (y != y_hat).nonzero().flatten()[:12]
        names = [f"{classes[y[i]]}\n{classes[y_hat[i]]}" for i in wrong]
        title = "The first test images that it gets wrong:\ntrue class, predicted class"
        draw_images(mistakes, title, X[wrong, 0], names, cmap="gray", vmin=0, vmax=1)
        if matrices and len(matrices[0]) == 784:
            draw_units(units, matrices, classes)
    return figure


def draw_curves(figure: "SubFigure", history: list[common.Epoch]) -> None:
    """Draw the loss above both accuracies, with a dot an epoch."""
    loss_axes, accuracy_axes = figure.subplots(2, 1, sharex=True)
    for name in common.Epoch._fields:
        axes = loss_axes if name == "train_loss" else accuracy_axes
        values = [getattr(epoch, name) for epoch in history]
        axes.plot(range(1, len(history) + 1), values, "o-", label=name)
        axes.legend()
    accuracy_axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    accuracy_axes.set_xlabel("epoch")


def draw_matrix(figure: "SubFigure", y: Tensor, y_hat: Tensor, classes: list[str]) -> None:
    """Draw how many test images of each true class, a row, were taken for which, a column."""
    n = len(classes)
    counts = torch.bincount(n * y + y_hat, minlength=n * n).reshape(n, n)
    axes = figure.subplots()
    axes.imshow(counts.tolist(), cmap="Blues")
    axes.set_xticks(range(n), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), classes)
    axes.set(title="Number of test images", xlabel="predicted class", ylabel="true class")
    for row, column in torch.cartesian_prod(torch.arange(n), torch.arange(n)).tolist():
        count = int(counts[row, column])
        color = "white" if count > counts.max() / 2 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color)


def draw_units(figure: "SubFigure", matrices: list[Tensor], classes: list[str]) -> None:
    """Draw the twelve columns of W1 with the largest norms, each below the class it speaks for.

    That is the class to whose logit the hidden unit adds most, where W2 leads to the logits.
    """
    W1, *rest = matrices
    W2 = rest[0] if rest else torch.eye(W1.shape[1], dtype=W1.dtype)  # one layer: a column is a class
    units = W1.norm(dim=0).topk(min(12, W1.shape[1])).indices.sort().values
    known = len(rest) < 2 and W2.shape == (W1.shape[1], len(classes))
    names = [classes[W2[unit].argmax()] if known else "" for unit in units]
    images = W1.T[units].reshape(-1, 28, 28)
    limit = images.abs().quantile(0.98).item()  # the few beyond it would make all others pale
    title = "Columns of W1: a unit wants bright pixels where blue,\ndark ones where red" + "; its class" * known
    draw_images(figure, title, images, names, cmap="RdBu", vmin=-limit, vmax=limit)


def draw_images(figure: "SubFigure", title: str, images: Tensor, names: list[str], **style: str | float) -> None:
    """Draw up to twelve images, [n, 28, 28], each below its name."""
    figure.suptitle(title)
    grid = figure.subplots(2, 6, subplot_kw={"frame_on": False, "xticks": [], "yticks": []})
    for axes, image, name in zip(grid.flat, images.tolist(), names, strict=False):
        axes.imshow(image, **style)
        axes.set_title(name, fontsize="medium")


def write(figure: "Figure", path: Path, replace: bool = True) -> None:
    """Write the picture beside its place and move it there; or try it only.

    UserError if that is not possible; what was there before is then as it was.
    """
    try:
        with TemporaryDirectory(dir=path.parent) as folder, defaults():
            figure.savefig(Path(folder, path.name), format=path.suffix[1:], dpi=100)
            if path.exists():
                path.open("ab").close()  # refused if it is locked, or a folder
            if replace:
                os.replace(Path(folder, path.name), path)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise common.UserError(f"cannot write {path}: {reason}") from error


def main(argv: list[str] | None = None) -> common.Result:
    """Train, draw, and return what the script's main returned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.error = lambda text: parser.exit(2, f"{parser.prog}: error: {text}\n")  # type: ignore
    parser.add_argument("script", help="mlp_scratch, mlp_api or a copy beside them")
    parser.add_argument("picture", help="file to write, by its ending: .png, .svg or .pdf")
    rest = parser.add_argument("options", nargs=argparse.REMAINDER, help="the script's own options")
    rest.required = False  # so that no message says that they are
    args = parser.parse_args(argv)
    script = ROOT / (Path(args.script).name.removesuffix(".py") + ".py")
    train = getattr(import_module(script.stem), "main", None) if script.is_file() else None
    if not train:
        raise common.UserError(f"{ROOT} holds no script {script.name}: name mlp_scratch or mlp_api")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise common.UserError(f"no matplotlib ({error}): pip install matplotlib") from error
    path = Path(os.path.realpath(os.path.expanduser(args.picture)))  # where a link leads
    with defaults():
        trial = Figure()
        trial.suptitle("text")
    write(trial, path, replace=False)
    shared = argparse.ArgumentParser(add_help=False)  # of an option that the script reads, too
    shared.add_argument("--data-dir", nargs="?", default=common.DATA_DIR)
    data_dir = shared.parse_known_args(args.options)[0].data_dir

    result: common.Result = train(args.options)
    write(draw(*result, data_dir=data_dir), path)
    return result


if __name__ == "__main__":
    net, params, history = common.run(main)
