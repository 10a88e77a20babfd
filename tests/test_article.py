"""The article's claims by section, which grade your own code: `pytest -k test_4_1_4` for relu."""

import hashlib
import math
import re
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.optim import SGD

import article
import common
import mlp_api
import mlp_scratch
from conftest import ROOT, Capture, Patch, both_scripts

close = partial(torch.testing.assert_close, rtol=0, atol=1e-12)

# Sixty images of noise, and weights of a size that makes the hidden units' signs differ, in float64.
generator = torch.Generator().manual_seed(2)
draw = partial(torch.randn, generator=generator, dtype=torch.float64)
IMAGES, LABELS = draw(60, 1, 28, 28), torch.randint(10, (60,), generator=generator)
BATCHES = [(IMAGES[:40], LABELS[:40]), (IMAGES[40:], LABELS[40:])]
W1, b1, W2, b2 = WEIGHTS = [draw(784, 256) / 20, draw(256) / 20, draw(256, 10) / 20, draw(10) / 20]


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(W.clone()) for W in WEIGHTS]


def filled(net: nn.Module) -> nn.Module:
    """Give a network of PyTorch's layers the weights above."""
    for param, W in zip(net.double().parameters(), WEIGHTS, strict=True):
        param.data = W.t().clone()
    return net


def say(right: object, sentence: str) -> None:
    """Fail with the sentence alone unless it is right."""
    if not right:
        pytest.fail(sentence, pytrace=False)


def kind(result: object) -> str:
    return "nothing" if result is None else f"a {type(result).__name__}"


def grade(actual: object, right: Tensor | float, sentence: str, **mistakes: Tensor | float) -> None:
    """Fail with the sentence, and with the name of the mistake that gives these very numbers."""
    say(isinstance(actual, Tensor | float | int), f"{sentence} What came back is {kind(actual)}.")
    numbers, expected = (torch.as_tensor(values, dtype=torch.float64).detach() for values in (actual, right))
    for mistake, values in {"": right, **mistakes}.items():
        wrong = torch.as_tensor(values, dtype=torch.float64)
        if numbers.shape == wrong.shape and torch.allclose(numbers, wrong, 1e-6):
            say(not mistake, f"{sentence} It looks like {mistake.replace('__', ', ').replace('_', ' ')}.")
            return
    say(numbers.shape == expected.shape, f"{sentence} It has the shape {list(numbers.shape)}.")
    place = (numbers - expected).abs().argmax()
    say(False, f"{sentence} It is {numbers.flatten()[place]:.4f} where {expected.flatten()[place]:.4f} is right.")


# 4 From scratch


def test_4_two_linear_layers_without_activation_are_one_linear_layer(monkeypatch: Patch) -> None:
    monkeypatch.setattr(mlp_scratch, "relu", lambda X: X)
    merged = IMAGES.flatten(1) @ (W1 @ W2) + (b1 @ W2 + b2)
    grade(mlp_scratch.forward(IMAGES, W1, b1, W2, b2), merged, "Without relu, O = X (W1 W2) + (b1 W2 + b2).")


@pytest.mark.parametrize("activation", ["relu", "none"])
def test_4_relu_and_not_the_number_of_layers_lets_a_network_learn_more(activation: str, monkeypatch: Patch) -> None:
    """Left and right half of an image are dark or light; the class says whether they differ."""
    if activation == "none":
        monkeypatch.setattr(mlp_scratch, "relu", lambda X: X)
    X, y = torch.zeros(4, 1, 28, 28), torch.tensor([0, 1, 1, 0])
    X[1::2, :, :, :14] = X[2:, :, :, 14:] = 0.1
    torch.manual_seed(0)
    params = [nn.Parameter(param.detach() * 10) for param in mlp_scratch.init_params(64)]
    trainer = SGD(params, lr=1)
    for _ in range(150):
        common.train_epoch(lambda X: mlp_scratch.forward(X, *params), [(X, y)], nn.CrossEntropyLoss(), trainer)
    correct = common.accuracy(mlp_scratch.forward(X, *params), y)
    # No linear layer can tell these four images apart, and two of them are one.
    say(
        (correct == 4) == (activation == "relu"),
        f"With the activation {activation}, {correct} of 4 images are learned.",
    )


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
    rows = re.findall(r"^\| (\S+-ubyte) \| (\d+) \| ([0-9a-f]{32}) \|$", readme, re.MULTILINE)
    assert len(rows) == 4
    for name, size, md5 in rows:
        content = (ROOT / "data" / "FashionMNIST" / "raw" / name).read_bytes()
        assert (len(content), hashlib.md5(content).hexdigest()) == (int(size), md5), name


