"""The article's claims by section, which grade your own code: `pytest -k test_4_1_4` for relu."""

import contextlib
import copy
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

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
from conftest import ROOT, Capture, Patch, both_scripts

# Sixty images of noise, and weights of a size that makes the signs of 300 hidden units differ.
draw = partial(torch.randn, generator=torch.Generator().manual_seed(2))
IMAGES, LABELS = draw(60, 1, 28, 28), draw(60, 10).argmax(1)
BATCHES = [(IMAGES[:40], LABELS[:40]), (IMAGES[40:], LABELS[40:])]
W1, b1, W2, b2 = WEIGHTS = [draw(784, 300) / 10, draw(300) / 20, draw(300, 10) / 20, draw(10) / 20]
PARAMS = dict(zip(("W1", "b1", "W2", "b2"), map(nn.Parameter, WEIGHTS), strict=True))
SEED = 2**40 + 7  # which no learner sets


def say(right: object, sentence: str, *returned: object) -> None:
    """Fail with the sentence alone, and the kind of what a function has returned, unless it is right."""
    if not right:
        kinds = (f" What came back is of type {type(result).__name__}." for result in returned)
        pytest.fail(sentence + "".join(kinds), pytrace=False)


def grade(actual: Any, right: Tensor | float, sentence: str, mistakes: Mapping[str, Tensor | float]) -> None:
    """Fail with the sentence unless actual is right, and name the mistake that gives these very numbers."""
    try:
        numbers = actual.detach().float() if isinstance(actual, Tensor) else torch.tensor(float(0.0 + actual))
    except (TypeError, ValueError):
        return say(False, sentence, actual)
    for mistake, result in [("", right), *mistakes.items()]:
        wrong = torch.as_tensor(result).float()
        if numbers.shape == wrong.shape and torch.allclose(numbers, wrong, 1e-5, 1e-5):
            return say(not mistake, f"{sentence} It looks like {mistake}.")
    expected = torch.as_tensor(right)
    say(numbers.shape == expected.shape, f"{sentence} It has the shape {list(numbers.shape)}.")
    place = (numbers - expected).abs().argmax()
    found = f"It has {numbers.flatten()[place]:.4f} where {expected.flatten()[place]:.4f} is right."
    return say(False, f"{sentence} {found if numbers.numel() < 1000 else 'The numbers differ.'}")


def test_4_two_linear_layers_are_one_and_relu_lets_them_learn_more() -> None:
    """Dark and light halves: no linear layer can tell all images with equal ones from those with different ones."""
    X, y = torch.zeros(4, 1, 28, 28), torch.tensor([0, 1, 1, 0])
    X[1::2, :, :, :14] = X[2:, :, :, 14:] = 0.1
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.Linear(64, 10))
    for net, learns in ((mlp_api.make_net(64), True), (linear, False)):
        for _ in range(150):
            common.train_epoch(net, [(X, y)], nn.CrossEntropyLoss(), SGD(net.parameters(), lr=1))
        correct = common.accuracy(net(X), y)
        say((correct == 4) == learns, f"{'With' if learns else 'Without'} relu {correct} of 4 images are learned.")
    W1, b1, W2, b2 = (param.t() for param in linear.parameters())
    assert_close(linear(X), X.flatten(1) @ (W1 @ W2) + (b1 @ W2 + b2))


@both_scripts
def test_4_1_1_hyperparameters_are_the_article_s_and_edits_take_effect(script: ModuleType, monkeypatch: Patch) -> None:
    names = ["num_inputs", "num_outputs", "batch_size", "num_hiddens", "num_epochs", "lr"]
    assert [getattr(script, name) for name in names] == [784, 10, 256, 256, 10, 0.1]
    _, _, expected = script.main(["--batch-size=99", "--num-hiddens=7", "--epochs=2", "--lr=0.2"])
    for name, value in zip(names[2:], (99, 7, 2, 0.2), strict=True):
        monkeypatch.setattr(script, name, value)
    assert script.main([])[2] == expected


