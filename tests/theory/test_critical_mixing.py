"""Mean-limited mixings: Wachter's limit, its finite-size law, and the edge under weight decay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import eigh

from rmtstab import UnlearningProblem
from rmtstab.laws import DescentAscent, Wachter
from rmtstab.theory import descent_ascent, wachter

ratios = st.floats(1e-3, 1e3)


@given(st.floats(1e-3, 0.999), ratios)
def test_wachter_threshold_is_the_edge_of_its_law(retain, forget):
    b = Wachter(forget, retain).support()[1]
    assert wachter.critical_alpha(retain, forget) == pytest.approx(1 / (1 + b), rel=1e-10)


@given(st.floats(1e-3, 0.95), st.floats(1e-2, 1e2))
def test_wachter_threshold_is_where_the_mix_hessian_touches_zero(retain, forget):
    """Two laws derived apart: the F-matrix's edge, and the free difference's."""
    alpha = wachter.critical_alpha(retain, forget)
    scale = DescentAscent(retain, forget, alpha).support()[1]
    assert abs(descent_ascent.left_edge(retain, forget, alpha)) < 1e-10 * scale
    assert descent_ascent.left_edge(retain, forget, 1.01 * alpha) < 0
    assert descent_ascent.left_edge(retain, forget, 0.99 * alpha) > 0


def test_no_mixing_where_the_retain_set_misses_directions():
    assert wachter.critical_alpha(1.0, 0.3) == wachter.critical_alpha(7.0, 0.3) == 0.0
    found = wachter.critical_alpha_quantile(30, 20, 30)
    assert (found.limit, found.mean, found.quantile) == (0, 0, 0)
    assert np.isnan(found.centre)


def largest_root(n_retain, n_forget, dim, draws, rng):
    """α* = 1/(1+b) of sampled factors with a common covariance."""
    root = np.sqrt(rng.uniform(0.1, 3.0, dim))[:, None]
    found = []
    for _ in range(draws):
        r, f = (root * rng.standard_normal((dim, n)) for n in (n_retain, n_forget))
        b = eigh(f @ f.T / n_forget, r @ r.T / n_retain, eigvals_only=True)[-1]
        found.append(1 / (1 + b))
    return np.array(found)


@pytest.mark.parametrize("shape", [(60, 30, 15), (80, 10, 40), (50, 100, 30)])
def test_finite_size_law_of_the_mixing(shape, rng):
    """Coverage of the 5 %, 50 % and 95 % quantiles; Wachter's limit alone is far in the tail."""
    draws = 1500
    sampled = largest_root(*shape, draws, rng)
    for level in (0.05, 0.5, 0.95):
        found = wachter.critical_alpha_quantile(*shape, level)
        error = np.sqrt(level * (1 - level) / draws)
        assert abs((sampled < found.quantile).mean() - level) < 4 * error + 0.012
    # what the correction is worth: the limit is 10–25 % low, the mean closer by eight at least
    error = sampled.std(ddof=1) / np.sqrt(draws) / sampled.mean()
    low = 1 - found.limit / sampled.mean()
    assert low > 0.1 and (sampled < found.limit).mean() < 0.2
    assert abs(found.mean / sampled.mean() - 1) < low / 8 + 4 * error


def test_quantiles_are_ordered_and_invert_the_law():
    levels = (1e-6, 0.1, 0.5, 0.9, 1 - 1e-6)
    values = [wachter.critical_alpha_quantile(200, 80, 40, p).quantile for p in levels]
    assert (np.diff(values) > 0).all() and values[0] > 0 and values[-1] < 0.5
    large = wachter.critical_alpha_quantile(5 * 10**6, 2 * 10**6, 10**6)
    assert large.quantile == pytest.approx(large.limit, rel=1e-3)


