"""How a check says in one sentence what is wrong with a learner's function."""

import numbers
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor


def check(right: object, sentence: str) -> None:
    """Fail with the sentence alone, unless it is right."""
    if not right:
        pytest.fail(sentence, pytrace=False)


def kind(result: object) -> str:
    """Return a sentence about what a function has returned."""
    return f"What came back is of type {type(result).__name__}."


def as_tensor(result: Any) -> Tensor | None:
    """Return a number or tensor as a float tensor without gradients, or None if it is neither."""
    if isinstance(result, Tensor):
        return result.detach().float()
    if isinstance(result, numbers.Real):
        return torch.tensor(float(result))
    return None


def equal(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors have one shape and, up to rounding, the same numbers."""
    return first.shape == second.shape and torch.allclose(first, second, rtol=1e-5, atol=1e-5)


def grade(
    result: Any, right: Tensor | float, sentence: str, mistakes: Mapping[str, Tensor | float]
) -> None:
    """Fail with the sentence unless result is right; name the mistake that gives its numbers."""
    found, wanted = as_tensor(result), torch.as_tensor(right).float()
    if found is None:
        pytest.fail(f"{sentence} {kind(result)}", pytrace=False)
    if equal(found, wanted):
        return
    for mistake, wrong in mistakes.items():
        if equal(found, torch.as_tensor(wrong).float()):
            pytest.fail(f"{sentence} It looks like {mistake}.", pytrace=False)
    shapes = f"{list(found.shape)}, not {list(wanted.shape)}"
    check(found.shape == wanted.shape, f"{sentence} It has the shape {shapes}.")
    place = (found - wanted).abs().argmax()
    first, second = found.flatten()[place], wanted.flatten()[place]
    check(False, f"{sentence} It has {first:.4f} where {second:.4f} is right.")


# Of a crash: a part of the error, and the mistake that leads to it.
HINTS = {
    "argument 'other' (position 2) must be Tensor": "torch.maximum compares two tensors: make"
    " one of zeros in the shape of X, torch.zeros_like(X).",
    "implicitly created only for scalar": "backward() starts from one number: mean_loss is the mean"
    " of the losses of all images, loss(y_hat, y).mean().",
    "context manager protocol": "torch.no_grad needs its brackets: `with torch.no_grad():`.",
    "__enter__": "torch.no_grad needs its brackets: `with torch.no_grad():`.",
    "list is not a Module subclass": "nn.Sequential takes the layers one after the other, no list.",
    "is not a Module subclass": "A layer is made with brackets, as in nn.ReLU().",
    "object has no attribute 'weight'": "Not every part has a weight: ask first whether"
    " isinstance(module, nn.Linear).",
    "as parameter 'weight'": "Change the weight in place: nn.init.normal_(module.weight, ...).",
    "'in_features' and 'out_features'": "Ask with the class itself: isinstance(module, nn.Linear).",
    "is invalid for input of size": "In reshape, -1 stands for as many rows as there are: the last"
    " batch is smaller than the others.",
    "Boolean value of Tensor": "Python's own max, min and if compare two numbers. torch.maximum"
    " compares two tensors element by element.",
    "leaf Variable": "A parameter is changed in place here, as += does. Make a new tensor, such as"
    " X @ W1 + b1; inside `with torch.no_grad():` it may be changed.",
    "mat1 and mat2 shapes": "A product A @ B needs as many columns of A as rows of B: X @ W1, not"
    " W1 @ X. Each image is one row of 784 numbers: X.reshape(-1, 784), or nn.Flatten() first.",
    "not implemented for 'Long'": "The labels stand where the logits belong: loss(y_hat, y).",
    "modified by an inplace operation": "The order is zero_grad, backward, step: step changes the"
    " parameters, which backward still needs as they were.",
    "through the graph a second time": "Call backward() once for each batch.",
    "argument 2 is ": "Give add() exactly as many numbers as the Accumulator has sums.",
    "'function' object has no attribute 'eval'": "The net may be a plain function, which has no"
    " modes: ask first whether isinstance(net, nn.Module).",
    "object has no attribute 'zero_grad'": "The trainer knows the parameters: trainer.zero_grad().",
    "Dimension out of range": "Class indices have one dimension only: ask for y_hat.ndim first.",
    "'list' object has no attribute 'dataset'": "data_iter may be any sequence of batches, here it"
    " is a list: count the samples of each batch, len(y).",
}
SHAPES = "If the shapes do not fit, the task asks for `raise ValueError(...)`: compare them first."
TOO_EARLY = "Compare the shapes after argmax, which makes class indices [batch] of the logits."


def hint(error: BaseException, name: str) -> str:
    """Return what is known of the cause of an error in the function of this name, or nothing."""
    for part, sentence in HINTS.items():
        if part in str(error):
            return sentence
    other_shapes = "must match the size of tensor" in str(error)
    if name == "accuracy" and (other_shapes or isinstance(error, AssertionError)):
        return SHAPES
    if name == "accuracy" and isinstance(error, ValueError):
        return TOO_EARLY
    if other_shapes:
        return "These shapes do not fit element by element. A matrix product is @, not *."
    return ""


def remarks(error: BaseException, files: list[Path]) -> list[tuple[str, str]]:
    """Return titles and texts about an error in a learner's files: shapes, and a hint."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    learners = [frame for frame in frames if Path(frame.f_code.co_filename).resolve() in files]
    found = []
    name = ""
    if learners:
        last = learners[-1]
        name = last.f_code.co_name
        tensors = [(name, X) for name, X in last.f_locals.items() if isinstance(X, Tensor)]
        shapes = [f"{name} is {list(X.shape)}" for name, X in tensors]
        if shapes:
            found.append((f"shapes in {name}", f"When it stopped, {', '.join(shapes)}."))
    text = hint(error, name)
    if text:
        found.append(("hint", text))
    return found
