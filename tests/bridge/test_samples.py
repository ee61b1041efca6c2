"""Data sets as users have them, read once and in order."""

import random
from collections import UserDict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import (  # noqa: E402
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
)

from rmtstab import bridge  # noqa: E402
from rmtstab.bridge.data_sets import read_samples  # noqa: E402
from rmtstab.bridge.samples import Samples, shared_samples  # noqa: E402

X = torch.arange(21.0).reshape(7, 3)
Y = torch.tensor([0, 1, 2, 0, 1, 2, 0])


class Pairs(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return {"x": X[i], "labels": int(Y[i])}


class Augmented(Pairs):
    def __getitem__(self, i):
        return X[i] + torch.randn(3), int(Y[i])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(list(zip(X, Y, strict=True)))


class Table:
    """What data-frame libraries give: no tensor, but an array."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values.numpy()


KINDS = {
    "tensors": (X, Y),
    "arrays": (X.numpy(), Y.numpy()),
    "int32": (X.numpy(), Y.numpy().astype(np.int32)),
    "lists": [X.tolist(), Y.tolist()],
    "dataset": TensorDataset(X, Y),
    "list of samples": [(x, int(y)) for x, y in zip(X, Y, strict=True)],
    "loader": DataLoader(TensorDataset(X, Y), batch_size=3),
    "list of batches": list(DataLoader(TensorDataset(X, Y), batch_size=3)),
    "stream": DataLoader(Stream(), batch_size=2),
    "loader of samples": DataLoader(TensorDataset(X, Y), batch_size=None),
    "batches that lose none": DataLoader(TensorDataset(X, Y), batch_size=7, drop_last=True),
    "tables": (Table(X), Table(Y)),
    "read": read_samples("retain", (X, Y)),
}
DICTS = {
    "dict": {"x": X, "labels": Y},
    "pair of a dict": ({"x": X}, Y),
    "dataset of dicts": Pairs(),
    "loader of dicts": DataLoader(Pairs(), batch_size=3),
    "list of dicts": [Pairs()[i] for i in range(7)],
    "list of dict batches": [
        UserDict({"x": X[:4], "y": Y[:4]}),
        UserDict({"x": X[4:], "y": Y[4:]}),
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_samples(kind):
    found = read_samples("retain", KINDS[kind])
    assert len(found) == 7 and found.total == 7
    assert torch.equal(found.inputs, X) and torch.equal(found.targets, Y)
    part = found.take([5, 2])
    assert torch.equal(part.inputs, X[[5, 2]]) and part.indices.tolist() == [5, 2]
    assert [len(chunk) for chunk in found.chunks(3)] == [3, 3, 1]


@pytest.mark.parametrize("kind", DICTS)
def test_dicts_keep_their_keys(kind):
    found = read_samples("retain", DICTS[kind])
    assert list(found.inputs) == ["x"]
    assert torch.equal(found.inputs["x"], X) and torch.equal(found.targets, Y)


@pytest.mark.parametrize("kind", ["tensors", "dataset", "loader"])
def test_subsamples_are_uniform_subsets_with_their_places(kind):
    seen = torch.zeros(7)
    for seed in range(200):
        found = read_samples("retain", KINDS[kind], max_samples=3, seed=seed)
        assert torch.equal(found.inputs, X[found.indices]) and found.total == 7
        seen[found.indices] += 1
    # 600 draws over 7 places, each Binomial(200, 3/7)
    assert float((seen - 600 / 7).abs().max()) < 5 * (200 * 3 / 7 * 4 / 7) ** 0.5


def test_global_generators_are_left_alone():
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    for data in (*KINDS.values(), *DICTS.values()):
        read_samples("retain", data, max_samples=4)
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


BATCHES = BatchSampler(SequentialSampler(X), 3, drop_last=True)


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(TensorDataset(X, Y), batch_size=3, drop_last=True),
        DataLoader(TensorDataset(X, Y), batch_sampler=BATCHES),
    ],
)
def test_samples_that_a_loader_drops_are_told(loader):
    """Six of seven were read without a word."""
    with pytest.warns(UserWarning, match="retain: .*drop_last=True and leaves out 1 of 7 samples"):
        found = read_samples("retain", loader)
    assert len(found) == 6 and "build it with drop_last=False" in found.notes[0]
    with pytest.warns(UserWarning, match="may leave out"):
        read_samples("retain", DataLoader(Stream(), batch_size=3, drop_last=True))


def test_a_sampler_of_a_part_is_noted():
    found = read_samples("retain", DataLoader(TensorDataset(X, Y), sampler=[4, 1], batch_size=2))
    assert torch.equal(found.inputs, X[[4, 1]])
    assert found.notes == ("its loader gives 2 of its dataset's 7 samples",)
    assert found.take([1]).notes == found.notes == found.to("cpu").notes


class LateNoise(Pairs):
    """Augmentation that the first batches do not show."""

    def __getitem__(self, i):
        return X[i] + (i > 5) * torch.rand(3), int(Y[i])


def test_a_loader_keeps_its_own_generator():
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(TensorDataset(X, Y), batch_size=3, generator=generator)
    before = generator.get_state()
    read_samples("retain", loader)
    assert torch.equal(generator.get_state(), before)


def test_shared_samples_are_found_by_their_places():
    other = torch.cat([X[[4, 1]] + 0.5, X[[6, 2]]])
    pairs = shared_samples(read_samples("retain", (X, Y)), read_samples("forget", (other, Y[:4])))
    assert pairs == [(2, 6), (3, 2)]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (DataLoader(TensorDataset(X, Y), shuffle=True), ValueError, "shuffle=False"),
        (Augmented(), ValueError, "retain must yield the same samples at each pass"),
        (DataLoader(Augmented(), batch_size=3), ValueError, "same samples at each pass"),
        (iter([(X, Y)]), TypeError, "re-iterable, got a list_iterator that one pass exhausts"),
        ((x for x in [(X, Y)]), TypeError, "re-iterable, got a generator"),
        ((X, Y[:5]), ValueError, r"one input and one target a sample, got shapes \(7, 3\), \(5,\)"),
        ((X, 3), ValueError, "one input and one target a sample"),
        ((X, Y, Y), TypeError, r"must be a pair \(inputs, targets\), a Dataset or a DataLoader"),
        (X, TypeError, "must be a pair"),
        (3, TypeError, "must be a pair .* got int"),
        ((X * float("nan"), Y), ValueError, "got NaN or infinite inputs at sample 0"),
        ((X / (Y - 2)[:, None], Y), ValueError, "got NaN or infinite inputs at sample 2"),
        (DataLoader(LateNoise(), batch_size=3), ValueError, "same samples at each pass"),
        (LateNoise(), ValueError, "same samples at each pass"),
        ([(X[0], 0), (X[1, :2], 1)], ValueError, "samples of one shape and kind, .* pad them"),
        ([(X[0], 0, 0)] * 3, ValueError, "must yield pairs .* got 3 items"),
        ((X.to_sparse(), Y), TypeError, "must hold dense tensors, got layout torch.sparse_coo"),
        (
            DataLoader(X, batch_sampler=BatchSampler(RandomSampler(X), 2, False)),
            ValueError,
            "loader that shuffles .RandomSampler",
        ),
        ((X, X / 0.0), ValueError, "retain must be finite, got NaN or infinite targets"),
        ((X, ["a"] * 7), TypeError, "must hold tensors or numbers, got text; encode it"),
        (
            {"x": X, "raw": ["a"] * 7, "y": Y},
            TypeError,
            r"retain\['raw'\] must hold tensors or numbers, got text",
        ),
        ({"x": X, "label": Y, "y": Y}, ValueError, "under one of .* got both 'label' and 'y'"),
        ({"x": X}, ValueError, "must hold its targets under one of 'labels'"),
        (DataLoader(X, batch_size=3), ValueError, r"must yield pairs .* got Tensor"),
        ([(X[0], X[1])], ValueError, "must be unambiguous, got a list of pairs of vectors"),
    ],
)
def test_sets_that_cannot_be_read_are_refused(data, error, message):
    with pytest.raises(error, match=message):
        read_samples("retain", data)


def test_empty_sets_are_empty():
    for data in ((X[:0], Y[:0]), TensorDataset(X[:0], Y[:0]), ()):
        assert len(read_samples("forget", data)) == 0
    assert isinstance(read_samples("forget", UserDict({"x": X, "y": Y})), Samples)


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(torch.arange(12.0).view(6, 2), torch.arange(6), strict=True)


def test_an_iterable_dataset_gives_its_samples():
    found = read_samples("retain", Stream())
    assert torch.equal(found.inputs, torch.arange(12.0).view(6, 2))
    assert torch.equal(found.targets, torch.arange(6))


def test_samples_of_another_shape_are_refused_by_name():
    """Once a network had seen samples, others reached torch, whose error named no argument."""
    network = bridge.Network(torch.nn.Linear(3, 2))
    first, other = (
        bridge.read_samples("data", (torch.ones(4, width), torch.zeros(4))) for width in (3, 5)
    )
    network.outputs(first)
    for call in (
        lambda: network.outputs(other),
        lambda: network.jacobian(other),
        lambda: bridge.jacobian_gram(network, other),
        lambda: bridge.plan(network, other),
    ):
        with pytest.raises(ValueError, match="model must accept the samples' inputs"):
            call()
    wrong = {"weight": torch.ones(2, 4), "bias": torch.ones(2)}
    with pytest.raises(
        ValueError, match=r"weights\['weight'\] must have shape \(2, 3\), got \(2, 4"
    ):
        network.outputs(first, wrong)
    assert not first.joins(other)
    with pytest.raises(ValueError, match="other must have inputs of the same shapes"):
        first.join(other)
    for places in (torch.tensor([4]), [4], [-5]):
        with pytest.raises(ValueError, match="indices must lie within 4 samples"):
            first.take(places)
    with pytest.raises(
        ValueError, match=r"patches must have shape \(n, P, dim=3\), got \(1, 2, 4\)"
    ):
        bridge.TwoLayerReLUCNN(3, 2)(torch.ones(1, 2, 4, dtype=torch.float64))


def test_blocks_curves_and_maps_refuse_by_name():
    x, y = torch.eye(3), torch.tensor([0, 1, 0])
    operator = bridge.hessian_operator(torch.nn.Linear(3, 2), torch.nn.CrossEntropyLoss(), (x, y))
    for wrong in (1, None, [], [1]):
        with pytest.raises((TypeError, ValueError), match="parameters must"):
            operator.block(wrong)
    with pytest.raises(TypeError, match="retain must be a list, tuple or array, got 1"):
        bridge.Curves(np.arange(2), 1, 1, 1, np.ones((1, 1, 2)))
