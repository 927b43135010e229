//! What a kernel is made of, and the checks that MLX leaves out.

use crate::bridge::kernel::ffi;
use crate::engine::host::checked::Checked;
use crate::engine::msl::{ATTRIBUTES, MathMode};
use crate::{Error, Result};

use super::MetalKernel;

/// Describes a kernel; made by [`MetalKernel::new`], finished by [`build`](Self::build).
#[derive(Clone, Debug)]
pub struct KernelBuilder {
    pub(super) name: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) source: String,
    pub(super) header: String,
    pub(super) ensure_row_contiguous: bool,
    pub(super) atomic_outputs: bool,
    pub(super) math_mode: MathMode,
    pub(super) checked: Option<Checked>,
    pub(super) cached: bool,
}

impl KernelBuilder {
    pub(super) fn new<I, O>(name: &str, inputs: I, outputs: O) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
        O: IntoIterator<Item: Into<String>>,
    {
        KernelBuilder {
            name: name.to_owned(),
            inputs: inputs.into_iter().map(Into::into).collect(),
            outputs: outputs.into_iter().map(Into::into).collect(),
            source: String::new(),
            header: String::new(),
            ensure_row_contiguous: true,
            atomic_outputs: false,
            math_mode: MathMode::Safe,
            checked: None,
            cached: true,
        }
    }

    /// The body of the kernel function. It may use the inputs, outputs and template arguments
    /// by name, `name_shape`, `name_strides` and `name_ndim` of each input, and Metal's grid
    /// attributes such as `thread_position_in_grid`.
    pub fn source(mut self, body: impl Into<String>) -> Self {
        self.source = body.into();
        self
    }

    /// Text before the kernel function: helper functions, constants, macros.
    ///
    /// Grid attributes reach the body only; pass them to helpers as arguments.
    pub fn header(mut self, text: impl Into<String>) -> Self {
        self.header = text.into();
        self
    }

    /// Whether strided inputs are copied to row-major order first (default true).
    ///
    /// Without, the body gets the storage as it is and indexes it by `name_shape` and
    /// `name_strides`, for example through `elem_to_loc`.
    pub fn ensure_row_contiguous(mut self, yes: bool) -> Self {
        self.ensure_row_contiguous = yes;
        self
    }

    /// Declares the outputs as `device atomic<T>*` (default false).
    pub fn atomic_outputs(mut self, yes: bool) -> Self {
        self.atomic_outputs = yes;
        self
    }

    /// The compiler's math mode (default [`MathMode::Safe`], as MLX).
    pub fn math_mode(mut self, mode: MathMode) -> Self {
        self.math_mode = mode;
        self
    }

    /// Tests every access of every launch on a CPU stream; see [`MetalKernel::checked`]. Without,
    /// the environment variable `ZMLX_CHECKED` (`1` or `robust`) decides.
    pub fn checked(mut self, mode: Checked) -> Self {
        self.checked = Some(mode);
        self
    }

    /// Whether [`build`](Self::build) looks for a kernel of the same description first, and keeps
    /// a new one for others to find (default true). Without, the kernel, what is compiled of it
    /// and its statistics go when its last handle does, and [`registry`](crate::registry) never
    /// knows of it.
    pub fn cache(mut self, yes: bool) -> Self {
        self.cached = yes;
        self
    }

    /// Checks the description and makes the kernel, or finds the one of the same
    /// [key](MetalKernel::key) that the process has already, on whatever thread it was made.
    /// So a function may describe its kernel in each call: that costs about what hashing the
    /// text does.
    ///
    /// Nothing is compiled yet: the first launch with each set of dtypes and template arguments
    /// does that.
    ///
    /// # Errors
    /// [`Error::Argument`] that names what is wrong: no output, no source, an output that the source never
    /// mentions, or a name that is no identifier, is reserved, or is there twice.
    #[track_caller]
    pub fn build(self) -> Result<MetalKernel> {
        MetalKernel::from_builder(self)
    }

