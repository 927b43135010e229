//! Evaluation, its errors, streams and devices.

mod common;

use common::on_worker;
use zmlx::stream::clear_streams;
use zmlx::{
    Array, Device, DeviceKind, Error, Stream, async_eval, eval, linalg, synchronize, with_device,
    with_stream,
};

/// Fails when it is evaluated, in the stream's thread.
fn failing() -> Array {
    let singular = Array::from_slice(&[0.0f32; 4], (2, 2)).unwrap();
    with_device(Device::CPU, || linalg::inv(&singular)).unwrap()
}

fn fine() -> Array {
    Array::from(3.0f32).square().unwrap()
}

/// What is no error of its own must not fail; twice, since MLX reports once.
fn nothing_left() {
    for _ in 0..2 {
        assert_eq!(fine().item::<f32>().unwrap(), 9.0);
        synchronize().unwrap();
    }
}

#[test]
fn an_inverse() {
    on_worker(|| {
        let a = Array::from_slice(&[2.0f32, 0.0, 0.0, 4.0], (2, 2)).unwrap();
        let i = with_device(Device::CPU, || linalg::inv(&a)).unwrap();
        assert_eq!(i.to_vec::<f32>().unwrap(), [0.5, 0.0, 0.0, 0.25]);
    });
}

#[test]
fn eval_reports_its_own_error() {
    on_worker(|| {
        let x = failing();
        let e = eval([&x]).unwrap_err();
        assert!(matches!(e, Error::Mlx { .. }), "{e}");
        assert!(e.to_string().contains("LU factorization"), "{e}");
        // The array has no values, now or later.
        assert!(!x.is_ready().unwrap());
        assert!(matches!(x.as_slice::<f32>(), Err(Error::NotReady { .. })));
        assert!(
            x.to_vec::<f32>()
                .unwrap_err()
                .to_string()
                .contains("failed")
        );
        assert!(x.square().unwrap().eval().is_err());
        nothing_left();
    });
}

#[test]
fn the_handle_reports() {
    on_worker(|| {
        let x = failing();
        let pending = async_eval([&x]).unwrap();
        let e = pending.wait().unwrap_err();
        assert!(e.to_string().contains("LU factorization"), "{e}");
        assert!(x.to_vec::<f32>().is_err());
        nothing_left();
    });
}

#[test]
fn a_dropped_handle_defers_its_error_once() {
    on_worker(|| {
        drop(async_eval([&failing()]).unwrap());
        let y = fine();
        let e = eval([&y]).unwrap_err();
        assert!(matches!(e, Error::Earlier { .. }), "{e}");
        assert!(e.to_string().contains("earlier"), "{e}");
        assert!(e.to_string().contains("LU factorization"), "{e}");
        assert_eq!(y.item::<f32>().unwrap(), 9.0);
        nothing_left();
    });
}

#[test]
fn a_leaked_handle_fails_nothing_else() {
    on_worker(|| {
        let x = failing();
        std::mem::forget(async_eval([&x]).unwrap());
        nothing_left();
        assert!(x.to_vec::<f32>().is_err());
        // Without any handle to the array as well.
        std::mem::forget(async_eval([&failing()]).unwrap());
        let pending = async_eval([&fine()]).unwrap();
        pending.wait().unwrap();
        nothing_left();
    });
}

#[test]
fn errors_stay_with_their_evaluation() {
    for round in 0..20 {
        on_worker(move || {
            let (bad, good) = (failing(), fine());
            let first = async_eval([&bad]).unwrap();
            let second = async_eval([&good]).unwrap();
            // In any order of asking, and through any question.
            if round % 4 == 0 {
                while !second.is_done() {}
            }
            if round % 2 == 0 {
                second.wait().unwrap();
                assert!(first.wait().is_err());
            } else {
                assert!(first.wait().is_err());
                second.wait().unwrap();
            }
            assert_eq!(good.item::<f32>().unwrap(), 9.0);
            let third = async_eval([&failing()]).unwrap();
            let other = fine();
            eval([&other]).unwrap();
            assert!(third.wait().unwrap_err().to_string().contains("LU"));
            nothing_left();
        });
    }
}