def test_4_1_2_batches_shuffled_or_not_are_bit_for_bit_those_of_totensor_and_a_stock_loader() -> None:
    passes = []
    for train_iter, test_iter in (common.load_data_fashion_mnist(256), article.loaders(256, common.DATA_DIR)):
        torch.manual_seed(5)
        passes.append([*train_iter, *test_iter, *train_iter])
        assert (len(train_iter), len(test_iter)) == (4, 2)
    assert all(torch.equal(*pair) for batches in zip(*passes, strict=True) for pair in zip(*batches, strict=True))


def test_4_1_3_init_params_draws_w1_and_w2_and_starts_both_biases_at_zero() -> None:
    torch.manual_seed(1)
    params = mlp_scratch.init_params(300)
    four = isinstance(params, list | tuple) and len(params) == 4
    say(four, f"init_params must return four parameters, [W1, b1, W2, b2]. What came back is {kind(params)}.")
    shapes = {"W1": [784, 300], "b1": [300], "W2": [300, 10], "b2": [10]}
    for (name, shape), param in zip(shapes.items(), params, strict=True):
        say(isinstance(param, nn.Parameter), f"{name} must be an nn.Parameter, to be trained.")
        actual = list(param.shape)
        say(actual == shape, f"init_params(300): {name} is {actual}, but X @ W1 + b1 and H @ W2 + b2 need {shape}.")
        say(param.dtype == torch.float32, f"{name} must be float32, not {param.dtype}.")
        std, mean = param.std().item(), param.mean().item()
        if name in ("b1", "b2"):
            say(not param.any(), f"{name} must be zero at the start, not drawn.")
            continue
        # Of n normal numbers the mean strays by 0.01 / sqrt(n), the standard deviation by less.
        stray = 5 * 0.01 / math.sqrt(param.numel())
        say(abs(std - 0.01) < stray, f"{name} has standard deviation {std:.4f}, it must be 0.01.")
        say(abs(mean) < stray, f"{name} has mean {mean:.4f}, it must be 0.")
    torch.manual_seed(1)
    drawn = all(torch.allclose(W, torch.randn(W.shape) * 0.01, atol=0) for W in params[::2])
    say(drawn, "Draw W1 with torch.randn, then W2, and nothing else: the tables depend on it.")


def test_4_1_4_relu_is_the_larger_of_x_and_zero_and_so_is_its_gradient() -> None:
    values = [-2.0, 3.0, 0.0, -1e-30, 1e-30, -1e30, 1e30]
    X = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    H = mlp_scratch.relu(X)
    say(isinstance(H, Tensor), f"relu must return a tensor, not {kind(H)}.")
    say(H.shape == X.shape, f"relu must keep the shape {list(X.shape)}, not make {list(H.shape)}.")
    for x, h in zip(values, H.tolist(), strict=True):
        say(h == max(x, 0), f"relu({x}) is {h}, but the larger of {x} and 0 is {max(x, 0.0)}.")
    say(H.requires_grad, "relu cuts the gradient off: compute with X itself.")
    (slopes,) = torch.autograd.grad(H.sum(), X)
    for x, slope in zip(values, slopes.tolist(), strict=True):
        say(x == 0 or slope == (x > 0), f"The slope of relu at {x} is {slope}, not {float(x > 0)}.")
    nan = mlp_scratch.relu(torch.tensor([math.nan]))
    say(nan.isnan(), f"relu(nan) is {nan.item()}: keep nan, as torch.maximum does, or nobody sees a training diverge.")


