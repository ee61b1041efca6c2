r"""Calls of what no example of the documentation calls by itself.

>>> import tempfile
>>> from pathlib import Path
>>> import numpy as np
>>> import torch
>>> import rmtstab as rs
>>> from matplotlib.figure import Figure
>>> from rmtstab import bridge, figures
>>> from rmtstab.claims.networks.map_cells import Panel
>>> from rmtstab.theory import coherence_bounds, one_step, rayleigh

Laws and closed forms:

>>> _ = rs.laws.TracyWidom(1).joint_cdf(0.5, -1.0)
>>> for kind in ("covariance", "additive", "rectangular"):
...     for ratio in (0.25, 0.5, 1.0, 2.0):
...         spiked = rs.laws.Spiked(ratio, [3.0, 1.2], kind)
...         _ = spiked.fluctuation(2), spiked.overlaps("right")
>>> heavy = coherence_bounds.HeavySample((8, 4), (2.0, 1.0), (1.0, 0.5))
>>> _ = heavy.critical_alpha(0.1, (2, 1), "bernoulli")
>>> _ = heavy.critical_batch_size(1.5, 0.1, "bernoulli")
>>> _ = heavy.critical_sharpness(0.5, (2, 1), 0.1, "bernoulli")
>>> coherent = coherence_bounds.CoherenceBound((8, 4), mean_sharpness=1.0, coherence=2.0)
>>> _ = coherent.critical_batch_size(0.5, 0.1, "bernoulli")
>>> guarantee = coherence_bounds.ConvergenceBound((8, 4), (2.0, 1.0), coherence=2.0)
>>> _ = guarantee.critical_alpha(0.1, (2, 1), "bernoulli")
>>> _ = guarantee.critical_sharpness(0.5, (2, 1), 0.1, "bernoulli")
>>> step = one_step.OneStepBound((8, 4), np.eye(2), 0.5 * np.eye(2), 9 * np.eye(2), np.eye(2))
>>> _ = step.critical_alpha(0.1, (2, 1), "bernoulli")
>>> _ = step.critical_step_size((2, 1), 0.1, "bernoulli")
>>> direction = rayleigh.RayleighBound.direction([2.0, 1.0, 0.5], [1.0, 0.5])
>>> _ = direction.critical_alpha(0.1, (2, 1), "bernoulli")
>>> _ = direction.critical_batch_size(0.5, 0.1, "bernoulli")

The two objects:

>>> problem = rs.UnlearningProblem.from_factors(np.eye(4) + 0.1, 0.5 * np.ones((2, 4)))
>>> _ = problem.from_sample_space(np.ones(6)), problem.from_predictions(0.5 * np.ones(6))
>>> folder = Path(tempfile.mkdtemp(dir="."))
>>> _ = problem.dynamics(0.1, (2, 1), alpha=0.1).certificate().save("certificate.json")

Networks:

>>> x, y = torch.arange(48.0, dtype=torch.float64).reshape(12, 4).sin(), torch.arange(12) % 2
>>> model = bridge.multilayer_perceptron([4, 3, 2], seed=0).double()
>>> loss = torch.nn.CrossEntropyLoss()
>>> network = bridge.Network(model)
>>> first, second = (bridge.read_samples("data", (x[s], y[s])) for s in (slice(8), slice(8, 12)))
>>> _ = first.joins(second), first.join(second)
>>> _ = bridge.plan(network, first).routes[0].to_dict()
>>> net = bridge.linearise(model, loss, (x[:8], y[:8]), (x[8:], y[8:]))
>>> found = net.map([0.1, 0.2], [0.1, 0.5], (2, 1), 5, rng=0)
>>> _ = found.draw(Figure().add_subplot(), observed=found.outcome)
>>> own = bridge.problem(model, loss, (x[:8], y[:8]), (x[8:], y[8:])).dynamics(0.1, (2, 1), 0.1)
>>> _ = own.apply(np.eye(own.problem.rank))
>>> operator = bridge.hessian_operator(model, loss, (x, y))
>>> _ = operator.block("2")
>>> _ = bridge.spectral_density(operator, 3, 10, rng=0).smooth_cdf([0.1, 0.5], 0.1)

Sweeps and figures:

>>> sweep = rs.sweeps.Sweep("spectrum", {"snr": [0.0, 0.5]}, {"n": 12}, seed=1)
>>> _ = sweep.run(folder / "sweep")
>>> _ = rs.sweeps.Sweep.from_toml(folder / "sweep" / "sweep.toml")
>>> cell = rs.sweeps.Cell.of("division", 0, x=0)
>>> kept = rs.sweeps.run([cell], lambda cell: {"y": 1 / cell["x"]}, folder / "k", errors="record")
>>> _ = kept[cell].to_dict()
>>> names = "sgd_scaled", "sharpness_scaled", "common"
>>> known = {"resistance": 0.3, "finite_resistance": 0.2, "escape_time": 9.0}
>>> sigma = {"retain": 2.0, "forget": 1.0, "cross": 0.5}
>>> networks = [
...     {"snr": s, "coherence": sigma, "protocols": dict.fromkeys(names, known)} for s in (0.0, 0.5)
... ]
>>> escapes = [{"snr": 0.5, "protocol": "common", "resistance": 0.3, "escape_time": None}]
>>> times = dict.fromkeys(names, 9.0)
>>> curves = [{"snr": 0.5, "resistance": 0.1, "escape_time": times, "coherence": sigma}]
>>> _ = figures.coherence_against_snr(Figure().add_subplot(), networks, curves)
>>> _ = figures.escape_against_snr(Figure().add_subplot(), networks, escapes, curves)
>>> _ = figures.resistance_against_snr(Figure().add_subplot(), networks, escapes, curves)
>>> law = {"grid": [0.0, 1.0, 2.0], "limit": [0.1, 0.5, 0.1], "finite": [0.1, 0.4, 0.1]}
>>> _ = figures.gram_spectrum(Figure().add_subplot(), [1.0, 1.5, 9.0], {**law, "outliers": [4.0]})
>>> line, points = [0.0, 0.1, 0.2], [1.0, 1.1, 1.2]
>>> runs = {"log_quantiles": [line] * 3, "mean_square": points, "mean_square_predicted": points,
...         "linear_median": line, "lyapunov": 0.1}
>>> _ = figures.trajectories(Figure().add_subplot(), runs)
>>> data = {f"{s}_loss{kind}": points for s in ("retain", "forget")
...         for kind in ("", "_error", "_predicted")}
>>> _ = figures.losses(Figure().add_subplot(), data)
>>> shares, flags = np.array([[0.0, 0.2], [0.5, 1.0]]), np.zeros((2, 2), dtype=bool)
>>> panel = Panel(
...     ("batch_size", "alpha"), np.array([1.0, 2.0]), np.array([0.1, 0.3]), shares, shares - 1.0,
...     shares, np.array([["resisted", "forgot"], ["escaped", "forgot"]]), flags, ~flags,
...     shares[None], shares[None] - 0.5, 0.4, 1, 8,
... )
>>> _ = figures.outcome_map(Figure().add_subplot(), panel)
"""
