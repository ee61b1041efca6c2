"""``rmtstab diagnose`` on a file of the user's."""

import json

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")

from rmtstab.cli import main  # noqa: E402

FILE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)
    def forward(self, x):
        return self.layer(x)

def data():
    g = torch.Generator().manual_seed(0)
    return torch.randn(12, 4, generator=g), torch.arange(12) % 3

def entry():
    torch.manual_seed(0)
    x, y = data()
    return Net(), torch.nn.CrossEntropyLoss(), (x[:8], y[:8]), (x[8:], y[8:])

def named():
    model, loss, retain, forget = entry()
    return {"model": model, "loss": loss, "retain": retain, "forget": forget, "test": retain}

def fails():
    raise RuntimeError("my own fault")

def short():
    return 1, 2

class Raises(Net):
    def __init__(self, error):
        super().__init__()
        self.error = error
    def forward(self, x):
        return self.inner(super().forward(x))
    def inner(self, x):
        raise self.error

def runtime():
    return (Raises(RuntimeError("deep inside")), *entry()[1:])

def key():
    return (Raises(KeyError("no such block")), *entry()[1:])

def silent():
    return (Raises(RuntimeError()), *entry()[1:])

def lossy():
    def loss(f, y):
        raise AttributeError("no such loss")
    return (entry()[0], loss, *entry()[2:])

def whole():
    def ascent(f, y):
        return 2.0 * torch.nn.functional.cross_entropy(f, y)
    print("my own words")
    return named() | {"forget_loss": ascent, "batch_size": (4, 2)}

def strange():
    return named() | {"lr": 0.1}

def leaves():
    raise SystemExit(3)

class Leaves(Net):
    def forward(self, x):
        print("called")
        raise SystemExit(0)

def later():
    return (Leaves(), *entry()[1:])

