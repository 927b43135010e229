//! When to measure.

use std::sync::OnceLock;

/// When a tuned launch measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Never, and known results are not used either: `ZMLX_AUTOTUNE=0`.
    Off,
    /// Never: known results are used, and the default elsewhere: `ZMLX_AUTOTUNE=cached`.
    Cached,
    /// When nothing is known: `ZMLX_AUTOTUNE=1`, and without the variable.
    #[default]
    On,
    /// Once for each [`Tuned`](super::Tuned), whatever is known: `ZMLX_AUTOTUNE=force`.
    Force,
}

impl Mode {
    /// What the environment asks for; read once.
    pub(super) fn from_env() -> Mode {
        static MODE: OnceLock<Mode> = OnceLock::new();
        *MODE.get_or_init(|| {
            let Ok(text) = std::env::var("ZMLX_AUTOTUNE") else {
                return Mode::default();
            };
            parse(&text).unwrap_or_else(|| {
                eprintln!(
                    "zmlx: ZMLX_AUTOTUNE: expected 0, 1, cached or force, got `{text}`; taken as 1"
                );
                Mode::default()
            })
        })
    }
}

fn parse(text: &str) -> Option<Mode> {
    match text.trim().to_ascii_lowercase().as_str() {
        "0" | "off" => Some(Mode::Off),
        "cached" => Some(Mode::Cached),
        "" | "1" | "on" => Some(Mode::On),
        "force" => Some(Mode::Force),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_environment() {
        assert_eq!(parse("0"), Some(Mode::Off));
        assert_eq!(parse(" Cached "), Some(Mode::Cached));
        assert_eq!(parse(""), Some(Mode::On));
        assert_eq!(parse("force"), Some(Mode::Force));
        assert_eq!(parse("yes please"), None);
    }
}