def test_4_1_2_the_data_files_have_the_checksums_that_their_readme_lists() -> None:
    readme = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    for name in common.MD5:
        content = (ROOT / "data" / "FashionMNIST" / "raw" / name).read_bytes()
        assert f"| {name} | {len(content)} | {hashlib.md5(content).hexdigest()} |" in readme


def test_4_1_2_batches_shuffled_or_not_are_bit_for_bit_those_of_totensor_and_a_stock_loader() -> None:
    passes = []
    for load in (common.load_data_fashion_mnist, article.loaders):
        train_iter, test_iter = load(64, common.DATA_DIR)
        torch.manual_seed(5)
        passes.append([*train_iter, *test_iter, *train_iter])
        assert (len(train_iter), len(test_iter)) == (16, 5)
    assert all(torch.equal(*pair) for batches in zip(*passes, strict=True) for pair in zip(*batches, strict=True))


def test_4_1_3_init_params_draws_w1_and_w2_and_starts_both_biases_at_zero() -> None:
    torch.manual_seed(SEED)
    result = mlp_scratch.init_params(300)
    params = list(result) if isinstance(result, Iterable) else []
    say(len(params) == 4, "init_params must return four parameters, W1, b1, W2, b2.", result)
    torch.manual_seed(SEED)
    rights = [torch.randn(784, 300) * 0.01, torch.zeros(300), torch.randn(300, 10) * 0.01, torch.zeros(10)]
    for name, right, param in zip(PARAMS, rights, params, strict=True):
        trained = isinstance(param, nn.Parameter) and param.requires_grad
        say(trained, f"{name} must be an nn.Parameter of numbers that are ready: nn.Parameter(... * 0.01).", param)
        found, needed = (f"{list(W.shape)} {W.dtype}" for W in (param, right))
        say(found == needed, f"init_params(300): {name} is {found}, but X @ W1 + b1 and H @ W2 + b2 need {needed}.")
        say(right.any() or not param.any(), f"{name} must be zero at the start, not drawn, and not left empty.")
        same, found = torch.allclose(param, right, atol=1e-8), f"mean {param.mean():.4f}, deviation {param.std():.4f}"
        say(same, f"{name} must be torch.randn * 0.01, W1 drawn before W2, and no seed set here. It has {found}.")


def test_4_1_4_relu_is_the_larger_of_x_and_zero_and_so_is_its_gradient() -> None:
    values = torch.tensor([-2, 3, 0, -(2.0**-30), 2.0**-30, -(2.0**30), 2.0**30, -0.5])
    for X in (values.reshape(shape).clone() for shape in ([8], [2, 4], [2, 2, 2])):
        H, pair = mlp_scratch.relu(X), " torch.max(X, 0) is a pair: the largest along dimension 0, and their places."
        say(isinstance(H, Tensor), "relu must return a tensor." + pair * isinstance(H, tuple), H)
        say(torch.equal(X.flatten(), values), "relu changes X itself: leave X as it is, and return a new tensor.")
        say(H.shape == X.shape, f"relu must keep the shape {list(X.shape)}, not make {list(H.shape)}.")
        for x, h in zip(values.tolist(), H.flatten().tolist(), strict=True):
            say(h == max(x, 0), f"relu({x}) is {h}, but the larger of {x} and 0 is {max(x, 0.0)}.")
        nan = mlp_scratch.relu(X * math.nan).isnan().all()
        say(nan, "relu(nan) must stay nan, as in torch.maximum, so that a training that diverges is seen.")
        H = mlp_scratch.relu(X.requires_grad_())
        say(H.requires_grad, "relu cuts the gradient off: compute with X itself, without detach, data or no_grad.")
        (slopes,) = torch.autograd.grad(H.sum(), X)
        for x, slope in zip(values.tolist(), slopes.flatten().tolist(), strict=True):
            say(x == 0 or slope == (x > 0), f"The slope of relu at {x} is {slope}, not {float(x > 0)}.")


