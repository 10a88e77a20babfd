"""The article's claims by section, which grade your own code: `pytest -k test_4_1_4` for relu."""

import math
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.testing import assert_close
from torch.utils.data import DataLoader, TensorDataset

import article
import common
import mlp_api
import mlp_scratch
from grading import check, grade, kind
from support import RAW, ROOT, Capture, Patch, both_scripts, md5

# Sixty images of noise, and weights of a size that makes the signs of 300 hidden units differ.
draw = partial(torch.randn, generator=torch.Generator().manual_seed(2))
IMAGES, LABELS = draw(60, 1, 28, 28), draw(60, 10).argmax(1)
BATCHES = [(IMAGES[:40], LABELS[:40]), (IMAGES[40:], LABELS[40:])]
W1, b1, W2, b2 = draw(784, 300) / 10, draw(300) / 20, draw(300, 10) / 20, draw(10) / 20
SEED = 2**40 + 7  # which no learner sets


def new_params() -> dict[str, nn.Parameter]:
    """Return new parameters with the numbers above."""
    numbers = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
    return {name: nn.Parameter(number.clone()) for name, number in numbers.items()}


def fill(net: nn.Module) -> None:
    """Give the numbers above to a network, whose layers hold W1 and W2 transposed."""
    by_shape = {W.t().shape: W.t() for W in (W1, b1, W2, b2)}
    for param in net.parameters():
        param.data = by_shape[param.shape].clone()


# ---- 4 From scratch ----


def test_4_two_linear_layers_are_one_and_relu_lets_them_learn_more() -> None:
    # Dark and light halves: no linear layer tells images with equal ones from those with different.
    X, y = torch.zeros(4, 1, 28, 28), torch.tensor([0, 1, 1, 0])
    X[1::2, :, :, :14] = 0.1
    X[2:, :, :, 14:] = 0.1
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.Linear(64, 10))
    with_relu = mlp_api.make_net(64)
    for net in (linear, with_relu):
        trainer = SGD(net.parameters(), lr=1)
        for _ in range(150):
            common.train_epoch(net, [(X, y)], nn.CrossEntropyLoss(), trainer)
    check(common.accuracy(with_relu(X), y) == 4, "With relu all of the 4 images must be learned.")
    check(common.accuracy(linear(X), y) < 4, "Without relu it must be too few of the 4 images.")
    W1, b1, W2, b2 = (param.t() for param in linear.parameters())
    assert_close(linear(X), X.flatten(1) @ (W1 @ W2) + (b1 @ W2 + b2))


@both_scripts
def test_4_1_1_hyperparameters_are_the_article_s_and_edits_take_effect(
    script: ModuleType, monkeypatch: Patch
) -> None:
    assert (script.num_inputs, script.num_outputs) == (784, 10)
    assert (script.batch_size, script.num_hiddens) == (256, 256)
    assert (script.num_epochs, script.lr) == (10, 0.1)
    options = ["--batch-size=99", "--num-hiddens=7", "--epochs=2", "--lr=0.2"]
    _, _, expected, _, _ = script.main(options)
    for name, value in {"batch_size": 99, "num_hiddens": 7, "num_epochs": 2, "lr": 0.2}.items():
        monkeypatch.setattr(script, name, value)
    assert script.main([])[2] == expected


def test_4_1_2_the_data_files_have_the_checksums_that_their_readme_lists() -> None:
    readme = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    for name in common.MD5:
        content = (ROOT / "data" / RAW / name).read_bytes()
        assert f"| {name} | {len(content)} | {md5(content)} |" in readme


def test_4_1_2_batches_are_bit_for_bit_those_of_totensor_and_a_stock_loader() -> None:
    passes = []
    for load in (common.load_data_fashion_mnist, article.loaders):
        train_iter, test_iter = load(64, common.DATA_DIR)
        assert (len(train_iter), len(test_iter)) == (16, 5)
        torch.manual_seed(5)
        passes.append([*train_iter, *test_iter, *train_iter])
    for (X, y), (right_X, right_y) in zip(*passes, strict=True):
        assert torch.equal(X, right_X), "other images, or another order"
        assert torch.equal(y, right_y)


