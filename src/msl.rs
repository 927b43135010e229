//! The library of Metal functions: what expressions may call, and what the catalog is made of.
//!
//! The functions stand in `kernels/*.metal`: the engine's vocabulary, and the catalog's own. MLX copies and hashes a kernel's text at each launch,
//! and Metal has no include there, so a kernel carries only the functions that it uses:
//! [`header_for`] takes them out of the library.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use crate::engine::msl::items::{Item, items};

/// Functions of one element that every expression may call: `kk_sigmoid`, `kk_silu`, `kk_relu`,
/// `kk_gelu_tanh`, `kk_gelu`, `kk_erf`, `kk_softplus`, `kk_mish`, `kk_elu`, `kk_log1p` and
/// `kk_expm1`. They take `float`, `half` and `bfloat`, compute in `float`, and stay finite where
/// the textbook formula overflows.
///
/// Kernels made from expressions get what they use by themselves; a kernel with its own source
/// passes this, or better [`header_for`] its source, to
/// [`header`](crate::metal::KernelBuilder::header).
pub const DEFAULT_HEADER: &str = include_str!("../kernels/functions.metal");

/// A file below `kernels/`, with its text.
type File = (&'static str, &'static str);

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../kernels/", $name)))),*]
    };
}

/// The engine's vocabulary: what generated kernels are made of, and the catalog's. What a file uses stands before it.
const VOCABULARY: &[File] = files! {
    "functions.metal" "terms.metal" "rows.metal" "blocks.metal" "floats.metal" "hold.metal" "partial.metal" "split.metal" "tiles.metal" "products.metal"
};

/// The catalog's own files, one a family, for what no program says. `topk.metal` and `sampling.metal` have their keys from `selection.metal`; none
/// else uses another.
const CATALOG: &[File] = files! { "scan.metal" "reductions.metal" "rope.metal" "selection.metal" "topk.metal" "sampling.metal" "indexing.metal" "bits.metal" "attention.metal" "quant.metal" "quant_products.metal" "quant_ggml.metal" "quant_rows.metal" "quant_bytes.metal" "quant_rounded.metal" "quant_fragments.metal" "quant_encode.metal" "image.metal" "matrix.metal" "flash.metal" "flash_gradients.metal" "attention_parts.metal" "attention_tiles.metal" "attention_codes.metal" };

fn files() -> impl Iterator<Item = &'static File> {
    VOCABULARY.iter().chain(CATALOG)
}

/// What mentions it is for kernels that name it themselves.
const SHARED: &str = "kk_chunk";

struct Library {
    items: Vec<Item>,
    by_name: HashMap<String, Vec<usize>>,
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let items: Vec<Item> = files().flat_map(|(_, text)| items(text)).collect();
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            for name in &item.names {
                by_name.entry(name.clone()).or_default().push(index);
            }
        }
        Library { items, by_name }
    })
}

/// The functions of the library that a text uses, directly or through others, in the library's
/// order and without comments.
///
/// ```
/// let header = zmlx::msl::header_for("out[i] = kk_gelu(x[i]);");
/// assert!(header.contains("kk_gelu") && header.contains("kk_erf"));
/// assert!(!header.contains("kk_mish"));
/// assert_eq!(zmlx::msl::header_for("out[i] = x[i];"), "");
/// ```
pub fn header_for(text: &str) -> String {
    let library = library();
    let mut wanted = HashSet::new();
    let mut queue = crate::engine::msl::items::words(text);
    // Overloads for shared rows have the names of functions that all row kernels use.
    let shares = queue.iter().any(|word| word == SHARED);
    let fits = |index: usize| shares || !library.items[index].words.iter().any(|w| w == SHARED);
    while let Some(word) = queue.pop() {
        for &index in library.by_name.get(&word).into_iter().flatten() {
            if fits(index) && wanted.insert(index) {
                queue.extend(library.items[index].words.iter().cloned());
            }
        }
    }
    let mut header = String::new();
    for (index, item) in library.items.iter().enumerate() {
        if wanted.contains(&index) {
            header.push_str(&item.text);
            header.push('\n');
        }
    }
    header
}