def grade_network(y_hat: Any, X: Tensor, params: dict[str, nn.Parameter], sentence: str) -> None:
    """Grade the logits that X must have with the weights above, and whether a gradient reaches params."""
    XW1, Z = X.flatten(1) @ W1, X.flatten(1) @ W1 + b1
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
    grade(y_hat, right, sentence, mistakes)
    if y_hat.requires_grad:
        y_hat.sum().backward()
    cut = ", ".join(name for name, param in params.items() if param.grad is None)
    say(not cut, f"No gradient reaches {cut}: keep requires_grad, and compute without detach, data or no_grad.")


def test_4_1_5_forward_returns_the_logits() -> None:
    for X in (IMAGES[:size].clone() for size in (60, 16, 1)):
        params, kept = copy.deepcopy(PARAMS), X.clone()
        sentence = f"forward must return relu(X W1 + b1) W2 + b2, [{len(X)}, 10], for X {list(X.shape)}."
        grade_network(mlp_scratch.forward(X, *params.values()), kept, params, sentence)


@both_scripts
def test_4_1_6_the_loss_holds_log_softmax_and_negative_log_likelihood(script: ModuleType, monkeypatch: Patch) -> None:
    monkeypatch.setattr(common, "train", lambda *args: args)
    _, _, (_, _, _, loss, _, _) = script.main([])
    scores = IMAGES[:, 0, 0, :10] * 30
    losses = scores.logsumexp(1) - scores[torch.arange(60), LABELS]
    actual = loss(scores, LABELS)
    grade(actual, losses if actual.ndim else losses.mean(), "The loss is -log softmax of the label.", {})


def train_by_hand(objective: Callable[[Tensor, Tensor], Tensor], *calls: str) -> tuple[Tensor, Tensor]:
    """Make these calls for each batch; return all parameters in a row, and all logits before their step."""
    params, logits = [*copy.deepcopy(PARAMS).values()], []
    trainer = SGD(params, lr=0.3, momentum=0.5)
    for X, y in BATCHES:
        logits.append(article.logits(X, *params))
        mean_loss = objective(logits[-1], y)
        for call in calls or ("zero_grad", "backward", "step"):
            getattr(mean_loss if call == "backward" else trainer, call)()
    return nn.utils.parameters_to_vector(params), torch.cat(logits)


def test_4_1_7_a_step_moves_all_parameters_against_the_gradient_of_the_mean_loss() -> None:
    losses = nn.CrossEntropyLoss(reduction="none", label_smoothing=0.5)  # not the usual one
    mean = nn.CrossEntropyLoss(label_smoothing=0.5)
    mistakes: dict[str, tuple[Any, ...]] = {
        "the sum of the losses in place of their mean": (lambda y_hat, y: losses(y_hat, y).sum(),),
        "a sum divided by 256, while a batch has 40 images here": (lambda y_hat, y: losses(y_hat, y).sum() / 256,),
        "a mean, divided by the number of images again": (lambda y_hat, y: mean(y_hat, y) / len(y),),
        "softmax before the loss, which holds it": (lambda y_hat, y: mean(y_hat.softmax(1), y),),
        "another loss than the one that train_epoch is given": (nn.functional.cross_entropy,),
        "gradients that add up, as zero_grad is missing": (mean, "backward", "step"),
        "two steps a batch": (mean, "zero_grad", "backward", "step", "step"),
        "no step, or one without gradients: the order is zero_grad, backward, step": (mean, "zero_grad"),
    }
    wrong = {mistake: train_by_hand(*how)[0] for mistake, how in mistakes.items()}
    right, logits = train_by_hand(mean)
    for loss in (losses, mean):
        params = [*copy.deepcopy(PARAMS).values()]
        net = partial(lambda params, X: article.logits(X, *params), params)
        metrics = common.train_epoch(net, BATCHES, loss, SGD(params, lr=0.3, momentum=0.5))
        sentence = "A step must be: y_hat = net(X), mean_loss = the mean of loss(y_hat, y), zero_grad, backward, step."
        grade(nn.utils.parameters_to_vector(params), right, sentence, wrong)
        sentence = "Loss and accuracy of an epoch are means over all samples, taken before each step."
        for metric, values in zip(metrics, (losses(logits, LABELS), logits.argmax(1) == LABELS), strict=True):
            grade(metric, values.float().mean(), sentence, {})


