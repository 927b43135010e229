//! The engine that a program or its user insists on, and with it the device of operations that name none;
//! [`crate::engine`] shows it.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

/// Who runs kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The host engine, on the CPU.
    Cpu,
    /// NVIDIA's GPU.
    Cuda,
    /// Apple's GPU.
    Metal,
}

impl Engine {
    /// Its name in `ZMLX_ENGINE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// 0: not asked yet, 1: none, then the engines.
static FORCED: AtomicU8 = AtomicU8::new(0);
const ALL: [Engine; 3] = [Engine::Cpu, Engine::Cuda, Engine::Metal];

/// Makes the engine's device that of all operations that name none, on all threads; `None` leaves the
/// choice to MLX, which takes a GPU where there is one. It outdoes `ZMLX_ENGINE`.
///
/// Operations within [`with_device`](crate::with_device) or [`with_stream`](crate::with_stream) stay
/// where those say. Where the engine is missing, launching a kernel fails and says so.
///
/// ```
/// # fn main() -> zmlx::Result<()> {
/// use zmlx::engine::{Engine, force, forced};
/// force(Some(Engine::Cpu));
/// assert_eq!(forced(), Some(Engine::Cpu));
/// # Ok(())
/// # }
/// ```
pub fn force(engine: Option<Engine>) {
    FORCED.store(number(engine), Ordering::Relaxed);
}

/// The engine that [`force`] or the variable `ZMLX_ENGINE` asks for.
pub fn forced() -> Option<Engine> {
    let number = match FORCED.load(Ordering::Relaxed) {
        0 => {
            let name = std::env::var("ZMLX_ENGINE").unwrap_or_default();
            let asked = ALL.into_iter().find(|e| e.name() == name.trim());
            // Unit tests are the host engine's; those of other engines are in tests/.
            let number = number(asked.or(cfg!(test).then_some(Engine::Cpu)));
            // Another thread reads the same; `force` meanwhile counts more.
            let _ = FORCED.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
            FORCED.load(Ordering::Relaxed)
        }
        known => known,
    };
    engine(number)
}

const fn number(engine: Option<Engine>) -> u8 {
    match engine {
        None => 1,
        Some(engine) => 2 + engine as u8,
    }
}

fn engine(number: u8) -> Option<Engine> {
    ALL.get(usize::from(number).wrapping_sub(2)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not through `force`, which other tests of this process would notice.
    #[test]
    fn engines_have_numbers() {
        for asked in ALL.map(Some).into_iter().chain([None]) {
            assert_eq!(engine(number(asked)), asked);
        }
        assert_eq!(engine(0), None);
    }
}
