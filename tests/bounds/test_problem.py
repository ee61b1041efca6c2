"""Bounds on problems given by Hessians or ragged factors, against the dense Kronecker operator."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import rmtstab as rs
from tests import naive

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")


@st.composite
def problems(draw):
    """Hessians of mixed rank (0 included) and scale, batches, mixing and step size."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    d = draw(st.integers(1, 4))
    sizes = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    spread = draw(st.sampled_from([0.0, 1.0, 6.0]))
    sets = []
    for n in sizes:
        factors = rng.normal(size=(n, d, 3)) * 10.0 ** rng.uniform(-spread, spread, (n, 1, 1))
        factors *= rng.random((n, 1, 3)) < rng.uniform(0.2, 1.0)
        sets.append(factors @ factors.transpose(0, 2, 1))
    top = max(np.abs(h).max() for h in sets) or 1.0
    retain, forget = (h / top for h in sets)
    batch = draw(st.integers(1, sizes[0])), draw(st.integers(1, sizes[1]))
    alpha = draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))
    step = draw(st.floats(0.05, 4.0))
    decay = draw(st.sampled_from([0.0, 0.1]))
    return retain, forget, batch, alpha, step, decay, draw(st.sampled_from(SAMPLINGS))


def range_of(retain, forget, alpha):
    """Range of the weighted sets, as far as the sum of their Hessians shows it."""
    seen = [h for h, a in ((retain, 1 - alpha), (forget, alpha)) if a > 0]
    values, vectors = np.linalg.eigh(np.concatenate(seen).sum(axis=0))
    return vectors[:, values > 1e-12 * max(values[-1], 1e-300)]


def exact(retain, forget, step, batch, alpha, sampling, decay):
    """ρ on the range of the weighted sets, by brute force."""
    q = range_of(retain, forget, alpha)
    if not q.shape[1]:
        return None
    turned = [np.einsum("ap,nab,bq->npq", q, h, q) for h in (retain, forget)]
    matrix = naive.second_moment(*turned, step, batch, alpha, sampling, decay)
    return np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[-1]


@given(problems())
def test_no_bound_is_violated(case):
    retain, forget, batch, alpha, step, decay, sampling = case
    rho = exact(retain, forget, step, batch, alpha, sampling, decay)
    problem = rs.UnlearningProblem.from_hessians(retain, forget)
    dyn = problem.dynamics(
        step_size=step, batch_size=batch, alpha=alpha, sampling=sampling, weight_decay=decay
    )
    # a direction twelve decades down is of the range, but the sum of Hessians hides it
    assume(rho is None or dyn.basis.n_active == range_of(retain, forget, alpha).shape[1])
    bounds = dyn.bounds()
    if rho is None:
        assert bounds == []
    slack = 0.0 if rho is None else 1e-9 * max(rho, 1.0)
    for bound in bounds:
        if bound.kind == "necessary":
            assert bound.rho_bound <= rho + slack, bound
        elif np.isfinite(bound.rho_bound):
            assert bound.rho_bound >= rho - slack, bound
        if bound.kind == "sufficient" and bound.satisfied:
            assert rho <= 1 + slack, bound


def test_direction_is_exact_on_orthogonal_samples():
    dyn = rs.UnlearningProblem.from_factors(2.0 * np.eye(3), ()).dynamics(
        step_size=0.5, batch_size=1, alpha=0.0, sampling="bernoulli"
    )
    best = max(b.rho_bound for b in dyn.bounds() if b.kind == "necessary")
    assert best == pytest.approx(dyn.growth_factor(), rel=1e-12)


def test_samples_without_curvature_are_harmless():
    zero = np.zeros((2, 2))
    retain = np.stack([zero, np.diag([9.0, 0.0]), np.diag([0.0, 1.0]), zero])
    for order in ([0, 1, 2, 3], [1, 2, 3, 0], [0, 3, 1, 2]):
        dyn = rs.UnlearningProblem.from_hessians(retain[order], ()).dynamics(
            step_size=0.3, batch_size=1, alpha=0.0, sampling="bernoulli"
        )
        rho = exact(retain, retain[:0], 0.3, (1, 1), 0.0, "bernoulli", 0.0)
        assert dyn.growth_factor() == pytest.approx(rho, rel=1e-12)
        assert all(b.rho_bound <= rho * (1 + 1e-12) for b in dyn.bounds() if b.kind == "necessary")


def test_widths_that_add_up_to_the_number_of_samples_are_not_rank_one():
    """Ranks 0, 2, 1 of three samples: as many columns as samples, but not one each."""
    rng = np.random.default_rng(0)
    factors = [np.zeros((0, 3)), rng.normal(size=(2, 3)), rng.normal(size=(1, 3))]
    hessians = np.stack([f.T @ f for f in factors])
    problem = rs.UnlearningProblem.from_factors(factors, ())
    for sampling in SAMPLINGS:
        dyn = problem.dynamics(step_size=0.2, batch_size=1, alpha=0.0, sampling=sampling)
        rho = exact(hessians, hessians[:0], 0.2, (1, 1), 0.0, sampling, 0.0)
        assert dyn.growth_factor() == pytest.approx(rho, rel=1e-12)


def test_momentum_is_refused():
    problem = rs.UnlearningProblem.from_factors(np.eye(3), ())
    dyn = problem.dynamics(step_size=0.3, batch_size=1, alpha=0.0, momentum=0.9)
    with pytest.raises(ValueError, match=r"momentum must be 0 for closed-form bounds, got 0.9"):
        dyn.bounds()
