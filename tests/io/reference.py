"""Writes reference.gguf: arrays of each type that zmlx reads, as blocks of random bits, and beside each, as `NAME.f32`,
the values that the `gguf` package (pip install gguf) finds in them; and metadata of each type.

    python3 tests/io/reference.py

Another writer and another decoder than ours, which is the point."""

import pathlib

import gguf
import numpy as np

random = np.random.default_rng(7)
kinds = gguf.GGMLQuantizationType
# The places of float16 numbers in a block: random bits there could be anything, infinities too.
packed = {kinds.Q4_0: [0], kinds.Q4_1: [0, 2], kinds.Q8_0: [0], kinds.Q2_K: [80, 82], kinds.Q4_K: [0, 2], kinds.Q6_K: [208],
          kinds.Q5_0: [0], kinds.Q5_1: [0, 2], kinds.Q3_K: [108], kinds.Q5_K: [0, 2]}
plain = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64}

out = gguf.GGUFWriter(pathlib.Path(__file__).with_name("reference.gguf"), "test")
out.add_custom_alignment(64)
for name, kind in [("uint8", 200), ("int8", -100), ("uint16", 60000), ("int16", -30000), ("uint32", 4000000000), ("int32", -2000000000),
                   ("uint64", 2**63 + 1), ("int64", -(2**62)), ("float32", 0.1), ("float64", 0.1), ("bool", True)]:
    getattr(out, f"add_{name}")(f"one.{name}", kind)
out.add_string("one.text", "héllo")
out.add_array("many.int32", [1, -2, 3])
out.add_array("many.float32", [0.5, -0.25])
out.add_array("many.bool", [True, False, True])
out.add_array("many.text", ["a", "", "é"])

for kind, places in packed.items():
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    rows, blocks = 3, 512 // elements
    bits = random.integers(0, 256, (rows, blocks, size), dtype=np.uint8)
    for at in places:
        numbers = random.normal(0, 0.02, (rows, blocks)).astype(np.float16)
        bits[:, :, at:at + 2] = numbers[..., None].view(np.uint8)
    bits = bits.reshape(rows, blocks * size)
    name = kind.name.lower()
    out.add_tensor(f"{name}.weight", bits, raw_dtype=kind)
    out.add_tensor(f"{name}.f32", gguf.quants.dequantize(bits, kind).astype(np.float32))
for name, dtype in plain.items():
    if np.issubdtype(dtype, np.integer):
        values = random.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (2, 5), dtype=dtype)
    else:
        values = random.normal(0, 1, (2, 5)).astype(dtype)
    out.add_tensor(name.lower(), values)
    out.add_tensor(f"{name.lower()}.f32", values.astype(np.float32))
wide = np.array([[1.5, -3.0e38, 1.0e-30, 0.0], [2.0, 65536.0, -7.0, 1.0]], dtype=np.float32)
bf16 = gguf.quants.quantize(wide, kinds.BF16)
out.add_tensor("bf16", bf16, raw_dtype=kinds.BF16)
out.add_tensor("bf16.f32", gguf.quants.dequantize(bf16, kinds.BF16).astype(np.float32))
out.write_header_to_file()
out.write_kv_data_to_file()
out.write_tensors_to_file()
out.close()
