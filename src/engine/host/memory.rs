//! How much memory the system has left for this process.

use std::{fmt, fs, path::Path};

/// Bytes that can be touched before the system runs out, with an eighth kept for everything else.
/// Without a limit where the system does not tell.
pub fn available() -> u64 {
    let groups = [
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ];
    let groups = groups.iter().filter_map(|(limit, used)| {
        Some(number(limit.as_ref())?.saturating_sub(number(used.as_ref())?))
    });
    let least = groups.chain(machine()).min();
    least.map_or(u64::MAX, |bytes| bytes - bytes / 8)
}

/// What the whole machine has.
fn machine() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib.saturating_mul(1024))
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Bytes, as people read them.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
        let (mut value, mut unit) = (self.0 as f64, 0);
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            (value, unit) = (value / 1024.0, unit + 1);
        }
        // One digit where it says something.
        match value.fract() < 0.05 || unit == 0 {
            true => write!(f, "{value:.0} {}", UNITS[unit]),
            false => write!(f, "{value:.1} {}", UNITS[unit]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        let text = |n| Size(n).to_string();
        assert_eq!(text(0), "0 bytes");
        assert_eq!(text(1023), "1023 bytes");
        assert_eq!(text(3 << 19), "1.5 MiB");
        assert_eq!(text(64 << 20), "64 MiB");
        assert_eq!(text(u64::MAX), "16777216 TiB");
    }

    #[test]
    fn something_is_available() {
        assert!(available() > 1 << 20);
    }
}
