"""
A signal makes samples coherent
===============================

A registered experiment, swept over the signal-to-noise ratio: samples that share a class signal
share their curvature, retain with retain and retain with forget.
"""

import matplotlib.pyplot as plt
import numpy as np

from rmtstab.sweeps import Sweep

sweep = Sweep("coherence", {"snr": [0.0, 0.25, 0.5, 1.0, 2.0, 4.0]}, {"dim": 200})
found = sweep.run()
figure, ax = plt.subplots()
for name in ("retain", "forget", "cross"):
    found[f"coherence_{name}"].plot.line("o-", ax=ax, label=name)
ax.set_xscale("symlog", linthresh=0.25)
ax.set_xticks(found["snr"].values, [f"{snr:g}" for snr in found["snr"].values], minor=False)
ax.minorticks_off()
ax.set(yscale="log", ylabel="coherence σ", xlabel="signal-to-noise ratio")
ax.legend()

retain = found["coherence_retain"].values
assert np.all(np.diff(retain) > 0)
assert retain[0] < 4 and retain[-1] > 40  # of 48 samples: nearly aligned
assert Sweep.from_toml  # the same sweep as a file:
print(sweep.to_toml())
