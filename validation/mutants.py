"""How many small changes of the mathematics the fast tests notice.

python validation/mutants.py map            # which test runs which line (minutes)
python validation/mutants.py run --minutes 60
python validation/mutants.py map tests/laws/test_new.py     # tests that were added
HYPOTHESIS_PROFILE=ci python validation/mutants.py run --again survived
python validation/write_mutants.py

Draws mutants by seed from every site of the five packages (`mutation_sites`), and runs for each
the tests that run its line: the file named after it first, then the cheapest. Tests are collected
once; each mutant is a fork in which functions get their changed code, or, where only what an
import makes is changed, the package is imported anew. No file changes, and compiled kernels stay
cached. What was run is kept after each mutant, so that a stopped run goes on where it was.
"""

import argparse
import ast
import difflib
import gc
import hashlib
import importlib
import importlib.machinery
import json
import multiprocessing
import os
import resource
import sys
import time
import types
from pathlib import Path

import pytest
from _pytest import runner
from hypothesis import Phase, settings
from mutation_sites import mutated, sites

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "validation" / "results" / "mutants.json"
MAP = ROOT / "reports" / "mutants" / "map.json"
PACKAGES = "dynamics", "bounds", "theory", "laws", "curvature"
TESTS = [
    *(f"tests/{name}" for name in (*PACKAGES, "unlearning", "ensembles", "kernels")),
    *(f"rmtstab/{name}" for name in PACKAGES),  # doctests
    "tests/test_checks.py",
    "tests/test_verification.py",
]
OPTIONS = ["-q", "-p", "no:cacheprovider", "--doctest-modules", "--no-header", "-p", "no:xdist"]
# judged besides those drawn: bugs that once were planted, and passed every test
PLANTED = (
    "rmtstab/laws/jacobi.py Jacobi._poles: n1 / p -> n1 * p (1)",
    "rmtstab/laws/spiked.py Spiked.lower_transition: 1.0 - math.sqrt(self.aspect_ratio) -> "
    "1.0 + math.sqrt(self.aspect_ratio) (1)",
    "rmtstab/theory/one_step.py OneStepBound.mix: result.flat[::len(result) + 1] += decay -> "
    "result.flat[::len(result) + 1] -= decay (1)",
    "rmtstab/dynamics/trajectory.py escape_time: if radius <= 1.0: -> if not radius <= 1.0: (1)",
    "rmtstab/theory/coherence_bounds.py HeavySample.critical_batch_size: eta * a -> eta / a (1)",
    "rmtstab/theory/coherence_bounds.py CoherenceBound.critical_batch_size: max(found, "
    "scheme.least_batch) -> min(found, scheme.least_batch) (1)",
    "rmtstab/dynamics/growth.py growth: max(still, update.momentum) -> "
    "min(still, update.momentum) (1)",
    "rmtstab/dynamics/growth.py growth: if r == 0: -> if not r == 0: (1)",
    "rmtstab/theory/rayleigh.py _last_root: curve <= 0.0 -> curve > 0.0 (1)",
    "rmtstab/theory/rayleigh.py _last_root: curve <= 0.0 -> curve < 0.0 (1)",
    # κ and δ of the Volterra threshold: with replacement both n c and n e count
    "rmtstab/theory/volterra_law.py noise_scale: n * c -> n / c (1)",
    "rmtstab/theory/volterra_law.py noise_scale: 1.0 - n * e -> 1.0 + n * e (1)",
    "rmtstab/theory/volterra_law.py noise_scale: n * e -> n / e (1)",
    # what `converged` means
    "rmtstab/dynamics/verdict.py assess: found.certified and found.residual <= 1e-06 * "
    "max(found.value, 1e-300) -> found.certified or found.residual <= 1e-06 * "
    "max(found.value, 1e-300) (1)",
    "rmtstab/dynamics/verdict.py assess: found.residual <= 1e-06 * max(found.value, 1e-300) -> "
    "found.residual > 1e-06 * max(found.value, 1e-300) (1)",
)
MINIMUM = "CoherenceBound._unit: min("  # over the sets: to a maximum
BUDGET = 20.0  # CPU seconds of tests, as they took under coverage, that a mutant has to survive
LOADED = "scipy.stats", "scipy.optimize", "scipy.sparse.linalg", "numba", "mpmath"


def population():
    """``(file, index of the site, site)`` of every site, in order."""
    for package in PACKAGES:
        for path in sorted((ROOT / "rmtstab" / package).glob("*.py")):
            for index, site in enumerate(sites(ast.parse(path.read_text()))):
                yield str(path.relative_to(ROOT)), index, site


