"""The article's claims by section, which grade your own code: `pytest -k test_4_1_4` for relu."""

import hashlib
import inspect
import math
import re
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.datasets import FashionMNIST

import article
import common
import mlp_api
import mlp_scratch
from article import Array

both_scripts = pytest.mark.parametrize("script", [mlp_scratch, mlp_api], ids=["scratch", "api"])
Params = list[nn.Parameter]


def say(right: object, sentence: str) -> None:
    """Fail with the sentence alone unless it is right."""
    if not right:
        pytest.fail(sentence, pytrace=False)


def grade(actual: object, right: Array | float, sentence: str, **mistakes: Array | float) -> None:
    """Fail with the sentence, and with the name of the mistake that gives these very numbers."""
    say(isinstance(actual, Tensor | float | int), f"{sentence} What came back is {actual!r}.")
    numbers = torch.as_tensor(actual, dtype=torch.float64).detach()

    def equal(other: Array | float) -> bool:
        tensor = torch.as_tensor(other, dtype=torch.float64)
        return tensor.shape == numbers.shape and torch.allclose(numbers, tensor, 1e-9, 1e-12)

    if not equal(right):
        names = [name.replace("_", " ") for name, wrong in mistakes.items() if equal(wrong)]
        say(False, f"{sentence} It looks like {names[0]}." if names else f"{sentence} It is not so.")


@pytest.fixture
def params() -> Params:
    """W1, b1, W2, b2 in float64, of a size that makes the hidden units' signs differ."""
    generator = torch.Generator().manual_seed(2)
    shapes = [(784, 256), (256,), (256, 10), (10,)]
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    return [nn.Parameter(draw(shape) * 0.05) for shape in shapes]


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Sixty images of noise in float64 and their labels."""
    generator = torch.Generator().manual_seed(3)
    X = torch.rand(60, 1, 28, 28, generator=generator, dtype=torch.float64)
    return X, torch.randint(10, (60,), generator=generator)


def scratch_net(params: Params) -> common.Net:
    """The hand-written network with these parameters."""
    return lambda X: mlp_scratch.forward(X, *params)


def arrays(tensors: Params) -> list[Array]:
    """Copies of the tensors for NumPy."""
    return [np.array(tensor.tolist()) for tensor in tensors]


@pytest.fixture(params=[mlp_scratch, mlp_api], ids=["scratch", "api"])
def handed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> inspect.BoundArguments:
    """What each script's main hands to common.train, from net to epochs."""
    calls = []
    signature = inspect.signature(common.train)

    def train(*args: object) -> list[common.Epoch]:
        calls.append(signature.bind(*args))
        return []

    monkeypatch.setattr(common, "train", train)
    request.param.main([])
    return calls[0]


# 4 From scratch


def test_4_two_linear_layers_without_activation_are_one_linear_layer(
    params: Params, batch: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlp_scratch, "relu", lambda X: X)
    W1, b1, W2, b2 = arrays(params)
    merged = batch[0].flatten(1).numpy() @ (W1 @ W2) + (b1 @ W2 + b2)
    grade(mlp_scratch.forward(batch[0], *params), merged, "Without relu, O = X (W1 W2) + (b1 W2 + b2).")


