"""Theorems of Mulayoff and Michaeli (MM) and of Dexter et al. at α = 0, as named tests.

MM, arXiv:2306.07850, draw uniform B-subsets (our ``without_replacement``); Dexter et al.,
arXiv:2401.12332, include each sample with probability B/n (our ``bernoulli``). Notation:
``H_i`` per-sample Hessians, H their mean, ``g_i`` per-sample gradients at the minimum,
``p = (n − B)/(B (n − 1))``. Each docstring states what is tested, "in our form" where the
paper words it otherwise, and derives it. References are dense, from explicit Hessians.
"""

import numpy as np
import pytest

from rmtstab import UnlearningProblem, Verdict
from tests import naive
from tests.strategies import hessians

KINDS = ("plain", "several_outputs", "rank_deficient", "scales", "duplicates")


def samples(kind, rng, n=6):
    """Factors (n, C, d) of one kind."""
    if kind == "several_outputs":
        return rng.standard_normal((n, 2, 4))
    if kind == "rank_deficient":  # a two-dimensional range in four dimensions
        return rng.standard_normal((n, 1, 2)) @ rng.standard_normal((2, 4))
    z = rng.standard_normal((n, 1, 3))
    if kind == "scales":
        z *= 10.0 ** rng.uniform(-1.5, 0, (n, 1, 1))
    if kind == "duplicates":
        z[3:] = z[:3]
    return z


def orthogonal_groups(size, groups=4):
    """Rank-one samples, ``size`` equal ones along each of the axes."""
    return np.repeat(np.eye(groups), size, axis=0)


# --- Mulayoff and Michaeli ---------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_mulayoff_michaeli_theorem_3_exact_threshold(kind, batch, rng):
    """SGD near an interpolating minimum is mean-square stable iff η ≤ η* = 2/λ_max(C† D).

    ``C = ½ H ⊕ H``, ``D = (1−p) H⊗H + p (1/n) Σ H_i⊗H_i``. Derivation: with Ĥ the batch's
    mean, ``E Ĥ⊗Ĥ = D`` (ordered pairs in a batch coincide with probability 1/B, else are
    uniform over distinct pairs), so ``Φ = E (I−ηĤ)⊗(I−ηĤ) = 1 − 2ηC + η²D``. Φ is a
    self-adjoint positive map: ``ρ = λ_max``, and ρ ≤ 1 iff ``ηD ⪯ 2C``; D lives on C's range.
    """
    z = samples(kind, rng)
    h = hessians(z)
    found = UnlearningProblem.from_factors(z).critical_step_size(batch)
    exact = naive.kronecker_threshold(h, batch)
    assert found.value == pytest.approx(exact, rel=1e-9) and found.converged
    c, d = naive.stability_pencil(h, batch)
    none = np.zeros((0, *h.shape[1:]))
    for step in (0.3 * exact, 0.999 * exact, 1.001 * exact):
        phi = np.eye(len(c)) - 2 * step * c + step**2 * d
        dense = naive.second_moment(h, none, step, (batch, 1), 0.0, "without_replacement")
        np.testing.assert_allclose(phi, dense, atol=1e-12)
        # the complement stands still (eigenvalue 1): only the upper side escapes
        assert (np.linalg.eigvalsh(phi)[-1] > 1 + 1e-9) == (step > exact)
    dyn = UnlearningProblem.from_factors(z).dynamics
    assert dyn(0.999 * exact, batch).verdict() is Verdict.STABLE
    assert dyn(1.001 * exact, batch).verdict() is Verdict.ESCAPES


