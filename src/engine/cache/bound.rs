//! Keeps the cache within its bound: entries that were not used for longest go first.
//!
//! When an entry was last used is the time of change of its checksum's file, which [`touch`] sets. Who removes entries holds a lock on
//! a file of the folder. An entry goes away by a rename and only then file by file, so no process finds half of one; libraries
//! that are loaded stay loaded, and whoever meets an entry in the moment of its removal builds it again.

use std::{
    collections::HashMap,
    env,
    fs::{self, File},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, OFlags, Timespec, Timestamps, UTIME_NOW, flock, utimensat,
};

use super::CHECKSUM;

/// Names the bound.
pub const VARIABLE: &str = "ZMLX_CACHE_LIMIT";

/// Room for tens of thousands of kernels.
const DEFAULT: u64 = 2 << 30;

/// What was used so recently stays: a process may have found it and not yet loaded it.
const RECENT: Duration = Duration::from_secs(60);

/// Sizes of files are counted in blocks, as file systems store them.
const BLOCK: u64 = 4096;

/// The parts of a cache folder that have entries.
const ENGINES: [&str; 2] = ["host", "cuda"];

/// The bound in bytes: what the environment says, or the default. Read once. Nothing where there is none.
pub fn limit() -> Option<u64> {
    static LIMIT: LazyLock<Option<u64>> = LazyLock::new(|| {
        let Some(text) = env::var(VARIABLE).ok().filter(|t| !t.trim().is_empty()) else {
            return Some(DEFAULT);
        };
        parse(&text).unwrap_or_else(|| {
            eprintln!(
                "zmlx: {VARIABLE}: expected a number of bytes, perhaps with K, M or G behind it, or `none`, got `{text}`; \
                 it is ignored"
            );
            Some(DEFAULT)
        })
    });
    *LIMIT
}

/// A number of bytes, as in `500M`, or `none`.
fn parse(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("none") {
        return Some(None);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 0,
        "K" | "KB" => 10,
        "M" | "MB" => 20,
        "G" | "GB" => 30,
        _ => return None,
    };
    let number: u64 = digits.trim_end().parse().ok()?;
    Some(Some(number.checked_mul(1 << unit)?))
}

/// Says that an entry is used now. In a folder that is only read this does nothing.
pub fn touch(entry: &Path) {
    let now = || Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now(),
        last_modification: now(),
    };
    let _ = utimensat(CWD, entry.join(CHECKSUM), &times, AtFlags::SYMLINK_NOFOLLOW);
}

/// What this process knows of the size of a cache folder.
#[derive(Default)]
struct Known {
    /// When it was looked at last.
    then: Option<u64>,
    /// What this process has added since.
    own: u64,
}

/// Called when the cache in `root` has got the entry `new`: removes others where the cache is larger than its bound.
pub fn grown(root: &Path, new: &Path) {
    if let Some(limit) = limit() {
        grown_beyond(root, new, limit);
    }
}

fn grown_beyond(root: &Path, new: &Path, limit: u64) {
    static KNOWN: LazyLock<Mutex<HashMap<PathBuf, Known>>> = LazyLock::new(Mutex::default);
    let mut all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = all.entry(root.to_owned()).or_default();
    known.own += size(new);
    // Looking costs some milliseconds. Others may have added as much as this process has.
    let fits = |then: u64| then.saturating_add(known.own) <= limit;
    if known.then.is_some_and(fits) && known.own <= limit / 16 {
        return;
    }
    *known = Known {
        then: Some(reduce(root, limit)),
        own: 0,
    };
}

/// Removes what was not used for longest until the rest is an eighth below the limit; tells how much is left.
pub fn reduce(root: &Path, limit: u64) -> u64 {
    let total = |entries: &[Entry]| entries.iter().map(|e| e.bytes).sum::<u64>();
    let left = total(&entries(root));
    if left <= limit {
        return left;
    }
    // Another process that removes entries does the same work.
    let Some(_lock) = lock(root) else {
        return left;
    };
    let mut entries = entries(root);
    let mut left = total(&entries);
    if left <= limit {
        return left;
    }
    entries.sort_by_key(|e| e.used);
    let now = SystemTime::now();
    for entry in entries {
        if left <= limit - limit / 8 {
            break;
        }
        // A time that lies ahead is as good as now.
        let age = now.duration_since(entry.used).unwrap_or_default();
        if age > RECENT && remove(&entry.path) {
            left -= entry.bytes;
        }
    }
    left
}

/// One entry, or the folder of the headers.
struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// All entries of the cache in `root`. What has another name than entries have is nobody's to remove.
fn entries(root: &Path) -> Vec<Entry> {
    let folders = ENGINES.iter().map(|engine| root.join(engine));
    let files = folders.filter_map(|f| fs::read_dir(f).ok()).flatten();
    let entry = |file: fs::DirEntry| {
        let name = file.file_name();
        let name = name.to_str()?;
        let key = name.strip_prefix("runtime-").unwrap_or(name);
        let is_key = key.len() >= 16 && key.bytes().all(|c| c.is_ascii_hexdigit());
        if !is_key || !file.file_type().ok()?.is_dir() {
            return None;
        }
        let path = file.path();
        let used = fs::symlink_metadata(path.join(CHECKSUM)).and_then(|m| m.modified());
        Some(Entry {
            bytes: size(&path),
            // Without a checksum it is damaged.
            used: used.unwrap_or(SystemTime::UNIX_EPOCH),
            path,
        })
    };
    files.flatten().filter_map(entry).collect()
}

