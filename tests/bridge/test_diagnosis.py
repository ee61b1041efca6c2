"""The diagnosis: its answer against real runs, its cost in network calls, its three forms."""

import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from rmtstab import bridge  # noqa: E402
from tests.bridge.test_linearised import LOSS, trained  # noqa: E402

OUTCOMES = {"keeps", "forgets", "forgets_then_collapses", "collapses"}


@pytest.fixture(scope="module")
def case():
    model, *data = trained()
    return model.eval(), data


def real_run(model, data, step_size, batch, alpha, steps, seed):
    """First steps of forgetting and collapse of a plain loop on the network itself."""
    rng = np.random.default_rng(seed)
    weights = [p.detach().clone().requires_grad_() for p in model.parameters()]
    names = [name for name, _ in model.named_parameters()]

    def call(x):
        return torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (x,))

    start, found = None, [np.inf, np.inf]
    for step in range(steps + 1):
        with torch.no_grad():
            right = [float((call(x).argmax(1) == y).double().mean()) for x, y in data[:2]]
        start = start or right
        for k, level in ((0, 0.8), (1, 0.5)):
            if right[k] < level * start[k]:
                found[k] = min(found[k], step)
        drawn = [rng.permutation(len(y))[:b] for (_, y), b in zip(data, batch, strict=False)]
        r, f = (LOSS(call(x[i]), y[i]) for (x, y), i in zip(data, drawn, strict=False))
        slopes = torch.autograd.grad((1 - alpha) * r - alpha * f, weights)
        with torch.no_grad():
            for w, slope in zip(weights, slopes, strict=True):
                w -= step_size * slope
    return found


@pytest.mark.parametrize(("step_size", "alpha"), [(0.1, 0.5), (1.0, 0.95), (3.0, 0.6)])
def test_outcome_is_that_of_real_runs_with_other_batches(case, step_size, alpha):
    model, data = case
    answer = bridge.diagnose(
        model, LOSS, *data, step_size=step_size, batch_size=(6, 3), alpha=alpha, steps=30, rng=0,
        replicas=5, advice=False,
    )  # fmt: skip
    assert answer.outcome in OUTCOMES
    runs = [real_run(model, data, step_size, (6, 3), alpha, 30, seed) for seed in range(5)]
    collapsed, forgot = np.sort(np.array(runs), axis=0)[2]
    from rmtstab.bridge.curves import outcome

    if answer.trusted:
        assert answer.outcome == str(outcome(forgot, collapsed))
        if np.isfinite(collapsed):
            predicted = np.sort(answer.collapse_step)[2]
            assert abs(predicted - collapsed) <= max(3.0, 0.4 * collapsed)


def test_what_is_nearly_nothing_keeps_and_what_is_enormous_collapses(case):
    model, data = case
    common = {"batch_size": (6, 3), "steps": 12, "rng": 0, "advice": False}
    still = bridge.diagnose(model, LOSS, *data, step_size=1e-5, **common)
    assert still.outcome == "keeps" and still.trusted and still.trusted_until == 12
    assert np.isinf(still.collapse_step).all() and np.isinf(still.forget_step).all()
    wild = bridge.diagnose(model, LOSS, *data, step_size=1e4, alpha=0.9, **common)
    assert wild.outcome == "collapses" and np.isfinite(wild.collapse_step).all()


def test_network_calls_are_counted(case):
    """Outputs, one Jacobian pass and the checked points, whatever the horizon and the grid."""
    model, data = case
    calls = []
    handle = model.register_forward_hook(lambda *_: calls.append(1))
    try:
        counts = []
        for steps, replicas in ((10, 2), (40, 8)):
            calls.clear()
            answer = bridge.diagnose(
                model, LOSS, *data, step_size=1e-4, batch_size=(6, 3), steps=steps, rng=0,
                replicas=replicas,
            )  # fmt: skip
            counts.append(len(calls))
            spent = answer.check.evaluations  # a backward pass, and a forward pass a set
            assert spent <= 8
            assert len(calls) <= 32 + 3 * spent  # two of which check the test set
    finally:
        handle.remove()
    assert counts[0] == counts[1]


