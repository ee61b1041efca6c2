"""Verdicts and thresholds on diagonal problems, where ρ is exact: scalars in 60 digits.

Curvatures span fourteen decades, samples are nearly or exactly alike, mixings within 1e-12 of
½: the cases in which D, the noise or both cancel. A rule that takes cancelling noise as it
comes, or calls small directions null beside large ones, fails on one in ten.
"""

import mpmath as mp
import numpy as np
import pytest

import rmtstab as rs
from rmtstab.sampling import SAMPLINGS


def variance(curvatures, batch, sampling):
    """Variance of the batch mean, from the counts' covariance."""
    n, b = len(curvatures), mp.mpf(batch)
    mean = mp.fsum(curvatures) / n
    about = mp.fsum((h - mean) ** 2 for h in curvatures)
    if sampling == "bernoulli":
        return (1 - b / n) / (n * b) * mp.fsum(h * h for h in curvatures)
    if sampling == "with_replacement":
        return about / (n * b)
    return (n - b) / (n * b * (n - 1)) * about if n > 1 else mp.mpf(0)


def draw(rng, sampling):
    """Roots of the curvatures (n, d), the split, batches, and a mixing."""
    d, split, rest = (int(rng.integers(1, 4)) for _ in range(3))
    n, kind = split + rest, rng.integers(4)
    z = 10.0 ** rng.uniform(-7, 0, (1 if kind else n, d)) * np.ones((n, 1))
    if kind > 1:
        z = z * (1 + 10.0 ** rng.uniform(-9, -1) * rng.standard_normal((n, d)))
    if kind > 2:
        z = z * (rng.random((n, d)) > 0.3)
    z[0, 0] = z[0, 0] or 1.0
    gap = 10.0 ** rng.uniform(-12, -1)
    alpha = float(rng.choice([0.5, 0.5 - gap, 0.5 + gap, rng.uniform(0, 1)]))
    batches = int(rng.integers(1, split + 1)), int(rng.integers(1, rest + 1))
    return z, split, batches, alpha


def directions(z, split, batches, alpha, sampling):
    """``(d, noise)`` of each direction that has curvature."""
    a = (1 - mp.mpf(alpha), mp.mpf(alpha))
    found = []
    for column in z.T[z.any(axis=0)]:
        h = [mp.mpf(float(v)) ** 2 for v in column]
        sets = h[:split], h[split:]
        means = [mp.fsum(part) / len(part) for part in sets]
        noise = sum(a[s] ** 2 * variance(sets[s], batches[s], sampling) for s in (0, 1))
        found.append((a[0] * means[0] - a[1] * means[1], noise))
    return found


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_no_verdict_is_wrong_and_every_threshold_within_its_bound(sampling):
    """Nor is an enclosure of ρ or a bound on ρ or η*: steps are up to 1e14 curvatures long."""
    rng = np.random.default_rng(11)
    decided = 0
    with mp.workdps(60):
        for _ in range(60):
            z, split, batches, alpha = draw(rng, sampling)
            problem = rs.UnlearningProblem.from_factors(
                [np.diag(row) for row in z[:split]], [np.diag(row) for row in z[split:]]
            )
            parts = directions(z, split, batches, alpha, sampling)
            exact = min(
                (2 * d / (d * d + v) if d > 0 else mp.inf if d == v == 0 else mp.mpf(0))
                for d, v in parts
            )
            found = problem.critical_step_size(batches, alpha, sampling=sampling)
            case = (z.tolist(), split, batches, alpha)
            if mp.isinf(exact):
                assert found.value == np.inf, case
            else:
                assert abs(found.value - exact) <= found.error_bound + 1e-12 * exact, case
            step = 10.0 ** rng.uniform(-3, 1) / float(np.square(z).max())
            if 0 < exact < mp.inf and rng.random() < 0.5:
                step = float(exact) * float(rng.choice([0.5, 2.0, 1 - 1e-6, 1 + 1e-6]))
            # ρ − 1, largest on the diagonal of the second moment
            eta = mp.mpf(step)
            excess = max(eta * eta * (d * d + v) - 2 * eta * d for d, v in parts)
            dyn = problem.dynamics(step, batches, alpha, sampling)
            cells = problem.frontier(step, [batches], [alpha], sampling=sampling)
            value = cells.values[0, 0]
            slack = mp.mpf(3e-12) * (1 + excess)
            for low, high in (dyn.enclosure(), (value, value + cells.error_bounds[0, 0])):
                assert low - slack <= 1 + excess <= high + slack, case
            for bound in dyn.bounds(gap=False):
                below = bound.kind == "necessary"
                sign = 1 if below else -1
                rho, most = bound.rho_bound, bound.critical_step_size
                assert np.isnan(rho) or sign * (mp.mpf(rho) - 1 - excess) <= slack, (bound, case)
                if not np.isnan(most) and 0 < exact < mp.inf:
                    assert sign * (exact - most) <= mp.mpf(1e-12) * exact, (bound, case)
            for verdict in (dyn.verdict(), cells.verdicts[0, 0]):
                assert verdict is not rs.Verdict.STABLE or excess < 0, case
                assert verdict is not rs.Verdict.ESCAPES or excess > 0, case
                assert verdict is not rs.Verdict.MARGINAL or abs(excess) < 1e-11, case
                decided += verdict is not rs.Verdict.UNDECIDED
    assert decided >= 115  # of 120: to abstain is no way to be right
