"""Curvature operators and their spectra, and the faults of today's tools, each by name."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from rmtstab import bridge, laws  # noqa: E402
from rmtstab.bridge.operators import CurvatureOperator  # noqa: E402


def explicit_hessian(model, loss, x, y):
    """Hessian of the batch loss by one backward pass a row of the gradient: nothing of ours."""
    weights = [p for p in model.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(loss(model(x), y), weights, create_graph=True)
    flat = torch.cat([s.flatten() for s in slopes])
    rows = [
        torch.autograd.grad(s, weights, retain_graph=True, materialize_grads=True) for s in flat
    ]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).numpy()


def explicit_gauss_newton(model, loss, x, y):
    weights = [p for p in model.parameters() if p.requires_grad]
    outputs = model(x)
    rows = [
        torch.autograd.grad(v, weights, retain_graph=True, materialize_grads=True)
        for v in outputs.flatten()
    ]
    jacobian = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).numpy()

    def of_outputs(flat):
        return loss(flat.view(outputs.shape), y)

    inner = torch.autograd.functional.hessian(of_outputs, outputs.detach().flatten()).numpy()
    return jacobian.T @ inner @ jacobian


@pytest.fixture(scope="module")
def case():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(10, 4, dtype=torch.float64, generator=generator)
    y = torch.randint(0, 3, (10,), generator=generator)
    return bridge.multilayer_perceptron([4, 5, 3], seed=1).double(), x, y


def dense(operator):
    return operator @ np.eye(operator.shape[0])


LOSSES = {
    "mean": nn.CrossEntropyLoss(),
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "weighted": nn.CrossEntropyLoss(torch.tensor([10.0, 1.0, 0.1], dtype=torch.float64)),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.2),
    "own": lambda f, y: (f - nn.functional.one_hot(y, 3)).pow(4).sum(1).mean(),
}


def test_hessian_of_a_loss_that_is_not_convex(case):
    model, x, y = case

    def loss(f, y):
        return torch.sin(3 * f).sum(1).mean() + (f[:, 0] * f[:, 1]).mean()

    operator = bridge.hessian_operator(model, loss, (x, y))
    np.testing.assert_allclose(dense(operator), explicit_hessian(model, loss, x, y), atol=1e-12)
    with pytest.raises(ValueError, match="convex"):
        dense(bridge.gauss_newton_operator(model, loss, (x, y)))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("chunk", [64, 3])
def test_operators_are_those_of_the_batch_loss(case, name, chunk, monkeypatch):
    model, x, y = case
    loss = LOSSES[name]
    monkeypatch.setattr("rmtstab.bridge.operators.CHUNK", chunk)
    hessian = bridge.hessian_operator(model, loss, (x, y))
    np.testing.assert_allclose(dense(hessian), explicit_hessian(model, loss, x, y), atol=1e-12)
    ours = bridge.gauss_newton_operator(model, loss, (x, y))
    np.testing.assert_allclose(dense(ours), explicit_gauss_newton(model, loss, x, y), atol=1e-12)
    assert ours.n_products == ours.shape[0]


@pytest.mark.parametrize("kind", ["hessian", "gauss_newton"])
def test_mix_hessian(case, kind):
    model, x, y = case
    loss = nn.CrossEntropyLoss()
    explicit = explicit_hessian if kind == "hessian" else explicit_gauss_newton
    parts = [explicit(model, loss, x[s], y[s]) for s in (slice(0, 7), slice(7, 10))]
    retain, forget = (x[:7], y[:7]), (x[7:], y[7:])
    mixed = bridge.mix_hessian_operator(model, loss, retain, forget, 0.3, kind=kind)
    np.testing.assert_allclose(dense(mixed), 0.7 * parts[0] - 0.3 * parts[1], atol=1e-12)
    with pytest.raises(ValueError, match="alpha must lie in"):
        bridge.mix_hessian_operator(model, loss, retain, forget, 1.5)


def test_graphs_are_rebuilt_where_they_do_not_fit(case, monkeypatch):
    model, x, y = case
    operator = bridge.hessian_operator(model, nn.CrossEntropyLoss(), (x, y))
    vector = np.ones(operator.shape[0])
    first = operator @ vector
    assert operator._are_kept
    monkeypatch.setattr("rmtstab.bridge.operators.GRAPH_SHARE", 0.0)
    other = bridge.hessian_operator(model, nn.CrossEntropyLoss(), (x, y))
    np.testing.assert_array_equal(other @ vector, first)
    np.testing.assert_array_equal(other @ vector, first)
    assert not other._are_kept and not other._graphs


def test_layers_and_preconditioner(case):
    model, x, y = case
    loss = nn.CrossEntropyLoss()
    exact = explicit_hessian(model, loss, x, y)
    operator = bridge.hessian_operator(model, loss, (x, y))
    layer = operator.block("2")
    np.testing.assert_allclose(dense(layer), exact[25:, 25:], atol=1e-12)
    biases = operator.block(["0.bias", "2.bias"])
    places = [*range(20, 25), *range(40, 43)]
    np.testing.assert_allclose(dense(biases), exact[np.ix_(places, places)], atol=1e-12)
    with pytest.raises(ValueError, match="parameters must be one of"):
        operator.block("3")
    diagonal = {name: torch.full_like(p, 4.0) for name, p in model.named_parameters()}
    scaled = bridge.hessian_operator(model, loss, (x, y), preconditioner=diagonal)
    np.testing.assert_allclose(dense(scaled), 4.0 * exact, atol=1e-12)


def test_tiny_vectors_keep_their_digits_in_float32(case):
    _, x, y = case
    single = bridge.multilayer_perceptron([4, 5, 3], seed=1)
    operator = bridge.hessian_operator(single, nn.CrossEntropyLoss(), (x.float(), y))
    vector = np.random.default_rng(0).standard_normal(operator.shape[0])
    np.testing.assert_allclose(operator @ (1e-40 * vector), 1e-40 * (operator @ vector))
    assert not (operator @ np.zeros_like(vector)).any()


# --- the faults of today's tools


def test_batches_are_weighted_by_their_samples():
    """Averaging the batches of a loader counts the samples of a short last batch too much."""
    x = torch.ones(9, 1, dtype=torch.float64)
    x[8] = 6.0
    y = torch.zeros(9, 1, dtype=torch.float64)
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    exact = float((x**2).mean())
    batches = [(x[:8] ** 2).mean(), (x[8:] ** 2).mean()]
    assert float(sum(batches) / 2) > 3 * exact  # 18.5 for 4.9
    loader = DataLoader(TensorDataset(x, y), batch_size=8)
    found = bridge.largest_hessian_eigenvalue(model, bridge.half_squared_error, loader)
    assert found == pytest.approx(exact, rel=1e-12)


def test_no_lanczos_ghosts():
    """Without full reorthogonalisation an outlier comes back again and again."""
    rng = np.random.default_rng(0)
    values = np.concatenate([np.linspace(0.0, 1.0, 300), [10.0, 20.0]])
    operator = aslinearoperator(np.diag(values))
    vector, before, beta = rng.standard_normal(302), 0.0, 0.0
    vector /= np.linalg.norm(vector)
    alphas, betas = [], []
    for _ in range(120):
        after = values * vector - beta * before
        alphas.append(vector @ after)
        after -= alphas[-1] * vector
        before, beta = vector, np.linalg.norm(after)
        betas.append(beta)
        vector = after / beta
    naive = np.linalg.eigvalsh(np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1))
    assert (naive > 5.0).sum() > 2  # ghosts
    density = bridge.spectral_density(operator, 4, 120, rng=1)
    assert ((density.nodes > 5.0).sum(axis=1) == 2).all()
    found = bridge.extreme_eigenpairs(operator, 3)
    np.testing.assert_allclose(found.values, [20.0, 10.0, 1.0], rtol=1e-8)


def test_no_finite_differences_across_kinks():
    """A step across a ReLU's kink differs from the derivative by anything."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 1e-6], [-1.0, 1e-6]]))
        model[0].bias.zero_()
        model[2].weight.copy_(torch.tensor([[3.0, 4.0]]))
        model[2].bias.zero_()
    x = torch.tensor([[1.0, 0.0], [1e-5, 1.0]], dtype=torch.float64)
    y = torch.tensor([[1.0], [9.0]], dtype=torch.float64)
    loss = bridge.half_squared_error
    exact = explicit_hessian(model, loss, x, y)
    operator = bridge.hessian_operator(model, loss, (x, y))
    np.testing.assert_allclose(dense(operator), exact, atol=1e-12)
    vector = np.ones(len(exact))
    start = nn.utils.parameters_to_vector(model.parameters()).detach().clone()

    def slope(step):
        nn.utils.vector_to_parameters(start + step * torch.as_tensor(vector), model.parameters())
        found = torch.autograd.grad(loss(model(x), y), list(model.parameters()))
        nn.utils.vector_to_parameters(start, model.parameters())
        return torch.cat([g.flatten() for g in found]).numpy()

    differences = (slope(1e-3) - slope(-1e-3)) / 2e-3
    assert np.linalg.norm(differences - exact @ vector) > 10 * np.linalg.norm(exact @ vector)


