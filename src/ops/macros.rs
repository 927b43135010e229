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
                let other = other.operand(self)?;
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
                    &axes.resolve(self.ndim()),
                    axes.keepdims,
                    $crate::stream::current(),
                ))
            }
        )*}
    };
}

pub(super) use {binary, reduction, unary};
