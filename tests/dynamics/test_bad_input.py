"""Bad input is refused before any work, in words."""

import numpy as np
import pytest

from rmtstab import UnlearningProblem

EYE = np.eye(4)
PROBLEM = UnlearningProblem.from_factors(EYE, EYE[:2])
INDEFINITE = np.diag([1.0, 1.0, -0.5])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: UnlearningProblem.from_factors([]), ValueError, "retain must hold at least one"),
        (lambda: UnlearningProblem.from_factors(3.0), TypeError, "retain must be an array"),
        (
            lambda: UnlearningProblem.from_factors(EYE, np.eye(3)),
            ValueError,
            r"^retain and forget must share one dimension d, got \[3, 4\]",
        ),
        (
            lambda: UnlearningProblem.from_factors(np.full((2, 2), np.nan)),
            ValueError,
            "^retain must be finite, got 4 NaN",
        ),
        (lambda: UnlearningProblem.from_factors([["a"]]), TypeError, "^retain must hold real num"),
        (
            lambda: UnlearningProblem.from_factors(EYE, [np.ones((2, 4)), np.ones((1, 3))]),
            ValueError,
            "^forget must share one dimension d",
        ),
        (
            lambda: UnlearningProblem.from_hessians([np.eye(3)], [np.eye(3), INDEFINITE]),
            ValueError,
            r"^forget\[1\] must be positive semi-definite",
        ),
        (
            lambda: UnlearningProblem.from_hessians([np.triu(np.ones((3, 3)))]),
            ValueError,
            r"^retain\[0\] must be symmetric, got asymmetry",
        ),
        (
            lambda: UnlearningProblem.from_hessians(np.ones((2, 3, 4))),
            ValueError,
            r"^retain must have shape \(n, d, d\)",
        ),
        (lambda: UnlearningProblem.from_gram(INDEFINITE, 2), ValueError, "positive semi-definite"),
        (
            lambda: UnlearningProblem.from_gram(np.triu(np.ones((3, 3))), 2),
            ValueError,
            "gram must be symmetric",
        ),
        (
            lambda: UnlearningProblem.from_gram(EYE, 2, rank=3),
            ValueError,
            "square with a side divisible by rank=3",
        ),
        (lambda: UnlearningProblem.from_gram(EYE, 5), ValueError, r"n_retain must lie in \[1, n=4"),
        (lambda: PROBLEM.dynamics(-1.0, 1, 0.0), ValueError, "step_size must be >= 0"),
        (lambda: PROBLEM.dynamics("1", 1, 0.0), TypeError, "step_size must be a real number"),
        (lambda: PROBLEM.dynamics(1.0, 1, 1.5), ValueError, r"alpha must lie in \[0, 1\]"),
        (lambda: PROBLEM.dynamics(1.0, (1, 3), 0.5), ValueError, r"n_forget=2\], got 3"),
        (
            lambda: PROBLEM.dynamics(1.0, 0, 0.0),
            ValueError,
            r"batch_size must lie in \[1, n_retain=4",
        ),
        (lambda: PROBLEM.dynamics(1.0, 1.5, 0.0), TypeError, "batch_size must be an integer"),
        (
            lambda: PROBLEM.dynamics(1.0, (0.0, 1.0), 0.1, "bernoulli"),
            ValueError,
            r"batch_size must lie in \(0, n_retain=4\]",
        ),
        (lambda: PROBLEM.dynamics(1.0, (1, 1, 1), 0.0), ValueError, "one number or a pair"),
        (
            lambda: PROBLEM.dynamics(1.0, 1, 0.0, sampling="epoch"),
            ValueError,
            "sampling must be one of",
        ),
        (
            lambda: PROBLEM.dynamics(1.0, 1, 0.0, weight_decay=-1),
            ValueError,
            "weight_decay must be >= 0",
        ),
        (
            lambda: PROBLEM.dynamics(1.0, 1, 0.0, momentum=1.0),
            ValueError,
            r"momentum must lie in \[0, 1\)",
        ),
        (
            lambda: UnlearningProblem.from_factors(EYE).dynamics(1.0, 1, 0.1),
            ValueError,
            "alpha must be 0 when there is no forget set",
        ),
        (
            lambda: PROBLEM.dynamics(1.0, 1, 0.0).trajectory(3, np.ones(3)),
            ValueError,
            "initial must have",
        ),
        (lambda: PROBLEM.dynamics(1.0, 1, 0.0).trajectory(-1), ValueError, "steps must be >= 0"),
        (
            lambda: PROBLEM.dynamics(1.0, 1, 0.0).trajectory(1, -EYE),
            ValueError,
            "positive semi-definite",
        ),
        (
            lambda: PROBLEM.dynamics(1.0, 1, 0.0).apply(np.eye(3)),
            ValueError,
            "second_moment must have",
        ),
        (lambda: PROBLEM.from_predictions(np.ones(3)), ValueError, "must hold 6 numbers"),
        (
            lambda: PROBLEM.frontier(1.0, [1], [0.1], horizon=3),
            ValueError,
            "horizon and radius go together",
        ),
        (lambda: PROBLEM.frontier(1.0, [1], [0.2, 0.1]), ValueError, "strictly increasing"),
        (
            lambda: UnlearningProblem.from_hessians([np.full((2, 2), np.inf)]),
            ValueError,
            "^retain must be finite, got 4 NaN",
        ),
        (
            lambda: UnlearningProblem.from_hessians([np.eye(2)], [np.eye(3)]),
            ValueError,
            "share one dimension",
        ),
        (
            lambda: UnlearningProblem.from_gram(np.full((2, 2), np.nan), 1),
            ValueError,
            "gram must be finite",
        ),
        (
            lambda: UnlearningProblem.from_gram(np.ones((2, 3)), 1),
            ValueError,
            "gram must be square",
        ),
        (
            lambda: UnlearningProblem.from_factors(EYE + 0j),
            TypeError,
            "must hold real numbers, got dtype complex128",
        ),
        (
            lambda: UnlearningProblem.from_factors(EYE > 0),
            TypeError,
            "must hold real numbers, got dtype bool",
        ),
        (
            lambda: UnlearningProblem.from_factors(np.ones((2, 2, 2, 2))),
            ValueError,
            r"must have shape \(n, d\) or \(n, C, d\)",
        ),
        (lambda: UnlearningProblem.from_gram(EYE, 2.5), TypeError, "n_retain must be an integer"),
        (lambda: UnlearningProblem.from_gram(EYE, 0), ValueError, "n_retain must lie in"),
        (
            lambda: PROBLEM.dynamics(1.0, (5.0, 1.0), 0.1, "bernoulli"),
            ValueError,
            r"n_retain=4\], got 5.0",
        ),
        (lambda: PROBLEM.dynamics(np.nan, 1, 0.0), ValueError, "step_size must be >= 0 and finite"),
        (lambda: PROBLEM.dynamics(np.inf, 1, 0.0), ValueError, "step_size must be >= 0 and finite"),
        (lambda: PROBLEM.dynamics(1.0, 1, np.nan), ValueError, "alpha must lie in"),
        (lambda: PROBLEM.dynamics(1.0, 1, 0.0, momentum=-0.1), ValueError, "momentum must lie in"),
        (lambda: PROBLEM.dynamics(1.0, True, 0.0), TypeError, "batch_size must be an integer"),
        (lambda: PROBLEM.critical_step_size(9), ValueError, r"n_retain=4\], got 9"),
        (lambda: PROBLEM.critical_alpha(-1.0, 1), ValueError, "step_size must be >= 0"),
        (lambda: PROBLEM.critical_batch_size(1.0, 1.5), ValueError, "alpha must lie in"),
        (
            lambda: PROBLEM.frontier(1.0, [], [0.1]),
            ValueError,
            "alphas and batch_sizes must hold one each",
        ),
        (lambda: PROBLEM.frontier(1.0, [9], [0.1]), ValueError, r"n_retain=4\], got 9"),
        (lambda: PROBLEM.frontier(1.0, [1], [1.1]), ValueError, "alpha must lie in"),
        (
            lambda: PROBLEM.frontier(1.0, [1], [0.1], horizon=3, radius=-1.0),
            ValueError,
            "radius must be > 0",
        ),
        (
            lambda: PROBLEM.dynamics(1.0, 1, 0.0).simulate(3, 0, 0),
            ValueError,
            "replicas must be >= 1",
        ),
        (
            lambda: PROBLEM.dynamics(1.0, 1, 0.0).simulate(3, 1, "x"),
            TypeError,
            "rng must be a numpy",
        ),
        (
            lambda: PROBLEM.dynamics(1.0, 1, 0.0).trajectory(1, np.triu(np.ones((4, 4)))),
            ValueError,
            "symmetric second moment",
        ),
        (
            lambda: PROBLEM.dynamics(1.0, 1, 0.0).trajectory(1, observables=[np.eye(2)]),
            ValueError,
            r"observables\[0\] must have shape",
        ),
        (
            lambda: PROBLEM.dynamics(0.1, 1, 0.0).stationary(np.ones((6, 3))),
            ValueError,
            r"gradients must have shape \(6, 4\)",
        ),
        (lambda: PROBLEM.coherence(alpha=2.0), ValueError, r"alpha must lie in \[0, 1\]"),
    ],
)
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_single_precision_and_ragged_factors_are_accepted():
    z = np.random.default_rng(0).standard_normal((5, 3))
    one = UnlearningProblem.from_factors(z.astype(np.float32), z.astype(np.float32)[:2])
    assert one.dynamics(0.1, 1, 0.1).growth_factor() > 0.0
    ragged = [z[:2], z[2:5]]
    padded = np.zeros((2, 3, 3))
    padded[0, :2], padded[1] = z[:2], z[2:5]
    values = [
        UnlearningProblem.from_factors(f).dynamics(0.1, 1, 0.0).growth_factor()
        for f in (ragged, padded)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    noisy = z @ z.T
    noisy[0, 1] += 1e-13
    assert UnlearningProblem.from_gram(noisy, 4, tolerance=1e-12).rank == 3
