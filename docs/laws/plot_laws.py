"""Draw the figures of docs/laws: ``python docs/laws/plot_laws.py``."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from rmtstab import figures, laws

HERE = Path(__file__).parent
rng = np.random.default_rng(0)


def save(name, draw):
    """Draw one column wide, at twice the resolution of a screen."""
    with figures.style():
        figure, ax = plt.subplots(figsize=(figures.COLUMN, 2.1))
        draw(ax)
        figure.savefig(HERE / f"{name}.png", dpi=220)
    plt.close(figure)


def gram(factor, n):
    """Eigenvalues of a sample covariance."""
    return np.linalg.eigvalsh(factor @ factor.T / n)


def tracy_widom(ax):
    """Three densities."""
    x = np.linspace(-6, 4, 400)
    for index in (1, 2, 4):
        ax.plot(x, laws.TracyWidom(index).pdf(x), label=f"index {index}")
    ax.set(xlabel="s", ylabel="density")
    ax.legend(frameon=False)


x = rng.standard_normal((300, 600))
save("marchenko_pastur", lambda ax: figures.spectrum(ax, gram(x, 600), laws.MarchenkoPastur(0.5)))
wigner = rng.standard_normal((500, 500))
wigner = (wigner + wigner.T) / np.sqrt(2 * 500)
save("semicircle", lambda ax: figures.spectrum(ax, np.linalg.eigvalsh(wigner), laws.Semicircle()))
a, b = rng.standard_normal((200, 400)), rng.standard_normal((200, 1000))
half = np.linalg.solve(np.linalg.cholesky(b @ b.T / 1000), a)
save("wachter", lambda ax: figures.spectrum(ax, gram(half, 400), laws.Wachter(0.5, 0.2)))
ratio = np.linalg.eigvals(np.linalg.solve(a @ a.T + b @ b.T, a @ a.T)).real
save("jacobi", lambda ax: figures.spectrum(ax, ratio, laws.Jacobi(200, 400, 1000)))
y = np.sqrt(np.repeat([1.0, 8.0], 100))[:, None] * rng.standard_normal((200, 2000))
general = laws.GeneralizedMarchenkoPastur(0.1, [1, 8], [0.5, 0.5])
save("generalized_marchenko_pastur", lambda ax: figures.spectrum(ax, gram(y, 2000), general))
r, f = rng.standard_normal((500, 100)), rng.standard_normal((500, 100))
mixed = np.linalg.eigvalsh(0.5 * r @ r.T / 100 - 0.5 * f @ f.T / 100)
law = laws.DescentAscent(5.0, 5.0, 0.5)
save("descent_ascent", lambda ax: figures.spectrum(ax, mixed, law))
z = rng.standard_normal((300, 600))
z[0] *= 2.0
save("spiked", lambda ax: figures.spectrum(ax, gram(z, 600), laws.Spiked(0.5, [4.0])))
save("tracy_widom", tracy_widom)