number = 3
"""


def invoke(tmp_path, function, *options):
    (tmp_path / "mine.py").write_text(FILE)
    target = f"{tmp_path / 'mine.py'}:{function}"
    return CliRunner().invoke(main, ["diagnose", target, "--step-size", "0.1", *options])


def test_words_json_and_page(tmp_path):
    out, page = tmp_path / "a.json", tmp_path / "a.html"
    result = invoke(
        tmp_path, "entry", "--batch-size", "4,2", "--steps", "5", "--out", str(out),
        "--out", str(page),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads(out.read_text(), parse_constant=pytest.fail)
    assert record["words"] in result.output and record["settings"]["batch_size"] == [4.0, 2.0]
    assert page.read_text().startswith("<!doctype html>")


def test_json_is_printed_and_its_former_form_still_writes(tmp_path):
    out, common = tmp_path / "a.json", ("--batch-size", "4/2", "--steps", "3", "--quiet")
    shown = json.loads(invoke(tmp_path, "entry", *common, "--json").stdout)
    assert shown["settings"]["batch_size"] == [4.0, 2.0]
    for former in (("--json", str(out)), (f"--json={out}",)):
        result = invoke(tmp_path, "entry", *common, *former)
        assert result.exit_code == 0 and shown["words"].splitlines()[0] in result.stdout
        assert json.loads(out.read_text()).keys() == shown.keys()
        out.unlink()
    both = invoke(tmp_path, "entry", *common, "--json", "--out", str(out))
    assert json.loads(both.stdout) == json.loads(out.read_text())


def test_every_key_of_a_dict_and_the_option_goes_first(tmp_path):
    """What it prints is not in the answer; batches are its own, unless the option says others."""
    own = invoke(tmp_path, "whole", "--steps", "2", "--json", "--quiet")
    assert own.exit_code == 0, own.output
    record = json.loads(own.stdout)
    assert record["settings"]["batch_size"] == [4.0, 2.0] and record["inputs"]["n_test"] == 8
    assert record["inputs"]["losses"][0] != record["inputs"]["losses"][1]
    assert record["collapse_step"] == ["Infinity"] * 8
    assert "my own words" in own.stderr
    other = invoke(tmp_path, "whole", "--steps", "2", "--json", "--quiet", "--batch-size", "3")
    assert json.loads(other.stdout)["settings"]["batch_size"] == [3.0, 3.0]


def test_a_dict_and_a_checkpoint(tmp_path):
    torch.save({"layer.weight": torch.zeros(3, 4), "layer.bias": torch.zeros(3)}, tmp_path / "w.pt")
    result = invoke(
        tmp_path, "named", "--batch-size", "2", "--steps", "2", "--checkpoint",
        str(tmp_path / "w.pt"), "--json", str(tmp_path / "a.json"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["inputs"]["n_test"] == 8
    assert record["inputs"]["retain_loss"] == pytest.approx(1.0986, abs=1e-4)  # log 3: zeros


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello\n", "must be a state dict written by torch.save"),
        (b"", "must be a state dict written by torch.save"),
        ({"other": 0.0}, "must fit the model, got {}: Missing key(s) in state_dict: "),
        ([1.0], "must fit the model, got {}: TypeError"),
        (torch.nn.Linear(4, 3), "{}, which is none or holds more than tensors; save model.state_"),
    ],
)
def test_a_checkpoint_that_is_none_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "w.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    result = invoke(tmp_path, "named", "--batch-size", "2", "--checkpoint", str(path))
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert message.format(path) in " ".join(result.output.split())
    assert "weights_only" not in result.output


@pytest.mark.parametrize(
    ("function", "options", "messages"),
    [
        ("fails", (), ["Traceback", "my own fault", "raised; its traceback is above"]),
        ("short", (), ["must return (model, loss, retain, forget[, test]), got tuple of 2"]),
        (
            "strange",
            (),
            ["must return keys model, loss, retain, forget, test, forget_loss, batch_s"],
        ),
        ("leaves", (), ["mine.py:leaves must return, got sys.exit(3)"]),
        ("later", ("--batch-size", "2"), ["mine.py:later must return, got sys.exit(0)"]),
        ("missing", (), ["entry must name a function of", "got 'missing'"]),
        ("number", (), ["entry must name a function of"]),
        ("entry", ("--batch-size", "9"), ["batch_size must lie in [1, n_retain=8], got 9"]),
        ("entry", ("--batch-size", "a"), ["batch_size must be INT or INT/INT, got 'a'"]),
        ("entry", (), ["batch_size must be given unless the sets are DataLoaders"]),
        ("entry", ("--batch-size", "2", "--out", "no/such/page.html"), ["must lie in a folder"]),
        ("entry", ("--batch-size", "2", "--out", "page.txt"), ["must end in .html, .json"]),
        ("entry", ("--batch-size", "2", "--json", "no/such/a.json"), ["must lie in a folder"]),
        ("entry", ("--batch-size", "2", "--steps", str(10**12)), ["steps must fit in memory"]),
    ],
)
def test_errors_are_one_line_and_exit_code_two(tmp_path, function, options, messages):
    result = invoke(tmp_path, function, *options)
    assert result.exit_code == 2
    for message in messages:
        assert message in result.output


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("runtime", "RuntimeError: deep inside"),
        ("key", "KeyError: 'no such block'"),
        ("silent", "RuntimeError"),
        ("lossy", "AttributeError: no such loss"),
    ],
)
def test_a_model_or_loss_that_raises_shows_its_own_traceback(tmp_path, function, message):
    result = invoke(tmp_path, function, "--batch-size", "2")
    assert result.exit_code == 2
    assert message in result.output and "its traceback is above" in result.output
    trace = result.output.split("its traceback is above")[0]
    assert "mine.py" in trace and "rmtstab" not in trace.replace(str(tmp_path), "")
    assert ("in inner" in trace) == (function != "lossy")


def test_a_file_that_is_not_there():
    result = CliRunner().invoke(main, ["diagnose", "no.py:f", "--step-size", "1"])
    assert result.exit_code == 2 and "entry must name a file that exists" in result.output
    result = CliRunner().invoke(main, ["diagnose", "no.py", "--step-size", "1"])
    assert result.exit_code == 2 and "entry must be FILE.py:FUNCTION" in result.output


@pytest.mark.parametrize(("text", "sizes"), [("16/8", (16, 8)), ("16,8", (16, 8)), ("4", 4)])
def test_pairs_of_batch_sizes(text, sizes):
    from rmtstab.cli.diagnose import _batches

    assert _batches(text) == sizes
