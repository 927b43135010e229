//! Simdgroups, quadgroups, simdgroup matrices and barriers.

use super::Probe;

/// One operation over 64 threads against a closed form of the lane.
#[track_caller]
fn lanes(expression: &str, want: impl Fn(usize) -> f32) {
    let body = format!(
        "uint i = thread_position_in_grid.x; uint lane = thread_index_in_simdgroup; float v = x[i];\n\
         out[i] = float({expression});"
    );
    let got = Probe::new(&body).over(64, 64).run::<f32>(64);
    let want: Vec<f32> = (0..64).map(want).collect();
    assert_eq!(got, want, "{expression}");
}

fn group(i: usize) -> usize {
    i / 32 * 32
}

#[test]
fn simdgroup_operations() {
    let triangle = |i: usize| (i * (i + 1) / 2) as f32;
    lanes(
        "simd_sum(v) + simd_sum(half(1)) + simd_sum(1) + simd_sum(bfloat(1))",
        |i| triangle(group(i) + 31) - triangle(group(i)) + group(i) as f32 + 96.0,
    );
    lanes(
        "simd_prefix_inclusive_sum(1) + simd_prefix_exclusive_sum(1u) * 100 + simd_product(1.0f)",
        |i| (i % 32 + 1 + i % 32 * 100 + 1) as f32,
    );
    lanes(
        "simd_max(v) * 1000 + simd_min(v) + simd_min(half(lane))",
        |i| ((group(i) + 31) * 1000 + group(i)) as f32,
    );
    lanes(
        "simd_and(lane | 64u) + simd_or(lane) + simd_xor(lane)",
        |_| 64.0 + 31.0,
    );
    lanes("simd_broadcast(v, 3) + simd_broadcast_first(v)", |i| {
        (2 * group(i) + 3) as f32
    });
    lanes("simd_shuffle(v, ushort(31 - lane))", |i| {
        (group(i) + 31 - i % 32) as f32
    });
    lanes("simd_shuffle_xor(v, 5)", |i| (i ^ 5) as f32);
    lanes("lane < 30 ? 0.0f : 1.0f) + simd_shuffle_up(v, 2u", |i| {
        (if i % 32 < 2 { i } else { i - 2 } + usize::from(i % 32 >= 30)) as f32
    });
    lanes(
        "simd_shuffle_rotate_down(v, 1) + simd_shuffle_rotate_up(v, 1)",
        |i| (2 * group(i) + (i + 1) % 32 + (i + 31) % 32) as f32,
    );
    lanes("simd_shuffle_and_fill_up(v, -1.0f, 1)", |i| {
        if i % 32 == 0 { -1.0 } else { i as f32 - 1.0 }
    });
    lanes(
        "simd_any(lane == 7) + simd_all(lane < 32) + simd_all(lane < 31)",
        |_| 2.0,
    );
    lanes(
        "popcount(uint((simd_vote::vote_t)simd_ballot(lane % 4 == 0)))",
        |_| 8.0,
    );
    lanes("simd_is_first() ? 1 : 0", |i| {
        f32::from(u8::from(i % 32 == 0))
    });
    lanes("simd_sum(float2(v, 1)).y + simd_sum(float4(1)).w", |_| 64.0);
    lanes(
        "simd_broadcast(uint4(lane, 1, 2, 3), 5).x + simd_shuffle(half2(v, 2), 1).y",
        |_| 7.0,
    );
    lanes("metal::simd_max(metal::simd_sum(1.0f))", |_| 32.0);
}

#[test]
fn quadgroup_operations() {
    lanes("quad_sum(v) + quad_max(v) + quad_min(v)", |i| {
        let q = i / 4 * 4;
        (4 * q + 6 + q + 3 + q) as f32
    });
    lanes("quad_broadcast(v, 2) + quad_shuffle_xor(v, 1)", |i| {
        (i / 4 * 4 + 2 + (i ^ 1)) as f32
    });
    lanes("quad_shuffle(v, 3) + quad_shuffle_down(v, 1)", |i| {
        (i / 4 * 4 + 3 + if i % 4 == 3 { i } else { i + 1 }) as f32
    });
    lanes(
        "quad_prefix_inclusive_sum(1) + quad_product(2) + quad_shuffle_up(lane, 1)",
        |i| (i % 4 + 1 + 16 + if i % 4 == 0 { i % 32 } else { i % 32 - 1 }) as f32,
    );
    lanes(
        "quad_any(lane % 4 == 3) + quad_all(lane % 4 < 3) + quad_or(1u << (lane % 4))",
        |_| 16.0,
    );
}

#[test]
fn reductions_by_shuffles() {
    let body = "float v = x[thread_position_in_grid.x];
        for (ushort offset = threads_per_simdgroup / 2; offset > 0; offset >>= 1) v += simd_shuffle_down(v, offset);
        float m = x[thread_position_in_grid.x];
        for (uint mask = 16; mask >= 1; mask /= 2) { m = max(m, simd_shuffle_xor(m, mask)); }
        v = simd_broadcast_first(v);
        out[thread_position_in_grid.x] = v + m;";
    let got = Probe::new(body).over(32, 32).run::<f32>(32);
    assert_eq!(got, [496.0 + 31.0; 32]);
}

