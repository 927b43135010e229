//! Workers and pools: order, bounds, cancellation, and what goes wrong in jobs.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use zmlx::worker::{Full, Pool};
use zmlx::{Array, Error, Worker};

/// Far longer than anything here takes: waiting this long means that it does not come.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_worker_that_cannot_start_says_why() {
    let e = Worker::<()>::spawn(|| Err(Error::other("no model"))).unwrap_err();
    assert_eq!(e.to_string(), "no model");
    let start = || Worker::<()>::spawn(|| panic!("at the start"));
    let panic = catch_unwind(start).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"at the start"));
}

#[test]
fn a_worker_ends_after_its_queue_and_drops_its_state_there() {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    struct State(std::thread::ThreadId, Array);
    impl Drop for State {
        fn drop(&mut self) {
            assert_eq!(std::thread::current().id(), self.0);
            // MLX still works while the state goes.
            assert_eq!(self.1.square().unwrap().item::<f32>().unwrap(), 9.0);
            DONE.fetch_add(1000, Ordering::SeqCst);
        }
    }
    let worker =
        Worker::spawn(|| Ok(State(std::thread::current().id(), Array::from(3.0f32)))).unwrap();
    for _ in 0..10 {
        drop(worker.run(|_| {
            DONE.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }));
    }
    worker.close();
    let e = worker.run(|_| Ok(())).wait().unwrap_err();
    assert!(matches!(e, Error::Worker { .. }), "{e}");
    drop(worker);
    assert_eq!(DONE.load(Ordering::SeqCst), 1010);
}

#[test]
fn a_job_may_drop_the_worker() {
    let worker = Arc::new(Worker::spawn(|| Ok(())).unwrap());
    let own = Arc::clone(&worker);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let job = worker.run(move |()| {
        wait.recv().map_err(Error::other)?;
        drop(own); // the last one
        Ok(7)
    });
    drop(worker);
    go.send(()).unwrap();
    assert_eq!(job.wait().unwrap(), 7);
}

/// A background error of one job is not the next job's.
#[test]
fn a_job_keeps_its_late_error() {
    let worker = Worker::spawn(|| Ok(())).unwrap();
    let bad = worker.run(|()| {
        let singular = Array::from_slice(&[0.0f32; 4], (2, 2))?;
        let x = zmlx::with_device(zmlx::Device::CPU, || zmlx::linalg::inv(&singular))?;
        drop(zmlx::async_eval([&x])?);
        Ok(())
    });
    let good = worker.run(|()| Array::from(2.0f32).square()?.item::<f32>());
    assert!(matches!(bad.wait(), Err(Error::Earlier { .. })));
    assert_eq!(good.wait().unwrap(), 4.0);
}

/// Its destructor panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::panic_any(Fuse(2));
        }
    }
}

/// A panic's payload whose destructor panics again, with such a payload.
struct Fuse(u32);

impl Drop for Fuse {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::panic_any(Fuse(self.0 - 1));
        }
    }
}

fn nine(worker: &Worker) -> f32 {
    let job = worker.run(|()| Array::from(3.0f32).square()?.item::<f32>());
    job.wait().unwrap()
}

/// Runs `job` and drops its handle before it ends, so that nobody takes the result.
fn unwanted<T: Send + 'static>(
    worker: &Worker,
    job: impl FnOnce() -> zmlx::Result<T> + Send + 'static,
) {
    let (go, wait) = mpsc::channel();
    let handle = worker.run(move |()| {
        wait.recv_timeout(LONG).map_err(Error::other)?;
        job()
    });
    drop(handle);
    go.send(()).unwrap();
}

#[test]
fn a_worker_outlives_what_panics_in_destructors() {
    let worker = Worker::spawn(|| Ok(())).unwrap();
    unwanted(&worker, || Ok(Bomb));
    assert_eq!(nine(&worker), 9.0);
    unwanted(&worker, || -> zmlx::Result<()> {
        std::panic::panic_any(Fuse(2))
    });
    assert_eq!(nine(&worker), 9.0);
    let captured = Bomb;
    unwanted(&worker, move || {
        let _captured = captured;
        Ok(())
    });
    assert_eq!(nine(&worker), 9.0);
}

#[test]
fn states_and_late_jobs_may_panic_in_destructors() {
    let worker = Worker::spawn(|| Ok(Bomb)).unwrap();
    worker.close();
    drop(worker.run(|_| Ok(()))); // never runs
    drop(worker);
    // The destructor's panic takes the place of the error.
    let start = || {
        Worker::<()>::spawn(|| {
            let _bomb = Bomb;
            Err(Error::other("no"))
        })
    };
    let panic = catch_unwind(start).unwrap_err();
    assert!(panic.is::<Fuse>());
    std::mem::forget(panic);
}

