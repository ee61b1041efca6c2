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


def test_without_torch_the_core_works_and_the_bridge_says_why():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, rmtstab as rs\n"
        "from rmtstab.experiment import run\n"
        "problem = rs.UnlearningProblem.from_factors(np.eye(3)[:2], np.eye(3)[2:])\n"
        "problem.dynamics(step_size=0.5, batch_size=1, alpha=0.1).growth()\n"
        "print('torch:', run.has_torch())\n"
        "try:\n    rs.bridge\nexcept ImportError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch: False" in run.stdout
    assert "rmtstab.bridge needs torch; install it with `pip install rmtstab[torch]`" in run.stdout
