//! What crosses threads: frozen values, workers, and what does not.

mod common;

use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};

use common::{noise, on_worker};
use zmlx::worker::Pool;
use zmlx::{Array, Error, Frozen, Worker, eval, grad};

const THREADS: usize = 8;

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn frozen(values: &[f32]) -> Frozen {
    let values = values.to_vec();
    on_worker(move || {
        Array::from_slice(&values, values.len())
            .unwrap()
            .freeze()
            .unwrap()
    })
}

#[test]
fn frozen_keeps_shape_and_values() {
    let f = on_worker(|| {
        let x = Array::from_slice(&[1i32, 2, 3, 4, 5, 6], (2, 3)).unwrap();
        // Strided storage is copied into row-major order.
        x.transpose(..).unwrap().freeze().unwrap()
    });
    assert_eq!((f.shape(), f.size(), f.nbytes()), (&[3, 2][..], 6, 24));
    assert_eq!(f.as_slice::<i32>().unwrap(), [1, 4, 2, 5, 3, 6]);
    assert!(matches!(f.as_slice::<f32>(), Err(Error::Dtype { .. })));
    assert_eq!(f.to_vec::<i32>().unwrap().len(), 6);
    let again = f.clone();
    on_worker(move || {
        let a = again.thaw().unwrap();
        assert!(a.is_ready().unwrap() && a.is_row_contiguous());
        let b = again.thaw().unwrap();
        assert!(a.shares_data_with(&b) && a.id() != b.id());
        assert_eq!(a.to_vec::<i32>().unwrap(), [1, 4, 2, 5, 3, 6]);
    });
}

#[test]
fn freezing_an_owned_array_copies_nothing() {
    on_worker(|| {
        let x = Array::from_slice(&noise(1000, 1), 1000)
            .unwrap()
            .square()
            .unwrap();
        let f = x.freeze().unwrap();
        assert!(f.thaw().unwrap().shares_data_with(&x));
        assert_eq!(
            x.as_slice::<f32>().unwrap().as_ptr(),
            f.as_slice::<f32>().unwrap().as_ptr()
        );
        // A view of the same buffer could be donated on this thread: a copy then.
        let y = Array::from_slice(&noise(1000, 2), 1000)
            .unwrap()
            .square()
            .unwrap();
        y.eval().unwrap();
        let view = y.reshape([10, 100]).unwrap();
        view.eval().unwrap();
        let f = y.freeze().unwrap();
        assert!(!f.thaw().unwrap().shares_data_with(&y));
        assert_eq!(f.to_vec::<f32>().unwrap(), y.to_vec::<f32>().unwrap());
    });
}

#[test]
fn frozen_empty_scalar_and_every_dtype() {
    on_worker(|| {
        let e = Array::from_slice::<f32>(&[], (0, 3))
            .unwrap()
            .freeze()
            .unwrap();
        assert_eq!(
            (e.shape(), e.as_slice::<f32>().unwrap().len()),
            (&[0, 3][..], 0)
        );
        assert_eq!(e.thaw().unwrap().to_vec::<f32>().unwrap(), [0.0f32; 0]);
        let s = Array::from(true).freeze().unwrap();
        assert_eq!(s.as_slice::<bool>().unwrap(), [true]);
        assert!(s.thaw().unwrap().item::<bool>().unwrap());
        let h = Array::from(half::bf16::ONE).freeze().unwrap();
        assert_eq!(h.as_slice::<half::bf16>().unwrap(), [half::bf16::ONE]);
    });
}

#[test]
fn a_traced_array_does_not_freeze() {
    on_worker(|| {
        let f = grad(|x: &Array| {
            let e = x.freeze().unwrap_err();
            assert!(matches!(e, Error::NotReady { .. }), "{e}");
            x.square()
        });
        f(&Array::from(3.0f32)).unwrap();
    });
}

/// Chains of operations that MLX computes in place when it may, over a buffer that
/// seven other threads read: the values must not change.
#[test]
fn frozen_is_never_donated() {
    let values = noise(4096, 3);
    let shared = frozen(&values);
    std::thread::scope(|scope| {
        for i in 0..THREADS {
            let (shared, values) = (shared.clone(), &values);
            scope.spawn(move || {
                // Bounded: this file starts these threads once.
                for round in 0..200 {
                    if i % 2 == 0 {
                        // The thawed handle is gone before its consumer runs.
                        let y = shared.thaw().unwrap().negative().unwrap().exp().unwrap();
                        let got = y.to_vec::<f32>().unwrap();
                        let want = (-values[round]).exp();
                        assert!((got[round] - want).abs() < 1e-5);
                    } else {
                        assert_eq!(shared.as_slice::<f32>().unwrap(), values);
                    }
                }
            });
        }
    });
    assert_eq!(shared.as_slice::<f32>().unwrap(), values);
}

