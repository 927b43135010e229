//! The modules of `src/` form layers: a module knows what stands below it, and nothing else. [`LAYERS`] is the list; the
//! block in docs/ARCHITECTURE.md is compared with it.

#[path = "../common/root.rs"]
mod root;
mod rust_text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use root::root;
use rust_text::{named, tokens, without_tests};

/// Modules of one height.
struct Layer {
    modules: &'static [&'static str],
    /// Whether they may know each other. Otherwise one that knows another belongs higher.
    together: bool,
}

const fn apart(modules: &'static [&'static str]) -> Layer {
    Layer {
        modules,
        together: false,
    }
}

const fn together(modules: &'static [&'static str]) -> Layer {
    Layer {
        modules,
        together: true,
    }
}

/// All top-level modules, the highest first.
const LAYERS: &[Layer] = &[
    apart(&["optimizers"]),
    apart(&["llm"]),
    apart(&["nn"]),
    apart(&["kernels", "bench"]),
    apart(&["api"]),
    apart(&["autograd", "autotune", "testing", "profile", "worker"]),
    apart(&["elementwise", "rowwise"]),
    apart(&["codegen", "fast"]),
    apart(&["metal"]),
    apart(&["msl"]),
    apart(&["engine", "expr"]),
    apart(&[
        "transforms",
        "random",
        "linalg",
        "fft",
        "distributed",
        "graph",
        "memory",
    ]),
    apart(&["interop"]),
    together(&["frozen", "io"]),
    apart(&["ops"]),
    together(&["array", "eval", "stream"]),
    apart(&["bridge"]),
    apart(&["error"]),
    apart(&["dtype", "unwanted"]),
];

/// The rooms of `src/engine`, the highest first.
const ENGINE: &[Layer] = &[
    apart(&["info", "ahead"]),
    apart(&["host", "cuda"]),
    apart(&["cache", "refusal", "compile_limit", "record"]),
    apart(&["msl"]),
    apart(&["error"]),
];

/// The rooms of `src/kernels`, the highest first. [`FAMILIES`] stands for all public modules: a new family of kernels needs no
/// line here.
const KERNELS: &[Layer] = &[
    // A norm with dropout takes the mask of dropout.
    together(&[FAMILIES]),
    apart(&["selection"]),
    apart(&["choose", "moving", "held"]),
    apart(&["family"]),
    apart(&["recipe", "generated", "kernel", "op"]),
    apart(&["split"]),
    apart(&["group", "catalog", "arguments"]),
];
const FAMILIES: &str = "families";

/// The lists, each with its room, which is a module's path, and the file that names the modules.
const ROOMS: &[(&[Layer], &[&str], &str)] = &[
    (LAYERS, &[], "src/lib.rs"),
    (ENGINE, &["engine"], "src/engine/mod.rs"),
    (KERNELS, &["kernels"], "src/kernels/mod.rs"),
];

/// A module that another one names, with the place.
#[derive(Debug, PartialEq, Eq)]
struct Arrow {
    from: String,
    to: String,
    place: String,
}

#[test]
fn modules_know_only_what_stands_below_them() {
    let mut wrong = Vec::new();
    for (layers, room, file) in ROOMS {
        let mut arrows = arrows(room);
        assert!(arrows.len() > 40, "only {} arrows: {room:?}", arrows.len());
        let families = families(layers, file);
        for end in arrows.iter_mut().flat_map(|a| [&mut a.from, &mut a.to]) {
            if families.contains(end) {
                FAMILIES.clone_into(end);
            }
        }
        let up = arrows.iter().filter(|arrow| !points_down(layers, arrow));
        wrong.extend(up.map(|a| format!("{}: `{}` names `{}`", a.place, a.from, a.to)));
    }
    assert!(
        wrong.is_empty(),
        "not below, by the list in tests/layers/main.rs:\n{}",
        wrong.join("\n")
    );
}