def test_gradients_already_there_do_not_double(case):
    model, x, y = case
    loss = nn.CrossEntropyLoss()
    exact = explicit_hessian(model, loss, x, y)
    loss(model(x), y).backward()
    before = [p.grad.clone() for p in model.parameters()]
    operator = bridge.hessian_operator(model, loss, (x, y))
    for _ in range(2):
        np.testing.assert_allclose(dense(operator), exact, atol=1e-12)
    for p, grad in zip(model.parameters(), before, strict=True):
        assert torch.equal(p.grad, grad)
        p.grad = None


def test_second_eigenvalue_beside_the_first():
    """Deflated power iteration that watches its value stops long before the second of a pair."""
    rng = np.random.default_rng(0)
    values = np.concatenate([[1.0, 0.999, 0.998], np.linspace(-0.99, 0.9, 197)])
    basis = np.linalg.qr(rng.standard_normal((200, 200)))[0]
    matrix = (basis * values) @ basis.T
    top, vector, value = basis[:, :1], rng.standard_normal(200), 0.0
    for _ in range(200):
        vector -= top[:, 0] * (top[:, 0] @ vector)
        vector /= np.linalg.norm(vector)
        after = matrix @ vector
        new = vector @ after
        if abs(new - value) < 1e-3 * abs(new):
            break
        vector, value = after, new
    assert abs(new - 0.999) > 2e-3
    found = bridge.extreme_eigenpairs(aslinearoperator(matrix), 2)
    np.testing.assert_allclose(found.values, [1.0, 0.999], rtol=1e-8)
    assert found.converged and (found.residuals < 1e-8).all()


