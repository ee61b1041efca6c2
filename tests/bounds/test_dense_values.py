"""Values of the bounds, with weight decay and a mixing in (0, 1), against dense matrices.

That no bound is violated is tested elsewhere; here a bound that is only weaker fails too.
"""

import itertools

import numpy as np
import pytest

import rmtstab as rs
from rmtstab.bounds.subspace import Span
from rmtstab.bounds.view import View
from tests import naive

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")
SIZES = 6, 5


class Dense:
    """Explicit Hessians of a random problem, and Φ as a matrix."""

    def __init__(self, seed, sampling):
        rng = np.random.default_rng(seed)
        self.d, self.sampling = 3, sampling
        self.outputs = int(rng.integers(1, 3))
        z = rng.standard_normal((sum(SIZES), self.outputs, self.d))
        z *= 10.0 ** rng.uniform(-0.5, 0.5, (sum(SIZES), 1, 1))
        self.z = z[: SIZES[0]], z[SIZES[0] :]
        self.h = [np.einsum("ncp,ncq->npq", part, part) for part in self.z]
        self.alpha, self.decay = float(rng.uniform(0.05, 0.6)), float(rng.uniform(0.05, 0.5))
        self.batch = int(rng.integers(1, SIZES[0])), int(rng.integers(1, SIZES[1]))
        self.eta = float(rng.uniform(0.05, 0.6))
        self.mix = (1 - self.alpha) * self.h[0].mean(0) - self.alpha * self.h[1].mean(0)
        self.mu, self.vectors = np.linalg.eigh(self.mix + self.decay * np.eye(self.d))
        self.phi = self.operator(self.eta)

    def operator(self, eta):
        return naive.second_moment(*self.h, eta, self.batch, self.alpha, self.sampling, self.decay)

    def applied(self, matrix, phi=None):
        phi = self.phi if phi is None else phi
        return (phi @ matrix.ravel()).reshape(self.d, self.d)

    def rho(self, phi=None):
        phi = self.phi if phi is None else phi
        return float(np.linalg.eigvalsh(0.5 * (phi + phi.T))[-1])

    def dynamics(self, eta=None):
        return rs.UnlearningProblem.from_factors(*self.z).dynamics(
            self.eta if eta is None else eta, self.batch, self.alpha, sampling=self.sampling,
            weight_decay=self.decay,
        )  # fmt: skip

    def bounds(self, eta=None):
        return {b.name: b for b in self.dynamics(eta).bounds(gap=False)}

    def variances(self):
        """Samples and ``a² c`` of both sets: the batch mean's noise is ``c Σ(H_i − H̄)²``, or
        ``c ΣH_i²`` for independent samples."""
        weights = 1 - self.alpha, self.alpha
        for hessians, batch, a in zip(self.h, self.batch, weights, strict=True):
            n = len(hessians)
            c = naive.batch_covariance(n, batch, self.sampling)[0, 0] / batch**2
            fixed = self.sampling != "bernoulli"
            yield hessians, a * a * c * (n / (n - 1) if fixed else 1.0)


CASES = [(seed, sampling) for seed in range(12) for sampling in SAMPLINGS]
every_case = pytest.mark.parametrize(("seed", "sampling"), CASES)


@every_case
def test_values_are_those_of_the_dense_operator(seed, sampling):
    case = Dense(seed, sampling)
    found = {name: b.rho_bound for name, b in case.bounds().items()}
    eye = np.eye(case.d)
    image = case.applied(eye)
    assert found["mean"] == pytest.approx(np.max((1 - case.eta * case.mu) ** 2), rel=1e-9)
    assert found["trace"] == pytest.approx(np.trace(image) / case.d, rel=1e-9)
    assert found["one step"] == pytest.approx(np.linalg.eigvalsh(image)[-1], rel=1e-9)
    tops = [np.linalg.eigh(h)[1][:, -1] for part in case.h for h in part]
    along = [
        float(v @ case.applied(np.outer(v, v)) @ v) for v in (*case.vectors.T, *np.array(tops))
    ]
    assert max(along) * (1 - 1e-9) <= found["direction"] <= case.rho() * (1 + 1e-9)
    # the operator bound: D² ⪯ λ_max(D) D and H_i² ⪯ λ_max(H_i) H_i
    if case.mu[0] < 0.0:
        assert np.isnan(found["operator"])  # there D² is no fraction of D
    else:
        mix = case.mix + case.decay * eye
        added = sum(c * np.linalg.eigvalsh(h)[-1] * h for part, c in case.variances() for h in part)
        inside = eye + (case.eta**2 * case.mu[-1] - 2 * case.eta) * mix + case.eta**2 * added
        assert found["operator"] == pytest.approx(np.linalg.eigvalsh(inside)[-1], rel=1e-9)


