"""Escape probabilities within a horizon, and resistance with batch noise."""

import math

import numpy as np
import pytest

from rmtstab.theory import finite_horizon, resistance
from tests import naive


def instance(seed, spread=1.0):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((8, 1, 3))
    h = np.einsum("nci,ncj->nij", z, z)
    retain, forget = h[:5], h[5:]
    if spread != 1.0:
        retain, forget = (s.mean(0) + spread * (s - s.mean(0)) for s in (retain, forget))
    return rng, retain, forget


@pytest.mark.parametrize("seed", range(6))
def test_no_run_escapes_more_often_than_the_bound_allows(seed):
    rng, retain, forget = instance(seed)
    eta, alpha, batch, horizon, runs = 0.15, 0.2, (2, 1), 40, 4000
    phi = naive.second_moment(retain, forget, eta, batch, alpha, "without_replacement")
    values, vectors = np.linalg.eigh(0.5 * (phi + phi.T))
    x = vectors[:, -1].reshape(3, 3)
    x = 0.5 * (x + x.T) * np.sign(np.trace(x)) + 0.05 * np.eye(3)
    image = (phi @ x.ravel()).reshape(3, 3)
    root = np.linalg.inv(np.linalg.cholesky(x))
    growth = float(np.linalg.eigvalsh(root @ image @ root.T)[-1])  # Φ(X) ⪯ growth X
    assert growth >= values[-1] - 1e-12
    w = rng.standard_normal((runs, 3))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    start = float(np.trace(x)) / 3
    peak = np.linalg.norm(w, axis=1)
    for _ in range(horizon):
        pick = np.argsort(rng.random((runs, 5)), axis=1)[:, :2]
        force = (1 - alpha) * np.einsum("kbij,kj->ki", retain[pick], w) / 2
        pick = rng.integers(3, size=runs)
        force -= alpha * np.einsum("kij,kj->ki", forget[pick], w)
        w = w - eta * force
        peak = np.maximum(peak, np.linalg.norm(w, axis=1))
    for radius in (1.5, 3.0, 10.0, 30.0):
        bound = finite_horizon.escape_probability(
            growth, horizon, start, radius, float(np.linalg.eigvalsh(x)[0])
        )
        seen = float((peak >= radius).mean())
        assert seen <= bound + 5 * math.sqrt(max(bound * (1 - bound), 1e-9) / runs)


def test_the_bound_is_attained_and_decays_in_the_radius():
    """A walk that stays put is at distance 1 for ever: P(‖w‖ ≥ 1) = 1; Markov at radius R."""
    assert finite_horizon.escape_probability(1.0, 10, start=1.0, radius=1.0) == 1.0
    assert finite_horizon.escape_probability(0.5, 10, 1.0, 2.0) == pytest.approx(0.25, rel=1e-12)
    assert finite_horizon.escape_probability(1e300, 10**9, 1.0, 2.0) == 1.0
    assert finite_horizon.escape_probability(2.0, 10, 0.0, 2.0) == 0.0
    found = finite_horizon.escape_probability(1.1, 100, 1.0, 1e4, smallest=0.5)
    assert found == pytest.approx(1.1**100 / 0.5 / 1e8, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-0.1, 3, 1.0, 1.0), "growth must be >= 0"),
        ((1.0, -3, 1.0, 1.0), "horizon must be >= 0"),
        ((1.0, 3, 1.0, 0.0), "radius must be > 0"),
        ((1.0, 3, 1.0, 1.0, 0.0), "smallest must be > 0"),
    ],
)
def test_bad_horizons(arguments, message):
    with pytest.raises(ValueError, match=message):
        finite_horizon.escape_probability(*arguments)


def perturbed(seed, spread):
    """``(closed form, exact Ψ, exact ρ)`` at mixing ½."""
    _, retain, forget = instance(seed, spread)
    eta, alpha, batch = 0.1, 0.6, (2, 1)
    h_r, h_f = retain.mean(0), forget.mean(0)
    mu, q = np.linalg.eigh((1 - alpha) * h_r - alpha * h_f)
    phi = naive.second_moment(retain, forget, eta, batch, alpha, "without_replacement")
    values, vectors = np.linalg.eigh(0.5 * (phi + phi.T))
    top = vectors[:, -1].reshape(3, 3)
    exact = np.trace(h_r @ top) / np.trace(h_f @ top)
    v = q[:, 0]
    stay = np.eye(3) - eta * ((1 - alpha) * h_r - alpha * h_f)
    noise = (phi @ np.outer(v, v).ravel()).reshape(3, 3) - stay @ np.outer(v, v) @ stay
    found = resistance.with_noise(1 - eta * mu, q.T @ noise @ q, q.T @ h_r @ q, q.T @ h_f @ q)
    return found, exact, values[-1]


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_resistance_is_right_to_second_order_in_the_noise(seed):
    errors, alone = [], []
    for spread in (0.4, 0.2, 0.1):
        found, exact, rho = perturbed(seed, spread)
        errors.append(abs(found.value - exact))
        alone.append(abs(found.mean_only - exact))
        assert found.growth == pytest.approx(rho, rel=found.noise**2 + 1e-9)
    # the noise is quadratic in the spread: errors of order 4, of order 2 without the correction
    assert 3.5 < np.polyfit(np.log([4, 2, 1]), np.log(errors), 1)[0] < 4.6
    assert 1.6 < np.polyfit(np.log([4, 2, 1]), np.log(alone), 1)[0] < 2.4
    assert errors[-1] < 0.05 * alone[-1]


def test_resistance_with_noise_is_its_series():
    """``X₂₂ = N₂₂/(j₁² − j₂²)`` = 0.008/0.8 and ``X₁₂ = N₁₂/(j₁² − j₁j₂)`` = 0.0048/0.48."""
    growth, noise = [1.2, 0.8], [[0.01, 0.0048], [0.0048, 0.008]]
    found = resistance.with_noise(growth, noise, [[0.2, 0.1], [0.1, 0.9]], np.diag([0.5, 0.3]))
    assert found.value == pytest.approx((0.2 + 2 * 0.1 * 0.01 + 0.9 * 0.01) / 0.503, rel=1e-13)
    assert found.mean_only == pytest.approx(0.4, rel=1e-15)
    assert found.growth == pytest.approx(1.45, rel=1e-15)
    assert found.noise == pytest.approx(0.01 * np.sqrt(3.0), rel=1e-13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 1.2], np.eye(2), np.eye(2), np.eye(2)), "growth must have its largest modulus"),
        (([1.2, 1.0], np.eye(3), np.eye(2), np.eye(2)), r"noise must have shape \(2, 2\)"),
        (([1.2, 1.0], np.zeros((2, 2)), np.eye(2), np.diag([0.0, 1.0])), "forget must have curv"),
    ],
)
def test_bad_resistance(arguments, message):
    with pytest.raises(ValueError, match=message):
        resistance.with_noise(*arguments)