@pytest.mark.parametrize("kind", KINDS)
def test_mulayoff_michaeli_proposition_1_monotone_in_the_batch_size(kind, rng):
    """The threshold η* does not fall as the batch size grows.

    ``D = H⊗H + p (1/n) Σ (H_i−H)⊗(H_i−H)``; for the top eigenmatrix ``M ⪰ 0`` each term
    pairs to ``tr(M (H_i−H) M (H_i−H)) ≥ 0``, and p falls with B: ρ falls at every η.
    """
    z = samples(kind, rng)
    problem = UnlearningProblem.from_factors(z)
    values = np.array([float(problem.critical_step_size(b)) for b in range(1, len(z) + 1)])
    assert np.all(np.diff(values) > -1e-12 * values[1:]) and values[-1] > 1.05 * values[0]
    exact = [naive.kronecker_threshold(hessians(z), b) for b in range(1, len(z) + 1)]
    np.testing.assert_allclose(values, exact, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_mulayoff_michaeli_proposition_2_below_gradient_descent(kind, rng):
    """η* ≤ 2/λ_max(H), the threshold of gradient descent, with equality at B = n.

    ``⟨vvᵀ, D vvᵀ⟩ ≥ (vᵀHv)²`` and ``⟨vvᵀ, C vvᵀ⟩ = vᵀHv`` for v the top eigenvector; at
    B = n, p = 0 and D = H⊗H.
    """
    z = samples(kind, rng)
    problem = UnlearningProblem.from_factors(z)
    descent = 2.0 / np.linalg.eigvalsh(hessians(z).mean(axis=0))[-1]
    values = [float(problem.critical_step_size(b)) for b in range(1, len(z) + 1)]
    assert all(value < 0.999 * descent for value in values[:-2])
    assert values[-1] == pytest.approx(descent, rel=1e-11)
    same = UnlearningProblem.from_factors(np.repeat(z[:1], 6, axis=0))  # no noise to speak of
    limit = 2.0 / np.linalg.eigvalsh(hessians(z[:1])[0])[-1]
    assert float(same.critical_step_size(1)) == pytest.approx(limit, rel=1e-11)


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_mulayoff_michaeli_proposition_3_necessary_conditions(kind, batch, rng):
    """In our form, stability needs (15) and (16), v the top eigenvector of H.

    ``η ≤ 2 λ_max(H)/[(1−p) λ_max(H)² + p mean (vᵀH_iv)²]`` and
    ``η ≤ 2 tr H/[(1−p) ‖H‖_F² + p mean ‖H_i‖_F²]``: pair ``ηD ⪯ 2C`` with ``vvᵀ`` and with I.
    """
    z = samples(kind, rng)
    h, p = hessians(z), naive.batch_fraction(len(z), batch)
    mean = h.mean(axis=0)
    values, vectors = np.linalg.eigh(mean)
    v, top = vectors[:, -1], values[-1]
    direction = 2 * top / ((1 - p) * top**2 + p * np.mean(np.einsum("i,nij,j->n", v, h, v) ** 2))
    trace = 2 * np.trace(mean) / ((1 - p) * np.sum(mean**2) + p * np.sum(h**2) / len(h))
    problem = UnlearningProblem.from_factors(z)
    critical = float(problem.critical_step_size(batch))
    assert critical <= min(direction, trace) * (1 + 1e-12)
    over = problem.dynamics(1.001 * min(direction, trace), batch, 0.0)
    assert over.verdict() is Verdict.ESCAPES


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_mulayoff_michaeli_proposition_3_is_attained(batch, rng):
    """(16) is an equality on orthonormal samples, (15) in one direction: no factor is lost."""
    n = 6
    p = naive.batch_fraction(n, batch)
    found = float(UnlearningProblem.from_factors(np.eye(n)).critical_step_size(batch))
    assert found == pytest.approx(2.0 / ((1 - p) / n + p), rel=1e-12)
    h = rng.uniform(0.1, 2.0, n)
    found = float(UnlearningProblem.from_factors(np.sqrt(h)[:, None]).critical_step_size(batch))
    exact = 2 * h.mean() / ((1 - p) * h.mean() ** 2 + p * np.mean(h**2))
    assert found == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("batch", [1, 2])
def test_mulayoff_michaeli_theorem_5_non_interpolating_minimum(batch, rng):
    """Where SGD settles at a minimum with ``g_i ≠ 0``, ``ḡ = 0``, in our form.

    With ``Σ = (1/n) Σ g_i g_iᵀ``: on the range ``M = lim E w wᵀ`` solves
    ``(2C − ηD) vec M = η p vec Σ``, whence ``E L → ½ tr(H M)`` and ``E‖∇L‖² → tr(H² M)``;
    on the null space ``E‖w_k‖²`` grows by ``η² p tr(P Σ)`` a step. Derivation: the batch's
    gradient at 0 has mean 0 and covariance ``pΣ`` (the computation of D), uncorrelated with
    the displacement in the mean, so ``M = Φ(M) + η² p Σ``; the null space only adds it up.
    """
    z = samples("rank_deficient", rng)
    h, g = hessians(z), rng.standard_normal((6, 4))
    g -= g.mean(axis=0)
    problem = UnlearningProblem.from_factors(z, gradients=(g, ()))
    assert (problem.rank, problem.complement) == (2, 2)
    step = 0.3 * naive.kronecker_threshold(h, batch)
    dyn = problem.dynamics(step, batch, 0.0)
    p = naive.batch_fraction(6, batch)
    mean = h.mean(axis=0)
    values, vectors = np.linalg.eigh(mean)
    on, off = vectors[:, 2:], vectors[:, :2]
    inside = np.einsum("ia,nij,jb->nab", on, h, on)
    c, d = naive.stability_pencil(inside, batch)
    sigma = g.T @ g / 6
    right = step * p * (on.T @ sigma @ on)
    m = np.linalg.solve(2 * c - step * d, right.ravel()).reshape(2, 2)
    found = dyn.stationary(problem.gradients)
    assert np.trace(found.covariance) == pytest.approx(np.trace(m), rel=1e-10)
    loss = 0.5 * np.trace(inside.mean(axis=0) @ m)
    assert found.retain_loss == pytest.approx(loss, rel=1e-10)
    slope = np.trace(np.diag(values[2:] ** 2) @ m)
    square = np.pad(problem.mean_curvatures[0] @ problem.mean_curvatures[0], (0, 2))
    assert np.vdot(square, found.covariance) == pytest.approx(slope, rel=1e-10)
    growth = step**2 * p * np.trace(off.T @ sigma @ off)
    assert np.trace(found.diffusion) == pytest.approx(growth, rel=1e-10)
    np.testing.assert_allclose(found.mean, 0.0, atol=1e-12)
    # the trajectory gets there, and never leaves the line of the null space
    path = dyn.trajectory(4000, np.zeros(2), gradients=problem.gradients)
    assert path.retain_loss[-1] == pytest.approx(loss, rel=1e-9)
    expected = np.trace(m) + growth * np.array([3999, 4000])
    np.testing.assert_allclose(path.displacement[-2:], expected, rtol=1e-9)


@pytest.mark.parametrize("batch", [1, 2, 5, 6])
def test_mulayoff_michaeli_mixture_has_the_operator_of_mini_batches(batch, rng):
    """ALG(p): one sample's gradient with probability p, else the full one; the same Φ.

    ``(1−p) A⊗A + p mean A_i⊗A_i`` with ``A_i`` the affine step of sample i and A their mean
    is the second moment of a mini-batch step: the covariance of the batch's mean of any
    vectors is p times their population covariance. Exact, gradients included.
    """
    z = samples("several_outputs", rng)
    h, g, step = hessians(z), rng.standard_normal((6, 4)), 0.1
    none = np.zeros((0, 4, 4)), np.zeros((0, 4))
    mixed = naive.full_or_single(h, g, step, naive.batch_fraction(6, batch))
    batches = naive.affine_second_moment(
        h, none[0], (g, none[1]), step, (batch, 1), 0.0, "without_replacement"
    )
    np.testing.assert_allclose(mixed, batches, atol=1e-14)
    problem = UnlearningProblem.from_factors(z, gradients=(g, ()))
    dyn = problem.dynamics(step, batch, 0.0)
    keep = [i * 5 + j for i in range(4) for j in range(4)]
    exact = np.linalg.eigvalsh(mixed[np.ix_(keep, keep)])[-1]
    assert dyn.growth_factor() == pytest.approx(exact, rel=1e-12)
    state = np.zeros((5, 5))
    state[-1, -1] = 1.0
    path = dyn.trajectory(8, np.zeros(4), gradients=problem.gradients)
    for k in range(9):
        assert path.displacement[k] == pytest.approx(np.trace(state[:4, :4]), rel=1e-11, abs=1e-15)
        state = (mixed @ state.ravel()).reshape(5, 5)


def test_mulayoff_michaeli_mixture_has_the_moments_of_mini_batches_by_monte_carlo(rng):
    """Three steps of both processes, drawn plainly: E‖w‖² of each is that of Φ³.

    With p replaced by 1/B or by (n−B)/(nB) the exact value is more than 8 standard errors away.
    """
    n, batch, step, replicas = 6, 2, 0.35, 60_000
    z = samples("plain", rng)
    h, w = hessians(z), np.array([1.0, -1.0, 0.5])
    p = naive.batch_fraction(n, batch)
    subsets, mixture = np.tile(w, (replicas, 1)), np.tile(w, (replicas, 1))
    rows = np.arange(replicas)[:, None]
    for _ in range(3):
        drawn = np.argsort(rng.random((replicas, n)), axis=1)[:, :batch]
        slopes = np.einsum("nij,rj->rni", h, subsets)
        subsets = subsets - step * slopes[rows, drawn].mean(axis=1)
        slopes = np.einsum("nij,rj->rni", h, mixture)
        one = slopes[np.arange(replicas), rng.integers(n, size=replicas)]
        single = rng.random(replicas) < p
        mixture = mixture - step * np.where(single[:, None], one, slopes.mean(axis=1))

    def exact(q):
        phi = naive.full_or_single(h, np.zeros((n, 3)), step, q)
        state = np.pad(np.outer(w, w), (0, 1))
        state = (np.linalg.matrix_power(phi, 3) @ state.ravel()).reshape(4, 4)
        return np.trace(state)

    problem = UnlearningProblem.from_factors(z)
    start = problem.from_predictions(z[:, 0] @ w)  # the range is everything here
    value = problem.dynamics(step, batch, 0.0).trajectory(3, start).displacement[-1]
    assert value == pytest.approx(exact(p), rel=1e-11)
    for runs in (subsets, mixture):
        squares = np.sum(runs**2, axis=1)
        error = squares.std() / np.sqrt(replicas)
        assert abs(squares.mean() - value) < 5 * error
        assert min(abs(exact(1 / batch) - value), abs(exact(p - 1 / 15) - value)) > 8 * error


# --- Dexter et al. -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1.0, 2.5])
@pytest.mark.parametrize("kind", KINDS)
def test_dexter_theorem_1_coherence_forces_divergence(kind, batch, rng):
    """If ``λ_max(H) > (σ/η) (n/B − 1)^{-1/2}``, E‖w_k‖² diverges: ρ ≥ η²(n/B−1)λ_max(H)²/σ².

    ``σ = λ_max(S)/max_i λ_max(H_i)``, ``S_ij = √tr(H_iH_j)``. Derivation:
    ``nλ_max(H) ≤ λ_max(S) = σ max_i λ_max(H_i)`` (block norms), and the noise
    ``c Σ H_i⊗H_i``, ``c = (n/B−1)/n²``, alone gives ``ρ ≥ η²c max_i λ_max(H_i)²``.
    """
    z = samples(kind, rng)
    h, n = hessians(z), len(z)
    sigma, top = naive.coherence(h), np.linalg.eigvalsh(h.mean(axis=0))[-1]
    problem = UnlearningProblem.from_factors(z)
    assert problem.coherence().retain == pytest.approx(sigma, rel=1e-10)
    none = np.zeros((0, *h.shape[1:]))
    forced = sigma / top / np.sqrt(n / batch - 1)
    for factor in (0.3, 1.0 + 1e-9, 3.0):
        step = factor * forced
        exact = naive.growth_factor(h, none, step, (batch, 1.0), 0.0, "bernoulli")
        dyn = problem.dynamics(step, batch, 0.0, sampling="bernoulli")
        assert dyn.growth_factor() == pytest.approx(exact, rel=1e-10)
        assert exact >= factor**2 * (1 - 1e-12)
        assert factor < 1.0 or dyn.verdict() is Verdict.ESCAPES
    assert float(problem.critical_step_size(batch, sampling="bernoulli")) <= forced * (1 + 1e-12)


@pytest.mark.parametrize("batch", [1.0, 2.5])
def test_dexter_theorem_1_is_attained_by_orthogonal_samples(batch):
    """σ = 1: ``ρ = (1 − ηλ)² + bound``, an equality at η = 1/λ; no constant is lost."""
    n = 5
    problem = UnlearningProblem.from_factors(np.eye(n))
    found = problem.dynamics(float(n), batch, 0.0, sampling="bernoulli").growth_factor()
    assert found == pytest.approx(n / batch - 1, rel=1e-12)


@pytest.mark.parametrize("batch", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("sigma", [1, 2, 3, 8])
def test_dexter_theorem_2_some_model_is_stable_up_to_the_bound(sigma, batch):
    """For every σ, n, B, η some Hessians of coherence σ are stable while λ_max < λ*.

    ``λ* = (2/η) σ/(n/B + σ − 1)``: σ equal samples along each axis, ``H_i = sσ^{-1}n e eᵀ``
    with ``λ_max(H) = s``, decouple into ``ρ = (1−ηs)² + η²(n/B−1)s²/σ``, which is 1 at s = λ*.
    """
    z = orthogonal_groups(sigma)
    n, step = len(z), 0.7
    bound = (2.0 / step) * sigma / (n / batch + sigma - 1)
    assert naive.coherence(hessians(z[:, None])) == pytest.approx(sigma)
    none = np.zeros((0, 4, 4))
    for factor in (0.5, 0.999, 1.0, 1.001):
        scaled = np.sqrt(factor * bound * n / sigma) * z
        h = hessians(scaled[:, None])
        assert np.linalg.eigvalsh(h.mean(axis=0))[-1] == pytest.approx(factor * bound)
        s = factor * bound
        exact = (1 - step * s) ** 2 + step**2 * (n / batch - 1) * s**2 / sigma
        dense = naive.growth_factor(h, none, step, (batch, 1.0), 0.0, "bernoulli")
        assert dense == pytest.approx(exact, rel=1e-11)
        dyn = UnlearningProblem.from_factors(scaled).dynamics(
            step, batch, 0.0, sampling="bernoulli"
        )
        assert dyn.growth_factor() == pytest.approx(exact, rel=1e-11)
        expected = (Verdict.STABLE, Verdict.MARGINAL, Verdict.ESCAPES)
        assert dyn.verdict() is expected[int(np.sign(factor - 1.0)) + 1]
    critical = UnlearningProblem.from_factors(z).critical_step_size(batch, sampling="bernoulli")
    assert sigma / n * float(critical) == pytest.approx(step * bound, rel=1e-12)
