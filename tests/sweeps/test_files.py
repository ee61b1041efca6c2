"""Whatever happens to disk or process: nothing lost, nothing half written, nothing stale."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from rmtstab.sweeps import FolderInUse, Sweep, product, run
from rmtstab.sweeps.files import is_whole, locked, read_sealed, write_atomically, write_sealed


def draw(cell):
    return {"value": float(cell.rng().standard_normal()), "x": cell["x"]}


def files_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_every_flipped_bit_and_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "a.json"
    write_sealed(path, '{"result": {"x": 0.25, "y": "text"}}')
    whole = path.read_bytes()
    assert read_sealed(path) == whole
    for position in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << position % 8
        assert not is_whole(bytes(damaged)), position
    for length in range(len(whole)):
        assert not is_whole(whole[:length]), length
    for damaged in (whole[:-1], whole[:40], b"", whole + b" "):
        path.write_bytes(damaged)
        assert read_sealed(path) is None


def fifo(path):
    os.mkfifo(path)


def folder(path):
    path.mkdir()
    (path / "kept").write_text("data")


def link(path):
    target = path.with_name("elsewhere")
    target.write_text("untouched")
    path.symlink_to(target)


@pytest.mark.parametrize("obstacle", [fifo, folder, link])
def test_what_is_no_file_in_a_cells_place(tmp_path, obstacle):
    (cell,) = product("draw", 0, {"x": [1]})
    path = tmp_path / f"{cell.key}.json"
    obstacle(path)
    with pytest.warns(UserWarning, match="damaged"):
        assert run([cell], draw, tmp_path)[cell] == draw(cell)
    assert path.is_file() and not path.is_symlink()
    if obstacle is folder:  # set aside, not lost
        (aside,) = tmp_path.glob("*.aside-*")
        assert (aside / "kept").read_text() == "data"
    if obstacle is link:
        assert (tmp_path / "elsewhere").read_text() == "untouched"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run([cell], draw, tmp_path)


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    cells = product("draw", 0, {"x": range(4)})
    opened, count = open, [0]

    def full_at_the_third(file, *arguments, **options):
        if isinstance(file, int):
            count[0] += 1
            if count[0] == 3:
                os.close(file)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(file, *arguments, **options)

    monkeypatch.setattr("builtins.open", full_at_the_third)
    with pytest.raises(OSError, match="No space left"):
        run(cells, draw, tmp_path)
    monkeypatch.undo()
    assert files_in(tmp_path) == sorted(f"{cell.key}.json" for cell in cells[:2])
    done = []
    assert run(cells, draw, tmp_path, on_done=done.append) == {c: draw(c) for c in cells}


class Full:
    """Disks that are full from the n-th write on: opening, writing, and renaming count."""

    def __init__(self, monkeypatch, last):
        self.last, self.count = last, 0
        opened, replaced = open, os.replace

        def open_or_not(file, *arguments, **options):
            if isinstance(file, int):
                try:
                    self.step()
                except OSError:
                    os.close(file)
                    raise
            return opened(file, *arguments, **options)

        def replace_or_not(*arguments, **options):
            self.step()
            return replaced(*arguments, **options)

        monkeypatch.setattr("builtins.open", open_or_not)
        monkeypatch.setattr("os.replace", replace_or_not)

    def step(self):
        self.count += 1
        if self.count > self.last:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_full_at_any_stage(tmp_path):
    """Of a sweep with a file of its own: its description, every cell, every rename."""
    sweep = Sweep(draw_x, {"x": [1, 2, 3]})
    last, stopped = 0, True
    while stopped:
        folder = tmp_path / str(last)
        with pytest.MonkeyPatch.context() as patch:
            disk = Full(patch, last)
            try:
                sweep.run(folder)
                stopped = False
            except OSError as error:
                assert error.errno == errno.ENOSPC
        for path in folder.glob("*.json"):
            assert read_sealed(path) is not None, last
        assert not list(folder.glob(".*.tmp")), last
        again = sweep.run(folder)  # there is room again
        assert again["value"].values.tolist() == [2.0, 4.0, 6.0], last
        last += 1
    assert disk.count == last - 1 >= 8  # four files, opened and renamed


def draw_x(rng, x):
    """Twice x."""
    return {"value": 2.0 * x}


HOLD = """
import sys, time
from pathlib import Path
from rmtstab.sweeps import product, run

def held(cell):
    folder = Path(sys.argv[1])
    (folder / "began").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return {"value": 1.0}