/// Modules that know each other need to: where they no longer do, they have a layer each.
#[test]
fn together_is_only_what_has_to_be() {
    let arrows = arrows(&[]);
    for layer in LAYERS.iter().filter(|layer| layer.together) {
        let within = |name: &str| layer.modules.contains(&name);
        for module in layer.modules {
            for (own, other) in [("knows", false), ("is known by", true)] {
                let ends = |a: &Arrow| match other {
                    false => a.from == *module && within(&a.to),
                    true => a.to == *module && within(&a.from),
                };
                assert!(
                    arrows.iter().any(ends),
                    "`{module}` {own} none of {:?}",
                    layer.modules
                );
            }
        }
    }
}

#[test]
fn each_module_has_its_layer() {
    for (layers, _, file) in ROOMS {
        let mut listed = families(layers, file);
        let modules = layers.iter().flat_map(|layer| layer.modules);
        for module in modules.filter(|m| **m != FAMILIES) {
            assert!(listed.insert((*module).to_owned()), "`{module}` twice");
        }
        let (modules, _) = face(&root().join(file));
        assert_eq!(listed, modules, "the list, and the modules of {file}");
    }
}

/// The lines of the document that begin with `src/`, and the list, say the same.
#[test]
fn the_document_shows_the_layers() {
    let document = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let block = document.split("```").nth(1).expect("a block");
    let shown: Vec<&str> = block.lines().filter(|l| l.starts_with("src/")).collect();
    let shown: Vec<String> = shown.into_iter().map(first_words).collect();
    let mut want = Vec::new();
    for layer in LAYERS {
        let mut line = match layer.modules {
            [one] => format!("src/{one}"),
            several => format!("src/{{{}}}", several.join(",")),
        };
        if layer.together {
            write!(line, " (know each other)").unwrap();
        }
        want.push(line);
    }
    assert_eq!(shown, want, "docs/ARCHITECTURE.md");
}

/// The modules of a line, and whether it says that they know each other.
fn first_words(line: &str) -> String {
    let modules = line.split_whitespace().next().unwrap_or_default();
    let modules = modules.trim_end_matches('/');
    match line.contains("(know each other)") {
        true => format!("{modules} (know each other)"),
        false => modules.to_owned(),
    }
}

fn points_down(layers: &[Layer], arrow: &Arrow) -> bool {
    let place = |module: &str| layers.iter().position(|l| l.modules.contains(&module));
    match (place(&arrow.from), place(&arrow.to)) {
        (Some(from), Some(to)) => from < to || from == to && layers[from].together,
        _ => false,
    }
}

/// The modules that [`FAMILIES`] stands for, if it is in the list: the public ones of the file.
fn families(layers: &[Layer], file: &str) -> BTreeSet<String> {
    if !layers.iter().any(|l| l.modules.contains(&FAMILIES)) {
        return BTreeSet::new();
    }
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let lines = text.lines().filter_map(|l| l.strip_prefix("pub mod "));
    let modules: BTreeSet<String> = lines
        .filter_map(|l| l.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    assert!(modules.len() > 5, "{modules:?}");
    modules
}

/// The modules of a file such as `lib.rs`, and from which of them it takes each name that it gives on.
fn face(file: &Path) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let text = std::fs::read_to_string(file).unwrap();
    let (tokens, _) = without_tests(tokens(&text));
    let texts: Vec<&str> = tokens.iter().map(|t| t.text.as_str()).collect();
    let modules: BTreeSet<String> = texts
        .windows(3)
        .filter(|w| w[0] == "mod" && w[2] == ";")
        .map(|w| w[1].to_owned())
        .collect();
    let mut names = BTreeMap::new();
    for (at, word) in texts.iter().enumerate() {
        let from = texts.get(at + 1).copied().unwrap_or_default();
        if *word != "use" || !modules.contains(from) {
            continue;
        }
        let end = texts[at..].iter().position(|t| *t == ";").unwrap();
        for name in &texts[at + 2..at + end] {
            names.insert((*name).to_owned(), from.to_owned());
        }
    }
    (modules, names)
}

