//! Stand-ins for MLX's functions, so that programs on Linux start wherever they lie.
//!
//! A program that is linked with libmlx.so starts only where the dynamic linker finds that file, and a dependency cannot say
//! where for the programs of others: cargo keeps `rustc-link-arg` to this package. So nothing is linked with it. Each
//! function of MLX that the bridge calls gets a stand-in of that name in a static library: a jump through a slot,
//! as the linker's own tables have it, and cpp/linux/load.cpp fills the slots before `main`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol, ObjectSymbolTable, RelocationTarget, SymbolKind};

use crate::mlx::Mlx;
use crate::{Result, Target};

/// Whether programs for `target` are linked this way. Elsewhere they are linked with MLX's library.
pub fn serves(target: &Target) -> bool {
    target.os == "linux"
}

/// Makes stand-ins for what `archive` (the compiled bridge) takes from `mlx`.
pub fn build(target: &Target, mlx: &Mlx, archive: &Path) -> Result<()> {
    println!("cargo::rerun-if-changed=cpp/linux");
    let wanted = wanted(archive)?;
    let (functions, classes) = exported(&mlx.library(), &wanted)?;

    let dir = target.out_dir.join("stand-in");
    let write = |name: &str, text: String| -> Result<_> {
        let file = dir.join(name);
        fs::create_dir_all(&dir)
            .and_then(|()| fs::write(&file, text))
            .map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        Ok(file)
    };
    let assembly = write("stand_in.S", assembly(&functions, &classes, &target.arch)?)?;
    let places: Vec<_> = mlx.places().map(quoted).collect();
    let header = format!(
        "#define ZMLX_VERSION {}\n#define ZMLX_PLACES {}\n",
        quoted(Path::new(&mlx.version)),
        places.join(", ")
    );
    write("zmlx_places.h", header)?;
    cc::Build::new()
        .cpp(true)
        .cpp_link_stdlib(None)
        .std("c++20")
        .pic(true)
        .opt_level(2)
        .include(&dir)
        .file("cpp/linux/load.cpp")
        .file(assembly)
        .try_compile("zmlx_stand_in")
        .map_err(|e| format!("cannot compile cpp/linux/load.cpp: {e}"))
}

/// What the members of `archive` use of MLX and do not define.
fn wanted(archive: &Path) -> Result<BTreeSet<String>> {
    let wrong = |e: &dyn std::fmt::Display| format!("cannot read {}: {e}", archive.display());
    let data = fs::read(archive).map_err(|e| wrong(&e))?;
    let (mut wanted, mut defined) = (BTreeSet::new(), BTreeSet::new());
    for member in ArchiveFile::parse(&*data).map_err(|e| wrong(&e))?.members() {
        let bytes = member.and_then(|m| m.data(&*data)).map_err(|e| wrong(&e))?;
        let file = object::File::parse(bytes).map_err(|e| wrong(&e))?;
        for symbol in file.symbols() {
            let name = symbol.name().unwrap_or_default();
            if !name.contains("3mlx4core") || symbol.is_local() {
                continue;
            }
            let names = match symbol.is_undefined() {
                true => &mut wanted,
                false => &mut defined,
            };
            names.insert(name.to_owned());
        }
    }
    Ok(&wanted - &defined)
}

/// The description of a class that C++ keeps for casts and exceptions, and that of its base.
struct Class {
    name: String,
    base: Option<String>,
}

