"""The article's claims, section by section: `pytest -v tests/test_article.py` reads like its summary."""

import hashlib
import math
import re
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import article
import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import MAINS, SCRIPTS
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.datasets import FashionMNIST

import common
import mlp_api
import mlp_scratch

Array = npt.NDArray[np.float64]


class Built(NamedTuple):
    """What a script's main hands to common.train."""

    net: common.Net
    train_iter: common.Batches
    test_iter: common.Batches
    loss: common.Loss
    num_epochs: int
    trainer: torch.optim.Optimizer

    @property
    def params(self) -> list[nn.Parameter]:
        """The parameters that are trained."""
        return [param for group in self.trainer.param_groups for param in group["params"]]


@pytest.fixture(params=SCRIPTS)
def built(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Built:
    """Each script's network, loss and trainer as its main makes them, before any training."""
    calls = []

    def train(*args: object) -> list[common.Epoch]:
        calls.append(Built(*args))  # type: ignore[arg-type]
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
    train_iter, test_iter = common.load_data_fashion_mnist(256)
    losses = {}
    for name, layers in nets.items():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), *layers)
        for layer in net:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()  # torch's default draws, from this seed
        trainer = torch.optim.SGD(net.parameters(), lr=0.1)
        losses[name] = common.train(net, train_iter, test_iter, nn.CrossEntropyLoss(), 10, trainer)[-1].train_loss
    assert all(shallow - deep > 0.01 for shallow, deep in pairwise(losses.values())), losses


def test_4_1_1_the_hyperparameters(built: Built) -> None:
    args = common.parse_args("", [])
    assert (args.batch_size, args.num_hiddens, args.epochs, args.lr) == (256, 256, 10, 0.1)
    assert (mlp_scratch.num_inputs, mlp_scratch.num_outputs) == (784, 10)
    assert built.num_epochs == 10
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


def test_4_1_2_a_shuffled_epoch_and_a_test_pass_are_bit_for_bit_those_of_totensor_and_a_stock_loader() -> None:
    ours, theirs = common.load_data_fashion_mnist(256), article.loaders(256, common.DATA_DIR)
    torch.manual_seed(5)
    passes = [list(data_iter) for data_iter in ours]
    state = torch.get_rng_state()
    torch.manual_seed(5)
    for batches, data_iter in zip(passes, theirs, strict=True):
        for (X, y), (X_, y_) in zip(batches, data_iter, strict=True):
            assert torch.equal(X, X_)
            assert torch.equal(y, y_)
    assert torch.equal(torch.get_rng_state(), state)  # the next pass would be the same, too


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
    common.train_epoch(built.net, list(built.train_iter)[:2], built.loss, built.trainer)
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
    common.train_epoch(built.net, list(built.train_iter)[:20], built.loss, built.trainer)
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
    batches = list(built.train_iter)[-3:]  # the last one is smaller
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
    common.train_epoch(built.net, list(built.train_iter)[:2], built.loss, built.trainer)
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


def test_5_both_versions_are_one_network_in_logits_losses_and_weights_after_an_epoch() -> None:
    train_iter, test_iter = common.load_data_fashion_mnist(256)
    torch.manual_seed(0)
    W1, b1, W2, b2 = mlp_scratch.init_params(256)
    scratch = partial(mlp_scratch.net, W1=W1, b1=b1, W2=W2, b2=b2)
    api = mlp_api.make_net(256)
    with torch.no_grad():
        for theirs, ours in zip(api.parameters(), (W1.T, b1, W2.T, b2), strict=True):
            theirs.copy_(ours)
    X, _ = next(iter(test_iter))
    # Both add up 784 float32 products for each hidden unit, in another order: each sum may differ in its last bits
    # (one part in 2**24, or 6e-8), and 235 steps carry these differences on. Measured: up to 2e-7 in a weight and 3e-6
    # in a logit; a sample on the edge between two classes may then count as right in one version only.
    torch.testing.assert_close(scratch(X), api(X), rtol=0, atol=1e-6)
    epochs = []
    for net, loss, params in (
        (scratch, nn.CrossEntropyLoss(reduction="none"), [W1, b1, W2, b2]),
        (api, nn.CrossEntropyLoss(), list(api.parameters())),
    ):
        torch.manual_seed(1)
        epochs.append(common.train_epoch(net, train_iter, loss, torch.optim.SGD(params, lr=0.1)))
    assert epochs[0] == pytest.approx(epochs[1], rel=0, abs=5e-5)
    for theirs, ours in zip(api.parameters(), (W1.T, b1, W2.T, b2), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=2e-6)
    torch.testing.assert_close(scratch(X), api(X), rtol=0, atol=3e-5)
