//! How long a compiler may take, the C++ compiler or NVIDIA's.

use std::{env, sync::LazyLock, time::Duration};

/// The variable that names the limit.
pub const COMPILE_TIMEOUT: &str = "ZMLX_COMPILE_TIMEOUT";

/// More than the largest kernels take on the slowest machines.
const DEFAULT: Duration = Duration::from_secs(300);

/// The limit: what the environment says in seconds, or the default. Read once.
pub fn compile_limit() -> Duration {
    static LIMIT: LazyLock<Duration> = LazyLock::new(|| {
        let Ok(text) = env::var(COMPILE_TIMEOUT) else {
            return DEFAULT;
        };
        let seconds = text.trim().parse::<f64>().ok().filter(|s| *s > 0.0);
        let limit = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
        limit.unwrap_or_else(|| {
            eprintln!(
                "zmlx: {COMPILE_TIMEOUT}: expected a number of seconds, got `{text}`; it is ignored"
            );
            DEFAULT
        })
    });
    *LIMIT
}