@every_case
def test_the_coherence_bound_is_its_formula(seed, sampling):
    """``η² λ_max(H̄)² min_s q_s``, with σ_u by loops over explicit Hessians."""
    case = Dense(seed, sampling)
    mean = (1 - case.alpha) * case.h[0].mean(0) + case.alpha * case.h[1].mean(0)
    weights = np.repeat([(1 - case.alpha) / SIZES[0], case.alpha / SIZES[1]], SIZES)
    weighted = np.concatenate(case.h) * weights[:, None, None]
    sigma = naive.coherence(weighted)
    found = case.bounds()
    coherence = rs.UnlearningProblem.from_factors(*case.z).coherence(case.alpha)
    assert coherence.unlearning >= 1.0
    top = np.linalg.eigvalsh(mean)[-1]
    quotients = []
    for n, batch in zip(SIZES, case.batch, strict=True):
        c = naive.batch_covariance(n, batch, sampling)[0, 0] / batch**2 * n * n
        if sampling == "bernoulli":
            quotients.append(c * top**2 / sigma**2)
        else:  # ``Σ(h_i − h̄)² ≥ (h_1 − h̄)² n/(n−1)`` about the mean, c_1k = −c_11/(n−1)
            quotients.append(c * (n / (n - 1)) ** 2 * (max(n / sigma - 1, 0) / n) ** 2 * top**2)
    expected = case.eta**2 * min(quotients)
    value = found["unlearning coherence"].rho_bound
    assert value == pytest.approx(expected, rel=1e-8)
    assert found["three-axis coherence"].rho_bound <= value * (1 + 1e-9)


@every_case
def test_the_reduced_bound_is_the_top_of_its_own_dense_operator(seed, sampling):
    """``ΣH_i X H_i`` replaced by ``tr(H X) H n²/N``, N the columns of all factors; exact else."""
    case = Dense(seed, sampling)
    stay = np.eye(case.d) - case.eta * (case.mix + case.decay * np.eye(case.d))
    dense = np.kron(stay, stay)
    weights = 1 - case.alpha, case.alpha
    for hessians, batch, a in zip(case.h, case.batch, weights, strict=True):
        n, h = len(hessians), hessians.mean(axis=0)
        c = (case.eta * a / batch) ** 2 * naive.batch_covariance(n, batch, sampling)
        dense += c[0, 1] * n * n * np.kron(h, h)
        same = n * n / (n * case.outputs) * np.outer(h.ravel(), h.ravel())
        dense += (c[0, 0] - c[0, 1]) * same
    found = case.bounds()["reduced"].rho_bound
    top = np.linalg.eigvalsh(0.5 * (dense + dense.T))[-1]
    # fixed sizes of two sets: from below, on a few terms of a series
    room = 1e-9 if sampling == "bernoulli" else 1e-2
    assert top * (1 - room) <= found <= top * (1 + 1e-9)


def five(case, q, v, floor):
    """Top of Φ on ``I, X₀, vvᵀ`` and what ``R∘N`` makes of the last two; in D's eigenbasis q."""
    d = case.d
    j = 1 - case.eta * np.diag(q.T @ (case.mix + case.decay * np.eye(d)) @ q)
    products = np.outer(j, j).ravel()
    g = np.diag(j**2)
    for hessians, c in case.variances():
        diagonals = np.einsum("pk,npq,qk->nk", q, hessians, q)
        g += case.eta**2 * c * diagonals.T @ diagonals
    turn = np.kron(q, q)
    phi = turn.T @ case.phi @ turn
    level = max(floor * (1 + 1e-9), np.max(j**2) * (1 + 1e-4))
    basis = np.eye(d).reshape(1, -1) / np.sqrt(d)
    for x in (np.diag(np.abs(np.linalg.eigh(g)[1][:, -1])), np.outer(v, v)):
        for _ in range(2):
            x = x.ravel() - basis.T @ (basis @ x.ravel())
            basis = np.vstack([basis, x / np.linalg.norm(x)])
            x = (phi @ basis[-1] - products * basis[-1]) / (level - products)
    return np.linalg.eigvalsh(basis @ phi @ basis.T)[-1]


