"""The article's own way, without common.py, to compare with: ToTensor for one image at a time, and stock loaders."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

Rows = list[tuple[float, ...]]  # train_loss, train_acc and test_acc of each epoch


def tables() -> dict[str, Rows]:
    lines = Path(__file__).with_name("article.csv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [tuple(map(float, line.split(",")[2:])) for line in lines]
    return {"mlp_scratch": rows[:10], "mlp_api": rows[10:]}


def loaders(batch_size: int, root: str | Path) -> list[DataLoader[tuple[Tensor, Tensor]]]:
    return [DataLoader(FashionMNIST(root, train, ToTensor()), batch_size, shuffle=train) for train in (True, False)]


def logits(X: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    H = X.reshape(-1, 784) @ W1 + b1
    return torch.max(H, torch.zeros_like(H)) @ W2 + b2


def network(script: str, num_hiddens: int) -> tuple[Callable[[Tensor], Tensor], list[nn.Parameter]]:
    if script == "mlp_scratch":
        W1, W2 = torch.randn(784, num_hiddens) * 0.01, torch.randn(num_hiddens, 10) * 0.01
        params = [*map(nn.Parameter, (W1, torch.zeros(num_hiddens), W2, torch.zeros(10)))]
        return lambda X: logits(X, *params), params
    hidden, output = nn.Linear(784, num_hiddens), nn.Linear(num_hiddens, 10)
    for layer in (hidden, output):
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), output), [*hidden.parameters(), *output.parameters()]


def history(script: str, root: Path, epochs: int, batch_size: int, num_hiddens: int, lr: float, seed: int) -> Rows:
    torch.manual_seed(seed)
    train_iter, test_iter = loaders(batch_size, root)
    net, params = network(script, num_hiddens)
    loss = nn.CrossEntropyLoss(reduction="none" if script == "mlp_scratch" else "mean")
    trainer = torch.optim.SGD(params, lr=lr)
    rows: Rows = []
    for _ in range(epochs):
        losses, hits = [], []  # one of each sample
        for X, y in train_iter:
            y_hat = net(X)
            mean_loss = loss(y_hat, y).mean()
            trainer.zero_grad()
            mean_loss.backward()
            trainer.step()
            losses.append(mean_loss.detach().expand(len(y)))
            hits.append(y_hat.argmax(1) == y)
        with torch.no_grad():
            test_hits = [net(X).argmax(1) == y for X, y in test_iter]
        rows.append(tuple(torch.cat(parts).double().mean().item() for parts in (losses, hits, test_hits)))
    return rows
