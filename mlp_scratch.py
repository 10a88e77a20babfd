"""A multilayer perceptron on Fashion-MNIST, every parameter by hand (section 4 of the article).

Without options it ends at train_loss 0.384 and test_acc 0.85.
"""

from functools import partial

import torch
from torch import Tensor, nn

import common

batch_size = 256
num_inputs = 784  # 28 x 28 pixels
num_outputs = 10  # classes
num_hiddens = 256
num_epochs = 10
lr = 0.1


def init_params(num_hiddens: int) -> list[nn.Parameter]:
    """Return W1: [784, num_hiddens], b1: [num_hiddens], W2: [num_hiddens, 10], b2: [10], float32.

    The weights are normal with standard deviation 0.01, the biases zero.
    """
    W1 = nn.Parameter(torch.randn(num_inputs, num_hiddens) * 0.01)
    b1 = nn.Parameter(torch.zeros(num_hiddens))
    W2 = nn.Parameter(torch.randn(num_hiddens, num_outputs) * 0.01)
    b2 = nn.Parameter(torch.zeros(num_outputs))
    return [W1, b1, W2, b2]


def relu(X: Tensor) -> Tensor:
    """Return the element-wise maximum of X and zero, in the shape of X; nan stays nan."""
    return torch.maximum(X, torch.zeros_like(X))


def forward(X: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    """Return the logits, [batch, 10], for images X: [batch, 1, 28, 28]."""
    X = X.reshape(-1, num_inputs)  # [batch, 784]
    H = relu(X @ W1 + b1)  # [batch, num_hiddens]
    return H @ W2 + b2  # no softmax: the loss holds it


def main(argv: list[str] | None = None) -> common.Result:
    """Train and predict; return net, [W1, b1, W2, b2], the history, and both loaders."""
    args = common.parse_args(
        __doc__, argv, epochs=num_epochs, batch_size=batch_size, num_hiddens=num_hiddens, lr=lr
    )
    torch.manual_seed(args.seed)

    print("Loading Fashion-MNIST")
    train_iter, test_iter = common.load_data_fashion_mnist(args.batch_size, args.data_dir)

    print("Initialising the MLP's parameters")
    W1, b1, W2, b2 = init_params(args.num_hiddens)
    net = partial(forward, W1=W1, b1=b1, W2=W2, b2=b2)  # net(X) is forward(X, W1, b1, W2, b2)
    loss = nn.CrossEntropyLoss(reduction="none")
    trainer = torch.optim.SGD([W1, b1, W2, b2], lr=args.lr)

    print("Training")
    history = common.train(net, train_iter, test_iter, loss, trainer, args.epochs)
    common.predict(net, test_iter)
    return net, [W1, b1, W2, b2], history, train_iter, test_iter


if __name__ == "__main__":
    # main(), but bad input and Ctrl-C end in one line
    net, params, history, train_iter, test_iter = common.run(main)
