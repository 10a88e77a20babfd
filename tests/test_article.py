"""The article's claims, section by section: `pytest -v tests/test_article.py` reads like its summary."""

import hashlib
import inspect
import math
import re
from collections import deque
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from types import ModuleType

import article
import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import MAINS, SCRIPTS
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.datasets import FashionMNIST

import common
import mlp_api
import mlp_scratch

Array = npt.NDArray[np.float64]


@dataclass
class Built:
    """What a script's main hands to common.train."""

    net: common.Net
    train_iter: common.Loader
    test_iter: common.Loader
    loss: common.Loss
    trainer: torch.optim.Optimizer
    epochs: int

    @property
    def params(self) -> list[nn.Parameter]:
        """The parameters that are trained."""
        return [param for group in self.trainer.param_groups for param in group["params"]]


@pytest.fixture(params=SCRIPTS)
def built(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Built:
    """Each script's network, loss and trainer as its main makes them, before any training."""
    calls = []
    signature = inspect.signature(common.train)

    def train(*args: object, **kwargs: object) -> common.History:
        calls.append(Built(**signature.bind(*args, **kwargs).arguments))
        return []

    monkeypatch.setattr(common, "train", train)
    MAINS[request.param]([])
    return calls[0]


@pytest.fixture(scope="module")
def test_batch() -> tuple[Tensor, Tensor]:
    """The first test batch of the real data, X: [256, 1, 28, 28] and y: [256]."""
    _, test_iter = common.load_data_fashion_mnist(256)
    X, y = next(iter(test_iter))
    return X, y


@pytest.fixture
def params() -> list[Tensor]:
    """W1, b1, W2, b2 in float64, of a size that makes the hidden units' signs differ."""
    generator = torch.Generator().manual_seed(2)
    shapes = [(784, 256), (256,), (256, 10), (10,)]
    return [(torch.randn(shape, generator=generator, dtype=torch.float64) * 0.05).requires_grad_() for shape in shapes]


# 1 Linear network


def test_1_softmax_turns_ten_scores_into_ten_probabilities(test_batch: tuple[Tensor, Tensor]) -> None:
    probabilities = torch.softmax(nn.Linear(784, 10)(test_batch[0].flatten(1)), dim=1)
    assert probabilities.shape == (256, 10)
    assert (probabilities > 0).all()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(256))


# 2 Activation functions


@pytest.mark.parametrize(
    ("activation", "low", "high"),
    [
        (mlp_scratch.relu, 0.0, math.inf),
        (nn.PReLU(dtype=torch.float64), -math.inf, math.inf),
        (torch.sigmoid, 0.0, 1.0),
        (torch.tanh, -1.0, 1.0),
    ],
    ids=["relu", "prelu", "sigmoid", "tanh"],
)
def test_2_the_output_range_of_an_activation(activation: common.Net, low: float, high: float) -> None:
    x = torch.linspace(-15, 15, 3001, dtype=torch.float64)
    y = activation(x)
    if activation is mlp_scratch.relu:
        assert y.min() == low  # its range is closed below
    elif math.isfinite(low):
        assert low < y.min() < low + 1e-6
    if math.isfinite(high):
        assert high - 1e-6 < y.max() < high
    far = activation(torch.tensor([-1e300, 1e300], dtype=torch.float64))
    assert (far[0] < -1e299) == (low == -math.inf)
    assert (far[1] > 1e299) == (high == math.inf)


# 4 From scratch


def test_4_two_linear_layers_without_activation_are_one_linear_layer(
    test_batch: tuple[Tensor, Tensor], params: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlp_scratch, "relu", lambda X: X)
    X = test_batch[0].double()
    W1, b1, W2, b2 = params
    merged = X.flatten(1) @ (W1 @ W2) + (b1 @ W2 + b2)
    torch.testing.assert_close(mlp_scratch.net(X, *params), merged, rtol=0, atol=1e-12)


def test_4_with_relu_they_no_longer_merge_into_any_linear_layer(
    test_batch: tuple[Tensor, Tensor], params: list[Tensor]
) -> None:
    X = test_batch[0].double()
    W1, b1, W2, b2 = params
    assert (mlp_scratch.net(X, *params) - (X.flatten(1) @ (W1 @ W2) + (b1 @ W2 + b2))).abs().max() > 0.1
    # A linear layer, whatever its W and b, maps the mean of two images to the mean of their logits.
    net = partial(mlp_scratch.net, W1=W1, b1=b1, W2=W2, b2=b2)
    left, right = X[:128], X[128:]
    assert (net((left + right) / 2) - (net(left) + net(right)) / 2).abs().max() > 0.1


