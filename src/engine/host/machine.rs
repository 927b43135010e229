//! Which processors a kernel is compiled for: this machine's, or all of a level.

use std::{env, fs, sync::OnceLock};

/// A set of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// What this processor has.
    Native,
    /// What all processors of a level have.
    Level(&'static Level),
}

/// A level of processors, as compilers know it.
#[derive(Debug, PartialEq, Eq)]
pub struct Level {
    /// Its name.
    pub name: &'static str,
    /// The flag that selects it.
    flag: &'static str,
    /// Names of the instructions that a processor of it has, as the system lists them.
    needs: &'static [&'static str],
}

/// The levels of this architecture, the best first. On x86 none is lower: without AVX a compiler would write instructions that
/// fault where a buffer begins at any of its elements.
#[cfg(target_arch = "x86_64")]
const LEVELS: &[Level] = &[
    Level {
        name: "x86-64-v4",
        flag: "-march=x86-64-v4",
        needs: &[
            "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "bmi1", "bmi2",
            "fma", "f16c", "abm", "movbe",
        ],
    },
    Level {
        name: "x86-64-v3",
        flag: "-march=x86-64-v3",
        needs: &["avx2", "bmi1", "bmi2", "fma", "f16c", "abm", "movbe"],
    },
];
#[cfg(target_arch = "aarch64")]
const LEVELS: &[Level] = &[Level {
    name: "armv8-a",
    flag: "-march=armv8-a",
    needs: &[],
}];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const LEVELS: &[Level] = &[];

impl Machine {
    /// By its name: `native`, or that of a level.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "native" => Some(Self::Native),
            _ => LEVELS.iter().find(|l| l.name == name).map(Self::Level),
        }
    }

    /// All that kernels can be compiled for here.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Native]
            .into_iter()
            .chain(LEVELS.iter().map(Self::Level))
    }

    /// Those whose code this processor runs, the best first.
    pub fn here() -> impl Iterator<Item = Self> {
        Self::all().filter(|m| match m {
            Self::Native => true,
            Self::Level(level) => level.needs.iter().all(|need| has(need)),
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Level(level) => level.name,
        }
    }

    /// The compiler's flag for it.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Native if cfg!(target_arch = "x86_64") => "-march=native",
            Self::Native => "-mcpu=native",
            Self::Level(level) => level.flag,
        }
    }

    /// What tells it apart from others, in a key. A folder may be shared between machines.
    pub fn identity(self) -> &'static str {
        match self {
            Self::Native => processor(),
            Self::Level(level) => level.name,
        }
    }
}

/// The processor, as far as code made for "this machine" depends on it.
pub fn processor() -> &'static str {
    static PROCESSOR: OnceLock<String> = OnceLock::new();
    PROCESSOR.get_or_init(|| {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let wanted = [
            "vendor_id",
            "cpu family",
            "model",
            "flags",
            "Features",
            "CPU part",
        ];
        let mut lines: Vec<&str> = Vec::new();
        for line in info.lines() {
            let name = line.split(':').next().unwrap_or("").trim();
            if wanted.contains(&name) && !lines.contains(&line) {
                lines.push(line);
            }
        }
        format!("{} {}", env::consts::ARCH, lines.join("\n"))
    })
}

/// Whether the processor has instructions of this name.
fn has(name: &str) -> bool {
    let flags = processor().lines().filter_map(|l| {
        let (key, flags) = l.split_once(':')?;
        matches!(key.trim(), "flags" | "Features").then_some(flags)
    });
    flags.flat_map(str::split_whitespace).any(|f| f == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_levels() {
        for machine in Machine::all() {
            assert_eq!(Machine::named(machine.name()), Some(machine));
        }
        assert_eq!(Machine::named("x86-64-v2"), None);
        assert_eq!(Machine::here().next(), Some(Machine::Native));
    }

    /// What the kernel lists against what the processor itself says.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_system_and_the_processor_agree() {
        let third = Machine::named("x86-64-v3").unwrap();
        let itself = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("bmi2")
            && std::arch::is_x86_feature_detected!("f16c")
            && std::arch::is_x86_feature_detected!("lzcnt");
        assert_eq!(Machine::here().any(|m| m == third), itself);
    }
}