/// What a folder takes on disk. One that goes away meanwhile takes less.
fn size(folder: &Path) -> u64 {
    let mut bytes = BLOCK;
    let _ = super::walk(folder, Path::new(""), &mut |_, meta| {
        bytes += meta.len().next_multiple_of(BLOCK).max(BLOCK);
        Ok(())
    });
    bytes
}

/// Moves an entry away and deletes it. Fails where it is not ours to move.
fn remove(entry: &Path) -> bool {
    let Some(engine) = entry.parent() else {
        return false;
    };
    // Of the name of a temporary folder: what a process that is killed now leaves is swept later.
    let aside = tempfile::Builder::new().prefix(".old.").tempdir_in(engine);
    let Ok(aside) = aside else {
        return false;
    };
    fs::rename(entry, aside.path().join("entry")).is_ok()
}

/// The right to remove entries, for as long as the file is held. None where another process has it for long, or where the folder cannot
/// be written.
fn lock(root: &Path) -> Option<File> {
    const STEP: Duration = Duration::from_millis(10);
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o664)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(root.join("lock"))
        .ok()?;
    for _ in 0..100 {
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Some(file);
        }
        thread::sleep(STEP);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cache::hex;
    use sha2::{Digest, Sha256};

    /// An entry of `kib` KiB that was used so many seconds ago.
    fn entry(root: &Path, engine: &str, name: &str, kib: usize, ago: u64) -> PathBuf {
        let key = hex(&Sha256::digest(name));
        let path = root.join(engine).join(key);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("kernel.so"), vec![1; kib << 10]).unwrap();
        fs::write(path.join(CHECKSUM), "").unwrap();
        used(&path, ago);
        path
    }

    fn used(entry: &Path, ago: u64) {
        let file = File::options()
            .write(true)
            .open(entry.join(CHECKSUM))
            .unwrap();
        let then = SystemTime::now() - Duration::from_secs(ago);
        file.set_modified(then).unwrap();
    }

    #[test]
    fn bounds_as_people_write_them() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("12345", Some(12345)),
            (" 3k", Some(3 << 10)),
            ("500 MB", Some(500 << 20)),
            ("2G", Some(2 << 30)),
            ("none", None),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["", "G", "2T", "-1", "1.5G", "99999999999999G", "two"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn who_was_not_used_for_longest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let all: Vec<PathBuf> = (0..10)
            .map(|i| {
                let engine = ENGINES[i % 2];
                entry(root, engine, &i.to_string(), 100, 1000 - 10 * i as u64)
            })
            .collect();
        // 100 KiB, a checksum, a folder.
        let each = (100 << 10) + 2 * BLOCK;
        assert_eq!(reduce(root, 10 * each), 10 * each);
        assert!(all.iter().all(|e| e.exists()));
        // The oldest is used again.
        touch(&all[0]);
        let left = reduce(root, 8 * each);
        // An eighth below the limit.
        assert_eq!(left, 7 * each);
        let there: Vec<bool> = all.iter().map(|e| e.exists()).collect();
        let mut want = [true; 10];
        want[1..4].fill(false);
        assert_eq!(there, want);
        // Nothing is left of those that went.
        let folders = ENGINES.map(|e| fs::read_dir(root.join(e)).unwrap().count());
        assert_eq!(folders.iter().sum::<usize>(), 7);
    }

    #[test]
    fn what_is_used_now_and_what_is_no_entry_stays() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let recent = entry(root, "host", "recent", 50, 5);
        let ahead = entry(root, "host", "ahead", 50, 0);
        let later = SystemTime::now() + Duration::from_secs(1000);
        let file = File::options().write(true).open(ahead.join(CHECKSUM));
        file.unwrap().set_modified(later).unwrap();
        let old = entry(root, "cuda", "old", 50, 100);
        let others = [root.join("host/notes"), root.join("mine"), root.join("f")];
        for other in &others {
            fs::create_dir_all(other).unwrap();
            fs::write(other.join("text"), vec![0; 100 << 10]).unwrap();
        }
        let key = hex(&Sha256::digest("link"));
        std::os::unix::fs::symlink(&others[1], root.join("host").join(&key)).unwrap();
        reduce(root, 0);
        assert!(recent.exists() && ahead.exists() && !old.exists());
        assert!(others.iter().all(|o| o.join("text").exists()));
        assert!(root.join("host").join(&key).is_symlink());
    }

    /// Entries of one process push out those of others, and a process looks again before it has added much.
    #[test]
    fn growth_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let each = (10 << 10) + 2048 + 2 * BLOCK;
        let limit = 64 * each;
        let bytes = || entries(root).iter().map(|e| e.bytes).sum::<u64>();
        for i in 0..400 {
            let engine = ENGINES[i % 2];
            let new = entry(root, engine, &format!("a{i}"), 10, 4000 - i as u64);
            // Another process, which never looks.
            if i % 3 == 0 {
                entry(root, engine, &format!("b{i}"), 10, 8000);
            }
            grown_beyond(root, &new, limit);
            // What is added between two looks, by both.
            assert!(bytes() <= limit + limit / 8, "{i}: {}", bytes());
        }
        assert!(bytes() > limit / 2);
    }

    #[test]
    fn only_one_removes_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let old = entry(dir.path(), "host", "old", 50, 100);
        let held = lock(dir.path()).unwrap();
        reduce(dir.path(), 0);
        assert!(old.exists());
        drop(held);
        reduce(dir.path(), 0);
        assert!(!old.exists());
    }
}
