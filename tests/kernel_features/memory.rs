//! Address spaces: threadgroup memory in all its forms, reinterpreted pointers, atomics.

use rstest::rstest;

use super::Probe;

fn sum(from: usize, to: usize) -> f32 {
    (from..to).map(|i| i as f32).sum()
}

#[test]
fn threadgroup_memory_of_every_shape() {
    let header = "
struct Pair { float value; int index; };
struct Tile {
  threadgroup float* data; int width;
  Tile(threadgroup float* d, int w) : data(d), width(w) {}
  threadgroup float& at(int r, int c) { return data[r * width + c]; }
  float row_sum(int r) const { float s = 0; for (int c = 0; c < width; ++c) s += data[r * width + c]; return s; }
};
inline float total(threadgroup const float* s, uint n) { float t = 0; for (uint i = 0; i < n; ++i) t += s[i]; return t; }
template <typename U> inline void fill(threadgroup U* s, const device U* from, uint i) { s[i] = from[i]; }
inline void add_to(thread float& acc, threadgroup float (&rows)[4][8], uint r) { for (uint c = 0; c < 8; ++c) acc += rows[r][c]; }
inline void swap_in(threadgroup Pair& p, thread const Pair& q) { if (q.value > p.value) p = q; }
static inline float first(thread float (&a)[3]) { return a[0]; }
";
    let body = "
uint t = thread_position_in_threadgroup.x;
threadgroup float line[32];
threadgroup float rows[4][8];
threadgroup float4 quads[8];
threadgroup Pair pairs[32];
threadgroup half halves[2][32], *hp = halves[1];
threadgroup atomic_int counter;
threadgroup float3 one;
threadgroup metal::array<float, 4> arr;
fill(line, x, t);
fill<float>(&line[0], x, t);
rows[t / 8][t % 8] = x[t];
if (t % 4 == 0) quads[t / 4] = float4(x[t], x[t + 1], x[t + 2], x[t + 3]);
pairs[t] = Pair{x[t], int(t)};
pairs[t].index += 1;
hp[t] = h[t];
if (t == 0) { atomic_store_explicit(&counter, 5, memory_order_relaxed); one = float3(1, 2, 3); arr[3] = 4; }
threadgroup_barrier(mem_flags::mem_threadgroup);
atomic_fetch_add_explicit(&counter, 2, memory_order_relaxed);
Tile tile(line, 8);
if (t == 1) tile.at(3, 7) += 100;
threadgroup_barrier(mem_flags::mem_threadgroup);
float acc = 0; add_to(acc, rows, 2);
threadgroup float4* q = quads + 1;
q->yz = q[0].zy;
threadgroup float* flat = (threadgroup float*)quads;
float small[3] = {7, 8, 9};
if (t == 0) {
  out[0] = total(line, 32); out[1] = tile.row_sum(3); out[2] = acc; out[3] = flat[4] + 0 * q->y;
  Pair best = {-1, -1}; for (uint i = 0; i < 32; ++i) swap_in(pairs[0], pairs[i]);
  best = pairs[0]; out[4] = best.index; out[5] = halves[1][31] + one.z + arr[3];
  out[6] = atomic_load_explicit(&counter, memory_order_relaxed); out[7] = first(small);
}";
    let got = Probe::new(body).header(header).over(32, 32).run::<f32>(8);
    let want = [
        sum(0, 32) + 100.0,
        sum(24, 32) + 100.0,
        sum(16, 24),
        4.0,
        32.0,
        31.0 + 3.0 + 4.0,
        5.0 + 64.0,
        7.0,
    ];
    assert_eq!(got, want);
}

/// Blocks of 16 bytes of such an array can be moved at once, whatever stands in front of it: on a GPU in one thread and in many.
#[rstest]
fn threadgroup_arrays_begin_at_16_bytes(#[values(1, 32)] threads: usize) {
    let header = "#define OWN(type, name) threadgroup type name[3]\n";
    let body = "
uint t = thread_position_in_threadgroup.x;
threadgroup uchar odd[1];
threadgroup half a[9];
threadgroup bool flag[3], more[5];
threadgroup half rows[3][5];
OWN(bfloat, own);
threadgroup short last[7];
odd[t % 1] = 1; a[t % 9] = h[t]; flag[t % 3] = more[t % 5] = true; rows[t % 3][t % 5] = h[t]; own[t % 3] = b[t]; last[t % 7] = 1;
threadgroup_barrier(mem_flags::mem_threadgroup);
if (t == 0) {
  out[0] = float((size_t)odd % 16); out[1] = float((size_t)a % 16); out[2] = float((size_t)flag % 16);
  out[3] = float((size_t)more % 16); out[4] = float((size_t)&rows[0][0] % 16); out[5] = float((size_t)own % 16);
  out[6] = float((size_t)last % 16); out[7] = odd[0] + last[0];
}";
    let probe = Probe::new(body).header(header).over(threads, threads);
    assert_eq!(
        probe.run::<f32>(8),
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0]
    );
}

