//! How deep a compiled kernel's stack gets.
//!
//! gcc writes down which function calls which and how large the frame of each is, after it has
//! inlined what it wanted. The longest way from an entry point through that graph is what a thread
//! needs; a cycle is a recursion that its names did not show, and has no length.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::Command,
    sync::{LazyLock, Mutex, PoisonError},
};

use super::{
    process::{self, Problem},
    stacks::Depth,
};
use crate::engine::{
    error::{CompileError, EngineError},
    msl::Lowered,
};

/// The file within a cache entry that holds the number of bytes.
const FILE: &str = "stack";

/// The flag that makes `compiler` tell, if it has one.
pub fn flag(compiler: &Path, args: &[String]) -> Result<Option<&'static str>, Problem> {
    static KNOWN: LazyLock<Mutex<HashMap<String, bool>>> = LazyLock::new(Mutex::default);
    let command = format!("{} {}", compiler.display(), args.join(" "));
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_gcc = match known.get(&command) {
        Some(&known) => known,
        None => {
            let said = process::ask(Command::new(compiler).args(args).arg("--version"))?;
            // Every gcc says whose it is; clang, which takes gcc's place under its name, does not.
            let is_gcc = said.words.contains("Free Software Foundation");
            // One that was stopped says more the next time.
            if said.status.signal().is_none() {
                known.insert(command, is_gcc);
            }
            is_gcc
        }
    };
    Ok(is_gcc.then_some("-fcallgraph-info=su"))
}

/// Reads what the compiler wrote into `folder` beside the library, and leaves the number there.
/// Refuses a kernel whose stack has no bound.
pub fn keep(kernel: &str, folder: &Path, lowered: &Lowered) -> Result<(), EngineError> {
    let error = |action, path: &Path, e| crate::engine::cache::error(action, path, e);
    let Some(path) = find(folder).map_err(|e| error("read", folder, e))? else {
        return Ok(());
    };
    let text = fs::read_to_string(&path).map_err(|e| error("read", &path, e))?;
    fs::remove_file(&path).map_err(|e| error("remove", &path, e))?;
    let bytes = match Graph::read(&text).depth(&["zmlx_run", "zmlx_thread"]) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(()),
        Err(endless) => {
            return Err(EngineError::Compile(Box::new(CompileError {
                kernel: kernel.to_owned(),
                message: endless.message,
                location: place(&endless.place).and_then(|(file, line, column)| {
                    lowered.map.locate(&lowered.text, file, line, column)
                }),
                output: String::new(),
            })));
        }
    };
    let path = folder.join(FILE);
    fs::write(&path, bytes.to_string()).map_err(|e| error("write", &path, e))
}

/// What [`keep`] left in the entry's folder.
pub fn read(folder: &Path) -> Depth {
    let text = fs::read_to_string(folder.join(FILE));
    Depth(text.ok().and_then(|t| t.trim().parse().ok()))
}

fn find(folder: &Path) -> io::Result<Option<std::path::PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "ci") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// `file:line:column`.
fn place(text: &str) -> Option<(&str, usize, usize)> {
    let (rest, column) = text.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file, line.parse().ok()?, column.parse().ok()?))
}

/// Why a stack has no bound.
#[derive(Debug, PartialEq, Eq)]
struct Endless {
    message: String,
    place: String,
}

#[derive(Default)]
struct Function<'a> {
    name: &'a str,
    place: &'a str,
    bytes: u64,
    /// The frame's size depends on a value.
    dynamic: bool,
    calls: Vec<usize>,
}

/// Who calls whom.
#[derive(Default)]
struct Graph<'a> {
    titles: HashMap<&'a str, usize>,
    functions: Vec<Function<'a>>,
}

impl<'a> Graph<'a> {
    /// Reads lines such as
    /// `node: { title: "k.cpp:_Z1fi" label: "int f(int)\n<source>:4:12\n128 bytes (static)" }` and
    /// `edge: { sourcename: "zmlx_run" targetname: "k.cpp:_Z1fi" label: "<source>:7:1" }`.
    fn read(text: &'a str) -> Self {
        let mut graph = Self::default();
        for line in text.lines() {
            if let Some(title) = quoted(line, "node: { title: \"") {
                let at = graph.function(title);
                let label = line.split_once("label: \"").map_or("", |(_, rest)| {
                    rest.rsplit_once('"').map_or(rest, |(l, _)| l)
                });
                let mut parts = label.split("\\n");
                let function = &mut graph.functions[at];
                function.name = parts.next().unwrap_or("");
                function.place = parts.next().unwrap_or("");
                if let Some((bytes, kind)) = parts.next().and_then(|p| p.split_once(" bytes ")) {
                    function.bytes = bytes.parse().unwrap_or(u64::MAX / 2);
                    function.dynamic = kind.starts_with("(dynamic)");
                }
            } else if let Some(from) = quoted(line, "edge: { sourcename: \"")
                && let Some((_, rest)) = line.split_once("targetname: \"")
                && let Some((to, _)) = rest.split_once('"')
            {
                let (from, to) = (graph.function(from), graph.function(to));
                graph.functions[from].calls.push(to);
            }
        }
        graph
    }

