// The Metal Shading Language on a CPU: what every kernel that the host engine compiles
// includes first. It gives MSL's types, library and MLX's kernel helpers the meaning they
// have on a GPU; see README.md for what each file holds and which macros choose the mode.
#pragma once
#define __METAL_VERSION__ 320
#define __METAL__ 1
#define METAL_FUNC inline __attribute__((always_inline))
#include "host/unaligned.h"
#include "host/abi.h"
#include "host/convert.h"
#include "common/float16.h"
#include "common/vec.h"
#include "common/limits.h"
#include "host/rounding.h"
#include "host/math_exp.h"
#include "host/math_log.h"
#include "host/math_trig.h"
#include "host/math_pow.h"
#include "common/math.h"
#include "common/common.h"
#include "common/integer.h"
#include "common/packed.h"
#include "common/matrix.h"
#include "common/pack.h"
#include "host/simd.h"
#include "host/floats.h"
#include "host/ahead.h"
#include "host/tiles.h"
#include "host/quant.h"
#include "host/quant_bytes.h"
#include "host/quant_beside.h"
#include "host/simdgroup_matrix.h"
#include "host/atomic.h"
#include "common/mlx.h"
namespace metal {
using ::uchar;
using ::ushort;
using ::uint;
using ::ulong;
using ::half;
using ::bfloat;
}  // namespace metal
using namespace metal;
