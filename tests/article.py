"""The article's own way, without common.py: what the tests and the benchmark compare with.

Every image goes through ToTensor one at a time, the loaders are stock ones, and each script has a
loop of its own. The gradients are written out in NumPy.
"""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

Array = npt.NDArray[np.float64]
Loader = DataLoader[tuple[Tensor, Tensor]]


def tables() -> dict[str, list[tuple[float, ...]]]:
    """Return train_loss, train_acc and test_acc of each epoch, as the article prints them."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    with Path(__file__).with_name("article.csv").open(newline="") as file:
        for script, _, *figures in list(csv.reader(file))[1:]:
            rows.setdefault(script, []).append(tuple(map(float, figures)))
    return rows


def loaders(batch_size: int, root: str | Path) -> tuple[Loader, Loader]:
    """Return the article's train_iter and test_iter."""
    train_set, test_set = (FashionMNIST(root, train=part, transform=ToTensor()) for part in (True, False))
    return DataLoader(train_set, batch_size, shuffle=True), DataLoader(test_set, batch_size)


def scratch_net(num_hiddens: int) -> tuple[Callable[[Tensor], Tensor], list[nn.Parameter]]:
    """Return the hand-written network and its parameters."""
    W1 = nn.Parameter(torch.randn(784, num_hiddens) * 0.01)
    b1 = nn.Parameter(torch.zeros(num_hiddens))
    W2 = nn.Parameter(torch.randn(num_hiddens, 10) * 0.01)
    b2 = nn.Parameter(torch.zeros(10))

    def net(X: Tensor) -> Tensor:
        H = X.reshape(-1, 784) @ W1 + b1
        return torch.max(H, torch.zeros_like(H)) @ W2 + b2

    return net, [W1, b1, W2, b2]


def api_net(num_hiddens: int) -> tuple[nn.Module, list[nn.Parameter]]:
    """Return the network of PyTorch's layers and its parameters."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, num_hiddens), nn.ReLU(), nn.Linear(num_hiddens, 10))
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
    return net, list(net.parameters())


def history(
    script: str, root: Path, epochs: int, batch_size: int, num_hiddens: int, lr: float, seed: int
) -> list[tuple[float, float, float]]:
    """Return what the article prints of each epoch: train_loss, train_acc and test_acc."""
    torch.manual_seed(seed)
    train_iter, test_iter = loaders(batch_size, root)
    net, params = (scratch_net if script == "mlp_scratch" else api_net)(num_hiddens)
    each_loss = nn.CrossEntropyLoss(reduction="none")
    mean_loss = nn.CrossEntropyLoss()
    trainer = torch.optim.SGD(params, lr=lr)
    rows = []
    for _ in range(epochs):
        loss_sum, train_correct, test_correct, n, n_test = 0.0, 0, 0, 0, 0
        for X, y in train_iter:
            y_hat = net(X)
            trainer.zero_grad()
            if script == "mlp_scratch":
                losses = each_loss(y_hat, y)
                losses.mean().backward()
                loss_sum += float(losses.sum().detach())
            else:
                loss = mean_loss(y_hat, y)
                loss.backward()
                loss_sum += float(loss.detach()) * len(y)
            trainer.step()
            train_correct += int((y_hat.argmax(1) == y).sum())
            n += len(y)
        with torch.no_grad():
            for X, y in test_iter:
                test_correct += int((net(X).argmax(1) == y).sum())
                n_test += len(y)
        rows.append((loss_sum / n, train_correct / n, test_correct / n_test))
    return rows


def logits(X: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Array:
    """Return the network's ten scores a row for X: [batch, 784]."""
    return np.maximum(X @ W1 + b1, 0) @ W2 + b2


def softmax(scores: Array) -> Array:
    """Return the probabilities of the scores, row by row."""
    P = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(P / P.sum(axis=1, keepdims=True))


def gradients(X: Array, y: npt.NDArray[np.int64], params: list[Array]) -> list[Array]:
    """Return those of the mean cross-entropy, by the chain rule from the logits back to W1."""
    W1, b1, W2, _ = params
    H = np.maximum(X @ W1 + b1, 0)
    dO = (softmax(logits(X, *params)) - np.eye(10)[y]) / len(y)
    dZ = (dO @ W2.T) * (H > 0)
    return [X.T @ dZ, dZ.sum(axis=0), H.T @ dO, dO.sum(axis=0)]