@given(ratios, ratios, st.floats(1e-6, 10.0), st.floats(1e-3, 1e3))
def test_edge_under_weight_decay(retain, forget, decay, scale):
    alpha = descent_ascent.critical_alpha(retain, forget, decay * scale, scale=scale)
    assert 0 < alpha <= 1
    if alpha < 1:
        law = DescentAscent(retain, forget, alpha, decay)
        assert law.support()[0] == pytest.approx(0, abs=1e-8 * law.support()[1])
    else:
        assert decay >= (1 + np.sqrt(forget)) ** 2 * (1 - 1e-12)


@given(st.floats(1e-2, 0.9), st.floats(1e-2, 1e2))
def test_edge_tends_to_wachter_without_weight_decay(retain, forget):
    limit = wachter.critical_alpha(retain, forget)
    assert descent_ascent.critical_alpha(retain, forget, 0.0) == limit
    scale = 1 / limit
    gaps = [descent_ascent.critical_alpha(retain, forget, d / scale) - limit for d in (1e-4, 1e-6)]
    assert 0 < gaps[1] < 0.02 * gaps[0]


@given(st.floats(1.1, 1e2), st.floats(1e-2, 1e2))
def test_over_parameterised_edge_leaves_zero_linearly(retain, forget):
    """On retain's null space the mix is −αH_F compressed, of (1 − 1/γ_r) of the dimensions."""
    decay = 1e-7
    slope = (1 + np.sqrt(forget * (1 - 1 / retain))) ** -2
    found = descent_ascent.critical_alpha(retain, forget, decay)
    assert found / decay == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize(("retain", "forget", "decay"), [(2.0, 4.0, 0.3), (0.5, 2.0, 0.3)])
def test_edge_against_sampled_mix_hessians(retain, forget, decay, rng):
    dim, found = 240, []
    for _ in range(6):
        r = rng.standard_normal((dim, round(dim / retain)))
        f = rng.standard_normal((dim, round(dim / forget)))
        h_r, h_f = r @ r.T / r.shape[1], f @ f.T / f.shape[1]
        alphas = np.linspace(0, 0.3, 16)
        lowest = [np.linalg.eigvalsh((1 - a) * h_r - a * h_f)[0] for a in alphas]
        found.append(np.interp(decay, -np.array(lowest), alphas))
    formula = descent_ascent.critical_alpha(retain, forget, decay)
    # from above, by n^{-2/3} of a Tracy–Widom mean
    assert 0 < np.mean(found) / formula - 1 < 0.06
    assert np.mean(found) / descent_ascent.critical_alpha(retain, forget, 1.2 * decay) < 1


def test_edge_is_the_exact_critical_alpha_of_large_batches(rng):
    """The dynamics with weight decay at full batches and a small step."""
    n_r, n_f, dim, decay = 60, 30, 120, 0.5
    r, f = rng.standard_normal((n_r, dim)), rng.standard_normal((n_f, dim))
    problem = UnlearningProblem.from_factors(r, f)
    exact = problem.critical_alpha(0.01, (n_r, n_f), weight_decay=decay)
    formula = descent_ascent.critical_alpha(dim / n_r, dim / n_f, decay)
    assert float(exact) == pytest.approx(formula, rel=0.2)
    assert float(exact) > 3 * descent_ascent.critical_alpha(dim / n_r, dim / n_f, 0.1 * decay)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wachter.critical_alpha(0.0, 1.0), r"retain_ratio must be > 0 and finite, got 0.0"),
        (lambda: wachter.critical_alpha(0.5, -1.0), r"forget_ratio must be > 0 .* got -1.0"),
        (lambda: wachter.critical_alpha_quantile(0, 5, 2), r"n_retain must be >= 1"),
        (
            lambda: wachter.critical_alpha_quantile(9, 5, 2, 1.0),
            r"probability must lie in \(0, 1\), got 1.0",
        ),
        (lambda: descent_ascent.critical_alpha(1.0, 1.0, -0.1), r"weight_decay must be >= 0"),
        (
            lambda: descent_ascent.critical_alpha(1.0, 1.0, 0.1, scale=0.0),
            r"scale must be > 0 and finite, got 0.0",
        ),
        (lambda: descent_ascent.critical_alpha(1e60, 1.0, 0.1), r"retain_ratio must lie in"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