@pytest.mark.task
def test_4_1_3_init_params_draws_w1_and_w2_and_starts_both_biases_at_zero() -> None:
    torch.manual_seed(SEED)
    result = mlp_scratch.init_params(300)
    torch.manual_seed(SEED)
    rights = {
        "W1": torch.randn(784, 300) * 0.01,
        "b1": torch.zeros(300),
        "W2": torch.randn(300, 10) * 0.01,
        "b2": torch.zeros(10),
    }
    in_order = isinstance(result, Iterable) and not isinstance(result, dict | set)
    params = list(result) if in_order else []
    check(len(params) == 4, f"init_params must return a list [W1, b1, W2, b2]. {kind(result)}")
    for name, param in zip(rights, params, strict=True):
        ready = isinstance(param, nn.Parameter)
        sentence = (
            f"{name} must be an nn.Parameter. Wrap last, nn.Parameter(torch.randn(...) * 0.01): a"
            " product with a Parameter is a plain tensor."
        )
        check(ready, f"{sentence} {kind(param)}")
        check(param.requires_grad, f"{name} must keep requires_grad=True: it is to be trained.")
        found, needed = f"{list(param.shape)}", f"{list(rights[name].shape)}"
        check(
            found == needed, f"init_params(300): {name} is {found}, but it is wanted as {needed}."
        )
        check(param.dtype == torch.float32, f"{name} must be float32, not {param.dtype}.")
    for name in ("b1", "b2"):
        zero = not params[list(rights).index(name)].any()
        check(zero, f"{name} must be zero at the start, not drawn, and not left empty.")
    torch.manual_seed(SEED)
    second_first = torch.randn(300, 10) * 0.01
    sentence = "W1 and W2 must be torch.randn(...) * 0.01, and no seed may be set here."
    check(
        not equal_weights(params[2], second_first),
        "Draw W1 first and W2 then: the run's table depends on the order of the draws.",
    )
    for name, param in zip(rights, params, strict=True):
        right = rights[name]
        numbers = f"mean {param.mean():.4f}, standard deviation {param.std():.4f}"
        near = (param.std() - right.std()).abs() < 0.001
        if near and param.mean().abs() < 0.001:
            sentence = (
                "The size of the numbers is right, but they are others than are drawn here: draw W1"
                f" and then W2, each once and as torch.randn{tuple(right.shape)}, and set no seed."
            )
        check(equal_weights(param, right), f"{sentence} {name} has {numbers}.")


def equal_weights(first: Tensor, second: Tensor) -> bool:
    """Return whether two small weights or biases have the same numbers, up to rounding."""
    return torch.allclose(first.detach(), second, rtol=1e-5, atol=1e-8)


@pytest.mark.task
def test_4_1_4_relu_is_the_larger_of_x_and_zero_and_so_is_its_gradient() -> None:
    values = torch.tensor([-2, 3, 0, -(2.0**-30), 2.0**-30, -(2.0**30), 2.0**30, -0.5])
    for shape in ([8], [2, 4], [2, 2, 2]):
        X = values.reshape(shape).clone()
        H = mlp_scratch.relu(X)
        check(
            not isinstance(H, tuple),
            "relu must return a tensor. torch.max(X, 0) is a pair: the largest along dimension 0,"
            " and where they stand.",
        )
        check(isinstance(H, Tensor), f"relu must return a tensor. {kind(H)}")
        unchanged = torch.equal(X.flatten(), values)
        check(unchanged, "relu changes X itself: leave X as it is, and return a new tensor.")
        found = list(H.shape)
        check(found == shape, f"relu must keep the shape {shape}, not make {found}.")
        for x, h in zip(values.tolist(), H.flatten().tolist(), strict=True):
            larger = max(x, 0.0)
            check(h == larger, f"relu({x}) is {h}, but the larger of {x} and 0 is {larger}.")
        check(
            mlp_scratch.relu(X * math.nan).isnan().all(),
            "relu(nan) must stay nan, as in torch.maximum, so that a training that diverges is"
            " seen.",
        )
        H = mlp_scratch.relu(X.requires_grad_())
        check(
            H.requires_grad,
            "relu cuts the gradient off: compute with X itself, without detach, data or no_grad.",
        )
        (slopes,) = torch.autograd.grad(H.sum(), X)
        for x, slope in zip(values.tolist(), slopes.flatten().tolist(), strict=True):
            right = 1.0 if x > 0 else 0.0
            check(slope == right or x == 0, f"The slope of relu at {x} is {slope}, not {right}.")


