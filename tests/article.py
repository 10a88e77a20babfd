"""The article's own way, without common.py: what the tests and the benchmark compare with.

Every image goes through ToTensor one at a time, and the loaders are stock ones.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

Loader = DataLoader[tuple[Tensor, Tensor]]
Rows = list[tuple[float, ...]]


def tables() -> dict[str, Rows]:
    """Return train_loss, train_acc and test_acc of each epoch, as the article prints them."""
    lines = Path(__file__).with_name("article.csv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [tuple(map(float, line.split(",")[2:])) for line in lines]
    return {"mlp_scratch": rows[:10], "mlp_api": rows[10:]}


def loaders(batch_size: int, root: str | Path) -> tuple[Loader, Loader]:
    train_set, test_set = (FashionMNIST(root, train=part, transform=ToTensor()) for part in (True, False))
    return DataLoader(train_set, batch_size, shuffle=True), DataLoader(test_set, batch_size)


def logits(X: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    """Return the hand-written network's ten scores of each image."""
    H = X.reshape(-1, 784) @ W1 + b1
    return torch.max(H, torch.zeros_like(H)) @ W2 + b2


def network(script: str, num_hiddens: int) -> tuple[Callable[[Tensor], Tensor], list[nn.Parameter]]:
    if script == "mlp_scratch":
        W1, W2 = torch.randn(784, num_hiddens) * 0.01, torch.randn(num_hiddens, 10) * 0.01
        params = [*map(nn.Parameter, (W1, torch.zeros(num_hiddens), W2, torch.zeros(10)))]
        return lambda X: logits(X, *params), params
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, num_hiddens), nn.ReLU(), nn.Linear(num_hiddens, 10))
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
    return net, list(net.parameters())


def history(script: str, root: Path, epochs: int, batch_size: int, num_hiddens: int, lr: float, seed: int) -> Rows:
    """Return what the article prints of each epoch: train_loss, train_acc and test_acc."""
    torch.manual_seed(seed)
    train_iter, test_iter = loaders(batch_size, root)
    net, params = network(script, num_hiddens)
    loss = nn.CrossEntropyLoss(reduction="none" if script == "mlp_scratch" else "mean")
    trainer = torch.optim.SGD(params, lr=lr)
    rows: Rows = []
    for _ in range(epochs):
        loss_sum, hits = 0.0, []
        for X, y in train_iter:
            y_hat = net(X)
            mean_loss = loss(y_hat, y).mean()
            trainer.zero_grad()
            mean_loss.backward()
            trainer.step()
            loss_sum += mean_loss.item() * len(y)
            hits.append(y_hat.argmax(1) == y)
        with torch.no_grad():
            test_hits = [net(X).argmax(1) == y for X, y in test_iter]
        train_acc, test_acc = (torch.cat(parts).double().mean().item() for parts in (hits, test_hits))
        rows.append((loss_sum / sum(map(len, hits)), train_acc, test_acc))
    return rows
