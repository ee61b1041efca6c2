"""Hypothesis strategies: unlearning problems of every shape, degenerate ones included."""

import numpy as np
from hypothesis import strategies as st

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")


@st.composite
def instances(draw, momentum=False):
    """Explicit factors and hyper-parameters: duplicates, zeros and scales over decades."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    d, c = draw(st.integers(1, 5)), draw(st.integers(1, 2))
    n_retain, n_forget = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    factors = rng.standard_normal((n_retain + n_forget, c, d))
    kind = draw(st.sampled_from(("plain", "scales", "duplicates", "zeros")))
    if kind == "scales":
        factors *= 10.0 ** rng.uniform(-2, 0, (len(factors), 1, 1))
    if kind == "duplicates":
        factors[:] = factors[rng.integers(len(factors), size=len(factors))]
    if kind == "zeros":
        factors[rng.integers(len(factors))] = 0.0
    return {
        "retain": factors[:n_retain],
        "forget": factors[n_retain:],
        "step": draw(st.floats(0.01, 1.0)) / c,
        "batches": (draw(st.integers(1, n_retain)), draw(st.integers(1, n_forget))),
        "alpha": draw(st.sampled_from((0.0, 0.05, 0.3, 1.0))),
        "sampling": draw(st.sampled_from(SAMPLINGS)),
        "weight_decay": draw(st.sampled_from((0.0, 0.1))),
        "momentum": draw(st.sampled_from((0.3, 0.9))) if momentum else 0.0,
    }


def hessians(factors):
    """``Z_i Z_iᵀ`` of factors (n, C, d)."""
    return np.einsum("nci,ncj->nij", factors, factors)
