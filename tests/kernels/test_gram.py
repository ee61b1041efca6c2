"""The fused kernel against its definition, compiled or not."""

import numpy as np
import pytest

from rmtstab.kernels.gram import add_products

PYTHON = getattr(add_products, "py_func", add_products)  # itself where compilation is off


@pytest.mark.parametrize("function", [add_products, PYTHON], ids=["compiled", "python"])
def test_products_are_added_over_patches(function, rng):
    gram = rng.normal(size=(3, 2, 5))
    masks = rng.integers(0, 9, size=gram.shape).astype(np.float32)
    out = rng.normal(size=(2, 5))
    expected = out + np.einsum("pik,pik->ik", masks, gram)
    function(gram, masks, out)
    np.testing.assert_allclose(out, expected, rtol=1e-13)
