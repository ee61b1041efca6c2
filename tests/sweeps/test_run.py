"""Sweeps resume, store whole files only, and do not depend on the executor."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rmtstab.sweeps import Cell, product, run


def draw(cell):
    return {"value": float(cell.rng().standard_normal()), "x": cell["x"]}


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
        run(cells, fails_at_three, tmp_path)
    done = []
    results = run(cells, draw, tmp_path, on_done=lambda cell: done.append(cell["x"]))
    assert calls == [0, 1, 2, 3]
    assert sorted(done) == list(range(6))
    assert results == run(cells, lambda cell: pytest.fail("computed again"), tmp_path)


def test_damaged_and_foreign_files_are_computed_again(tmp_path):
    (cell,) = product("draw", 0, {"x": [1]})
    expected = run([cell], draw, tmp_path)
    path = tmp_path / f"{cell.key}.json"
    for damage in ("{", "[]", json.dumps({"cell": "another", "result": {"value": 0}})):
        path.write_text(damage)
        assert run([cell], draw, tmp_path) == expected
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


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


def test_a_failing_cell_keeps_what_others_computed(tmp_path):
    def odd_fails(cell):
        if cell["x"] % 2:
            raise ValueError("odd")
        return draw(cell)

    cells = product("draw", 0, {"x": [0, 2, 1]})
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="odd"):
        run(cells, odd_fails, tmp_path, pool)
    assert len(list(tmp_path.iterdir())) == 2
