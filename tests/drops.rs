//! Destructors of users that panic, and destructors that run when their thread ends.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zmlx::prelude::*;
use zmlx::{
    Array, Device, Error, Frozen, Pending, Stream, Worker, async_eval, checkpoint, compile,
    custom_function, eval, grad, io, jvp, linalg, random, value_and_grad, vjp, vmap, with_stream,
};

/// Its destructor panics with a payload whose destructor panics, so many times.
struct Bomb(u32);

static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Drop for Bomb {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        if self.0 > 0 {
            std::panic::panic_any(Bomb(self.0 - 1));
        }
    }
}

/// Drops a value; a panic of its destructor may come out, and goes no further.
fn drop_any<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        std::mem::forget(payload);
    }
}

#[test]
fn captured_values_that_panic() {
    let x = Array::from(1.0f32);
    let same = |bomb: Bomb| {
        move |p: &[Array]| {
            let _ = &bomb;
            Ok(vec![p[0].exp()?])
        }
    };
    let before = DROPPED.load(Ordering::Relaxed);
    let c = compile(same(Bomb(2))).unwrap();
    c.call([&x]).unwrap();
    drop_any(c);
    drop_any(compile(same(Bomb(1))).unwrap());
    // The graph holds the function, and is the last to.
    let f = custom_function(same(Bomb(2)));
    let y = f.call([&x]).unwrap();
    drop_any(f);
    drop_any(y);
    let f = custom_function(|p: &[Array]| Ok(vec![p[0].exp()?])).with_vjp({
        let bomb = Bomb(1);
        move |_, cotangents, _| {
            let _ = &bomb;
            Ok(cotangents.to_vec())
        }
    });
    let y = f.call([&x]).unwrap();
    drop_any((f, y));
    let f = checkpoint(same(Bomb(2))).unwrap();
    let y = f(std::slice::from_ref(&x)).unwrap();
    drop_any(f);
    drop_any(y);
    for f in [
        (|b, x| drop(vmap(b).call([x]))) as fn(_, &Array),
        |b, x| drop(vjp(b, [x], [x])),
        |b, x| drop(jvp(b, [x], [x])),
    ] {
        let x = Array::ones(1, F32).unwrap();
        let ended = catch_unwind(AssertUnwindSafe(|| f(same(Bomb(1)), &x)));
        std::mem::forget(ended);
    }
    drop_any(grad({
        let bomb = Bomb(1);
        move |x: &Array| {
            let _ = &bomb;
            x.square()
        }
    }));
    assert!(DROPPED.load(Ordering::Relaxed) > before + 8);
    // On another thread it is not dropped, and nothing ends.
    assert_eq!(x.exp().unwrap().item::<f32>().unwrap(), 1.0f32.exp());
}

#[test]
fn a_closure_that_panics_with_a_bomb() {
    let x = Array::from(1.0f32);
    for _ in 0..2 {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            value_and_grad(|_: &Array| -> zmlx::Result<Array> { std::panic::panic_any(Bomb(2)) })(
                &x,
            )
        }));
        std::mem::forget(caught.unwrap_err());
    }
    assert_eq!(x.square().unwrap().item::<f32>().unwrap(), 1.0);
}

/// A worker whose jobs nobody waits for.
#[test]
fn a_worker_outlives_what_it_drops() {
    let worker = Worker::spawn(|| Ok(Bomb(1))).unwrap();
    let nap = || std::thread::sleep(Duration::from_millis(5));
    for depth in 0..3 {
        drop(worker.run(move |_| {
            nap();
            Ok(Bomb(depth))
        }));
        drop(worker.run(move |_| -> zmlx::Result<()> {
            nap();
            std::panic::panic_any(Bomb(depth))
        }));
        let captured = Bomb(depth);
        drop(worker.run(move |_| {
            let _ = &captured;
            nap();
            Ok(())
        }));
        let captured = Bomb(depth);
        drop(worker.run(move |_| {
            let _ = &captured;
            nap();
            Err::<(), _>(Error::other("no"))
        }));
    }
    let square = |_: &mut Bomb| Array::from(3.0f32).square()?.item::<f32>();
    assert_eq!(worker.run(square).wait().unwrap(), 9.0);
    // What was sent too late, and the state at the end.
    worker.close();
    let captured = Bomb(2);
    let late = worker.run(move |_| {
        let _ = &captured;
        Ok(())
    });
    assert!(matches!(late.wait(), Err(Error::Worker { .. })));
    drop(worker);
}

/// Uses everything when it is dropped. Values or errors, whichever: no crash, no hang.
struct Last {
    array: Array,
    lazy: Array,
    compiled: zmlx::Compiled,
    custom: zmlx::CustomFunction,
    frozen: Frozen,
    pending: Option<Pending>,
    failing: Option<Pending>,
}