    #[track_caller]
    pub(super) fn check(&self) -> Result<()> {
        if self.name.is_empty() {
            return Err(Error::argument("name", "a kernel name", "an empty one"));
        }
        if self.outputs.is_empty() {
            return Err(Error::argument(
                "outputs",
                "at least one output name",
                "none",
            ));
        }
        if self.source.trim().is_empty() {
            return Err(Error::argument(
                "source",
                "the body of a function",
                "an empty text",
            ));
        }
        for (text, what) in [(&self.source, "source"), (&self.header, "header")] {
            if text.contains('\0') {
                return Err(Error::argument(what, "text", "a NUL character in it"));
            }
        }
        let mut seen = std::collections::HashSet::new();
        for (names, what) in [(&self.inputs, "inputs"), (&self.outputs, "outputs")] {
            for name in names {
                check_identifier(what, name)?;
                if !seen.insert(name.as_str()) {
                    return Err(Error::argument(
                        what,
                        "a name for each buffer of its own",
                        format_args!("`{name}` twice"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// The name as part of a C++ identifier: what is no letter or digit becomes `_`.
    pub(super) fn identifier(&self) -> String {
        self.name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect()
    }

    pub(super) fn to_ffi(&self) -> ffi::KernelSpec {
        ffi::KernelSpec {
            name: self.identifier(),
            input_names: self.inputs.clone(),
            output_names: self.outputs.clone(),
            source: ended(&self.source, false),
            header: ended(&self.header, true),
            ensure_row_contiguous: self.ensure_row_contiguous,
            atomic_outputs: self.atomic_outputs,
            math_mode: self.math_mode as i32,
        }
    }
}

/// A text that does not reach into what MLX puts behind it: a directive or comment on the last line ends with
/// the line, also behind a backslash. `line`: whether MLX begins no line of its own.
fn ended(text: &str, line: bool) -> String {
    let mut text = text.to_owned();
    let open = !text.is_empty() && !text.ends_with('\n');
    let last = text.strip_suffix('\n').unwrap_or(&text);
    let joined = last.trim_end_matches([' ', '\t', '\r']).ends_with('\\');
    if open && (line || joined) {
        text.push('\n');
    }
    if joined && line {
        text.push('\n');
    }
    text
}

/// Refuses what cannot name a parameter of the kernel function.
#[track_caller]
pub(crate) fn check_identifier(argument: &str, name: &str) -> Result<()> {
    let mut chars = name.chars();
    let starts = chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Error::argument(
            argument,
            "identifiers (letters, digits, `_`)",
            format_args!("`{name}`"),
        ));
    }
    let attribute = || ATTRIBUTES.iter().any(|(a, _)| *a == name);
    if RESERVED.binary_search(&name).is_ok() || MACROS.binary_search(&name).is_ok() || attribute() {
        return Err(Error::argument(
            argument,
            "a name that Metal does not reserve",
            format_args!("`{name}`"),
        ));
    }
    Ok(())
}

/// Keywords of Metal, of the C++ it builds on, and types that every kernel has; sorted.
const RESERVED: &[&str] = &[
    "alignas",
    "alignof",
    "and",
    "asm",
    "auto",
    "bfloat",
    "bool",
    "break",
    "case",
    "char",
    "class",
    "const",
    "constant",
    "constexpr",
    "continue",
    "decltype",
    "default",
    "delete",
    "device",
    "do",
    "double",
    "else",
    "enum",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "fragment",
    "friend",
    "goto",
    "half",
    "if",
    "inline",
    "int",
    "kernel",
    "long",
    "metal",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "nullptr",
    "operator",
    "or",
    "private",
    "protected",
    "public",
    "register",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "struct",
    "switch",
    "template",
    "this",
    "thread",
    "threadgroup",
    "throw",
    "true",
    "try",
    "typedef",
    "typename",
    "uchar",
    "uint",
    "ulong",
    "union",
    "unsigned",
    "ushort",
    "using",
    "vertex",
    "virtual",
    "void",
    "volatile",
    "while",
    "xor",
];

/// Macros of Metal's headers, which would be put in the name's place; sorted.
const MACROS: &[&str] = &[
    "BFLT_EPSILON",
    "BFLT_MAX",
    "BFLT_MIN",
    "CHAR_BIT",
    "CHAR_MAX",
    "CHAR_MIN",
    "FLT_DIG",
    "FLT_EPSILON",
    "FLT_MANT_DIG",
    "FLT_MAX",
    "FLT_MAX_10_EXP",
    "FLT_MAX_EXP",
    "FLT_MIN",
    "FLT_MIN_10_EXP",
    "FLT_MIN_EXP",
    "FLT_RADIX",
    "FP_INFINITE",
    "FP_NAN",
    "FP_NORMAL",
    "FP_SUBNORMAL",
    "FP_ZERO",
    "HALF_DIG",
    "HALF_EPSILON",
    "HALF_MANT_DIG",
    "HALF_MAX",
    "HALF_MAX_10_EXP",
    "HALF_MAX_EXP",
    "HALF_MIN",
    "HALF_MIN_10_EXP",
    "HALF_MIN_EXP",
    "HALF_RADIX",
    "HUGE_VALF",
    "HUGE_VALH",
    "INFINITY",
    "INT_MAX",
    "INT_MIN",
    "LONG_MAX",
    "LONG_MIN",
    "MAXFLOAT",
    "MAXHALF",
    "METAL_FUNC",
    "MTL_CONST",
    "M_1_PI_F",
    "M_1_PI_H",
    "M_2_PI_F",
    "M_2_PI_H",
    "M_2_SQRTPI_F",
    "M_2_SQRTPI_H",
    "M_E_F",
    "M_E_H",
    "M_LN10_F",
    "M_LN10_H",
    "M_LN2_F",
    "M_LN2_H",
    "M_LOG10E_F",
    "M_LOG10E_H",
    "M_LOG2E_F",
    "M_LOG2E_H",
    "M_PI_2_F",
    "M_PI_2_H",
    "M_PI_4_F",
    "M_PI_4_H",
    "M_PI_F",
    "M_PI_H",
    "M_SQRT1_2_F",
    "M_SQRT1_2_H",
    "M_SQRT2_F",
    "M_SQRT2_H",
    "NAN",
    "NULL",
    "SCHAR_MAX",
    "SCHAR_MIN",
    "SHRT_MAX",
    "SHRT_MIN",
    "UCHAR_MAX",
    "UINT_MAX",
    "ULONG_MAX",
    "USHRT_MAX",
    "assert",
    "is_function_constant_defined",
    "offsetof",
];

#[cfg(test)]
mod tests {
    #[test]
    fn reserved_names_are_found() {
        assert!(super::RESERVED.is_sorted() && super::MACROS.is_sorted());
    }
}