def grade_network(y_hat: Any, X: Tensor, params: dict[str, nn.Parameter], sentence: str) -> None:
    """Grade the logits of X with the weights above, and whether a gradient reaches params."""
    XW1 = X.flatten(1) @ W1
    Z = XW1 + b1
    mixed = (X.reshape(784, -1).t() @ W1 + b1).relu() @ W2 + b2
    right = Z.relu() @ W2 + b2
    mistakes = {
        "softmax at the end, which the loss holds": right.softmax(1),
        "log_softmax at the end, which the loss holds": right.log_softmax(1),
        "a forgotten relu": Z @ W2 + b2,
        "another relu at the end": right.relu(),
        "a forgotten b1": XW1.relu() @ W2 + b2,
        "a forgotten b2": Z.relu() @ W2,
        "b1 added after relu": (XW1.relu() + b1) @ W2 + b2,
    }
    if len(X) > 1:
        mistakes["rows that mix the pixels of several images: reshape(-1, 784)"] = mixed
    grade(y_hat, right, sentence, mistakes)
    if y_hat.requires_grad:
        y_hat.sum().backward()
    cut = [name for name, param in params.items() if param.grad is None]
    check(
        not cut,
        f"No gradient reaches {', '.join(cut)}: keep requires_grad, and compute without detach,"
        " data or no_grad.",
    )


@pytest.mark.task
def test_4_1_5_forward_returns_the_logits() -> None:
    for size in (60, 16, 1):
        X, params = IMAGES[:size].clone(), new_params()
        y_hat = mlp_scratch.forward(X, *params.values())
        sentence = f"forward must return relu(X W1 + b1) W2 + b2, [{size}, 10], for {size} images."
        grade_network(y_hat, IMAGES[:size], params, sentence)


@both_scripts
def test_4_1_6_the_loss_holds_log_softmax_and_negative_log_likelihood(
    script: ModuleType, monkeypatch: Patch
) -> None:
    train = Mock(return_value=[])
    monkeypatch.setattr(common, "train", train)
    script.main([])
    _, _, _, loss, trainer, _ = train.call_args.args
    scores = IMAGES[:, 0, 0, :10] * 30
    losses = scores.logsumexp(1) - scores[torch.arange(60), LABELS]
    result = loss(scores, LABELS)
    right = losses if result.ndim else losses.mean()
    grade(result, right, "The loss is -log softmax of the label.", {})
    usual = SGD([nn.Parameter(torch.zeros(1))], lr=0.1).defaults
    assert trainer.defaults == usual, "the trainer must be plain SGD with lr 0.1"


@pytest.mark.task
def test_4_accuracy_counts_the_correct_predictions() -> None:
    y = torch.tensor([1, 2, 2, 3, 1, 3, 2, 0, 1, 1, 1])
    rows = ["1512", "1020", "3205", "3213", "2201", "1324", "1352", "1345", "0040", "1304", "2131"]
    logits = torch.tensor([[float(digit) for digit in row] for row in rows])  # a score a digit
    mistakes = {
        "the smallest score in place of the largest": 3,
        "a share, not a number": 4 / 11,
        "a share that is cut to a whole number": 0,
        "the first row alone, as if return stood inside the loop": 1,
        "the last of two equal scores": 6,
        "argmax over the whole batch, as dim=1 is missing": 5,
        "the largest scores themselves, max(dim=1)[0], in place of their positions": 2,
        "the number of wrong predictions": 7,
    }
    sentence = (
        "accuracy is the number of rows whose first largest score stands at the label, 4 of 11."
    )
    grade(common.accuracy(logits, y), 4, sentence, mistakes)
    classes = torch.tensor([1, 0, 2, 2, 1, 3, 0, 1, 0, 2, 3])
    sentence = "y_hat may be class indices, too: accuracy counts those that equal y, here 4 of 11."
    grade(common.accuracy(classes, y), 4, sentence, {"a share, not a number": 4 / 11})
    for labels in (y.reshape(11, 1), y[:1], y[:10]):
        shapes = f"11 predictions and labels {list(labels.shape)}"
        try:
            count = common.accuracy(logits, labels)
        except ValueError:
            continue
        check(False, f"{shapes} do not fit: raise a ValueError. What came back is {count}.")


