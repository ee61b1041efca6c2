"""The closed forms drawn beside a run's networks: curves against SNR, and Gram spectra."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab.claims.networks.records import PROTOCOLS
from rmtstab.experiment.presets import Preset
from rmtstab.laws import MarchenkoPastur
from rmtstab.theory import cnn
from rmtstab.theory.volterra import volterra_step_size


def closed_forms(preset: Preset) -> dict[str, Any]:
    """Closed-form curves against SNR, and the step size common to all networks.

    The common step is half of the smallest closed-form threshold of plain SGD,
    over the preset's ratios, at its smallest batch.
    """
    sampling = "without_replacement"
    n_retain = preset.n - preset.n_forget

    def threshold(snr: float, batch: int) -> float:
        values = cnn.spectrum(n_retain, preset.dim, snr, preset.filters)
        return volterra_step_size(values, n_retain, batch, sampling)

    ratios = sorted({*preset.snrs, *preset.compared_snrs})
    common = 0.5 * min(threshold(snr, preset.batch_sizes[0][0]) for snr in ratios)
    positive = [snr for snr in ratios if snr > 0]
    grid = np.geomspace(min(positive) / 10.0, max(positive) * 1.5, 60)
    curves: list[dict[str, Any]] = []
    for snr in grid:
        escape = cnn.escape(
            n_retain, preset.n_forget, preset.dim, snr, preset.filters, preset.alpha
        )
        coherence = cnn.coherence(n_retain, preset.n_forget, preset.dim, snr, preset.filters)
        sharpness = float(cnn.spectrum(n_retain, preset.dim, snr, preset.filters)[0])
        steps = (0.5 * threshold(snr, preset.batch_size[0]), 0.05 / sharpness, common)
        # an isotropic start puts n_forget/n of its square on the escaping directions
        lead = np.log(preset.radius) + 0.5 * np.log(preset.n / preset.n_forget)
        curves.append(
            {
                "snr": float(snr),
                "resistance": escape.resistance,
                "curvature": escape.curvature,
                "escape_time": {
                    name: float(lead / np.log1p(step * escape.curvature))
                    for name, step in zip(PROTOCOLS, steps, strict=True)
                },
                "coherence": {
                    axis: getattr(coherence, axis)
                    for axis in ("retain", "forget", "cross", "total")
                },
            }
        )
    return {"common_step_size": float(common), "curves": curves}


def spectra(preset: Preset, networks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Law of the Gram matrix of each ratio's first network, as `figures.gram_spectrum` draws it.

    Of the noise, half a filter's worth is shared between samples (a
    Marchenko–Pastur bulk), the rest is each sample's own.

    Parameters
    ----------
    preset : Preset
    networks : list of dict
        Records of trained networks.

    Returns
    -------
    list of dict
        The network's keys, ``grid``, ``limit`` (density of wide networks with independent
        masks), ``finite`` (at this width), ``outliers``.
    """
    n, dim, filters = preset.n, preset.dim, preset.filters
    half = dim / (2.0 * filters)
    law = MarchenkoPastur(aspect_ratio=n / dim)
    top = half * (1.0 + law.support()[1])
    found = []
    for network in networks:
        if network["data"] != "signal_plus_noise" or network["index"]:
            continue
        counts = np.array(network["active_filters"], dtype=float)
        scale = max(1.0, (counts.max() / filters) ** 2)
        grid = np.linspace(0.0, 1.25 * top * scale, 500)
        predicted = n * cnn.spectrum(n, dim, network["snr"], filters)[:2]
        finite = cnn.bulk_density(grid, counts, dim, filters, smoothing=1e-2)
        found.append(
            {
                **{key: network[key] for key in ("data", "snr", "forget", "index")},
                "grid": grid.tolist(),
                "limit": (np.asarray(law.pdf((grid - half) / half)) / half).tolist(),
                "finite": np.asarray(finite).tolist(),
                "outliers": [float(v) for v in predicted if v > top * (1 + 1e-9)],
            }
        )
    return found
