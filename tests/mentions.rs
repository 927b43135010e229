//! What comments and documents mention exists: files and folders of the repository, cargo's targets, and environment
//! variables.

#[path = "common/root.rs"]
mod root;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use root::root;

/// Folders whose files mention and are mentioned.
const FOLDERS: &[&str] = &[
    ".ci", "benches", "build", "cpp", "docs", "examples", "kernels", "scripts", "src", "tests",
    "vendor",
];

/// Files beside them.
const FILES: &[&str] = &["README.md", "CONTRIBUTING.md", "build.rs", "Cargo.toml"];

/// A file with the parts of its lines that people read, and those that machines do.
struct File {
    path: PathBuf,
    prose: Vec<String>,
    code: Vec<String>,
}

fn files() -> Vec<File> {
    let mut paths: Vec<PathBuf> = FILES.iter().map(|f| root().join(f)).collect();
    for folder in FOLDERS {
        collect(&root().join(folder), &mut paths);
    }
    let mut files: Vec<File> = paths.into_iter().filter_map(read).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 300, "only {} files", files.len());
    files
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, paths),
            false => paths.push(path),
        }
    }
}

/// A file of text, split into what is said and what is done.
fn read(path: PathBuf) -> Option<File> {
    let text = fs::read_to_string(&path).ok()?;
    let kind = path.extension().map_or("", |e| e.to_str().unwrap());
    let split = |line: &str| -> (String, String) {
        let mark = match kind {
            "md" => return (line.to_owned(), String::new()),
            "rs" | "h" | "cpp" | "metal" | "cu" => "//",
            _ => "#",
        };
        match line.find(mark) {
            Some(at) => (line[at..].to_owned(), line[..at].to_owned()),
            None => (String::new(), line.to_owned()),
        }
    };
    let (prose, code) = text.lines().map(split).unzip();
    Some(File { path, prose, code })
}

/// Every mention that `find` sees in the prose, as `file:line: mention`, that does not pass.
fn wrong(
    files: &[File],
    find: impl Fn(&str) -> Vec<String>,
    passes: impl Fn(&File, &str) -> bool,
) -> (usize, Vec<String>) {
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in files {
        for (number, line) in file.prose.iter().enumerate() {
            for mention in find(line) {
                seen += 1;
                if !passes(file, &mention) {
                    let path = file.path.strip_prefix(root()).unwrap().display();
                    wrong.push(format!("{path}:{}: {mention}", number + 1));
                }
            }
        }
    }
    (seen, wrong)
}

#[test]
fn files_that_are_mentioned_exist() {
    let files = files();
    let (seen, wrong) = wrong(&files, paths_in, |_, path| {
        // The user's, in an example.
        path == "src/main.rs" || exists(path)
    });
    assert!(seen > 100, "only {seen} mentions found");
    assert!(wrong.is_empty(), "not there:\n{}", wrong.join("\n"));
}

#[test]
fn links_between_documents_lead_somewhere() {
    let files = files();
    let (seen, wrong) = wrong(&files, links_in, |file, link| {
        file.path.extension().is_none_or(|e| e != "md")
            || file.path.parent().unwrap().join(link).exists()
    });
    assert!(seen > 20, "only {seen} links found");
    assert!(wrong.is_empty(), "not there:\n{}", wrong.join("\n"));
}

#[test]
fn targets_that_are_mentioned_exist() {
    let files = files();
    let exists = |mention: &str| {
        let (kind, name) = mention.split_once(' ').unwrap();
        let folder = match kind {
            "--test" => "tests",
            "--bench" => "benches",
            _ => "examples",
        };
        let target = root().join(folder).join(name);
        target.with_extension("rs").is_file() || target.join("main.rs").is_file()
    };
    let (seen, wrong) = wrong(&files, targets_in, |_, mention| exists(mention));
    assert!(seen > 10, "only {seen} mentions found");
    assert!(wrong.is_empty(), "not there:\n{}", wrong.join("\n"));
}

#[test]
fn variables_that_are_mentioned_are_read() {
    let files = files();
    let code: Vec<&String> = files.iter().flat_map(|f| &f.code).collect();
    let known: BTreeSet<String> = code
        .into_iter()
        .flat_map(|line| variables_in(line))
        .collect();
    let (seen, wrong) = wrong(&files, variables_in, |_, name| known.contains(name));
    assert!(seen > 50, "only {seen} mentions found");
    assert!(wrong.is_empty(), "read nowhere:\n{}", wrong.join("\n"));
}