/// C = A B + D over 16x16 matrices, each factor loaded in another way.
#[test]
fn simdgroup_matrices() {
    for ty in ["float", "half", "bfloat"] {
        let body = "
threadgroup TYPE ta[16 * 16];
uint lane = thread_index_in_simdgroup;
for (uint i = lane; i < 256; i += 32) ta[i] = TYPE(int(i % 7) - 3);
threadgroup_barrier(mem_flags::mem_threadgroup);
threadgroup TYPE tb[16][16];
for (uint i = lane; i < 256; i += 32) tb[i / 16][i % 16] = TYPE(int(i % 5) - 2);
simdgroup_barrier(mem_flags::mem_threadgroup);
simdgroup_matrix<float, 8, 8> acc[2][2];
#pragma clang loop unroll(full)
for (int r = 0; r < 2; r++) for (int c = 0; c < 2; c++) acc[r][c] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
for (int k = 0; k < 2; k++) {
  simdgroup_TYPE8x8 a0, b0;
  metal::simdgroup_matrix<TYPE, 8, 8> a1, b1;
  simdgroup_load(a0, ta + k * 8, 16);
  simdgroup_load(a1, ta, 16, ulong2(k * 8, 8), false);
  simdgroup_load(b0, &tb[k * 8][0], 16);
  simdgroup_load(b1, (const threadgroup TYPE*)tb, 16, ulong2(8, k * 8));
  simdgroup_multiply_accumulate(acc[0][0], a0, b0, acc[0][0]);
  simdgroup_multiply_accumulate(acc[0][1], a0, b1, acc[0][1]);
  simdgroup_multiply_accumulate(acc[1][0], a1, b0, acc[1][0]);
  simdgroup_multiply_accumulate(acc[1][1], a1, b1, acc[1][1]);
}
simdgroup_store(acc[0][0], out, 16);
simdgroup_store(acc[0][1], out + 8, 16);
simdgroup_store(acc[1][0], out, 16, ulong2(0, 8));
threadgroup float tc[64];
simdgroup_store(acc[1][1], tc, 8, ulong2(0, 0), true);
simdgroup_barrier(mem_flags::mem_threadgroup);
for (uint i = lane; i < 64; i += 32) out[(8 + i % 8) * 16 + 8 + i / 8] = tc[i];
simdgroup_float8x8 t; simdgroup_load(t, out, 16, 0, true);
simdgroup_float8x8 e = simdgroup_float8x8(2.0f), p;
simdgroup_multiply(p, t, e);
p.thread_elements()[0] += 1.0f; p.thread_elements()[1] += 1.0f;
simdgroup_store(p, out + 256, 8);
float2 el = reinterpret_cast<thread float2&>(p.thread_elements());
out[320 + lane] = el.x + el.y - 2.0f;
const ushort qid = lane / 4; const ushort fm = (qid & 4) + (lane / 2) % 4, fn = (qid & 2) * 2 + (lane % 2) * 2;
out[352 + lane] = out[256 + fm * 8 + fn] + out[256 + fm * 8 + fn + 1] - 2.0f;";
        let got = Probe::new(&body.replace("TYPE", ty))
            .over(32, 32)
            .run::<f32>(384);
        let a = |r: usize, c: usize| ((r * 16 + c) % 7) as f32 - 3.0;
        let b = |r: usize, c: usize| ((r * 16 + c) % 5) as f32 - 2.0;
        let c = |r: usize, c: usize| (0..16).map(|k| a(r, k) * b(k, c)).sum::<f32>();
        for i in 0..256 {
            assert_eq!(got[i], c(i / 16, i % 16), "{ty} element {i}");
        }
        for i in 0..64 {
            assert_eq!(
                got[256 + i],
                2.0 * c(i % 8, i / 8) + 1.0,
                "{ty} transposed {i}"
            );
        }
        assert_eq!(got[320..352], got[352..384], "{ty}");
    }
}

#[test]
fn early_return_and_barriers_in_loops() {
    let body = "
uint t = thread_position_in_threadgroup.x, row = threadgroup_position_in_grid.x;
if (t >= 50) return;
threadgroup float s[64];
s[t] = x[row * 50 + t];
threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
for (uint step = 32; step > 0; step >>= 1) {
  if (t < step && t + step < 50) s[t] += s[t + step];
  threadgroup_barrier(metal::mem_flags::mem_threadgroup);
}
simdgroup_barrier(mem_flags::mem_none);
if (t == 0) out[row] = s[0];
threadgroup_barrier(mem_flags::mem_texture);
threadgroup_barrier(mem_flags(3));";
    let got = Probe::new(body).over(64 * 4, 64).run::<f32>(4);
    let want: Vec<f32> = (0..4)
        .map(|r| (0..50).map(|i| (r * 50 + i) as f32).sum())
        .collect();
    assert_eq!(got, want);
}

#[test]
fn grid_attributes_of_other_types() {
    // MLX writes the signature; a body takes what it needs from it in any type.
    let body = "
ushort2 p = ushort2(thread_position_in_grid.xy); const auto g = uint2(threadgroup_position_in_grid.x, threadgroup_position_in_grid.y);
int3 size = int3(threads_per_grid); uint lane{thread_index_in_simdgroup};
short t = thread_index_in_threadgroup;
out[p.y * size.x + p.x] = t + 100 * int(g.x + g.y * threadgroups_per_grid.x) + (lane > 99 ? 1 : 0)
   + 10000 * int(dispatch_threads_per_threadgroup.x * threads_per_threadgroup.y);";
    let got = Probe::new(body).over3((8, 4, 1), (4, 2, 1)).run::<i32>(32);
    let want =
        |x: usize, y: usize| (y % 2 * 4 + x % 4 + 100 * (x / 4 + y / 2 * 2) + 10000 * 8) as i32;
    let want: Vec<i32> = (0..32).map(|i| want(i % 8, i / 8)).collect();
    assert_eq!(got, want);
}