def draw(seed, number):
    """Mutants drawn by seed: those whose names hash lowest.

    A change of one file draws anew there only.
    """
    seen, rows = {}, []
    for file, index, site in population():
        name = f"{file} {site.function}: {site.before} -> {site.after}"
        seen[name] = seen.get(name, 0) + 1
        row = {"name": f"{name} ({seen[name]})", "file": file, "index": index, "line": site.line}
        rows.append(row | {"kind": site.kind, "outcome": None})
    rows.sort(key=lambda row: hashlib.sha256(f"{seed} {row['name']}".encode()).digest())
    named = [r for r in rows if r["name"] in PLANTED or MINIMUM in r["name"]]
    assert len(named) == len(PLANTED) + 1, "a planted mutant is gone: name its successor"
    drawn = rows[:number]
    return len(rows), [{**r, "planted": True} for r in named] + [r for r in drawn if r not in named]


class Cover:
    """Pytest plugin: lines that each test runs, and its CPU seconds."""

    def __init__(self, measured):
        self.measured, self.seconds, self.failed = measured, {}, set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item):
        # what a shared fixture runs is every test's of that file
        self.measured.switch_context(item.nodeid.split("::")[0])
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item):
        self.measured.switch_context(item.nodeid)
        start = time.process_time()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.process_time() - start

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.add(report.nodeid)


class Session:
    """Pytest plugin: collect once, then judge mutants in forks instead of running the tests."""

    def __init__(self, judged):
        self.judged = judged

    def pytest_collection(self):
        """No shrinking of failures, no database."""
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", settings(), phases=phases, database=None)
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session):
        """In the parent: hand over the tests by name."""
        self.judged({item.nodeid: item for item in session.items})
        return True


def make_map(tests):
    """Run fast tests once under coverage, a context a test; only some: add them to the map."""
    import coverage

    measured = coverage.Coverage(
        data_file=None, source=[str(ROOT / "rmtstab" / name) for name in PACKAGES]
    )
    plugin = Cover(measured)
    measured.start()
    pytest.main([*OPTIONS, *(tests or TESTS)], plugins=[plugin])
    measured.stop()
    data = measured.get_data()
    old = json.loads(MAP.read_text()) if tests else {"lines": {}, "seconds": {}, "sources": {}}
    lines, sources = {}, {}
    for path in sorted({*map(Path, data.measured_files()), *(ROOT / f for f in old["lines"])}):
        file = str(path.relative_to(ROOT))
        sources[file] = path.read_text()
        lines[file] = lines_now(old["lines"].get(file, {}), old["sources"].get(file), sources[file])
        for number, found in (data.contexts_by_lineno(str(path)) or {}).items():
            known = lines[file].setdefault(str(number), [])
            known += sorted(set(filter(None, found)) - set(known))
    seconds = {name: s for name, s in plugin.seconds.items() if name not in plugin.failed}
    MAP.parent.mkdir(parents=True, exist_ok=True)
    whole = {"lines": lines, "seconds": old["seconds"] | seconds, "sources": sources}
    MAP.write_text(json.dumps(whole))
    print(f"{len(seconds)} tests, {sum(seconds.values()):.0f} CPU s; failed: {plugin.failed}")


def lines_now(lines, then, now):
    """A file's map moved to the lines of its source as it is now."""
    if then is None or then == now:
        return lines
    blocks = difflib.SequenceMatcher(None, then.splitlines(), now.splitlines(), False)
    moved = {}
    for old, new, size in blocks.get_matching_blocks():
        for k in range(1, size + 1):
            if str(old + k) in lines:
                moved[str(new + k)] = lines[str(old + k)]
    return moved


def tests_of(row, known, budget):
    """Tests that run a mutant's line within a budget; of a line run at import, the file's."""
    of_file = known["lines"].get(row["file"], {})
    now = (ROOT / row["file"]).read_text()
    of_file = lines_now(of_file, known["sources"].get(row["file"]), now)
    contexts = set(of_file.get(str(row["line"]), ()))
    contexts = contexts or {name for found in of_file.values() for name in found}
    seconds = known["seconds"]
    names = {n for n in seconds if n in contexts or n.split("::")[0] in contexts}
    stem = Path(row["file"]).stem.strip("_")
    files = {}
    for name in names:
        files.setdefault(name.split("::")[0], []).append(name)

    def rank(file):
        # the file named after the mutated one, its own examples, then the cheapest tests
        near = 0 if stem in Path(file).stem and file.startswith("tests") else 1
        return near, min(seconds[n] for n in files[file])

    order, total = [], 0.0
    for file in sorted(files, key=rank):
        for name in sorted(files[file], key=seconds.get):
            if total + seconds[name] <= budget:
                order.append(name)
                total += seconds[name]
    return order, total


class Finder(importlib.machinery.SourceFileLoader):
    """Import hook, and loader, of one module with one change made."""

    def __init__(self, row):
        self.row, path = row, str(ROOT / row["file"])
        super().__init__(row["file"].removesuffix(".py").replace("/", "."), path)

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            return importlib.util.spec_from_file_location(name, self.path, loader=self)
        return None

    def get_code(self, fullname):
        tree = mutated(Path(self.path).read_text(), self.row["index"])
        return compile(tree, self.path, "exec")