    fn function(&mut self, title: &'a str) -> usize {
        let functions = &mut self.functions;
        *self.titles.entry(title).or_insert_with(|| {
            functions.push(Function::default());
            functions.len() - 1
        })
    }

    /// Bytes on the longest way from one of `roots`, if they are there.
    fn depth(&self, roots: &[&str]) -> Result<Option<u64>, Endless> {
        /// What a call itself takes.
        const CALL: u64 = 16;
        // None while a function's callees are looked at.
        let mut depths: HashMap<usize, Option<u64>> = HashMap::new();
        let mut deepest = None;
        for root in roots.iter().filter_map(|r| self.titles.get(r)) {
            let mut path = vec![(*root, 0)];
            while let Some((at, next)) = path.pop() {
                let function = &self.functions[at];
                if next == 0 {
                    if function.dynamic {
                        return Err(function.endless("has a local array whose length is no constant, and Metal has none such"));
                    }
                    depths.insert(at, None);
                }
                match function.calls.get(next) {
                    Some(callee) => {
                        path.push((at, next + 1));
                        match depths.get(callee) {
                            None => path.push((*callee, 0)),
                            Some(None) => {
                                let function = &self.functions[*callee];
                                return Err(
                                    function.endless("calls itself, and Metal has no recursion")
                                );
                            }
                            Some(Some(_)) => {}
                        }
                    }
                    None => {
                        let callees = function.calls.iter().filter_map(|c| *depths.get(c)?);
                        let below = callees.max().unwrap_or(0);
                        depths.insert(
                            at,
                            Some(below.saturating_add(function.bytes).saturating_add(CALL)),
                        );
                    }
                }
            }
            deepest = deepest.max(depths.get(root).copied().flatten());
        }
        Ok(deepest)
    }
}

impl Function<'_> {
    fn endless(&self, what: &str) -> Endless {
        Endless {
            message: format!("`{}` {what}", self.name),
            place: self.place.to_owned(),
        }
    }
}

fn quoted<'a>(line: &'a str, before: &str) -> Option<&'a str> {
    line.strip_prefix(before)?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(lines: &[&str]) -> Result<Option<u64>, Endless> {
        let text = lines.concat();
        Graph::read(&text).depth(&["root"])
    }

    fn node(name: &str, bytes: &str) -> String {
        format!(
            "node: {{ title: \"{name}\" label: \"int {name}(int)\\n<source>:4:12\\n{bytes}\" }}\n"
        )
    }

    fn edge(from: &str, to: &str) -> String {
        format!("edge: {{ sourcename: \"{from}\" targetname: \"{to}\" label: \"<source>:9:1\" }}\n")
    }

    #[test]
    fn the_longest_way_counts() {
        let root = node("root", "100 bytes (static)");
        let [f, g] = ["f", "g"].map(|n| node(n, "1000 bytes (dynamic,bounded)"));
        assert_eq!(depth(&[&root]), Ok(Some(116)));
        assert_eq!(depth(&[&f]), Ok(None));
        // Siblings take turns; a function that two call is no cycle.
        let calls = [edge("root", "f"), edge("root", "g"), edge("root", "f")].concat();
        assert_eq!(depth(&[&root, &f, &g, &calls]), Ok(Some(116 + 1016)));
        let chain = [
            edge("root", "f"),
            edge("f", "g"),
            edge("root", "g"),
            edge("g", "libm"),
        ]
        .concat();
        assert_eq!(
            depth(&[&root, &f, &g, &chain]),
            Ok(Some(116 + 2 * 1016 + 16))
        );
    }

    #[test]
    fn what_has_no_bound_is_refused() {
        let root = node("root", "100 bytes (static)");
        let f = node("f", "10 bytes (static)");
        let own = [edge("root", "f"), edge("f", "f")].concat();
        let mutual = [edge("root", "f"), edge("f", "g"), edge("g", "f")].concat();
        for calls in [own, mutual] {
            let error = depth(&[&root, &f, &calls]).unwrap_err();
            assert_eq!(
                error.message,
                "`int f(int)` calls itself, and Metal has no recursion"
            );
            assert_eq!(place(&error.place), Some(("<source>", 4, 12)));
        }
        // Nobody calls it.
        assert_eq!(depth(&[&root, &f, &edge("f", "f")]), Ok(Some(116)));
        let error = depth(&[&node("root", "10 bytes (dynamic)")]).unwrap_err();
        assert!(error.message.contains("no constant"), "{}", error.message);
    }
}
