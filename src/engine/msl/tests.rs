//! Tests of the lowering that need no compiler.

use proptest::prelude::*;

use super::*;
use crate::engine::error::Location;

mod rewrites;

/// A target whose words are easy to recognize.
struct Marks;

impl Target for Marks {
    fn prologue(&self, mode: Mode) -> String {
        format!("// {mode:?}")
    }
    fn threadgroup_variable(&self, _: bool) -> &'static str {
        "SHARED"
    }
    fn kernel_function(&self) -> &'static str {
        "KERNEL "
    }
    fn buffer_qualifier(&self) -> &'static str {
        ""
    }
    fn alternative(&self) -> Option<&'static str> {
        Some("ALT")
    }
    fn divisor(&self) -> Option<&'static str> {
        Some("BY")
    }
    fn entry(&self, facts: &Facts<'_>) -> String {
        format!("{:?} {:?}", facts.types, facts.signature.template_args)
    }
    fn loop_guard(&self) -> Option<LoopGuard> {
        Some(LoopGuard {
            prefix: "GUARD ",
            tick: "TICK",
            step: "STEP",
        })
    }
}

fn kernel(header: &str, body: &str) -> String {
    format!(
        "{header}[[kernel]] void k(\n  const device float* inp [[buffer(0)]],\n  \
         device float* out [[buffer(1)]],\n  uint3 thread_position_in_grid \
         [[thread_position_in_grid]]) {{\n{body}\n}}\n"
    )
}

fn lowered(header: &str, body: &str) -> Lowered {
    lower(&kernel(header, body), false, &Marks).unwrap()
}

/// The lowered body, blanks squeezed.
fn body(msl: &str) -> String {
    let text = lowered("", msl).text;
    let start = text.find("#line 1 \"<source>\"\n").unwrap() + 19;
    let end = text.rfind("}\n#line 1 \"<entry>\"").unwrap();
    text[start..end]
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn modes() {
    for (header, body, mode) in [
        ("", "out[0] = 1;", Mode::Plain),
        (
            "#define R(x) simd_sum(x)\n",
            "out[0] = 1; // simd_sum threadgroup",
            Mode::Plain,
        ),
        ("#define R(x) simd_sum(x)\n", "out[0] = R(x);", Mode::Sync),
        ("", "threadgroup float s[2];", Mode::Sync),
        ("", "threadgroup_barrier(mem_flags::mem_none);", Mode::Sync),
        ("", "simdgroup_float8x8 m;", Mode::Sync),
    ] {
        assert_eq!(lowered(header, body).mode, mode, "{header}{body}");
    }
    let single = lower(&kernel("", "threadgroup float s[2];"), true, &Marks).unwrap();
    assert_eq!(single.mode, Mode::Single);
}

#[test]
fn templates_and_references() {
    let text = "template <typename T, int N, bool B>\n[[kernel]] void k(\n  const constant int32_t& n [[buffer(0)]],\n  \
        device atomic<float>* out [[buffer(1)]],\n  uint thread_index_in_simdgroup [[thread_index_in_simdgroup]]) {\n\n}\n\n\
        template [[host_name(\"k\")]] [[kernel]] decltype(k<metal::vec<float, 4>, 3, 1>) k<metal::vec<float, 4>, 3, 1>;\n";
    let lowered = lower(text, false, &Marks).unwrap();
    assert_eq!((lowered.buffers, lowered.mode), (2, Mode::Plain));
    let entry = r#"["const int32_t", "atomic<float>", "uint"] Some("metal::vec<float, 4>, 3, 1")"#;
    assert!(lowered.text.ends_with(entry), "{}", lowered.text);
    assert!(!lowered.text.contains("host_name"));
}

#[test]
fn refusals() {
    let k = "k".to_owned();
    for (text, error) in [
        ("", LowerError::NoKernel),
        ("void k() {}", LowerError::NoKernel),
        (
            "kernel void k(device float* x [[buffer(0)]]",
            LowerError::Incomplete {
                kernel: k.clone(),
                what: "parameter list",
            },
        ),
        (
            "kernel void k();",
            LowerError::Incomplete {
                kernel: k.clone(),
                what: "body",
            },
        ),
        (
            "template <int N> kernel void k() {}",
            LowerError::NotInstantiated { kernel: k.clone() },
        ),
        (
            "kernel void k(texture2d<float> t [[texture(0)]]) {}",
            LowerError::Parameter {
                kernel: k.clone(),
                parameter: "texture2d<float> t [[texture(0)]]".into(),
            },
        ),
    ] {
        assert_eq!(lower(text, false, &Marks).unwrap_err(), error, "{text}");
    }
}

#[test]
fn places_lead_back() {
    let lowered = lowered(
        "// one\r\nfloat f(device float* p) { return 1.0; }\n",
        "\n  threadgroup float4 s[2]; a.xyz = nope;\n",
    );
    let find = |word: &str| {
        let at = lowered.text.find(word).unwrap();
        let mark = lowered.text[..at].rfind("#line 1 ").unwrap();
        let file = lowered.text[mark + 9..].split('"').next().unwrap();
        let start = mark + lowered.text[mark..].find('\n').unwrap() + 1;
        let line = lowered.text[start..at].matches('\n').count() + 1;
        let column = at - lowered.text[..at].rfind('\n').unwrap();
        lowered
            .map
            .locate(&lowered.text, file, line, column)
            .unwrap()
    };
    let place = find("nope");
    assert_eq!(
        (place.region, place.line, place.column),
        (Region::Source, 2, 36)
    );
    assert_eq!(&place.text[35..], "nope;");
    let place = find("return");
    assert_eq!((place.region, place.line), (Region::Header, 2));
    let place = find("thread_position_in_grid");
    assert_eq!((place.region, place.line), (Region::Signature, 4));
}

#[test]
fn long_lines_are_cut_around_the_column() {
    let place = |text: &str, column| Location {
        region: Region::Source,
        line: 1,
        column,
        text: text.into(),
    };
    assert_eq!(
        place("\tx = é;", 5).to_string(),
        "source line 1, column 5\n    \tx = é;\n    \t   ^"
    );
    let long = format!("{}é! {}", "a".repeat(200), "b".repeat(300));
    let shown = place(&long, 203).to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[1].chars().count(), 4 + 3 + WIDTH_SHOWN);
    let caret = lines[2].chars().count() - 1;
    assert_eq!(lines[1].chars().nth(caret), Some('!'), "{shown}");
}

