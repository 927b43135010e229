//! A thread that looks now and then which launches run, and interrupts those whose time is up.
//!
//! A launch says on each OS thread that works for it which one it is, and nothing more: no clock is
//! read. The patrol takes the time at which it first saw a launch for its start. It sleeps while
//! nothing runs.

use std::{
    collections::HashMap,
    ops::Range,
    ptr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use super::{
    abi::{Context, Exit},
    interrupt,
};

/// What an OS thread that runs kernels is busy with. The thread writes it, the patrol reads it.
#[derive(Debug)]
pub(super) struct Post {
    /// The OS thread.
    pub thread: libc::pthread_t,
    /// The launch, 0 for none.
    pub launch: AtomicU64,
    /// The launch that is to end; the patrol's to write.
    pub over: AtomicU64,
    /// Milliseconds that the launch may take.
    limit: AtomicU64,
    /// Where the kernel's code begins and ends.
    pub code: [AtomicUsize; 2],
    /// The way out of a loop over threads, while there is one.
    pub exit: AtomicPtr<Exit>,
    /// Where the library keeps the context of the coroutine that runs, while one does.
    pub current: AtomicPtr<*mut Context>,
}

/// Takes the post off the list when its thread ends.
struct Own(Arc<Post>);

impl Drop for Own {
    fn drop(&mut self) {
        posts().retain(|post| !Arc::ptr_eq(post, &self.0));
        interrupt::POST.set(ptr::null());
    }
}

thread_local! {
    static OWN: Own = {
        // SAFETY: a thread can always ask who it is.
        let thread = unsafe { libc::pthread_self() };
        let post = Arc::new(Post {
            thread,
            launch: AtomicU64::new(0),
            over: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            code: [AtomicUsize::new(0), AtomicUsize::new(0)],
            exit: AtomicPtr::new(ptr::null_mut()),
            current: AtomicPtr::new(ptr::null_mut()),
        });
        posts().push(Arc::clone(&post));
        interrupt::POST.set(Arc::as_ptr(&post));
        interrupt::admit();
        Own(post)
    };
}

static POSTS: Mutex<Vec<Arc<Post>>> = Mutex::new(Vec::new());
/// Milliseconds after which the patrol looks again; the greatest number when it has to be woken.
static ROUND: AtomicU64 = AtomicU64::new(u64::MAX);
/// Between two looks while nothing is late, at most.
const ROUND_MS: u64 = 1000;
/// Between two attempts to interrupt.
const RETRY_MS: u64 = 5;
/// How long the patrol goes on looking when nothing runs.
const IDLE: Duration = Duration::from_secs(10);

fn posts() -> MutexGuard<'static, Vec<Arc<Post>>> {
    POSTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often a launch with this limit wants to be looked at.
fn round(limit: u64) -> u64 {
    (limit / 16).clamp(RETRY_MS, ROUND_MS)
}

/// Runs `work`, a part of launch `id`, on this thread.
pub(super) fn at_post<R>(
    id: u64,
    limit: Duration,
    code: &Range<usize>,
    work: impl FnOnce() -> R,
) -> R {
    // While a thread ends it has no post any more, and nobody stops what it runs.
    let Ok(post) = OWN.try_with(|own| Arc::as_ptr(&own.0)) else {
        return work();
    };
    // SAFETY: the post lives as long as its thread, on which we are.
    let post = unsafe { &*post };
    let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    post.limit.store(limit, Ordering::Relaxed);
    post.code[0].store(code.start, Ordering::Relaxed);
    post.code[1].store(code.end, Ordering::Relaxed);
    // In one order with the patrol's decision to sleep: one of the two sees the other.
    let outer = post.launch.swap(id, Ordering::SeqCst);
    if ROUND.load(Ordering::SeqCst) > round(limit) {
        wake();
    }
    let result = work();
    post.launch.store(outer, Ordering::Release);
    result
}

/// Whether launch `id` was found to be late, on a thread at its post.
pub(super) fn is_over(id: u64) -> bool {
    let post = interrupt::POST.get();
    // SAFETY: null, or the post of this thread, which lives as long as it.
    unsafe { post.as_ref() }.is_some_and(|post| post.over.load(Ordering::Relaxed) == id)
}

/// Notes the coroutines' record while `work` switches between them.
pub(super) fn coroutines<R>(current: *mut *mut Context, work: impl FnOnce() -> R) -> R {
    let post = interrupt::POST.get();
    // SAFETY: as in `is_over`.
    let set = |current| unsafe {
        if let Some(post) = post.as_ref() {
            post.current.store(current, Ordering::Release);
        }
    };
    set(current);
    let result = work();
    set(ptr::null_mut());
    result
}

/// What a library tells its way out of a loop; gives the one before.
pub(super) extern "C" fn tell(exit: *mut Exit) -> *mut Exit {
    let post = interrupt::POST.get();
    // SAFETY: as in `is_over`.
    match unsafe { post.as_ref() } {
        Some(post) => post.exit.swap(exit, Ordering::AcqRel),
        None => LAST.replace(exit),
    }
}

thread_local! {
    /// The way out on a thread that has no post.
    static LAST: std::cell::Cell<*mut Exit> = const { std::cell::Cell::new(ptr::null_mut()) };
}

#[cold]
fn wake() {
    static PATROL: OnceLock<Option<Thread>> = OnceLock::new();
    let start = || {
        let thread = thread::Builder::new().name("zmlx-patrol".to_owned());
        // Where the system has no thread to give, only the kernels' own questions stop them.
        let handle = thread.spawn(patrol).ok()?;
        Some(handle.thread().clone())
    };
    if let Some(thread) = PATROL.get_or_init(start) {
        thread.unpark();
    }
}

/// A launch that the patrol has seen: when first, and when last.
type Seen = HashMap<u64, [Instant; 2]>;

fn patrol() {
    let mut seen = Seen::new();
    let mut busy = Instant::now();
    let mut wait = ROUND_MS;
    loop {
        let now = Instant::now();
        if let Some(next) = look(&mut seen, now) {
            (wait, busy) = (next, now);
        } else if now.duration_since(busy) > IDLE {
            seen.clear();
            ROUND.store(u64::MAX, Ordering::SeqCst);
            if look(&mut seen, now).is_none() {
                thread::park();
            }
            (wait, busy) = (ROUND_MS, Instant::now());
            ROUND.store(wait, Ordering::SeqCst);
            continue;
        }
        ROUND.store(wait, Ordering::SeqCst);
        thread::park_timeout(Duration::from_millis(wait));
    }
}

/// Looks at all posts once. Gives when to look again, unless nothing runs.
fn look(seen: &mut Seen, now: Instant) -> Option<u64> {
    let mut next = None;
    // The list stays locked, so no thread that is interrupted has ended.
    for post in posts().iter() {
        let id = post.launch.load(Ordering::SeqCst);
        let limit = post.limit.load(Ordering::Acquire);
        if id == 0 || post.launch.load(Ordering::Acquire) != id {
            continue;
        }
        let [first, last] = seen.entry(id).or_insert([now; 2]);
        *last = now;
        let mut wait = round(limit);
        if now.duration_since(*first).as_millis() > u128::from(limit) {
            post.over.store(id, Ordering::SeqCst);
            interrupt::send(post);
            wait = RETRY_MS;
        }
        next = Some(next.map_or(wait, |n: u64| n.min(wait)));
    }
    // Between two pieces of work a launch is nowhere to be seen.
    seen.retain(|_, [_, last]| now.duration_since(*last) < Duration::from_millis(3 * ROUND_MS));
    next
}
