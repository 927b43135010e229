//! Names of Metal's scalar types.

/// Those that C++ has as plain types, too.
const PLAIN: [&str; 22] = [
    "bool",
    "char",
    "uchar",
    "short",
    "ushort",
    "int",
    "uint",
    "long",
    "ulong",
    "float",
    "unsigned",
    "signed",
    "size_t",
    "ptrdiff_t",
    "int8_t",
    "uint8_t",
    "int16_t",
    "uint16_t",
    "int32_t",
    "uint32_t",
    "int64_t",
    "uint64_t",
];

/// Those that the runtime headers make classes.
const CLASSES: [&str; 4] = ["half", "bfloat", "float16_t", "bfloat16_t"];

/// Whether every kernel has this type; vectors of the scalars come on top.
pub fn is_scalar(name: &str) -> bool {
    PLAIN.contains(&name) || CLASSES.contains(&name) || name == "void"
}

/// Whether a type that begins with this word is no class of a name in C++.
pub fn is_no_class(word: &str) -> bool {
    PLAIN.contains(&word) || matches!(word, "struct" | "union")
}