def test_4_1_5_forward_returns_the_logits() -> None:
    for size in (60, 16, 1):
        X = IMAGES[:size]
        H = X.flatten(1) @ W1 + b1
        right = article.logits(X, W1, b1, W2, b2)
        y_hat = mlp_scratch.forward(X, *parameters())
        grade(
            y_hat,
            right,
            f"forward must return relu(X W1 + b1) W2 + b2, [{size}, 10], for X [{size}, 1, 28, 28].",
            softmax_at_the_end__which_the_loss_holds=right.softmax(1),
            log_softmax_at_the_end__which_the_loss_holds=right.log_softmax(1),
            a_forgotten_b1=article.logits(X, W1, 0 * b1, W2, b2),
            a_forgotten_b2=article.logits(X, W1, b1, W2, 0 * b2),
            forgotten_biases=article.logits(X, W1, 0 * b1, W2, 0 * b2),
            b1_added_after_relu=((H - b1).relu() + b1) @ W2 + b2,
            a_forgotten_relu=H @ W2 + b2,
            another_relu_at_the_end=right.relu(),
            the_hidden_layer_H=H.relu(),
        )
        say(y_hat.requires_grad, "forward cuts the gradient off: compute with the parameters themselves.")


@both_scripts
def test_4_1_6_the_loss_holds_log_softmax_and_negative_log_likelihood(script: ModuleType, monkeypatch: Patch) -> None:
    monkeypatch.setattr(common, "train", lambda *args: args)
    _, _, (_, _, _, loss, _, _) = script.main([])
    scores = IMAGES[:, 0, 0, :10] * 30
    losses = scores.logsumexp(1) - scores[torch.arange(60), LABELS]
    actual = loss(scores, LABELS)
    grade(actual, losses if actual.ndim else losses.mean(), "The loss is -log softmax of the label.")