# --- eigenpairs, estimates, density


@pytest.mark.parametrize("size", [40, 300])
def test_ends_of_a_spectrum(size):
    rng = np.random.default_rng(1)
    values = np.sort(rng.standard_normal(size))[::-1] * np.linspace(1, 3, size)
    values = np.sort(values)[::-1]
    basis = np.linalg.qr(rng.standard_normal((size, size)))[0]
    operator = aslinearoperator((basis * values) @ basis.T)
    expected = {"top": values[:3], "bottom": values[-3:], "both": [*values[:2], values[-1]]}
    for which, wanted in expected.items():
        found = bridge.extreme_eigenpairs(operator, 3, which=which)
        np.testing.assert_allclose(found.values, wanted, atol=1e-8)
        errors = np.abs(found.values[:, None] - values).min(axis=1)
        assert (errors <= found.residuals + 1e-12).all() and found.converged
        np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(3), atol=1e-8)
        assert found.n_products >= 3


def test_too_few_products_are_said():
    operator = aslinearoperator(np.diag(np.linspace(0.0, 1.0, 3000)))
    found = bridge.extreme_eigenpairs(operator, 2, max_products=40)
    assert not found.converged
    with pytest.raises(ValueError, match=r"k must lie in \[1, d=3000\]"):
        bridge.extreme_eigenpairs(operator, 0)
    with pytest.raises(ValueError, match="which must be one of"):
        bridge.extreme_eigenpairs(operator, which="largest")


