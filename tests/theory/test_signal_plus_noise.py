"""Signal-plus-noise closed forms against sampled Gram matrices: intervals, outliers, escape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import hermite_e
from scipy import special
from scipy.stats import chi2, spearmanr

from rmtstab import UnlearningProblem
from rmtstab.ensembles import SignalPlusNoise
from rmtstab.laws import DescentAscent
from rmtstab.theory import cnn, extremes, signal_plus_noise, wachter
from rmtstab.theory.coherence_interval import _Moments

SNRS = np.geomspace(0.1, 2.0, 7)


def gram(n, dim, snr, rng):
    patches, labels = SignalPlusNoise(n, dim, snr).sample(rng)
    rows = patches[:, 0] * labels[:, None] + patches[:, 1]
    return rows @ rows.T


def coherence_of(k):
    return np.linalg.eigvalsh(np.abs(k))[-1] / k.diagonal().max()


# --- coherence ------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "dim", "snr"), [(40, 100, 0.0), (40, 100, 0.5), (60, 60, 0.2)])
def test_coherence_intervals_cover(n, dim, snr, rng):
    """10 % outside, half on each side; a halved margin would leave 35–45 % outside."""
    delta, draws = 0.1, 600
    found = signal_plus_noise.coherence_interval(n, dim, snr, delta)
    values = np.array([coherence_of(gram(n, dim, snr, rng)) for _ in range(draws)])
    low, high = found.asymptotic
    error = np.sqrt(0.05 * 0.95 / draws)
    assert abs((values < low).mean() - 0.05) < 4 * error
    assert abs((values > high).mean() - 0.05) < 4 * error
    half = found.mean + 0.5 * (np.array(found.asymptotic) - found.mean)
    assert ((values < half[0]) | (values > half[1])).mean() > 0.3
    assert ((values >= found.interval[0]) & (values <= found.interval[1])).all()
    # the non-asymptotic one is conservative: 2.5 to 5 times as wide
    width = np.diff(found.interval)[0] / (high - low)
    assert 2.5 < width < 5
    error = values.std(ddof=1) / np.sqrt(draws) / values.mean()
    assert abs(found.mean / values.mean() - 1) < 0.01 + 4 * error
    assert found.without_extreme / values.mean() > 1.05  # typical for largest diagonal: too high


def test_few_samples_in_many_dimensions_are_nearly_incoherent(rng):
    """σ of two samples is within 1/√dim of 1, whose other end, 2, neither interval reaches."""
    found = signal_plus_noise.coherence_interval(2, 400, 0.0, 0.1)
    values = np.array([coherence_of(gram(2, 400, 0.0, rng)) for _ in range(400)])
    assert found.mean == pytest.approx(values.mean(), rel=0.01)
    for low, high in (found.asymptotic, found.interval):
        assert 1.0 <= low <= values.min() and values.max() <= high < 1.6


@given(st.integers(2, 12), st.integers(2, 12), st.floats(0, 3), st.integers(0, 2**31))
def test_square_root_of_the_numerator_is_lipschitz(n, p, s, seed):
    """|√f(Ξ) − √f(Ξ')| ≤ ‖Ξ − Ξ'‖_F, attained to a factor where f = λ_max(ΞΞᵀ)."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((n, p))
    second = first + 10.0 ** rng.uniform(-6, 1) * rng.standard_normal((n, p))

    def root(x):
        return np.sqrt(np.linalg.eigvalsh(np.abs(s + x @ x.T))[-1])

    gap = np.linalg.norm(first - second)
    assert abs(root(first) - root(second)) <= gap * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("snr", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("n", "dim"), [(6, 4), (30, 60), (60, 10)])
def test_mean_of_the_numerator_lies_between_its_bounds(n, dim, snr, rng):
    found = signal_plus_noise.coherence_interval(n, dim, snr)
    draws = [np.linalg.eigvalsh(np.abs(gram(n, dim, snr, rng)))[-1] for _ in range(300)]
    error = np.std(draws, ddof=1) / np.sqrt(300)
    low, high = found.numerator_mean_bounds
    assert low - 4 * error < np.mean(draws) < high + 4 * error
    # tight to O(1/n + 1/dim), and the second order is closer than either
    assert (high - low) / np.mean(draws) < 5 / n + 1 / dim
    assert abs(found.numerator / np.mean(draws) - 1) < 0.5 / n + 4 * error / np.mean(draws)
    assert found.numerator_deviation == pytest.approx(np.std(draws), rel=0.35)


@pytest.mark.parametrize("s", [0.0, 2.0])
def test_fourth_trace_bounds_a_sampled_one(s, rng):
    n, p = 8, 5
    bound = _Moments(s, p, *extremes.chi(p)).fourth_trace(n)
    found = []
    for _ in range(4000):
        x = rng.standard_normal((n, p))
        o = np.abs(s + x @ x.T)
        np.fill_diagonal(o, 0.0)
        found.append(np.sum((o @ o) ** 2))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert np.mean(found) - 4 * error < bound < 1.15 * np.mean(found) + 4 * error


def test_largest_diagonal_is_the_exact_law():
    n, dim = 30, 21
    from rmtstab.theory.coherence_interval import _largest_quantile

    for level in (1e-3, 0.5, 0.999):
        x = _largest_quantile(n, dim - 1, 3.0, level) - 3.0
        assert chi2.cdf(x, dim - 1) ** n == pytest.approx(level, rel=1e-9)


@given(st.integers(2, 500), st.integers(2, 5000), st.floats(0, 1e20), st.floats(1e-6, 0.9))
def test_intervals_are_nested_and_in_range(n, dim, snr, delta):
    found = signal_plus_noise.coherence_interval(n, dim, snr, delta)
    for low, high in (found.interval, found.asymptotic):
        assert 1 <= low <= high <= n
    assert np.isfinite(found.mean) and found.numerator_deviation > 0
    if snr > 1e3:
        assert found.mean == pytest.approx(n, rel=1e-3)


# --- spectrum -------------------------------------------------------------------------------


def classes_gram(sizes, dim, snr, rng):
    """Orthogonal signals, one a class; the noise is orthogonal to them all."""
    n = sum(sizes)
    x = np.hstack([np.zeros((n, len(sizes))), rng.standard_normal((n, dim - 1))])
    x[np.arange(n), np.repeat(np.arange(len(sizes)), sizes)] = snr * np.sqrt(dim)
    return np.linalg.eigvalsh(x @ x.T)[::-1]


@pytest.mark.parametrize(
    ("sizes", "snr"), [((60,), 0.5), ((40, 20), 1.0), ((30, 30), 2.0), ((20, 20, 20), 0.7)]
)
def test_one_outlier_a_class(sizes, snr, rng):
    dim, count, draws = 120, len(sizes), 60
    found = signal_plus_noise.spectral_bounds(60, dim, snr, 0.1, classes=sizes)
    values = np.array([classes_gram(sizes, dim, snr, rng) for _ in range(draws)])
    tops, ends = values[:, :count], np.array(found.outlier_intervals)
    inside = ((tops >= ends[:, 0]) & (tops <= ends[:, 1])).all(axis=1)
    assert inside.mean() > 1 - 0.1
    low, high = found.bulk_interval
    assert ((values[:, -1] >= low) & (values[:, count] <= high)).mean() > 1 - 0.1
    assert values[:, :count].mean() == pytest.approx(np.mean(found.outliers), rel=0.02)
    # centred: the margins shrunk to a fifth miss most of the time
    middle = ends.mean(axis=1, keepdims=True)
    narrow = middle + 0.2 * (ends - middle)
    assert ((tops >= narrow[:, 0]) & (tops <= narrow[:, 1])).all(axis=1).mean() < 0.9
    weyl = np.diff(found.top_interval)[0]
    assert np.diff(ends[0])[0] < 0.75 * weyl


def test_classes_by_number_and_by_size():
    by_number = signal_plus_noise.spectral_bounds(61, 90, 1.0, 0.1, classes=2)
    by_size = signal_plus_noise.spectral_bounds(61, 90, 1.0, 0.1, classes=[30, 31])
    assert by_number == by_size
    assert by_number.outliers[0] > by_number.outliers[1]
    whole = signal_plus_noise.spectral_bounds(61, 90, 1.0, 0.1)
    assert whole.outlier == pytest.approx(sum(by_number.outliers), rel=0.03)
    # the smaller class stays in the bulk
    assert np.isnan(
        signal_plus_noise.spectral_bounds(60, 60, 0.3, 0.1, classes=(50, 10)).outliers[1]
    )


# --- escape ---------------------------------------------------------------------------------


@given(
    st.integers(5, 500), st.integers(5, 500), st.integers(5, 2000), st.floats(0.05, 0.95)
)  # fmt: skip
def test_noise_edge_is_that_of_the_descent_ascent_law(n_r, n_f, dim, alpha):
    found = signal_plus_noise.escape(n_r, n_f, dim, 0.0, alpha)
    law = DescentAscent((dim - 1) / n_r, (dim - 1) / n_f, alpha)
    if law.support()[0] < -1e-6 * law.support()[1]:
        assert found.curvature == pytest.approx(-law.support()[0], rel=1e-9)
        assert not found.through_signal


def sampled_escape(k, n_f, alpha):
    values, vectors = np.linalg.eigh(k)
    keep = values > 1e-10 * values[-1]
    a = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
    h_r, h_f = (x @ x.T / x.shape[1] for x in (a[:, :-n_f], a[:, -n_f:]))
    mix, directions = np.linalg.eigh((1 - alpha) * h_r - alpha * h_f)
    v = directions[:, 0]
    return -mix[0], (v @ h_r @ v) / (v @ h_f @ v)


@pytest.mark.parametrize("alpha", [0.3, 0.6])
@pytest.mark.parametrize("snr", [0.3, 1.0, 3.0])
def test_escape_through_the_signal(alpha, snr, rng):
    n, n_f, dim = 200, 50, 400
    found = signal_plus_noise.escape(n - n_f, n_f, dim, snr, alpha)
    sampled = np.array([sampled_escape(gram(n, dim, snr, rng), n_f, alpha) for _ in range(12)])
    curvature, resistance = sampled.mean(axis=0)
    errors = sampled.std(axis=0, ddof=1) / np.sqrt(12)
    assert found.through_signal
    assert abs(found.curvature - curvature) < 0.02 * curvature + 4 * errors[0]
    assert abs(found.resistance - resistance) < 0.02 * resistance + 4 * errors[1]
    # without the signal both would be off by far more than that
    noise = signal_plus_noise.escape(n - n_f, n_f, dim, 0.0, alpha)
    assert resistance > 2 * noise.resistance


def test_escape_limits_in_the_signal():
    def resistance(snr, alpha):
        return signal_plus_noise.escape(480, 120, 1500, snr, alpha).resistance

    for alpha in (0.1, 0.3, 0.45):
        assert resistance(1e4, alpha) == pytest.approx((alpha / (1 - alpha)) ** 2, rel=1e-3)
    assert resistance(1e4, 0.7) == pytest.approx(1, rel=1e-3)
    values = [resistance(snr, 0.3) for snr in np.geomspace(0.01, 10, 25)]
    assert (np.diff(values) >= -1e-12).all() and values[-1] > 4 * values[0]


def test_more_classes_need_more_signal():
    one, two = (
        signal_plus_noise.escape(480, 120, 600, 0.12, 0.3, classes=k).through_signal for k in (1, 2)
    )
    assert one and not two


# --- step-size protocols --------------------------------------------------------------------

PROTOCOLS = (
    ("common", {"step_size": 1e-3}, 1),
    ("sgd_scaled", {"batch_size": 16}, -1),
    ("sharpness_scaled", {}, -1),
)


@pytest.mark.parametrize(("protocol", "how", "sign"), PROTOCOLS)
@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_the_order_in_snr_reverses_at_a_common_step(protocol, how, sign, alpha):
    """Rates rise with SNR at a common step and fall under the others; Ψ rises under all."""
    shape = 48, 12, 150
    for snrs, escape in (
        (SNRS, lambda s: signal_plus_noise.escape_rate(*shape, s, alpha, protocol=protocol, **how)),
        (SNRS, lambda s: cnn.escape_rate(*shape, s, 8, alpha, protocol=protocol, **how)),
    ):
        found = [escape(s) for s in snrs]
        # below the transition nothing depends on the signal; from there on the order is strict
        found = [f for f, s in zip(found, snrs, strict=True) if s > 0.14]
        rates, resistances = ([f.rate for f in found], [f.escape.resistance for f in found])
        order = range(len(found))
        assert sign * spearmanr(order, rates)[0] > 0.85
        assert spearmanr(order, resistances)[0] > 0.85
        assert [f.e_fold_steps for f in found] == pytest.approx([1 / r for r in rates])


def test_protocols_on_sampled_instances(rng):
    """The same signs and sizes from exact thresholds, sharpness and growth of sampled data."""
    n_r, n_f, dim, alpha, batch = 48, 12, 150, 0.3, 16
    rates = {name: [] for name, _, _ in PROTOCOLS}
    formulas = {name: [] for name, _, _ in PROTOCOLS}
    resistances = []
    snrs = (0.2, 0.4, 0.8, 1.6)
    for snr in snrs:
        draws = []
        for _ in range(4):
            problem = UnlearningProblem.from_gram(gram(n_r + n_f, dim, snr, rng), n_r)
            threshold = float(problem.critical_step_size((batch, n_f), 0.0))
            sgd = problem.dynamics(step_size=1.0, batch_size=(n_r, n_f), alpha=0.0)
            steps = 1e-3, 0.5 * threshold, 0.05 / float(np.max(sgd.mean_eigenvalues))
            row = []
            for step in steps:
                dyn = problem.dynamics(step_size=step, batch_size=(n_r, n_f), alpha=alpha)
                row.append(float(dyn.escape_rate()))
            draws.append([*row, dyn.resistance()])
        means = np.mean(draws, axis=0)
        resistances.append(means[-1])
        for (name, how, _), value in zip(PROTOCOLS, means, strict=False):
            rates[name].append(value)
            found = signal_plus_noise.escape_rate(n_r, n_f, dim, snr, alpha, protocol=name, **how)
            formulas[name].append(found.rate)
    for name, _, sign in PROTOCOLS:
        assert sign * spearmanr(snrs, rates[name])[0] > 0.9
        np.testing.assert_allclose(formulas[name], rates[name], rtol=0.2)
    assert spearmanr(snrs, resistances)[0] > 0.9


@pytest.mark.parametrize(("snr", "gap"), [(0.05, 0.08), (0.5, 0.01)])
def test_retain_threshold_and_sharpness_of_sampled_data(snr, gap, rng):
    """From below, by 1/n: 7 % at n = 100 where noise limits; exact where the outlier caps."""
    n, dim, batch = 100, 250, 12
    found = signal_plus_noise.retain_step_size(n, dim, snr, batch)
    exact, tops = [], []
    for _ in range(6):
        k = gram(n, dim, snr, rng)
        problem = UnlearningProblem.from_gram(np.pad(k, ((0, 1), (0, 1))), n)
        exact.append(float(problem.critical_step_size((batch, 1), 0.0)))
        tops.append(np.linalg.eigvalsh(k)[-1] / n)
    assert -gap < np.mean(exact) / float(found) - 1 < 0.01
    assert signal_plus_noise.retain_sharpness(n, dim, snr) == pytest.approx(np.mean(tops), rel=0.04)


def rate(**how):
    return signal_plus_noise.escape_rate(48, 12, 150, 0.5, 0.3, **how)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rate(protocol="fastest"), r"protocol must be one of 'common', .* got 'fastest'"),
        (lambda: rate(protocol="common"), r"step_size must be given with protocol='common'"),
        (lambda: rate(protocol="common", step_size=-1.0), r"step_size must be > 0 .* got -1.0"),
        (lambda: rate(protocol="sgd_scaled"), r"batch_size must be given .* got None"),
        (
            lambda: rate(protocol="sgd_scaled", batch_size=49),
            r"batch_size must lie in \[1, n=48\], got 49",
        ),
        (
            lambda: rate(protocol="sharpness_scaled", step_size=0.1),
            r"step_size must be left out with protocol='sharpness_scaled', which sets it, got 0.1",
        ),
        (lambda: signal_plus_noise.escape(9, 3, 5, -0.1, 0.3), r"snr must .*got -0.1"),
        (lambda: signal_plus_noise.escape(9, 3, 5, 0.1, 1.0), r"alpha must lie in \(0, 1\)"),
        (
            lambda: signal_plus_noise.escape(9, 3, 5, 0.1, 0.3, classes=4),
            r"classes must lie in \[1, 3\], got 4",
        ),
        (
            lambda: signal_plus_noise.spectral_bounds(9, 5, 1.0, 0.1, classes=(4, 4)),
            r"classes must be a number or positive sizes that add up to n=9, got \(4, 4\)",
        ),
        (
            lambda: signal_plus_noise.coherence_interval(9, 5, 1.0, 0.0),
            r"delta must lie in \(0, 1\), got 0.0",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@given(st.integers(1, 3), st.integers(1, 6), st.integers(0, 2**31))
def test_outliers_of_blocks_lie_below_the_root_of_their_norms(count, rest, seed):
    """λ_k of [[A, B], [Bᵀ, C]] against (λ − λ_k(A))(λ − ‖C‖) = ‖B‖²; equality at 1 + 1."""
    from rmtstab.theory.spectral_bounds import _larger_root

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count + rest, count + rest)) * 10.0 ** rng.uniform(-1, 1, count + rest)
    k = x @ x.T + np.diag([5.0] * count + [0.0] * rest)
    a, b, c = k[:count, :count], k[:count, count:], k[count:, count:]
    found = np.linalg.eigvalsh(k)[::-1]
    for i, value in enumerate(np.linalg.eigvalsh(a)[::-1]):
        bound = _larger_root(value, np.linalg.norm(c, 2), np.linalg.norm(b, 2))
        assert value * (1 - 1e-9) <= found[i] <= bound * (1 + 1e-9)
        if count == rest == 1:
            assert bound == pytest.approx(found[0], rel=1e-9)