/// The header of a kernel with a header of its author's: that, and what it and the text use of the library. What
/// the author's header defines itself is not added again, and library functions that need one of those stand behind it.
pub(crate) fn header_with(own: &str, source: &str) -> String {
    if own.is_empty() {
        return header_for(source);
    }
    let library = library();
    let defined = defined(own);
    let mut queue = crate::engine::msl::items::words(&format!("{own}\n{source}"));
    let shares = queue.iter().any(|word| word == SHARED);
    let fits = |item: &Item| {
        (shares || !item.words.iter().any(|w| w == SHARED))
            && !item.names.iter().any(|n| defined.contains(n))
    };
    let mut wanted = HashSet::new();
    while let Some(word) = queue.pop() {
        for &index in library.by_name.get(&word).into_iter().flatten() {
            if fits(&library.items[index]) && wanted.insert(index) {
                queue.extend(library.items[index].words.iter().cloned());
            }
        }
    }
    let (mut before, mut after) = (String::new(), String::new());
    // Names that come behind the author's header.
    let mut late = defined.clone();
    for (index, item) in library.items.iter().enumerate() {
        if !wanted.contains(&index) {
            continue;
        }
        let waits = item.words.iter().any(|w| late.contains(w));
        let to = if waits { &mut after } else { &mut before };
        let mut text = item.text.clone();
        // The author's function of that name has no short form.
        for name in defined.iter().filter(|n| has_short_form(n)) {
            text = text.replace(&format!("{name}<SHORT>("), &format!("{name}("));
        }
        to.push_str(&text);
        to.push('\n');
        if waits {
            late.extend(item.names.iter().cloned());
        }
    }
    let line = if own.ends_with('\n') { "" } else { "\n" };
    format!("{before}{own}{line}{after}")
}

/// Names of the library that a header defines itself, as functions, types or macros.
pub(crate) fn defined(header: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    if !header.contains("kk_") {
        return names;
    }
    for item in items(header) {
        names.extend(item.names);
    }
    for line in header.lines() {
        let rest = line.trim_start().strip_prefix('#').map(str::trim_start);
        if let Some(rest) = rest.and_then(|r| r.strip_prefix("define")) {
            let rest = rest.trim_start();
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            names.insert(rest.chars().take_while(|&c| word(c)).collect());
        }
    }
    names.retain(|n| n.starts_with("kk_"));
    names
}

/// The function of Metal or of the library that a name may have been meant to be.
pub(crate) fn function_like(name: &str) -> Option<String> {
    let own = format!("kk_{name}");
    let library = &library().by_name;
    if library.contains_key(name) {
        return Some(name.to_owned());
    }
    if library.contains_key(&own) {
        return Some(own);
    }
    let metal = crate::expr::function_names().filter(|n| !n.starts_with("kk_"));
    let mut all: Vec<String> = metal.map(|n| format!("metal::{n}")).collect();
    if let Some(found) = all.iter().find(|n| n["metal::".len()..] == *name) {
        return Some(found.clone());
    }
    all.extend(
        crate::expr::function_names()
            .filter(|n| n.starts_with("kk_"))
            .map(str::to_owned),
    );
    let bare = |n: &str| {
        n.trim_start_matches("metal::")
            .trim_start_matches("kk_")
            .to_owned()
    };
    let lower = name.to_lowercase();
    // `kk_sigmod` is near `kk_sigmoid`, not near `sigmoid`.
    let lower = lower.trim_start_matches("kk_");
    all.into_iter()
        .map(|n| {
            let name = bare(&n);
            // Of equally near ones that of the same length: `tahn` is `tanh` rather than `tan`.
            let longer = name.len().abs_diff(lower.len());
            (distance(&name, lower), longer, n)
        })
        .min()
        .filter(|(d, ..)| *d <= (lower.len() / 3).min(2))
        .map(|(.., n)| n)
}