/// The first thread that uses MLX meets older errors when it hands over work.
#[test]
fn errors_stay_with_their_evaluation_on_a_fresh_thread() {
    std::thread::spawn(|| {
        for _ in 0..20 {
            let first = async_eval([&failing()]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
            let good = fine();
            let second = async_eval([&good]).unwrap();
            second.wait().unwrap();
            assert!(first.wait().is_err());
            assert_eq!(good.item::<f32>().unwrap(), 9.0);
            nothing_left();
        }
    })
    .join()
    .unwrap();
}

#[test]
fn an_error_crosses_streams_once() {
    on_worker(|| {
        let side = Stream::new(Device::CPU).unwrap();
        let bad = with_stream(&side, failing_here);
        let y = bad.square().unwrap(); // on the default stream
        assert!(eval([&y]).is_err());
        nothing_left();
        with_stream(&side, nothing_left);
    });
}

fn failing_here() -> Array {
    let singular = Array::from_slice(&[0.0f32; 4], (2, 2)).unwrap();
    linalg::inv(&singular).unwrap()
}

#[test]
fn streams_nest_and_unwind() {
    on_worker(|| {
        let outer = Stream::current().unwrap();
        let a = Stream::new(Device::CPU).unwrap();
        let b = Stream::new(Device::CPU).unwrap();
        assert_ne!(a, b);
        with_stream(&a, || {
            assert_eq!(Stream::current().unwrap(), a);
            with_stream(&b, || assert_eq!(Stream::current().unwrap(), b));
            let _ = std::panic::catch_unwind(|| {
                with_device(Device::CPU, || panic!("inside"));
            });
            assert_eq!(Stream::current().unwrap(), a);
            assert_eq!(fine().item::<f32>().unwrap(), 9.0);
            a.synchronize().unwrap();
        });
        assert_eq!(Stream::current().unwrap(), outer);
        assert_eq!(
            Stream::default_for(Device::CPU).unwrap().device(),
            Device::CPU
        );
    });
}

#[test]
fn each_thread_has_its_default_stream() {
    let index = || Stream::default_for(Device::CPU).unwrap().index();
    let a = std::thread::spawn(index).join().unwrap();
    let b = std::thread::spawn(index).join().unwrap();
    assert_ne!(a, b);
}

#[test]
fn devices() {
    on_worker(|| {
        assert!(Device::CPU.is_available().unwrap());
        assert!(Device::count(DeviceKind::Cpu).unwrap() >= 1);
        assert!(!Device::CPU.info().unwrap().is_empty());
        if !Device::GPU.is_available().unwrap() {
            assert!(matches!(
                Stream::new(Device::GPU),
                Err(Error::Argument { .. })
            ));
            let e = with_device(Device::GPU, || Array::from(1.0f32).square()).unwrap_err();
            assert!(e.to_string().contains("gpu"), "{e}");
        }
        // More than one thread of this process uses MLX.
        std::thread::spawn(|| fine().eval().unwrap())
            .join()
            .unwrap();
        let e = Device::CPU.set_default().unwrap_err();
        assert!(matches!(e, Error::Argument { .. }), "{e}");
    });
}

#[test]
fn after_clear_streams_operations_fail_with_an_error() {
    std::thread::spawn(|| {
        assert_eq!(fine().item::<f32>().unwrap(), 9.0);
        clear_streams().unwrap();
        assert!(fine().eval().is_err());
    })
    .join()
    .unwrap();
}

#[test]
fn results_are_read_after_the_cache_was_cleared() {
    on_worker(|| {
        let x = Array::arange(1000).unwrap();
        let y = x.square().unwrap();
        y.eval().unwrap();
        zmlx::memory::clear_cache().unwrap();
        let want: Vec<i32> = (0..1000).map(|i| i * i).collect();
        assert_eq!(y.to_vec::<i32>().unwrap(), want);
    });
}

#[test]
fn arrays_of_no_elements_go_from_the_default_device_to_the_cpu() {
    on_worker(|| -> zmlx::Result<()> {
        let of = |shape: (i32, i32)| Array::zeros(shape, zmlx::Dtype::Float32);
        let (rows, columns) = (of((0, 4))?, of((4, 0))?);
        let some = of((4, 5))?;
        let kernel = zmlx::MetalKernel::new("none", ["x"], ["out"])
            .source("out[thread_position_in_grid.x] = x[thread_position_in_grid.x];")
            .build()?;
        let made = [
            ("matmul of no rows", rows.matmul(&some)?, vec![0, 5]),
            (
                "matmul of no columns",
                some.transpose(..)?.matmul(&columns)?,
                vec![5, 0],
            ),
            ("matmul of no products", columns.matmul(&rows)?, vec![4, 4]),
            ("exp", rows.exp()?, vec![0, 4]),
            ("sum", rows.sum(1)?, vec![0]),
            ("softmax", rows.softmax(-1)?, vec![0, 4]),
            ("sort", rows.sort(-1)?, vec![0, 4]),
            (
                "take",
                some.take(&Array::zeros(0, zmlx::Dtype::Int32)?, 0)?,
                vec![0, 5],
            ),
            (
                "kernel",
                kernel.launch(&[&rows]).run_vec()?.remove(0),
                vec![0, 4],
            ),
        ];
        for (name, array, shape) in made {
            // Once within an evaluation, and once after it.
            for before in [false, true] {
                if before {
                    array.eval()?;
                }
                let there =
                    with_device(Device::CPU, || array.astype(zmlx::Dtype::Float64)?.add(1.0))?;
                assert_eq!(there.shape(), shape, "{name}");
                let values = there.to_vec::<f64>()?;
                assert!(values.iter().all(|v| *v == 1.0), "{name}: {values:?}");
            }
        }
        Ok(())
    })
    .unwrap();
}