@pytest.mark.parametrize("activation", ["relu", "none"])
def test_4_relu_and_not_the_number_of_layers_lets_a_network_learn_more(
    activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left and right half of an image are dark or light; the class says whether they differ."""
    if activation == "none":
        monkeypatch.setattr(mlp_scratch, "relu", lambda X: X)
    X = torch.zeros(4, 1, 28, 28)
    X[1::2, :, :, :14] = X[2:, :, :, 14:] = 0.1
    y = torch.tensor([0, 1, 1, 0])
    torch.manual_seed(0)
    params = [nn.Parameter(param.detach() * 10) for param in mlp_scratch.init_params(64)]
    net = scratch_net(params)
    trainer = torch.optim.SGD(params, lr=1)
    for _ in range(150):
        common.train_epoch(net, [(X, y)], nn.CrossEntropyLoss(), trainer)
    correct = common.accuracy(net(X), y)
    if activation == "relu":
        say(correct == 4, f"With relu the two layers learn all 4 images, not {correct:.0f}.")
    else:
        say(correct < 4, "No linear layer can tell these 4 images apart, and two of them are one.")


@both_scripts
def test_4_1_1_the_hyperparameters_are_the_article_s(script: ModuleType) -> None:
    article_s = {"batch_size": 256, "num_inputs": 784, "num_outputs": 10, "num_hiddens": 256}
    for name, value in (article_s | {"num_epochs": 10, "lr": 0.1}).items():
        actual = getattr(script, name)
        say(actual == value, f"{name} is {actual} in {script.__name__}.py, the article's is {value}.")


@both_scripts
def test_4_1_1_a_constant_that_is_edited_takes_effect(
    script: ModuleType, small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--data-dir", str(small_data)]
    numbers = ["--batch-size=99", "--num-hiddens=7", "--epochs=2", "--lr=0.2"]
    expected = script.main([*numbers, *options])
    for name, value in (("batch_size", 99), ("num_hiddens", 7), ("num_epochs", 2), ("lr", 0.2)):
        monkeypatch.setattr(script, name, value)
    assert script.main(options)[2] == expected[2]


def test_4_1_2_the_data_files_have_the_publisher_s_checksums() -> None:
    raw = common.DATA_DIR / "FashionMNIST" / "raw"
    readme = (common.DATA_DIR / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+-ubyte) \| (\d+) \| ([0-9a-f]{32}) \|$", readme, re.MULTILINE)
    published = {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    }
    assert {name: md5 for name, _, md5 in rows} == published
    for name, size, md5 in rows:
        content = (raw / name).read_bytes()
        assert (len(content), hashlib.md5(content).hexdigest()) == (int(size), md5), name


def test_4_1_2_batches_and_random_draws_are_bit_for_bit_those_of_totensor_and_a_stock_loader(small_data: Path) -> None:
    passes = []
    for loaders in (common.load_data_fashion_mnist(256, small_data), article.loaders(256, small_data)):
        torch.manual_seed(5)
        passes.append(([*loaders[0], *loaders[1], *loaders[0]], torch.get_rng_state()))
    (ours, our_state), (stock, stock_state) = passes
    assert len(ours) == len(stock)
    for (X, y), (stock_X, stock_y) in zip(ours, stock, strict=True):
        assert torch.equal(X, stock_X), "not the images that ToTensor makes, in the stock order"
        assert torch.equal(y, stock_y), "not the labels in the stock order"
    assert torch.equal(our_state, stock_state), "the next pass would differ"


def test_4_1_2_training_batches_are_shuffled_anew_every_epoch_and_test_batches_are_not() -> None:
    loaders = common.load_data_fashion_mnist(256)
    in_order = [FashionMNIST(common.DATA_DIR, train=train).targets for train in (True, False)]
    first, second = (torch.cat([y for _, y in loaders[0]]) for _ in range(2))
    assert not torch.equal(first, second), "both epochs have the same order"
    assert not torch.equal(first, in_order[0]), "the first epoch is not shuffled"
    assert first.bincount().tolist() == second.bincount().tolist() == [6000] * 10
    assert torch.equal(torch.cat([y for _, y in loaders[1]]), in_order[1])
    assert [len(loader) for loader in loaders] == [235, 40], "len() counts batches"
    X, y = next(iter(loaders[0]))
    assert (X.shape, X.dtype, y.dtype) == ((256, 1, 28, 28), torch.float32, torch.int64)
    assert (X.min(), X.max()) == (0, 1)


def test_4_1_3_init_params_draws_w1_and_w2_and_starts_both_biases_at_zero() -> None:
    torch.manual_seed(1)
    params = mlp_scratch.init_params(300)
    four = isinstance(params, list | tuple) and len(params) == 4
    say(four, f"init_params must return [W1, b1, W2, b2], not {params!r}.")
    shapes = {"W1": [784, 300], "b1": [300], "W2": [300, 10], "b2": [10]}
    for (name, shape), param in zip(shapes.items(), params, strict=True):
        say(isinstance(param, nn.Parameter), f"{name} must be an nn.Parameter, to be trained.")
        actual = list(param.shape)
        say(actual == shape, f"{name} is {actual}, but X @ W1 + b1 and H @ W2 + b2 need {shape}.")
        say(param.dtype == torch.float32, f"{name} must be float32, not {param.dtype}.")
    for name, b in (("b1", params[1]), ("b2", params[3])):
        say(not b.any(), f"{name} must be zero at the start, not drawn.")
    for name, W in (("W1", params[0]), ("W2", params[2])):
        std, mean = W.std().item(), W.mean().item()
        # Of n normal numbers the mean strays by 0.01 / sqrt(n), the standard deviation by less.
        stray = 5 * 0.01 / math.sqrt(W.numel())
        say(abs(std - 0.01) < stray, f"{name} has standard deviation {std:.4f}, it must be 0.01.")
        say(abs(mean) < stray, f"{name} has mean {mean:.4f}, it must be 0.")
    torch.manual_seed(1)
    expected = [torch.randn(784, 300) * 0.01, torch.randn(300, 10) * 0.01]
    drawn = all(torch.equal(W, E) for W, E in zip(params[::2], expected, strict=True))
    say(drawn, "Draw W1 with torch.randn, then W2, and nothing else: the tables depend on it.")


def test_4_all_203530_parameters_are_trained(handed: inspect.BoundArguments) -> None:
    net, train_iter, _, loss, trainer, _ = handed.args
    params = trainer.param_groups[0]["params"]
    assert [param.numel() for param in params] == [784 * 256, 256, 256 * 10, 10]
    before = [param.detach().clone() for param in params]
    common.train_epoch(net, list(islice(train_iter, 2)), loss, trainer)
    assert not any(torch.equal(param, old) for param, old in zip(params, before, strict=True))


def test_4_1_4_relu_is_the_larger_of_x_and_zero_and_so_is_its_gradient() -> None:
    values = [-math.inf, -1e30, -2.0, -1e-30, 0.0, 1e-30, 3.0, 1e30, math.inf]
    X = torch.tensor(values, requires_grad=True)
    H = mlp_scratch.relu(X)
    say(isinstance(H, Tensor), f"relu must return a tensor, not {H!r}.")
    say(H.shape == X.shape, f"relu must keep the shape {list(X.shape)}, not make {list(H.shape)}.")
    for x, h in zip(values, H.tolist(), strict=True):
        x32 = torch.tensor(max(x, 0.0)).item()
        say(h == x32, f"relu({x}) is {h}, but the larger of {x} and 0 is {max(x, 0.0)}.")
    say(H.requires_grad, "relu cuts the gradient off: compute with X itself.")
    H.backward(torch.full_like(H, 2.5))
    assert X.grad is not None
    for x, slope in zip(values, (X.grad / 2.5).tolist(), strict=True):
        say(x == 0 or slope == (x > 0), f"The slope of relu at {x} is {slope}, not {float(x > 0)}.")
    nan = mlp_scratch.relu(torch.tensor(math.nan))
    say(nan.isnan(), "relu hides nan, so a training that diverged would go on unnoticed.")


@pytest.mark.parametrize("size", [60, 16, 1])
def test_4_1_5_forward_returns_the_logits(size: int, params: Params, batch: tuple[Tensor, Tensor]) -> None:
    X = batch[0][:size]
    W1, b1, W2, b2 = weights = arrays(params)
    rows = X.reshape(size, 784).numpy()
    right = article.logits(rows, *weights)
    grade(
        mlp_scratch.forward(X, *params),
        right,
        f"forward must return relu(X W1 + b1) W2 + b2, [{size}, 10], for X [{size}, 1, 28, 28].",
        softmax_at_the_end__which_the_loss_holds=article.softmax(right),
        log_softmax_at_the_end__which_the_loss_holds=np.log(article.softmax(right)),
        a_forgotten_b1=article.logits(rows, W1, 0 * b1, W2, b2),
        a_forgotten_b2=article.logits(rows, W1, b1, W2, 0 * b2),
        forgotten_biases=article.logits(rows, W1, 0 * b1, W2, 0 * b2),
        a_forgotten_relu=(rows @ W1 + b1) @ W2 + b2,
        another_relu_at_the_end=np.maximum(right, 0),
        the_hidden_layer_H=np.maximum(rows @ W1 + b1, 0),
    )


def test_4_1_6_the_loss_takes_logits_and_holds_log_softmax_and_negative_log_likelihood(
    handed: inspect.BoundArguments, batch: tuple[Tensor, Tensor]
) -> None:
    _, _, _, loss, _, _ = handed.args
    scores = batch[0].reshape(60, -1)[:, :10] * 30
    losses = -np.log(article.softmax(scores.numpy())[np.arange(60), batch[1].numpy()])
    actual = loss(scores, batch[1])
    grade(actual, losses if actual.ndim else losses.mean(), "The loss is -log softmax of the label.")


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_4_1_7_a_step_moves_all_parameters_against_the_gradient_of_the_mean_loss(
    reduction: str, params: Params, batch: tuple[Tensor, Tensor]
) -> None:
    X, y = batch
    W1, b1, W2, b2 = params
    before, rows, labels = arrays(params), X.flatten(1).numpy(), y.numpy()
    batches, halves = [(X[:40], y[:40]), (X[40:], y[40:])], (slice(40), slice(40, 60))

    def steps(scale: Callable[[int], float], keep: float = 0) -> Array:
        """The parameters after two steps by hand, as one row; keep: of the gradient before."""
        now, last = before, [0 * param for param in before]
        for half in halves:
            new = article.gradients(rows[half], labels[half], now)
            last = [keep * old + scale(len(rows[half])) * g for old, g in zip(last, new, strict=True)]
            now = [param - 0.1 * g for param, g in zip(now, last, strict=True)]
        return np.concatenate([param.ravel() for param in now])

    trainer = torch.optim.SGD(params, lr=0.1)

    def net(X: Tensor) -> Tensor:
        return torch.relu(X.flatten(1) @ W1 + b1) @ W2 + b2

    sentence = "A step must be: forward, mean loss, zero_grad, backward, trainer.step()."
    try:
        common.train_epoch(net, batches, nn.CrossEntropyLoss(reduction=reduction), trainer)
    except NameError as error:
        say(False, f"{sentence} The line after it needs y_hat and mean_loss: {error}.")
    grade(
        torch.cat([param.flatten() for param in params]),
        steps(lambda n: 1),
        sentence,
        no_step_at_all__or_gradients_zeroed_after_backward=steps(lambda n: 0),
        gradients_added_up_over_the_batches__for_want_of_zero_grad=steps(lambda n: 1, keep=1),
        the_sum_of_the_losses_in_place_of_their_mean=steps(lambda n: n),
        the_sum_of_the_losses__and_gradients_added_up=steps(lambda n: n, keep=1),
        steps_in_the_wrong_direction=steps(lambda n: -1),
    )


def test_4_metrics_of_an_epoch_are_means_over_all_samples_taken_while_training() -> None:
    weight = nn.Parameter(torch.zeros(1, 2, dtype=torch.float64))
    sizes, loss_sum, correct = (3, 5, 2), 0.0, 0
    generator = torch.Generator().manual_seed(4)
    batches = [
        (torch.rand(n, 1, generator=generator, dtype=torch.float64), torch.ones(n).long() * (n > 2)) for n in sizes
    ]
    plain, means, hits = np.zeros((1, 2)), list[float](), list[float]()
    for X, y in batches:
        x, P = X.numpy(), article.softmax(X.numpy() @ plain)
        labels = y.numpy()
        losses = -np.log(P[np.arange(len(y)), labels])
        right = (P.argmax(axis=1) == labels).sum()
        loss_sum, correct = loss_sum + losses.sum(), correct + int(right)
        means, hits = [*means, losses.mean()], [*hits, right / len(y)]
        plain = plain - 0.5 * x.T @ ((P - np.eye(2)[labels]) / len(y))
    trainer = torch.optim.SGD([weight], lr=0.5)
    result = common.train_epoch(lambda X: X @ weight, batches, nn.CrossEntropyLoss(), trainer)
    weighted = "Weigh each batch's mean by its length: the last batch is smaller."
    grade(result[0], loss_sum / 10, weighted, the_mean_of_batch_means=float(np.mean(means)), a_sum=loss_sum)
    grade(result[1], correct / 10, weighted, the_mean_of_batch_means=float(np.mean(hits)), a_sum=correct)


def test_4_accuracy_counts_the_correct_predictions() -> None:
    y = torch.tensor([0, 2, 1, 1, 2])
    logits = torch.tensor([[3, 1, 2], [0, 4, 4], [2, 7, 1], [1, 0, 2], [0, 1, 9]]) / 2
    sentence = "accuracy is the number of rows whose first largest score stands at the label: 3 of 5."
    actual = common.accuracy(logits, y)
    grade(actual, 3, sentence, argmin_in_place_of_argmax=1, a_share=0.6, the_last_of_equals=4)
    indices = torch.tensor([0, 2, 0, 1, 1])
    grade(common.accuracy(indices, y), 3, "With class indices it counts equal ones, here 3 of 5.")


@pytest.mark.parametrize("last", [2, 4])
def test_4_evaluate_accuracy_is_a_share_of_all_samples_without_gradients(last: int) -> None:
    labels = [torch.tensor([0, 1, 1, 2]), torch.tensor([2, 0, 1, 1])[:last]]
    batches = [(nn.functional.one_hot(y, 10).float(), y) for y in labels]
    batches[0][0][0] = batches[0][0][2]  # one mistake
    modes = []

    class Net(nn.Dropout):
        def forward(self, X: Tensor) -> Tensor:
            modes.append((self.training, torch.is_grad_enabled()))
            return X

    net = Net()
    grade(
        common.evaluate_accuracy(net, batches),
        (3 + last) / (4 + last),
        "The accuracy is the number correct, divided by the number of samples.",
        a_number_correct=3 + last,
        a_number_correct_divided_by_the_number_of_batches=(3 + last) / 2,
        the_mean_of_batch_means=(3 / 4 + 1) / 2 if last == 2 else -1,
    )
    say(not any(grad for _, grad in modes), "Evaluate without gradients: with torch.no_grad().")
    say(not any(training for training, _ in modes), "Put an nn.Module into eval mode first.")


@pytest.mark.parametrize("n", [1, 3])
def test_4_the_accumulator_keeps_n_sums_and_takes_exactly_n_numbers(n: int) -> None:
    metric = common.Accumulator(n)
    for row in ([1.5, 2, 3], [4, 5, 6.25], [-7, 0, 0]):
        metric.add(*row[:n])
    assert [metric[i] for i in range(n)] == [-1.5, 7, 9.25][:n]
    for wrong in (n - 1, n + 1):
        with pytest.raises(ValueError, match="argument"):
            metric.add(*[1.0] * wrong)


def test_4_modes_a_module_trains_in_train_mode_and_predicts_in_eval_mode() -> None:
    modes = []

    class Net(nn.Linear):
        def forward(self, X: Tensor) -> Tensor:
            modes.append(self.training)
            return super().forward(X)

    net, batches = Net(3, 10), [(torch.rand(6, 3), torch.arange(6))]
    trainer = torch.optim.SGD(net.parameters(), lr=0.1)
    net.eval()
    common.train_epoch(net, batches, nn.CrossEntropyLoss(), trainer)
    net.train()
    common.predict(net, batches)
    assert modes == [True, False]


def test_4_train_prints_each_epoch_and_returns_the_history(capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.Generator().manual_seed(1)
    batches = [(torch.randn(n, 3, generator=generator), torch.randint(4, (n,), generator=generator)) for n in (8, 3)]
    torch.manual_seed(0)
    net = nn.Linear(3, 4)
    trainer = torch.optim.SGD(net.parameters(), lr=0.5)
    history = common.train(net, batches, batches, nn.CrossEntropyLoss(), trainer, 11)
    assert capsys.readouterr().out.splitlines() == [
        f"epoch {n:02d}: train_loss={loss:.4f}, train_acc={train_acc:.4f}, test_acc={test_acc:.4f}"
        for n, (loss, train_acc, test_acc) in enumerate(history, start=1)
    ]
    assert len(history) == 11
    assert history[-1].train_loss < history[0].train_loss, "sums carried over from earlier epochs"
    assert history[-1].test_acc == common.evaluate_accuracy(net, batches)


@pytest.mark.parametrize(("batch_size", "n"), [(4, 4), (256, 6)])
def test_4_predict_prints_and_returns_names_from_the_first_test_batch(
    batch_size: int, n: int, small_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, test_iter = common.load_data_fashion_mnist(batch_size, small_data)
    names = common.predict(lambda X: torch.eye(10)[[3] * len(X)], test_iter)
    true = ["ankle boot", "pullover", "trouser", "trouser", "shirt", "trouser"][:n]
    assert names == [(name, "dress") for name in true]
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"{number}. true: {name:<10} predicted: dress" for number, name in enumerate(true, start=1)
    ]


def test_4_the_class_names_are_in_label_order() -> None:
    names = "t-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot"
    assert ", ".join(common.CLASS_NAMES) == names


# 5 With PyTorch's API, one hand-written part after the other


def test_5_flatten_is_the_reshape(batch: tuple[Tensor, Tensor]) -> None:
    assert torch.equal(nn.Flatten()(batch[0]), batch[0].reshape(-1, mlp_scratch.num_inputs))


def test_5_linear_is_x_at_w1_plus_b1_with_its_weight_transposed(params: Params, batch: tuple[Tensor, Tensor]) -> None:
    X, (W1, b1, _, _) = batch[0].flatten(1), params
    layer = nn.Linear(784, 256).double()
    layer.weight.data, layer.bias.data = W1.data.T, b1.data
    torch.testing.assert_close(layer(X), X @ W1 + b1, rtol=0, atol=1e-12)


def test_5_relu_is_the_hand_written_one() -> None:
    H = torch.linspace(-3, 3, 7)
    assert torch.equal(nn.ReLU()(H), mlp_scratch.relu(H))


def test_5_mean_loss_is_the_mean_of_the_losses(batch: tuple[Tensor, Tensor]) -> None:
    scores, y = batch[0].flatten(1)[:, :10], batch[1]
    losses = nn.CrossEntropyLoss(reduction="none")(scores, y)
    assert losses.shape == (60,)
    torch.testing.assert_close(nn.CrossEntropyLoss()(scores, y), losses.mean(), rtol=0, atol=1e-12)


def test_5_sgd_subtracts_lr_times_the_gradient(params: Params, batch: tuple[Tensor, Tensor]) -> None:
    nn.CrossEntropyLoss()(scratch_net(params)(batch[0]), batch[1]).backward()
    by_hand = [param.detach() - 0.1 * param.grad for param in params if param.grad is not None]
    torch.optim.SGD(params, lr=0.1).step()
    torch.testing.assert_close([param.detach() for param in params], by_hand, rtol=0, atol=1e-15)


def test_5_make_net_is_flatten_linear_relu_linear(params: Params, batch: tuple[Tensor, Tensor]) -> None:
    net = mlp_api.make_net(256)
    say(isinstance(net, nn.Module), f"make_net must return a network, not {net!r}.")
    shapes = [list(param.shape) for param in net.parameters()]
    needed = [[256, 784], [256], [10, 256], [10]]
    say(shapes == needed, f"The parameters of Linear(784, 256), Linear(256, 10): {needed}, not {shapes}.")
    with torch.no_grad():
        for theirs, ours in zip(net.double().parameters(), params, strict=True):
            theirs.copy_(ours.t())
    weights, rows = arrays(params), batch[0].flatten(1).numpy()
    right = article.logits(rows, *weights)
    grade(
        net(batch[0]),
        right,
        "The network must be Flatten, Linear, ReLU, Linear.",
        softmax_at_the_end__which_the_loss_holds=article.softmax(right),
        a_forgotten_ReLU=(rows @ weights[0] + weights[1]) @ weights[2] + weights[3],
        another_ReLU_at_the_end=np.maximum(right, 0),
    )


def test_5_init_weights_redraws_every_linear_layer_and_nothing_else() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(nn.Linear(300, 300)), nn.Linear(300, 10))
    before = [param.detach().clone() for param in net.parameters()]
    torch.manual_seed(1)
    net.apply(mlp_api.init_weights)
    (kernel, _, *linear) = after = list(net.parameters())
    say(torch.equal(kernel, before[0]), "init_weights must leave a layer that is no nn.Linear alone.")
    for weight, bias in (linear[:2], linear[2:]):
        std = weight.std().item()
        say(abs(std - 0.01) < 0.001, f"A weight has standard deviation {std:.4f}, it must be 0.01.")
        say(abs(weight.mean()) < 0.001, f"A weight has mean {weight.mean():.4f}, it must be 0.")
        say(not bias.any(), "A bias still has the numbers that nn.Linear drew: set it to zero.")
    assert all(isinstance(param, nn.Parameter) for param in after)


def test_5_both_versions_are_one_network_after_fifty_steps(params: Params, batch: tuple[Tensor, Tensor]) -> None:
    api = mlp_api.make_net(256).double()
    with torch.no_grad():
        for theirs, ours in zip(api.parameters(), params, strict=True):
            theirs.copy_(ours.t())
    batches = [(batch[0][n::5], batch[1][n::5]) for n in range(5)]
    results = []
    for net, loss, trained in (
        (scratch_net(params), nn.CrossEntropyLoss(reduction="none"), params),
        (api, nn.CrossEntropyLoss(), api.parameters()),
    ):
        trainer = torch.optim.SGD(trained, lr=0.1)
        results.append([common.train_epoch(net, batches, loss, trainer) for _ in range(10)])
    # Each adds up its products in an order of its own, which in float64 makes about 1e-15.
    torch.testing.assert_close(*map(torch.tensor, results), rtol=0, atol=1e-12)
    for theirs, ours in zip(api.parameters(), params, strict=True):
        torch.testing.assert_close(theirs, ours.t(), rtol=0, atol=1e-12)
