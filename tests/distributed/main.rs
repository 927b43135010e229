//! Groups of processes: this program starts itself several times, connected by MLX's ring over loopback.

mod layers;
mod model;
#[path = "../support/mod.rs"]
mod support;
mod together;

use support::*;
use together::together;
use zmlx::distributed::{self, Backend};
use zmlx::prelude::*;

/// What rank `r` contributes: nobody else has the same numbers.
fn mine(r: i32, n: usize) -> Vec<f32> {
    (0..n).map(|i| (r + 1) as f32 * 0.5 + i as f32).collect()
}

#[test]
fn two_processes() {
    together("as_one_of_them", 2);
}

#[test]
fn four_processes() {
    together("as_one_of_them", 4);
}

#[test]
#[ignore = "a process of a group that the tests above start"]
fn as_one_of_them() {
    on_worker(|| {
        assert!(Backend::Ring.is_available().unwrap());
        let group = distributed::connect(Backend::Ring).unwrap();
        let (rank, size) = (group.rank(), group.size());
        assert_eq!(rank.to_string(), std::env::var("MLX_RANK").unwrap());
        assert_eq!(distributed::init().unwrap().size(), size);
        let n = 1000;
        let all: Vec<Vec<f32>> = (0..size).map(|r| mine(r, n)).collect();
        let by = |fold: fn(f32, f32) -> f32| -> Vec<f32> {
            (0..n)
                .map(|i| all.iter().map(|v| v[i]).reduce(fold).unwrap())
                .collect()
        };
        let x = arr(&mine(rank, n));
        // Halves and whole numbers: sums are exact.
        assert_eq!(f32s(&group.all_sum(&x).unwrap()), by(|a, b| a + b));
        assert_eq!(f32s(&group.all_max(&x).unwrap()), by(f32::max));
        assert_eq!(f32s(&group.all_min(&x).unwrap()), by(f32::min));
        let whole = x.multiply(2.0).unwrap().astype(I32).unwrap();
        let want: Vec<i32> = by(|a, b| a + b).iter().map(|v| (v * 2.0) as i32).collect();
        assert_eq!(i32s(&group.all_sum(&whole).unwrap()), want);

        let table = x.reshape((4, -1)).unwrap();
        let gathered = group.all_gather(&table).unwrap();
        assert_eq!(gathered.shape(), [4 * size, 250]);
        assert_eq!(f32s(&gathered), all.concat());
        let ranks = group.all_gather(&Array::from(rank)).unwrap();
        assert_eq!(i32s(&ranks), (0..size).collect::<Vec<_>>());

        // Round the ring: to the next, from the one before.
        let (next, last) = ((rank + 1) % size, (rank + size - 1) % size);
        let received = if rank % 2 == 0 {
            group.send(&x, next).unwrap().eval().unwrap();
            group.recv_like(&x, last).unwrap()
        } else {
            let received = group.recv(n as i32, F32, last).unwrap();
            received.eval().unwrap();
            group.send(&x, next).unwrap().eval().unwrap();
            received
        };
        assert_eq!(f32s(&received), all[last as usize]);

        // In the middle of a graph, compiled, and in a derivative.
        let y = group
            .all_sum(&x.square().unwrap())
            .unwrap()
            .add(1.0)
            .unwrap();
        let want: Vec<f32> = (0..n)
            .map(|i| all.iter().map(|v| v[i] * v[i]).sum::<f32>() + 1.0)
            .collect();
        close(
            &f32s(&y),
            &want.iter().map(|&v| v.into()).collect::<Vec<_>>(),
            1e-6,
        );

        let parts = [x.clone(), Array::from(rank as f32), x.astype(F16).unwrap()];
        let means = group.average(&parts).unwrap();
        let sums: Vec<f64> = by(|a, b| a + b)
            .iter()
            .map(|&v| f64::from(v) / f64::from(size))
            .collect();
        close(&f32s(&means[0]), &sums, 1e-6);
        assert_eq!(means[1].item::<f32>().unwrap(), (size - 1) as f32 / 2.0);
        assert_eq!((means[2].dtype(), means[2].shape()), (F16, &[n as i32][..]));
        // Sums of up to 4 numbers of up to 1002 in float16.
        close(&f32s(&means[2]), &sums, 4.0 / 1024.0);

        // What the ring cannot do is an error, and the group goes on.
        assert!(group.split(0, None).is_err());
        assert!(group.sum_scatter(&x).and_then(|y| y.eval()).is_err());
        assert_eq!(f32s(&group.all_max(&x).unwrap()), by(f32::max));
        for (result, text) in [
            (group.send(&x, size), "from 0 to"),
            (group.send(&x, rank), "other than"),
            (group.recv(4, F32, -1), "got -1"),
            (group.recv(-4, F32, next), "dimension 0"),
            (group.average(&[whole]).map(|_| x.clone()), "int32"),
        ] {
            let error = result.expect_err(text).to_string();
            assert!(error.contains(text), "{error} lacks {text}");
        }
    });
}

/// Without settings.
#[test]
fn alone() {
    if std::env::var_os("MLX_RANK").is_some() {
        println!("SKIPPED: MLX_RANK is set, so this process is one of a group");
        return;
    }
    on_worker(|| {
        let group = distributed::init().unwrap();
        assert_eq!((group.rank(), group.size()), (0, 1));
        assert_eq!(format!("{group:?}"), "Group(rank 0 of 1)");
        let x = arr(&[1.0f32, 2.0]);
        for y in [group.all_sum(&x), group.all_max(&x), group.all_gather(&x)] {
            assert_eq!(f32s(&y.unwrap()), [1.0, 2.0]);
        }
        assert_eq!(group.all_gather(&Array::from(1.0f32)).unwrap().shape(), [1]);
        assert_eq!(
            f32s(&group.average(std::slice::from_ref(&x)).unwrap()[0]),
            [1.0, 2.0]
        );
        let error = group.send(&x, 0).unwrap_err().to_string();
        assert!(error.contains("a group of several processes"), "{error}");
        // The ring's settings are missing.
        assert!(distributed::connect(Backend::Ring).is_err());
    });
}