def test_4_what_the_hidden_layer_buys_train_losses_fall_in_the_article_s_order() -> None:
    nets: dict[str, list[nn.Module]] = {
        "softmax regression": [nn.Linear(784, 10)],
        "two linear layers": [nn.Linear(784, 256), nn.Linear(256, 10)],
        "MLP": [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)],
        "deeper MLP": [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)],
    }
    train_iter, _ = common.load_data_fashion_mnist(256)
    X, y = train_iter.dataset[list(range(1000))]
    batches = list(zip(X.split(50), y.split(50), strict=True))
    losses = {}
    for name, layers in nets.items():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), *layers)
        for layer in net:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()  # torch's default draws, from this seed
        trainer = torch.optim.SGD(net.parameters(), lr=0.05)
        for _ in range(80):
            losses[name], _ = common.train_epoch(net, batches, nn.CrossEntropyLoss(), trainer)
    # With seeds 0 to 4 each was at least 0.009 below the one before.
    assert all(shallow - deep > 0.004 for shallow, deep in pairwise(losses.values())), losses


@pytest.mark.parametrize("script", [mlp_scratch, mlp_api])
def test_4_1_1_the_hyperparameters_are_constants_of_both_scripts(script: ModuleType) -> None:
    assert (script.batch_size, script.num_inputs, script.num_outputs, script.num_hiddens) == (256, 784, 10, 256)
    assert (script.num_epochs, script.lr) == (10, 0.1)