def test_4_accuracy_counts_the_correct_predictions() -> None:
    y = torch.tensor([0, 2, 1, 3, 2, 0, 0, 1, 1])
    rows = [5123, 4142, 2713, 3206, 1284, 9321, 1632, 4253, 2349]  # four scores in each, a digit one
    logits = torch.tensor([[float(digit) for digit in str(row)] for row in rows])
    mistakes = {
        "the smallest score in place of the largest": 2,
        "a share, not a number": 5 / 9,
        "the first row alone, as if return stood inside the loop": 1,
        "the last of two equal scores": 6,
        "argmax over the whole batch, as dim=1 is missing": 0,
    }
    sentence = "accuracy is the number of rows whose first largest score stands at the label, here 5 of 9."
    grade(common.accuracy(logits, y), 5, sentence, mistakes)
    sentence = "y_hat may be class indices, too: then accuracy counts those that equal y, here 2 of 9."
    grade(common.accuracy(y.roll(4), y), 2, sentence, {"a share, not a number": 2 / 9})
    with contextlib.suppress(ValueError):
        common.accuracy(logits, y.reshape(9, 1))
        say(False, "For labels [9, 1] raise a ValueError: 9 predictions == [9, 1] labels would be 81 answers.")


def watched() -> tuple[nn.Module, list[tuple[bool, bool]]]:
    """Return a network and what it notes at each call: is it in train mode, are gradients on."""
    net, modes = nn.Linear(784, 10), list[tuple[bool, bool]]()
    net.register_forward_hook(lambda *_: modes.append((net.training, torch.is_grad_enabled())))
    return net, modes


def test_4_evaluate_accuracy_is_a_share_of_all_samples_without_gradients() -> None:
    net, modes = watched()
    X, y = IMAGES[:12].flatten(1), net(IMAGES[:12].flatten(1)).argmax(1)
    y[[0, 6, 7, 8]] += 1  # batches of 5, 5 and 2 samples, of which 4, 2 and 2 are right
    data_iter = DataLoader(TensorDataset(X, y), batch_size=5)
    mistakes = {
        "a number correct": 8,
        "the number correct, divided by the samples of the last batch alone": 8 / 2,
        "the mean of the batches' accuracies": (4 / 5 + 2 / 5 + 1) / 3,
        "the first batch alone, as if return stood inside the loop": 4 / 5,
        "the last batch alone: add up over the batches": 1,
    }
    sentence = "The accuracy is the number correct in all batches, divided by the number of all samples."
    for net_or_function in (net, lambda X: net(X)):
        modes.clear()
        share = common.evaluate_accuracy(net_or_function, data_iter)
        say(modes, "evaluate_accuracy must call net(X): those are the scores that accuracy compares with y.")
        grade(share, 8 / 12, sentence, mistakes)
        training, gradients = map(any, zip(*modes, strict=True))
        say(not gradients, "Evaluate without gradients: call net(X) inside `with torch.no_grad():`.")
        say(not training or net_or_function != net, "Put an nn.Module into eval mode first: net.eval().")


def test_4_modes_a_module_trains_in_train_mode_and_predicts_in_eval_mode() -> None:
    net, modes = watched()
    common.train_epoch(net.eval(), [(IMAGES.flatten(1), LABELS)], nn.CrossEntropyLoss(), SGD(net.parameters(), lr=0.1))
    common.predict(net.train(), [(IMAGES.flatten(1), LABELS)])
    assert modes == [(True, True), (False, False)]


