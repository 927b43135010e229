//! Code that lies in a file where MLX looks for it, so that the nodes of a graph carry a word instead.
//!
//! MLX reads both files when it first runs a kernel, and keeps for the life of the process what it found. So neither
//! may ever be seen half written, whoever writes the same kernel's at that moment: another thread, another
//! process, one in another container that shares the folder and has the same number.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Puts a function's code at `place`, to which MLX adds its suffixes.
pub fn put(place: &Path, function: &str, code: &[u8]) -> io::Result<()> {
    // It saves work and guards nothing: each writer has files of its own.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let names = format!("{function}\t{function}\n");
    // The code last: who finds it finds the names.
    for (suffix, content) in [("txt", names.as_bytes()), ("ptx", code)] {
        let to = with_suffix(place, suffix);
        if fs::read(&to).is_ok_and(|there| there == content) {
            continue;
        }
        let mut file = tempfile::Builder::new()
            .prefix(".zmlx-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(content)?;
        file.persist(&to).map_err(|e| e.error)?;
    }
    Ok(())
}

fn with_suffix(place: &Path, suffix: &str) -> PathBuf {
    let mut path = place.as_os_str().to_owned();
    path.push(".");
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Barrier, thread};

    /// What MLX makes of the files: the code, if there are names.
    fn found(place: &Path) -> Option<Vec<u8>> {
        let code = fs::read(with_suffix(place, "ptx")).ok()?;
        let names = fs::read_to_string(with_suffix(place, "txt")).ok()?;
        assert!(names.contains('\t'), "names: {names:?}");
        Some(code)
    }

    /// Threads of which each puts the same kernel aside and runs it at once, beside what an older process left.
    #[test]
    fn whole_files_whoever_writes() {
        const THREADS: usize = 8;
        let dir = tempfile::tempdir().unwrap();
        for old in ["", "of an older one"] {
            for round in 0..100 {
                let function = format!("zmlx_{round}");
                let place = dir.path().join(format!("{function}_1f"));
                let code = format!("{round} ").repeat(5000).into_bytes();
                if !old.is_empty() {
                    fs::write(with_suffix(&place, "ptx"), old).unwrap();
                    fs::write(with_suffix(&place, "txt"), "").unwrap();
                }
                let all = Barrier::new(THREADS);
                thread::scope(|s| {
                    for _ in 0..THREADS {
                        s.spawn(|| {
                            all.wait();
                            for _ in 0..3 {
                                put(&place, &function, &code).unwrap();
                                assert!(found(&place).as_deref() == Some(&*code));
                            }
                        });
                    }
                });
            }
        }
        let rest = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(rest, 200, "no temporary file stays");
    }

    /// Several processes at once: each is this test program, told where.
    #[test]
    fn processes_share_a_folder() {
        const VARIABLE: &str = "ZMLX_TEST_ASIDE";
        let code = "code ".repeat(8000).into_bytes();
        if let Some(dir) = std::env::var_os(VARIABLE) {
            for n in 0..200 {
                let place = Path::new(&dir).join(n.to_string());
                put(&place, "zmlx_f", &code).unwrap();
                assert!(found(&place).as_deref() == Some(&*code));
            }
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let this = std::env::current_exe().unwrap();
        let started = [(); 4].map(|()| {
            std::process::Command::new(&this)
                .args([
                    "--exact",
                    "engine::cuda::aside::tests::processes_share_a_folder",
                ])
                .env(VARIABLE, dir.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        });
        for mut process in started {
            assert!(process.wait().unwrap().success());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 400);
    }

    #[test]
    fn a_folder_that_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(put(&file.join("k_1"), "k", b"code").is_err());
    }
}