/// All arrows between the modules of a room, which is a module's path; between the top-level ones where that is empty.
fn arrows(room: &[&str]) -> Vec<Arrow> {
    let src = root().join("src");
    let (modules, names) = face(&match room {
        [] => src.join("lib.rs"),
        _ => src.join(room.join("/")).join("mod.rs"),
    });
    let mut files = Vec::new();
    collect(&src, &mut files);
    let mut read = Vec::new();
    let mut tests: BTreeSet<Vec<String>> = BTreeSet::new();
    for file in files {
        let module = module_of(file.strip_prefix(&src).unwrap());
        let text = std::fs::read_to_string(&file).unwrap();
        let (tokens, only_tests) = without_tests(tokens(&text));
        for name in only_tests {
            tests.insert([&module[..], &[name]].concat());
        }
        read.push((file, module, tokens));
    }
    let mut found = Vec::new();
    for (file, module, tokens) in read {
        let of_tests = (1..=module.len()).any(|n| tests.contains(&module[..n]));
        let Some(from) = within(&module, room).filter(|_| !of_tests) else {
            continue;
        };
        for name in named(&module, &tokens) {
            let Some(first) = within(&name.path, room) else {
                continue;
            };
            let to = match modules.contains(first) {
                true => first,
                false => names.get(first).unwrap_or(first),
            };
            // What a room takes from outside and gives on is of no module of it.
            if to != from && (room.is_empty() || modules.contains(to)) {
                found.push(Arrow {
                    from: from.clone(),
                    to: to.clone(),
                    place: format!("{}:{}", shown(&file), name.line),
                });
            }
        }
    }
    found
}

/// The part of a path that follows a room's.
fn within<'a>(path: &'a [String], room: &[&str]) -> Option<&'a String> {
    let inside = path.iter().zip(room).all(|(a, b)| a == b);
    path.get(room.len()).filter(|_| inside)
}

fn shown(file: &Path) -> String {
    let short = file.strip_prefix(root()).unwrap_or(file);
    short.display().to_string()
}

/// The path of a file's module; empty for `lib.rs`.
fn module_of(file: &Path) -> Vec<String> {
    let mut path: Vec<String> = file
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if path
        .last()
        .is_some_and(|last| last == "mod" || last == "lib")
    {
        path.pop();
    }
    path
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The reader of source texts sees what it should, and no more.
#[test]
fn what_a_file_names() {
    let text = r##"
        //! Says `crate::kernels`.
        use crate::{
            array::{Array, fit::Number as N}, // crate::wrong
            io::*,
        };
        use super::super::eval;
        pub(in crate::hidden) fn f<'a>(x: &'a str) -> char {
            let _ = "crate::text"; let _ = r#"crate::"raw""#; let _ = '"';
            crate::stream::current(); /* crate::a /* crate::b */ crate::c */
            'x'
        }
        mod ffi { type A = super::super::up::B; }
        #[cfg(test)]
        #[allow(unused)]
        mod tests { use crate::testing; }
        #[cfg(test)]
        mod more;
        #[cfg(not(test))]
        use crate::late;
    "##;
    let (tokens, modules) = without_tests(tokens(text));
    let own = ["metal".to_owned(), "launch".to_owned()];
    let found = named(&own, &tokens);
    let found: Vec<(String, usize)> = found
        .into_iter()
        .map(|n| (n.path.join("::"), n.line))
        .collect();
    let want = [
        ("array::Array", 4),
        ("array::fit::Number", 4),
        ("io::*", 5),
        ("eval", 7),
        ("stream::current", 10),
        ("metal::up::B", 13),
        ("late", 20),
    ];
    assert_eq!(found, want.map(|(path, line)| (path.to_owned(), line)));
    assert_eq!(modules.into_iter().collect::<Vec<_>>(), ["more"]);
}

#[test]
fn arrows_up_are_found() {
    let arrow = |from: &str, to: &str| Arrow {
        from: from.into(),
        to: to.into(),
        place: String::new(),
    };
    for (from, to, down) in [
        ("metal", "engine", true),
        ("engine", "metal", false),
        ("array", "stream", true),
        ("stream", "array", true),
        ("random", "linalg", false),
        ("error", "nowhere", false),
    ] {
        assert_eq!(
            points_down(LAYERS, &arrow(from, to)),
            down,
            "{from} -> {to}"
        );
    }
}
