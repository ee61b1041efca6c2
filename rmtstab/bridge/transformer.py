"""A small GPT-like transformer with tied embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rmtstab import _checks
from rmtstab.bridge.architectures import MOST_LAYERS
from rmtstab.bridge.model_checks import check_tensor


class TransformerBlock(nn.Module):
    """Pre-norm block: causal self-attention, then a GELU layer four times as wide.

    Parameters
    ----------
    width : int
    heads : int

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.transformer import TransformerBlock
    >>> TransformerBlock(8, 2)(torch.ones(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, states: Tensor) -> Tensor:
        """Map states (n, length, width) to states of the same shape."""
        n, length, width = states.shape
        parts = self.attention(self.norm1(states)).view(n, length, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        states = states + self.projection(mixed.transpose(1, 2).reshape(n, length, width))
        inner = functional.gelu(self.expand(self.norm2(states)))
        result: Tensor = states + self.contract(inner)
        return result


class Transformer(nn.Module):
    """A GPT-like decoder whose output layer shares the token embedding's weights.

    Parameters
    ----------
    vocabulary : int
        Number of tokens, and of outputs.
    length : int
        Longest sequence.
    width : int, default 64
    layers : int, default 4
    heads : int, default 4
        Must divide ``width``.
    every_token : bool, default False
        Logits at every position (n, length, vocabulary) instead of at the last.
    seed : int, default 0
        Seed of the initial weights; the global generator is left alone.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or outside its range, or ``heads`` does not divide
        ``width``.

    References
    ----------
    Radford et al. (2019), *Language models are unsupervised multitask learners*;
    tied weights: Press and Wolf, arXiv:1608.05859.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge import Transformer
    >>> Transformer(10, 6, width=8, layers=1, heads=2)(torch.zeros(3, 6, dtype=torch.long)).shape
    torch.Size([3, 10])
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        *,
        width: int = 64,
        layers: int = 4,
        heads: int = 4,
        every_token: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        vocabulary, length, width, heads = (
            _checks.integer(name, value, low=1)
            for name, value in (
                ("vocabulary", vocabulary), ("length", length), ("width", width), ("heads", heads)
            )
        )  # fmt: skip
        layers = _checks.integer("layers", layers, low=1, high=MOST_LAYERS)
        if width % heads:
            raise ValueError(f"heads must divide width={width}, got {heads}")
        self.every_token = _checks.flag("every_token", every_token)
        seed = _checks.seed("seed", seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.tokens, self.positions = (
                nn.Embedding(vocabulary, width),
                nn.Embedding(length, width),
            )
            self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(layers)))
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, vocabulary, bias=False)
        self.tokens.weight = self.head.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (n, length) to logits of the next token.

        Parameters
        ----------
        tokens : Tensor, shape (n, T), int64
        """
        check_tensor("tokens", tokens, 2, whole=True)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        states = self.blocks(self.tokens(tokens) + self.positions(places))
        if not self.every_token:
            states = states[:, -1]
        result: Tensor = self.head(self.norm(states))
        return result
