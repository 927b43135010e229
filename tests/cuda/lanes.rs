//! Where threads stand, and operations among the lanes of a simdgroup.

use super::*;

#[test]
fn places_are_metals() {
    if !gpu("places_are_metals") {
        return;
    }
    on_worker(|| {
        let kernel = MetalKernel::new("cuda_places", ["x"], ["out"])
            .source(
                "uint3 p = thread_position_in_grid, s = threads_per_grid, n = threadgroups_per_grid;
                 uint3 e = threads_per_threadgroup, t = dispatch_threads_per_threadgroup;
                 uint3 l = thread_position_in_threadgroup, g = threadgroup_position_in_grid;
                 uint at = ((p.z * s.y + p.y) * s.x + p.x) * 8;
                 out[at] = e.x + 100 * e.y + 10000 * e.z; out[at + 1] = t.x + 100 * t.y + 10000 * t.z;
                 out[at + 2] = l.x + 100 * l.y + 10000 * l.z; out[at + 3] = g.x + 100 * g.y + 10000 * g.z;
                 out[at + 4] = n.x + 100 * n.y + 10000 * n.z;
                 out[at + 5] = thread_index_in_threadgroup;
                 out[at + 6] = thread_index_in_simdgroup + 100 * simdgroup_index_in_threadgroup;
                 out[at + 7] = simd_sum(thread_index_in_threadgroup);",
            )
            .build()
            .unwrap();
        for (grid, group) in [
            ((40, 1, 1), (32, 1, 1)),
            ((7, 5, 3), (4, 4, 2)),
            ((33, 9, 2), (16, 8, 1)),
            ((3, 3, 70), (1, 1, 66)),
            // Whole threadgroups only.
            ((96, 1, 1), (32, 1, 1)),
            ((8, 6, 4), (4, 3, 2)),
        ] {
            let threads = grid.0 * grid.1 * grid.2;
            let [cpu, gpu] = both(|| {
                let x = Array::from_slice(&[0.0f32], 1)?;
                let [y] = kernel
                    .launch(&[&x])
                    .output(threads * 8, Dtype::Int32)
                    .grid(grid)
                    .threadgroup(group)
                    .run()?;
                Ok(y.to_vec::<i32>()?.into_iter().map(f64::from).collect())
            });
            assert_eq!(cpu, gpu, "{grid:?} {group:?}");
        }
    });
}

/// Threads that know nothing of each other, in one dimension: blocks of long grids stand for several
/// threadgroups, the more the less a thread writes.
#[test]
fn places_along_a_line() {
    if !gpu("places_along_a_line") {
        return;
    }
    on_worker(|| {
        let kernel = MetalKernel::new("cuda_line", ["x"], ["out"])
            .source(
                "uint i = thread_position_in_grid.x;
                 uint word = threads_per_threadgroup.x + 1000 * thread_position_in_threadgroup.x;
                 word += dispatch_threads_per_threadgroup.x << 24;
                 word ^= 7 * threadgroup_position_in_grid.x + x_shape[0] + threads_per_grid.x;
                 for (uint k = 0; k < EACH; ++k) out[i * EACH + k] = word + k;",
            )
            .build()
            .unwrap();
        let x = Array::from_slice(&[0.0f32], 1).unwrap();
        for n in [20u32, 40, 1000, (1 << 21) - 1, 1 << 21, (1 << 21) + 77] {
            for each in [1u32, 2, 4] {
                let group = n.min(32);
                let [y] = kernel
                    .launch(&[&x])
                    .template("EACH", each as i32)
                    .output((n * each) as i32, Dtype::Uint32)
                    .grid(n)
                    .threadgroup(32)
                    .run()
                    .unwrap();
                let want = (0..n * each).map(|at| {
                    let (i, k) = (at / each, at % each);
                    let (g, l) = (i / group, i % group);
                    let here = (n - g * group).min(group) + 1000 * l + (group << 24);
                    (here ^ (7 * g + 1 + n)) + k
                });
                let got = y.to_vec::<u32>().unwrap();
                let wrong = got.iter().zip(want).position(|(g, w)| *g != w);
                assert_eq!(wrong, None, "{n} threads, {each} numbers each");
            }
        }
    });
}

#[test]
fn more_rows_of_threadgroups_than_the_chip_takes() {
    if !gpu("more_rows_of_threadgroups_than_the_chip_takes") {
        return;
    }
    on_worker(|| {
        let kernel = MetalKernel::new("cuda_rows", ["x"], ["out"])
            .source(
                "uint3 p = thread_position_in_grid, n = threadgroups_per_grid;
                 out[p.y * 3 + p.x] = int(p.y + n.x + n.y);",
            )
            .build()
            .unwrap();
        let rows = 70_000;
        let x = Array::from_slice(&[0.0f32], 1).unwrap();
        let y = with_device(Device::GPU, || {
            let [y] = kernel
                .launch(&[&x])
                .output((rows, 3), Dtype::Int32)
                .grid((3, rows, 1))
                .threadgroup((2, 1, 1))
                .run()?;
            y.to_vec::<i32>()
        })
        .unwrap();
        assert_eq!((y[0], y[rows * 3 - 1]), (70_002, 140_001));
    });
}

/// A kernel of 256 threads in threadgroups of 128 gives the same on both. The body has the thread's index `i`,
/// its `lane` and its simdgroup `s`.
fn same_lanes(test: &'static str, body: &'static str) {
    if !gpu(test) {
        return;
    }
    on_worker(move || {
        let kernel = MetalKernel::new(&format!("cuda_{test}"), ["x"], ["out"])
            .source(format!(
                "uint i = thread_position_in_grid.x, lane = thread_index_in_simdgroup;
                 uint s = simdgroup_index_in_threadgroup; {body}"
            ))
            .build()
            .unwrap();
        let values: Vec<f32> = (0..256u16).map(f32::from).collect();
        let [cpu, gpu] = both(|| {
            let x = Array::from_slice(&values, 256)?;
            let [y] = kernel.launch(&[&x]).grid(256).threadgroup(128).run()?;
            Ok(f64s(&y))
        });
        assert_eq!(cpu, gpu);
    });
}

/// The others of the simdgroup have nothing to do meanwhile.
#[test]
fn operations_among_some_lanes() {
    same_lanes(
        "operations_among_some_lanes",
        "float a = 0.0f;
         if (lane < 8) { a = simd_sum(float(x[i])); }
         out[i] = a;",
    );
}

/// An operation and a barrier of the lanes that are left.
#[test]
fn operations_after_some_lanes_returned() {
    same_lanes(
        "operations_after_some_lanes_returned",
        "threadgroup float shared[4];
         if (lane == 0) shared[s] = float(x[i]);
         threadgroup_barrier(mem_flags::mem_threadgroup);
         if (lane >= 20) { out[i] = float(x[i]); return; }
         float b = simd_sum(1.0f);
         threadgroup_barrier(mem_flags::mem_threadgroup);
         out[i] = 1000.0f * b + shared[3];",
    );
}

/// Simdgroups as wholes in different branches, and a barrier behind both.
#[test]
fn simdgroups_in_different_branches() {
    same_lanes(
        "simdgroups_in_different_branches",
        "threadgroup float shared[4];
         float a;
         if (s % 2 == 0) { a = simd_sum(float(x[i])); } else { a = simd_max(float(x[i])); }
         if (lane == 0) shared[s] = a;
         threadgroup_barrier(mem_flags::mem_threadgroup);
         out[i] = a + shared[3 - s];",
    );
}
