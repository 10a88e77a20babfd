"""What the checks say of wrong functions: a part of the sentence, and the mistake it names."""

import contextlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import common
import mlp_api
import mlp_scratch
import test_article
from grading import remarks

pytestmark = pytest.mark.page  # what grades a learner is tested before a commit

plain_torch: Any = torch  # of which mypy lets wrong uses pass
Wrong = dict[str, Callable[..., Any]]  # a part of the sentence, and the function that it is about


def said_of(
    function: Callable[..., Any], module: ModuleType, name: str, check: Callable[[], None]
) -> str:
    """Return what a check says of a function in place of the right one; nothing if it passes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, function)
        try:
            check()
        except pytest.fail.Exception as failure:
            return str(failure)
        except Exception as error:
            return " ".join(text for _, text in remarks(error, [Path(__file__).resolve()]))
        finally:
            torch.set_grad_enabled(True)
    return ""


def compare(module: ModuleType, name: str, check: Callable[[], None], wrong: Wrong) -> None:
    """Plant each wrong function, and compare what the check says."""
    assert said_of(getattr(module, name), module, name, check) == "", "the right one is refused"
    for part, function in wrong.items():
        said = said_of(function, module, name, check)
        assert part in said, f"of the mistake {part!r} the check says: {said or 'nothing'}"


# ---- init_params ----


def params_of(W1: Any, b1: Any, W2: Any, b2: Any) -> list[nn.Parameter]:
    return [nn.Parameter(numbers) for numbers in (W1, b1, W2, b2)]


def draws(n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    W1 = torch.randn(784, n) * 0.01
    return W1, torch.zeros(n), torch.randn(n, 10) * 0.01, torch.zeros(10)


def as_dict(n: int) -> dict[str, nn.Parameter]:
    return dict(zip(("W1", "b1", "W2", "b2"), params_of(*draws(n)), strict=True))


def second_first(n: int) -> list[nn.Parameter]:
    W2 = torch.randn(n, 10) * 0.01
    return params_of(torch.randn(784, n) * 0.01, torch.zeros(n), W2, torch.zeros(10))


def with_row(n: int) -> list[nn.Parameter]:
    W1, b1, W2, b2 = draws(n)
    return params_of(W1, b1.reshape(1, n), W2, b2)


def frozen(n: int) -> list[nn.Parameter]:
    return [nn.Parameter(numbers, requires_grad=False) for numbers in draws(n)]


def transposed(n: int) -> list[nn.Parameter]:
    W1, b1, W2, b2 = draws(n)
    return params_of(W1.t().contiguous(), b1, W2, b2)


def seeded(n: int) -> list[nn.Parameter]:
    torch.manual_seed(0)
    return params_of(*draws(n))


def random_bias(n: int) -> list[nn.Parameter]:
    W1, _, W2, b2 = draws(n)
    return params_of(W1, torch.randn(n), W2, b2)


def test_wrong_init_params() -> None:
    wrong: Wrong = {
        "must return a list [W1, b1, W2, b2]. What came back is of type NoneType": lambda n: None,
        "must return a list [W1, b1, W2, b2]. What came back is of type dict": as_dict,
        "W1 must be an nn.Parameter": draws,
        "W1 must keep requires_grad=True": frozen,
        "W1 is [300, 784], but it is wanted as [784, 300]": transposed,
        "b1 is [1, 300], but it is wanted as [300]": with_row,
        "b1 must be zero at the start": random_bias,
        "Draw W1 first and W2 then": second_first,
        "and set no seed": seeded,
        "standard deviation 0.9994": lambda n: params_of(*[100 * numbers for numbers in draws(n)]),
    }
    check = test_article.test_4_1_3_init_params_draws_w1_and_w2_and_starts_both_biases_at_zero
    compare(mlp_scratch, "init_params", check, wrong)


# ---- relu ----


def test_wrong_relu() -> None:
    wrong: Wrong = {
        "torch.max(X, 0) is a pair": lambda X: torch.max(X, 0),
        "What came back is of type NoneType": lambda X: None,
        "compare two numbers. torch.maximum": lambda X: max(X, 0),
        "in the shape of X, torch.zeros_like(X)": lambda X: plain_torch.maximum(X, 0),
        "relu changes X itself": lambda X: X.data.clamp_(min=0),
        "must keep the shape [2, 4]": lambda X: torch.maximum(X, torch.zeros_like(X)).flatten(),
        "relu(-2.0) is 2.0": lambda X: X.abs(),
        "relu(-2.0) is -2.0": lambda X: X,
        "relu(-9.313225746154785e-10) is -9": lambda X: torch.where(X < -1e-9, X * 0, X),
        "relu(nan) must stay nan": lambda X: torch.where(X > 0, X, torch.zeros_like(X)),
        "relu cuts the gradient off": lambda X: torch.maximum(X.detach(), torch.zeros_like(X)),
        "The slope of relu at -2.0": lambda X: torch.maximum(X, torch.zeros_like(X)) + (X - X.data),
    }
    check = test_article.test_4_1_4_relu_is_the_larger_of_x_and_zero_and_so_is_its_gradient
    compare(mlp_scratch, "relu", check, wrong)


# ---- forward ----


right_forward = mlp_scratch.forward  # while a wrong one is in its place


def changes_b1(X: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    b1 += X.reshape(-1, 784).mean() * 0
    return right_forward(X, W1, b1, W2, b2)


def test_wrong_forward() -> None:
    def rows(X: Tensor) -> Tensor:
        return X.reshape(-1, 784)

    wrong: Wrong = {
        "What came back is of type NoneType": lambda X, W1, b1, W2, b2: None,
        "columns of A as rows of B": lambda X, W1, b1, W2, b2: (X @ W1 + b1).relu() @ W2 + b2,
        "one row of 784 numbers": lambda X, W1, b1, W2, b2: X.reshape(784, -1) @ W1,
        "X @ W1, not W1 @ X": lambda X, W1, b1, W2, b2: W1 @ rows(X),
        "A matrix product is @, not *": lambda X, W1, b1, W2, b2: rows(X) * W1,
        "In reshape, -1 stands for": lambda X, W1, b1, W2, b2: X.reshape(256, 784) @ W1,
        "A parameter is changed in place": changes_b1,
        "mix the pixels of several": lambda X, W1, b1, W2, b2: (
            (X.reshape(784, -1).t() @ W1 + b1).relu() @ W2 + b2
        ),
        "a forgotten relu": lambda X, W1, b1, W2, b2: (rows(X) @ W1 + b1) @ W2 + b2,
        "a forgotten b1": lambda X, W1, b1, W2, b2: (rows(X) @ W1).relu() @ W2 + b2,
        "a forgotten b2": lambda X, W1, b1, W2, b2: (rows(X) @ W1 + b1).relu() @ W2,
        "b1 added after": lambda X, W1, b1, W2, b2: ((rows(X) @ W1).relu() + b1) @ W2 + b2,
        "like softmax at": lambda *args: right_forward(*args).softmax(1),
        "log_softmax at the end": lambda *args: right_forward(*args).log_softmax(1),
        "another relu at the end": lambda *args: right_forward(*args).relu(),
        "the shape [60], not": lambda *args: right_forward(*args).argmax(1),
        "No gradient reaches W1, b1": lambda X, W1, b1, W2, b2: right_forward(
            X, W1.detach(), b1.detach(), W2, b2
        ),
    }
    check = test_article.test_4_1_5_forward_returns_the_logits
    compare(mlp_scratch, "forward", check, wrong)


# ---- accuracy ----


def only_dimensions(y_hat: Tensor, y: Tensor) -> float:
    if y_hat.ndim > 1:
        y_hat = y_hat.argmax(dim=1)
    if y_hat.ndim != y.ndim:
        raise ValueError
    return float((y_hat == y).sum())


def accuracy(y_hat: Tensor, y: Tensor) -> float:
    # With an assert in place of the ValueError.
    classes = y_hat.argmax(dim=1) if y_hat.ndim > 1 else y_hat
    if classes.shape != y.shape:
        raise AssertionError("shapes")
    return float((classes == y).sum())


def compared_too_early() -> Callable[..., float]:
    def accuracy(y_hat: Tensor, y: Tensor) -> float:
        if y_hat.shape != y.shape:
            raise ValueError("shapes")
        return float((y_hat.argmax(dim=1) == y).sum())

    return accuracy


def test_wrong_accuracy() -> None:
    right = common.accuracy
    wrong: Wrong = {
        "What came back is of type NoneType": lambda y_hat, y: None,
        "a share, not a number": lambda y_hat, y: right(y_hat, y) / len(y),
        "cut to a whole number": lambda y_hat, y: right(y_hat, y) // len(y),
        "the largest scores themselves": lambda y_hat, y: (y_hat.max(1)[0] == y).sum(),
        "as dim=1 is missing": lambda y_hat, y: (y_hat.argmax() == y).sum(),
        "the smallest score": lambda y_hat, y: right(-y_hat, y),
        "the first row alone": lambda y_hat, y: float(y_hat[0].argmax() == y[0]),
        "the last of two equal": lambda y_hat, y: right(y_hat.flip(1), 3 - y),
        "raise a ValueError. What came back": only_dimensions,
        "the task asks for `raise ValueError": accuracy,
        "Compare the shapes after argmax": compared_too_early(),
        "ask for y_hat.ndim first": lambda y_hat, y: right(y_hat.argmax(dim=1), y),
        "y_hat may be class indices, too": lambda y_hat, y: (
            right(y_hat, y) if y_hat.ndim > 1 else 0
        ),
    }
    check = test_article.test_4_accuracy_counts_the_correct_predictions
    compare(common, "accuracy", check, wrong)


# ---- evaluate_accuracy ----


def evaluate_with(
    *,
    no_grad: bool = True,
    eval_mode: str = "if module",
    sums: int = 2,
    share: Callable[[list[float], list[int]], float] = lambda hits, sizes: sum(hits) / sum(sizes),
) -> Callable[..., float]:
    """Return an evaluate_accuracy with some mistake."""

    def evaluate_accuracy(net: Any, data_iter: Iterable[tuple[Tensor, Tensor]]) -> float:
        if eval_mode == "always" or (eval_mode == "if module" and isinstance(net, nn.Module)):
            net.eval()
        metric = common.Accumulator(sums)
        hits, sizes = [], []
        with torch.no_grad() if no_grad else contextlib.nullcontext():
            for X, y in data_iter:
                hits.append(common.accuracy(net(X), y))
                sizes.append(len(y))
                metric.add(hits[-1], sizes[-1])
        return share(hits, sizes)

    return evaluate_accuracy


def without_brackets(net: Any, data_iter: Any) -> float:
    with plain_torch.no_grad:
        return 0.0


def by_dataset(net: Any, data_iter: Any) -> float:
    hits = 0.0
    with torch.no_grad():
        for X, y in data_iter:
            net.eval() if isinstance(net, nn.Module) else None
            hits += common.accuracy(net(X), y)
    return hits / len(data_iter.dataset)


def test_wrong_evaluate_accuracy() -> None:
    wrong: Wrong = {
        "Call net(X): these are": lambda net, data_iter: 8 / 12,
        "a number correct": evaluate_with(share=lambda hits, sizes: sum(hits)),
        "samples of the last batch alone": evaluate_with(share=lambda h, n: sum(h) / n[-1]),
        "the number of batches": evaluate_with(share=lambda hits, sizes: sum(hits) / len(sizes)),
        "the mean of the batches' accuracies": evaluate_with(
            share=lambda hits, sizes: sum(a / n for a, n in zip(hits, sizes, strict=True)) / 3
        ),
        "the first batch alone": evaluate_with(share=lambda hits, sizes: hits[0] / sizes[0]),
        "the last batch alone: add up": evaluate_with(share=lambda h, n: h[-1] / n[-1]),
        "inside `with torch.no_grad():`": evaluate_with(no_grad=False),
        "torch.no_grad needs its brackets": without_brackets,
        "Put an nn.Module into eval mode": evaluate_with(eval_mode="never"),
        "may be a plain function": evaluate_with(eval_mode="always"),
        "as many numbers as the Accumulator": evaluate_with(sums=1),
        "here it is a list": by_dataset,
    }
    check = test_article.test_4_evaluate_accuracy_is_a_share_of_all_samples_without_gradients
    compare(common, "evaluate_accuracy", check, wrong)


# ---- a step ----


def epoch_with(step: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[float, float]]:
    """Return a train_epoch whose five lines are these."""

    def train_epoch(net: Any, train_iter: Any, loss: Any, trainer: Any) -> tuple[float, float]:
        metric = common.Accumulator(3)
        for X, y in train_iter:
            y_hat, mean_loss = step(net, X, y, loss, trainer)
            metric.add(mean_loss.item() * len(y), common.accuracy(y_hat, y), len(y))
        return metric[0] / metric[2], metric[1] / metric[2]

    return train_epoch


def step_with(objective: Callable[..., Tensor], calls: str) -> Callable[..., tuple[float, float]]:
    """Return a train_epoch with another mean loss, or another order of its calls."""

    def step(net: Any, X: Tensor, y: Tensor, loss: Any, trainer: Any) -> tuple[Tensor, Tensor]:
        y_hat = net(X)
        mean_loss = objective(loss, y_hat, y)
        for call in calls.split():
            if call == "backward":
                mean_loss.backward()
            elif call == "step":
                trainer.step()
            elif call == "zero_grad":
                trainer.zero_grad()
            else:
                net.zero_grad()
        return y_hat, mean_loss

    return epoch_with(step)


def test_wrong_steps() -> None:
    def mean(loss: Any, y_hat: Tensor, y: Tensor) -> Tensor:
        result: Tensor = loss(y_hat, y).mean()
        return result

    right = "zero_grad backward step"
    wrong: Wrong = {
        "the sum of the losses": step_with(lambda loss, z, y: loss(z, y).sum(), right),
        "a sum divided by 256": step_with(lambda loss, z, y: loss(z, y).sum() / 256, right),
        "the loss may be a mean already": step_with(
            lambda loss, z, y: loss(z, y).sum() / len(y), right
        ),
        "softmax before the loss": step_with(
            lambda loss, z, y: loss(z.softmax(1), y).mean(), right
        ),
        "another loss than the one": step_with(
            lambda loss, z, y: nn.functional.cross_entropy(z, y), right
        ),
        "uphill": step_with(lambda loss, z, y: -loss(z, y).mean(), right),
        "logits belong: loss(y_hat, y)": step_with(lambda loss, z, y: loss(y, z).mean(), right),
        "loss(y_hat, y).mean()": step_with(lambda loss, z, y: loss(z, y), right),
        "as zero_grad is missing": step_with(mean, "backward step"),
        "two steps a batch": step_with(mean, "zero_grad backward step step"),
        "no step, or one without gradients": step_with(mean, "backward zero_grad step"),
        "It looks like no step": step_with(mean, "zero_grad backward"),
        "knows the parameters: trainer.zero_grad()": step_with(mean, "net backward step"),
        "Call backward() once": step_with(mean, "zero_grad backward backward step"),
        "step changes the parameters": step_with(mean, "step zero_grad backward"),
    }
    if sys.platform == "win32":
        for part in ("Call backward() once", "step changes the parameters"):
            del wrong[part]  # an error within backward() had no text there
    check = test_article.test_4_1_7_a_step_goes_downhill
    compare(common, "train_epoch", check, wrong)


# ---- make_net ----


def with_seed(n: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, n), nn.ReLU(), nn.Linear(n, 10))


def initialised(n: int) -> nn.Module:
    return with_relu(n).apply(mlp_api.init_weights)


def with_relu(n: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, n), nn.ReLU(), nn.Linear(n, 10))


def swapped(n: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(n, 784), nn.ReLU(), nn.Linear(10, n))


def without_flatten(n: int) -> nn.Module:
    return nn.Sequential(nn.Linear(784, n), nn.ReLU(), nn.Linear(n, 10))


def without_relu(n: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, n), nn.Linear(n, 10))


def with_norm(n: int) -> nn.Module:
    norm = nn.BatchNorm1d(n)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, n), norm, nn.ReLU(), nn.Linear(n, 10))


def test_wrong_make_net() -> None:
    wrong: Wrong = {
        "is `return` missing? What came back is of type NoneType": lambda n: None,
        "inputs first. They are [(300, 784), (10, 300)]": swapped,
        "parameters of its own beside those of both Linear": with_norm,
        "or nn.Flatten() first": without_flatten,
        "set no seed": with_seed,
        "leave init_weights to main": initialised,
        "a forgotten relu": without_relu,
        "like softmax at": lambda n: nn.Sequential(with_relu(n), nn.Softmax(dim=1)),
        "They are [(784, 300)]": lambda n: nn.Sequential(nn.Flatten(), nn.Linear(784, n)),
        "no list": lambda n: plain_torch.nn.Sequential([nn.Linear(784, n)]),
        "with brackets, as in nn.ReLU()": lambda n: plain_torch.nn.Sequential(nn.ReLU),
        "cannot draw a lazy layer": lambda n: nn.Sequential(nn.Flatten(), nn.LazyLinear(n)),
    }
    check = test_article.test_5_make_net_is_flatten_linear_relu_linear
    compare(mlp_api, "make_net", check, wrong)


# ---- init_weights ----


def redraw(module: Any, weight: bool = True, bias: bool = True, std: float = 0.01) -> None:
    if isinstance(module, nn.Linear):
        if weight:
            nn.init.normal_(module.weight, std=std)
        if bias:
            nn.init.zeros_(module.bias)


def multiplied_behind(module: Any) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight) * 0.01
        nn.init.zeros_(module.bias)


def new_weight(module: Any) -> None:
    if isinstance(module, nn.Linear):
        module.weight = nn.Parameter(torch.randn(module.weight.shape) * 0.01)
        nn.init.zeros_(module.bias)


def assigned(module: Any) -> None:
    if isinstance(module, nn.Linear):
        module.weight = torch.randn(module.weight.shape)


def every_layer(module: Any) -> None:
    if hasattr(module, "weight"):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)


def without_bias(module: Any) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        module.register_parameter("bias", None)


def test_wrong_init_weights() -> None:
    wrong: Wrong = {
        "is still as nn.Linear drew it": lambda module: redraw(module, weight=False),
        "set it to zero": lambda module: redraw(module, bias=False),
        "300 zeros": without_bias,
        "deviation 0.0999": lambda module: redraw(module, std=0.1),
        "a product behind it is lost": multiplied_behind,
        "Change module.weight in place": new_weight,
        "Leave a layer that is no nn.Linear alone": every_layer,
        "isinstance(module, nn.Linear)": lambda module: nn.init.zeros_(module.weight),
        "nn.init.normal_(module.weight, ...)": assigned,
        "Ask with the class itself": lambda module: isinstance(module, plain_torch.nn.Linear()),
    }
    check = test_article.test_5_init_weights_redraws_every_linear_layer_and_nothing_else
    compare(mlp_api, "init_weights", check, wrong)
