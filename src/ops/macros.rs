//! The wrapping patterns. An operation that fits one costs a doc comment and a
//! name here, one declaration in `src/bridge/ops/` and one line in `cpp/include/zmlx/ops/`.

/// The documentation of an example in a table: `[1.5f32] => f32 [1.0]` for exact values, `[0.5f32] => near [0.479426f32]` for
/// rounded ones, with a number behind the array for an operation of two.
macro_rules! example {
    ($name:ident $x:tt $($other:literal)? => near $y:tt) => {
        concat!(
            "\n```\n# use zmlx::Array;\nlet x = Array::from_iter(", stringify!($x), ")?;\n",
            "let y = Array::from_iter(", stringify!($y), ")?;\n",
            "assert!(x.", stringify!($name), "(", $(stringify!($other),)? ")?.allclose(&y, (1e-5, 1e-6))?.item::<bool>()?);\n",
            "# Ok::<(), zmlx::Error>(())\n```"
        )
    };
    ($name:ident $x:tt $($other:literal)? => $ty:ident $y:tt) => {
        concat!(
            "\n```\n# use zmlx::Array;\nlet x = Array::from_iter(", stringify!($x), ")?;\n",
            "assert_eq!(x.", stringify!($name), "(", $(stringify!($other),)? ")?.to_vec::<", stringify!($ty), ">()?, ",
            stringify!($y), ");\n# Ok::<(), zmlx::Error>(())\n```"
        )
    };
}

/// Methods `fn name(&self) -> Result<Array>`, with an example: `floor: [1.5f32] => f32 [1.0];`.
macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident $(: $x:tt => $kind:ident $y:tt)?;)*) => {
        impl $crate::Array {$(
            $(#[$doc])*
            $(#[doc = $crate::ops::macros::example!($name $x => $kind $y)])?
            #[track_caller]
            pub fn $name(&self) -> $crate::Result<$crate::Array> {
                $crate::ops::done(ffi::$name(self.raw(), $crate::stream::current()))
            }
        )*}
    };
}

/// Methods `fn name(&self, other) -> Result<Array>`; `other` is an array or a number. With an example:
/// `add: [1.0f32], 0.5 => f32 [1.5];`.
macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident $(: $x:tt, $other:literal => $kind:ident $y:tt)?;)*) => {
        impl $crate::Array {$(
            $(#[$doc])*
            $(#[doc = $crate::ops::macros::example!($name $x $other => $kind $y)])?
            #[track_caller]
            pub fn $name(&self, other: impl $crate::Operand) -> $crate::Result<$crate::Array> {
                let other = other.operand(self.dtype())?;
                $crate::ops::done(ffi::$name(self.raw(), other.raw(), $crate::stream::current()))
            }
        )*}
    };
}

/// As `binary`, for operations that give bool: a number need not fit the dtype.
macro_rules! comparison {
    ($($(#[$doc:meta])* $name:ident $(: $x:tt, $other:literal => $kind:ident $y:tt)?;)*) => {
        impl $crate::Array {$(
            $(#[$doc])*
            $(#[doc = $crate::ops::macros::example!($name $x $other => $kind $y)])?
            #[track_caller]
            pub fn $name(&self, other: impl $crate::Operand) -> $crate::Result<$crate::Array> {
                let other = other.compared(self.dtype())?;
                $crate::ops::done(ffi::$name(self.raw(), other.raw(), $crate::stream::current()))
            }
        )*}
    };
}

/// Methods `fn name(&self, other: &Array) -> Result<Array>`.
macro_rules! product {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl $crate::Array {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, other: &$crate::Array) -> $crate::Result<$crate::Array> {
                $crate::ops::done(ffi::$name(self.raw(), other.raw(), $crate::stream::current()))
            }
        )*}
    };
}

/// Methods `fn name(&self, axes) -> Result<Array>`.
macro_rules! reduction {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl $crate::Array {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, axes: impl $crate::IntoAxes) -> $crate::Result<$crate::Array> {
                let axes = axes.into_axes();
                $crate::ops::done(ffi::$name(
                    self.raw(),
                    &$crate::ops::axes::reduced(&axes, self.ndim())?,
                    axes.keeps_dims(),
                    $crate::stream::current(),
                ))
            }
        )*}
    };
}

/// Methods `fn name(&self, axis) -> Result<Array>`: one axis, or `..` for the flattened
/// array. With `keepdims` those that heed [`keepdims`](crate::keepdims).
macro_rules! along {
    (keepdims $($(#[$doc:meta])* $name:ident;)*) => {
        impl $crate::Array {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, axis: impl $crate::IntoAxes) -> $crate::Result<$crate::Array> {
                let axes = axis.into_axes();
                let axis = $crate::ops::one_axis(&axes)?;
                self.flat_for(stringify!($name), axis)?;
                $crate::ops::done(ffi::$name(self.raw(), axis, axes.keeps_dims(), $crate::stream::current()))
            }
        )*}
    };
    ($($(#[$doc:meta])* $name:ident($($n:ident)?);)*) => {
        impl $crate::Array {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, $($n: i32,)? axis: impl $crate::IntoAxes) -> $crate::Result<$crate::Array> {
                let axes = axis.into_axes();
                let axis = $crate::ops::one_axis(&axes)?;
                self.flat_for(stringify!($name), axis)?;
                $crate::ops::done(ffi::$name(self.raw(), $($n,)? axis, $crate::stream::current()))
            }
        )*}
    };
}

/// Methods `fn name(&self, along: impl Into<Scan>) -> Result<Array>`.
macro_rules! scan {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl $crate::Array {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, along: impl Into<Scan>) -> $crate::Result<$crate::Array> {
                let scan = along.into();
                let converted = match scan.dtype {
                    Some(dtype) if dtype != self.dtype() => Some(self.astype(dtype)?),
                    _ => None,
                };
                $crate::ops::done(ffi::$name(
                    converted.as_ref().unwrap_or(self).raw(),
                    scan.axis.as_slice(),
                    scan.reverse,
                    !scan.exclusive,
                    $crate::stream::current(),
                ))
            }
        )*}
    };
}

pub(in crate::ops) use {along, binary, comparison, example, product, reduction, scan, unary};
