//! A simdgroup loads and stores a matrix as one.

use super::Probe;

/// What `body` leaves in `out`, over two simdgroups and a half.
#[track_caller]
fn elements(body: &str, want: impl Fn(usize) -> f32) {
    for threads in [32, 64, 96] {
        let body = format!(
            "uint l = thread_index_in_simdgroup, g = simdgroup_index_in_threadgroup;\n{body}"
        );
        let got = Probe::new(&body)
            .over(threads, threads)
            .run_both::<f32>(threads);
        let want: Vec<f32> = (0..threads).map(&want).collect();
        assert_eq!(got, want, "{body}");
    }
}

#[test]
fn what_one_stores_all_may_read() {
    for (matrix, element) in [
        ("simdgroup_float8x8", "float"),
        ("simdgroup_half8x8", "half"),
    ] {
        elements(
            &format!(
                "threadgroup {element} t[3][64]; {matrix} m = make_filled_simdgroup_matrix<{element}, 8>({element}(3 + g));
                 simdgroup_store(m, t[g], 8); out[thread_position_in_grid.x] = float(t[g][63 - l]) + float(t[g][31 - l]);"
            ),
            |i| 2.0 * (3 + i / 32) as f32,
        );
    }
}

#[test]
fn what_is_loaded_may_be_overwritten() {
    elements(
        "threadgroup bfloat t[3][64]; t[g][2 * l] = bfloat(float(l)); t[g][2 * l + 1] = bfloat(float(l));
         simdgroup_bfloat8x8 m; simdgroup_load(m, t[g], 8);
         t[g][2 * l] = bfloat(0.0f); t[g][2 * l + 1] = bfloat(0.0f);
         simdgroup_float8x8 d, w = simdgroup_float8x8(1.0f); simdgroup_multiply(d, m, w);
         threadgroup float r[3][64]; simdgroup_store(d, r[g], 8); out[thread_position_in_grid.x] = r[g][63 - 2 * l];",
        |i| (31 - i % 32) as f32,
    );
}

#[test]
fn device_memory_too() {
    let body = "uint l = thread_index_in_simdgroup; simdgroup_float8x8 m; simdgroup_load(m, x + 64, 8);
                simdgroup_store(m, out, 8, ulong2(0), true); float v = out[l] + out[32 + l];
                simdgroup_barrier(mem_flags::mem_device); simdgroup_load(m, out, 8); out[l] = 0; out[32 + l] = v;
                threadgroup float t[64]; simdgroup_store(m, t, 8); out[l] = t[l];";
    let got = Probe::new(body).over(32, 32).run_both::<f32>(64);
    let turned = |i: usize| (64 + i % 8 * 8 + i / 8) as f32;
    let want: Vec<f32> = (0..64)
        .map(|i| {
            if i < 32 {
                turned(i)
            } else {
                turned(i - 32) + turned(i)
            }
        })
        .collect();
    assert_eq!(got, want);
}

/// Lanes that are not there have no elements; a thread alone has its two.
#[test]
fn partial_simdgroups() {
    let body = "uint i = thread_position_in_grid.x; threadgroup float t[128]; t[i] = -1; t[i + 64] = -1;
                threadgroup_barrier(mem_flags::mem_threadgroup);
                simdgroup_store(make_filled_simdgroup_matrix<float, 8, 8>(2.0f), t + i / 32 * 64, 8);
                out[i] = t[i / 32 * 64] + t[i / 32 * 64 + 1];";
    let got = Probe::new(body).over(48, 48).run_both::<f32>(48);
    assert_eq!(got, [4.0; 48]);
    let alone = Probe::new(&body.replace("i + 64", "i + 1")).run_both::<f32>(1);
    assert_eq!(alone, [4.0]);
}
