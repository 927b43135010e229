//! A pool's queue: order, bound, depth, cancellation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::{Duration, Instant};

use zmlx::worker::Pool;
use zmlx::{Array, Error, Worker};

/// Occupies one thread of the pool until the sender is dropped.
fn occupy(pool: &Pool) -> (mpsc::Sender<()>, zmlx::worker::Job<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let (begun, ready) = mpsc::channel();
    let job = pool.run(move || {
        begun.send(()).map_err(Error::other)?;
        let _ = wait.recv();
        Ok(())
    });
    ready.recv().unwrap();
    (go, job)
}

#[test]
fn an_idle_thread_takes_the_next_job() {
    let pool = Pool::new(3).unwrap();
    let long = [occupy(&pool), occupy(&pool)];
    // All of these go past the two long ones.
    let short: Vec<_> = (0..20)
        .map(|i| pool.run(move || Array::from(i).square()?.item::<i32>()))
        .collect();
    for (i, job) in short.into_iter().enumerate() {
        assert_eq!(job.wait().unwrap(), (i * i) as i32);
    }
    for (go, job) in long {
        drop(go);
        job.wait().unwrap();
    }
}

#[test]
fn jobs_begin_in_the_order_they_came() {
    let pool = Pool::new(1).unwrap();
    let (go, _job) = occupy(&pool);
    let (send, order) = mpsc::channel();
    let jobs: Vec<_> = (0..10)
        .map(|i| {
            let send = send.clone();
            pool.run(move || send.send(i).map_err(Error::other))
        })
        .collect();
    assert_eq!(pool.depth(), 10);
    drop(go);
    for job in jobs {
        job.wait().unwrap();
    }
    assert_eq!(
        order.try_iter().collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
    assert_eq!(pool.depth(), 0);
}

#[test]
fn a_bound() {
    let pool = Arc::new(Pool::bounded(1, 2).unwrap());
    assert_eq!((pool.capacity(), pool.threads(), pool.depth()), (2, 1, 0));
    let (go, job) = occupy(&pool);
    let waiting = [pool.try_run(|| Ok(1)), pool.try_run(|| Ok(2))];
    let refused = pool.try_run(|| Ok(3)).wait().unwrap_err();
    assert!(matches!(refused, Error::Worker { .. }), "{refused}");
    assert!(refused.to_string().contains("room"), "{refused}");
    // `run` waits for room.
    let other = {
        let pool = Arc::clone(&pool);
        std::thread::spawn(move || pool.run(|| Ok(Instant::now())).wait())
    };
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(pool.depth(), 2);
    let opened = Instant::now();
    drop(go);
    job.wait().unwrap();
    assert_eq!(waiting.map(|j| j.wait().unwrap()), [1, 2]);
    assert!(other.join().unwrap().unwrap() >= opened);
}

#[test]
fn what_has_not_begun_can_be_cancelled() {
    static RAN: AtomicUsize = AtomicUsize::new(0);
    let pool = Pool::bounded(1, 3).unwrap();
    let (go, job) = occupy(&pool);
    let count = || {
        RAN.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let jobs = [(); 3].map(|()| pool.run(count));
    let [first, second, third] = jobs;
    assert!(second.cancel());
    assert_eq!(pool.depth(), 2);
    // There is room again.
    let fourth = pool.try_run(count);
    assert_eq!(pool.cancel_waiting(), 3);
    for job in [first, third, fourth] {
        let e = job.wait().unwrap_err();
        assert!(e.to_string().contains("cancelled"), "{e}");
    }
    assert!(!job.cancel()); // it has begun
    drop(go);
    let done = pool.run(count);
    while RAN.load(Ordering::Relaxed) == 0 {}
    assert!(!done.cancel());
    assert_eq!(RAN.load(Ordering::Relaxed), 1);
}

#[test]
fn dropping_waits_for_what_is_queued() {
    static RAN: AtomicUsize = AtomicUsize::new(0);
    let pool = Pool::new(2).unwrap();
    for _ in 0..10 {
        // Without their handles the jobs run as well.
        drop(pool.run(|| {
            std::thread::sleep(Duration::from_millis(1));
            RAN.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }));
    }
    drop(pool);
    assert_eq!(RAN.load(Ordering::Relaxed), 10);
}

#[test]
fn both_threads_work_at_once() {
    let pool = Pool::new(2).unwrap();
    let meet = Arc::new(Barrier::new(2));
    let jobs = [(); 2].map(|()| {
        let meet = Arc::clone(&meet);
        pool.run(move || {
            meet.wait();
            Ok(())
        })
    });
    for job in jobs {
        job.wait().unwrap();
    }
}

#[test]
fn a_workers_job_can_be_cancelled() {
    let worker = Worker::spawn(|| Ok(0)).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let busy = worker.run(move |_| {
        let _ = wait.recv();
        Ok(())
    });
    let add = |n: &mut i32| {
        *n += 1;
        Ok(*n)
    };
    let (first, second) = (worker.run(add), worker.run(add));
    assert!(first.cancel());
    drop(go);
    busy.wait().unwrap();
    assert_eq!(second.wait().unwrap(), 1);
}