run(product("draw", 0, {"x": [1]}), held, Path(sys.argv[1]) / "cells", fingerprint="held")
"""


def test_two_processes_on_one_folder(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)])
    try:
        while not (tmp_path / "began").exists() and other.poll() is None:
            time.sleep(0.01)
        with pytest.raises(FolderInUse, match="folder must not be in use by another run"):
            run(product("draw", 0, {"x": [2]}), draw, tmp_path / "cells")
        (tmp_path / "go").touch()
        assert other.wait(timeout=60) == 0
    finally:
        other.kill()
    # the lock went with its holder, and what it wrote is whole
    assert len(run(product("draw", 0, {"x": [2]}), draw, tmp_path / "cells")) == 1
    found = [path for path in (tmp_path / "cells").glob("*.json") if read_sealed(path)]
    assert len(found) == 2


def test_threads_writing_one_file_do_not_meet(tmp_path):
    path, seen = tmp_path / "a", []

    def write(text):
        for _ in range(50):
            write_atomically(path, text * 1000)
            seen.append(path.read_text())

    threads = [threading.Thread(target=write, args=(c,)) for c in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 200
    assert all(len(text) == 1000 and len(set(text)) == 1 for text in seen)
    assert files_in(tmp_path) == ["a"]


def test_a_folder_in_use_is_locked_out(tmp_path):
    cells = product("draw", 0, {"x": range(3)})

    def nested(cell):
        with pytest.raises(FolderInUse, match="folder must not be in use by another run"):
            run(product("other", 0, {"x": [1]}), draw, tmp_path)
        return draw(cell)

    results = run(cells, nested, tmp_path)
    with locked(tmp_path):  # what is complete can be read all the same
        assert run(cells, nested, tmp_path) == results


def test_stale_temporary_files_are_cleared(tmp_path):
    stale = tmp_path / ".a.json.1.2.0123.tmp"
    stale.write_text("half")
    run(product("draw", 0, {"x": [1]}), draw, tmp_path)
    assert not stale.exists()


def test_a_waiting_link_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 16)
    ticket = f"{os.getpid()}.{threading.get_ident()}.{'0' * 16}"
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / f".a.{ticket}.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "a", "data")
    assert victim.read_text() == "untouched"


SCRIPT = """
import sys, time
from rmtstab.sweeps import product, run

def slowly(cell):
    time.sleep(0.002)
    return {"value": float(cell.rng().standard_normal())}

run(product("draw", 0, {"x": range(400)}), slowly, sys.argv[1], fingerprint="slowly")
"""


def kill_and_resume(tmp_path, delays):
    def value(cell):
        return {"value": float(cell.rng().standard_normal())}

    cells = product("draw", 0, {"x": range(400)})
    before = 0
    for delay in delays:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)])
        while len(list(tmp_path.glob("*.json"))) <= before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = len(list(tmp_path.glob("*.json")))
        for path in tmp_path.glob("*.json"):
            assert read_sealed(path) is not None
    done = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing damaged, nothing stale
        found = run(cells, value, tmp_path, on_done=done.append, fingerprint="slowly")
    assert before > 0 and len(done) == 400
    assert found == {cell: value(cell) for cell in cells}
    assert not list(tmp_path.glob(".*.tmp"))


def test_killed_at_a_random_moment(tmp_path):
    kill_and_resume(tmp_path, [random.Random(0).uniform(0.0, 0.3)])


@pytest.mark.slow
def test_killed_at_twenty_random_moments(tmp_path):
    source = random.Random(1)
    for k in range(10):
        folder = tmp_path / str(k)
        folder.mkdir()
        kill_and_resume(folder, [source.uniform(0.0, 0.3) for _ in range(2)])


def large(cell):
    """Return a result of 40 kB."""
    return {"x": np.full(3750, cell["k"], dtype=float)}


def test_a_disk_that_is_full_in_earnest(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        cells = product("large", 0, {"k": list(range(12))})
        with pytest.raises(OSError, match="No space left"):
            run(cells, large, place / "out")
        kept = sorted((place / "out").glob("*.json"))
        assert 0 < len(kept) < 12 and all(is_whole(path.read_bytes()) for path in kept)
        assert not list((place / "out").glob(".*.tmp"))
        before = {path: path.stat().st_mtime_ns for path in kept}
        subprocess.run(["mount", "-o", "remount,size=4m", str(place)], check=True)
        found = run(cells, large, place / "out")  # there is room again: the same call goes on
        assert [result["x"][0] for result in found.values()] == list(range(12))
        assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    finally:
        subprocess.run(["umount", str(place)], check=True)
