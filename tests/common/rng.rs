//! Random numbers of tests, those within the library included.
#![allow(dead_code, missing_docs, reason = "each file uses a part")]

use std::cell::Cell;

thread_local! {
    /// The seed of this thread's test, and how many generators it has made.
    static TEST: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
    /// Whether somebody else prints the seed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// A small generator. A test has one fresh seed, which is printed with the command that runs the test with it once more; its
/// first generator begins there, and further ones elsewhere, the same each time.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new() -> Self {
        let (seed, made) = TEST.get().unwrap_or_else(|| (first(), 0));
        TEST.set(Some((seed, made + 1)));
        if made == 0 && !QUIET.get() {
            println!("{}", again(seed, std::thread::current().name()));
        }
        Rng(seed.wrapping_add(made << 48))
    }

    /// One that goes on from a state.
    pub fn of(state: u64) -> Self {
        Rng(state)
    }

    /// splitmix64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f32 {
        let r = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        (r * (std::f64::consts::TAU * self.uniform()).cos()) as f32
    }

    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.normal()).collect()
    }

    /// A whole number from 0 to below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Uniform in `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }
}

/// What `ZMLX_TEST_SEED` says, or the clock.
fn first() -> u64 {
    if let Ok(seed) = std::env::var("ZMLX_TEST_SEED") {
        return seed.parse().expect("ZMLX_TEST_SEED is a number");
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_nanos() as u64
}

/// A test begins on this thread, whose output is not the test's.
pub fn begin_quietly() {
    QUIET.set(true);
    TEST.set(None);
}

/// The seed of the test, if it has made a generator.
pub fn end() -> Option<u64> {
    QUIET.set(false);
    TEST.take().map(|(seed, _)| seed)
}

/// The command that runs a test of this program with that seed.
pub fn again(seed: u64, test: Option<&str>) -> String {
    let program = std::env::args_os().next().map(std::path::PathBuf::from);
    let program = program.as_deref().and_then(|p| p.file_stem()?.to_str());
    // Cargo adds a number in hexadecimal to the name.
    let program = program.map_or("", |p| p.rsplit_once('-').map_or(p, |(name, _)| name));
    let target = match program {
        "zmlx" => "--lib".to_owned(),
        name => format!("--test {name}"),
    };
    let test = test.unwrap_or_default();
    format!("again: ZMLX_TEST_SEED={seed} cargo test {target} -- --exact {test}")
}