/// Paths that begin with a folder of the repository. Those with a placeholder, such as `<family>`, are none.
fn paths_in(line: &str) -> Vec<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-./*{},<>".contains(c);
    let mut found = Vec::new();
    for (start, _) in line.match_indices(|c: char| c.is_ascii_alphabetic() || c == '.') {
        let before = line[..start].chars().next_back();
        if before.is_some_and(|c| part(c) && !"{,<".contains(c) || "/$~:\\".contains(c)) {
            continue;
        }
        let length = line[start..]
            .find(|c| !part(c))
            .unwrap_or(line.len() - start);
        let mut path = &line[start..start + length];
        if !path.contains('{') {
            path = path.split(['}', ',', '<', '>']).next().unwrap_or_default();
        } else if let Some(close) = path.rfind('}') {
            let end = path[close..].find(',').map_or(path.len(), |at| close + at);
            path = &path[..end];
        }
        let path = path.trim_end_matches(['.', ',', '-']);
        let folder = FOLDERS.iter().any(|folder| {
            let rest = path.strip_prefix(folder).and_then(|r| r.strip_prefix('/'));
            rest.is_some_and(|rest| !rest.is_empty() || line[start..].starts_with(path))
        });
        let placeholder = line[start..start + length].contains(['<', '>']) || path.contains("...");
        if folder && !placeholder {
            found.push(path.to_owned());
        }
    }
    found
}

/// Whether a path leads to something; braces list alternatives, a star stands for any part of a name.
fn exists(path: &str) -> bool {
    if let Some((before, rest)) = path.split_once('{') {
        let Some((list, after)) = rest.split_once('}') else {
            return false;
        };
        return list
            .split(',')
            .all(|one| exists(&format!("{before}{one}{after}")));
    }
    let mut at = vec![root()];
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let step = |folder: PathBuf| -> Vec<PathBuf> {
            let Some((start, end)) = part.split_once('*') else {
                // A module goes without the ending of its file.
                return vec![folder.join(part), folder.join(format!("{part}.rs"))];
            };
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let fits = |name: &str| {
                name.len() >= start.len() + end.len()
                    && name.starts_with(start)
                    && name.ends_with(end)
            };
            let fitting = entries.filter(|e| fits(&e.file_name().to_string_lossy()));
            fitting.map(|e| e.path()).collect()
        };
        at = at
            .into_iter()
            .flat_map(step)
            .filter(|p| p.exists())
            .collect();
    }
    !at.is_empty()
}

/// The files that links of Markdown lead to.
fn links_in(line: &str) -> Vec<String> {
    let starts = line.match_indices("](");
    let targets = starts.filter_map(|(at, _)| line[at + 2..].split(')').next());
    let files =
        targets.filter(|to| !to.contains("://") && !to.starts_with('#') && !to.contains("::"));
    files
        .map(|to| to.split('#').next().unwrap().to_owned())
        .collect()
}

/// `--test NAME` and its like, with a name of lower case: others stand for any.
fn targets_in(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for kind in ["--test", "--example", "--bench"] {
        for (at, _) in line.match_indices(&format!("{kind} ")) {
            let rest = &line[at + kind.len() + 1..];
            let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let name: String = rest.chars().take_while(|&c| name(c)).collect();
            if !name.is_empty() {
                found.push(format!("{kind} {name}"));
            }
        }
    }
    found
}

/// Environment variables of ours.
fn variables_in(line: &str) -> Vec<String> {
    let part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let mut found = Vec::new();
    for (at, _) in line.match_indices("ZMLX_") {
        let word = line[..at].chars().next_back();
        let name: String = line[at..].chars().take_while(|&c| part(c)).collect();
        // `ZMLX_UNARY(exp)` and `ZMLX_MODE_*` are macros, and families of them.
        let rest = &line[at + name.len()..];
        if word.is_none_or(|c| !c.is_alphanumeric() && c != '_') && !rest.starts_with(['(', '*']) {
            found.push(name);
        }
    }
    found
}

/// The finders see what they should, and no more.
#[test]
fn what_a_line_mentions() {
    assert_eq!(
        paths_in(
            "see `src/error.rs`, docs/A.md. kernels/{a,b}/*.h and cpp/x/<family>.h; my/src/no.rs"
        ),
        ["src/error.rs", "docs/A.md", "kernels/{a,b}/*.h"]
    );
    assert!(exists("src/lib.rs") && exists("src/{lib,error}.rs") && exists("kernels/*.metal"));
    assert!(!exists("src/nothing.rs") && !exists("src/{lib,nothing}.rs") && !exists("src/*.metal"));
    assert_eq!(
        links_in("[a](b.md#c) [d](https://e) [f](#g) [h](crate::i)"),
        ["b.md"]
    );
    let line = "`cargo test --test layers` or --example NAME, --bench launch";
    assert_eq!(targets_in(line), ["--test layers", "--bench launch"]);
    assert_eq!(
        variables_in("ZMLX_CACHE_DIR=x, ZMLX_UNARY(exp) and MY_ZMLX_X"),
        ["ZMLX_CACHE_DIR"]
    );
}
