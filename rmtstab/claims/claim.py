"""Claims as data: what is said, under which normalisation and horizon, and how it is checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from rmtstab import _checks
from rmtstab._record import Record

Evidence = Mapping[str, Any]  # results.json without the claims: the numbers of one run
Check = Callable[..., dict[str, Any]]  # (generator, scale of the theory = 1.0)
SIGMAS = 5.0  # deviations that an agreement may show, in standard errors
WORDS = (
    "name", "statement", "latex", "assumptions", "normalisation", "horizon", "source", "fails",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome(Record):
    """What a check found.

    Attributes
    ----------
    measured : str
        In words and numbers.
    value : float
        The number judged; NaN where there was nothing to judge.
    error_bar : float
        Of ``value``, in its units; NaN where it has none.
    holds : bool or None
        None: reported without a threshold.
    failing : float
        The same number in the nearest setting in which the claim fails; NaN where not measured.
    """

    measured: str
    value: float
    error_bar: float
    holds: bool | None
    failing: float = math.nan

    def __post_init__(self) -> None:
        if self.holds is not None:
            object.__setattr__(self, "holds", _checks.flag("holds", self.holds))


@dataclass(frozen=True)
class Claim:
    """A statement with everything it depends on, and the function that judges it.

    Attributes
    ----------
    name : str
        Identifier, in kebab case.
    statement : str
        In words.
    latex : str
        The same as a formula.
    assumptions : str
        Under which it is claimed.
    normalisation : str
        Step-size protocol and batch sizes.
    horizon : str
        Steps over which it is claimed, or "none".
    source : str
        Paper and theorem, or where it is derived.
    fails : str
        The nearest setting in which it does not hold.
    judge : callable
        From the evidence to an `Outcome`.
    needs : tuple of str
        Stages of a run (see `rmtstab.experiment.run`) without which it cannot be judged.
    uses : tuple of str
        Further stages that it takes up where torch is installed.
    check : callable or None
        Of a theory claim: ``check(rng, scale)``, from a generator to JSON numbers, the record it
        is judged by; every number of the theory is multiplied by ``scale``. An entry ``"figure"``
        in the record is drawn by `rmtstab.figures.check_series`.
    mutation : float or None
        The scale of the theory at which the claim must fail; None: it is not tried.
    judge_wrong : callable or None
        With a ``mutation``: the same judge of the wrong theory, from the same evidence, so that
        nothing is drawn again. Of network claims, and of theory claims judged twice.
    long : bool
        Whether the check takes ten seconds or more: the tiny preset leaves it out.

    See Also
    --------
    theory_claim : registers a claim that needs no network.
    """

    name: str
    statement: str
    latex: str
    assumptions: str
    normalisation: str
    horizon: str
    source: str
    fails: str
    judge: Callable[[Evidence], Outcome]
    needs: tuple[str, ...] = ("networks",)
    uses: tuple[str, ...] = ()
    check: Check | None = None
    mutation: float | None = None
    judge_wrong: Callable[[Evidence], Outcome] | None = None
    long: bool = False

    @property
    def needs_torch(self) -> bool:
        """Whether its evidence comes from trained networks."""
        return self.needs != ("theory",)

    def judge_mutated(self, evidence: Evidence) -> Outcome | None:
        """Judge the wrong theory's record; None where the run has none.

        Parameters
        ----------
        evidence : mapping
        """
        _checks.mapping("evidence", evidence)
        if self.judge_wrong is not None:
            return self.judge_wrong(evidence)
        if self.name not in evidence.get("mutations", {}):
            return None
        wrong = {**evidence["theory"], self.name: evidence["mutations"][self.name]}
        return self.judge({**evidence, "theory": wrong})

    def record(self, evidence: Evidence) -> dict[str, Any]:
        """Judge, and return statement and outcome as JSON values.

        A claim that holds of the wrong theory too does not hold: it says nothing.

        Parameters
        ----------
        evidence : mapping
            Numbers of one run.
        """
        _checks.mapping("evidence", evidence, self.needs)
        if self.check is not None:
            _checks.mapping("evidence['theory']", evidence["theory"], (self.name,))
        outcome, mutated = self.judge(evidence), self.judge_mutated(evidence)
        words = {key: getattr(self, key) for key in WORDS}
        found = {
            **words,
            "measured": outcome.measured,
            "value": outcome.value,
            "error_bar": outcome.error_bar,
            "holds": outcome.holds,
            "failing": outcome.failing,
        }
        if mutated is not None:
            found["holds"] = bool(outcome.holds) and not mutated.holds
            found["mutation"] = {
                "scale": self.mutation,
                "holds": mutated.holds,
                "value": mutated.value,
                "measured": mutated.measured,
            }
        return found


def theory_claim(
    *,
    name: str,
    check: Check,
    judge: Callable[[dict[str, Any]], Outcome],
    uses: tuple[str, ...] = (),
    mutation: float | None = None,
    same_draws: bool = False,
    long: bool = False,
    **words: str,
) -> Claim:
    """Make a claim that needs no network: a check that samples, and a judge of its record.

    Parameters
    ----------
    name : str
        Also the key of the record, ``evidence["theory"][name]``.
    check : callable
        ``check(rng)`` → JSON numbers; a module-level function. With a
        ``mutation`` it is ``check(rng, scale=1.0)``, and multiplies every number
        of the theory by ``scale``. An entry ``"figure"`` is drawn in the report.
    judge : callable
        ``judge(record)`` → `Outcome`; give `Outcome.failing` the number measured
        where the claim fails.
    uses : tuple of str
        As in `Claim`.
    mutation : float, optional
        As in `Claim`: 1.1, or 1.02 where the error bars can tell 2 %.
    same_draws : bool
        Whether ``check(rng)`` reads the wrong theory from its own draws: the record that it would
        have is then the record's ``"wrong"``, and the check is not run again.
    long : bool
        As in `Claim`.
    **words : str
        The other fields of `Claim`.

    Returns
    -------
    Claim

    Examples
    --------
    >>> from rmtstab.claims import Outcome, theory_claim
    >>> claim = theory_claim(
    ...     name="mean-of-squares",
    ...     check=lambda rng, scale=1.0: {"off": float((rng.normal(size=999) ** 2).mean()) - scale},
    ...     judge=lambda r: Outcome(f"off by {r['off']:.2f}", r["off"], 0.01, abs(r["off"]) < 0.05),
    ...     statement="Squares of normal numbers have mean 1.", latex="E g^2 = 1",
    ...     assumptions="none", normalisation="none", horizon="none", source="textbook",
    ...     fails="for a variance of 2",
    ... )
    >>> claim.needs_torch, claim.record({"theory": {"mean-of-squares": {"off": 0.01}}})["holds"]
    (False, True)
    """

    @wraps(judge)
    def judge_evidence(evidence: Evidence) -> Outcome:
        return judge(evidence["theory"][name])

    @wraps(judge)
    def judge_wrong(evidence: Evidence) -> Outcome:
        return judge(evidence["theory"][name]["wrong"])

    same = _checks.flag("same_draws", same_draws)
    if same and mutation is None:
        raise ValueError("same_draws needs a mutation, got None")
    return Claim(
        name=name,
        judge=judge_evidence,
        needs=("theory",),
        uses=uses,
        check=check,
        mutation=mutation,
        judge_wrong=judge_wrong if same else None,
        long=_checks.flag("long", long),
        **words,
    )
