//! The sequence of keys of a thread.
//!
//! It is MLX's own (`split` the key, keep one half, give away the other), computed
//! here instead of in the graph: no chain of lazy keys grows, and no key ends up in
//! the trace of a transformation.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Array, Result};

type Key = [u32; 2];

thread_local! {
    static KEY: Cell<Option<Key>> = const { Cell::new(None) };
}

/// Restarts the calling thread's sequence from a number.
///
/// The numbers that follow are those that MLX for Python draws after
/// `mx.random.seed` of the same number. Other threads are not affected.
///
/// ```
/// use zmlx::random;
/// random::seed(7);
/// let x = random::uniform(3)?.to_vec::<f32>()?;
/// random::seed(7);
/// assert_eq!(random::uniform(3)?.to_vec::<f32>()?, x);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub fn seed(seed: u64) {
    KEY.set(Some([(seed >> 32) as u32, seed as u32]));
}

/// A number from the next key of this thread.
pub(crate) fn next_number() -> u64 {
    let (keep, [high, low]) = halves(KEY.get().unwrap_or_else(first));
    KEY.set(Some(keep));
    u64::from(high) << 32 | u64::from(low)
}

/// The next key of this thread.
#[track_caller]
pub(super) fn next() -> Result<Array> {
    let (keep, give) = halves(KEY.get().unwrap_or_else(first));
    KEY.set(Some(keep));
    Array::from_slice(&give, 2)
}

/// Where an unseeded thread starts: the process's seed, hashed with the thread's number.
fn first() -> Key {
    static THREADS: AtomicU32 = AtomicU32::new(0);
    let number = THREADS.fetch_add(1, Ordering::Relaxed);
    let seed = process_seed();
    threefry([(seed >> 32) as u32, seed as u32], [number, u32::MAX])
}

fn process_seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let given = std::env::var("ZMLX_SEED").ok();
        given
            .and_then(|s| s.trim().parse().ok())
            .unwrap_or_else(|| {
                // The standard library keys its hash maps from the system's random numbers.
                std::hash::RandomState::new().build_hasher().finish()
            })
    })
}

/// MLX's `random::split(key)`.
fn halves(key: Key) -> (Key, Key) {
    let even = threefry(key, [0, 2]);
    let odd = threefry(key, [1, 3]);
    ([even[0], odd[0]], [even[1], odd[1]])
}

/// Threefry-2x32 with 20 rounds (Salmon and others, "Parallel random numbers: as
/// easy as 1, 2, 3", 2011), as MLX uses it.
fn threefry(key: Key, counter: [u32; 2]) -> Key {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let schedule = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD1_1BDA];
    let mut x = counter[0].wrapping_add(schedule[0]);
    let mut y = counter[1].wrapping_add(schedule[1]);
    for round in 0..5u32 {
        for r in ROTATIONS[round as usize % 2] {
            x = x.wrapping_add(y);
            y = y.rotate_left(r) ^ x;
        }
        x = x.wrapping_add(schedule[(round as usize + 1) % 3]);
        y = y
            .wrapping_add(schedule[(round as usize + 2) % 3])
            .wrapping_add(round + 1);
    }
    [x, y]
}

#[cfg(test)]
mod tests {
    use super::{halves, threefry};

    /// The known answers of the Random123 library for 20 rounds.
    #[test]
    fn known_answers() {
        assert_eq!(threefry([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(
            threefry([u32::MAX; 2], [u32::MAX; 2]),
            [0x1cb9_96fc, 0xbb00_2be7]
        );
    }

    #[test]
    fn halves_are_those_of_mlx() {
        for seed in [0u64, 1, 7 << 40, u64::MAX] {
            let key = crate::random::key(seed).unwrap();
            let (keep, give) = halves([(seed >> 32) as u32, seed as u32]);
            let both = crate::random::split_into(&key, 2).unwrap();
            let want = [keep[0], keep[1], give[0], give[1]];
            assert_eq!(both.to_vec::<u32>().unwrap(), want);
        }
    }
}