def test_4_the_accumulator_keeps_n_sums_and_takes_exactly_n_numbers() -> None:
    metric = common.Accumulator(2)
    metric.add(1.5, 2)
    metric.add(-4, 5)
    assert [metric[0], metric[1]] == [-2.5, 7]
    with pytest.raises(ValueError, match="argument"):
        metric.add(1)


def test_4_predict_prints_and_returns_the_class_names_of_the_first_test_batch(capsys: Capture) -> None:
    classes = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
    names = common.predict(lambda X: torch.eye(10).flip(0), [(IMAGES[:10], torch.arange(10))] * 2, n=12)
    assert names == [*zip(classes, reversed(classes), strict=True)]
    rows = [f"{n}. true: {true:<10} predicted: {predicted}" for n, (true, predicted) in enumerate(names, start=1)]
    assert capsys.readouterr().out.splitlines()[2:] == rows


def test_5_flatten_is_the_reshape() -> None:
    assert torch.equal(nn.Flatten()(IMAGES), IMAGES.reshape(-1, mlp_scratch.num_inputs))


def test_5_linear_is_x_at_w1_plus_b1_with_its_weight_transposed() -> None:
    layer = nn.Linear(784, 300)
    layer.weight.data, layer.bias.data = W1.T, b1
    assert_close(layer(IMAGES.flatten(1)).detach(), IMAGES.flatten(1) @ W1 + b1)


def test_5_relu_is_the_hand_written_one_whose_slope_alone_differs_and_only_at_zero() -> None:
    assert torch.equal(nn.ReLU()(IMAGES), mlp_scratch.relu(IMAGES))
    X = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    # Where both are equal, torch.maximum gives each of them half of the gradient; nn.ReLU gives none.
    for H, slopes in ((torch.maximum(X, torch.zeros(3)), [0, 0.5, 1]), (nn.ReLU()(X), [0, 0, 1])):
        assert torch.autograd.grad(H.sum(), X)[0].tolist() == slopes


def test_5_mean_loss_is_the_mean_of_the_losses() -> None:
    losses = nn.CrossEntropyLoss(reduction="none")(IMAGES[:, 0, 0, :10], LABELS)
    assert losses.shape == (60,)
    assert_close(nn.CrossEntropyLoss()(IMAGES[:, 0, 0, :10], LABELS), losses.mean())


def test_5_cross_entropy_is_minus_log_softmax_at_the_label() -> None:
    scores = 10 * IMAGES[:, 0, 0, :10].double()
    losses = -scores.log_softmax(1)[torch.arange(60), LABELS]
    assert torch.equal(losses, nn.CrossEntropyLoss(reduction="none")(scores, LABELS))
    # Why the loss takes logits: of large ones softmax is 0, of which the log is -inf and the gradient nan.
    large = torch.tensor([0.0, 1000.0], requires_grad=True)
    for logs, value, finite in ((large.log_softmax(0), -1000, True), (large.softmax(0).log(), -math.inf, False)):
        assert logs[0] == value
        assert torch.autograd.grad(logs[0], large)[0].isfinite().all() == finite


def test_5_sgd_subtracts_lr_times_the_gradient() -> None:
    W, p = nn.Parameter(W2.clone()), nn.Parameter(W2.clone())
    ((W**3).sum() + (p**3).sum()).backward()  # the gradient is 3 * W**2
    SGD([W], lr=0.1).step()
    assert p.grad is not None
    p.data -= 0.1 * p.grad
    assert_close([W, p.detach()], [p, W2 - 0.1 * 3 * W2**2])


