//! Every public function shows how it is called: an example that runs stands in its documentation, or in that of the type or the
//! family that it belongs to.

#[path = "common/root.rs"]
mod root;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use root::root;

/// Modules whose functions programs call.
const MODULES: &[&str] = &[
    "array",
    "fast",
    "fft",
    "io",
    "kernels",
    "linalg",
    "nn",
    "ops",
    "optimizers",
    "random",
    "transforms",
];

/// Macros whose rows are functions. (Those of `family!` look like functions.)
const TABLES: &[&str] = &[
    "activations",
    "along",
    "along_axis",
    "binary",
    "bits",
    "closeness",
    "comparison",
    "convolutions",
    "free",
    "product",
    "reduction",
    "scan",
    "scatters",
    "slice_updates",
    "transforms",
    "unary",
    "updates",
    "windows",
];

/// Traits whose methods programs call. Those of others are called by this crate, as arguments implement them.
const TRAITS: &[&str] = &["ModuleExt"];

/// How a function shows its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// Its own documentation has an example.
    Itself,
    /// An example of its type or family calls it.
    Beside,
    /// It needs none: it only gives what a value holds, or its documentation is a link to the function that it hands on to.
    Plain,
    Nowhere,
}

struct Function {
    name: String,
    /// The type that it is a method of.
    owner: Option<String>,
    /// Its documentation, without the marks of comments.
    docs: Vec<String>,
    /// Up to its body; of the row of a table all of it.
    signature: String,
}

/// Files of a module, sorted.
fn files(module: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let single = root().join("src").join(format!("{module}.rs"));
    if single.is_file() {
        files.push(single);
    }
    collect(&root().join("src").join(module), &mut files);
    files.sort();
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

/// The text after `mark` of a comment of documentation.
fn doc<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    line.trim_start().strip_prefix(mark)
}

/// A name at the beginning of a text.
fn name(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '$')
        .collect()
}

/// The code of all examples of a text.
fn examples(text: &str) -> String {
    let (mut code, mut inside) = (String::new(), false);
    for line in text.lines() {
        match doc(line, "///").or_else(|| doc(line, "//!")) {
            Some(said) if said.trim_start().starts_with("```") => inside = !inside,
            Some(said) if inside => {
                code.push_str(said);
                code.push('\n');
            }
            Some(_) => {}
            None => inside = false,
        }
    }
    code
}

/// The type of an `impl` block that begins with this line.
fn implemented(line: &str) -> Option<String> {
    let mut rest = line.trim_start().strip_prefix("impl")?;
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.char_indices().find(|(_, c)| {
            depth += i32::from(*c == '<') - i32::from(*c == '>');
            depth == 0
        })?;
        rest = &rest[end.0 + 1..];
    }
    let rest = rest.strip_prefix(' ')?.trim_start_matches("$crate::");
    // A trait for a type: others' methods.
    match rest.contains(" for ") {
        true => None,
        false => Some(name(rest)),
    }
}

/// Whether the file declares this type for the crate alone.
fn is_private(text: &str, owner: &str) -> bool {
    text.lines().any(|line| {
        let code = line
            .strip_prefix("pub")
            .filter(|rest| rest.starts_with('('));
        let code = code.and_then(|rest| rest.split_once(") "));
        let code = code.map_or(line, |(_, rest)| rest);
        let kind = ["struct ", "enum "]
            .iter()
            .find_map(|k| code.strip_prefix(k));
        kind.is_some_and(|rest| name(rest) == owner)
    })
}

/// The public functions of a file, those in the rows of tables included.
fn functions(text: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let (mut docs, mut owner, mut table, mut of_trait) = (Vec::new(), None, false, false);
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut attribute = false;
    for (i, line) in lines.iter().enumerate() {
        // Attributes stand between the documentation and the function.
        if attribute || line.trim_start().starts_with("#[") {
            attribute = !line.trim_end().ends_with(']');
            continue;
        }
        if let Some(said) = doc(line, "///") {
            docs.push(said.trim().to_owned());
            continue;
        }
        if let Some((head, _)) = line.split_once("! {") {
            table = TABLES.contains(&head);
        }
        if line.starts_with('}') {
            (owner, table, of_trait) = (None, false, false);
        }
        if line.trim_start().starts_with("impl") {
            owner = implemented(line);
        }
        if let Some(rest) = line.strip_prefix("pub trait ") {
            of_trait = TRAITS.contains(&&*name(rest));
            owner = of_trait.then(|| name(rest));
        }
        let code = line.trim_start();
        let public = code
            .strip_prefix("pub fn ")
            .or_else(|| code.strip_prefix("pub const fn "));
        let plain = line.trim_start().strip_prefix("fn ");
        let of_family = lines
            .get(i + 1)
            .is_some_and(|l| l.trim_start().starts_with("formula:"));
        let row = table && !docs.is_empty();
        let found_name = match (public, plain) {
            (Some(rest), _) => name(rest),
            (None, Some(rest)) if of_trait || of_family => name(rest),
            (None, None) if row => name(code),
            _ => String::new(),
        };
        let hidden = owner.as_ref().is_some_and(|o| is_private(text, o));
        if found_name.starts_with(char::is_lowercase) && !hidden {
            let rest = lines[i..].join("\n");
            let end = match of_family {
                true => rest.find("\n}"),
                false => rest.find(['{', ';']),
            };
            found.push(Function {
                name: found_name,
                owner: owner.clone(),
                docs: std::mem::take(&mut docs),
                signature: rest[..end.unwrap_or(rest.len())].to_owned(),
            });
        }
        docs.clear();
    }
    found
}

