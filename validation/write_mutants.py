"""Write docs/mutants.md from the results of validation/mutants.py.

Why a survivor changes nothing that anyone can see is said in
``validation/results/equivalent_mutants.json``, by the mutant's name.
"""

import collections
import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "validation" / "results"
PAGE = ROOT / "docs" / "mutants.md"
HEAD = """# Would the tests notice?

{made} small changes were drawn by seed ({seed}) from the {sites} places of
{packages} where a sign, an operator, a
comparison, a constant, an index, a minimum or an early exit can be another; the
tests that run the changed line were run, fast ones and documented examples only, under a budget of
{budget:.0f} CPU seconds a mutant. {judged} of the {drawn} drawn were judged.

{summary}

```sh
python validation/mutants.py map                  # which test runs which line
python validation/mutants.py run --minutes 60     # goes on where it was stopped
python validation/write_mutants.py
```

A survivor that is not equivalent gets a test, so the shares are those of the suite as it is now;
when the draw was first judged, three quarters were killed.
A mutant counts as killed when a test fails, cannot be collected, or takes four times the usual
time. A change of one file draws anew in that file only. Annotations, decorators, imports,
documentation and the words of errors are left alone; kernels are not drawn from (their
[naive twins](contributing.md) are their test).

"""


def page(found, reasons):
    """Markdown of the results."""
    planted = [row for row in found["mutants"] if row.get("planted")]
    rows = [row for row in found["mutants"] if not row.get("planted")]
    judged = [row for row in rows if row["outcome"] is not None]
    killed = [row for row in judged if row["outcome"] == "killed"]
    alive = [row for row in judged if row["outcome"] != "killed"]
    argued = [row for row in alive if row["name"] in reasons]
    real = len(judged) - len(argued)
    share = 100 * len(killed) / max(real, 1)
    summary = (
        f"**{len(killed)} killed, {len(argued)} equivalent (argued below), "
        f"{len(alive) - len(argued)} survived: {share:.1f} % of those that change anything.**"
    )
    packages = list(dict.fromkeys(_package(row) for row in rows))
    text = HEAD.format(
        made=len(rows), seed=found["seed"], sites=f"{found['sites']:,}",
        packages=", ".join(f"`{name}`" for name in sorted(packages)), budget=found["budget"],
        judged=len(judged), drawn=len(rows), summary=summary,
    )  # fmt: skip
    text += _counts("package", judged, _package, argued) + "\n"
    text += _counts("kind of change", judged, lambda row: row["kind"], argued)
    text += (
        "\n## Planted\n\nBugs of kinds that once passed every test, judged besides those drawn.\n\n"
    )
    text += "".join(f"- {_words(row)}: {row['outcome'] or 'not judged'}\n" for row in planted)
    if len(alive) > len(argued):
        text += "\n## Survivors\n\n"
        text += "".join(f"- {_words(row)}\n" for row in alive if row not in argued)
    if argued:
        text += "\n## Equivalent\n\nThey change no result, or none that is promised.\n\n"
        text += "".join(f"- {_words(row)}. {reasons[row['name']]}\n" for row in argued)
    return text


def _package(row):
    return row["file"].split("/")[1]


def _words(row):
    place = row["name"].split(": ", 1)
    before, after = place[1].rsplit(" (", 1)[0].split(" -> ", 1)
    return f"`{place[0].removeprefix('rmtstab/')}`: `{before}` → `{after}`"


def _counts(title, rows, key, argued):
    groups = collections.defaultdict(collections.Counter)
    for row in rows:
        kind = "equivalent" if row in argued else row["outcome"]
        groups[key(row)]["survived" if kind == "no test" else kind] += 1
    lines = [f"| {title} | killed | equivalent | survived |", "| --- | --- | --- | --- |"]
    for name in sorted(groups):
        counts = groups[name]
        cells = (str(counts[kind]) for kind in ("killed", "equivalent", "survived"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def read():
    """Results, and the reasons why survivors are equivalent."""
    found = json.loads((RESULTS / "mutants.json").read_text())
    return found, json.loads((RESULTS / "equivalent_mutants.json").read_text())


if __name__ == "__main__":
    PAGE.write_text(page(*read()))
    print(PAGE)
