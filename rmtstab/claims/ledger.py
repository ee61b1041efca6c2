"""Tightness ledger: every bound over extremal families, random ensembles and trained networks.

The rows know nothing of particular bounds: they follow whatever
`rmtstab.unlearning.Dynamics.bounds` returns, by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from rmtstab._results import Bound, FloatArray, Threshold
from rmtstab.claims.registry import Evidence, Outcome
from rmtstab.ensembles import extremal
from rmtstab.sampling import SAMPLINGS, Scheme
from rmtstab.unlearning.dynamics import Dynamics
from rmtstab.unlearning.problem import UnlearningProblem

Record = dict[str, Any]
Interval = tuple[float, float]
SLACK = 1e-10  # relative: what rounding may move a bound or an exact value by
TIGHTER = 1.05  # the nearest failing setting: bounds tighter by this factor
GROWTH, STEP = "growth factor", "critical step size"
EXTREMAL_DRAWS, ENSEMBLE_DRAWS = 8, 240


class Ledger:
    """Bound and exact value, instance by instance."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], Record] = {}
        self.wrong_verdicts: list[str] = []

    def add(
        self, source: str, bounds: Iterable[Bound], growth: Interval, step: Interval | None
    ) -> None:
        """Enter the bounds of one instance against enclosures of ρ and of the critical step.

        A NaN bound is one that the theorem does not give there; without a
        positive exact critical step, bounds on it are not entered.
        """
        for bound in bounds:
            self._enter(source, bound, GROWTH, bound.rho_bound, growth)
            if step is not None:
                self._enter(source, bound, STEP, bound.critical_step_size, step)
            stable, escapes = growth[1] <= 1.0 - SLACK, growth[0] > 1.0 + SLACK
            wrong = escapes if bound.kind == "sufficient" else stable
            if wrong and bound.satisfied == (bound.kind == "sufficient"):
                self.wrong_verdicts.append(f"{bound.name} ({source})")

    def _enter(
        self, source: str, bound: Bound, quantity: str, value: float, exact: Interval
    ) -> None:
        key = (source, bound.name, bound.kind, quantity)
        names = dict(zip(("source", "bound", "kind", "quantity"), key, strict=True))
        counts: Record = {"exact": [], "value": [], "violations": 0, "tightened": 0}
        row = self._rows.setdefault(key, {**names, **counts})
        if math.isnan(value):
            return
        # a lower bound on ρ, like a sufficient step, lies below the exact value
        below = (bound.kind == "necessary") == (quantity == GROWTH)
        row["exact"].append(exact[0])
        row["value"].append(value)
        for name, factor in (("violations", 1.0), ("tightened", TIGHTER)):
            if below:
                row[name] += not value * factor <= exact[1] * (1.0 + SLACK)
            else:
                row[name] += not value / factor >= exact[0] * (1.0 - SLACK)

    def record(self) -> Record:
        """Return the rows and the contradicted verdicts as JSON values.

        A quantity that a bound never gave has no row, unless the bound gave nothing at all.
        """
        given = {row["bound"] for row in self._rows.values() if row["value"]}
        rows = [r for r in self._rows.values() if r["value"] or r["bound"] not in given]
        return {"rows": rows, "wrong_verdicts": self.wrong_verdicts}


def gather(rng: np.random.Generator) -> Record:
    """Fill the ledger from extremal families and both random ensembles: the check of the claim."""
    ledger = Ledger()
    for _ in range(EXTREMAL_DRAWS):
        for sampling in SAMPLINGS:
            for case in extremal.draw(rng, sampling):
                problem = UnlearningProblem.from_factors(case.retain, case.forget)
                exact, step = case.growth_factor, case.critical_step_size
                ledger.add(
                    "extremal",
                    problem.dynamics(**case.settings).bounds(),
                    (exact, exact),
                    (step, step) if step > 0.0 else None,
                )
    for source, sample in (("heavy", heavy), ("spread", spread)):
        for k in range(ENSEMBLE_DRAWS):
            retain, forget, settings = sample(rng, k)
            problem = UnlearningProblem.from_factors(retain, forget)
            dyn = problem.dynamics(**settings)
            exact = dense_growth(retain, forget, **settings)
            ledger.add(source, dyn.bounds(), (exact, exact), _critical(dyn))
    return ledger.record()