/// Whether the code calls this function by its name: `.name(`, `::name(` or `name(`.
fn calls(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let begins = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        begins && matches!(after, Some('(') | Some(':'))
    })
}

/// `beside` are the examples near the function, `of_module` all of its module.
fn shown(function: &Function, beside: &str, of_module: &str) -> Shown {
    let own = function.docs.iter().any(|line| line.starts_with("```"));
    let in_table = function.signature.contains(" => ");
    if own || in_table {
        return Shown::Itself;
    }
    // An array has too many methods to look for them elsewhere.
    let owner = function.owner.as_deref();
    let method = owner.is_some_and(|o| o != "Array");
    // A type that a macro declares is documented where the macro is used.
    let of_macro = owner.is_some_and(|o| o.starts_with('$'));
    let near = if of_macro { of_module } else { beside };
    if method && calls(near, &function.name) {
        return Shown::Beside;
    }
    let fallible = function.signature.contains("Result");
    let gives = function.signature.contains("(&self) -> ") && !fallible;
    let link = function
        .docs
        .first()
        .is_some_and(|line| line.starts_with("See ["));
    match gives || link {
        true => Shown::Plain,
        false => Shown::Nowhere,
    }
}

/// Examples of the file, of its folder where the module has folders, and of the file that declares it.
fn beside(file: &Path, module: &str) -> String {
    let top = root().join("src").join(module);
    let mut near = BTreeSet::from([file.to_owned()]);
    near.insert(file.with_file_name("mod.rs"));
    let folder = file.parent().unwrap();
    near.insert(folder.with_extension("rs"));
    if folder != top && folder.starts_with(&top) {
        let mut all = Vec::new();
        collect(folder, &mut all);
        near.extend(all);
    }
    let texts = near.iter().filter_map(|f| fs::read_to_string(f).ok());
    texts.map(|text| examples(&text)).collect()
}

#[test]
fn each_function_has_an_example() {
    let (mut counts, mut missing) = ([0; 3], Vec::new());
    for module in MODULES {
        let before = counts;
        let texts = files(module)
            .into_iter()
            .map(|f| fs::read_to_string(f).unwrap());
        let of_module: String = texts.map(|text| examples(&text)).collect();
        for file in files(module) {
            let text = fs::read_to_string(&file).unwrap();
            let beside = beside(&file, module);
            for function in functions(&text) {
                match shown(&function, &beside, &of_module) {
                    Shown::Itself => counts[0] += 1,
                    Shown::Beside => counts[1] += 1,
                    Shown::Plain => counts[2] += 1,
                    Shown::Nowhere => {
                        let path = file.strip_prefix(root()).unwrap().display().to_string();
                        missing.push(format!("{path}: {}", function.name));
                    }
                }
            }
        }
        let new: usize = (0..3).map(|i| counts[i] - before[i]).sum();
        assert!(new > 15, "{module} has {new} functions with examples only");
    }
    let [own, beside, plain] = counts;
    println!(
        "{} public functions: {own} with an example of their own, {beside} in one of their type or family, {plain} that need \
         none, {} without",
        own + beside + plain + missing.len(),
        missing.len()
    );
    assert!(missing.is_empty(), "without an example: {missing:#?}");
}

#[test]
fn functions_are_found() {
    let text = "unary! {\n    /// Floor.\n    floor: [1.5f32] => f32 [1.0];\n    /// Other.\n    other;\n}\n\
        impl<'a> Call<'a> {\n    /// Sets.\n    #[must_use]\n    pub fn scale(mut self, by: f32) -> Self {\n    }\n\
        \n    /// Kept.\n    pub fn len(&self) -> usize {\n    }\n}\n\
        /// Calls.\n///\n/// ```\n/// call(1).scale(2.0);\n/// ```\npub fn call(x: i32) -> Call<'static> {\n}\n\
        fn private() {\n}\n";
    let all = functions(text);
    let names: Vec<&str> = all.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["floor", "other", "scale", "len", "call"]);
    let beside = examples(text);
    let how: Vec<Shown> = all.iter().map(|f| shown(f, &beside, "")).collect();
    assert_eq!(
        how,
        [
            Shown::Itself,
            Shown::Nowhere,
            Shown::Beside,
            Shown::Plain,
            Shown::Itself
        ]
    );
    assert_eq!(all[2].owner.as_deref(), Some("Call"));
}
