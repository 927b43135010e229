//! Element types.

mod info;

pub use self::info::{FloatInfo, IntInfo, UnknownDtype};

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
    /// True and false, a byte each.
    Bool = 0,
    /// Whole numbers of 8 bits from 0.
    Uint8,
    /// Whole numbers of 16 bits from 0.
    Uint16,
    /// Whole numbers of 32 bits from 0.
    Uint32,
    /// Whole numbers of 64 bits from 0.
    Uint64,
    /// Whole numbers of 8 bits.
    Int8,
    /// Whole numbers of 16 bits.
    Int16,
    /// Whole numbers of 32 bits.
    Int32,
    /// Whole numbers of 64 bits.
    Int64,
    /// Floating-point numbers with 11 significant bits, up to 65504.
    Float16,
    /// Floating-point numbers with 24 significant bits.
    Float32,
    /// Floating-point numbers with 53 significant bits, on the CPU only.
    Float64,
    /// Floating-point numbers with 8 significant bits and the range of float32.
    Bfloat16,
    /// Two float32 numbers, the real and the imaginary part.
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

    macro_rules! short {
        ($($short:ident => $long:ident),* $(,)?) => {$(
            #[doc = concat!("[`Dtype::", stringify!($long), "`]")]
            pub const $short: Dtype = Dtype::$long;
        )*};
    }

    short! {
        BOOL => Bool,
        U8 => Uint8,
        U16 => Uint16,
        U32 => Uint32,
        U64 => Uint64,
        I8 => Int8,
        I16 => Int16,
        I32 => Int32,
        I64 => Int64,
        F16 => Float16,
        F32 => Float32,
        F64 => Float64,
        BF16 => Bfloat16,
        C64 => Complex64,
    }
}
