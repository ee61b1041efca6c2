"""Sweeps resume, store whole files only, and do not depend on the executor."""

import importlib
import json
import math
import multiprocessing
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from rmtstab.sweeps import Cell, Failure, load, product, provenance, run
from rmtstab.sweeps.run import WorkersDiffer, compute_chunk


def draw(cell):
    return {"value": float(cell.rng().standard_normal()), "x": cell["x"]}


def never(cell):
    pytest.fail("computed again")


def test_results_do_not_depend_on_the_executor(tmp_path):
    cells = product("draw", 7, {"x": range(12)})
    serial = run(cells, draw, tmp_path / "a")
    with ThreadPoolExecutor(4) as pool:
        threaded = run(cells, draw, tmp_path / "b", pool)
    assert serial == threaded
    assert list(threaded) == cells
    assert len({result["value"] for result in serial.values()}) == 12


def test_interrupted_run_resumes(tmp_path):
    cells = product("draw", 0, {"x": range(6)})
    calls = []

    def fails_at_three(cell):
        calls.append(cell["x"])
        if cell["x"] == 3:
            raise KeyboardInterrupt
        return draw(cell)

    with pytest.raises(KeyboardInterrupt):
        run(cells, fails_at_three, tmp_path, fingerprint="draw")
    done = []
    record = done.append
    results = run(cells, draw, tmp_path, on_done=lambda cell: record(cell["x"]), fingerprint="draw")
    assert calls == [0, 1, 2, 3]
    assert sorted(done) == list(range(6))
    assert results == run(cells, never, tmp_path, fingerprint="draw")


def test_damaged_and_foreign_files_are_computed_again(tmp_path):
    (cell,) = product("draw", 0, {"x": [1]})
    expected = run([cell], draw, tmp_path)
    path = tmp_path / f"{cell.key}.json"
    for damage in ("{", "[]", json.dumps({"cell": "another", "result": {"value": 0}})):
        path.write_text(damage)
        with pytest.warns(UserWarning, match="1 cells in .* were damaged: computed again"):
            assert run([cell], draw, tmp_path) == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", path.name]


def test_non_finite_numbers_survive(tmp_path):
    (cell,) = product("odd", 0, {"x": [1]})
    for _ in range(2):
        (result,) = run([cell], lambda cell: {"a": math.inf, "b": math.nan}, tmp_path).values()
        assert result["a"] == math.inf and math.isnan(result["b"])


def test_seed_task_and_parameters_tell_cells_apart():
    cells = [
        Cell.of("a", 0, x=1),
        Cell.of("b", 0, x=1),
        Cell.of("a", 1, x=1),
        Cell.of("a", 0, x=2),
        Cell.of("a", 0, y=1),
    ]
    assert len({cell.key for cell in cells}) == len(cells)
    assert Cell.of("a", 0, x=1, y=2) == Cell.of("a", 0, y=2, x=1)
    assert len({cell.rng().integers(2**62) for cell in cells}) == len(cells)


def test_values_that_python_equates_are_different_cells(tmp_path):
    cells = [Cell.of("a", 0, x=1), Cell.of("a", 0, x=True), Cell.of("a", 0, x=1.0)]
    results = run([*cells, cells[0]], lambda cell: {"x": repr(cell["x"])}, tmp_path)
    assert [r["x"] for r in results.values()] == ["1", "True", "1.0"]


def test_parameters_become_json_values():
    cell = Cell.of("a", 0, batch=(4, 2), n=np.int64(3))
    assert cell == Cell.of("a", 0, batch=[4, 2], n=3)
    with pytest.raises(TypeError, match="parameters must be JSON values"):
        Cell.of("a", 0, x=object())


def odd_fails(cell):
    if cell["x"] % 2:
        raise ValueError("odd")
    return draw(cell)


def test_a_failing_cell_keeps_what_others_computed(tmp_path):
    cells = product("draw", 0, {"x": [0, 2, 1]})
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="odd"):
        run(cells, odd_fails, tmp_path, pool)
    assert load(cells[0], tmp_path) and load(cells[1], tmp_path)
    assert load(cells[2], tmp_path) is None


@pytest.mark.parametrize("threads", [0, 2])
def test_recorded_failures_leave_the_rest_alone_and_are_tried_again(tmp_path, threads):
    cells = product("draw", 0, {"x": range(5)})
    options = {"errors": "record", "chunk_size": 2, "fingerprint": "draw"}
    if threads:
        with ThreadPoolExecutor(threads) as pool:
            results = run(cells, odd_fails, tmp_path, pool, **options)
    else:
        results = run(cells, odd_fails, tmp_path, **options)
    failed = [cell for cell, result in results.items() if isinstance(result, Failure)]
    assert [cell["x"] for cell in failed] == [1, 3]
    assert results[cells[1]].error == "ValueError: odd"
    assert "in odd_fails" in results[cells[1]].traceback
    stored = json.loads((tmp_path / f"{cells[1].key}.json").read_text())
    assert stored["error"] == "ValueError: odd" and "in odd_fails" in stored["traceback"]
    again = run(cells, draw, tmp_path, fingerprint="draw")
    assert again == {cell: draw(cell) for cell in cells}


