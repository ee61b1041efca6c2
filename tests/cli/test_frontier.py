"""``rmtstab frontier`` prints the map, draws it, and refuses bad files."""

import numpy as np
from click.testing import CliRunner

from rmtstab.cli import main


def call(*arguments):
    return CliRunner().invoke(main, ["frontier", *map(str, arguments)])


def test_map_is_printed_and_drawn(tmp_path, rng):
    data, image = tmp_path / "factors.npz", tmp_path / "map.png"
    np.savez(data, retain=rng.standard_normal((8, 3)), forget=rng.standard_normal((4, 3)))
    result = call(data, "--batch-sizes", "1,8", "--alphas", 3, "--out", image)
    assert result.exit_code == 0, result.output
    assert "1/1" in result.output and "8/4" in result.output and "critical" in result.output
    assert image.stat().st_size > 1000
    horizon = call(data, "--horizon", 5, "--radius", 2.0, "--alphas", 3)
    assert horizon.exit_code == 0 and "escapes above 4" in horizon.output


def test_gram_without_forget_set(tmp_path):
    data = tmp_path / "gram.npz"
    np.savez(data, gram=np.eye(4), n_retain=4)
    result = call(data, "--batch-sizes", "2")
    assert result.exit_code == 0 and "n_forget=0" in result.output


def test_bad_input_is_a_usage_error(tmp_path):
    data = tmp_path / "bad.npz"
    np.savez(data, nothing=np.eye(2))
    result = call(data)
    assert result.exit_code == 2 and "must hold retain and forget" in result.output
    np.savez(data, retain=np.eye(3), forget=np.eye(3))
    result = call(data, "--batch-sizes", "9")
    assert result.exit_code == 2 and "n_retain=3" in result.output
