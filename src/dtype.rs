//! Element types.

use std::fmt;

/// The element type of an [`Array`](crate::Array): MLX's own set and names.
///
/// ```
/// use zmlx::Dtype;
/// assert_eq!(Dtype::Bfloat16.to_string(), "bfloat16");
/// assert_eq!(Dtype::Float16.size(), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum Dtype {
    Bool = 0,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Float16,
    Float32,
    Float64,
    Bfloat16,
    Complex64,
}

impl Dtype {
    /// Every dtype, in MLX's order.
    pub const ALL: [Dtype; 14] = [
        Dtype::Bool,
        Dtype::Uint8,
        Dtype::Uint16,
        Dtype::Uint32,
        Dtype::Uint64,
        Dtype::Int8,
        Dtype::Int16,
        Dtype::Int32,
        Dtype::Int64,
        Dtype::Float16,
        Dtype::Float32,
        Dtype::Float64,
        Dtype::Bfloat16,
        Dtype::Complex64,
    ];

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Dtype::Bool | Dtype::Uint8 | Dtype::Int8 => 1,
            Dtype::Uint16 | Dtype::Int16 | Dtype::Float16 | Dtype::Bfloat16 => 2,
            Dtype::Uint32 | Dtype::Int32 | Dtype::Float32 => 4,
            Dtype::Uint64 | Dtype::Int64 | Dtype::Float64 | Dtype::Complex64 => 8,
        }
    }

    /// MLX's name of the type, such as `float32`.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::Bool => "bool",
            Dtype::Uint8 => "uint8",
            Dtype::Uint16 => "uint16",
            Dtype::Uint32 => "uint32",
            Dtype::Uint64 => "uint64",
            Dtype::Int8 => "int8",
            Dtype::Int16 => "int16",
            Dtype::Int32 => "int32",
            Dtype::Int64 => "int64",
            Dtype::Float16 => "float16",
            Dtype::Float32 => "float32",
            Dtype::Float64 => "float64",
            Dtype::Bfloat16 => "bfloat16",
            Dtype::Complex64 => "complex64",
        }
    }

    /// The dtype MLX calls `name`.
    pub fn from_name(name: &str) -> Option<Dtype> {
        Dtype::ALL.into_iter().find(|d| d.name() == name)
    }

    /// True for the real floating-point types.
    pub const fn is_floating(self) -> bool {
        matches!(
            self,
            Dtype::Float16 | Dtype::Float32 | Dtype::Float64 | Dtype::Bfloat16
        )
    }

    /// True for `bool` and the integers.
    pub const fn is_integral(self) -> bool {
        !self.is_floating() && !matches!(self, Dtype::Complex64)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Short names for the dtypes, for use with `use zmlx::prelude::*`.
pub mod short {
    use super::Dtype;

    pub const BOOL: Dtype = Dtype::Bool;
    pub const U8: Dtype = Dtype::Uint8;
    pub const U16: Dtype = Dtype::Uint16;
    pub const U32: Dtype = Dtype::Uint32;
    pub const U64: Dtype = Dtype::Uint64;
    pub const I8: Dtype = Dtype::Int8;
    pub const I16: Dtype = Dtype::Int16;
    pub const I32: Dtype = Dtype::Int32;
    pub const I64: Dtype = Dtype::Int64;
    pub const F16: Dtype = Dtype::Float16;
    pub const F32: Dtype = Dtype::Float32;
    pub const F64: Dtype = Dtype::Float64;
    pub const BF16: Dtype = Dtype::Bfloat16;
    pub const C64: Dtype = Dtype::Complex64;
}