#[test]
fn the_last_handle_may_go_anywhere() {
    let thawed = {
        let f = frozen(&[1.0, 2.0]);
        let other = f.clone();
        std::thread::spawn(move || drop(other)).join().unwrap();
        on_worker(move || {
            let a = f.thaw().unwrap();
            drop(f);
            a.square().unwrap().to_vec::<f32>().unwrap()
        })
    };
    assert_eq!(thawed, [1.0, 4.0]);
}

#[test]
fn eight_threads_each_with_their_own_graphs() {
    let shared = frozen(&noise(256, 4));
    let want: f64 = noise(256, 4)
        .iter()
        .map(|&x| f64::from(x) * f64::from(x))
        .sum();
    let pool = Pool::new(THREADS).unwrap();
    let jobs: Vec<_> = (0..THREADS * 20)
        .map(|_| {
            let shared = shared.clone();
            pool.run(move || {
                let x = shared.thaw()?;
                let g = grad(|x: &Array| x.square()?.sum(..))(&x)?;
                let s = x.square()?.sum(..)?;
                eval([&g, &s])?;
                Ok((s.item::<f32>()?, g.to_vec::<f32>()?))
            })
        })
        .collect();
    for job in jobs {
        let (sum, gradient) = job.wait().unwrap();
        assert!((f64::from(sum) - want).abs() < 1e-3);
        for (g, x) in gradient.iter().zip(shared.as_slice::<f32>().unwrap()) {
            assert_eq!(*g, 2.0 * x);
        }
    }
}

#[test]
fn a_worker_keeps_its_arrays_and_its_order() {
    let worker = Worker::spawn(|| Ok(vec![Array::from(0.0f32)])).unwrap();
    let jobs: Vec<_> = (0..100)
        .map(|i| {
            worker.run(move |state| {
                state[0] = state[0].add(1.0)?;
                assert_eq!(state[0].item::<f32>()?, (i + 1) as f32);
                Ok(i)
            })
        })
        .collect();
    for (i, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.wait().unwrap(), i);
    }
    let twice: zmlx::Result<f32> = block_on(async {
        let a = worker.run(|s| s[0].item::<f32>()).await?;
        let b = worker.run(|s| s[0].item::<f32>()).into_future().await?;
        Ok(a + b)
    });
    assert_eq!(twice.unwrap(), 200.0);
}

#[test]
fn panics_and_errors_come_out_of_their_job_only() {
    let worker = Worker::spawn(|| Ok(())).unwrap();
    let panics = worker.run(|()| -> zmlx::Result<()> { panic!("in the job") });
    let fails = worker.run(|()| Array::from(1.0f32).reshape([3]).map(drop));
    let fine = worker.run(|()| Ok(5));
    let panic = catch_unwind(AssertUnwindSafe(|| panics.wait())).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"in the job"));
    assert!(matches!(fails.wait(), Err(Error::Shape { .. })));
    assert_eq!(fine.wait().unwrap(), 5);
}

/// Threads that end while MLX still has work of theirs, or arrays in thread-locals.
#[test]
fn threads_end_cleanly() {
    thread_local! {
        static KEPT: std::cell::RefCell<Vec<Array>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    for _ in 0..THREADS {
        std::thread::spawn(|| {
            let x = Array::from_slice(&noise(512, 9), 512)
                .unwrap()
                .exp()
                .unwrap();
            KEPT.with_borrow_mut(|k| k.push(x.clone()));
            std::mem::forget(zmlx::async_eval([&x]).unwrap());
            KEPT.with_borrow_mut(|k| k.push(x.square().unwrap()));
        })
        .join()
        .unwrap();
    }
}

#[test]
fn threads_end_while_others_multiply() {
    // A thread has handles of the GPU's libraries, and gives them back at its end, which waits for the device.
    let product = |seed: u64| -> zmlx::Result<()> {
        let (x, w) = (noise(64 * 96, seed), noise(96 * 32, seed + 1));
        let (a, b) = (
            Array::from_slice(&x, (64, 96))?,
            Array::from_slice(&w, (96, 32))?,
        );
        let got = a.matmul(&b)?.to_vec::<f32>()?;
        for (i, got) in got.iter().enumerate() {
            let (row, column) = (i / 32, i % 32);
            let terms = (0..96).map(|k| f64::from(x[row * 96 + k]) * f64::from(w[k * 32 + column]));
            let (want, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t.abs()));
            // A GPU may round the factors to 11 bits.
            assert!(
                (f64::from(*got) - want).abs() <= size / 1000.0,
                "{got} {want}"
            );
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        for long in 0..2 {
            scope.spawn(move || (0..200).for_each(|i| product(1000 * long + i).unwrap()));
        }
        for wave in 0..10 {
            let short =
                (0..THREADS as u64).map(|i| scope.spawn(move || product(10 * wave + i).unwrap()));
            let short: Vec<_> = short.collect();
            short.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}