def test_the_model_and_the_global_state_are_left_as_they_were():
    model, *data = trained()
    model.append(torch.nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state().clone()
    answer = bridge.diagnose(model, LOSS, *data, step_size=0.1, batch_size=3, advice=False)
    assert model.training and torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert answer.inputs["mode"] == "eval" and "eval mode" in answer.words()


def test_defaults_are_what_people_expect(case):
    model, data = case
    loaders = [DataLoader(TensorDataset(*part), batch_size=4) for part in data]
    answer = bridge.diagnose(model, LOSS, *loaders, step_size=0.1)
    assert answer.settings["alpha"] == 0.5 and answer.settings["steps"] == 18 // 4
    assert answer.settings["batch_size"] == [4.0, 4.0]
    lists = [(x.tolist(), y.tolist()) for x, y in data]
    same = bridge.diagnose(model, LOSS, *lists, step_size=0.1, batch_size=4)
    np.testing.assert_allclose(same.run.retain_loss, answer.run.retain_loss, rtol=1e-6)
    with pytest.raises(ValueError, match="batch_size must be given unless the sets are DataLoader"):
        bridge.diagnose(model, LOSS, *data, step_size=0.1)


@pytest.fixture(scope="module")
def answer(case):
    model, data = case
    return bridge.diagnose(
        model, LOSS, *data, step_size=0.5, batch_size=(6, 3), alpha=0.5, steps=30, rng=0
    )


def test_words_json_and_page_agree(answer, tmp_path):
    words = answer.words()
    assert words == str(answer) and not re.search(r"None(?! of)|nan", words)
    record = json.loads(answer.to_json(tmp_path / "answer.json"), parse_constant=pytest.fail)
    assert record == json.loads((tmp_path / "answer.json").read_text())
    assert record["outcome"] == answer.outcome and record["words"] == words
    assert len(record["curves"]["retain_loss"]["median"]) == 31
    page = answer.to_html(tmp_path / "answer.html")
    assert page == (tmp_path / "answer.html").read_text(encoding="utf-8")
    assert "<svg" not in page and "data:image/svg+xml;base64," in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_advice_keeps_its_promise(answer):
    advice = answer.advice
    net = answer.net
    for name, value in (("step_size", advice.largest_step_size), ("alpha", advice.largest_alpha)):
        settings = {"step_size": 0.5, "alpha": 0.5} | {name: value}
        run = net.run(settings["step_size"], (6, 3), settings["alpha"], 30, replicas=4, rng=0)
        median = np.sort(run.retain_loss, axis=0)[2]
        assert median.max() <= advice.retain_budget
    assert advice.window == bool((advice.map.forget_step < advice.map.collapse_step).any())
    for eta, alpha in advice.window_cells[:2]:
        run = net.run(eta, (6, 3), alpha, 30, replicas=4, rng=0)
        assert str(run.outcome).startswith("forgets")


def peaks_alone(answer, step_size, alpha, batch=(6, 3)):
    """Peak of the median retain loss of one cell, run on its own."""
    run = answer.net.run(step_size, batch, alpha, 30, replicas=4, rng=0)
    return np.sort(run.retain_loss, axis=0)[2].max()


def searched_alone(tried, peak, budget):
    """Largest value up to which all keep a budget: the grid, then eight within its bracket."""
    kept = [peak(value) <= budget for value in tried] + [False]
    count = kept.index(False)
    if count in (0, len(tried)):
        return tried[count - 1] if count else np.nan
    spaced = np.geomspace if tried[count - 1] > 0.0 else np.linspace
    between = spaced(tried[count - 1], tried[count], 9)[:-1]
    kept = [peak(value) <= budget for value in between] + [False]
    return between[max(kept.index(False), 1) - 1]


@pytest.mark.parametrize(("share", "eta"), [(0.02, 0.5), (0.1, 1.1), (-0.1, 0.5), (0.02, 30.0)])
def test_searches_that_share_runs_find_what_cells_run_alone_do(answer, share, eta):
    from rmtstab.bridge.advice import FACTORS, MIXINGS, OCTAVES, advise

    run = answer.net.run(eta, (6, 3), 0.5, 30, replicas=4, rng=0)
    start = answer.net.references[0]
    budget = start.loss + share * (start.chance - start.loss)
    found = advise(answer.net, run, budget, {"forget_level": 0.5, "collapse_level": 0.8})
    factors = FACTORS
    if peaks_alone(answer, eta * FACTORS[0], 0.5) > budget:
        factors = np.append(FACTORS[0] / 2.0 ** np.arange(OCTAVES, 0, -1), FACTORS)
    steps = searched_alone(eta * factors, lambda step: peaks_alone(answer, step, 0.5), budget)
    assert found.largest_step_size == pytest.approx(steps, nan_ok=True)
    mixings = np.append(0.0, MIXINGS)
    mixing = searched_alone(mixings, lambda alpha: peaks_alone(answer, eta, alpha), budget)
    assert found.largest_alpha == pytest.approx(mixing, nan_ok=True)
    sizes = [(1, 1), (3, 1), (6, 3), (12, 6), (18, 6)]
    kept = [peaks_alone(answer, eta, 0.5, batch) <= budget for batch in sizes]
    at = 2
    if kept[at]:
        while at and kept[at - 1]:
            at -= 1
    else:
        at = next((k for k in range(3, 5) if kept[k]), None)
    assert found.smallest_batch_size == (None if at is None else sizes[at])


def linear(scale):
    """A linear network, whose predictions are exact, and its retain losses by hand.

    Forget inputs are scaled: the larger, the less of their ascent is needed.
    """
    g = torch.Generator().manual_seed(0)
    x, teacher, noise = (torch.randn(*n, generator=g).double() for n in ((30, 4), (4, 3), (4, 3)))
    model = torch.nn.Linear(4, 3, bias=False).double()
    with torch.no_grad():
        model.weight.copy_((2.0 * teacher + 0.7 * noise).T)
    y = (x @ teacher).argmax(1)
    data = (x[:24], y[:24]), (scale * x[24:], y[24:])

    def losses(step_size, alpha, steps):
        w, found = model.weight.detach().clone().requires_grad_(), []
        for _ in range(steps + 1):
            r, f = (LOSS(inputs @ w.T, labels) for inputs, labels in data)
            found.append(r.item())
            (slope,) = torch.autograd.grad((1 - alpha) * r - alpha * f, w)
            with torch.no_grad():
                w -= step_size * slope
        return np.array(found)

    def diagnosed(**settings):
        settings = {"batch_size": (24, 6), "passes": 0, "replicas": 1} | settings
        return bridge.diagnose(model, LOSS, *data, **settings)

    return losses, diagnosed


@pytest.fixture(scope="module")
def separable():
    return linear(1.0)


def test_a_peak_of_one_step_is_seen(separable):
    """Full-batch descent that throws the loss up at once and comes back within eight steps."""
    losses, diagnosed = separable
    answer = diagnosed(step_size=100.0, alpha=0.0, steps=400)
    true, advice = losses(100.0, 0.0, 400), answer.advice
    np.testing.assert_allclose(answer.run.retain_loss[0], true, rtol=1e-6)
    # at every eighth step there is nothing to see
    assert true[::8].max() < advice.retain_budget < 0.2 * true.max()
    assert answer.outcome == "collapses" and advice.sgd_collapse == 1.0
    assert losses(advice.largest_step_size, 0.0, 400).max() <= advice.retain_budget
    assert losses(advice.largest_step_size * 2**0.125, 0.0, 400).max() > advice.retain_budget
    cell = advice.map.rows.index(0.0), advice.map.columns.index(100.0)
    assert advice.map.outcome[cell] == "collapses"
    assert advice.map.collapse_step[cell] == answer.collapse_step[0]
    assert "not even alpha 0 is small enough" in answer.words()
    assert "at the given step size already" in answer.words()


def test_the_map_has_the_answer_at_its_own_cell(case):
    """By all eight replicas, where other cells have four."""
    model, data = case
    for seed in range(3):
        answer = bridge.diagnose(
            model, LOSS, *data, step_size=2.0, batch_size=(6, 3), alpha=0.6, steps=12, rng=seed,
            passes=0,
        )  # fmt: skip
        found = answer.advice.map
        cell = found.rows.index(0.6), found.columns.index(2.0)
        steps = np.sort(answer.forget_step)[4], np.sort(answer.collapse_step)[4]
        assert found.outcome[cell] == answer.outcome
        assert (found.forget_step[cell], found.collapse_step[cell]) == steps


def test_between_no_ascent_and_too_much():
    """The least mixing on the map breaks the budget, none keeps it: the limit is in between."""
    losses, diagnosed = linear(50.0)
    budget = losses(1.0, 0.006, 100).max()
    assert losses(1.0, 0.0, 100).max() < budget < losses(1.0, 0.0075, 100).max()
    for alpha in (0.0, 0.3):
        advice = diagnosed(step_size=1.0, alpha=alpha, steps=100, retain_budget=budget).advice
        assert advice.largest_alpha == pytest.approx(0.005)  # eighths of 0.02


def test_a_search_goes_on_to_what_breaks_the_budget_or_says_that_it_ended(separable):
    losses, diagnosed = separable
    answer = diagnosed(step_size=0.002, alpha=0.1, steps=10)
    advice = answer.advice
    assert losses(advice.largest_step_size, 0.1, 10).max() <= advice.retain_budget
    assert losses(advice.largest_step_size * 2**0.125, 0.1, 10).max() > advice.retain_budget
    assert advice.largest_step_size > 8 * 0.002 and not advice.step_size_is_bound
    assert losses(0.002, 1.0, 10).max() <= advice.retain_budget
    assert advice.largest_alpha == 1.0 and "largest alpha: 1, all that there is" in answer.words()
    tiny = diagnosed(step_size=1e-9, alpha=0.1, steps=10)
    assert tiny.advice.step_size_is_bound
    assert tiny.advice.largest_step_size == pytest.approx(1e-9 * 2**19)
    assert "largest step size: at least 0.000524, the largest tried" in tiny.words()
    huge = diagnosed(step_size=5000.0, alpha=0.9, steps=10).advice
    assert losses(huge.largest_step_size, 0.9, 10).max() <= huge.retain_budget
    assert huge.largest_step_size < 5000.0 / 16


def test_memory_of_the_second_pass_is_asked_for_before_the_first(case, monkeypatch):
    from rmtstab.bridge import space_reading

    model, data = case
    large = tuple(torch.cat([part] * 60) for part in data[0])  # 1080 + 6 samples of 3 outputs
    one = 8 * (3 * 1086) ** 2
    common = {"step_size": 0.1, "batch_size": 3, "steps": 2, "advice": False}

    def read(*_, **__):
        raise AssertionError("a Gram matrix was begun")

    monkeypatch.setattr(space_reading, "jacobian_gram", read)
    with pytest.raises(ValueError, match=r"memory_budget must hold 2 Gram matrices of 3258 x 3258"):
        bridge.diagnose(model, LOSS, large, data[1], memory_budget=2.4 * one, **common)
    with pytest.raises(AssertionError, match="begun"):
        bridge.diagnose(model, LOSS, large, data[1], memory_budget=2.6 * one, **common)
    with pytest.raises(AssertionError, match="begun"):
        bridge.diagnose(model, LOSS, large, data[1], memory_budget=2.4 * one, passes=0, **common)


def test_coherence_comes_with_its_largest_value(answer):
    """Multi-output coherence exceeds the sample count; its ceiling does not fall below it."""
    for part, n in ((answer.curvature.retain, 18), (answer.curvature.forget, 6)):
        assert part.largest_coherence == pytest.approx(n * 2**0.5)  # C − 1 = 2
        assert 1.0 <= part.coherence <= part.largest_coherence
    problem = answer.net.problem()
    seen = problem.coherence()
    assert answer.curvature.retain.coherence == pytest.approx(seen.retain, rel=1e-6)
    assert answer.curvature.cross_coherence == pytest.approx(seen.cross, rel=1e-6)
    top = np.linalg.eigvalsh(problem.mean_curvatures[0])[-1]
    assert answer.curvature.retain.sharpness == pytest.approx(top, rel=1e-6)
    threshold = float(problem.critical_step_size((6, 3), 0.0))
    assert answer.curvature.sgd_step_size == pytest.approx(threshold, rel=1e-6)


def test_below_the_safe_step_descent_never_raises_the_loss(case, answer):
    """From any outputs: here from ascended ones, where the frozen threshold is far too large."""
    net = answer.net
    safe = answer.curvature.safe_step_size
    k = net.gram[:54, :54]
    assert safe == pytest.approx(2 * 18 / (0.5 * np.linalg.eigvalsh(k)[-1]))
    assert safe < answer.curvature.sgd_step_size
    run = net.run(10.0, (18, 6), 0.95, 12, replicas=1, rng=0)
    far = net.relinearise(run, (), 12)
    assert far.space.losses[0].values(far.space.outputs[:18]) > 1.0
    again = 2 * 18 / (0.5 * np.linalg.eigvalsh(far.gram[:54, :54])[-1])
    descent = far.run(0.99 * again, (18, 6), 0.0, 40, replicas=1, rng=0)
    assert (np.diff(descent.retain_loss[0]) <= 1e-12).all()


def test_alike_samples_reach_the_largest_coherence():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        model.weight.zero_()
    x, y = torch.ones(6, 3), torch.zeros(6, 2)
    net = bridge.linearise(model, torch.nn.MSELoss(), (x[:4], y[:4]), (x[4:] * 2.0, y[4:]))
    from rmtstab.bridge.frozen import frozen_curvature

    found = frozen_curvature(net, 2, "without_replacement")
    assert found.retain.coherence == pytest.approx(found.retain.largest_coherence) == 4 * 2**0.5
    assert found.cross_coherence == pytest.approx(found.largest_cross_coherence)
    assert found.retain.effective_rank == pytest.approx(2.0)


def test_samples_that_resist_still_have_their_answer(answer):
    found = answer.samples
    assert found.shares.sum() == pytest.approx(1.0)
    assert set(found.resisting) <= set(range(6)) and set(found.carrying) <= set(range(6))


def test_samples_are_places_in_the_users_own_sets(case):
    """Of 30 forget samples 7 are drawn: those that resist are named as the user counts them."""
    model, (retain, *_) = case
    x, y = (torch.cat([part] * 5) for part in case[1][1])
    x = x + 0.3 * torch.randn(30, 6, generator=torch.Generator().manual_seed(3))
    answer = bridge.diagnose(
        model, LOSS, retain, (x, y), step_size=1e-6, batch_size=2, steps=2, max_samples=7, seed=4,
        advice=False,
    )  # fmt: skip
    drawn = np.sort(np.random.default_rng(5).permutation(30)[:7])
    np.testing.assert_array_equal(answer.samples.places[7:], drawn)
    with torch.no_grad():
        losses = torch.nn.functional.cross_entropy(model(x), y, reduction="none").numpy()
        right = (model(x).argmax(1) == y).numpy()
    resisting = [k for k in drawn[np.argsort(losses[drawn])] if right[k]]
    assert answer.samples.resisting.tolist() == resisting and max(resisting) > 6
    assert set(answer.samples.carrying) <= set(drawn)
    assert f"({', '.join(map(str, resisting[:8]))})" in answer.words()


def test_never_and_not_a_number_differ_in_json(case):
    model, data = case
    answer = bridge.diagnose(
        model, LOSS, *data[:2], step_size=1e-6, batch_size=2, steps=2, replicas=3
    )
    record = json.loads(answer.to_json(), parse_constant=pytest.fail)
    assert list(map(float, record["collapse_step"])) == [np.inf] * 3
    assert record["collapse_step"] == ["Infinity"] * 3
    assert record["collapse_step_quantiles"]["median"] == "Infinity"
    assert record["advice"]["map"]["collapse_step"][0][0] == "Infinity"
    assert record["curves"]["test_loss"]["median"] == [None] * 3


@pytest.mark.parametrize(
    ("batches", "expected"),
    [((64, 64), [18.0, 6.0]), ((16, None), [16.0, 6.0]), ((4, 64), [4.0, 6.0]), ((4, 2), [4, 2])],
)
def test_default_batches_are_no_larger_than_their_sets(case, batches, expected):
    """As loaders give them; one without a loader has the retain set's."""
    model, data = case
    sets = [
        part if size is None else DataLoader(TensorDataset(*part), batch_size=size)
        for part, size in zip(data, batches, strict=False)
    ]
    common = {"step_size": 0.1, "steps": 2, "passes": 0, "advice": False}
    answer = bridge.diagnose(model, LOSS, *sets, **common)
    assert answer.settings["batch_size"] == expected
    fewer = bridge.diagnose(model, LOSS, *sets, max_samples=3, **common)
    assert fewer.settings["batch_size"] == [3.0, min(3.0, expected[1])]


def test_a_loader_of_part_of_its_set_has_batches_of_that_part(case):
    model, data = case
    part = DataLoader(TensorDataset(*data[0]), batch_size=12, sampler=range(5))
    answer = bridge.diagnose(model, LOSS, part, data[1], step_size=0.1, steps=2, advice=False)
    assert answer.settings["batch_size"] == [5.0, 6.0]
    with pytest.raises(ValueError, match=r"batch_size must lie in \[1, n_retain=18\], got 64"):
        bridge.diagnose(model, LOSS, *data, step_size=0.1, batch_size=64)


def test_numbers_may_be_tensors_and_leave_the_range_of_floats_in_silence(case):
    import warnings

    model, data = case
    common = {"batch_size": (6, 3), "steps": 4, "replicas": 3}
    one, other = (
        bridge.diagnose(model, LOSS, *data, step_size=s, advice=False, **common)
        for s in (0.25, torch.tensor(0.25))
    )
    assert other.settings["step_size"] == 0.25
    np.testing.assert_array_equal(one.run.retain_loss, other.run.retain_loss)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        huge = bridge.diagnose(model, LOSS, *data, step_size=1e300, **common)
    assert huge.outcome == "collapses" and np.isfinite(huge.samples.shares).all()


def test_a_loss_in_the_networks_place_is_named(case):
    model, data = case
    message = "model and loss must be .* got CrossEntropyLoss without weights and Sequential with"
    with pytest.raises(TypeError, match=message):
        bridge.diagnose(LOSS, model, *data, step_size=0.1, batch_size=2)


def test_a_loss_that_is_not_convex_has_no_frozen_curvature(case):
    model, data = case

    def cauchy(f, y):
        return (f - 9.0 * torch.nn.functional.one_hot(y, 3)).square().log1p().mean()

    answer = bridge.diagnose(
        model, cauchy, *data, step_size=0.5, batch_size=3, steps=5, advice=False
    )
    assert answer.curvature.retain is None and "not convex" in answer.words()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step_size": 0.0}, "step_size must be > 0"),
        ({"batch_size": (6, 9)}, r"batch_size must lie in \[1, n_forget=6\], got 9"),
        ({"alpha": -0.1}, r"alpha must lie in \[0, 1\], got -0\.1"),
        ({"steps": 0}, "steps must be >= 1"),
        ({"retain_budget": 1e-9}, "retain_budget must be >= the retain loss at the start="),
        ({"forget_level": 2.0}, r"forget_level must lie in \[0, 1\], got 2\.0"),
        ({"tolerance": 0.0}, "tolerance must be > 0"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1\.0"),
        ({"weight_decay": -1.0}, "weight_decay must be >= 0"),
        ({"sampling": "some"}, "sampling must be one of"),
        ({"update": "some"}, "update must be one of"),
        ({"schedule": [1.0]}, "schedule must hold a factor for each of 3 steps, got 1"),
        ({"replicas": 0}, "replicas must be >= 1"),
        ({"steps": 10**12}, r"steps must fit in memory, got .* records of .* GB free; record less"),
        ({"replicas": 10**9}, "steps must fit in memory, got 1 cells x 1000000000 replicas"),
    ],
)
def test_bad_input_is_refused_before_the_pass(case, change, message, monkeypatch):
    model, data = case
    if "retain_budget" not in change:  # the start's loss is known after it
        monkeypatch.setattr("rmtstab.bridge.diagnosis.linearise", lambda *_, **__: pytest.fail())
    arguments = {"step_size": 0.1, "batch_size": 3, "steps": 3}
    with pytest.raises(ValueError, match=message):
        bridge.diagnose(model, LOSS, *data, **(arguments | change))


