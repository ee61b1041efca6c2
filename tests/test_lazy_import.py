"""`import rmtstab` loads nothing heavy; each name loads on use."""

import subprocess
import sys

HEAVY = ("torch", "dask", "matplotlib", "scipy.stats", "scipy.optimize", "mpmath", "sklearn")


def modules_after(statement):
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_import_is_light():
    loaded = modules_after("import rmtstab")
    assert not loaded & set(HEAVY)
    assert "numpy" not in loaded  # nothing at all is computed at import


def test_core_loads_without_torch_and_figures():
    loaded = modules_after(
        "import rmtstab as rs; rs.laws, rs.ensembles, rs.curvature, rs.dynamics, rs.theory, "
        "rs.bounds, rs.figures, rs.sweeps, rs.UnlearningProblem"
    )
    assert not loaded & {"torch", "dask", "matplotlib", "scipy.stats"}


def test_the_check_sees_a_heavy_import():
    assert "scipy.optimize" in modules_after("import scipy.optimize")


def test_every_public_name_resolves():
    import rmtstab

    for name in rmtstab.__all__:
        if name != "bridge":
            assert getattr(rmtstab, name) is not None
    assert set(rmtstab.__all__) <= set(dir(rmtstab))