class Leaves(ThreadPoolExecutor):
    """An executor whose scheduler ends after so many tasks: what is left is cancelled, or waits."""

    def __init__(self, tasks, status):
        super().__init__(1)
        self.left, self.status = tasks, status

    def get_executor(self, pure):
        return self

    def submit(self, *work):
        self.left -= 1
        if self.left >= 0:
            return super().submit(*work)
        future = Future()
        if self.status == "closed":
            future.cancel()
            future.set_running_or_notify_cancel()
        return future


@pytest.mark.parametrize("status", ["closed", "connecting"])
def test_a_lost_scheduler_ends_the_run_and_fails_no_cell(tmp_path, monkeypatch, status):
    monkeypatch.setattr(importlib.import_module("rmtstab.sweeps.run"), "PULSE", 0.05)
    cells = product("draw", 0, {"x": range(6)})
    with (
        Leaves(4, status) as executor,
        pytest.raises(ConnectionError, match="executor must stay until the last cell, got none"),
    ):
        run(cells, draw, tmp_path, executor, errors="record")
    stored = list(tmp_path.glob("*.json"))
    assert len(stored) <= 4 and not any("error" in path.read_text() for path in stored)
    assert run(cells, draw, tmp_path) == {cell: draw(cell) for cell in cells}


def test_a_slow_cell_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("rmtstab.sweeps.run"), "PULSE", 0.01)
    cells = product("draw", 0, {"x": range(2)})

    def slowly(cell):
        time.sleep(0.1)
        return draw(cell)

    with Leaves(2, "running") as executor:
        assert len(run(cells, slowly, tmp_path, executor)) == 2
    with ThreadPoolExecutor(1) as executor:
        assert len(run(cells, slowly, tmp_path / "plain", executor)) == 2


def test_a_changed_function_is_noticed(tmp_path):
    (cell,) = product("f", 0, {"x": [3]})
    scale = 2
    assert run([cell], lambda cell: {"y": scale * cell["x"]}, tmp_path)[cell] == {"y": 6}
    assert run([cell], lambda cell: {"y": scale * cell["x"]}, tmp_path)[cell] == {"y": 6}
    with pytest.warns(UserWarning, match="another version of the function"):
        assert run([cell], lambda cell: {"y": scale + cell["x"]}, tmp_path)[cell] == {"y": 5}
    scale = 4
    with pytest.warns(UserWarning, match="another version of the function"):
        assert run([cell], lambda cell: {"y": scale + cell["x"]}, tmp_path)[cell] == {"y": 7}


def test_a_changed_library_is_noticed(tmp_path, monkeypatch):
    before = provenance.fingerprint(draw)
    monkeypatch.setattr(provenance, "_versions", lambda: {**provenance.versions(), "numpy": "99.0"})
    monkeypatch.setattr(provenance, "versions", lambda: {"numpy": "99.0"})
    assert provenance.fingerprint(draw) != before


def helper(x):
    return x + 1


def through_helper(cell):
    return {"y": helper(cell["x"])}


def test_the_fingerprint_follows_the_functions_that_a_function_names(monkeypatch):
    before = provenance.fingerprint(through_helper)
    assert before == provenance.fingerprint(through_helper)
    monkeypatch.setitem(globals(), "helper", lambda x: x + 2)
    assert provenance.fingerprint(through_helper) != before
    bound = [provenance.fingerprint(partial(draw, offset=k)) for k in (0, 1)]
    assert bound[0] != bound[1]