impl Last {
    fn new() -> Self {
        let array = Array::from_slice(&[1.0f32, 2.0], 2).unwrap();
        let exp = |p: &[Array]| Ok(vec![p[0].exp()?]);
        let compiled = compile(exp).unwrap();
        compiled.call([&array]).unwrap()[0].eval().unwrap();
        let singular = Array::from_slice(&[0.0f32; 4], (2, 2)).unwrap();
        let bad = zmlx::with_device(Device::CPU, || linalg::inv(&singular)).unwrap();
        Last {
            lazy: array.exp().unwrap(),
            compiled,
            custom: custom_function(exp),
            frozen: array.freeze().unwrap(),
            pending: Some(async_eval([&array.square().unwrap()]).unwrap()),
            failing: Some(async_eval([&bad]).unwrap()),
            array,
        }
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        let x = Array::from(2.0f32);
        let y = x.square().and_then(|y| y.item::<f32>());
        assert!(y.as_ref().map_or(true, |y| *y == 4.0), "{y:?}");
        let copy = self.array.clone();
        let _ = self.lazy.eval();
        let _ = copy.to_vec::<f32>();
        let _ = (
            format!("{copy} {copy:?} {}", self.lazy),
            copy.is_ready(),
            copy.is_tracer(),
        );
        let _ = self.compiled.call([&copy]);
        let _ = self.custom.call([&copy]);
        let _ = compile(|p: &[Array]| Ok(p.to_vec())).and_then(|f| f.call([&copy]));
        let _ = custom_function(|p: &[Array]| Ok(p.to_vec())).call([&copy]);
        let _ = vjp(|p| Ok(p.to_vec()), [&copy], [&copy]);
        let _ = vjp(|_| Err(Error::other("mine")), [&copy], [&copy]);
        let _ = jvp(|p| Ok(p.to_vec()), [&copy], [&copy]);
        let _ = vmap(|p| Ok(vec![p[0].square()?])).call([&copy]);
        let _ = grad(|x: &Array| x.square())(&x);
        let _ = Stream::new(Device::CPU).map(|s| with_stream(&s, || x.exp()));
        let _ = (
            Stream::current(),
            Stream::default_for(Device::CPU),
            zmlx::synchronize(),
        );
        random::seed(3);
        let _ = random::normal(4).and_then(|r| r.to_vec::<f32>());
        let file = std::env::temp_dir().join(format!("zmlx-drops-{}.npy", std::process::id()));
        let _ = io::save_npy(&file, &copy).and_then(|()| io::load_npy(&file));
        let _ = std::fs::remove_file(file);
        let _ = self.frozen.thaw().and_then(|a| a.to_vec::<f32>());
        let _ = (self.frozen.to_vec::<f32>(), copy.freeze());
        let _ = self.pending.take().map(|p| (p.is_done(), p.wait()));
        drop(self.failing.take());
        let _ = async_eval([&copy.square().unwrap_or(x)]).map(Pending::wait);
        let _ = eval([&self.lazy]);
        let _ = (zmlx::memory::active(), zmlx::mlx_version());
        let worker = Worker::spawn(|| Array::from(3.0f32).square());
        let nine = worker.and_then(|w| w.run(|y| y.item::<f32>()).wait());
        assert_eq!(nine.unwrap(), 9.0);
    }
}

thread_local! {
    static EARLY: RefCell<Option<Last>> = const { RefCell::new(None) };
    static LATE: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// Destructors of thread-locals, older and younger than the thread's first use of MLX.
#[test]
fn at_the_end_of_a_thread() {
    for round in 0..12 {
        std::thread::spawn(move || {
            if round % 3 != 0 {
                // Registers the destructor before MLX's.
                EARLY.with(|_| ());
            }
            let last = Last::new();
            if round % 2 == 0 {
                LATE.set(Some(Last::new()));
            }
            EARLY.set(Some(last));
        })
        .join()
        .unwrap();
    }
}

/// With an NVIDIA GPU threads take turns, and the end of a thread is a turn, too: whoever waits in a destructor for what another thread
/// computes gets it all the same. Where there is no such GPU a variable says that turns are taken.
#[test]
fn ends_of_threads_in_turns() {
    let mut all = Command::new(std::env::current_exe().unwrap())
        .args(["--skip", "ends_of_threads_in_turns", "--test-threads", "4"])
        .env("ZMLX_TAKE_TURNS", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    loop {
        if let Some(status) = all.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            break;
        }
        if begin.elapsed() > Duration::from_secs(120) {
            all.kill().unwrap();
            panic!("the tests do not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A thread whose only use of MLX is in a destructor.
#[test]
fn on_a_thread_that_first_uses_mlx_at_its_end() {
    struct First;
    impl Drop for First {
        fn drop(&mut self) {
            let y = Array::from(3.0f32).square().and_then(|y| y.item::<f32>());
            assert!(y.map_or(true, |y| y == 9.0));
        }
    }
    thread_local! {
        static FIRST: First = const { First };
    }
    for _ in 0..4 {
        std::thread::spawn(|| FIRST.with(|_| ())).join().unwrap();
    }
}

#[test]
fn a_result_that_nobody_wants_after_the_job_has_ended() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let worker = zmlx::Worker::spawn(|| Ok(())).unwrap();
    let job = worker.run(|()| Ok(Bomb));
    // The next job has ended, so the one before it has.
    worker.run(|()| Ok(())).wait().unwrap();
    drop(job); // here, without a panic
    let panicked = worker.run(|()| -> zmlx::Result<()> { std::panic::panic_any(Bomb) });
    worker.run(|()| Ok(())).wait().unwrap();
    drop(panicked);
    let awaited = std::future::IntoFuture::into_future(worker.run(|()| Ok(Bomb)));
    worker.run(|()| Ok(())).wait().unwrap();
    drop(awaited);
    assert_eq!(worker.run(|()| Ok(3)).wait().unwrap(), 3);
}