/// MLX's CPU buffers start at multiples of 8 only, and kernels add any number of elements.
#[rstest]
fn reinterpreted_vectors_at_any_offset(#[values(0, 1, 2, 3, 5)] offset: usize) {
    let body = format!(
        "
uint i = thread_position_in_grid.x;
const device float4* a = (const device float4*)(x + {offset});
float4 v = a[i];
v += *reinterpret_cast<const device float4*>(x + {offset} + 4 * i);
uint4 w = ((const device uint4*)(u + {offset}))[i];
float2 p = ((device const float2*)(x + {offset}))[2 * i + 1];
half4 k = *(const device half4*)(h + {offset} + 4 * (i % 32));
packed_float3 f = ((device const packed_float3*)(x + {offset}))[i];
bfloat2 c = *(const device bfloat2*)(b + {offset});
uchar4 bytes = *((const device uchar4*)u + {offset} + i);
ulong big = ((const device ulong*)(u + {offset}))[i];
device float4* o = (device float4*)(out + {offset});
o[i] = v + float4(w) + float4(p, p) + float4(k);
o[i].x += f.z + float(c.y) + bytes.x + float(big >> 32);"
    );
    let got = Probe::new(&body)
        .over(256, 64)
        .init(0.0)
        .run::<f32>(1024 + 8);
    let bytes: Vec<u8> = (0..4096u32).flat_map(u32::to_le_bytes).collect();
    for i in 0..256 {
        for c in 0..4 {
            let at = (4 * i + c + offset) as f32;
            let pair = (4 * i + 2 + c % 2 + offset) as f32;
            let k = (offset + 4 * (i % 32) + c) as f32;
            let mut want = 2.0 * at + at + pair + k;
            if c == 0 {
                want += (3 * i + 2 + offset) as f32 + (offset + 1) as f32;
                want += f32::from(bytes[4 * offset + 4 * i]) + (offset + 2 * i + 1) as f32;
            }
            assert_eq!(got[offset + 4 * i + c], want, "offset {offset}, {i}.{c}");
        }
    }
}

#[test]
fn packed_vectors() {
    let body = "
uint i = thread_position_in_grid.x;
device packed_float3* o = (device packed_float3*)out;
packed_float3 p = packed_float3(1, 2, 3);
float3 q = p; q.xy += 1; p = q * 2; p.z = p.x + p[1];
o[i] = p; o[i].y = -o[i].y; o[i] += float3(x[i]);
packed_half2 z = packed_half2(1.0h, 2.0h); packed_uchar4 by(1, 2, 3, 4);
o[i].z += float(z.y) + by.w + dot(float3(p), float3(0, 0, 0));";
    let got = Probe::new(body).over(4, 4).run::<f32>(12);
    for i in 0..4 {
        let k = i as f32;
        assert_eq!(got[3 * i..3 * i + 3], [4.0 + k, -6.0 + k, 10.0 + 6.0 + k]);
    }
}

#[test]
fn device_atomics() {
    let header = "
inline void atomic_add_float(device atomic_uint* p, float v) {
  uint old = atomic_load_explicit(p, memory_order_relaxed), next;
  do { next = as_type<uint>(as_type<float>(old) + v); }
  while (!atomic_compare_exchange_weak_explicit(p, &old, next, memory_order_relaxed, memory_order_relaxed));
}
";
    let body = "
uint i = thread_position_in_grid.x;
device atomic_int* a = (device atomic_int*)out;
atomic_fetch_add_explicit(&a[0], 1, memory_order_relaxed);
atomic_fetch_sub_explicit(a + 1, 2, memory_order_relaxed);
atomic_fetch_max_explicit(&a[2], int(i), memory_order_relaxed);
atomic_fetch_min_explicit(&a[3], -int(i), metal::memory_order_relaxed);
atomic_fetch_or_explicit(&a[4], int(1u << (i % 31)), memory_order_relaxed);
atomic_fetch_and_explicit(reinterpret_cast<device atomic_int*>(&out[5]), int(~(1u << (i % 8))), memory_order_relaxed);
atomic_fetch_xor_explicit((device metal::atomic<int>*)&a[6], int(i), memory_order_relaxed);
if (i == 7) { int was = atomic_exchange_explicit(&a[7], 70, memory_order_relaxed); atomic_store_explicit(&a[8], was, memory_order_relaxed); }
atomic_add_float((device atomic_uint*)&a[9], 0.5f);
atomic_fetch_add_explicit((device atomic_float*)&a[10], 0.25f, memory_order_relaxed);
atomic_fetch_max_explicit((device atomic_uint*)&a[11], i * 3u, memory_order_relaxed);
atomic_fetch_add_explicit((volatile device atomic_int*)&a[12], 1, memory_order_relaxed);
atomic_fetch_max_explicit((device atomic<float>*)&a[13], float(i), memory_order_relaxed);
atomic_thread_fence(mem_flags::mem_device, memory_order_seq_cst);";
    let got = Probe::new(body)
        .header(header)
        .over(4096, 256)
        .init(0.0)
        .run::<i32>(16);
    let float = |i: usize| f32::from_bits(got[i] as u32);
    let xor = (0..4096).fold(0, |a, i| a ^ i);
    assert_eq!(
        got[..9],
        [4096, -8192, 4095, -4095, i32::MAX, 0, xor, 70, 0]
    );
    assert_eq!((float(9), float(10)), (2048.0, 1024.0));
    assert_eq!((got[11], got[12], float(13)), (4095 * 3, 4096, 4095.0));
}

#[test]
fn atomic_outputs_and_64_bits() {
    let body = "
uint i = thread_position_in_grid.x;
atomic_fetch_add_explicit(&out[i % 4], 1.5f, memory_order_relaxed);
atomic_fetch_add_explicit(out + 4, float(i % 2), memory_order_relaxed);";
    let got = Probe::new(body)
        .over(1000, 100)
        .atomic()
        .init(1.0)
        .run::<f32>(5);
    assert_eq!(got, [376.0, 376.0, 376.0, 376.0, 501.0]);
    let body = "
device atomic_ulong* p = (device atomic_ulong*)out;
atomic_max_explicit(p, (ulong(thread_position_in_grid.x) << 32) | 7UL, memory_order_relaxed);
atomic_min_explicit(p + 1, ulong(thread_position_in_grid.x), memory_order_relaxed);";
    let got = Probe::new(body).over(1000, 100).init(5.0).run::<u64>(2);
    assert_eq!(got, [999 << 32 | 7, 0]);
}