def test_the_fingerprint_follows_the_caller_s_own_modules_and_no_other_names(tmp_path, monkeypatch):
    (tmp_path / "helpers_of_mine.py").write_text("def scale(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    helpers = importlib.import_module("helpers_of_mine")
    space = {"helpers": helpers, "mean": 3}
    exec("def f(rng, x):\n    return {'y': helpers.scale(x.mean())}", space)
    before = provenance.fingerprint(space["f"])
    space["mean"] = 4  # an attribute of x has that name; the global is not looked up
    assert provenance.fingerprint(space["f"]) == before
    monkeypatch.setattr(helpers, "scale", lambda x: 3 * x)
    assert provenance.fingerprint(space["f"]) != before


def test_a_worker_with_another_form_of_the_function_is_refused():
    mark = provenance.fingerprint(draw)
    assert compute_chunk(draw, [], provenance.versions(), mark) == []
    with pytest.raises(WorkersDiffer, match="must have the function as this process has it"):
        compute_chunk(draw, [], provenance.versions(), "0" * 20)


def test_a_function_changed_under_living_workers_is_refused(tmp_path, monkeypatch):
    """They still hold the module as they read it: its old values would be kept as the new one's."""
    module = tmp_path / "of_mine.py"
    module.write_text("def f(cell):\n    return {'y': cell['x'] + 1}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    of_mine = importlib.import_module("of_mine")
    (cell,) = product("f", 0, {"x": [1]})
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as living:
        assert run([cell], of_mine.f, tmp_path / "out", living)[cell] == {"y": 2}
        module.write_text("def f(cell):\n    return {'y': cell['x'] + 100}\n")
        importlib.invalidate_caches()
        changed = importlib.reload(of_mine).f
        with (
            pytest.warns(UserWarning, match="another version of the function"),
            pytest.raises(WorkersDiffer, match="must have the function as this process has it"),
        ):
            run([cell], changed, tmp_path / "out", living)
    assert load(cell, tmp_path / "out") == {"y": 2}  # as it was
    with pytest.warns(UserWarning, match="another version of the function"):
        assert run([cell], changed, tmp_path / "out")[cell] == {"y": 101}


def test_workers_of_other_versions_are_refused(tmp_path):
    with pytest.raises(
        WorkersDiffer, match=r"same versions as this process, got numpy .* for 0\.1"
    ):
        compute_chunk(draw, [], {**provenance.versions(), "numpy": "0.1"})


def test_arrays_and_numpy_scalars_are_values(tmp_path):
    (cell,) = product("odd", 0, {"x": [1]})
    values = {
        "array": np.array([[0.1, np.nan], [-np.inf, 1e-320]]),
        "single": np.float32(0.1),
        "count": np.int64(3),
        "flag": np.True_,
        "complex": np.array([1 + 2j]),
        "text": np.array(["a", "μ"]),
        "empty": np.zeros((0, 3)),
        "big_endian": np.array([1.5, 2.5], ">f8"),
        "strided": np.arange(12.0).reshape(3, 4)[:, ::2],
    }
    fresh = run([cell], lambda cell: values, tmp_path, fingerprint="f")[cell]
    stored = run([cell], never, tmp_path, fingerprint="f")[cell]
    for found in (fresh, stored):
        for name, value in values.items():
            np.testing.assert_array_equal(found[name], value)
            assert np.shape(found[name]) == np.shape(value)
        assert type(found["single"]) is float and type(found["count"]) is int
        assert found["array"].dtype == np.float64 and found["array"].flags.writeable
    json.loads((tmp_path / f"{cell.key}.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"a": object()}, r"result\['a'\] must hold JSON values or NumPy arrays, got object"),
        ({"a": [1, {2: 3}]}, r"result\['a'\]\[1\] must have text as keys, .* got 2"),
        ({"a": np.longdouble(1)}, "must hold at most 64-bit numbers"),
        ({"a": np.array([1], "m8[s]")}, "must hold numbers or text, got an array of timedelta"),
        ({"a": np.ma.masked_array([1.0], [True])}, "must not be masked"),
        (3.0, "function must return a dict, got float"),
    ],
)
def test_what_is_no_value_is_named(tmp_path, result, message):
    with pytest.raises(TypeError, match=message):
        run(product("odd", 0, {"x": [1]}), lambda cell: result, tmp_path)


@pytest.mark.parametrize(
    ("task", "message"),
    [("../evil", "task must be 1 to 100 letters"), ("", "task must be"), (".hidden", "task must")],
)
def test_a_task_names_no_other_folder(task, message):
    with pytest.raises(ValueError, match=message):
        Cell.of(task, 0)
    with pytest.raises(TypeError, match="task must be text, got 3"):
        Cell.of(3, 0)
    with pytest.raises(ValueError, match="seed must be >= 0"):
        Cell.of("a", -1)
    with pytest.raises(TypeError, match="parameters must be JSON values, got x="):
        Cell.of("t", 0, x=np.longdouble(1))
    with pytest.raises(ValueError, match="x must be finite"):
        Cell.of("t", 0, x=np.inf)


def test_bad_arguments(tmp_path):
    cells = product("draw", 0, {"x": [1]})
    with pytest.raises(TypeError, match="function must be callable, got 3"):
        run(cells, 3, tmp_path)
    with pytest.raises(TypeError, match="executor must have submit, got int"):
        run(cells, draw, tmp_path, 3)
    with pytest.raises(ValueError, match="errors must be one of 'raise', 'record'"):
        run(cells, draw, tmp_path, errors="ignore")
    with pytest.raises(ValueError, match="chunk_size must be >= 1"):
        run(cells, draw, tmp_path, chunk_size=0)


def test_the_code_and_its_tables_are_in_the_digest(tmp_path, monkeypatch):
    """A changed table changes results as changed code does; notes beside them do not."""
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)

    def digest():
        provenance.source_digest.cache_clear()
        return provenance.source_digest()

    try:
        (tmp_path / "laws").mkdir()
        (tmp_path / "laws" / "a.py").write_text("x = 1")
        (tmp_path / "laws" / "table.npz").write_bytes(b"one")
        seen = [digest()]
        (tmp_path / "laws" / "notes.txt").write_text("of no account")
        assert digest() == seen[0]
        (tmp_path / "laws" / "table.npz").write_bytes(b"two")
        seen.append(digest())
        (tmp_path / "laws" / "a.py").write_text("x = 2")
        seen.append(digest())
        (tmp_path / "laws" / "table.npz").rename(tmp_path / "laws" / "other.npz")
        seen.append(digest())
        assert len(set(seen)) == 4 and all(len(found) == 20 for found in seen)
    finally:
        provenance.source_digest.cache_clear()
