"""Draw the figures of the limits' pages: ``python docs/theory/plot_limits.py``."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from rmtstab import UnlearningProblem
from rmtstab.claims.instances import linear_gram
from rmtstab.figures import COLUMN, style
from rmtstab.figures._style import plain_ticks
from rmtstab.laws import TracyWidom
from rmtstab.theory import descent_ascent, signal_plus_noise, volterra, wachter

HERE = Path(__file__).parent
rng = np.random.default_rng(0)


def figure(name, left, right):
    """Two panels, one column wide, at twice the resolution of a screen."""
    with style():
        fig, axes = plt.subplots(2, 1, figsize=(COLUMN, 4.4))
        left(axes[0])
        right(axes[1])
        for ax in axes:
            for axis in (ax.xaxis, ax.yaxis):
                plain_ticks(axis)
            ax.legend()
        fig.savefig(HERE / f"{name}.png", dpi=220)
    plt.close(fig)


def exact(x, batch):
    """Threshold of given gradients."""
    problem = UnlearningProblem.from_factors(x, x[:0])
    return float(problem.critical_step_size(batch, 0.0, sampling="bernoulli"))


def sampled_mixing(n_r, n_f, dim, decay=0.0):
    """Largest mixing at which the sampled mix stays positive."""
    r, f = rng.standard_normal((dim, n_r)), rng.standard_normal((dim, n_f))
    h_r, h_f = r @ r.T / n_r, f @ f.T / n_f
    root = np.linalg.cholesky(h_r + decay * np.eye(dim))
    half = np.linalg.solve(root, np.linalg.solve(root, h_r + h_f).T)
    return 1 / np.linalg.eigvalsh(half)[-1]


def volterra_batches(ax):
    """Threshold against batch size, with and without a spike."""
    n = dim = 200
    for spikes, colour in (([], "C0"), ([9.0], "C1")):
        shares = np.geomspace(0.01, 0.98, 80)
        steps = [
            float(volterra.spiked_step_size(n, dim, spikes, s * n, "bernoulli")) for s in shares
        ]
        name = "spike 9" if spikes else "isotropic"
        ax.loglog(shares * n, steps, color=colour, label=name)
        for share in np.geomspace(0.01, 0.95, 9):
            x = rng.standard_normal((8, n, dim))
            x[:, :, : len(spikes)] *= np.sqrt(spikes)
            found = np.mean([exact(a, share * n) for a in x])
            ax.loglog(share * n, found, "o", ms=4, color=colour)
    ax.set(xlabel="batch size (n = dim = 200)", ylabel="critical step size")


def volterra_rate(ax):
    """Distance of the exact threshold against n."""
    sizes = np.array([40, 80, 160, 320])
    for share, rate, name in ((0.2, -1, "noise-limited"), (0.8, -2 / 3, "mean-limited")):
        errors = [
            np.mean(
                [
                    abs(
                        exact(rng.standard_normal((n, n)), share * n)
                        / float(volterra.isotropic_step_size(n, n, share * n, "bernoulli"))
                        - 1
                    )
                    for _ in range(4800 // n)
                ]
            )
            for n in sizes
        ]
        (line,) = ax.loglog(sizes, errors, "o", ms=4, label=name)
        ax.loglog(sizes, errors[1] * (sizes / sizes[1]) ** rate, "--", color=line.get_color())
    ax.set(xlabel="n", ylabel="mean relative distance")


def wachter_law(ax):
    """Logarithm of b, centred and scaled, against Tracy–Widom."""
    n_r, n_f, dim = 200, 100, 50
    law = wachter.critical_alpha_quantile(n_r, n_f, dim)
    alpha = np.array([sampled_mixing(n_r, n_f, dim) for _ in range(2000)])
    w = (np.log((1 / alpha - 1) * n_f / n_r) - law.centre) / law.scale
    ax.hist(w, 40, density=True, color="0.8", label="sampled")
    x = np.linspace(-5, 4, 200)
    ax.plot(x, TracyWidom(1).pdf(x), label="Tracy–Widom")
    limit = (np.log((1 / law.limit - 1) * n_f / n_r) - law.centre) / law.scale
    ax.axvline(limit, color="C1", ls="--", label="Wachter's edge")
    ax.set(xlabel="(log b − μ)/σ", ylabel="density")


def wachter_sizes(ax):
    """Sampled mixings against the ratio, with the 5–95 % band."""
    ratios = np.linspace(0.05, 0.95, 19)
    n_r, n_f = 200, 100
    ax.plot(ratios, [wachter.critical_alpha(g, 2 * g) for g in ratios], "C1--", label="limit")
    found = [
        [wachter.critical_alpha_quantile(n_r, n_f, int(g * n_r), p).quantile for g in ratios]
        for p in (0.05, 0.95)
    ]
    ax.fill_between(ratios, *found, alpha=0.4, label="5–95 %, n_r = 200")
    ax.plot(ratios, [sampled_mixing(n_r, n_f, int(g * n_r)) for g in ratios], "k.", label="sampled")
    ax.set(xlabel="γ_r (γ_f = 2γ_r)", ylabel="critical mixing")


def decay_mixing(ax):
    """Critical mixing against weight decay."""
    decays = np.geomspace(1e-3, 5, 40)
    for retain, forget in ((0.5, 2.0), (2.0, 4.0)):
        edge = [descent_ascent.critical_alpha(retain, forget, d) for d in decays]
        (line,) = ax.loglog(decays, edge, label=f"γ = {retain:g}, {forget:g}")
        dim = 200
        for d in decays[::5]:
            alpha = sampled_mixing(round(dim / retain), round(dim / forget), dim, d)
            ax.loglog(d, min(alpha, 1), "o", ms=4, color=line.get_color())
    ax.axhline(wachter.critical_alpha(0.5, 2.0), color="0.6", ls=":", label="Wachter, γ = 0.5, 2")
    ax.set(xlabel="weight decay", ylabel="critical mixing")


def decay_rate(ax):
    """Distance against dimension."""
    sizes = np.array([40, 80, 160, 320])
    for retain, forget in ((0.5, 2.0), (2.0, 4.0)):
        limit = descent_ascent.critical_alpha(retain, forget, 0.3)
        errors = [
            np.mean(
                [
                    abs(sampled_mixing(round(d / retain), round(d / forget), d, 0.3) / limit - 1)
                    for _ in range(4800 // d)
                ]
            )
            for d in sizes
        ]
        (line,) = ax.loglog(sizes, errors, "o", ms=4, label=f"γ = {retain:g}, {forget:g}")
        ax.loglog(sizes, errors[1] * (sizes / sizes[1]) ** (-2 / 3), "--", color=line.get_color())
    ax.set(xlabel="dim", ylabel="mean relative distance, λ = 0.3")


def coherence_bands(ax):
    """Coherence with both intervals."""
    n, dim = 60, 150
    snrs = np.geomspace(0.02, 2, 25)
    found = [signal_plus_noise.coherence_interval(n, dim, s) for s in snrs]
    ax.fill_between(snrs, *np.array([f.interval for f in found]).T, alpha=0.2, label="every n")
    bands = np.array([f.asymptotic for f in found]).T
    ax.fill_between(snrs, *bands, alpha=0.5, color="C0", label="asymptotic")
    for s in snrs[::3]:
        for _ in range(6):
            k = linear_gram(n, dim, s, 0, rng)
            top = np.linalg.eigvalsh(np.abs(k))[-1] / k.diagonal().max()
            ax.plot(s, top, "k.", ms=3)
    ax.set(xscale="log", yscale="log", xlabel="SNR (n = 60, dim = 150)", ylabel="coherence")


def protocols(ax):
    """E-fold steps under the three protocols."""
    snrs = np.geomspace(0.02, 2, 40)
    for name, how in (
        ("common", {"step_size": 1e-3}),
        ("sgd_scaled", {"batch_size": 16}),
        ("sharpness_scaled", {}),
    ):
        steps = [
            signal_plus_noise.escape_rate(48, 12, 150, s, 0.3, protocol=name, **how).e_fold_steps
            for s in snrs
        ]
        ax.loglog(snrs, steps, label=name)
    ax.set(xlabel="SNR", ylabel="e-fold steps (α = 0.3)")


figure("volterra", volterra_batches, volterra_rate)
figure("wachter", wachter_law, wachter_sizes)
figure("descent_ascent_edge", decay_mixing, decay_rate)
figure("signal_plus_noise", coherence_bands, protocols)