def train_by_hand(reduction: str = "mean", **options: Any) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Take a step a batch; return all parameters in a row, and of each batch the losses and the hits."""
    params, losses, hits = parameters(), [], []
    trainer = SGD(params, **{"lr": 0.1, **options})
    for X, y in BATCHES:
        scores = article.logits(X, *params)
        losses.append(cross_entropy(scores, y, reduction="none"))
        hits.append((scores.argmax(1) == y).double())
        trainer.zero_grad()
        cross_entropy(scores, y, reduction=reduction).backward()
        trainer.step()
    return nn.utils.parameters_to_vector(params), losses, hits


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_4_1_7_a_step_moves_all_parameters_against_the_gradient_of_the_mean_loss(reduction: str) -> None:
    params, loss, stop = parameters(), nn.CrossEntropyLoss(reduction=reduction), ""
    sentence = "A step must be: y_hat, mean_loss as one number, zero_grad, backward, step."
    try:
        metrics = common.train_epoch(lambda X: article.logits(X, *params), BATCHES, loss, SGD(params, lr=0.1))
    except Exception as error:
        stop = str(error)
    say(not stop, f"{sentence} It stops: {stop}.")
    right, losses, hits = train_by_hand()
    grade(
        nn.utils.parameters_to_vector(params),
        right,
        sentence,
        no_step_at_all__or_gradients_zeroed_after_backward=train_by_hand(lr=0)[0],
        gradients_added_up_over_the_batches__for_want_of_zero_grad=train_by_hand(momentum=1)[0],
        the_sum_of_the_losses_in_place_of_their_mean=train_by_hand("sum")[0],
        the_sum_of_the_losses_and_gradients_added_up=train_by_hand("sum", momentum=1)[0],
        steps_in_the_wrong_direction=train_by_hand(maximize=True)[0],
    )
    sentence = "Loss and accuracy of an epoch are means over all samples, taken before each step."
    for metric, (first, last) in zip(metrics, (losses, hits), strict=True):
        mean_of_means = (first.mean() + last.mean()) / 2
        grade(metric, torch.cat([first, last]).mean(), sentence, the_mean_of_batch_means=mean_of_means)


def test_4_accuracy_counts_the_correct_predictions() -> None:
    y = torch.tensor([0, 2, 1, 1, 2])
    logits = torch.tensor([[3, 1, 2], [0, 4, 4], [2, 7, 1], [1, 0, 2], [0, 1, 9]]) / 2
    sentence = "accuracy is the number of rows whose first largest score stands at the label: 3 of 5."
    actual = common.accuracy(logits, y)
    grade(actual, 3, sentence, argmin_in_place_of_argmax=1, a_share_of_the_batch=0.6, the_last_of_equals=4)
    grade(common.accuracy(torch.tensor([0, 2, 0, 1, 1]), y), 3, "With class indices it counts equal ones, here 3 of 5.")


class Watched(nn.PReLU):
    """A layer that leaves positive numbers as they are, and notes the modes in which it does so."""

    def forward(self, X: Tensor) -> Tensor:
        self.modes = {"training": self.training, "gradients": torch.is_grad_enabled()}
        return super().forward(X)


def test_4_evaluate_accuracy_is_a_share_of_all_samples_without_gradients() -> None:
    labels = [torch.tensor([0, 1, 1, 2]), torch.tensor([2, 0])]
    batches = [(one_hot(y, 10).float(), y) for y in labels]
    batches[0][0][0] = batches[0][0][2]  # one mistake
    net = Watched()
    grade(
        common.evaluate_accuracy(net, batches),
        5 / 6,
        "The accuracy is the number correct, divided by the number of samples.",
        a_number_correct=5,
        a_number_correct_divided_by_the_number_of_batches=5 / 2,
        the_mean_of_batch_means=(3 / 4 + 1) / 2,
    )
    say(not net.modes["gradients"], "Evaluate without gradients: with torch.no_grad().")
    say(not net.modes["training"], "Put an nn.Module into eval mode first.")
    common.evaluate_accuracy(lambda X: X, batches)  # a function has no modes


def test_4_modes_a_module_trains_in_train_mode_and_predicts_in_eval_mode() -> None:
    net, batches = Watched(), [(torch.rand(6, 10), torch.arange(6))]
    common.train_epoch(net.eval(), batches, nn.CrossEntropyLoss(), SGD(net.parameters(), lr=0.1))
    assert net.modes == {"training": True, "gradients": True}
    common.predict(net.train(), batches)
    assert net.modes == {"training": False, "gradients": False}


def test_4_the_accumulator_keeps_n_sums_and_takes_exactly_n_numbers() -> None:
    metric = common.Accumulator(2)
    metric.add(1.5, 2)
    metric.add(-4, 5)
    assert [metric[0], metric[1]] == [-2.5, 7]
    for wrong in ([1], [1, 2, 3]):
        with pytest.raises(ValueError, match="argument"):
            metric.add(*wrong)


@both_scripts
def test_4_a_run_trains_all_203530_parameters_and_prints_each_epoch(script: ModuleType, capsys: Capture) -> None:
    _, before, _ = script.main(["--epochs=1"])
    capsys.readouterr()
    net, params, history = script.main(["--epochs=2"])
    assert [param.numel() for param in params] == [784 * 256, 256, 256 * 10, 10]
    assert not any(torch.equal(*both) for both in zip(params, before, strict=True))
    assert capsys.readouterr().out.splitlines()[3:5] == [
        f"epoch {n:02d}: train_loss={loss:.4f}, train_acc={train_acc:.4f}, test_acc={test_acc:.4f}"
        for n, (loss, train_acc, test_acc) in enumerate(history, start=1)
    ]
    _, test_iter = common.load_data_fashion_mnist(256)
    assert history[1].test_acc == common.evaluate_accuracy(net, test_iter)
    for param in params:
        param.data.zero_()
    assert not net(torch.ones(1, 1, 28, 28)).any()  # without them, nothing is left of it


def test_4_predict_prints_and_returns_the_class_names_of_the_first_test_batch(capsys: Capture) -> None:
    classes = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
    batch = (torch.zeros(10, 1, 28, 28), torch.arange(10))
    names = common.predict(lambda X: torch.eye(10).flip(0), [batch, batch], n=12)
    assert names == [*zip(classes, reversed(classes), strict=True)]
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"{number}. true: {true:<10} predicted: {predicted}" for number, (true, predicted) in enumerate(names, start=1)
    ]


# 5 With PyTorch's API, one hand-written part after the other


def test_5_flatten_is_the_reshape() -> None:
    assert torch.equal(nn.Flatten()(IMAGES), IMAGES.reshape(-1, mlp_scratch.num_inputs))


def test_5_linear_is_x_at_w1_plus_b1_with_its_weight_transposed() -> None:
    layer = nn.Linear(784, 256).double()
    layer.weight.data, layer.bias.data = W1.T, b1
    close(layer(IMAGES.flatten(1)).detach(), IMAGES.flatten(1) @ W1 + b1)


def test_5_relu_is_the_hand_written_one() -> None:
    assert torch.equal(nn.ReLU()(IMAGES), mlp_scratch.relu(IMAGES))


def test_5_mean_loss_is_the_mean_of_the_losses() -> None:
    losses = nn.CrossEntropyLoss(reduction="none")(IMAGES[:, 0, 0, :10], LABELS)
    assert losses.shape == (60,)
    close(nn.CrossEntropyLoss()(IMAGES[:, 0, 0, :10], LABELS), losses.mean())


def test_5_sgd_subtracts_lr_times_the_gradient() -> None:
    W = nn.Parameter(W2.clone())
    (W**3).sum().backward()  # of which the gradient is 3 * W**2
    SGD([W], lr=0.1).step()
    close(W.detach(), W2 - 0.1 * (3 * W2**2))


def test_5_make_net_is_flatten_linear_relu_linear() -> None:
    for num_hiddens in (300, 256):
        net = mlp_api.make_net(num_hiddens)
        say(isinstance(net, nn.Module), f"make_net must return a network, not {kind(net)}.")
        shapes = [list(param.shape) for param in net.parameters()]
        needed = [[num_hiddens, 784], [num_hiddens], [10, num_hiddens], [10]]
        say(shapes == needed, f"make_net({num_hiddens}): the parameters must be {needed}, not {shapes}.")
    right = article.logits(IMAGES, *WEIGHTS)
    grade(
        filled(net)(IMAGES),
        right,
        "The network must be Flatten, Linear, ReLU, Linear.",
        softmax_at_the_end__which_the_loss_holds=right.softmax(1),
        a_forgotten_ReLU=(IMAGES.flatten(1) @ W1 + b1) @ W2 + b2,
        another_ReLU_at_the_end=right.relu(),
    )


def test_5_init_weights_redraws_every_linear_layer_and_nothing_else() -> None:
    conv, inner, last = nn.Conv2d(1, 4, 3), nn.Linear(300, 300), nn.Linear(300, 10)
    kernel = conv.weight.detach().clone()
    torch.manual_seed(1)
    nn.Sequential(conv, nn.Sequential(inner), last).apply(mlp_api.init_weights)
    say(torch.equal(conv.weight, kernel), "init_weights must leave a layer that is no nn.Linear alone.")
    for layer in (inner, last):
        std, mean = layer.weight.std().item(), layer.weight.mean().item()
        say(abs(std - 0.01) < 0.001, f"A weight has standard deviation {std:.4f}, it must be 0.01.")
        say(abs(mean) < 0.001, f"A weight has mean {mean:.4f}, it must be 0.")
        say(not layer.bias.any(), "A bias is not zero: nn.Linear draws it, set it to zero.")


def test_5_both_versions_are_one_network_after_fifty_steps() -> None:
    params, net = parameters(), filled(mlp_api.make_net(256))
    batches = [(IMAGES[n::5], LABELS[n::5]) for n in range(5)]
    scratch_loss, api_loss = nn.CrossEntropyLoss(reduction="none"), nn.CrossEntropyLoss()
    scratch_trainer, api_trainer = SGD(params, lr=0.1), SGD(net.parameters(), lr=0.1)
    # Each adds up its products in an order of its own, which in float64 makes about 1e-15.
    for _ in range(10):
        scratch = common.train_epoch(lambda X: mlp_scratch.forward(X, *params), batches, scratch_loss, scratch_trainer)
        close(common.train_epoch(net, batches, api_loss, api_trainer), scratch)
    close(list(net.parameters()), [param.t() for param in params])
