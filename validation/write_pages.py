"""Write docs/accuracy.md and docs/performance.md from validation/results.

python validation/accuracy_laws.py            # first, where a law changed
python validation/benchmarks/record.py NAME   # or where a benchmark did
python validation/write_pages.py
"""

import ast
import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS, DOCS = ROOT / "validation" / "results", ROOT / "docs"
FUNCTIONS = ("pdf", "cdf", "sf", "ppf", "isf")
MADE = "<!-- made by validation/write_pages.py: change nothing here -->\n"
ACCURACY = """# Accuracy

Worst errors of each law over the settings and points of its own page, against an independent
route at 30 digits or more: relative, and absolute where the law is known by a solver only. Inputs
are taken as the doubles that they are. `python validation/accuracy_laws.py` measures,
`python validation/write_pages.py` writes this page and the tables of the laws.

"""
PERFORMANCE = """# Performance

What each benchmark printed, and where. Most numbers are ratios within one process, to a floor that
cannot be avoided: a matrix product, a bare loop, an import. Seconds of processor time depend on the
machine; seconds of wall time also on what else ran, which the load says (on two cores, 2 is full).
`python validation/benchmarks/record.py` measures, `python validation/write_pages.py` writes this
page.

"""
OWN_ORDER = (
    "import_time", "laws", "finite_n", "second_moment", "growth", "stability_map", "horizon_map",
    "bounds", "coherence", "simulation", "cnn_gram", "bridge", "peers", "diagnosis", "sweeps",
)  # fmt: skip


def table(rows):
    """Markdown table of a law's rows, each a label and errors."""
    names = FUNCTIONS[: len(rows[0][1])]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {label} | " + " | ".join(f"{v:.1e}" for v in worst) + " |" for label, worst in rows
    ]
    return "\n".join(lines)


def accuracy_page(results):
    """Docs page of the worst error of each law and function.

    Parameters
    ----------
    results : dict
        By law: ``rows``, ``kind`` ("relative" or "absolute"), ``date``, ``versions``.
    """
    lines = ["| law | settings | errors | " + " | ".join(FUNCTIONS) + " | measured |"]
    lines.append("|---" * (4 + len(FUNCTIONS)) + "|")
    for name, found in results.items():
        columns = list(zip(*(worst for _, worst in found["rows"]), strict=True))
        worst = [f"{max(column):.1e}" for column in columns]
        worst += [""] * (len(FUNCTIONS) - len(worst))
        title = (DOCS / "laws" / f"{name}.md").read_text().splitlines()[0].removeprefix("# ")
        lines.append(
            f"| [{title}](laws/{name}.md) | {len(found['rows'])} | {found['kind']} | "
            + " | ".join(worst)
            + f" | {found['date']} |"
        )
    return ACCURACY + MADE + "\n" + "\n".join(lines) + "\n\n" + stated(results)


def performance_page(results):
    """Docs page of what benchmarks printed.

    Parameters
    ----------
    results : dict
        By benchmark, as `validation/benchmarks/record.py` keeps it.
    """
    parts = [PERFORMANCE + MADE]
    for name in [n for n in OWN_ORDER if n in results] + sorted(set(results) - set(OWN_ORDER)):
        found = results[name]
        source = (ROOT / "validation" / "benchmarks" / f"{name}.py").read_text()
        about = ast.get_docstring(ast.parse(source)).split("\n\n")[0].replace("\n", " ")
        parts.append(f"## {name.replace('_', ' ')}\n\n{about}\n\n{shown(found)}\n")
    return "\n".join(parts) + "\n" + stated(results)


def shown(found):
    """What a benchmark printed, and where."""
    busy = " and ".join(f"{value:g}" for value in dict.fromkeys(found["load"]))
    return (
        f"```text\n$ {found['command']}\n{found['output']}\n```\n\n"
        f"{found['date']}, {found['processor']}, {found['cores']} cores, load {busy}; "
        f"{found['cpu_seconds']:g} s of processor time, {found['wall_seconds']:g} s of wall."
    )


def stated(results):
    """Versions that the numbers are of, one line a version."""
    lines = {
        ", ".join(f"{k} {v}" for k, v in found["versions"].items()) for found in results.values()
    }
    return "Versions: " + "; ".join(sorted(lines)) + ".\n"


def main():
    """Write both pages, and the tables of the laws' pages."""
    accuracy = json.loads((RESULTS / "accuracy.json").read_text())
    for name, found in accuracy.items():
        path = DOCS / "laws" / f"{name}.md"
        path.write_text(between(path.read_text(), "accuracy", table(found["rows"])))
    (DOCS / "accuracy.md").write_text(accuracy_page(accuracy))
    performance = json.loads((RESULTS / "performance.json").read_text())
    (DOCS / "performance.md").write_text(performance_page(performance))
    path = DOCS / "sweeps.md"
    path.write_text(between(path.read_text(), "cost", shown(performance["sweeps"])))


def between(page, name, text):
    """Replace what stands between a page's marks of that name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"


if __name__ == "__main__":
    main()
