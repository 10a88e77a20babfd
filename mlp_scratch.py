"""A multilayer perceptron on Fashion-MNIST with every parameter written by hand (section 4 of the article).

Without options it ends at test_acc=0.8501 (torch 2.14.1 and 2.4.0 on a CPU).
"""

from functools import partial

import torch
from torch import Tensor, nn

import common

num_inputs, num_outputs = 784, 10  # 28 x 28 pixels, 10 classes


def init_params(num_hiddens: int) -> tuple[nn.Parameter, ...]:
    """Return W1: [784, num_hiddens], b1: [num_hiddens], W2: [num_hiddens, 10], b2: [10], all float32.

    The weights are normal with standard deviation 0.01, the biases zero.
    """
    W1 = nn.Parameter(torch.randn(num_inputs, num_hiddens) * 0.01)
    b1 = nn.Parameter(torch.zeros(num_hiddens))
    W2 = nn.Parameter(torch.randn(num_hiddens, num_outputs) * 0.01)
    b2 = nn.Parameter(torch.zeros(num_outputs))
    return W1, b1, W2, b2


def relu(X: Tensor) -> Tensor:
    """Return the element-wise maximum of X and zero, in the shape of X."""
    return torch.maximum(X, torch.zeros_like(X))


def net(X: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    """Return the logits, [batch, 10], for images X: [batch, 1, 28, 28]."""
    X = X.reshape(-1, num_inputs)  # [batch, 784]
    H = relu(X @ W1 + b1)  # [batch, num_hiddens]
    return H @ W2 + b2  # no softmax: the loss holds it


def main(argv: list[str] | None = None) -> list[common.Epoch]:
    """Train and predict as the command line says; return what each epoch reached."""
    args = common.parse_args(__doc__, argv)
    torch.manual_seed(args.seed)

    print("Loading Fashion-MNIST", flush=True)
    train_iter, test_iter = common.load_data_fashion_mnist(args.batch_size, args.data_dir)

    print(f"Building the model: {num_inputs} -> {args.num_hiddens} -> {num_outputs}", flush=True)
    W1, b1, W2, b2 = init_params(args.num_hiddens)
    model = partial(net, W1=W1, b1=b1, W2=W2, b2=b2)
    loss = nn.CrossEntropyLoss(reduction="none")
    trainer = torch.optim.SGD([W1, b1, W2, b2], lr=args.lr)

    print(f"Training for {args.epochs} epochs", flush=True)
    history = common.train(model, train_iter, test_iter, loss, args.epochs, trainer)
    common.predict(model, test_iter)
    if args.figure:
        common.save_figure(args.figure, history, model, test_iter, W1)
    return history


if __name__ == "__main__":
    common.run(main)
