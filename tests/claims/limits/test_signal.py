"""Coherence, outliers and escape of signal-plus-noise data: fitted slopes against the claimed."""

import numpy as np
import pytest

from rmtstab.claims import rates
from rmtstab.claims.limits import signal
from rmtstab.ensembles import SpikedWishart
from tests.claims.limits.rates import HALF, ONE, SOFT_EDGE, THIRD, has_rate


def test_coherence(rng):
    found = signal.coherence_rates(rng)
    has_rate(found["leading"], ONE, SOFT_EDGE, HALF)
    # n^{-1/2} up to logarithms, which the width of the asymptotic interval knows: slope 0 over it
    has_rate(found["coherence_over_width"], 0.0, HALF)
    second, leading = (np.array(found[k]["bias"]) for k in ("second_order", "leading"))
    errors = np.array(found["second_order"]["bias_error"])
    assert (np.abs(second) < 0.35 * np.abs(leading) + 3 * errors).all()
    for row in found["coverage"]:
        error = np.sqrt(0.05 * 0.95 / 300)
        assert max(row["below"], row["above"]) < 0.05 + 4 * error
        assert row["outside_halved"] > 0.25
        assert row["outside_interval"] == 0
        assert 0.15 < row["width_needed"] < 0.5  # conservative: two to seven times
        assert abs(row["mean_over_sampled"] - 1) < 0.01 + 3 * row["mean_error"]
    # the leading order fails in three dimensions: 10 % stay, however many samples
    assert min(found["few_dimensions"]) > 0.05


def drawn_outliers(rng, exponents, scale=1.0):
    """Record of outliers and edge whose errors have these exponents, at the claim's own sizes."""
    drawn = {}
    for path, (sizes, draws), power in zip(
        ("larger_class", "smaller_class", "edge"),
        (signal.OUTLIER_SIZES, signal.OUTLIER_SIZES, signal.EDGE_SIZES),
        exponents,
        strict=True,
    ):
        law = [rng.standard_normal(m) - (path == "edge") for m in draws]
        ratios = [
            scale * (1.0 + 0.3 * n**power * e / 100**power) for n, e in zip(sizes, law, strict=True)
        ]
        drawn[path] = rates.Drawn(sizes, ratios)
    return rates.judged_twice(drawn, {"uneven_noise": [0.4, 0.5, 2.4]}, 1.02)


def test_a_right_theory_of_the_outliers_is_never_refused(rng):
    records = [drawn_outliers(rng, (HALF, HALF, SOFT_EDGE)) for _ in range(200)]
    assert all(signal.judge_outliers(record).holds for record in records)
    assert not any(signal.judge_outliers(record["wrong"]).holds for record in records)


@pytest.mark.parametrize(
    "wrong",
    [
        {"exponents": (HALF, HALF, SOFT_EDGE), "scale": 1.03},
        {"exponents": (HALF, THIRD, SOFT_EDGE)},
        {"exponents": (HALF, SOFT_EDGE, SOFT_EDGE)},
        {"exponents": (0.0, HALF, SOFT_EDGE)},
        {"exponents": (HALF, HALF, HALF)},
    ],
)
def test_wrong_theories_of_the_outliers_are_always_refused(wrong, rng):
    assert not any(signal.judge_outliers(drawn_outliers(rng, **wrong)).holds for _ in range(40))


def test_outliers_from_bands_have_the_law_of_dense_grams(rng):
    """Means, spreads and their product at n = 60, two classes and the bulk's edge beside them."""
    classes, snr, n = (36, 24), np.sqrt(10 / 60), 60
    dense = np.array([signal._two_classes(classes, snr, rng)[[-1, -2, -3]] for _ in range(600)])
    model = SpikedWishart(2 * n - 2, n, shifts=[size * snr**2 * 2 * n for size in classes])
    band = np.array([model.eigenvalues(rng, largest=3)[::-1] for _ in range(1500)])
    for moment in (lambda v: v, lambda v: (v - dense.mean(0)) ** 2, lambda v: v * v[:, [1, 2, 0]]):
        a, b = moment(dense), moment(band)
        error = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))
        assert (abs(a.mean(axis=0) - b.mean(axis=0)) < 5 * error).all()


def test_outliers_and_edge(rng, monkeypatch):
    monkeypatch.setattr(signal, "OUTLIER_SIZES", ((64, 1024, 16384), (300, 200, 300)))
    monkeypatch.setattr(signal, "EDGE_SIZES", ((1024, 16384, 262144), (400, 200, 400)))
    found = signal.outlier_rates(rng)
    has_rate(found["larger_class"], HALF, SOFT_EDGE, ONE)
    has_rate(found["smaller_class"], HALF, SOFT_EDGE, ONE)
    has_rate(found["edge"], SOFT_EDGE, HALF, ONE)
    assert found["inside"] >= 1 - found["delta"]
    assert all(0.15 < used < 0.6 for used in found["width_needed"])
    assert all(width < 0.6 for width in found["width_over_weyl"])
    assert min(found["uneven_noise"]) > 0.1  # five times what the claim allows


@pytest.mark.slow
def test_escape(rng):
    found = signal.escape_rates(rng)
    has_rate(found["linear_noise"]["curvature"], SOFT_EDGE, HALF, ONE)
    has_rate(found["linear_noise"]["resistance"], HALF, ONE)
    has_rate(found["linear_signal"]["curvature"], HALF, THIRD, SOFT_EDGE, ONE)
    has_rate(found["cnn_signal"]["curvature"], HALF, THIRD, SOFT_EDGE, ONE)
    # measured, without a claimed exponent: at least as fast as n^{-1/2}
    for name in ("linear_signal", "cnn_signal"):
        fit = found[name]["resistance"]
        assert fit["slope"] < HALF + 3 * fit["slope_error"]
        assert fit["error"][-1] < 0.025
    share = list(found["mean_share"].values())
    assert share[0] == pytest.approx(1.0, rel=1e-9)
    assert share[2] < share[1] < 0.99 and share[2] < 0.95  # batch noise adds to the rate