@pytest.mark.parametrize("script", [mlp_scratch, mlp_api])
def test_4_1_1_a_constant_that_is_edited_takes_effect(
    script: ModuleType, small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--data-dir", str(small_data)]
    expected = script.main(["--batch-size=99", "--num-hiddens=7", "--epochs=2", "--lr=0.2", *options])
    for name, value in (("batch_size", 99), ("num_hiddens", 7), ("num_epochs", 2), ("lr", 0.2)):
        monkeypatch.setattr(script, name, value)
    assert script.main(options)[2] == expected[2]


def test_4_1_1_they_reach_the_training(built: Built) -> None:
    assert built.epochs == 10
    assert built.trainer.param_groups[0]["lr"] == 0.1
    assert len(next(iter(built.train_iter))[1]) == len(next(iter(built.test_iter))[1]) == 256


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
        assert len(content) == int(size)
        assert hashlib.md5(content).hexdigest() == md5


def test_4_1_2_batches_and_random_draws_are_bit_for_bit_those_of_totensor_and_a_stock_loader() -> None:
    passes = []
    for loaders in (common.load_data_fashion_mnist(256), article.loaders(256, common.DATA_DIR)):
        torch.manual_seed(5)
        train_iter, test_iter = loaders
        passes.append((list(islice(train_iter, 10)), list(test_iter), torch.get_rng_state()))
    (train, test, state), (train_, test_, state_) = passes
    for (X, y), (X_, y_) in zip(train + test, train_ + test_, strict=True):
        assert torch.equal(X, X_)
        assert torch.equal(y, y_)
    assert torch.equal(state, state_)  # the next pass would be the same, too


def test_4_1_2_training_batches_are_shuffled_anew_every_epoch_and_test_batches_are_not() -> None:
    train_iter, test_iter = common.load_data_fashion_mnist(256)
    epochs = [torch.cat([y for _, y in train_iter]) for _ in range(2)]
    assert not torch.equal(epochs[0], epochs[1])
    in_order = {train: FashionMNIST(common.DATA_DIR, train=train).targets for train in (True, False)}
    for labels in epochs:
        assert not torch.equal(labels, in_order[True])
        assert torch.equal(labels.bincount(), torch.full((10,), 6000))
    assert torch.equal(torch.cat([y for _, y in test_iter]), in_order[False])


def test_4_1_2_pixels_are_float32_in_0_to_1(test_batch: tuple[Tensor, Tensor]) -> None:
    X, _ = test_batch
    assert X.dtype == torch.float32
    assert (X.min().item(), X.max().item()) == (0.0, 1.0)


def test_4_1_3_weights_have_standard_deviation_0_01_and_biases_are_zero(built: Built) -> None:
    weights = [param for param in built.params if param.ndim == 2]
    biases = [param for param in built.params if param.ndim == 1]
    assert len(weights) == len(biases) == 2
    for weight in weights:
        # The standard deviation of n normal numbers strays by 0.01 / sqrt(2 n), their mean by 0.01 / sqrt(n).
        n = weight.numel()
        assert abs(weight.std().item() - 0.01) < 5 * 0.01 / math.sqrt(2 * n)
        assert abs(weight.mean().item()) < 5 * 0.01 / math.sqrt(n)
    for bias in biases:
        assert not bias.any()


def test_4_1_3_there_are_203530_parameters_and_all_four_tensors_are_trained(built: Built) -> None:
    assert sum(param.numel() for param in built.params) == 784 * 256 + 256 + 256 * 10 + 10 == 203_530
    assert len(built.params) == 4
    assert all(isinstance(param, nn.Parameter) for param in built.params)
    before = [param.detach().clone() for param in built.params]
    common.train_epoch(built.net, list(islice(built.train_iter, 2)), built.loss, built.trainer)
    assert all(not torch.equal(param, old) for param, old in zip(built.params, before, strict=True))


def test_4_1_4_the_hand_written_relu_is_torch_s_and_so_is_its_gradient_off_zero() -> None:
    values = [-math.inf, -1e30, -2.0, -1e-30, 0.0, 1e-30, 3.0, 1e30, math.inf, math.nan]
    results, gradients = [], []
    for relu in (mlp_scratch.relu, torch.relu):
        X = torch.tensor(values, requires_grad=True)
        H = relu(X)
        H.backward(torch.full_like(H, 2.5))
        assert X.grad is not None
        results.append(H.detach())
        gradients.append(X.grad[X != 0])
    torch.testing.assert_close(*results, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(*gradients, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("batch", [256, 96, 16, 1])  # 96 and 16: the last batch of the training and of the test set
def test_4_1_5_shapes_at_every_step_of_both_forward_passes(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X = torch.rand(batch, 1, 28, 28)
    hidden = []

    def relu(H: Tensor) -> Tensor:
        hidden.append(H.shape)
        return H.relu()

    monkeypatch.setattr(mlp_scratch, "relu", relu)
    params = mlp_scratch.init_params(256)
    assert [tuple(param.shape) for param in params] == [(784, 256), (256,), (256, 10), (10,)]
    assert mlp_scratch.net(X, *params).shape == (batch, 10)
    assert hidden == [(batch, 256)]

    shapes = []
    for layer in mlp_api.make_net(256):
        X = layer(X)
        shapes.append(tuple(X.shape))
    assert shapes == [(batch, 784), (batch, 256), (batch, 256), (batch, 10)]


def test_4_1_5_the_network_returns_logits_and_no_softmax(built: Built) -> None:
    common.train_epoch(built.net, list(islice(built.train_iter, 20)), built.loss, built.trainer)
    logits = built.net(next(iter(built.test_iter))[0])
    assert logits.min() < 0
    assert (logits.sum(dim=1) - 1).abs().max() > 0.1


def test_4_1_6_cross_entropy_of_logits_is_log_softmax_and_negative_log_likelihood(
    built: Built, test_batch: tuple[Tensor, Tensor]
) -> None:
    X, y = test_batch
    with torch.no_grad():
        logits = built.net(X) * 100  # far enough from equal scores to count
        actual = built.loss(logits, y)
    scores: Array = logits.double().numpy()
    log_softmax = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    losses = -log_softmax[np.arange(len(y)), y.numpy()]
    expected = torch.from_numpy(losses) if actual.ndim else torch.tensor(losses.mean())
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-6)


def test_4_1_6_reduction_none_then_mean_is_the_default_mean() -> None:
    generator = torch.Generator().manual_seed(3)
    logits, y = torch.randn(96, 10, generator=generator).double(), torch.randint(10, (96,), generator=generator)
    losses = nn.CrossEntropyLoss(reduction="none")(logits, y)
    assert losses.shape == (96,)
    torch.testing.assert_close(losses.mean(), nn.CrossEntropyLoss()(logits, y), rtol=1e-14, atol=0)


def numpy_gradients(X: Array, y: npt.NDArray[np.int64], W1: Array, b1: Array, W2: Array, b2: Array) -> list[Array]:
    """The gradients of the mean cross-entropy by the chain rule, from the logits back to W1."""
    Z = X @ W1 + b1
    H = np.where(Z > 0, Z, 0)
    logits = H @ W2 + b2
    P = np.exp(logits - logits.max(axis=1, keepdims=True))
    P /= P.sum(axis=1, keepdims=True)
    dO = (P - np.eye(10)[y]) / len(y)
    dZ = (dO @ W2.T) * (Z > 0)
    return [X.T @ dZ, dZ.sum(axis=0), H.T @ dO, dO.sum(axis=0)]


def test_4_1_7_backward_written_out_in_numpy_gives_autograd_s_gradients(
    test_batch: tuple[Tensor, Tensor], params: list[Tensor]
) -> None:
    X, y = test_batch[0].double(), test_batch[1]
    nn.CrossEntropyLoss(reduction="none")(mlp_scratch.net(X, *params), y).mean().backward()
    expected = numpy_gradients(X.flatten(1).numpy(), y.numpy(), *(param.detach().numpy() for param in params))
    for param, gradient in zip(params, expected, strict=True):
        assert np.abs(gradient).max() > 1e-3
        torch.testing.assert_close(param.grad, torch.from_numpy(gradient), rtol=0, atol=1e-14)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_4_1_7_steps_by_hand_are_trainer_step_on_the_mean_loss_with_gradients_zeroed_between(
    test_batch: tuple[Tensor, Tensor], params: list[Tensor], reduction: str
) -> None:
    X, y = test_batch[0].double(), test_batch[1]
    batches = [(X[:100], y[:100]), (X[100:], y[100:])]
    by_hand: list[Array] = [param.detach().numpy().copy() for param in params]
    for X_, y_ in batches:
        gradients = numpy_gradients(X_.flatten(1).numpy(), y_.numpy(), *by_hand)
        by_hand = [param - 0.1 * gradient for param, gradient in zip(by_hand, gradients, strict=True)]
    W1, b1, W2, b2 = params
    net = partial(mlp_scratch.net, W1=W1, b1=b1, W2=W2, b2=b2)
    trainer = torch.optim.SGD(params, lr=0.1)
    common.train_epoch(net, batches, nn.CrossEntropyLoss(reduction=reduction), trainer)
    for param, expected in zip(params, by_hand, strict=True):
        torch.testing.assert_close(param.detach(), torch.from_numpy(expected), rtol=0, atol=1e-13)


def test_4_metrics_of_an_epoch_equal_a_plain_recomputation(built: Built) -> None:
    batches = list(deque(built.train_iter, maxlen=3))  # the last one is smaller
    start = [param.detach().clone() for param in built.params]
    train_loss, train_acc = common.train_epoch(built.net, batches, built.loss, built.trainer)
    with torch.no_grad():
        for param, old in zip(built.params, start, strict=True):
            param.copy_(old)
    losses, correct = [], []
    for X, y in batches:  # the same three steps again, with each sample's loss and answer kept
        logits = built.net(X)
        losses += cross_entropy(logits, y, reduction="none").tolist()
        correct += (logits.argmax(dim=1) == y).tolist()
        gradients = torch.autograd.grad(cross_entropy(logits, y), built.params)
        for param, gradient in zip(built.params, gradients, strict=True):
            param.data -= 0.1 * gradient
    assert len(losses) == 256 + 256 + 96
    assert train_loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert train_acc == sum(correct) / len(correct)


def test_4_evaluation_takes_no_gradients_and_changes_neither_weights_nor_gradients(built: Built) -> None:
    common.train_epoch(built.net, list(islice(built.train_iter, 2)), built.loss, built.trainer)
    before = [(param.detach().clone(), param.grad.clone()) for param in built.params if param.grad is not None]
    needs_grad = []

    class Watched(nn.Module):
        def forward(self, X: Tensor) -> Tensor:
            logits = built.net(X)
            needs_grad.append(logits.requires_grad)
            return logits

    test_acc = common.evaluate_accuracy(Watched(), built.test_iter)
    assert needs_grad == [False] * 40
    assert len(before) == 4
    for param, (weight, gradient) in zip(built.params, before, strict=True):
        assert torch.equal(param, weight)
        assert param.grad is not None
        assert torch.equal(param.grad, gradient)
    correct = [(built.net(X).argmax(dim=1) == y).tolist() for X, y in built.test_iter]
    assert test_acc == sum(map(sum, correct)) / sum(map(len, correct))


@settings(deadline=None)
@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.tuples(*[st.integers(-999, 999)] * n), min_size=1)))
def test_4_the_accumulator_keeps_n_plain_sums(rows: list[tuple[int, ...]]) -> None:
    metric = common.Accumulator(len(rows[0]))
    for row in rows:
        metric.add(*row)
    assert [metric[i] for i in range(len(rows[0]))] == [sum(column) for column in zip(*rows, strict=True)]


