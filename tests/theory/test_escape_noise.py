"""Resistance at finite batch of the data models: against the dynamics of drawn data."""

import math

import numpy as np
import pytest

import rmtstab as rs
from rmtstab.claims.instances import cnn_gram, linear_gram
from rmtstab.claims.rates import fit_rate
from rmtstab.theory import cnn, signal_plus_noise

ALPHA, FILTERS = 0.3, 32
SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")


def setting(model, n, snr, share=0.5, filters=FILTERS):
    """Sizes, dimension, step size and batch: a fifth forgotten, ``dim = 2.5 n``."""
    forget = n // 5
    sizes, dim = (n - forget, forget), int(2.5 * n)
    batch = tuple(max(1, int(share * k)) for k in sizes)
    if model == "linear":
        depth = signal_plus_noise.escape(*sizes, dim, snr, ALPHA).curvature
        sharpness = signal_plus_noise.retain_sharpness(sizes[0], dim, snr)
    else:
        depth = cnn.escape(*sizes, dim, snr, filters, ALPHA).curvature
        sharpness = cnn.spectrum(sizes[0], dim, snr, filters)[0]
    return sizes, dim, min(0.1 / depth, 0.3 / sharpness), batch


def closed(model, n, snr, sampling, share=0.5, filters=FILTERS):
    sizes, dim, eta, batch = setting(model, n, snr, share, filters)
    if model == "linear":
        return signal_plus_noise.resistance(*sizes, dim, snr, ALPHA, eta, batch, sampling)
    return cnn.resistance(*sizes, dim, snr, filters, ALPHA, eta, batch, sampling)


def drawn(model, n, snr, sampling, rng, share=0.5, filters=FILTERS):
    """Dynamics of a draw."""
    sizes, dim, eta, batch = setting(model, n, snr, share, filters)
    gram = (linear_gram if model == "linear" else cnn_gram)(n, dim, snr, filters, rng)
    problem = rs.UnlearningProblem.from_gram(gram, sizes[0])
    return problem.dynamics(eta, batch, ALPHA, sampling=sampling)