def watched() -> tuple[nn.Module, list[tuple[bool, bool]]]:
    """Return a network and what it notes at each call: is it in train mode, are gradients on."""
    torch.manual_seed(0)
    net = nn.Linear(784, 10)
    modes: list[tuple[bool, bool]] = []

    def note(*_: object) -> None:
        modes.append((net.training, torch.is_grad_enabled()))

    net.register_forward_hook(note)
    return net, modes


@pytest.mark.task
def test_4_evaluate_accuracy_is_a_share_of_all_samples_without_gradients() -> None:
    net, modes = watched()
    X = IMAGES[:12].flatten(1)
    y = net(X).argmax(1)
    y[[0, 6, 7, 8]] = (
        y[[0, 6, 7, 8]] + 1
    ) % 10  # batches of 5, 5 and 2 samples, of which 4, 2 and 2 are right
    loader = DataLoader(TensorDataset(X, y), batch_size=5)
    mistakes = {
        "a number correct": 8,
        "the number correct, divided by the samples of the last batch alone": 8 / 2,
        "the number correct, divided by the number of batches": 8 / 3,
        "the mean of the batches' accuracies": (4 / 5 + 2 / 5 + 1) / 3,
        "the first batch alone, as if return stood inside the loop": 4 / 5,
        "the last batch alone: add up over the batches": 1,
    }
    sentence = "The accuracy is the number correct in all batches, divided by that of all samples."
    for net_or_function in (net, lambda X: net(X)):
        for data_iter in (loader, list(loader)):
            net.train()
            modes.clear()
            share = common.evaluate_accuracy(net_or_function, data_iter)
            check(modes, "Call net(X): these are the scores that accuracy compares with y.")
            grade(share, 8 / 12, sentence, mistakes)
            gradients_on = any(gradients for _, gradients in modes)
            check(
                not gradients_on, "Call net(X) inside `with torch.no_grad():`, without gradients."
            )
            if net_or_function is net:
                training = any(training for training, _ in modes)
                check(not training, "Put an nn.Module into eval mode first: net.eval().")


Objective = Callable[[Tensor, Tensor], Tensor]


def with_params(params: list[nn.Parameter]) -> common.Net:
    """Return the network by hand with these parameters."""
    return lambda X: article.logits(X, *params)


def train_by_hand(objective: Objective, calls: str) -> tuple[Tensor, Tensor]:
    """Make these calls for each batch; return all parameters, and all logits before their step."""
    params = list(new_params().values())
    net, trainer = with_params(params), SGD(params, lr=0.3, momentum=0.5)
    logits = []
    for X, y in BATCHES:
        y_hat = net(X)
        logits.append(y_hat.detach())
        for call in calls.split():
            if call == "zero_grad":
                trainer.zero_grad()
            elif call == "backward":
                objective(y_hat, y).backward()
            else:
                trainer.step()
    return nn.utils.parameters_to_vector(params).detach(), torch.cat(logits)


@pytest.mark.task
def test_4_1_7_a_step_goes_downhill() -> None:
    losses = nn.CrossEntropyLoss(reduction="none", label_smoothing=0.5)  # not the usual one
    mean = nn.CrossEntropyLoss(label_smoothing=0.5)
    objectives: dict[str, Objective] = {
        "the sum of the losses in place of their mean": lambda z, y: losses(z, y).sum(),
        "a sum divided by 256, while a batch has 40 images here": lambda z, y: (
            losses(z, y).sum() / 256
        ),
        "a mean, divided by the number of images: the loss may be a mean already": lambda z, y: (
            mean(z, y) / len(y)
        ),
        "softmax before the loss, which holds it": lambda z, y: mean(z.softmax(1), y),
        "another loss than the one that train_epoch is given": nn.functional.cross_entropy,
        "a step uphill, along the gradient": lambda z, y: -mean(z, y),
    }
    orders = {
        "gradients that add up, as zero_grad is missing": "backward step",
        "two steps a batch": "zero_grad backward step step",
        "no step, or one without gradients: the order is zero_grad, backward, step": "zero_grad",
    }
    step = "zero_grad backward step"
    wrong = {mistake: train_by_hand(other, step)[0] for mistake, other in objectives.items()}
    for mistake, calls in orders.items():
        wrong[mistake] = train_by_hand(mean, calls)[0]
    right, logits = train_by_hand(mean, step)

    for loss in (losses, mean):
        params = list(new_params().values())
        trainer = SGD(params, lr=0.3, momentum=0.5)
        train_loss, train_acc = common.train_epoch(with_params(params), BATCHES, loss, trainer)
        sentence = (
            "A step must be: y_hat = net(X), mean_loss = the mean of loss(y_hat, y), zero_grad,"
            " backward, step."
        )
        grade(nn.utils.parameters_to_vector(params), right, sentence, wrong)
        sentence = "Loss and accuracy are means over all samples of the epoch, before each step."
        grade(train_loss, losses(logits, LABELS).mean(), sentence, {})
        grade(train_acc, (logits.argmax(1) == LABELS).float().mean(), sentence, {})


