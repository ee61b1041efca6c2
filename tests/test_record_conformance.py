"""Every result class of the package keeps the same habits, and none is forgotten."""

import dataclasses
import importlib
import inspect
import json
import pkgutil

import numpy as np
import pytest

import rmtstab as rs
from rmtstab._record import Record
from rmtstab.claims.claim import Outcome
from rmtstab.dynamics.mixings import simulate_mixings
from rmtstab.experiment.validation import Validation

# dataclasses that no computation hands out as its answer
NOT_RESULTS = {
    "laws, which are asked": {
        "DescentAscent", "FreeProduct", "FreeSum", "GeneralizedMarchenkoPastur", "Jacobi",
        "MarchenkoPastur", "RoysRoot", "Semicircle", "Spacing", "SingularValues", "Spiked",
        "TracyWidom", "Wachter", "WishartExtreme", "WishartMax", "WishartMin", "MirrorLaw",
    },
    "samplers and problems": {
        "Gaussian", "Wishart", "SpikedMatrix", "SpikedWishart", "SignalPlusNoise", "Extremal",
        "SetNoise",
    },
    "bounds, which are asked at a setting": {
        "CoherenceBound", "ConvergenceBound", "HeavySample", "OneStepBound", "RayleighBound",
        "Model",
    },
    "settings and inputs": {
        "Cell", "Claim", "Experiment", "Optimiser", "Plane", "Preset", "RunPlan", "Samples",
        "Scheme", "Setting", "Sweep", "Update",
    },
    "the checker that shares no code with what it checks": {"Verification", "_Claim"},
    "inner workings": {
        "Bend", "Block", "Bowl", "Call", "Cells", "CentredNoise", "Coefficients", "Collected",
        "Report",
        "Dynamics", "HasEscape", "HasOperator", "HasRuns", "HasStability", "MeanCurvature",
        "Arc", "ElementwiseLoss", "Enclosure", "Ensemble", "FunctionSpace", "Half", "Interval",
        "LayerRule", "Limit", "LossTerm", "MixBasis", "NetworkDynamics", "NoiseMap", "Operand",
        "OutputRoots", "Pair", "Panel", "Picture", "Reading", "RecognisedSoftmax",
        "ReducedFactors", "Row",
        "Schedule", "SecondMoment", "Side", "SoftmaxLoss", "Split", "SummedSoftmax", "Trace",
        "_Agreement", "_Basis",
        "_Rule",
    },
}  # fmt: skip


def classes():
    """Every class that the package defines."""
    for module in pkgutil.walk_packages(rs.__path__, "rmtstab."):
        if module.name.endswith("__main__"):
            continue
        for found in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(found) and found.__module__ == module.name:
                yield found


def core_results(folder):
    rng = np.random.default_rng(0)
    retain, forget = rng.standard_normal((20, 5)), rng.standard_normal((4, 5))
    problem = rs.UnlearningProblem.from_factors(retain, forget)
    dyn = problem.dynamics(0.02, (4, 2), 0.02)
    rows = rng.standard_normal((40, 20))
    rows[:, 0] *= 4.0
    eigenvalues = np.linalg.eigvalsh(rows.T @ rows / 40)
    laws, theory = rs.laws, rs.theory
    signal = theory.signal_plus_noise
    law = theory.mirror.MirrorLaw.from_hessians(
        np.array([[[2.0]], [[1.0]]]), np.array([[[1.0]]]), [1.0]
    )
    failed = rs.sweeps.run([rs.sweeps.Cell.of("f", 0)], lambda cell: 1 / 0, folder, errors="record")
    return [
        dyn.growth(), problem.critical_step_size((2, 1), 0.1), dyn.lyapunov(0, steps=5, replicas=4),
        problem.coherence(), dyn.bounds()[0], dyn.trajectory(4), dyn.simulate(4, 3, 0),
        simulate_mixings(problem, 0.02, 1, [0.0, 0.1], "bernoulli", steps=4, replicas=3, rng=0),
        problem.frontier(0.2, [(1, 1), (4, 2)], [0.0, 0.5, 1.0]), dyn.stationary(np.zeros((24, 5))),
        dyn.escape_probability(10.0, 5, replicas=8, rng=0), dyn.certificate(),
        dyn.resistance_with_noise(), *failed.values(), law.rates(0.1, (1, 1), 0.3, "bernoulli"),
        law.frontiers(0.1, (1, 1), "bernoulli"), signal.coherence_interval(60, 150, 0.0),
        signal.spectral_bounds(60, 150, 1.0, delta=0.05), signal.escape(48, 12, 150, 0.3, 0.3),
        signal.escape_rate(48, 12, 150, 0.3, 0.3, protocol="common", step_size=0.001),
        theory.wachter.critical_alpha_quantile(500, 200, 100, 0.05),
        laws.MarchenkoPastur.fit(eigenvalues, n_samples=40), laws.patterson_tw(eigenvalues),
        laws.number_of_spikes(eigenvalues, 40, 20), laws.parallel_analysis(rows, n_draws=9, rng=0),
        problem.frontier_laws(0.02, [1, 2]), dyn.lyapunov_bounds(64),
        signal.resistance(48, 12, 150, 0.3, 0.3, 0.001, (16, 4)),
        (population := laws.GeneralizedMarchenkoPastur.fit(eigenvalues, 40)),
        population.intervals(),
        laws.Spiked.from_outliers([4.2], n_samples=400, n_features=101),
        Outcome("all of it", 1.0, np.nan, True),
        Validation(folder, {"claims": []}, 1.0),
    ]  # fmt: skip