/// Those of `wanted` that `library` has: functions, and descriptions of classes.
fn exported(library: &Path, wanted: &BTreeSet<String>) -> Result<(Vec<String>, Vec<Class>)> {
    let wrong = |e: &dyn std::fmt::Display| format!("cannot read {}: {e}", library.display());
    let data = fs::read(library).map_err(|e| wrong(&e))?;
    let file = object::File::parse(&*data).map_err(|e| wrong(&e))?;
    let (mut functions, mut described) = (Vec::new(), BTreeMap::new());
    for symbol in file.dynamic_symbols().filter(|s| !s.is_undefined()) {
        let name = symbol.name().unwrap_or_default();
        if name.starts_with("_ZTI") {
            described.insert(name.to_owned(), (symbol.address(), symbol.size()));
        } else if wanted.contains(name) {
            if symbol.kind() != SymbolKind::Text {
                return Err(format!(
                    "the bridge uses {name} of {}, which is no function: only functions and descriptions of classes have \
                     stand-ins",
                    library.display()
                ));
            }
            functions.push(name.to_owned());
        }
    }
    functions.sort();

    // A class brings its bases.
    let (mut classes, mut known) = (Vec::new(), BTreeSet::new());
    let mut open: Vec<String> = wanted
        .iter()
        .filter(|n| described.contains_key(*n))
        .cloned()
        .collect();
    while let Some(name) = open.pop() {
        if !known.insert(name.clone()) {
            continue;
        }
        let base = match described.get(&name) {
            Some((_, 16)) => None,
            Some(&(address, 24)) => match pointed_to(&file, &described, address + 16) {
                Some(base) => Some(base),
                None => return Err(format!("{name} of {} names no base", library.display())),
            },
            _ => {
                return Err(format!(
                    "the bridge casts to {name} of {}: only classes with one base at most have stand-ins",
                    library.display()
                ));
            }
        };
        open.extend(base.clone());
        classes.push(Class { name, base });
    }
    Ok((functions, classes))
}

/// What the library's loader will store at `address`: the description of a class.
fn pointed_to(
    file: &object::File<'_>,
    described: &BTreeMap<String, (u64, u64)>,
    address: u64,
) -> Option<String> {
    let mut all = file.dynamic_relocations()?;
    let (_, found) = all.find(|(at, _)| *at == address)?;
    if let RelocationTarget::Symbol(index) = found.target() {
        let table = file.dynamic_symbol_table()?;
        return Some(table.symbol_by_index(index).ok()?.name().ok()?.to_owned());
    }
    let mut all = described.iter();
    let (name, _) = all.find(|(_, (at, _))| i64::try_from(*at) == Ok(found.addend()))?;
    Some(name.clone())
}

fn assembly(functions: &[String], classes: &[Class], arch: &str) -> Result<String> {
    let mut text = String::from("// Written by build/stand_in.rs.\n\t.text\n");
    for (i, name) in functions.iter().enumerate() {
        let slot = format!("zmlx_stand_in_slots+{}", 8 * i);
        let jump = match arch {
            "x86_64" => format!("\tendbr64\n\tjmp *{slot}(%rip)"),
            // A landing pad (`bti c`), which processors without such pass over.
            "aarch64" => {
                format!("\thint #34\n\tadrp x16, {slot}\n\tldr x16, [x16, :lo12:{slot}]\n\tbr x16")
            }
            _ => return Err(format!("no stand-ins for {arch}")),
        };
        let _ = writeln!(
            text,
            "\t.p2align 4\n\t.globl {name}\n\t.hidden {name}\n\t.type {name}, %function\n{name}:\n{jump}\n\
             \t.size {name}, .-{name}"
        );
    }
    // The same class described twice is one class: C++ compares their names.
    for Class { name, base } in classes {
        let spelt = name.trim_start_matches("_ZTI");
        let (kind, base) = match base {
            None => ("_ZTVN10__cxxabiv117__class_type_infoE", String::new()),
            Some(base) => (
                "_ZTVN10__cxxabiv120__si_class_type_infoE",
                format!("\t.quad {base}\n"),
            ),
        };
        let _ = writeln!(
            text,
            "\t.section .data.rel.ro,\"aw\"\n\t.p2align 3\n\t.globl {name}\n\t.hidden {name}\n\t.type {name}, %object\n\
             {name}:\n\t.quad {kind}+16\n\t.quad .Lname_{spelt}\n{base}\t.size {name}, .-{name}\n\
             \t.section .rodata\n.Lname_{spelt}:\n\t.asciz \"{spelt}\""
        );
    }
    text.push_str("\t.section .rodata\n\t.globl zmlx_stand_in_names\n\t.hidden zmlx_stand_in_names\nzmlx_stand_in_names:\n");
    for name in functions {
        let _ = writeln!(text, "\t.asciz \"{name}\"");
    }
    let _ = writeln!(
        text,
        "\t.byte 0\n\t.data\n\t.p2align 3\n\t.quad zmlx_stand_in_loader\n\t.globl zmlx_stand_in_slots\n\
         \t.hidden zmlx_stand_in_slots\nzmlx_stand_in_slots:\n\t.zero {}\n\t.section .note.GNU-stack,\"\",%progbits",
        8 * functions.len().max(1)
    );
    Ok(text)
}

/// A path as a string of C++.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}