def test_4_modes_a_module_trains_in_train_mode_and_predicts_in_eval_mode() -> None:
    net, modes = watched()
    batches = [(IMAGES.flatten(1), LABELS)]
    trainer = SGD(net.parameters(), lr=0.1)
    common.train_epoch(net.eval(), batches, nn.CrossEntropyLoss(), trainer)
    assert modes == [(True, True)], "train_epoch must train in train mode, with gradients"
    common.predict(net.train(), batches)
    assert modes[1:] == [(False, False)], "predict must predict in eval mode, without gradients"
    assert not net.training, "predict must leave the network in eval mode"


def test_4_no_batch_and_no_logits_are_kept_in_memory() -> None:
    kept: list[weakref.ref[Tensor]] = []

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, 60, 10):
            X = IMAGES[start : start + 10].clone()
            kept.append(weakref.ref(X))
            yield X, LABELS[start : start + 10]
            del X
            # X and y_hat of this batch may still live, those of the batches before must not.
            alive = sum(reference() is not None for reference in kept[:-2])
            assert not alive, f"{alive} batches or logits are still in memory a batch later"

    def net(X: Tensor) -> Tensor:
        y_hat = article.logits(X, *params)
        kept.append(weakref.ref(y_hat))
        return y_hat

    params = list(new_params().values())
    trainer = SGD(params, lr=0.1)
    common.train_epoch(net, batches(), nn.CrossEntropyLoss(), trainer)
    kept.clear()
    common.evaluate_accuracy(net, batches())


def test_4_the_accumulator_keeps_n_sums_and_takes_exactly_n_numbers() -> None:
    metric = common.Accumulator(2)
    metric.add(1.5, 2)
    metric.add(-4, 5)
    assert [metric[0], metric[1]] == [-2.5, 7]
    for wrong in ([1], [1, 2, 3]):
        with pytest.raises(ValueError, match="argument"):
            metric.add(*wrong)


def test_4_train_prints_a_line_an_epoch_and_returns_the_same_figures(capsys: Capture) -> None:
    params = list(new_params().values())
    trainer = SGD(params, lr=0.1)
    net, loss = with_params(params), nn.CrossEntropyLoss()
    history = common.train(net, BATCHES, BATCHES[:1], loss, trainer, epochs=3)
    lines = [
        f"epoch 0{number}: train_loss={a:.4f}, train_acc={b:.4f}, test_acc={c:.4f}"
        for number, (a, b, c) in enumerate(history, start=1)
    ]
    assert len(lines) == 3
    assert capsys.readouterr().out.splitlines() == lines
    assert history[2].test_acc == common.evaluate_accuracy(net, BATCHES[:1])


