"""Pages of numbers are made from result files: nobody types them, and none is out of date."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "validation" / "results"


def script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages():
    return script(ROOT / "validation" / "write_pages.py")


@pytest.fixture(scope="module")
def accuracy():
    return json.loads((RESULTS / "accuracy.json").read_text())


@pytest.fixture(scope="module")
def performance():
    return json.loads((RESULTS / "performance.json").read_text())


def test_accuracy_is_that_of_the_results(pages, accuracy):
    assert (ROOT / "docs" / "accuracy.md").read_text() == pages.accuracy_page(accuracy)
    for name, found in accuracy.items():
        page = (ROOT / "docs" / "laws" / f"{name}.md").read_text()
        assert pages.table(found["rows"]) in page, "run python validation/write_pages.py"


def test_performance_is_that_of_the_results(pages, performance):
    page = (ROOT / "docs" / "performance.md").read_text()
    assert page == pages.performance_page(performance), "run python validation/write_pages.py"
    assert pages.shown(performance["sweeps"]) in (ROOT / "docs" / "sweeps.md").read_text()


def test_another_number_is_another_page(pages, accuracy, performance):
    name = next(iter(accuracy))
    worse = {**accuracy, name: {**accuracy[name], "rows": [["x", [0.5] * 5]]}}
    assert "5.0e-01" in pages.accuracy_page(worse) != pages.accuracy_page(accuracy)
    name = next(iter(performance))
    slower = {**performance, name: {**performance[name], "output": "took 17 days"}}
    assert "took 17 days" in pages.performance_page(slower)


def test_every_law_with_a_table_was_measured(accuracy):
    marked = {
        path.stem
        for path in (ROOT / "docs" / "laws").glob("*.md")
        if "<!-- accuracy: begin -->" in path.read_text()
    }
    assert marked == set(accuracy)
    worst = {name: max(max(row[1]) for row in found["rows"]) for name, found in accuracy.items()}
    # tables that are computed: distribution functions to 1e-11, densities to 1e-9, as they say
    densities, functions = zip(
        *(row[1] for row in accuracy["tracy_widom_general"]["rows"]), strict=True
    )
    assert max(functions) < 1e-11 and max(densities) < 1e-9
    del worst["tracy_widom_general"]
    assert worst.pop("free_convolution") < 1e-11
    assert max(worst.values()) < 1e-12  # twelve digits


def test_a_benchmark_that_fails_keeps_no_other_from_being_recorded(tmp_path, monkeypatch):
    record = script(ROOT / "validation" / "benchmarks" / "record.py")
    monkeypatch.setattr(record, "RESULTS", tmp_path / "performance.json")
    monkeypatch.setattr(record, "measure", lambda n: {} if n == "laws" else {"cpu_seconds": 1.0})
    monkeypatch.setattr("sys.argv", ["record.py", "growth", "laws", "bounds"])
    with pytest.raises(SystemExit, match="failed, with what they said above: laws"):
        record.main()
    assert set(json.loads((tmp_path / "performance.json").read_text())) == {"growth", "bounds"}


def test_every_benchmark_can_be_recorded(performance):
    record = script(ROOT / "validation" / "benchmarks" / "record.py")
    files = {p.stem for p in (ROOT / "validation" / "benchmarks").glob("*.py")}
    assert set(record.ARGUMENTS) == files - {"record", "timing"} and set(performance) <= files