/// How many letters have to be changed, added, taken away or exchanged with the next one.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = rows[i][j] + usize::from(a[i] != b[j]);
            let mut least = change.min(row[j] + 1).min(rows[i][j + 1] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Whether a function of the library has a shorter form for results that are rounded to 16 bits.
pub(crate) fn has_short_form(name: &str) -> bool {
    let library = library();
    let mut found = library.by_name.get(name).into_iter().flatten();
    found.any(|&index| {
        library.items[index]
            .text
            .starts_with("template <bool SHORT")
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A kernel gets everything that has the name of what it uses. Two meanings of one name cost it a useless part, and
    /// overloads of pointers into different address spaces turn all of its pointers into classes.
    #[test]
    fn a_name_has_one_meaning() {
        // Forms for rows that threads share, which [`SHARED`] keeps apart.
        let shared = ["kk_keep", "kk_map", "kk_sum_rows"];
        let mut found: HashMap<String, &str> = HashMap::new();
        for (file, text) in files() {
            for name in items(text).into_iter().flat_map(|item| item.names) {
                let first = *found.entry(name.clone()).or_insert(file);
                assert!(
                    first == *file || shared.contains(&name.as_str()),
                    "{name} stands in {first} and in {file}"
                );
            }
        }
        assert!(found.len() > 100, "{}", found.len());
    }

    #[test]
    fn what_is_used_comes_once_and_in_order() {
        let header = header_for("kk_gelu(x) + kk_erf(y) + kk_gelu(z)");
        assert_eq!(header.matches("kk_erf(T x)").count(), 1);
        assert!(header.find("kk_erf(T x)") < header.find("kk_gelu(T x)"));
        assert!(!header.contains("//"), "{header}");
    }

    #[test]
    fn distances_of_names() {
        assert_eq!(distance("gleu", "gelu"), 1);
        assert_eq!(distance("tahn", "tanh"), 1);
        assert_eq!(distance("exp", "exp2"), 1);
    }

    #[test]
    fn short_forms() {
        assert!(has_short_form("kk_sigmoid") && !has_short_form("kk_relu"));
    }

    /// Both lists and the folder have the same files; the vocabulary knows nothing of the catalog.
    #[test]
    fn files_of_the_library() {
        // At run time, as the tests may have been carried to another machine.
        let root = std::env::var_os("CARGO_MANIFEST_DIR");
        let folder = root.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let folder = folder.join("kernels");
        if !folder.is_dir() {
            println!(
                "skipped: files_of_the_library: no folder {}",
                folder.display()
            );
            return;
        }
        let mut found: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            found.extend(name.ends_with(".metal").then_some(name));
        }
        found.sort();
        let mut listed: Vec<&str> = files().map(|(name, _)| *name).collect();
        listed.sort_unstable();
        assert_eq!(listed, found);
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
        let line = readme
            .lines()
            .find(|l| l.contains("`functions.metal`"))
            .unwrap();
        let shown: Vec<&str> = line.split('`').filter(|w| w.ends_with(".metal")).collect();
        assert_eq!(
            shown,
            VOCABULARY.iter().map(|(name, _)| *name).collect::<Vec<_>>()
        );

        let names = |files: &[File]| -> HashSet<String> {
            let all = files.iter().flat_map(|(_, text)| items(text));
            all.flat_map(|item| item.names).collect()
        };
        let (below, above) = (names(VOCABULARY), names(CATALOG));
        for (file, text) in VOCABULARY {
            let words = items(text).into_iter().flat_map(|item| item.words);
            let up: Vec<String> = words
                .filter(|w| above.contains(w) && !below.contains(w))
                .collect();
            assert!(up.is_empty(), "{file} uses {up:?} of the catalog");
        }
    }

    #[test]
    fn every_item_has_a_name_of_its_own() {
        for item in &library().items {
            assert!(!item.names.is_empty(), "{}", item.text);
            // Under another word, such as a type's, it would come with every text.
            let foreign = item.names.iter().find(|n| !n.starts_with("kk_"));
            assert!(foreign.is_none(), "{foreign:?}: {}", item.text);
        }
    }
}
