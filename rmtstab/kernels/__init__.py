"""Numba kernels: arrays and scalars in, arrays out; BLAS does the dense products elsewhere."""
