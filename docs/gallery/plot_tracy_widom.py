"""
How far does the largest eigenvalue stray?
==========================================

Sharpness is a largest eigenvalue, and a largest eigenvalue fluctuates by the law of Tracy and
Widom: skew, and on a scale of n to the power −2/3.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
n, draws = 120, 400
law = rs.laws.TracyWidom(dyson_index=1)
tops = []
for _ in range(draws):
    rows = rng.standard_normal((n, n))
    tops.append(np.linalg.norm(rows, 2) ** 2)
# centre and scale of Johnstone, with the half-integers that make them second-order accurate
roots = 2 * np.sqrt(n - 0.5)
scale = roots * (2 / np.sqrt(n - 0.5)) ** (1 / 3)
scaled = (np.array(tops) - roots**2) / scale

x = np.linspace(-5, 4, 300)
figure, ax = plt.subplots()
ax.hist(scaled, 30, density=True, color="0.8", label=f"{draws} matrices, n = {n}")
ax.plot(x, law.pdf(x), label="Tracy–Widom")
mean, spread = law.mean(), np.sqrt(law.var())
ax.plot(x, np.exp(-(((x - mean) / spread) ** 2) / 2) / spread / np.sqrt(2 * np.pi), "k:",
        label="normal, same moments")  # fmt: skip
ax.set(xlabel="scaled largest eigenvalue", ylabel="density")
ax.legend(loc="upper right")

error = spread / np.sqrt(draws)
assert abs(scaled.mean() - mean) < 5 * error
assert abs(scaled.std() / spread - 1) < 0.15
# the tail that a normal misses by four orders of magnitude, to full relative accuracy
assert np.isclose(law.sf(6.0), 1.4e-5, rtol=1.0) and law.logsf(40.0) < -150