def patch(row):
    """Give the functions of a loaded file their mutated code; whether any changed.

    What a file makes as it is imported (constants, defaults, fields) stays.
    """
    whole = Finder(row)
    codes, found = {}, [whole.get_code(whole.name)]
    while found:
        code = found.pop()
        codes[code.co_qualname, code.co_firstlineno] = code
        found += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    changed = False
    for function in gc.get_objects():
        if isinstance(function, types.FunctionType):
            old = function.__code__
            new = codes.get((old.co_qualname, old.co_firstlineno))
            if new is not None and old.co_filename == new.co_filename and old != new:
                function.__code__, changed = new, True
    return changed


def attempt(row, order, limit, items, answer):
    """In a child: run tests with the mutant in place, and say which failed first."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1), os.dup2(silent, 2)
    if items is None:  # imported anew, also what the parent has loaded to collect tests
        for name in [n for n in sys.modules if n.partition(".")[0] in ("rmtstab", "tests")]:
            del sys.modules[name]
        sys.meta_path.insert(0, Finder(row))
        files = list(dict.fromkeys(name.split("::")[0] for name in order))
        loop = Session(lambda found: answer.send(first_failure(order, found)))
        # pytest's own loader of what it rewrites would hide the changed file from its doctests
        if pytest.main([*OPTIONS, "--assert=plain", *files], plugins=[loop]) != 0:
            answer.send("collection")
    elif patch(row):
        answer.send(first_failure(order, items))
    else:
        answer.send(False)  # only what an import makes is changed
    os._exit(0)


def first_failure(order, items):
    """Name of the first test that fails, None if all pass."""
    for place, name in enumerate(order):
        following = items.get(order[place + 1]) if place + 1 < len(order) else None
        if name not in items:
            return name  # a mutant made it vanish
        reports = runner.runtestprotocol(items[name], log=False, nextitem=following)
        if any(report.failed for report in reports):
            return name
    return None


def judge(row, known, budget, items):
    """Outcome of one mutant: "killed" (by a test, or by time), "survived", "no test"."""
    order, seconds = tests_of(row, known, budget)
    if not order:
        return {"outcome": "no test"}
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    limit = int(4 * seconds + 30)
    start = time.monotonic()
    child = context.Process(target=attempt, args=(row, order, limit, items, theirs))
    child.start()
    theirs.close()
    try:
        killer = ours.recv() if ours.poll(100 * limit) else "time"
    except EOFError:
        killer = "time"  # ended by its limit of CPU seconds, or by a crash
    child.kill()
    child.join()
    if killer is False:
        return judge(row, known, budget, None)
    return {
        "outcome": "survived" if killer is None else "killed", "by": killer, "tests": len(order),
        "seconds": round(time.monotonic() - start, 1),
    }  # fmt: skip


def run(seed, number, minutes, again):
    """Judge drawn mutants until the time is over, but those whose outcome is kept."""
    known = json.loads(MAP.read_text())
    total, rows = draw(seed, number)
    kept = json.loads(RESULTS.read_text())["mutants"] if RESULTS.exists() else []
    old = {row["name"]: row for row in kept}
    for row in rows:
        if row["name"] in old and old[row["name"]]["outcome"] not in again:
            row |= {k: v for k, v in old[row["name"]].items() if k not in ("index", "line")}
    end = time.monotonic() + 60 * minutes

    def judged(items):
        for row in rows:
            if row["outcome"] is None and time.monotonic() < end:
                row |= judge(row, known, BUDGET, None if again else items)
                print(row["outcome"], row["name"], row.get("by"), row.get("seconds"), flush=True)
                keep({"seed": seed, "sites": total, "budget": BUDGET, "mutants": rows})

    if again:  # survivors of patched functions: imported anew
        judged(None)
    else:
        for name in LOADED:
            importlib.import_module(name)
        pytest.main([*OPTIONS, *TESTS], plugins=[Session(judged)])
    keep({"seed": seed, "sites": total, "budget": BUDGET, "mutants": rows})


def keep(found):
    """Write the results whole or not at all; indices belong to one state of the sources."""
    rows = [{k: v for k, v in row.items() if k != "index"} for row in found["mutants"]]
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps(found | {"mutants": rows}, indent=1) + "\n")
    temporary.replace(RESULTS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=["map", "run"])
    parser.add_argument("tests", nargs="*", help="for map: only these, added to what is known")
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--again", nargs="*", default=[], help="outcomes to judge anew")
    chosen = parser.parse_args()
    # two examples a property: what they let through is judged again with all of them
    os.environ.setdefault("HYPOTHESIS_PROFILE", "few")
    for library in ("OPENBLAS", "OMP", "MKL"):  # before NumPy loads
        os.environ[f"{library}_NUM_THREADS"] = "1"
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    if chosen.task == "map":
        make_map(chosen.tests)
    else:
        run(chosen.seed, chosen.number, chosen.minutes, chosen.again)