def test_5_make_net_is_flatten_linear_relu_linear() -> None:
    torch.manual_seed(SEED)
    net = mlp_api.make_net(300)
    say(isinstance(net, nn.Module), "make_net must return a network.", net)
    say(not any(map(nn.parameter.is_lazy, net.parameters())), "Use nn.Linear: init_weights cannot draw a lazy layer.")
    layers = ", ".join(type(layer).__name__ for layer in net.modules() if not [*layer.children()])
    sentence = f"make_net(300) must make Flatten, Linear, ReLU, Linear. It makes {layers}."
    torch.manual_seed(SEED)
    drawn = nn.ModuleList([nn.Linear(784, 300), nn.Linear(300, 10)])
    found, needed = ({(*W.shape, W.dtype): W for W in part.parameters()} for part in (net, drawn))
    say(set(found) == set(needed), f"{sentence} Its parameters are {[*found]}, they must be {[*needed]}.")
    own = all(torch.equal(found[shape], needed[shape]) for shape in needed)
    say(own, f"{sentence} Leave the weights as nn.Linear draws them, first layer first, and set no seed.")
    for W in WEIGHTS:
        found[(*W.t().shape, W.dtype)].data = W.t().clone()
    try:
        y_hat = net(IMAGES.clone())
    except Exception as error:
        pytest.fail(f"{sentence} nn.Flatten() comes first, for images [60, 1, 28, 28]: {error}.", pytrace=False)
    grade_network(y_hat, IMAGES, dict(net.named_parameters()), sentence)


def test_5_init_weights_redraws_every_linear_layer_and_nothing_else() -> None:
    conv, layers = nn.Conv2d(1, 4, 3), [nn.Linear(784, 300), nn.Linear(300, 300), nn.Linear(300, 10)]
    kept, old = copy.deepcopy(conv), copy.deepcopy(layers)
    torch.manual_seed(SEED)
    mlp_api.init_weights(layers[0])
    nn.Sequential(conv, nn.Sequential(layers[1]), layers[2]).apply(mlp_api.init_weights)
    same = all(map(torch.equal, conv.parameters(), kept.parameters()))
    say(same, "init_weights must leave a layer that is no nn.Linear alone, here an nn.Conv2d.")
    torch.manual_seed(SEED)
    for layer, before in zip(layers, old, strict=True):
        weight, bias, right = layer.weight, layer.bias, torch.randn(before.weight.shape) * 0.01
        changed = not torch.equal(weight, before.weight)
        say(changed, f"The weight of {layer} is still as nn.Linear drew it: change module.weight itself, in place.")
        same = (weight.shape, weight.dtype) == (right.shape, right.dtype) and torch.allclose(weight, right, atol=1e-8)
        found = f"{list(weight.shape)} {weight.dtype}, mean {weight.mean():.4f}, deviation {weight.std():.4f}"
        say(same, f"A weight must be drawn once, normal with mean 0 and deviation 0.01, without a seed. It is {found}.")
        zero = isinstance(bias, Tensor) and bias.shape == before.bias.shape and not bias.any()
        say(zero, f"The bias of {layer} must be {layer.out_features} zeros: nn.Linear draws it, set it to zero.")
        say(weight.requires_grad and bias.requires_grad, "requires_grad must stay True, or nothing is trained.")


def test_5_both_versions_are_one_network_after_fifty_steps() -> None:
    net, params = mlp_api.make_net(300), copy.deepcopy(PARAMS)
    transposed = {param.shape: param for param in net.parameters()}
    for W in WEIGHTS:
        transposed[W.t().shape].data = W.t().clone()
    hand = partial(mlp_scratch.forward, **params), nn.CrossEntropyLoss(reduction="none"), SGD(params.values(), lr=0.1)
    layers = net, nn.CrossEntropyLoss(), SGD(net.parameters(), lr=0.1)
    for n in [*range(5)] * 10:
        batch = [(IMAGES[n::5], LABELS[n::5])]
        one, other = (common.train_epoch(net, batch, loss, trainer) for net, loss, trainer in (hand, layers))
        # Float32 rounds: a hidden unit that is nearly zero may be on for one and off for the other.
        assert_close(one, other, rtol=0, atol=1e-4)
