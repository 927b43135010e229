//! The wrapping patterns. An operation that fits one costs a doc comment and a
//! name here, one declaration in `src/bridge/ops/` and one line in `cpp/include/zmlx/ops/`.

/// Methods `fn name(&self) -> Result<Array>`.
macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl $crate::Array {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> $crate::Result<$crate::Array> {
                $crate::ops::done(ffi::$name(self.raw(), $crate::stream::current()))
            }
        )*}
    };
}

/// Methods `fn name(&self, other) -> Result<Array>`; `other` is an array or a number.
macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl $crate::Array {$(
            $(#[$doc])*
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
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl $crate::Array {$(
            $(#[$doc])*
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

pub(super) use {along, binary, comparison, product, reduction, scan, unary};
