//! Stand-ins for MLX's functions, so that programs on Linux start wherever they lie.
//!
//! A program that is linked with libmlx.so starts only where the dynamic linker finds that file, and a dependency cannot say
//! where for the programs of others: cargo keeps `rustc-link-arg` to this package. So nothing is linked with it. Each
//! function of MLX that the bridge calls gets a stand-in of that name in a static library: a jump through a slot,
//! as the linker's own tables have it, and cpp/linux/load.cpp fills the slots before `main`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol, SymbolKind};

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
    let (functions, types) = exported(&mlx.library(), &wanted)?;

    let dir = target.out_dir.join("stand-in");
    let write = |name: &str, text: String| -> Result<_> {
        let file = dir.join(name);
        fs::create_dir_all(&dir)
            .and_then(|()| fs::write(&file, text))
            .map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        Ok(file)
    };
    let assembly = write("stand_in.S", assembly(&functions, &types, &target.arch)?)?;
    let places: Vec<_> = mlx.places().map(|place| quoted(place)).collect();
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

/// Those of `wanted` that `library` has: functions, and descriptions of classes.
fn exported(library: &Path, wanted: &BTreeSet<String>) -> Result<(Vec<String>, Vec<String>)> {
    let wrong = |e: &dyn std::fmt::Display| format!("cannot read {}: {e}", library.display());
    let data = fs::read(library).map_err(|e| wrong(&e))?;
    let file = object::File::parse(&*data).map_err(|e| wrong(&e))?;
    let (mut functions, mut types) = (Vec::new(), Vec::new());
    for symbol in file.dynamic_symbols() {
        let name = symbol.name().unwrap_or_default();
        if symbol.is_undefined() || !wanted.contains(name) {
            continue;
        }
        match symbol.kind() {
            SymbolKind::Text => functions.push(name.to_owned()),
            // Of a class without bases: two words.
            _ if name.starts_with("_ZTI") && symbol.size() == 16 => types.push(name.to_owned()),
            _ => {
                return Err(format!(
                    "the bridge uses {name} of {}, which is no function: only functions have stand-ins",
                    library.display()
                ));
            }
        }
    }
    functions.sort();
    Ok((functions, types))
}

fn assembly(functions: &[String], types: &[String], arch: &str) -> Result<String> {
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
    for name in types {
        let spelt = name.trim_start_matches("_ZTI");
        let _ = writeln!(
            text,
            "\t.section .data.rel.ro,\"aw\"\n\t.p2align 3\n\t.globl {name}\n\t.hidden {name}\n\t.type {name}, %object\n\
             {name}:\n\t.quad _ZTVN10__cxxabiv117__class_type_infoE+16\n\t.quad .Lname_{spelt}\n\t.size {name}, 16\n\
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