def test_trace_and_diagonal_within_their_error_bars():
    rng = np.random.default_rng(2)
    basis = np.linalg.qr(rng.standard_normal((80, 80)))[0]
    matrix = (basis * np.geomspace(1, 1e-6, 80)) @ basis.T
    operator = aslinearoperator(matrix)
    estimates = [bridge.trace_estimate(operator, 30, rng=seed) for seed in range(40)]
    pulls = [(e.value - np.trace(matrix)) / e.standard_error for e in estimates]
    assert abs(np.mean(pulls)) < 5 / np.sqrt(40) and 0.7 < np.std(pulls) < 1.5
    spread = np.std([e.value for e in estimates])
    plain = np.sqrt(2 * ((matrix**2).sum() - (np.diag(matrix) ** 2).sum()) / 30)
    assert spread < 0.5 * plain  # what Hutchinson's estimator would have
    exact = bridge.trace_estimate(operator, 240)
    assert exact.value == pytest.approx(np.trace(matrix), rel=1e-12) and exact.standard_error == 0
    found = bridge.diagonal_estimate(operator, 50, rng=0)
    error = np.abs(found.values - np.diag(matrix)) / found.standard_errors
    assert error.max() < 5 and 0.5 < np.sqrt((error**2).mean()) < 1.5


def test_density_of_a_known_law_within_its_error_bars():
    """Marchenko–Pastur: cdf within 5 standard errors (and 1/d) at every point, moments too."""
    rng = np.random.default_rng(3)
    d, n = 400, 800
    x = rng.standard_normal((d, n)) / np.sqrt(n)
    matrix = x @ x.T
    law = laws.MarchenkoPastur(0.5)
    density = bridge.spectral_density(aslinearoperator(matrix), 12, 40, rng=0)
    points = np.linspace(0.2, 2.7, 9)
    eigenvalues = np.linalg.eigvalsh(matrix)
    width = 0.05
    value, error = density.smooth_cdf(points, width)
    smoothed = law.cdf(points[:, None] + width * rng.standard_normal(20_000)).mean(axis=1)
    assert (np.abs(value - smoothed) < 5 * error + 5 / d).all()
    assert (error > 0).all() and (error < 0.05).all()
    for order in (1, 2, 3):
        moment = density.moment(order)
        assert abs(moment.value - (eigenvalues**order).mean()) < 5 * moment.standard_error
    grid = np.linspace(-0.5, 3.5, 800)
    pdf, _ = density.pdf(grid, width)
    assert np.trapezoid(pdf, grid) == pytest.approx(1.0, abs=1e-6)
    steps, _ = density.cdf([-1.0, 5.0])
    np.testing.assert_allclose(steps, [0.0, 1.0], atol=1e-12)
    assert density.support[0] > 0


def test_density_with_an_invariant_subspace_and_one_probe():
    operator = aslinearoperator(np.diag([2.0] * 30 + [5.0] * 10))
    density = bridge.spectral_density(operator, 1, 20, rng=0)
    seen = density.weights[0] > 0
    np.testing.assert_allclose(np.sort(density.nodes[0][seen])[[0, -1]], [2.0, 5.0])
    assert seen.sum() == 2
    assert density.moment(1).standard_error == np.inf


