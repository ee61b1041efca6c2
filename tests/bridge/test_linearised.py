"""Linearised networks: the problem they hold, range checks, storage, maps, bad input."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rmtstab import bridge  # noqa: E402
from rmtstab.bridge.curves import Curves, Reference, SetCurves, turns  # noqa: E402
from rmtstab.bridge.expansions import frozen, started_at  # noqa: E402
from rmtstab.bridge.range_check import CHECKED  # noqa: E402
from rmtstab.bridge.refinement import points_of  # noqa: E402

LOSS = torch.nn.CrossEntropyLoss()


def clusters(n, seed=0, classes=3):
    """Points around a centre for each class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    x = 2.0 * np.eye(6)[labels] + 0.5 * rng.standard_normal((n, 6))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(labels)


def trained(seed=0, steps=150):
    x, y = clusters(30)
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    for _ in range(steps):  # by hand: torch.optim imports the compiler stack
        slopes = torch.autograd.grad(LOSS(model(x), y), list(model.parameters()))
        with torch.no_grad():
            for p, slope in zip(model.parameters(), slopes, strict=True):
                p -= 0.5 * slope
    return model, (x[:18], y[:18]), (x[18:24], y[18:24]), (x[24:], y[24:])


@pytest.fixture(scope="module")
def case():
    model, *data = trained()
    return model, data, bridge.linearise(model, LOSS, *data)


def test_it_reads_the_network_and_leaves_it(case):
    model, data, net = case
    assert model.training
    with torch.no_grad():
        np.testing.assert_allclose(net.outputs[:18], model(data[0][0]).numpy(), atol=1e-6)
    jacobians = bridge.sample_factors(model.double(), bridge.half_squared_error, (
        torch.cat([data[0][0], data[1][0]]).double(), torch.zeros(24, 3, dtype=torch.float64)
    ))  # fmt: skip
    model.float()
    rows = jacobians.reshape(72, -1)
    np.testing.assert_allclose(net.gram, rows @ rows.T, atol=1e-5)


def test_problem_is_the_augmented_state_of_section_three(case):
    """Near the start and for a small step, Φ's mean with gradients is the mean of the runs."""
    _, _, net = case
    problem = net.problem()
    assert problem.gradients is not None
    run = net.run(0.02, (18, 6), 0.3, 4, replicas=1, rng=0)
    dyn = problem.dynamics(step_size=0.02, batch_size=(18, 6), alpha=0.3)
    path = dyn.trajectory(4, initial=np.zeros(problem.rank), gradients=problem.gradients)
    np.testing.assert_allclose(run.displacement[0] ** 2, path.displacement, rtol=0.02, atol=1e-12)


def test_check_passes_where_the_network_is_linear_and_parts_where_it_is_not(case):
    _, data, net = case
    small = net.run(0.05, (6, 3), [0.1, 0.5], 10, rng=0)
    check = net.check(small)
    np.testing.assert_array_equal(check.trusted_until, 10)
    assert not check.beyond.any() and check.evaluations <= 16
    for name in ("retain_loss", "forget_loss"):
        np.testing.assert_allclose(check.predicted[name], check.observed[name], rtol=0.1)
    far = net.run(20.0, (6, 3), 0.5, 30, rng=0)
    parted = net.check(far, margin=False)
    assert parted.trusted_until < 30 and parted.neighbours is None
    linear = torch.nn.Linear(6, 3)
    other = bridge.linearise(linear, LOSS, *data)
    run = other.run(20.0, (6, 3), 0.5, 30, rng=0)
    assert other.check(run, margin=False).trusted_until == 30


def test_predicted_weights_are_read_in_eval_mode_and_the_mode_is_restored(tmp_path):
    """Dropout before a linear layer: in eval mode the linearised network is the network."""
    _, *data = trained(steps=0)
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(6, 3)).train()
    net = bridge.linearise(model, LOSS, *data)
    net.save(tmp_path / "net.npz")
    for read in (net, bridge.load(tmp_path / "net.npz", LOSS, model=model)):
        check = read.check(read.run(0.5, (6, 3), 0.3, steps=20, rng=0))
        assert set(check.observed) == set(check.predicted) == set(CHECKED)
        for name, values in check.predicted.items():
            np.testing.assert_allclose(check.observed[name], values, rtol=1e-5)
    assert model.training and model[0].training


