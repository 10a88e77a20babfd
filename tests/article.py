"""The article's own way, without common.py, to compare with: images one by one, stock loaders."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

Rows = list[tuple[float, ...]]  # train_loss, train_acc and test_acc of each epoch


def tables() -> dict[str, Rows]:
    """Return the table of each script as the article prints it."""
    tables: dict[str, Rows] = {"mlp_scratch": [], "mlp_api": []}
    lines = Path(__file__).with_name("article.csv").read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        script, _, *figures = line.split(",")
        tables[script].append(tuple(map(float, figures)))
    return tables


def loaders(batch_size: int, root: str | Path) -> list[DataLoader[tuple[Tensor, Tensor]]]:
    """Return a shuffling loader of the training images and a loader of the test images."""
    train_set = FashionMNIST(root, train=True, transform=ToTensor())
    test_set = FashionMNIST(root, train=False, transform=ToTensor())
    return [DataLoader(train_set, batch_size, shuffle=True), DataLoader(test_set, batch_size)]


def logits(X: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    """Return the logits, [batch, 10], of the network by hand."""
    Z = X.reshape(-1, 784) @ W1 + b1
    H = torch.max(Z, torch.zeros_like(Z))
    return H @ W2 + b2


def network(script: str, num_hiddens: int) -> tuple[Callable[[Tensor], Tensor], list[nn.Parameter]]:
    """Return a script's network and its parameters, drawn in the article's order."""
    if script == "mlp_scratch":
        W1 = nn.Parameter(torch.randn(784, num_hiddens) * 0.01)
        b1 = nn.Parameter(torch.zeros(num_hiddens))
        W2 = nn.Parameter(torch.randn(num_hiddens, 10) * 0.01)
        b2 = nn.Parameter(torch.zeros(10))
        return lambda X: logits(X, W1, b1, W2, b2), [W1, b1, W2, b2]
    hidden, output = nn.Linear(784, num_hiddens), nn.Linear(num_hiddens, 10)
    for layer in (hidden, output):
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
    net = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), output)
    return net, list(net.parameters())


def history(
    script: str,
    root: Path,
    epochs: int,
    batch_size: int,
    num_hiddens: int,
    lr: float,
    seed: int,
) -> Rows:
    """Train as the article does, and return its figures for each epoch."""
    torch.manual_seed(seed)
    train_iter, test_iter = loaders(batch_size, root)
    net, params = network(script, num_hiddens)
    loss = nn.CrossEntropyLoss(reduction="none")
    trainer = torch.optim.SGD(params, lr=lr)
    rows: Rows = []
    for _ in range(epochs):
        losses, hits = [], []  # one of each sample
        for X, y in train_iter:
            y_hat = net(X)
            sample_losses = loss(y_hat, y)
            trainer.zero_grad()
            sample_losses.mean().backward()
            trainer.step()
            losses.append(sample_losses.detach())
            hits.append(y_hat.argmax(1) == y)
        with torch.no_grad():
            test_hits = [net(X).argmax(1) == y for X, y in test_iter]
        figures = [torch.cat(parts).double().mean().item() for parts in (losses, hits, test_hits)]
        rows.append(tuple(figures))
    return rows
