"""What reads files: a whole file of each kind, how it is read, and what a damaged one may raise."""

import copy
import io
import json
import traceback
from pathlib import Path

import numpy as np

from rmtstab import report, verification
from rmtstab.cli.factor_file import read_problem
from rmtstab.sweeps import Sweep
from rmtstab.sweeps.files import read_sealed, write_sealed

try:
    import torch
except ImportError:
    torch = None

REFUSALS = (TypeError, ValueError, OSError, MemoryError)
SWEEP = b"""experiment = "growth"
seed = 3
[axes]
step_size = {geomspace = [0.1, 1.0, 3]}
alpha = [0.0, 0.25]
batch_size = [[2, 1], [4, 2]]
[fixed]
sampling = "bernoulli"
"""


def _factors(path):
    np.savez(path, retain=np.eye(3), forget=np.ones((2, 3)))


def _gram(path):
    np.savez_compressed(path, gram=np.eye(6), n_retain=2, rank=2)


def _certificate(path):
    path.write_text(json.dumps(certificate()))


def certificate():
    """A true statement: one sample, step ½, growth ¼ < ½."""
    content = {
        "statement": "growth < bound", "bound": 0.5, "step_size": 0.5, "alpha": 0.0,
        "weight_decay": 0.0, "sampling": "without_replacement", "sizes": [1, 0],
        "batch_sizes": [1.0, 1.0], "offsets": [0, 1], "factors": [[1.0]], "witness": [[1.0]],
    }  # fmt: skip
    return verification.seal(
        {k: _hexed(v) if k not in ("sizes", "offsets") else v for k, v in content.items()}
    )


def _hexed(value):
    if isinstance(value, list):
        return [_hexed(v) for v in value]
    return value.hex() if isinstance(value, float) else value


def _cell(path):
    write_sealed(path, '{"cell": {"task": "draw"}, "result": {"x": 0.25}}')


def _results(path):
    path.write_text(json.dumps({"preset": {"name": "quick"}, "claims": [{"name": "a"}]}))


def _network(path):
    from rmtstab import bridge

    x, y = torch.eye(4), torch.arange(4) % 2
    model, loss = torch.nn.Linear(4, 2), torch.nn.CrossEntropyLoss()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.reset_parameters()
    bridge.linearise(model, loss, (x[:2], y[:2]), (x[2:3], y[2:3]), (x[3:], y[3:])).save(path)


def _load(path):
    from rmtstab import bridge

    return bridge.load(path, torch.nn.CrossEntropyLoss())


# how a file is made, its name, and how it is read
PARSERS = {
    "sweep": (lambda path: path.write_bytes(SWEEP), "sweep.toml", Sweep.from_toml),
    "factors": (_factors, "factors.npz", read_problem),
    "gram": (_gram, "gram.npz", read_problem),
    "certificate": (_certificate, "certificate.json", verification.verify),
    "cell": (_cell, "cell.json", read_sealed),
    **({"network": (_network, "network.npz", _load)} if torch else {}),
    "results": (_results, "results.json", lambda path: report.read(path.parent)),
}


def whole(kind, folder):
    """Bytes of a whole file of a kind."""
    make, name, _ = PARSERS[kind]
    path = Path(folder) / name
    make(path)
    return path.read_bytes()


def attempt(kind, data, folder):
    """Read bytes as a file of a kind; a refusal in words, None if accepted, else it raises."""
    _, name, read = PARSERS[kind]
    path = Path(folder) / name
    path.write_bytes(data)
    try:
        read(path)
    except REFUSALS as error:
        words = str(error)
        assert words and "\n" not in words.strip(), f"not one line: {words!r}"
        last = traceback.extract_tb(error.__traceback__)[-1]
        # Python's own decoders say what and where; all else is ours
        known = isinstance(error, json.JSONDecodeError | UnicodeDecodeError | OSError)
        assert known or "/rmtstab/" in last.filename, f"{last}: {error!r}"
        return words
    return None


def spoilt(tree, rng):
    """Nested lists and dictionaries with one place replaced, lost, renamed or doubled."""
    places = list(_places(tree))
    inside, last = places[int(rng.integers(len(places)))]
    value = VALUES[int(rng.integers(len(VALUES)))]
    match int(rng.integers(4)):
        case 0:
            del inside[last]
        case 1 if isinstance(inside, list):
            inside.insert(last, inside[last])
        case 1:
            inside["other"] = inside.pop(last)
        case _:
            inside[last] = copy.deepcopy(value)


def _places(tree):
    keys = tree if isinstance(tree, dict) else range(len(tree))
    for key in keys:
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


def with_header(data, header, folder):
    """An archive's bytes with another JSON header."""
    path = Path(folder) / "header.npz"
    with np.load(io.BytesIO(data)) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    kept["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez(path, **kept)
    return path.read_bytes()


VALUES = (
    None, True, 0, 1, -1, 2**63, 10**400, 0.5, 1e308, -0.0, float("nan"), "", "text", "0x1p0",
    "inf", "nan", [], {}, [[]], [0], {"a": 1}, [1, 2, 3], "retain_inputs", "gram",
)  # fmt: skip


def damaged(data, rng):
    """A file's bytes after a few random accidents."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 9))
        match int(rng.integers(6)):
            case 0:
                data[at : at + length] = b""
            case 1:
                data[at:at] = rng.bytes(length)
            case 2:
                data[at : at + length] = rng.bytes(length)
            case 3:
                other = int(rng.integers(len(data) + 1))
                data[at:at] = data[other : other + 4 * length]
            case 4:
                data = data[:at]
            case 5:
                token = TOKENS[int(rng.integers(len(TOKENS)))]
                data[at : at + length] = token
    return bytes(data)


TOKENS = (
    b"null", b"true", b"NaN", b"-1e999", b"1e308", b"[[]]", b"{}", b'""', b"-1", b"0", b"9" * 400,
    b"0x1p99999", b"\x00", b"\xff\xfe", b"[" * 2000, b"= [", b"inf", b"2**9", b'"\\ud800"',
    b"\n[axes]\n", b"geomspace", b"PK\x03\x04", b"descr", b"'O'",
)  # fmt: skip