def test_a_step_that_moves_an_output_far_is_found():
    """One sample with an input fifty times as large: a batch that holds it moves its output far."""
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.standard_normal((20, 6)), dtype=torch.float32)
    y = torch.tensor(rng.integers(3, size=20))
    x[3] *= 50.0
    torch.manual_seed(0)
    model = torch.nn.Linear(6, 3)
    y[3] = model(x[3]).argmin()
    net = bridge.linearise(model, LOSS, (x[:16], y[:16]), (x[16:], y[16:]))
    steps = np.tile(np.arange(13), (2, 1))
    run = net.run([1e-5, 0.1], (4, 2), 0.1, steps=12, rng=0, replicas=2, collapse_level=0.0)
    kept = net.coefficients(run, steps, replica=1)
    np.testing.assert_allclose(kept.leap, np.abs(np.diff(kept.moved, axis=1)).max(axis=(1, 2)))
    check = net.check(run, replica=1)
    limit = 5.0 * net.outputs.std()
    assert kept.leap[0] < limit < kept.leap[1] and np.isinf(run.collapse_step).all()
    assert check.leaps.tolist() == [False, True]
    assert check.flagged[1] and check.collapse_flagged[1]
    gone = replace(run, turns=replace(run.turns, collapse_step=np.zeros((2, 2))))
    assert not net.check(gone, margin=False).leaps.any()


def test_margin_finds_the_cells_beside_the_frontier(case):
    _, _, net = case
    etas = np.geomspace(0.02, 20.0, 13)
    run = net.run(etas, (6, 3), 0.7, 40, rng=0)
    fragile = net.check(run, points=1).fragile
    turns_at = np.flatnonzero(run.outcome[1:] != run.outcome[:-1])
    near = np.zeros(13, dtype=bool)
    for k in turns_at:
        near[max(k - 1, 0) : k + 3] = True
    assert fragile.any() and not fragile[~near].any()
    assert not fragile[0]