#[test]
fn a_job_that_has_not_begun_can_be_taken_back() {
    let worker = Worker::spawn(|| Ok(())).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let first = worker.run(move |()| wait.recv_timeout(LONG).map_err(Error::other));
    let kept = Arc::new(());
    let captured = Arc::clone(&kept);
    let second = worker.run(move |()| {
        drop(captured);
        Ok(())
    });
    let third = worker.run(|()| Ok(3));
    assert!(second.cancel());
    assert_eq!(Arc::strong_count(&kept), 1, "what it captured is gone");
    assert!(second.cancel(), "it stays cancelled");
    go.send(()).unwrap();
    first.wait().unwrap();
    let e = second.wait().unwrap_err();
    assert!(e.to_string().contains("cancelled"), "{e}");
    assert!(
        matches!(&e, Error::Worker { at, .. } if at.file() == file!()),
        "{e}"
    );
    assert_eq!(third.wait().unwrap(), 3);
    let done = worker.run(|()| Ok(4));
    worker.run(|()| Ok(())).wait().unwrap();
    assert!(!done.cancel(), "it has run");
    assert_eq!(done.wait().unwrap(), 4);
}

/// Begins a job on each thread of the pool that waits for the returned senders.
fn occupy(pool: &Pool) -> Vec<(mpsc::Sender<()>, zmlx::worker::Job<()>)> {
    let jobs = (0..pool.threads()).map(|_| {
        let (go, wait) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        let job = pool.run(move || {
            began.send(()).map_err(Error::other)?;
            wait.recv_timeout(LONG).map_err(Error::other)
        });
        begun.recv_timeout(LONG).unwrap();
        (go, job)
    });
    jobs.collect()
}

#[test]
fn an_idle_thread_takes_the_next_job() {
    let pool = Pool::new(2).unwrap();
    let mut busy = occupy(&pool);
    let (go, long) = busy.pop().unwrap();
    // One thread is free again; the other keeps its job until the end.
    let (go_first, first) = busy.pop().unwrap();
    go_first.send(()).unwrap();
    first.wait().unwrap();
    let short: Vec<_> = (0..20).map(|i| pool.run(move || Ok(i))).collect();
    for (i, job) in short.into_iter().enumerate() {
        assert_eq!(job.wait().unwrap(), i);
    }
    go.send(()).unwrap();
    long.wait().unwrap();
}

#[test]
fn a_bounded_pool_takes_no_more_than_it_holds() {
    let pool = Pool::bounded(1, 2).unwrap();
    assert_eq!((pool.threads(), pool.capacity(), pool.depth()), (1, 2, 0));
    let busy = occupy(&pool);
    let waiting = [pool.run(|| Ok(1)), pool.run(|| Ok(2))];
    assert_eq!(pool.depth(), 2);
    let text = String::from("kept");
    let Err(Full(job)) = pool.try_run(move || Ok(text)) else {
        panic!("a full queue took a job");
    };
    assert_eq!(job().unwrap(), "kept", "the job comes back whole");
    // Room appears when one is cancelled, and `run` waits for it.
    let later = std::thread::scope(|scope| {
        let blocked = scope.spawn(|| pool.run(|| Ok(3)));
        assert!(waiting[0].cancel());
        blocked.join().unwrap()
    });
    assert_eq!(pool.depth(), 2);
    for (go, job) in busy {
        go.send(()).unwrap();
        job.wait().unwrap();
    }
    let [first, second] = waiting;
    assert!(first.wait().is_err());
    assert_eq!(second.wait().unwrap(), 2);
    assert_eq!(later.wait().unwrap(), 3);
    pool.close();
    assert!(pool.run(|| Ok(())).wait().is_err());
    let refused = pool.try_run(|| Ok(())).map(|job| job.wait());
    assert!(matches!(refused, Ok(Err(Error::Worker { .. }))));
}

#[test]
fn a_pool_finishes_what_it_has_taken() {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let pool = Pool::new(3).unwrap();
    for _ in 0..50 {
        drop(pool.run(|| {
            DONE.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }));
    }
    drop(pool);
    assert_eq!(DONE.load(Ordering::SeqCst), 50);
}

#[test]
fn jobs_begin_in_the_order_they_were_sent() {
    let pool = Pool::new(1).unwrap();
    let busy = occupy(&pool);
    let (send, order) = mpsc::channel();
    let jobs = (0..10).map(|i| {
        let send = send.clone();
        pool.run(move || send.send(i).map_err(Error::other))
    });
    let jobs: Vec<_> = jobs.collect();
    assert_eq!(pool.depth(), 10);
    for (go, job) in busy {
        go.send(()).unwrap();
        job.wait().unwrap();
    }
    for job in jobs {
        job.wait().unwrap();
    }
    assert!(order.try_iter().eq(0..10));
}