def test_what_does_not_fit_is_refused_before_it_starts(case):
    model, data = case
    with pytest.raises(ValueError, match="memory_budget"):
        bridge.diagnose(model, LOSS, *data, step_size=0.1, batch_size=3, memory_budget=100.0)


def test_shared_samples_are_named(case):
    model, data = case
    both = (data[0], tuple(torch.cat([a[:2], b]) for a, b in zip(*data[:2], strict=True)))
    common = {"step_size": 0.1, "batch_size": 3, "steps": 2, "advice": False}
    with pytest.warns(UserWarning, match="forget and retain share samples: forget 0 .* take them"):
        answer = bridge.diagnose(model, LOSS, *both, **common)
    assert "note: forget and retain share samples" in answer.words()
    with pytest.warns(UserWarning, match="test and forget share samples: test 0 .* not held out"):
        bridge.linearise(model, LOSS, data[0], data[1], data[1])


def test_what_is_judged_by_the_loss_is_said():
    """Real targets that are no classes have no accuracy."""
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    answer = bridge.diagnose(
        torch.nn.Linear(3, 2), torch.nn.MSELoss(), (x[:8], x[:8, :2]), (x[8:], x[8:, :2]),
        step_size=0.1, batch_size=2, steps=2, advice=False,
    )  # fmt: skip
    assert answer.words().splitlines()[1] == (
        "Collapse and forgetting are judged by the loss alone: no right answers are known at the "
        "start."
    )
    assert "nan" not in answer.words()


@pytest.mark.parametrize(("shift", "judged"), [(0, False), (1, True)])
def test_forgetting_of_what_was_never_right_is_judged_by_the_loss(shift, judged):
    y = torch.arange(12) % 3
    x = torch.eye(3)[y] + 0.01 * torch.arange(12.0)[:, None]
    model = torch.nn.Linear(3, 3)
    with torch.no_grad():
        model.weight.copy_(torch.eye(3))
        model.bias.zero_()
    answer = bridge.diagnose(
        model, LOSS, (x[:8], y[:8]), (x[8:], (y[8:] + shift) % 3), step_size=0.1, batch_size=2,
        steps=2, advice=False,
    )  # fmt: skip
    assert answer.inputs["forget_accuracy"] == 1.0 - shift
    said = "Forgetting is judged by the loss alone" in answer.words()
    assert said == judged and "Collapse and" not in answer.words()