def test_gap_between_gauss_newton_and_hessian(case):
    model, x, y = case
    loss = nn.CrossEntropyLoss()
    gap = bridge.curvature_gap(model, loss, (x, y), n_directions=2, tolerance=1e-9)
    full, ours = explicit_hessian(model, loss, x, y), explicit_gauss_newton(model, loss, x, y)
    vectors = np.linalg.eigh(ours)[1][:, -2:]
    expected = np.linalg.norm((full - ours) @ vectors, 2) / np.linalg.norm(ours @ vectors, 2)
    assert gap.relative == pytest.approx(expected, rel=1e-9)
    ends = np.linalg.eigvalsh(full)
    assert (gap.lowest, gap.hessian) == pytest.approx((ends[0], ends[-1]), rel=1e-9)
    assert gap.gauss_newton == pytest.approx(np.linalg.eigvalsh(ours)[-1], rel=1e-9)
    assert gap.is_indefinite and "indefinite" in gap.warning and gap.converged
    linear = nn.Linear(4, 3).double()
    none = bridge.curvature_gap(linear, loss, (x, y))
    assert none.relative < 1e-12 and not none.is_indefinite and none.warning is None


def test_sharpness_of_each_sample(case):
    model, x, y = case
    loss = nn.CrossEntropyLoss()
    found = bridge.sample_sharpness(model, loss, (x, y))
    for i in range(len(x)):
        one = explicit_gauss_newton(model, loss, x[i : i + 1], y[i : i + 1])
        assert found.largest[i] == pytest.approx(np.linalg.eigvalsh(one)[-1], rel=1e-9)
        assert found.trace[i] == pytest.approx(np.trace(one), rel=1e-9)


def test_operator_is_one_for_scipy(case):
    model, x, y = case
    operator = bridge.hessian_operator(model, nn.CrossEntropyLoss(), (x, y))
    assert isinstance(operator, CurvatureOperator) and operator.dtype == np.float64
    assert operator.H is operator and operator.T is operator
    np.testing.assert_allclose((2 * operator) @ np.ones(43), 2 * (operator @ np.ones(43)))


@pytest.mark.parametrize("route", ["layers", "jacobian"])
@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        (nn.CrossEntropyLoss(torch.tensor([10.0, 1.0, 0.1], dtype=torch.float64)), "labels"),
        (nn.MSELoss(), "values"),
        (nn.HuberLoss(delta=0.7), "values"),
        (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0, 1.0, 0.5])), "binary"),
        (lambda f, y: torch.logsumexp(f - y, 1).mean() + (f - y).pow(4).sum(1).mean(), "values"),
    ],
    ids=["weighted cross-entropy", "mse", "huber", "bce", "own"],
)
def test_gram_with_roots_has_the_spectrum_of_the_gauss_newton_matrix(case, loss, kind, route):
    from rmtstab.bridge.reading import read

    model, x, y = case
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(10, 3, dtype=torch.float64, generator=generator)
    targets = {"labels": y, "values": values, "binary": (values > 0).double()}[kind]
    reading = read(model, loss, (x, targets))
    roots = reading.losses[0].roots(reading.outputs[0], reading.samples[0].targets).dense()
    roots = roots * (reading.weights[0] / 10).sqrt()[:, None, None]
    gram = bridge.jacobian_gram(reading.network, reading.samples[0], roots=roots, route=route)
    ours = np.linalg.eigvalsh(gram.numpy())[::-1]
    exact = np.linalg.eigvalsh(explicit_gauss_newton(model, loss, x, targets))[::-1]
    count = min(len(ours), len(exact))
    np.testing.assert_allclose(ours[:count], exact[:count], atol=1e-10 * exact[0])


@pytest.mark.filterwarnings("error")
def test_a_density_far_away_and_at_the_ends_of_smoothing():
    density = bridge.spectral_density(aslinearoperator(np.diag([1.0, 2.0])), 2, 4, rng=0)
    for width in (1e-150, 0.1, 1e150):
        value, error = density.pdf([-1e308, 1e308], width)
        assert (value == 0.0).all() and (error == 0.0).all()
        value, _ = density.smooth_cdf([-1e308, 1e308], width)
        np.testing.assert_allclose(value, [0.0, 1.0], atol=1e-12)
    for width in (5e-324, 0.0, 1e308):
        with pytest.raises(ValueError, match=r"width must lie in \[1e-150, 1e\+150\]"):
            density.pdf([1.0], width)