@st.composite
def scores_and_labels(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    """Scores of 1 to 6 samples in 1 to 4 classes, from so few values that ties are common, and a label for each."""
    classes = draw(st.integers(1, 4))
    row = st.lists(st.integers(0, 2), min_size=classes, max_size=classes)
    scores = draw(st.lists(row, min_size=1, max_size=6))
    return scores, [draw(st.integers(0, classes - 1)) for _ in scores]


@settings(deadline=None)
@given(scores_and_labels())
def test_4_accuracy_is_a_plain_count_for_logits_with_ties_and_for_class_indices(
    sample: tuple[list[list[int]], list[int]],
) -> None:
    scores, labels = sample
    predicted = [row.index(max(row)) for row in scores]  # the first of equals
    count = sum(p == label for p, label in zip(predicted, labels, strict=True))
    assert common.accuracy(torch.tensor(scores, dtype=torch.float32), torch.tensor(labels)) == count
    assert common.accuracy(torch.tensor(predicted), torch.tensor(labels)) == count


def test_4_the_class_names_are_in_label_order() -> None:
    names = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
    assert list(common.CLASS_NAMES) == names
    published = FashionMNIST.classes
    assert [name.lower().removesuffix("/top") for name in published] == names


# 5 With PyTorch's API


def test_5_init_weights_redraws_every_linear_layer_and_nothing_else() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(nn.Linear(300, 300), nn.ReLU()), nn.Linear(300, 10))
    convolution = [param.detach().clone() for param in net[0].parameters()]
    net.apply(mlp_api.init_weights)
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == 2
    for layer in linear:
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.1)
        assert not layer.bias.any()
    assert all(torch.equal(*pair) for pair in zip(net[0].parameters(), convolution, strict=True))


