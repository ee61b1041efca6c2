"""Files of arrays that anybody may have sent: the right arrays, or one line; nothing runs."""

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

from rmtstab._npz import read_arrays
from rmtstab.cli import main

ARRAYS = {"retain": np.arange(6.0).reshape(3, 2), "forget": np.ones((1, 2))}


def saved(path, write=np.savez, **arrays):
    with open(path, "wb") as file:
        write(file, **arrays)
    return path.read_bytes()


def same_or_refused(path, data, known):
    """Whether the bytes are read; what is read is what was written."""
    path.write_bytes(data)
    try:
        found = read_arrays(path, "arrays")
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return False
    assert found.keys() == known.keys()
    assert all(np.array_equal(found[name], known[name]) for name in known)
    return True


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_every_truncation_is_refused(tmp_path, write):
    path = tmp_path / "a.npz"
    whole = saved(path, write, **ARRAYS)
    assert same_or_refused(path, whole, ARRAYS)
    assert not any(same_or_refused(path, whole[:k], ARRAYS) for k in range(len(whole)))


@pytest.mark.parametrize(
    ("write", "step"),
    [
        (np.savez, 11),
        (np.savez_compressed, 11),
        pytest.param(np.savez, 1, marks=pytest.mark.slow),
        pytest.param(np.savez_compressed, 1, marks=pytest.mark.slow),
    ],
)
def test_no_flipped_bit_changes_an_array(tmp_path, write, step):
    path, read = tmp_path / "a.npz", 0
    whole = saved(path, write, **ARRAYS)
    for bit in range(0, 8 * len(whole), step):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        read += same_or_refused(path, bytes(damaged), ARRAYS)
    assert 0 < read < 4 * len(whole) // step  # dates and the like carry no number


class Evil:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def npy(header, data=b""):
    """Bytes of an .npy with any header."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def archive(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members:
            file.writestr(name, data)


PICKLED = npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", pickle.dumps([Evil()]))
FLOATS = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }"
GOOD = npy(FLOATS % "(1, 1)", b"\0" * 8)
MEMBERS = {
    "a pickle": [("retain.npy", PICKLED)],
    "a bare pickle": [("retain.npy", pickle.dumps(Evil()))],
    "objects in a structure": [
        ("retain.npy", npy("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }"))
    ],
    "a shape too large": [("retain.npy", npy(FLOATS % f"({10**15},)"))],
    "a shape of two signs": [("retain.npy", npy(FLOATS % "(-1, -1)", b"\0" * 8))],
    "less than promised": [("retain.npy", npy(FLOATS % "(2, 1)", b"\0" * 8))],
    "more than promised": [("retain.npy", GOOD + b"\0")],
    "code as header": [("retain.npy", npy("__import__('os').mkdir('unpickled')"))],
    "a deep header": [("retain.npy", npy("(" * 100 + ")" * 17))],
    "version 9": [("retain.npy", GOOD.replace(b"\x01\x00", b"\x09\x00", 1))],
    "nothing in a member": [("retain.npy", b"")],
    "one name twice": [("retain.npy", GOOD), ("retain.npy", GOOD)],
    "a file that is no array": [("retain", GOOD)],
    "a path": [("../retain.npy", GOOD)],
    "no member": [],
    "a date": [("retain.npy", npy((FLOATS % "(1,)").replace("f8", "M8[s]"), b"\0" * 8))],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", MEMBERS)
def test_hostile_members(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    archive(tmp_path / "a.npz", MEMBERS[kind])
    result = CliRunner().invoke(main, ["frontier", "a.npz"])
    assert result.exit_code == 2 and not result.stdout, result.output
    assert len(result.stderr.splitlines()) == 1 and "a.npz" in result.stderr
    assert os.listdir(tmp_path) == ["a.npz"]


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.npz"
    zeros = npy(FLOATS % f"({1 << 24},)") + b"\0" * (1 << 27)
    archive(path, [(f"a{k}.npy", zeros) for k in range(9)])  # 1.2 MB that unpack to 1.2 GB
    assert path.stat().st_size < 2e6
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"got a damaged one: \d+ bytes that unpack to 12079"):
        read_arrays(path, "arrays")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e6


def test_an_encrypted_member_and_a_pipe(tmp_path):
    path = tmp_path / "a.npz"
    whole = bytearray(saved(path, **ARRAYS))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 0
        while (start := whole.find(mark, start) + 1) > 0:
            whole[start - 1 + place] |= 1
    assert not same_or_refused(path, bytes(whole), ARRAYS)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match=r"must be an \.npz file, got a folder or a pipe"):
        read_arrays(path, "arrays")
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "b.npz", "arrays")


def test_text_integers_and_orders_are_read(tmp_path):
    known = {"a": np.array(["x", "yz"]), "b": np.asfortranarray(np.eye(3)[:2]), "c": np.int8(3),
             "d": np.zeros((0, 4)), "e": np.array([1 + 2j], ">c16")}  # fmt: skip
    assert same_or_refused(tmp_path / "a.npz", saved(tmp_path / "a.npz", **known), known)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Bytes of a saved network, and its loss."""
    torch = pytest.importorskip("torch")
    from rmtstab import bridge

    inputs, targets, loss = torch.eye(4), torch.arange(4) % 2, torch.nn.CrossEntropyLoss()
    retain, forget = (inputs[:3], targets[:3]), (inputs[3:], targets[3:])
    path = tmp_path_factory.mktemp("network") / "net.npz"
    bridge.linearise(torch.nn.Linear(4, 2), loss, retain, forget).save(path)
    return path.read_bytes(), loss