class Square(torch.nn.Module):
    """Outputs quadratic in the weights: a kernel that grows with them, known in closed form."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(3, 6).double())

    def forward(self, x):
        return x @ (self.weight * self.weight.abs()).T


def test_a_refined_kernel_follows_a_network_whose_kernel_moves():
    """Real full-batch runs: their losses are met four times as well as with K held."""
    data = [(x.double(), y) for x, y in trained()[1:]]
    model = Square()
    net = bridge.linearise(model, LOSS, *data)
    settings = {"step_size": 0.05, "batch_size": (18, 6), "alpha": 0.1, "steps": 10, "rng": 0,
                "replicas": 1}  # fmt: skip
    real = bridge.unlearn(model, LOSS, *data[:2], keep_final=False, **settings)
    still = net.run(**settings)
    fine = net.refine(still)
    assert len(fine.space.bends) == 1 and not net.space.bends
    assert any("read again at 1 predicted" in note for note in fine.notes)
    errors = [
        np.abs(np.log(run.retain_loss / real.retain_loss)).max()
        for run in (still, fine.run(**settings))
    ]
    assert errors[0] > 0.02
    assert errors[1] < 0.25 * errors[0]


def test_a_refinement_holds_where_it_was_read_and_is_kept(case, tmp_path):
    _, data, net = case
    run = net.run(np.geomspace(0.3, 3.0, 9)[:, None], (6, 3), [0.3, 0.5], 80, rng=0)
    fine = net.refine(run)
    assert 1 <= len(fine.space.bends) <= 3
    bend = fine.space.bends[0]
    side = len(bend.direction)
    square = (
        bend.direction
        @ torch.linalg.lstsq(
            torch.as_tensor(net.gram), bend.direction[:, None], driver="gelsd"
        ).solution[:, 0]
    )
    assert float(square) == pytest.approx(1.0, rel=1e-5)  # a unit vector's image under J
    assert bend.gram.shape == (side, net.space.gram.shape[2])
    with pytest.raises(ValueError, match="run must be of this linearised network"):
        fine.check(run)
    path = tmp_path / "fine.npz"
    fine.save(path)
    settings = 1.0, (6, 3), 0.4, 40
    kept, given = (n.run(*settings, rng=1) for n in (bridge.load(path, LOSS), fine))
    np.testing.assert_array_equal(kept.retain_loss, given.retain_loss)
    assert (given.retain_loss != net.run(*settings, rng=1).retain_loss).any()
    none = net.refine(run, passes=0)
    assert not none.space.bends and none.check(run, margin=False, points=1) is not None
    linear = bridge.linearise(torch.nn.Linear(6, 3), LOSS, *data)
    run = linear.run([0.1, 30.0], (6, 3), 0.9, 30, rng=0)
    assert not linear.refine(run).space.bends  # its kernel cannot move
    assert not linear.refine(linear.run(0.1, (6, 3), 0.9, 0, rng=0)).space.bends


@pytest.mark.parametrize("cells", [1, 60])  # one product for all replicas; rows of each
def test_the_kernel_moves_along_its_bends_to_single_precision(case, cells):
    _, data, net = case
    fine = net.refine(net.run(1.0, (6, 3), 0.4, 40, rng=0), passes=1)
    (bend,) = fine.space.bends
    etas = np.geomspace(0.5, 1.0, cells)
    run = fine.run(etas, (6, 3), 0.4, 12, replicas=2, rng=1)
    labels = torch.cat([data[0][1], data[1][1]]).numpy()
    (n, classes), cut = (len(labels), net.n_outputs), net.n_retain
    K, D = net.gram, bend.gram.numpy()[:, : n * classes]
    f, c = net.outputs[:n].copy(), np.zeros((n, classes))
    losses = []
    for retain, forget in run.plan.batches():
        p = np.exp(f - f.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        losses.append(-np.log(p[np.arange(cut), labels[:cut]]).mean())
        slopes = np.zeros((n, classes))
        for drawn, weight in ((retain[0][1], 0.6), (forget[0][1] + cut, -0.4)):
            slopes[drawn] = weight / len(drawn) * (p[drawn] - np.eye(classes)[labels[drawn]])
        share = np.clip(c.ravel() @ bend.direction.numpy() / bend.length, 0.0, 2.0)
        f -= etas[-1] * ((K + share * D) @ slopes.ravel()).reshape(n, classes)
        c += etas[-1] * slopes
    assert share > 0.05  # it does move
    np.testing.assert_allclose(run.retain_loss[-1, 1, :-1], losses, rtol=1e-5)


def test_the_way_along_a_bend_counts_what_decay_has_moved(case):
    """``⟨δ, δ_k⟩/‖δ_k‖`` of the weights themselves."""
    _, _, net = case
    settings = {"step_size": 0.3, "batch_size": (6, 3), "alpha": 0.4, "steps": 40, "rng": 0,
                "weight_decay": 0.1}  # fmt: skip
    run = net.run(**settings)
    (bend,) = net.refine(run, passes=1).space.bends
    (point,) = points_of(net, run, 1)
    start = torch.cat([w.flatten() for w in net.network.weights.values()]).double()

    def moved(step):
        kept = net.coefficients(run, np.array([[step]]))
        weights = net.weights(kept.values[0, 0], kept.scale[0, 0])
        flat = torch.cat([w.flatten() for w in weights.values()]).double() - start
        return flat, kept.values[0, 0].ravel(), kept.scale[0, 0]

    there, _, _ = moved(point.step)
    assert bend.length == pytest.approx(float(there.norm()), rel=1e-5)
    here, c, scale = moved(25)
    way = c @ bend.direction.numpy() + (1.0 - scale) * bend.decayed
    assert way == pytest.approx(float(here @ there / there.norm()), rel=1e-4)
    assert abs((1.0 - scale) * bend.decayed) > 0.1 * abs(way)


def test_a_verdict_that_depends_on_the_kernel_is_flagged(case):
    from rmtstab.bridge.curves import majority

    _, _, net = case
    settings = np.geomspace(0.3, 3.0, 9)[:, None], (6, 3), [0.3, 0.5], 80
    still = net.run(*settings, rng=0)
    fine = net.refine(still)
    moved = fine.run(*settings, rng=0)
    check = fine.check(moved, margin=False, points=1)
    both = (np.isfinite(majority(run.collapse_step)) for run in (still, moved))
    np.testing.assert_array_equal(check.drifts, np.not_equal(*both))
    assert check.drifts.any() and not check.drifts.all()
    assert (check.flagged >= check.drifts).all()
    assert not net.check(still, margin=False, points=1).drifts.any()


def test_relinearised_at_the_start_it_is_the_same_and_later_it_is_not(case):
    _, data, net = case
    run = net.run([0.1, 1.0], (6, 3), 0.5, 20, rng=0)
    same = net.relinearise(run, 1, 0)
    np.testing.assert_allclose(same.outputs, net.outputs, atol=1e-6)
    np.testing.assert_allclose(same.gram, net.gram, atol=1e-5)
    later = net.relinearise(run, 1, 20)
    assert np.abs(later.gram - net.gram).max() > 1e-2
    assert later.references == net.references  # judged against the first start
    seen = net.check(run, points=1, margin=False).observed["retain_loss"][1, -1]
    now = float(LOSS(torch.tensor(later.outputs[:18]), data[0][1]))
    assert now == pytest.approx(seen, rel=1e-5)
    for wrong in (2, (0, 0), "a"):
        with pytest.raises(ValueError, match=r"cell must be an index into cells of shape \(2,\)"):
            net.relinearise(run, wrong, 1)


def test_storage_without_pickle(case, tmp_path):
    model, _, net = case
    file = tmp_path / "net.npz"
    net.save(file)
    with np.load(file, allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays)
    back = bridge.load(file, LOSS, model=model)
    run = net.run([0.1, 1.0], (6, 3), 0.5, 10, rng=0)
    again = back.run([0.1, 1.0], (6, 3), 0.5, 10, rng=0)
    np.testing.assert_array_equal(run.retain_loss, again.retain_loss)
    np.testing.assert_array_equal(
        net.check(run, points=2).observed["forget_loss"],
        back.check(again, points=2).observed["forget_loss"],
    )
    blind = bridge.load(file, LOSS)
    with pytest.raises(ValueError, match="model must be given to check predictions, got none"):
        blind.check(run)
    with pytest.raises(ValueError, match="loss must be CrossEntropyLoss, as stored for retain"):
        bridge.load(file, lambda f, y: torch.nn.functional.cross_entropy(f, y))
    with pytest.raises(ValueError, match="model must be the one that was linearised"):
        bridge.load(file, LOSS, model=trained(seed=3, steps=1)[0])
    with np.load(file) as arrays:
        stored = dict(arrays)
    header = json.loads(stored["header"].tobytes()) | {"format": 0}
    stored["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez(file, **stored)
    with pytest.raises(ValueError, match="must be of format 2, got 0"):
        bridge.load(file, LOSS)
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="path must be a saved LinearisedNetwork"):
        bridge.load(file, LOSS)


def test_a_network_linearised_again_is_stored_where_it_is(case, tmp_path):
    """With the weights it was linearised at, and judged against the first start."""
    model, _, net = case
    run = net.run(3.0, (6, 3), 0.5, 20, rng=0)
    later = net.relinearise(run, (), 5)
    later.save(tmp_path / "later.npz")
    back = bridge.load(tmp_path / "later.npz", LOSS, model=model)
    back.save(tmp_path / "again.npz")
    blind = bridge.load(tmp_path / "again.npz", LOSS)
    blind.save(tmp_path / "blind.npz")
    again = bridge.load(tmp_path / "blind.npz", LOSS, model=model)
    assert back.references == blind.references == again.references == net.references
    own, other = (n.run(0.5, (6, 3), 0.3, 10, rng=1) for n in (later, again))
    np.testing.assert_array_equal(own.outcome, other.outcome)
    expected, found = later.check(own, margin=False), again.check(other, margin=False)
    for name in ("retain_loss", "forget_accuracy"):
        np.testing.assert_allclose(found.observed[name], expected.observed[name], rtol=1e-6)
    np.testing.assert_array_equal(found.trusted_until, expected.trusted_until)


def test_a_file_is_read_with_what_it_was_made_with(tmp_path):
    model, *data = trained()
    file, smooth = tmp_path / "net.npz", torch.nn.CrossEntropyLoss(label_smoothing=0.3)
    scale = {name: 0.5 + torch.rand_like(p) for name, p in model[0].named_parameters(prefix="0")}
    net = bridge.linearise(
        model, smooth, *data, parameters="0", preconditioner=scale, output=lambda f: 2 * f
    )
    net.save(file)
    for loss in (LOSS, torch.nn.CrossEntropyLoss(label_smoothing=0.3, reduction="sum")):
        with pytest.raises(ValueError, match="loss must be the one that was linearised: retain"):
            bridge.load(file, loss)
    with pytest.raises(ValueError, match="output must be as given to linearise"):
        bridge.load(file, smooth, model=model)
    given = {"model": model, "output": lambda f: 2 * f}
    with pytest.raises(ValueError, match="parameters must be those that were linearised"):
        bridge.load(file, smooth, parameters="2", **given)
    with pytest.raises(ValueError, match="preconditioner must be the one that was linearised"):
        other = {name: 2 * value for name, value in scale.items()}
        bridge.load(file, smooth, preconditioner=other, **given)
    back = bridge.load(file, smooth, **given)  # parameters and preconditioner are in the file
    values, shape = np.ones((len(net.outputs) - net.sizes[2], net.n_outputs)), net.weights
    for name, weight in shape(values).items():
        torch.testing.assert_close(back.weights(values)[name], weight)


def stored_cases():
    torch.manual_seed(0)
    x, y = torch.randn(20, 4), torch.arange(20) % 3
    deep = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    mix, real, bits = torch.randn(3, 3), torch.randn(20, 3), (x[:, :1] > 0).float()
    one = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Sigmoid())
    logs = torch.nn.Sequential(deep, torch.nn.LogSoftmax(1))
    half = torch.nn.Linear(4, 3).bfloat16()
    return {
        "log-probabilities": (logs, torch.nn.NLLLoss(), x, y),
        "probabilities": (one, torch.nn.BCELoss(), x, bits),
        "float32 alone": (deep, lambda f, t: ((f @ mix - t) ** 2).mean(), x, real),
        "half precision": (half, LOSS, x.bfloat16(), y),
        "no forget set": (deep, LOSS, x, y),
    }


@pytest.mark.parametrize("name", stored_cases())
def test_what_can_be_linearised_can_be_stored(name, tmp_path):
    model, loss, x, y = stored_cases()[name]
    forget = None if name == "no forget set" else (x[10:15], y[10:15])
    net = bridge.linearise(model, loss, (x[:10], y[:10]), forget, (x[15:], y[15:]))
    net.save(tmp_path / "net.npz")
    back = bridge.load(tmp_path / "net.npz", loss, model=model)
    settings = {"step_size": 0.3, "batch_size": 3, "alpha": 0.3 if forget else 0.0, "steps": 6}
    runs = [n.run(rng=0, **settings) for n in (net, back)]
    np.testing.assert_array_equal(runs[0].test_loss, runs[1].test_loss)
    seen = [
        n.check(run, points=2).observed["retain_loss"]
        for n, run in zip((net, back), runs, strict=True)
    ]
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-6)


def test_a_loss_of_the_same_name_and_value_is_told_further_out(tmp_path):
    model, _, x, y = stored_cases()["float32 alone"]
    small = model(x).detach() + 0.1 * y.sign()  # within both losses' square
    data = (x[:10], small[:10]), (x[10:], small[10:])
    bridge.linearise(model, torch.nn.HuberLoss(delta=1.0), *data).save(tmp_path / "net.npz")
    with pytest.raises(ValueError, match="loss must be the one that was linearised"):
        bridge.load(tmp_path / "net.npz", torch.nn.HuberLoss(delta=0.7))


def test_a_frozen_network_comes_back_frozen(case, tmp_path):
    _, _, net = case
    change = torch.randn(net.space.outputs.shape, generator=torch.Generator().manual_seed(0))
    still = started_at(frozen(net), change.to(net.space.outputs))
    still.save(tmp_path / "net.npz")
    back = bridge.load(tmp_path / "net.npz", LOSS)
    runs = [n.run(1.0, (6, 3), 0.9, 20, rng=0) for n in (still, back, net)]
    np.testing.assert_array_equal(runs[0].retain_loss, runs[1].retain_loss)
    assert np.abs(runs[0].retain_loss - runs[2].retain_loss).max() > 0.1


def test_a_test_set_is_read_as_strictly_as_the_others(case):
    model, data, _ = case
    x, y = data[1]
    for wrong, words in (
        ((x, y + 7), "test: labels must lie in"),
        ((x, y[:, None]), "test: targets of CrossEntropyLoss must have shape"),
        ((x.double(), y), "test: model must accept the samples' inputs"),
    ):
        with pytest.raises(ValueError, match=words):
            bridge.linearise(model, LOSS, *data[:2], wrong)


def test_weights_may_lie_in_memory_as_they_like():
    model = torch.nn.Linear(6, 1)
    model.bias.data = torch.randn(7, 2)[6:, 1]  # one number, with a stride
    data = (torch.randn(5, 6), torch.randn(5, 1)), (torch.randn(2, 6), torch.randn(2, 1))
    assert bridge.linearise(model, torch.nn.MSELoss(), *data).n_retain == 5


def test_a_changed_model_is_not_checked():
    model, *data = trained()
    net = bridge.linearise(model, LOSS, *data)
    run = net.run(0.1, (6, 3), 0.5, 5, rng=0)
    with torch.no_grad():
        model[0].bias[0] += 1e-3
    with pytest.raises(ValueError, match="model must be as it was when linearised"):
        net.check(run)
    with pytest.raises(ValueError, match="model must be as it was when linearised"):
        net.relinearise(run, (), 1)


def test_a_run_of_another_network_is_refused(case):
    _, data, net = case
    other = bridge.linearise(trained(seed=1)[0], LOSS, *data)
    run, real = other.run(0.1, (6, 3), 0.5, 5, rng=0), net.run(0.1, (6, 3), 0.5, 5, rng=0)
    for call in (
        net.check,
        lambda r: net.relinearise(r, (), 1),
        lambda r: net.predicted_outputs(r, (), 1),
    ):
        with pytest.raises(ValueError, match="run must be of this linearised network"):
            call(run)
        with pytest.raises(TypeError, match=r"run must be a FunctionSpaceRun, .* got int"):
            call(3)
    far = net.relinearise(real, (), 5)
    with pytest.raises(ValueError, match="run must be of this linearised network"):
        far.check(real)


def test_a_run_under_another_loss_is_refused(case, tmp_path):
    """Outputs and Gram are the same; what they are repeated with is not."""
    model, data, net = case
    run = net.run(0.1, (6, 3), 0.5, 5, rng=0)
    others = [
        bridge.linearise(model, torch.nn.CrossEntropyLoss(label_smoothing=0.1), *data),
        bridge.linearise(model, LOSS, data[0], (data[1][0], data[1][1].flip(0)), data[2]),
        frozen(net),
        started_at(net, torch.ones_like(net.space.outputs)),
    ]
    assert len({other.origin for other in [net, *others]}) == 5
    for other in others:
        with pytest.raises(ValueError, match="run must be of this linearised network"):
            other.predicted_outputs(run, (), 5)
    net.save(tmp_path / "net.npz")
    again = bridge.load(tmp_path / "net.npz", LOSS)
    np.testing.assert_array_equal(
        again.predicted_outputs(run, (), 5)[0], net.predicted_outputs(run, (), 5)[0]
    )


def test_predicted_outputs_give_the_recorded_losses(case):
    _, data, net = case
    run = net.run([0.1, 2.0], (6, 3), [[0.2], [0.9]], 12, replicas=3, rng=0, weight_decay=0.1)
    parts = net.predicted_outputs(run, (1, 1), 7, replica=2)
    for name, outputs, (_, y) in zip(("retain", "forget", "test"), parts, data, strict=True):
        found = float(LOSS(torch.tensor(outputs), y))
        assert found == pytest.approx(getattr(run, f"{name}_loss")[1, 1, 2, 7], rel=1e-12)
    alone = bridge.linearise(case[0], LOSS, data[0])
    run = alone.run(0.1, 6, 0.0, 2, rng=0)
    assert alone.predicted_outputs(run, (), 0)[1:] == (None, None)


def test_runs_that_cannot_be_held_are_refused_before_they_start(case, monkeypatch):
    _, _, net = case
    from rmtstab.bridge import function_space, run_memory

    monkeypatch.setattr(run_memory, "available_memory", lambda _: 2e7)
    with pytest.raises(ValueError, match=r"steps must fit in memory, got 1 cells x 8 replicas x"):
        net.run(0.1, 2, 0.5, 10**6, rng=0)
    net.run(0.1, 2, 0.5, 30, replicas=1, rng=0)
    plan = replace(net.run(0.1, 2, 0.5, 0, replicas=1, rng=0).plan, replicas=10_000)
    with pytest.raises(ValueError, match="replicas must fit in memory, got 10000 runs of"):
        function_space.run(net.space, plan)


def test_maps_over_any_two_axes(case):
    _, _, net = case
    etas, alphas = [0.05, 0.5, 5.0], [0.0, 0.5]
    both = net.map(etas, alphas, (6, 3), 20, rng=0)
    assert both.names == ("step_size", "alpha") and both.outcome.shape == (2, 3)
    batches = net.map(etas, 0.5, [2, (6, 3), 6], 20, rng=0)
    assert batches.names == ("step_size", "batch_size") and batches.outcome.shape == (3, 3)
    assert net.map(0.5, alphas, [2, 6], 20, rng=0).names == ("alpha", "batch_size")
    run = net.run(0.5, (6, 3), 0.5, 20, rng=np.random.default_rng(0))
    assert run.outcome == both.outcome[1, 1]
    with pytest.raises(ValueError, match="one of step_sizes, alphas and batch_sizes must hold"):
        net.map(etas, alphas, [2, 6], 20, rng=0)
    from matplotlib.figure import Figure

    ax = both.draw(Figure().add_subplot(), observed=both.outcome)
    for wrong, message in (
        (both.outcome.T, r"must have the map's shape \(alpha, step_size\) .*; transpose it"),
        (both.outcome[:1], r"must have the map's shape .* got \(1, \d\)$"),
        (np.full(both.outcome.shape, "forgot"), "must be of .* got 'forgot'"),
    ):
        with pytest.raises(ValueError, match=f"observed {message}"):
            both.draw(Figure().add_subplot(), observed=wrong)
    assert len(ax.lines) == both.outcome.size


def curve(values):
    loss = np.asarray(values, dtype=float)
    return SetCurves(loss[None], np.full((1, len(loss)), np.nan))


def test_without_accuracy_skill_is_read_off_the_loss():
    """Half of the way to chance is forgotten; a fifth of it collapsed; the start's size is not."""
    start = Reference(loss=1e-6, chance=1.0, accuracy=np.nan)
    nothing = curve([np.nan] * 4)
    curves = Curves(
        np.arange(4), curve([0, 0.1, 0.19, 0.21]), curve([0, 0.2, 0.51, 9.0]), nothing, nothing.loss
    )
    found = turns(curves, start, start)
    assert found.forget_step == [2] and found.collapse_step == [3]
    assert str(found.outcome) == "forgets_then_collapses"
    strict = turns(curves, start, start, forget_level=0.0, collapse_level=0.95)
    assert strict.collapse_step == [1] and str(strict.outcome) == "collapses"


@pytest.mark.parametrize(
    ("forget", "collapse", "outcome"),
    [
        ([np.inf] * 4, [np.inf] * 4, "keeps"),
        ([3, 4, 5, np.inf], [np.inf] * 4, "forgets"),
        ([3, np.inf, np.inf, 3], [np.inf] * 4, "keeps"),  # half is not more than half
        ([3, 4, 5, 6], [9, 9, 9, np.inf], "forgets_then_collapses"),
        ([3, 4, 5, 6], [5, 5, 5, 5], "collapses"),  # at once is not before
        ([np.inf] * 4, [1, 2, 3, 4], "collapses"),
    ],
)
def test_outcome_is_by_the_median_replica(forget, collapse, outcome):
    from rmtstab.bridge.curves import majority
    from rmtstab.bridge.curves import outcome as named

    assert str(named(majority(np.array(forget)), majority(np.array(collapse)))) == outcome
