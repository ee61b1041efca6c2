"""Small networks of every common kind, seeded: for tests, examples and benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from rmtstab import _checks
from rmtstab.bridge.model_checks import check_tensor

Built = TypeVar("Built")
MOST_LAYERS = 10_000


def multilayer_perceptron(widths: Sequence[int], *, seed: int = 0) -> nn.Sequential:
    """Fully connected layers with tanh between them, from the first to the last width.

    Parameters
    ----------
    widths : sequence of int
        At least two.
    seed : int, default 0
        Seed of the initial weights; the global generator is left alone.

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        If there are fewer than two widths.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge import multilayer_perceptron
    >>> multilayer_perceptron([8, 16, 3])(torch.ones(5, 8)).shape
    torch.Size([5, 3])
    """
    widths = _checks.integers("widths", widths, low=1)
    if len(widths) < 2:
        raise ValueError(f"widths must hold at least two numbers, got {list(widths)}")

    def build() -> nn.Sequential:
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.Tanh()]
        return nn.Sequential(*layers[:-1])

    return _seeded(build, seed)


def convolutional_net(
    channels: int = 1, size: int = 8, classes: int = 10, *, seed: int = 0
) -> nn.Sequential:
    """Two 3 × 3 convolutions with ReLU, the second of stride 2, and a linear head.

    Parameters
    ----------
    channels : int, default 1
    size : int, default 8
        Height and width of the images.
    classes : int, default 10
    seed : int, default 0

    Returns
    -------
    torch.nn.Sequential

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge import convolutional_net
    >>> convolutional_net()(torch.ones(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    channels, size, classes = (
        _checks.integer(name, value, low=1)
        for name, value in (("channels", channels), ("size", size), ("classes", classes))
    )
    half = (size + 1) // 2
    return _seeded(
        lambda: nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * half * half, classes),
        ),
        seed,
    )


class ResidualBlock(nn.Module):
    """``relu(x' + bn(conv(relu(bn(conv(x))))))``, ``x'`` a 1 × 1 convolution where shapes change.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    stride : int

    References
    ----------
    He et al., arXiv:1512.03385, Figure 2 and Section 4.2.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.architectures import ResidualBlock
    >>> ResidualBlock(4, 8, stride=2)(torch.ones(2, 4, 6, 6)).shape
    torch.Size([2, 8, 3, 3])
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, inputs, h, w) to (n, outputs, h/stride, w/stride)."""
        inner = self.relu(self.norm1(self.conv1(images)))
        result: Tensor = self.relu(self.norm2(self.conv2(inner)) + self.shortcut(images))
        return result


def residual_net(
    depth: int = 20, *, channels: int = 3, classes: int = 10, seed: int = 0
) -> nn.Sequential:
    """Build a residual network for small images, in evaluation mode.

    Depths ``6k + 2`` (8, 20, 32, …) have three stages of widths 16, 32, 64 and k blocks
    each (ResNet-20: 272,474 weights); depth 18 has four stages of widths 64 to 512 and two
    blocks each (11.2 million weights).

    Parameters
    ----------
    depth : int, default 20
        18, or ``6k + 2``.
    channels : int, default 3
        Of the images.
    classes : int, default 10
    seed : int, default 0

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        On another depth.

    References
    ----------
    He et al., arXiv:1512.03385.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge import residual_net
    >>> residual_net(8)(torch.ones(2, 3, 16, 16)).shape
    torch.Size([2, 10])
    """
    channels, classes = (
        _checks.integer(name, value, low=1)
        for name, value in (("channels", channels), ("classes", classes))
    )
    depth = _checks.integer("depth", depth, low=1, high=MOST_LAYERS)
    widths: tuple[int, ...]
    if depth == 18:
        widths, blocks = (64, 128, 256, 512), 2
    elif depth >= 8 and depth % 6 == 2:
        widths, blocks = (16, 32, 64), (depth - 2) // 6
    else:
        raise ValueError(f"depth must be 18 or 6k + 2 (8, 14, 20, ...), got {depth}")

    def build() -> nn.Sequential:
        layers: list[nn.Module] = [
            nn.Conv2d(channels, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        ]
        before = widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                layers.append(ResidualBlock(before, width, stride))
                before = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes)]
        return nn.Sequential(*layers)

    return _seeded(build, seed).eval()


class Recurrent(nn.Module):
    """An LSTM over token embeddings and a linear head on its last state.

    Parameters
    ----------
    vocabulary : int
        Number of tokens.
    width : int, default 16
        Of the embeddings and of the state.
    classes : int, default 10
    layers : int, default 1
    seed : int, default 0

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge import Recurrent
    >>> Recurrent(5)(torch.zeros(3, 7, dtype=torch.long)).shape
    torch.Size([3, 10])
    """

    def __init__(
        self, vocabulary: int, width: int = 16, classes: int = 10, *, layers: int = 1, seed: int = 0
    ) -> None:
        super().__init__()
        vocabulary, width, classes = (
            _checks.integer(name, value, low=1)
            for name, value in (("vocabulary", vocabulary), ("width", width), ("classes", classes))
        )
        layers = _checks.integer("layers", layers, low=1, high=MOST_LAYERS)

        def build() -> tuple[nn.Embedding, nn.LSTM, nn.Linear]:
            return (
                nn.Embedding(vocabulary, width),
                nn.LSTM(width, width, layers, batch_first=True),
                nn.Linear(width, classes),
            )

        self.embedding, self.recurrent, self.head = _seeded(build, seed)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (n, length) to outputs (n, classes).

        Parameters
        ----------
        tokens : Tensor, shape (n, T), int64
        """
        check_tensor("tokens", tokens, 2, whole=True)
        states, _ = self.recurrent(self.embedding(tokens))
        result: Tensor = self.head(states[:, -1])
        return result


def _seeded(build: Callable[[], Built], seed: int) -> Built:
    """Call ``build`` under a seed of its own; the global generator is left as it was."""
    seed = _checks.seed("seed", seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