def test_5_both_versions_are_one_network_in_logits_losses_and_weights_after_fifty_steps() -> None:
    train_iter, test_iter = common.load_data_fashion_mnist(256)
    torch.manual_seed(0)
    batches = [(X.double(), y) for X, y in islice(train_iter, 50)]
    X = next(iter(test_iter))[0].double()
    params = [nn.Parameter(param.detach().double()) for param in mlp_scratch.init_params(256)]
    api = mlp_api.make_net(256).double()
    with torch.no_grad():
        for theirs, ours in zip(api.parameters(), params, strict=True):
            theirs.copy_(ours.t())

    def scratch(X: Tensor) -> Tensor:
        return mlp_scratch.net(X, *params)

    # Either adds up its products in an order of its own, which in float64 makes about 1e-15. A step moves weights by
    # 1e-5 and more, so that whatever is not the same in both is far above the limit of 1e-12.
    close = partial(torch.testing.assert_close, rtol=0, atol=1e-12)
    close(scratch(X), api(X))
    scratch_trainer, api_trainer = (torch.optim.SGD(list_, lr=0.1) for list_ in (params, list(api.parameters())))
    scratch_epoch = common.train_epoch(scratch, batches, nn.CrossEntropyLoss(reduction="none"), scratch_trainer)
    assert common.train_epoch(api, batches, nn.CrossEntropyLoss(), api_trainer) == pytest.approx(
        scratch_epoch, abs=1e-12
    )
    for theirs, ours in zip(api.parameters(), params, strict=True):
        close(theirs, ours.t())
    close(scratch(X), api(X))
