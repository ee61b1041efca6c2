"""Degenerate problems have answers known by hand, in every function; inputs of every kind."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rmtstab import Reason, UnlearningProblem, Verdict
from tests import naive
from tests.strategies import SAMPLINGS, hessians, instances


def build(x, **changes):
    x = {**x, **changes}
    problem = UnlearningProblem.from_factors(x["retain"], x["forget"])
    return problem.dynamics(
        x["step"], x["batches"], x["alpha"], x["sampling"], x["weight_decay"], x["momentum"]
    )


@pytest.mark.parametrize("momentum", [0.0, 0.4])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_one_retained_sample(sampling, momentum):
    # h = 4: a batch of one sample from one has no noise in any scheme
    problem = UnlearningProblem.from_factors([[2.0, 0.0, 0.0]])
    dyn = problem.dynamics(0.3, 1, 0.0, sampling=sampling, momentum=momentum)
    a = 1.0 + momentum - 0.3 * 4.0
    roots = np.roots([1.0, -a, momentum]) if momentum else np.array([a])
    assert dyn.growth_factor() == pytest.approx(np.abs(roots).max() ** 2, rel=1e-12)
    assert dyn.verdict() is Verdict.STABLE
    critical = problem.critical_step_size(1, sampling=sampling, momentum=momentum)
    assert float(critical) == pytest.approx(2.0 * (1.0 + momentum) / 4.0, rel=1e-12)
    np.testing.assert_allclose(dyn.growth().participation, [1.0])
    path = dyn.trajectory(3, [1.0])
    w, before = 1.0, 1.0
    for k in range(4):
        assert path.displacement[k] == pytest.approx(w * w, rel=1e-12)
        w, before = a * w - momentum * before, w


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_one_sample_in_each_set(sampling):
    problem = UnlearningProblem.from_factors([[1.0]], [[2.0]])
    dyn = problem.dynamics(0.5, (1, 1), 0.3, sampling)
    assert dyn.growth_factor() == pytest.approx((1 - 0.5 * (0.7 - 0.3 * 4.0)) ** 2, rel=1e-14)
    # 1 − α = 4α
    found = problem.critical_alpha(0.5, (1, 1), sampling=sampling)
    assert float(found) == pytest.approx(0.2, rel=1e-9)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("empty", [(), np.zeros((0, 3)), np.zeros((0, 2, 3))])
def test_no_forget_set_is_plain_descent(sampling, empty, rng):
    z = rng.standard_normal((5, 2, 3))
    problem = UnlearningProblem.from_factors(z, empty)
    assert (problem.n_forget, problem.rank) == (0, 3)
    dyn = problem.dynamics(0.1, 2, 0.0, sampling=sampling)
    exact = naive.growth_factor(hessians(z), np.zeros((0, 3, 3)), 0.1, (2, 0), 0.0, sampling)
    assert dyn.growth_factor() == pytest.approx(exact, rel=1e-11)
    path = dyn.trajectory(4, quantiles=[0.5], replicas=3, rng=0)
    assert (path.forget_loss == 0.0).all() and np.isfinite(path.quantiles).all()
    found = problem.frontier(0.1, [1, 5], [0.0], sampling=sampling)
    assert found.critical_alpha.tolist() == [0.0, 0.0] or found.values.max() > 1.0
    with pytest.raises(ValueError, match="alpha must be 0 when there is no forget set"):
        problem.dynamics(0.1, 2, 0.1)
    with pytest.raises(ValueError, match="needs a forget set"):
        problem.critical_alpha(0.1, 2)


@given(instances())
def test_full_batches_are_the_mean_dynamics(x):
    assume(np.abs(x["retain"]).max() > 0 and np.abs(x["forget"]).max() > 0)
    assume(x["sampling"] != "with_replacement")
    x = {**x, "batches": (len(x["retain"]), len(x["forget"]))}
    dyn = build(x)
    assert dyn.growth_factor() == pytest.approx((dyn.mean_multipliers**2).max(), rel=1e-10)
    runs = dyn.simulate(4, 2, 0, np.ones(dyn.problem.rank))
    np.testing.assert_array_equal(runs.displacement[0], runs.displacement[1])
    exact = dyn.trajectory(4, np.ones(dyn.problem.rank)).displacement
    np.testing.assert_allclose(runs.displacement[0] ** 2, exact, rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_pure_ascent_escapes_and_sees_the_forget_set_alone(sampling, rng):
    z = rng.standard_normal((7, 1, 4))
    problem = UnlearningProblem.from_factors(z[:5], z[5:])
    dyn = problem.dynamics(0.1, (2, 1), 1.0, sampling)
    assert dyn.verdict() is Verdict.ESCAPES and dyn.reason() is Reason.ASCENT_DIRECTION
    alone = naive.growth_factor(np.zeros((0, 4, 4)), hessians(z[5:]), 0.1, (0, 1), 1.0, sampling)
    assert dyn.growth_factor() == pytest.approx(alone, rel=1e-11)
    assert len(dyn.mean_eigenvalues) == 2
    assert float(problem.critical_step_size((2, 1), 1.0, sampling=sampling)) == 0.0
    np.testing.assert_allclose(dyn.growth().participation[:5], 0.0)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_identical_samples_have_noise_by_bernoulli_alone(sampling):
    # every sample e₁: ρ = (1 − ηd)² plus η²Σ a²(1 − B/n)/B for Bernoulli batches
    z = np.tile([1.0, 0.0], (6, 1))
    dyn = UnlearningProblem.from_factors(z[:4], z[4:]).dynamics(0.5, (2, 1), 0.1, sampling)
    noise = 0.25 * (0.9**2 * 0.5 / 2 + 0.1**2 * 0.5) if sampling == "bernoulli" else 0.0
    assert dyn.growth_factor() == pytest.approx((1 - 0.5 * 0.8) ** 2 + noise, rel=1e-13)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_all_hessians_zero_leaves_everything_still(sampling, momentum):
    problem = UnlearningProblem.from_factors(np.zeros((3, 2)), np.zeros((2, 2)))
    dyn = problem.dynamics(0.5, (1, 1), 0.3, sampling, momentum=momentum)
    assert (problem.rank, dyn.growth_factor(), dyn.verdict()) == (0, 1.0, Verdict.MARGINAL)
    assert dyn.trajectory(3).displacement.tolist() == [0.0] * 4
    assert float(problem.critical_alpha(0.5, (1, 1), momentum=momentum)) == 1.0
    found = problem.frontier(0.5, [1, 2], [0.0, 0.5], sampling=sampling, momentum=momentum)
    assert (found.values == 1.0).all() and (found.verdicts == Verdict.MARGINAL).all()


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_exactly_marginal_is_said_at_the_critical_step(sampling, momentum, rng):
    problem = UnlearningProblem.from_factors(
        rng.standard_normal((9, 4)), 0.2 * rng.standard_normal((3, 4))
    )
    rest = {"sampling": sampling, "momentum": momentum}
    step = float(problem.critical_step_size((2, 1), 0.1, **rest))
    assert problem.dynamics(step, (2, 1), 0.1, **rest).verdict() is Verdict.MARGINAL
    for factor, verdict in ((1 - 1e-6, Verdict.STABLE), (1 + 1e-6, Verdict.ESCAPES)):
        assert problem.dynamics(factor * step, (2, 1), 0.1, **rest).verdict() is verdict


@given(instances(), st.floats(0.0, 1.0), st.floats(0.0, 2.0), st.floats(0.0, 2.0))
def test_root_of_growth_is_jointly_convex(x, t, first, second):
    # in the two step sizes (η(1−α), ηα), not only along each axis
    assume(np.abs(x["retain"]).max() > 0 and np.abs(x["forget"]).max() > 0)
    x = {**x, "weight_decay": 0.0}
    one = np.array([1.0, first]) * x["step"]
    two = np.array([second, 0.5]) * x["step"]

    def root(point):
        total = float(point.sum())
        return np.sqrt(build(x, step=total, alpha=float(point[1] / total)).growth_factor())

    # the ranges agree at interior mixings only
    assume(min(one.min(), two.min()) > 1e-6)
    between = root((1 - t) * one + t * two)
    assert between <= ((1 - t) * root(one) + t * root(two)) * (1 + 1e-9)


@given(instances(momentum=True))
def test_growth_falls_with_the_batch_with_momentum_too(x):
    assume(np.abs(x["retain"]).max() > 0 and np.abs(x["forget"]).max() > 0)
    larger = tuple(
        min(b + 1, len(s)) for b, s in zip(x["batches"], (x["retain"], x["forget"]), strict=True)
    )
    assert build(x, batches=larger).growth_factor() <= build(x).growth_factor() * (1 + 1e-7)


@given(instances(momentum=True))
def test_growth_with_momentum_is_invariant(x):
    assume(np.abs(x["retain"]).max() > 0 and np.abs(x["forget"]).max() > 0)
    value = build(x).growth_factor()
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((x["retain"].shape[2],) * 2))[0]
    turned = {k: -x[k][::-1] @ turn for k in ("retain", "forget")}
    scaled = {k: 10.0 * x[k] for k in ("retain", "forget")}
    for changes in (
        turned,
        {**scaled, "step": x["step"] / 100, "weight_decay": 100 * x["weight_decay"]},
    ):
        assert build(x, **changes).growth_factor() == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_arrays_of_either_precision_and_library(library, precision, rng):
    module = np if library == "numpy" else pytest.importorskip("torch")
    z, g = rng.standard_normal((6, 2, 4)), rng.standard_normal((6, 4))
    kind = getattr(module, precision)

    def convert(a):
        return a.astype(kind) if library == "numpy" else module.tensor(a, dtype=kind)

    plain = convert(z[:4])
    if library == "torch":  # one that carries a graph
        plain.requires_grad_()
    tolerance = 1e-5 if precision == "float32" else 1e-12
    expected = UnlearningProblem.from_factors(z[:4], z[4:], gradients=(g[:4], g[4:]))
    h = hessians(z)
    rows = z.reshape(12, 4)
    for problem in (
        UnlearningProblem.from_factors(
            plain, convert(z[4:]), gradients=(convert(g[:4]), convert(g[4:]))
        ),
        UnlearningProblem.from_hessians(convert(h[:4]), convert(h[4:]), tolerance=1e-5),
        UnlearningProblem.from_gram(convert(rows @ rows.T), 4, rank=2),
    ):
        assert problem.factors.matrix.dtype == np.float64 and problem.rank == 4
        value = problem.dynamics(0.1, (2, 1), 0.2).growth_factor()
        exact = expected.dynamics(0.1, (2, 1), 0.2).growth_factor()
        assert value == pytest.approx(exact, rel=tolerance)


@pytest.mark.parametrize("scale", [1e-70, 1e-20, 1e-16, 1e-13, 1e20, 1e70])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_thresholds_scale_with_the_curvature(scale, momentum):
    """A known fault: factors of 1e-16 gave a threshold 3.7 times too large, called converged."""
    z = np.random.default_rng(0).standard_normal((8, 3))
    plain = UnlearningProblem.from_factors(z[:5], z[5:])
    scaled = UnlearningProblem.from_factors(scale * z[:5], scale * z[5:])
    one, other = (p.critical_step_size((2, 1), 0.02, momentum=momentum) for p in (plain, scaled))
    assert other.value * scale * scale == pytest.approx(one.value, rel=1e-12)
    assert (other.converged, other.status) == (one.converged, one.status)
    assert other.error_bound * scale * scale == pytest.approx(one.error_bound, rel=0.5)
    step = 0.1 / scale / scale
    assert float(scaled.critical_alpha(step, (2, 1), momentum=momentum)) == pytest.approx(
        float(plain.critical_alpha(0.1, (2, 1), momentum=momentum)), rel=1e-10
    )
    dyn = scaled.dynamics(step, (2, 1), 0.1, momentum=momentum)
    reference = plain.dynamics(0.1, (2, 1), 0.1, momentum=momentum)
    assert dyn.growth_factor() == pytest.approx(reference.growth_factor(), rel=1e-12)
    assert dyn.verdict() is reference.verdict()


@pytest.mark.parametrize("scale", [1e-150, 1e-100, 1e100, 1e150])
def test_curvatures_whose_squares_are_no_floats_are_refused(scale):
    with pytest.raises(ValueError, match=r"largest singular value in \[1e-75, 1e\+75\]"):
        UnlearningProblem.from_factors(scale * np.eye(3))


def test_the_width_of_a_zero_threshold_is_linear_where_noise_moves_the_null_direction_itself():
    """Retain 1, 2 and forget 1.5 at mixing ½: D = 0, η* = 0; to rounding, not to its root."""
    problem = UnlearningProblem.from_factors([[1.0], [np.sqrt(2.0)]], [[np.sqrt(1.5)]])
    found = problem.critical_step_size((1, 1), 0.5)
    assert found.value == 0.0 and found.error_bound < 1e-12
    # where batches only turn it the width is the root of the rounding: a threshold one rounding
    # away lies there
    turned = UnlearningProblem.from_factors([[1, 1], [1, -1.0]], [[1, 0.5], [1, -0.5]])
    found = turned.critical_step_size((1, 1), 0.5)
    assert found.value == 0.0 and 1e-8 < found.error_bound < 5e-7
    near = turned.critical_step_size((1, 1), 0.5 - 1e-13)  # vᵀDv = 2e-13
    assert 1e-7 < near.value < 1e-5
