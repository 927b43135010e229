"""Writes reference.npz and reference_compressed.npz with NumPy (pip install numpy), from the same arrays.

    python3 tests/io/reference_npz.py

Another writer than ours, which is the point. The values are in the test."""

import pathlib

import numpy as np

here = pathlib.Path(__file__).parent
arrays = {
    "z": np.arange(6, dtype=np.float32).reshape(2, 3) / 4,
    "columns": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
    "swapped": np.array([1, -2, 300], dtype=">i2"),
    "flag": np.array([True, False, True]),
    "layer/0.weight": np.array([[1 + 2j]], dtype=np.complex64),
    "é": np.array(2**63 + 1, dtype=np.uint64),
    "empty": np.zeros((0, 4), dtype=np.float16),
    "many": np.tile(np.arange(100, dtype=np.int64), 5),
}
np.savez(here / "reference.npz", np.float32(1.5), **arrays)
np.savez_compressed(here / "reference_compressed.npz", np.float32(1.5), **arrays)
