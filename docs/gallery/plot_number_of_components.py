"""
How many principal components? Three tests on genotypes of three populations.
=============================================================================

Markers are in linkage (blocks of eight move together), which fools a test that counts them as
independent; Patterson's effective number of markers does not mind.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(1)


def genotypes(n_people, n_blocks, distance, linked):
    """Standardised genotypes of three populations that drifted apart by a distance."""
    share = rng.uniform(0.2, 0.8, n_blocks)
    spread = np.sqrt(distance * share * (1 - share))
    own = np.clip(share + spread * rng.standard_normal((3, n_blocks)), 0.02, 0.98)
    table = rng.binomial(2, own[np.arange(n_people) % 3]).astype(float)
    table = table[:, table.std(axis=0) > 0]
    if linked:
        table = np.repeat(table, 8, axis=1) + 0.3 * rng.standard_normal(
            (n_people, 8 * table.shape[1])
        )
    table -= table.mean(axis=0)
    return table / table.std(axis=0)


def counts(table):
    """Number of components by each test, at 5 %."""
    people, markers = table.shape
    nonzero = np.linalg.svd(table, compute_uv=False)[:-1] ** 2 / markers
    # people are the features, one of which the mean took; markers are the samples
    sequential = rs.laws.number_of_spikes(nonzero, markers, people - 1).n_spikes
    significant = rs.laws.patterson_tw(nonzero).p_values < 0.05
    return {"white noise": sequential, "twstats": int(np.argmin(significant))}


cases = {
    "one population": counts(genotypes(60, 1500, 0.0, False)),
    "three populations": counts(genotypes(60, 1500, 0.05, False)),
    "one population,\nlinked markers": counts(genotypes(60, 1500, 0.0, True)),
    "three populations,\nlinked markers": counts(genotypes(60, 1500, 0.05, True)),
}

figure, ax = plt.subplots(layout="constrained")
place = np.arange(len(cases))
for k, test in enumerate(("white noise", "twstats")):
    ax.bar(place + 0.4 * k, [min(c[test], 12) for c in cases.values()], 0.38, label=test)
ax.set_xticks(place + 0.2, list(cases), fontsize=8)
ax.set_ylabel("significant components (12: and more)")
ax.axhline(2, color="k", linestyle=":", label="three populations: 2")
ax.legend(frameon=False)

assert cases["one population"] == {"white noise": 0, "twstats": 0}
assert cases["three populations"] == {"white noise": 2, "twstats": 2}
assert cases["one population,\nlinked markers"]["white noise"] > 5  # linkage is not structure
assert cases["one population,\nlinked markers"]["twstats"] == 0
assert cases["three populations,\nlinked markers"]["twstats"] == 2
