//! The declaration of functions of the catalog; see docs/CATALOG.md.

/// Declares functions of a family: their public functions, calls with options, and their table. See docs/CATALOG.md.
macro_rules! family {
    ($table:ident of $family:literal: $(
        $(#[$doc:meta])*
        fn $name:ident($($input:ident: $kind:ident),+)
        $(-> $Call:ident($($(#[$note:meta])* $number:ident = $default:literal, tested $tested:literal
            $(where $expected:literal $valid:expr)?),+ $(,)?))?
        {
            formula: $formula:literal,
            program: $program:literal,
            $(outputs: $outputs:literal,)?
            $(example: $at:literal => $want:literal,)?
            $(mlx: $mlx:expr,)?
            $(roundings: $roundings:expr,)?
        }
    )+) => {
        $(
            mod $name {
                use $crate::kernels::catalog::{Kind, input};
                pub(super) static KERNEL: $crate::kernels::recipe::Kernel =
                    $crate::kernels::recipe::Kernel::new(
                        concat!($family, "::", stringify!($name)),
                        &[$(input(stringify!($input), Kind::$kind)),+],
                        &[$($(stringify!($number)),+)?],
                        $program,
                        $formula,
                    );
            }
            $crate::kernels::family::family! { @function
                [
                    $(#[$doc])*
                    $(#[doc = concat!(
                        "\n```\nuse zmlx::{Array, kernels::", $family, "::", stringify!($name), "};\n",
                        "let y = ", stringify!($name), "(&Array::from(", stringify!($at), " as f32))?.item::<f32>()?;\n",
                        "assert!((y - ", stringify!($want), ").abs() < 1e-5);\n",
                        "# Ok::<(), zmlx::Error>(())\n```"
                    )])?
                    #[doc = concat!(
                        "\nComputes `", $formula, "` in float32.",
                        $(" `", stringify!($input), "`: ",
                          $crate::kernels::family::family!(@shape $kind), ";",)+
                        " float32, float16 or bfloat16 each. The result has the dtype of the first array. \
                         Differentiable any number of times.\n\n# Errors\n\
                         [`Error::Shape`](crate::Error::Shape) for another shape, \
                         [`Error::Dtype`](crate::Error::Dtype) for another dtype."
                    )]
                ]
                $name [$($input)+] [$($outputs)?]
                $($Call [$([$(#[$note])*] $number $default [$($expected $valid)?])+])?
            }
        )+

        pub(super) static $table: &[$crate::kernels::catalog::Entry] = &[$(
            $crate::kernels::catalog::Entry {
                name: concat!($family, "::", stringify!($name)),
                formula: $formula,
                file: "",
                inputs: &[$($crate::kernels::catalog::input(
                    stringify!($input),
                    $crate::kernels::catalog::Kind::$kind,
                )),+],
                call: |p| match p {
                    [$($input),+] => {
                        let y = $name($($input),+)$($(.$number($tested))+.call())??;
                        Ok($crate::kernels::family::family!(@list y $($outputs)?))
                    }
                    _ => Err($crate::Error::argument("inputs", stringify!($($input),+), p.len())),
                },
                composite: |p| $name::KERNEL.reference(p, &[$($($tested),+)?]),
                mlx: $crate::kernels::family::family!(@mlx $($mlx)?),
                bytes: |rows, width, size| $name::KERNEL.bytes(rows, width, size),
                roundings: $crate::kernels::family::family!(@roundings $($roundings)?),
            }
        ),+];
    };

    (@function [$($doc:tt)*] $name:ident [$($input:ident)+] [$($outputs:literal)?]) => {
        $($doc)*
        #[track_caller]
        pub fn $name($($input: &$crate::Array),+)
            -> $crate::Result<$crate::kernels::family::family!(@type $($outputs)?)>
        {
            $crate::kernels::family::family!(@call $name [$($input),+] [] $($outputs)?)
        }
    };

    (@function [$($doc:tt)*] $name:ident [$($input:ident)+] [$($outputs:literal)?]
        $Call:ident [$(
            [$($note:tt)*] $number:ident $default:literal [$($expected:literal $valid:expr)?]
        )+]
    ) => {
        $($doc)*
        pub fn $name<'a>($($input: &'a $crate::Array),+) -> $Call<'a> {
            $Call { $($input,)+ $($number: $default),+ }
        }

        #[doc = concat!("A call of [`", stringify!($name), "()`].")]
        #[must_use = "does nothing until `call`"]
        #[derive(Clone, Copy, Debug)]
        pub struct $Call<'a> {
            $($input: &'a $crate::Array,)+
            $($number: f32),+
        }

        impl $Call<'_> {
            $(
                $($note)*
                pub fn $number(mut self, $number: f32) -> Self {
                    self.$number = $number;
                    self
                }
            )+

            #[doc = concat!("Adds it to the graph.\n\n# Errors\nThose that [`", stringify!($name), "()`] names\
                , and [`Error::Argument`](crate::Error::Argument) for a number that an option cannot be.")]
            #[track_caller]
            pub fn call(self) -> $crate::Result<$crate::kernels::family::family!(@type $($outputs)?)> {
                $($(
                    let valid: fn(f32) -> bool = $valid;
                    if !valid(self.$number) {
                        let name = stringify!($number);
                        return Err($crate::Error::argument(name, $expected, self.$number));
                    }
                )?)+
                $crate::kernels::family::family!(
                    @call $name [$(self.$input),+] [$(self.$number),+] $($outputs)?
                )
            }
        }
    };

    (@type) => { $crate::Array };
    (@type $outputs:literal) => { [$crate::Array; $outputs] };
    (@call $name:ident [$($input:expr),+] [$($number:expr),*]) => {
        $name::KERNEL.call1(&[$($input),+], &[$($number),*])
    };
    (@call $name:ident [$($input:expr),+] [$($number:expr),*] $outputs:literal) => {
        $name::KERNEL.call::<$outputs>(&[$($input),+], &[$($number),*])
    };
    (@list $y:ident) => { vec![$y] };
    (@list $y:ident $outputs:literal) => { Vec::from($y) };
    (@mlx) => { None };
    (@mlx $mlx:expr) => { Some($mlx) };
    (@roundings) => { $crate::kernels::catalog::few_roundings };
    (@roundings $roundings:expr) => { $roundings };
    (@shape Rows) => { "(..., D)" };
    (@shape DoubleRows) => { "(..., 2 D)" };
    (@shape Weight) => { "(D,)" };
    (@shape Mask) => { "what broadcasts to (..., D), any dtype" };
    (@shape DoubleWeight) => { "(2 D,)" };
    (@shape Scalar) => { "one number, shape () or (1,)" };
    (@shape Targets) => { "(...), integers" };
    (@shape Scalars) => { "(...)" };
}
pub(super) use family;
