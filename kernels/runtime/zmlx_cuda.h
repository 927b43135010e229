// The Metal Shading Language on an NVIDIA GPU: what every kernel that the CUDA engine compiles
// includes first. All of it and the kernel stand in one namespace, because the run-time compiler
// brings functions and types of CUDA's own (exp, min, float4) that plain names must not find.
#pragma once
#define __METAL_VERSION__ 320
#define __METAL__ 1
#define METAL_FUNC inline __attribute__((always_inline))
namespace zmlx_msl {
#include "cuda/prelude.h"
#include "common/base.h"
#include "cuda/convert.h"
#include "common/float16.h"
#include "common/vec.h"
#include "common/limits.h"
#include "cuda/math.h"
#include "common/math.h"
#include "common/common.h"
#include "common/integer.h"
#include "common/packed.h"
#include "common/matrix.h"
#include "common/pack.h"
#include "cuda/simd.h"
#include "cuda/simdgroup_matrix.h"
#include "cuda/tiles.h"
#include "cuda/teams.h"
#include "cuda/quant.h"
#include "cuda/atomic.h"
#include "common/mlx.h"
namespace metal {
using zmlx_msl::uchar;
using zmlx_msl::ushort;
using zmlx_msl::uint;
using zmlx_msl::ulong;
using zmlx_msl::half;
using zmlx_msl::bfloat;
}  // namespace metal
using namespace metal;
}  // namespace zmlx_msl
namespace metal = zmlx_msl::metal;
