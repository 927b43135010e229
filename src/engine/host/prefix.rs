//! What all kernels begin with, compiled once: gcc's precompiled headers.
//!
//! The runtime headers are a quarter of the compiler's work on a kernel. After a few kernels that begin alike, the lines they begin
//! with are compiled by themselves and kept in the cache; later kernels, of other processes too, begin with that. The text of
//! a kernel stays whole: it reads the same lines again, and finds the headers read. Clang has another way and goes without.

use std::{
    collections::HashMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
};

use crate::engine::cache::{Cache, bound, key};

/// How many kernels are compiled in the long way first: what is made takes as long as it saves in these.
const WORTH: usize = 4;

/// How many beginnings a process compiles. Kernels with defines of their own each have another.
const MOST: usize = 8;

/// A cache of less than this has no room for files of 16 MiB.
const ROOM: u64 = 512 << 20;

/// What `-include` names; the compiler looks for the compiled form beside it.
const TEXT: &str = "prefix.h";
const COMPILED: &str = "prefix.h.gch";

/// What is known of one beginning.
enum State {
    /// So many kernels had it.
    Met(usize),
    /// It is being made, or cannot be.
    Without,
    /// Where it is.
    There(PathBuf),
}

static KNOWN: LazyLock<Mutex<HashMap<String, State>>> = LazyLock::new(Mutex::default);

/// The lines that `text` begins with as far as they are the preprocessor's.
fn beginning(text: &str) -> &str {
    let lines = text.split_inclusive('\n');
    let own = lines.take_while(|line| line.starts_with('#'));
    &text[..own.map(str::len).sum()]
}

/// The file to include before `text`, where it is there or worth making. `command` says which compiler, flags and headers these are;
/// `compile` makes the second file from the first.
pub fn of(
    cache: &Cache,
    command: &[&str],
    text: &str,
    compile: impl FnOnce(&Path, &Path) -> bool,
) -> Option<PathBuf> {
    if bound::limit().is_some_and(|limit| limit < ROOM) {
        return None;
    }
    let beginning = beginning(text);
    let mut parts = vec!["prefix", beginning];
    parts.extend(command);
    let key = key(&parts);
    {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let made = known.values().filter(|s| !matches!(s, State::Met(_)));
        let room = made.count() < MOST;
        let state = known.entry(key.clone()).or_insert(State::Met(0));
        match state {
            State::There(path) if path.is_file() => return Some(path.clone()),
            State::Without => return None,
            // The cache may be deleted at any time.
            State::There(_) => *state = State::Met(1),
            State::Met(before) => *before += 1,
        }
        let met = matches!(state, State::Met(n) if *n > WORTH) && room;
        if !met && !matches!(state, State::Met(1)) {
            return None;
        }
        if !met {
            // An earlier process may have made it. One look is enough.
            let path = cache.find(&key)?.join(TEXT);
            *state = State::There(path.clone());
            return Some(path);
        }
        *state = State::Without;
    }
    // Others go the long way meanwhile.
    let made = make(cache, &key, beginning, compile)?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(key, State::There(made.clone()));
    Some(made)
}

fn make(
    cache: &Cache,
    key: &str,
    beginning: &str,
    compile: impl FnOnce(&Path, &Path) -> bool,
) -> Option<PathBuf> {
    if let Some(folder) = cache.find(key) {
        return Some(folder.join(TEXT));
    }
    let temporary = cache.temporary(key).ok()?;
    let text = temporary.path.join(TEXT);
    fs::write(&text, beginning).ok()?;
    let compiled = temporary.path.join(COMPILED);
    if !compile(&text, &compiled) || !is_compiled(&compiled) {
        return None;
    }
    let folder = cache.commit(temporary, key).ok()?;
    Some(folder.join(TEXT))
}

/// Whether the file is what gcc makes of a header. It passes over others without a word.
fn is_compiled(path: &Path) -> bool {
    let mut head = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && &head == b"gpch"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_before_code() {
        assert_eq!(
            beginning("#define A 1\n#include \"b.h\"\nint c;\n#if D\n"),
            "#define A 1\n#include \"b.h\"\n"
        );
        assert_eq!(beginning("int c;\n"), "");
        assert_eq!(beginning("#define A"), "#define A");
    }
}