def network_results():
    import torch
    from scipy.sparse.linalg import aslinearoperator

    from rmtstab import bridge
    from rmtstab.bridge import Interpolation

    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(16) % 3
    model, loss = torch.nn.Linear(4, 3, dtype=torch.float64), torch.nn.CrossEntropyLoss()
    retain, forget = (x[:10], y[:10]), (x[10:], y[10:])
    answer = bridge.diagnose(
        model, loss, retain, forget, step_size=0.5, batch_size=2, alpha=0.5, steps=8, replicas=2
    )
    net = answer.net
    real = bridge.unlearn(
        model, loss, retain, forget, step_size=[0.1, 1.0], batch_size=2, alpha=0.5, steps=3, rng=0
    )
    network, samples = bridge.Network(model), bridge.read_samples("retain", retain)
    matrix = aslinearoperator(np.diag(np.arange(1.0, 9.0)))
    cut = bridge.problem(model, loss, retain, (), max_samples=6)
    return [
        answer, answer.run, answer.run.curves, answer.run.turns, answer.check, answer.curvature,
        answer.curvature.retain, answer.samples, answer.advice, answer.advice.map, real,
        bridge.Runs(real.curves, real.turns, real.plan), cut.interpolation,
        cut.disagreement["retain"], bridge.plan(network, samples),
        bridge.plan(network, samples).routes[0], bridge.sketch(network, samples, 8),
        bridge.curvature_gap(model, loss, retain), bridge.sample_sharpness(model, loss, retain),
        bridge.spectral_density(matrix, 2, 4), bridge.diagonal_estimate(matrix, 4),
        bridge.extreme_eigenpairs(matrix, 2), Interpolation(0.0, 3, True),
        bridge.retraining_distance(np.eye(3), np.eye(3)),
        bridge.loss_threshold_attack([0.1, 0.2], [0.3, 0.4]),
        net.map([0.1, 1.0], [0.2, 0.5], 2, 4, rng=0),
        net.map(0.1, [0.2], [(2, 1), (4, 2)], 4, rng=0),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    pytest.importorskip("torch")
    return [*core_results(tmp_path_factory.mktemp("cells")), *network_results()]


def test_every_dataclass_is_a_record_or_known_to_be_none():
    pytest.importorskip("torch")
    known = {name for names in NOT_RESULTS.values() for name in names}
    others = {
        c.__name__ for c in classes() if dataclasses.is_dataclass(c) and not issubclass(c, Record)
    }
    assert others == known, "derive a result from Record, or name it in NOT_RESULTS"


def test_every_record_has_an_example(results):
    known = {c for c in classes() if issubclass(c, Record)} - {Record}
    assert known == {type(result) for result in results}


def finite(value):
    """Whether JSON values hold no NaN or infinity, and text as keys."""
    if isinstance(value, dict):
        return all(isinstance(k, str) for k in value) and all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return value is None or isinstance(value, str | bool | int) or np.isfinite(value)


def test_strict_json(results):
    for result in results:
        shown = result.to_dict()
        assert json.loads(json.dumps(shown, allow_nan=False)) == shown, type(result)
        assert finite(shown) and shown, type(result)


def test_reprs_are_short_and_name_the_class(results):
    for result in results:
        name = type(result).__name__
        assert repr(result).startswith(name + "(") and len(repr(result)) < 700, result
        assert "array(" not in repr(result) and "\n" not in repr(result), result
        page = result._repr_html_()
        assert name in page or "<html" in page
        assert len(page) < 20_000 or name == "Diagnosis"


def test_tables_and_maps(results):
    for result in results:
        assert len(result.to_dataframe())
        if not result.dimensions:
            if type(result).__name__ != "Diagnosis":
                with pytest.raises(TypeError, match="no table or map"):
                    result.to_xarray()
            continue
        found = result.to_xarray()
        arrays = {**found.data_vars, **found.coords}
        shown = result.to_dict()
        for name in set(result.dimensions) & set(shown):
            if np.size(shown[name]) and shown[name] is not None and name in arrays:
                assert np.shape(shown[name]) == arrays[name].shape, (type(result), name)
        assert arrays, type(result)


def test_figures(results):
    from matplotlib.figure import Figure

    drawn = 0
    for result in results:
        ax = Figure().add_subplot()
        if result.drawn_by:
            assert result.plot(ax) is ax and ax.has_data() and ax.get_xlabel()
            drawn += 1
        else:
            with pytest.raises(TypeError, match="has no figure"):
                result.plot(ax)
    assert drawn >= 9


def test_axes_come_first_in_every_figure():
    for name in rs.figures.__all__:
        function = getattr(rs.figures, name)
        if callable(function) and name != "style":
            assert next(iter(inspect.signature(function).parameters)) == "ax", name


def test_runs_are_labelled_by_their_settings(results):
    real = next(r for r in results if type(r).__name__ == "UnlearningRuns")
    found = real.to_xarray()
    assert found["retain_loss"].dims == ("cell_0", "replica", "step")
    assert found["step_size"].values.tolist() == [0.1, 1.0] and found["alpha"].dims == ("cell_0",)
    assert found["step"].values.tolist() == [0, 1, 2, 3] and found.attrs["batch_size"] == [2.0, 2.0]
    np.testing.assert_array_equal(found["forget_accuracy"], real.forget_accuracy)
    one = found.isel(cell_0=1, replica=3).sel(step=2)["retain_loss"]
    assert float(one) == real.retain_loss[1, 3, 2]


def test_outcome_maps_are_labelled_by_what_varies(results):
    *_, over_steps, over_batches = (r for r in results if type(r).__name__ == "OutcomeMap")
    found = over_steps.to_xarray()
    assert found["outcome"].sel(step_size=1.0, alpha=0.2).item() == over_steps.outcome[0, 1]
    assert over_batches.to_xarray()["batch_size"].values.tolist() == ["2/1", "4/2"]
