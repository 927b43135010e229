//! Where the repository is, for tests that read its files.

use std::path::PathBuf;

/// The repository. Cargo names it at run time, and so does `scripts/gpu-tests` where tests were carried to.
pub fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR");
    here.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}