/// Characters of a long line that a message shows.
const WIDTH_SHOWN: usize = 120;

/// Pieces that steer random text into every branch of the passes.
const PIECES: [&str; 64] = [
    "[[kernel]] ",
    "kernel ",
    "void ",
    "k",
    "(",
    ")",
    "{",
    "}",
    "[[",
    "]]",
    "[",
    "]",
    "<",
    ">",
    ";",
    ",",
    "template ",
    "[[host_name(\"k\")]] ",
    "decltype",
    "device ",
    "threadgroup ",
    "constant ",
    "thread ",
    "const ",
    "static ",
    "constexpr ",
    "float",
    "uint3 ",
    "*",
    "&",
    "::",
    ".",
    "->",
    "xyz",
    "xy ",
    "=",
    "+=",
    ">>=",
    "1.0",
    "1e",
    "0x1p",
    "5h",
    ".5",
    "while ",
    "for ",
    "do ",
    "struct ",
    "namespace ",
    "#define ",
    "#include <metal_",
    "\\\n",
    "\n",
    "\r\n",
    "//",
    "/*",
    "*/",
    "\"",
    "'",
    " ",
    "simd_sum",
    "[[buffer(0)]]",
    "[[thread_position_in_grid]]",
    "é",
    "operator",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("ZMLX_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000)
    ))]

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        let _ = lower(&text, false, &Marks);
        let _ = lower(&kernel(&text, &text), true, &Marks);
    }

    #[test]
    fn any_mixture_is_survived(pieces in proptest::collection::vec(proptest::sample::select(PIECES.as_slice()), 0..60)) {
        let text = pieces.concat();
        let _ = lower(&text, false, &Marks);
        if let Ok(lowered) = lower(&kernel("", &text), false, &Marks) {
            for (line, column) in [(1, 1), (3, 9), (0, 0), (99, 99)] {
                let _ = lowered.map.locate(&lowered.text, "<source>", line, column);
            }
        }
    }
}