def test_4_a_scheduler_changes_the_rate_after_each_epoch() -> None:
    net, rates = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), []
    trainer = SGD(net.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LinearLR(trainer, 1, 0.01, total_iters=2)

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        rates.append(trainer.param_groups[0]["lr"])
        return nn.functional.cross_entropy(logits, y)

    common.train(net, BATCHES, BATCHES, loss, trainer, epochs=3, scheduler=scheduler)
    assert rates == pytest.approx([0.1, 0.1, 0.0505, 0.0505, 0.001, 0.001])


def test_4_predict_prints_and_returns_the_class_names_of_the_first_test_batch(
    capsys: Capture,
) -> None:
    classes = ["t-shirt", "trouser", "pullover", "dress", "coat"]
    classes += ["sandal", "shirt", "sneaker", "bag", "ankle boot"]
    batch, another = (IMAGES[:10], torch.arange(10)), (IMAGES[:10], torch.zeros(10))
    pairs = common.predict(lambda X: torch.eye(10).flip(0), [batch, another], n=12)
    assert pairs == list(zip(classes, reversed(classes), strict=True))
    rows = []
    for number, (true, predicted) in enumerate(pairs, start=1):
        rows.append(f"{number}. true: {true:<10} predicted: {predicted}")
    assert capsys.readouterr().out.splitlines() == ["", "Predictions:", *rows]


def test_4_predict_takes_other_names_and_numbers_classes_beyond_them() -> None:
    batch = (IMAGES[:3], torch.tensor([0, 1, 11]))
    pairs = common.predict(lambda X: torch.eye(12)[[1, 10, 11]], [batch], class_names=["a", "b"])
    assert pairs == [("a", "b"), ("b", "10"), ("11", "11")]
    pairs = common.predict(lambda X: torch.eye(12)[[1, 10, 11]], [batch], n=2)
    assert pairs == [("t-shirt", "trouser"), ("trouser", "10")]


# ---- 5 With PyTorch's API ----


def test_5_flatten_is_the_reshape() -> None:
    assert torch.equal(nn.Flatten()(IMAGES), IMAGES.reshape(-1, mlp_scratch.num_inputs))


def test_5_linear_is_x_at_w1_plus_b1_with_its_weight_transposed() -> None:
    layer = nn.Linear(784, 300)
    layer.weight.data, layer.bias.data = W1.T, b1
    assert_close(layer(IMAGES.flatten(1)).detach(), IMAGES.flatten(1) @ W1 + b1)


def test_5_relu_is_the_hand_written_one_whose_slope_alone_differs_and_only_at_zero() -> None:
    assert torch.equal(nn.ReLU()(IMAGES), mlp_scratch.relu(IMAGES))
    X = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    # Where both are equal, torch.maximum gives each of them half of the gradient.
    (slopes,) = torch.autograd.grad(torch.maximum(X, torch.zeros(3)).sum(), X)
    assert slopes.tolist() == [0, 0.5, 1]
    (slopes,) = torch.autograd.grad(nn.ReLU()(X).sum(), X)
    assert slopes.tolist() == [0, 0, 1]


def test_5_mean_loss_is_the_mean_of_the_losses() -> None:
    losses = nn.CrossEntropyLoss(reduction="none")(IMAGES[:, 0, 0, :10], LABELS)
    assert losses.shape == (60,)
    assert_close(nn.CrossEntropyLoss()(IMAGES[:, 0, 0, :10], LABELS), losses.mean())


def test_5_cross_entropy_is_minus_log_softmax_at_the_label() -> None:
    scores = 10 * IMAGES[:, 0, 0, :10].double()
    losses = -scores.log_softmax(1)[torch.arange(60), LABELS]
    assert torch.equal(losses, nn.CrossEntropyLoss(reduction="none")(scores, LABELS))


def test_5_cross_entropy_takes_logits_as_the_logarithm_of_a_softmax_can_be_infinite() -> None:
    logits = torch.tensor([0.0, 1000.0], requires_grad=True)
    log_p = logits.log_softmax(0)[0]
    assert log_p == -1000
    assert torch.autograd.grad(log_p, logits)[0].isfinite().all()
    log_p = logits.softmax(0).log()[0]  # the softmax is 0
    assert log_p == -math.inf
    assert torch.autograd.grad(log_p, logits)[0].isnan().any()


def test_5_sgd_subtracts_lr_times_the_gradient() -> None:
    first, second = nn.Parameter(W2.clone()), nn.Parameter(W2.clone())
    ((first**3).sum() + (second**3).sum()).backward()  # the gradient is 3 * W**2
    SGD([first], lr=0.1).step()
    with torch.no_grad():
        for p in [second]:
            assert p.grad is not None
            p -= 0.1 * p.grad  # type: ignore[misc]
    assert_close(first, second)
    assert_close(first.detach(), W2 - 0.1 * 3 * W2**2)


@pytest.mark.task
def test_5_make_net_is_flatten_linear_relu_linear() -> None:
    torch.manual_seed(SEED)
    net = mlp_api.make_net(300)
    is_net = isinstance(net, nn.Module)
    check(is_net, f"make_net must return a network; is `return` missing? {kind(net)}")
    params = dict(net.named_parameters())
    lazy = any(map(nn.parameter.is_lazy, params.values()))
    check(not lazy, "Use nn.Linear: init_weights cannot draw a lazy layer.")
    layers = [layer for layer in net.modules() if not list(layer.children())]
    names = ", ".join(type(layer).__name__ for layer in layers)
    sentence = f"make_net(300) must make Flatten, Linear, ReLU, Linear. It makes {names}."
    sizes = [
        (layer.in_features, layer.out_features) for layer in layers if type(layer) is nn.Linear
    ]
    if sizes:
        wanted = [(784, 300), (300, 10)]
        check(
            sizes == wanted,
            f"The Linear layers must be (784, 300) and (300, 10), inputs first. They are {sizes}.",
        )
    torch.manual_seed(SEED)
    drawn = nn.ModuleList([nn.Linear(784, 300), nn.Linear(300, 10)])
    needed = {param.shape: param for param in drawn.parameters()}
    shapes = sorted(list(param.shape) for param in params.values())
    extra = "It has parameters of its own beside those of both Linear layers, or lacks some."
    check(shapes == sorted(map(list, needed)), f"{sentence} {extra}")
    for param in params.values():
        check(param.dtype == torch.float32, f"Parameters must be float32, not {param.dtype}.")
        same = torch.equal(param, needed[param.shape])
        sentence_of_draws = (
            "The weights must be those that nn.Linear draws, the first layer first: set no seed"
            " in make_net, and leave init_weights to main."
        )
        check(same, sentence_of_draws)
    fill(net)
    y_hat = net(IMAGES.clone())
    grade_network(y_hat, IMAGES, params, sentence)


@pytest.mark.task
def test_5_init_weights_redraws_every_linear_layer_and_nothing_else() -> None:
    conv, kept = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3)
    kept.load_state_dict(conv.state_dict())
    layers = [nn.Linear(784, 300), nn.Linear(300, 300), nn.Linear(300, 10)]
    before = [(layer.weight, layer.weight.detach().clone()) for layer in layers]
    torch.manual_seed(SEED)
    mlp_api.init_weights(layers[0])
    nn.Sequential(conv, nn.Sequential(layers[1]), layers[2]).apply(mlp_api.init_weights)
    for param, other in zip(conv.parameters(), kept.parameters(), strict=True):
        same = torch.equal(param, other)
        check(same, "Leave a layer that is no nn.Linear alone, here an nn.Conv2d.")
    torch.manual_seed(SEED)
    for layer, (weight, numbers) in zip(layers, before, strict=True):
        right = torch.randn(weight.shape) * 0.01
        in_place = layer.weight is weight
        check(in_place, "Change module.weight in place, so that a trainer still knows it.")
        changed = not torch.equal(weight, numbers)
        check(changed, f"The weight of {layer} is still as nn.Linear drew it.")
        found = f"{list(weight.shape)}, mean {weight.mean():.4f}, deviation {weight.std():.4f}"
        if weight.std() > 0.9:
            found += " (normal_ takes 1 if std is left out, and a product behind it is lost)"
        check(
            weight.dtype == right.dtype and equal_weights(weight, right),
            "A weight must be drawn once, normal with mean 0 and standard deviation 0.01, and"
            f" without a seed. It has {found}.",
        )
        bias = layer.bias
        zero = isinstance(bias, Tensor) and bias.shape == (layer.out_features,) and not bias.any()
        zeros = f"{layer.out_features} zeros"
        check(zero, f"The bias of {layer} must be {zeros}: nn.Linear draws it, set it to zero.")
        trained = weight.requires_grad and bias.requires_grad
        check(trained, "requires_grad must stay True, or nothing is trained.")


def test_5_both_versions_are_one_network_after_fifty_steps() -> None:
    net, params = mlp_api.make_net(300), new_params()
    fill(net)
    by_hand = partial(mlp_scratch.forward, **params)
    losses, mean = nn.CrossEntropyLoss(reduction="none"), nn.CrossEntropyLoss()
    hand_trainer, trainer = SGD(params.values(), lr=0.1), SGD(net.parameters(), lr=0.1)
    for start in [*range(5)] * 10:
        batch = [(IMAGES[start::5], LABELS[start::5])]
        first = common.train_epoch(by_hand, batch, losses, hand_trainer)
        second = common.train_epoch(net, batch, mean, trainer)
        # Float32 rounds: a hidden unit that is nearly zero may be on for one and off for the other.
        assert_close(first, second, rtol=0, atol=1e-4)