def test_cycle_moment_bounds_the_conditional_second_moment():
    """``E h²`` with its odd cross terms, by Hermite series, stays below the interval's bound."""
    nodes = np.linspace(-12.0, 12.0, 6001)
    weights = np.exp(-0.5 * nodes**2)
    weights /= weights.sum()
    orders = np.arange(40)
    basis = np.array([hermite_e.hermeval(nodes, np.eye(40)[k]) for k in orders])
    basis /= np.sqrt(special.factorial(orders))[:, None]
    for s, p in ((0.0, 3), (0.7, 2), (2.0, 5), (6.0, 40)):
        r, chances = extremes.chi(p, 40)
        series = (np.abs(s + r[:, None] * nodes) * weights) @ basis.T
        # c, the cosine of independent directions: E c^(2m) = Π (2i − 1)/(p + 2i − 2)
        steps = (2.0 * orders[1:] - 1.0) / (p + 2.0 * orders[1:] - 2.0)
        powers = np.concatenate([[1.0], np.cumprod(steps)])
        outer = series.T @ (chances[:, None] * series)  # E a_j a_k over one radius
        total = orders[:, None] + orders
        exact = float((outer**2 * powers[total // 2])[total % 2 == 0].sum())
        bound = _Moments(s, p, *extremes.chi(p)).cycle
        assert 0.5 * bound < exact <= bound * (1 + 1e-9)


@pytest.mark.parametrize(("s", "p"), [(40.0, 5), (100.0, 20)])
def test_moments_under_a_strong_signal_are_those_without_the_modulus(s, p):
    """All ``s + ξ_i·ξ_k > 0``: ``E[K₁₂K₂₃ | ξ₁, ξ₃] = s² + ξ₁·ξ₃``, of second moment s⁴ + p."""
    found = _Moments(s, p, *extremes.chi(p))
    assert found.first == pytest.approx(s, rel=1e-14)
    assert found.variance == pytest.approx(p, rel=1e-12)
    assert found.cycle - s**4 == pytest.approx(p, rel=1e-5)


def test_nothing_escapes_below_the_wachter_mixing():
    """A known fault: an escape was found at mixing .05 where the mean's frontier is .2."""
    for snr in (0.0, 0.3, 3.0):
        found = signal_plus_noise.escape(400, 100, 50, snr, 0.05)
        assert found.curvature == 0.0 and np.isnan(found.resistance)
    edge = wachter.critical_alpha(49 / 400, 49 / 100)
    below, above = (signal_plus_noise.escape(400, 100, 50, 0.0, edge + e) for e in (-1e-9, 1e-9))
    assert below.curvature == 0.0 < above.curvature < 1e-8
    rate = signal_plus_noise.escape_rate(400, 100, 50, 0.0, 0.05, protocol="common", step_size=0.01)
    assert rate.rate == 0.0 and rate.e_fold_steps == np.inf


@pytest.mark.parametrize(("n_retain", "n_forget", "dim"), [(400, 100, 50), (60, 40, 100)])
def test_edge_of_either_sign_is_that_of_the_law(n_retain, n_forget, dim):
    for alpha in (0.1, 0.3, 0.6, 0.95):
        law = DescentAscent((dim - 1) / n_retain, (dim - 1) / n_forget, alpha)
        found = signal_plus_noise.escape(n_retain, n_forget, dim, 0.0, alpha)
        assert found.curvature == pytest.approx(max(-law.edges()[0, 0], 0.0), rel=1e-9)


def test_tiny_mixings_escape_in_proportion():
    for escape in (
        lambda a: signal_plus_noise.escape(48, 12, 150, 0.3, a),
        lambda a: cnn.escape(48, 12, 150, 0.3, 8, a),
    ):
        reference = escape(1e-9)
        for alpha in (1e-100, 1e-160, 1e-300):
            found = escape(alpha)
            assert found.curvature == pytest.approx(reference.curvature * alpha / 1e-9, rel=1e-7)
            assert 0.0 <= found.resistance < 1e-15


@pytest.mark.parametrize("filters", [1, 2, 3, 5, 8, 11, 16, 17, 23, 40, 64, 101, 150, 199, 2000])
def test_cnn_coherence_at_every_width(filters):
    """A computed distribution function may level off short of 1: the search must still end."""
    found = cnn.coherence(48, 12, 150, 0.3, filters)
    assert 1.0 <= found.forget <= found.retain <= found.total <= 60.0
    assert found.retain < cnn.coherence(48, 12, 150, 0.3, 4 * filters).retain


def test_a_distribution_that_never_reaches_one_is_refused():
    with pytest.raises(ValueError, match=r"cdf must rise to 1, got 0\.5"):
        extremes.expected_maximum(3, lambda x: np.full_like(x, 0.5))