def network(problem: UnlearningProblem, batch_sizes: Any, source: str) -> Record:
    """Fill the ledger from one trained network, at half of plain SGD's threshold and twice it.

    The exact ρ is the certified enclosure of `Dynamics.growth`.
    """
    ledger = Ledger()
    some = (batch_sizes[0], batch_sizes[len(batch_sizes) // 2])
    for sampling in SAMPLINGS:
        for batch in some:
            threshold = float(problem.critical_step_size(batch, 0.0, sampling=sampling))
            for alpha in (0.0, 0.05, 0.3):
                for factor in (0.5, 2.0) if alpha == 0.05 else (0.5,):
                    dyn = problem.dynamics(
                        step_size=factor * threshold,
                        batch_size=tuple(batch),
                        alpha=alpha,
                        sampling=sampling,
                    )
                    growth = dyn.growth()
                    interval = growth.value, growth.value + growth.error_bound
                    ledger.add(source, dyn.bounds(), interval, _critical(dyn))
    return ledger.record()


def heavy(rng: np.random.Generator, k: int) -> tuple[FloatArray, FloatArray, Record]:
    """Draw of the *heavy* ensemble: few dimensions, the samples' scales over two decades."""
    d, c = int(rng.integers(1, 7)), int(rng.integers(1, 3))
    sizes = int(rng.integers(2, 9)), int(rng.integers(1, 7))
    sets = [
        rng.standard_normal((n, c, d)) * 10.0 ** rng.uniform(-1.0, 1.0, size=(n, 1, 1))
        for n in sizes
    ]
    return sets[0], sets[1], _settings(rng, sets, sizes, (0.0, 0.05, 0.3, 1.0), k)


def spread(rng: np.random.Generator, k: int) -> tuple[FloatArray, FloatArray, Record]:
    """Draw of the *spread* ensemble: d ≥ 4, sets of 8 and 6 alike samples, batches of 1 or 2."""
    d = int(rng.integers(4, 9))
    sets = [rng.standard_normal((n, 1, d)) for n in (8, 6)]
    return sets[0], sets[1], _settings(rng, sets, (2, 2), (0.0, 0.05, 0.3, 1.0), k)


def _settings(
    rng: np.random.Generator, sets: Any, largest: Any, mixings: tuple[float, ...], k: int
) -> Record:
    """Hyper-parameters: mixing and sampling in turn, ``η λ_max(H̄)`` log-uniform in [0.2, 3]."""
    alpha = mixings[k % len(mixings)]
    batch = int(rng.integers(1, largest[0] + 1)), int(rng.integers(1, largest[1] + 1))
    means = [np.einsum("nci,ncj->ij", z, z) / len(z) for z in sets]
    top = float(np.linalg.eigvalsh((1.0 - alpha) * means[0] + alpha * means[1])[-1])
    step = float(np.exp(rng.uniform(np.log(0.2), np.log(3.0)))) / top
    sampling = SAMPLINGS[(k // len(mixings)) % 3]
    return {"step_size": step, "batch_size": batch, "alpha": alpha, "sampling": sampling}


def dense_growth(
    retain: FloatArray,
    forget: FloatArray,
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
) -> float:
    """ρ by brute force: top eigenvalue of the dense r² × r² matrix of Φ on the range."""
    sets = [
        (sign * a, z, b)
        for sign, a, z, b in zip(
            (1.0, -1.0), (1.0 - alpha, alpha), (retain, forget), batch_size, strict=True
        )
        if a > 0.0 and len(z)
    ]
    rows = np.concatenate([z.reshape(-1, z.shape[2]) for _, z, _ in sets])
    _, values, basis = np.linalg.svd(rows, full_matrices=False)
    basis = basis[values > 1e-12 * values[0]].T
    r = basis.shape[1]
    mix, noise = np.zeros((r, r)), np.zeros((r * r, r * r))
    for a, z, b in sets:
        inside = z @ basis
        hessians = np.einsum("nci,ncj->nij", inside, inside)
        mean, n = hessians.mean(axis=0), len(z)
        c, e = Scheme.named(sampling).coefficients(n, b)
        squares = np.einsum("nij,nkl->ikjl", hessians, hessians).reshape(r * r, r * r)
        noise += a * a * (c * squares - e * n * np.kron(mean, mean))
        mix += a * mean
    jacobian = np.eye(r) - step_size * mix
    dense = np.kron(jacobian, jacobian) + step_size**2 * noise
    return float(np.linalg.eigvalsh(0.5 * (dense + dense.T))[-1])


def _critical(dyn: Dynamics) -> Interval | None:
    """Enclosure of the exact critical step size; None where there is none above 0."""
    options: Any = {"sampling": dyn.sampling, "weight_decay": dyn.weight_decay}
    batch: Any = dyn.batch_size
    if dyn.sampling != "bernoulli":
        batch = tuple(int(b) for b in batch)
    found: Threshold = dyn.problem.critical_step_size(batch, dyn.alpha, **options)
    if not (found.converged and 0.0 < found.value < math.inf):
        return None
    return found.value - found.error_bound, found.value + found.error_bound


def points(rows: list[Record], most: int = 40) -> list[Record]:
    """First instances of each growth row, for `rmtstab.figures.bound_sandwich`."""
    found = []
    for row in rows:
        if row["quantity"] == GROWTH:
            pairs = list(zip(row["exact"], row["value"], strict=True))[:most]
            pairs = [pair for pair in pairs if math.isfinite(pair[1])]
            names = {k: row[k] for k in ("source", "bound", "kind")}
            found.append({**names, "exact": [p[0] for p in pairs], "value": [p[1] for p in pairs]})
    return found


def rows_of(evidence: Evidence, name: str = "tightness-ledger") -> list[Record]:
    """Collect the rows of a run: the check's own, then those of its networks."""
    found = list(evidence["theory"][name]["rows"])
    for cell in evidence.get("ledger", ()):
        found += cell["rows"]
    return found


def summarise(rows: Iterable[Record], over: tuple[str, ...] = ("source",)) -> list[Record]:
    """Minimum, median and maximum of bound/exact for each bound, kind and quantity.

    Parameters
    ----------
    rows : iterable of dict
    over : tuple of str
        Further keys that tell rows apart; ``()`` merges the sources.

    Returns
    -------
    list of dict
        The keys, ``instances``, ``vacuous`` (bounds of 0 or infinity among
        them), ``minimum``, ``median``, ``maximum``, ``violations`` and
        ``tightened`` (violations of the bound made 5 % tighter). A ratio is not
        counted where the exact value is 0.
    """
    keys = (*over, "bound", "kind", "quantity")
    groups: dict[tuple[str, ...], list[Record]] = {}
    for row in rows:
        groups.setdefault(tuple(row[k] for k in keys), []).append(row)
    found = []
    for key, members in groups.items():
        exact, value = (np.concatenate([m[k] for m in members]) for k in ("exact", "value"))
        ratios = value[exact > 0.0] / exact[exact > 0.0]
        low, middle, high = (
            (float(f(ratios)) for f in (np.min, np.median, np.max))
            if ratios.size
            else (math.nan,) * 3
        )
        found.append(
            {
                **dict(zip(keys, key, strict=True)),
                "instances": int(value.size),
                "vacuous": int(np.sum((value == 0.0) | np.isinf(value))),
                "minimum": low,
                "median": middle,
                "maximum": high,
                "violations": int(sum(m["violations"] for m in members)),
                "tightened": int(sum(m["tightened"] for m in members)),
            }
        )
    return found


def judge(evidence: Evidence) -> Outcome:
    """Hold iff no bound is violated and every bound is evaluated in each random source.

    The failing number is the least count of violations over the bounds once
    each is made 5 % tighter.
    """
    rows = rows_of(evidence)
    cells = list(evidence.get("ledger", ()))
    wrong = list(evidence["theory"]["tightness-ledger"]["wrong_verdicts"])
    wrong += [text for cell in cells for text in cell["wrong_verdicts"]]
    table = summarise(rows, over=())
    names = sorted({row["bound"] for row in rows})
    sources = sorted({row["source"] for row in rows})
    silent = [
        f"{name} ({source})"
        for name in names
        for source in sources
        if not any(r["value"] for r in rows if r["bound"] == name and r["source"] == source)
    ]
    violations = sum(row["violations"] for row in table) + len(wrong)
    instances = sum(max(len(r["value"]) for r in rows if r["source"] == s) for s in sources)
    tightened = {
        name: sum(row["tightened"] for row in table if row["bound"] == name) for name in names
    }
    blunt = [name for name, count in tightened.items() if not count]
    if not names:
        return Outcome("no bound was evaluated", math.nan, math.nan, False)
    text = (
        f"{violations} violations over {instances} instances of {len(names)} bounds "
        f"({', '.join(sources)}); 5 % tighter, every bound is violated "
        f"{min(tightened.values())} times or more"
    )
    if blunt:
        text += f", but for {', '.join(blunt)}: never attained to 5 %"
    if silent:
        text += f"; not evaluated: {', '.join(silent)}"
    if not cells:
        text += "; without trained networks (torch is not installed)"
    holds = violations == 0 and not silent
    return Outcome(text, float(violations), math.nan, holds, float(min(tightened.values())))
