"""The fused panel kernel against its definition, compiled or not."""

import numpy as np

from rmtstab.kernels.gram import fuse_panel


def test_panel_is_the_double_sum_over_patches(rng):
    n, patches, first = 5, 3, 2
    left, right = 2, n - first
    gram = rng.normal(size=(left * patches, right * patches))
    masks = rng.integers(0, 9, size=gram.shape).astype(np.float32)
    scale = rng.uniform(0.5, 2, size=n)
    out = np.full((n, n), np.nan)
    fuse_panel(gram, masks, scale, first, out)
    for i in range(left):
        for k in range(right):
            block = np.s_[i * patches : (i + 1) * patches, k * patches : (k + 1) * patches]
            expected = scale[first + i] * scale[first + k] * np.sum(gram[block] * masks[block])
            if k >= i:
                np.testing.assert_allclose(out[first + i, first + k], expected, rtol=1e-13)
                assert out[first + k, first + i] == out[first + i, first + k]
    assert np.isnan(out[:first]).all()


def test_python_twin_agrees(rng):
    gram, masks = rng.normal(size=(4, 6)), rng.integers(0, 5, size=(4, 6)).astype(np.float32)
    scale = np.ones(3)
    compiled, plain = np.zeros((3, 3)), np.zeros((3, 3))
    fuse_panel(gram, masks, scale, 0, compiled)
    fuse_panel.py_func(gram, masks, scale, 0, plain)
    np.testing.assert_allclose(compiled, plain, rtol=1e-13)
