//! More threadgroup memory than a kernel may have without asking for it.
//!
//! Up to 48 KB the compiler lays variables out by itself. What is more has to be asked for at the launch,
//! as one block without names. How large a variable is only the compiler knows, so it is asked
//! first, and then told where in the block each one lies.

use std::collections::BTreeMap;

/// The macro that makes a variable, in `kernels/runtime/cuda/sync.h`.
pub const MACRO: &str = "ZMLX_SHARED";

/// Whether the compiler refused a kernel because of too much of it.
pub fn is_too_much(output: &str) -> bool {
    output.contains("uses too much shared data")
}

/// Has the compiler write the sizes down in its assembly.
pub const SIZES: &str = "-DZMLX_SHARED_SIZES=1";

/// Where variables lie.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes in all.
    pub bytes: u32,
    /// What tells the compiler.
    pub flags: Vec<String>,
}

/// Places for the variables of the lowered `text`, whose sizes `assembly` tells.
pub fn layout(text: &str, assembly: &str) -> Layout {
    // Each place of a call that was inlined tells the same again.
    let mut sizes: BTreeMap<&str, (u64, u64)> = numbers(text).map(|n| (n, (0, 1))).collect();
    for line in assembly.lines() {
        let Some((_, told)) = line.split_once("// zmlx_shared ") else {
            continue;
        };
        let mut words = told.split_whitespace();
        let mut word = || words.next();
        if let (Some(number), Some(Ok(size)), Some(Ok(align))) =
            (word(), word().map(str::parse), word().map(str::parse))
            && let Some(known) = sizes.get_mut(number)
        {
            *known = (known.0.max(size), known.1.max(align));
        }
    }
    let mut bytes = 0u64;
    let mut flags = vec!["-DZMLX_SHARED_PLACES=1".to_owned()];
    for (number, (size, align)) in sizes {
        bytes = bytes.next_multiple_of(align.max(1));
        flags.push(format!("-DZMLX_SHARED_AT_{number}={bytes}"));
        bytes += size;
    }
    Layout {
        bytes: bytes.try_into().unwrap_or(u32::MAX),
        flags,
    }
}

/// The numbers of all variables.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split("ZMLX_SHARED(").skip(1).filter_map(|rest| {
        let (arguments, _) = rest.split_once(");")?;
        Some(arguments.rsplit(',').next()?.trim())
    })
}

/// The most that a threadgroup can have on a GPU such as `sm_90`, in bytes, as NVIDIA documents it.
pub fn limit(architecture: &str) -> u32 {
    let number = architecture.trim_start_matches("sm_");
    let number = number.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    1024 * match number {
        "70" | "72" => 96,
        "75" => 64,
        "80" | "87" => 163,
        "86" | "89" | "120" | "121" => 99,
        _ => 227,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_get_places_in_turn() {
        let text = "typedef float zmlx_t_a[9]; ZMLX_SHARED(zmlx_t_a, a, 12);\n\
                    typedef T zmlx_t_b[9]; ZMLX_SHARED(zmlx_t_b, b, 30); ZMLX_SHARED(zmlx_t_c, c, 44);";
        let assembly = "\t// begin inline asm\n\t// zmlx_shared 12 36 4\n\t// zmlx_shared 44 100 16\n\
                        \t// zmlx_shared 12 36 4\n";
        let got = layout(text, assembly);
        assert_eq!(got.bytes, 148);
        let flags = ["PLACES=1", "AT_12=0", "AT_30=36", "AT_44=48"];
        assert_eq!(got.flags, flags.map(|f| format!("-DZMLX_SHARED_{f}")));
    }

    /// The lowered body, with an `n` for each variable's number.
    fn lowered(body: &str) -> String {
        let msl = format!(
            "#define OWN(x) threadgroup float x[8]\n[[kernel]] void k(device float* out [[buffer(0)]]) {{\n{body}\n}}\n"
        );
        let options = crate::engine::cuda::CompileOptions {
            name: "k".into(),
            math_mode: crate::engine::msl::MathMode::Safe,
            inputs: Vec::new(),
            threads: 256,
            rank: 4,
            in_turn: 1,
            exact: false,
            architecture: "sm_90".into(),
            whole: true,
        };
        let text = crate::engine::cuda::lower(&msl, &options).unwrap().text;
        let (_, rest) = text.split_once("#line 1 \"<source>\"\n").unwrap();
        let (body, _) = rest.split_once("}\n#line 1").unwrap();
        let mut words = body.to_owned();
        let all: Vec<String> = numbers(body).map(str::to_owned).collect();
        for number in all {
            words = words.replace(&format!(", {number});"), ", n);");
        }
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn declarations_name_types() {
        for (msl, cpp) in [
            (
                "threadgroup float a[8];",
                "typedef float zmlx_t_a[8]; ZMLX_SHARED(zmlx_t_a, a, n);",
            ),
            (
                "threadgroup vec<T, 4> a[N][2], b;",
                "typedef vec<T, 4> zmlx_t_a[N][2], zmlx_t_b; \
                 ZMLX_SHARED(zmlx_t_a, a, n); ZMLX_SHARED(zmlx_t_b, b, n);",
            ),
            (
                "threadgroup P<T> a[2][4], *p = a[0];",
                "typedef P<T> zmlx_t_a[2][4]; ZMLX_SHARED(zmlx_t_a, a, n);; P<T> *p = a[0];",
            ),
            (
                "threadgroup struct { int i; float f; } s;",
                "typedef struct { int i; float f; } zmlx_t_s; ZMLX_SHARED(zmlx_t_s, s, n);",
            ),
            // Seldom, and left to the compiler.
            (
                "alignas(16) threadgroup half s[4];",
                "alignas(16) __shared__ half s[4];",
            ),
            (
                "threadgroup alignas(16) half s[4];",
                "__shared__ alignas(16) half s[4];",
            ),
            (
                "static threadgroup int s;",
                "static __shared__ __align__(16) int s;",
            ),
            ("OWN(x);", "OWN(x);"),
            ("threadgroup float* p = x;", "float* p = x;"),
        ] {
            assert_eq!(lowered(msl), cpp, "{msl}");
        }
    }

    #[test]
    fn limits_are_the_chips() {
        assert_eq!(limit("sm_90"), 232_448);
        assert_eq!(limit("sm_90a"), 232_448);
        assert_eq!(limit("sm_89"), 101_376);
    }
}