@every_case
def test_ritz_5_is_the_top_of_its_dense_compression(seed, sampling):
    case = Dense(seed, sampling)
    dyn = case.dynamics()
    found = {b.name: b.rho_bound for b in dyn.bounds("applications", gap=False)}
    floor = max(b.rho_bound for b in dyn.bounds("closed form", False) if b.kind == "necessary")
    view = View(dyn)
    q = np.linalg.pinv(np.concatenate(case.z).reshape(-1, case.d)) @ view.rows
    expected = five(case, q, view.direction[2], max(floor, found["reduced"]))
    assert found["Ritz-5"] == pytest.approx(expected, rel=1e-9)
    assert found["reduced"] <= found["Ritz on resolvents"] * (1 + 1e-12)


@pytest.mark.parametrize("eta", [0.1, 0.2, 0.6])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_samples_apart_by_signs_alone_attain_the_reduced_bound(eta, sampling):
    """Then ``⟨H_i, M⟩`` is alike in all samples for every diagonal M: nothing is lost."""
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=3)))
    z = signs * np.sqrt([2.0, 1.0, 0.3])
    h, none = np.einsum("np,nq->npq", z, z), np.zeros((0, 3, 3))
    rho = naive.growth_factor(h, none, eta, (1, 1), 0.0, sampling)
    found = rs.UnlearningProblem.from_factors(z).dynamics(eta, 1, 0.0, sampling).bounds(gap=False)
    values = {b.name: b.rho_bound for b in found}
    assert values["mean"] < rho * (1 - 1e-5)
    assert values["reduced"] == pytest.approx(rho, rel=1e-12)
    assert values["Ritz on resolvents"] == pytest.approx(rho, rel=1e-12)


def test_trial_matrices_nearly_alike_are_orthonormal_to_rounding(rng):
    x, *others = rng.standard_normal((6, 30, 30))
    span = Span(lambda m: m, 30)
    for share, other in zip((0.0, 1e-9, 3e-10, 1.0, 3e-10, 0.0), (x, *others), strict=True):
        span.add(x + share * other)
    members = span.members.reshape(span.size, -1)
    assert span.size == 5  # the last is the first again
    np.testing.assert_allclose(members @ members.T, np.eye(5), rtol=0, atol=1e-14)
    np.testing.assert_allclose(span.compressed, np.eye(5), rtol=0, atol=1e-14)


@every_case
def test_critical_steps_are_where_the_dense_bound_is_one(seed, sampling):
    case = Dense(seed, sampling)
    found = case.bounds()
    dense = {
        "mean": lambda eta: np.max((1 - eta * case.mu) ** 2),
        "trace": lambda eta: np.trace(case.applied(np.eye(case.d), case.operator(eta))) / case.d,
        "one step": lambda eta: np.linalg.eigvalsh(
            case.applied(np.eye(case.d), case.operator(eta))
        )[-1],
    }
    for name, value in dense.items():
        step = found[name].critical_step_size
        if 0.0 < step < np.inf:
            assert value(step) == pytest.approx(1.0, abs=1e-7), name
            assert value(0.999 * step) < 1.0 < value(1.001 * step), name
    assert found["mean"].critical_step_size > 0.0 or case.mu[0] < 0.0


def test_a_wrong_sign_of_the_decay_would_show():
    case = Dense(0, "bernoulli")
    wrong = np.max((1 - case.eta * (case.mu - 2 * case.decay)) ** 2)
    assert abs(case.bounds()["mean"].rho_bound / wrong - 1) > 1e-3