def test_a_damaged_network_is_refused(tmp_path, network):
    from rmtstab import bridge

    data, loss = network
    path = tmp_path / "net.npz"
    path.write_bytes(data)
    known = bridge.load(path, loss).space.gram
    for length in range(0, len(data), 37):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"must be (a whole|an) \.npz"):
            bridge.load(path, loss)
    for bit in range(0, 8 * len(data), 229):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert bridge.load(path, loss).space.gram.equal(known)
        except ValueError as error:
            assert str(path) in str(error)


WRONG = (None, True, -1, 1e999, "x", "retain_inputs", [], {}, [[]], ["retain_inputs"], {"a": 1})


def test_hostile_headers_of_a_network_are_refused(tmp_path, network):
    from rmtstab import bridge

    data, loss = network
    path = tmp_path / "net.npz"
    with np.load(io.BytesIO(data)) as stored:
        arrays = dict(stored)
    header = json.loads(arrays.pop("header").tobytes())

    def load(header, **changed):
        text = json.dumps(header).encode() if not isinstance(header, bytes) else header
        saved(path, **{**arrays, **changed}, header=np.frombuffer(text, np.uint8))
        return bridge.load(path, loss)

    assert load(header).space.gram.shape == (4, 2, 8)
    for name in header:
        fewer = {key: value for key, value in header.items() if key != name}
        for wrong in (fewer, *({**header, name: value} for value in WRONG)):
            if name == "fingerprint" and isinstance(wrong.get(name), str):
                continue  # any text may be one
            if name == "bends" and wrong.get(name) == []:
                continue  # a kernel that was not read again
            if name == "notes" and wrong.get(name) in ([], ["retain_inputs"]):
                continue
            if name == "parameters" and wrong.get(name) == ["retain_inputs"]:
                continue  # names are a model's to know
            with pytest.raises(ValueError, match=r"(path|loss) must be"):
                load(wrong)
    for hostile in (b"", b"{", b"[]", b"3", b"[" * 10**5, b"\xff", b"NaN"):
        with pytest.raises(ValueError, match="path must be a saved LinearisedNetwork"):
            load(hostile)
    for change in (
        {"gram": np.eye(8)}, {"gram": np.full((4, 2, 8), np.nan)}, {"outputs": np.zeros((4, 3))},
        {"outputs": np.zeros(8)}, {"drift": np.zeros((4, 2))}, {"gram": np.zeros((4, 2, 8), "f4")},
        {"retain_inputs": np.zeros((2, 4), "f4")}, {"forget_targets": np.array(["a"])},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="path must be a saved LinearisedNetwork"):
            load(header, **change)