@pytest.mark.parametrize("model", ["linear", "cnn"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_full_batches_leave_the_mean_and_noise_grows_with_the_inverse_batch(model, sampling):
    found = [closed(model, 240, 1.0, sampling, share) for share in (1.0, 0.5, 0.25)]
    if sampling != "with_replacement":
        assert found[0].value == found[0].mean_only and found[0].noise == 0.0
    assert found[0].mean_only == found[1].mean_only == found[2].mean_only
    coefficient = 1.0 if sampling == "with_replacement" else 0.0  # c ∝ 1/B − o/n
    ratio = (4 - 1 + coefficient) / (2 - 1 + coefficient)
    assert found[2].noise == pytest.approx(ratio * found[1].noise, rel=1e-9)


@pytest.mark.parametrize(
    ("model", "snr", "sampling", "most"),
    [
        ("linear", 0.0, "without_replacement", 0.25),  # the noise's edge: 20 % a draw
        ("linear", 1.0, "bernoulli", 0.08),
        ("linear", 0.5, "without_replacement", 0.15),
        ("cnn", 1.0, "bernoulli", 0.06),
        ("cnn", 1.0, "without_replacement", 0.08),
    ],
)
def test_the_correction_is_that_of_drawn_data(model, snr, sampling, most):
    """log Ψ minus that of full batches, from the exact dynamics; no correction would be 1 off."""
    rng = np.random.default_rng(5)
    law = closed(model, 240, snr, sampling)
    target = math.log(law.value / law.mean_only)
    off = []
    for _ in range(6):
        dyn = drawn(model, 240, snr, sampling, rng)
        full = dyn.at(batch_size=dyn.sizes).resistance()
        off.append(math.log(dyn.resistance() / full) / target - 1.0)
    assert abs(np.mean(off)) < most
    assert abs(np.mean(off)) < 5 * np.std(off, ddof=1) / math.sqrt(6) + 0.05


def test_sign_of_the_correction_depends_on_what_escapes_and_how_batches_are_drawn():
    assert (
        closed("linear", 240, 0.0, "without_replacement").value
        > closed("linear", 240, 0.0, "without_replacement", 1.0).value
    )  # through noise: batches make it resist more
    fixed, coins = (closed("linear", 240, 0.5, s) for s in ("without_replacement", "bernoulli"))
    assert fixed.value < fixed.mean_only < coins.value  # through the signal: sizes that vary


JUDGED, BAND = 480, 0.045  # samples, and what the mean distance may be there
CASES = [
    ("linear", 0.5, "without_replacement", 400),
    ("cnn", 1.0, "bernoulli", 100),
    ("cnn", 1.0, "without_replacement", 150),
]


def distances(model, n, snr, sampling, draws, seed):
    """Of drawn corrections to log Ψ from the law's, in units of the law's."""
    law, rng = closed(model, n, snr, sampling, 0.5, n), np.random.default_rng(seed)
    target = math.log(law.value / law.mean_only)
    found = (
        drawn(model, n, snr, sampling, rng, 0.5, n).resistance_with_noise() for _ in range(draws)
    )
    return np.array([math.log(f.value / f.mean_only) / target - 1.0 for f in found])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [700_480, 800_480])
@pytest.mark.parametrize(("model", "snr", "sampling", "draws"), CASES)
def test_the_correction_holds_and_one_a_tenth_larger_or_smaller_does_not(
    model, snr, sampling, draws, seed
):
    """The mean distance at n = 480 is within 4.5 % of the correction; of 1.1 × and ÷ 1.1 it is not.

    Written before any draw of these seeds, from standard deviations of a draw measured on
    others: .116, .036 and .06 of the correction, so that the means' errors are .0058, .0036 and
    .005. A law whose own bias at n = 480 is 2.5 % or less (earlier means there: 1.3 ± 1.3 and
    −.9 ± .4 %) is refused with probability 3e-4 a case and seed at most (3.4 errors). Of a law
    1.1 times as large the mean is −6.8 % or below, of one 1.1 times smaller 7.2 % or above: either
    passes with probability 1e-5 at most (4.3 errors). No correction scores −1, that of the other
    sampling −1.8, 1.4 and −.58. A law that is 4 % off is not told from a right one.
    """
    found = distances(model, JUDGED, snr, sampling, draws, seed)
    assert abs(found.mean()) < BAND
    for wrong in (1.1, 1 / 1.1):
        assert abs(((1.0 + found) / wrong - 1.0).mean()) > BAND


@pytest.mark.slow
@pytest.mark.parametrize(("model", "snr", "sampling"), [case[:3] for case in CASES])
def test_a_draw_comes_nearer_to_the_correction_as_sizes_grow(model, snr, sampling):
    """Its distance falls at least like n^(-1/2). The filters grow with n.

    32 at every size leave 1.6 and 3 % (0.4 and 1 % of error) of the CNN's two corrections.
    """
    sizes = (60, 120, 240, 480)
    errors = [
        distances(model, n, snr, sampling, k, n + 300_000)
        for n, k in zip(sizes, (160, 100, 60, 80), strict=True)
    ]
    fit = fit_rate(sizes, errors, trimmed=True)
    assert fit["slope"] < -0.5 + 3 * fit["slope_error"] and fit["slope"] < -3 * fit["slope_error"]


def test_it_fails_where_noise_drives_the_escape():
    """Batches of a twelfth, no signal: the exact correction is half as large again."""
    dyn = drawn("linear", 240, 0.0, "without_replacement", np.random.default_rng(0), 1 / 12)
    law = closed("linear", 240, 0.0, "without_replacement", 1 / 12)
    exact = dyn.resistance() / dyn.at(batch_size=dyn.sizes).resistance()
    assert law.noise > 1.0
    assert exact > 1.2 * law.value / law.mean_only


def test_nothing_escapes_or_descent_overshoots():
    below = signal_plus_noise.resistance(400, 100, 50, 0.0, 0.05, 1e-3, (10, 10))
    assert math.isnan(below.value) and math.isnan(below.noise)
    fast = signal_plus_noise.resistance(192, 48, 600, 1.0, 0.3, 1.0, (16, 4))
    assert math.isnan(fast.value) and fast.mean_only > 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step_size": 0.0}, "step_size must be > 0"),
        ({"batch_size": (49, 2)}, "batch_size must lie in"),
        ({"sampling": "coins"}, "sampling must be one of"),
        ({"alpha": 1.0}, "alpha must"),
    ],
)
def test_arguments_are_checked(changes, message):
    given = {"alpha": 0.3, "step_size": 1e-3, "batch_size": (4, 2), "sampling": "bernoulli"}
    for model, own in ((signal_plus_noise, {}), (cnn, {"filters": 8})):
        with pytest.raises(ValueError, match=message):
            model.resistance(n_retain=48, n_forget=12, dim=150, snr=1.0, **own, **given | changes)
