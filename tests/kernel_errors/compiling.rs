//! Texts that do not compile.

use super::*;

#[test]
fn a_kernel_that_does_not_compile_shows_its_line() {
    let k = MetalKernel::new("scale", ["x", "k"], ["out"])
        .source("uint i = thread_position_in_grid.x;\nout[i] = T(float(x[i]) * q);")
        .build()
        .unwrap();
    let x = Array::from_slice(&[1.0f32; 32], (8, 4)).unwrap();
    // In the words of the host's compiler; tests/cuda/compiler.rs has those of NVIDIA's.
    let launch = || {
        k.launch(&[&x, &3.0.into()])
            .template("T", F16)
            .run::<1>()
            .unwrap_err()
    };
    let line = line!() - 5;
    let e = with_device(Device::CPU, launch);
    let text = e.to_string();
    let Error::Kernel { kernel, at, .. } = e else {
        panic!("{text}")
    };
    assert_eq!(kernel, "scale");
    // The call spans several lines; which of them counts is the compiler's choice.
    assert!((line..line + 5).contains(&at.line()), "{at}");
    assert!(at.file().ends_with("compiling.rs"));
    for part in [
        "kernel `scale`",
        "line 2",
        "out[i] = T(float(x[i]) * q);",
        "'q'",
        "x: float32 [8, 4], k: float32 []",
        "T = float16",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    // The caret stands under the name.
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|l| l.contains("* q")).unwrap();
    assert_eq!(lines[at].find("q)"), lines[at + 1].find('^'), "{text}");
    // And again: a failure is no state. On the default device, whichever that is.
    for _ in 0..2 {
        assert!(matches!(launch(), Error::Kernel { .. }));
    }
}

#[test]
fn a_grid_attribute_in_the_header_only_does_not_compile() {
    let k = MetalKernel::new("header_attribute", ["x"], ["out"])
        .header("inline uint me() { return thread_position_in_grid.x; }\n")
        .source("out[me()] = x[me()];")
        .build()
        .unwrap();
    let e = k.launch(&[&nine()]).grid(9).run::<1>().unwrap_err();
    let text = e.to_string();
    assert!(matches!(e, Error::Kernel { .. }), "{text}");
    assert!(
        text.contains("header line 1") && text.contains("thread_position_in_grid"),
        "{text}"
    );
}

/// Metal's compiler refuses these, and here they would end the process. No compiler is asked.
#[rstest]
#[case::throws(
    "",
    "out[0] = 1;\nif (x[0] > 0) throw 1;",
    "exceptions",
    "source line 2"
)]
#[case::by_a_macro(
    "#define FAIL throw 1\n",
    "FAIL; out[0] = 1;",
    "exceptions",
    "header line 1"
)]
#[case::catches(
    "",
    "try { out[0] = 1; } catch (...) {}",
    "exceptions",
    "source line 1"
)]
#[case::allocates(
    "",
    "thread float* p = new float[9]; out[0] = p[0];",
    "`new`",
    "source line 1"
)]
#[case::frees("", "delete out;", "`delete`", "source line 1")]
#[case::casts(
    "struct A { virtual void f(); };\n",
    "out[0] = 1; dynamic_cast<thread A*>(p);",
    "dynamic_cast",
    "source line 1"
)]
#[case::aborts(
    "extern \"C\" void abort();\n",
    "out[0] = 1;\n\nabort();",
    "`abort`",
    "header line 1"
)]
#[case::asserts(
    "#include <cassert>\n",
    "out[0] = 1;\nassert(x[0] > 5);",
    "`assert`",
    "source line 2"
)]
#[case::assembly("", "out[0] = 1; asm(\"ud2\");", "assembly", "source line 1")]
fn what_would_end_the_process_does_not_compile(
    #[case] header: &str,
    #[case] source: &str,
    #[case] message: &str,
    #[case] place: &str,
) {
    let k = MetalKernel::new("rude", ["x"], ["out"])
        .header(header)
        .source(source)
        .build()
        .unwrap();
    for k in [k.clone(), k.checked()] {
        let e = k.launch(&[&nine()]).run::<1>().unwrap_err();
        let text = e.to_string();
        assert!(
            matches!(&e, Error::Kernel { kernel, .. } if kernel == "rude"),
            "{text}"
        );
        assert!(text.contains(message) && text.contains(place), "{text}");
    }
}

/// Behind a condition of the preprocessor only the compiler finds them; the place is the same.
#[rstest]
#[case::throws("throw 1;", "exception")]
#[case::allocates(
    "float* volatile p = new float[9]; out[1] = p[0];",
    "Metal has no `new`"
)]
fn what_only_the_compiler_sees_does_not_compile(#[case] line: &str, #[case] message: &str) {
    let k = MetalKernel::new("rude", ["x"], ["out"])
        .source(format!("#ifdef __METAL__\n{line}\n#endif\nout[0] = 1;"))
        .build()
        .unwrap();
    let launch = || k.launch(&[&nine()]).run::<1>().unwrap_err();
    let text = with_device(Device::CPU, launch).to_string();
    assert!(
        text.contains(message) && text.contains("source line 2"),
        "{text}"
    );
}

/// A name that does not exist, with the one that was meant.
#[rstest]
#[case("out[0] = sigmoid(x[0]);", &["`sigmoid` is not known", "did you mean `kk_sigmoid`"])]
#[case("out[0] = kk_sigmod(x[0]);", &["`kk_sigmod` is not known", "did you mean `kk_sigmoid`"])]
#[case("out[0] = tahn(x[0]);", &["`tahn` is not known", "did you mean `metal::tanh`"])]
#[case("out[0] = T(x[0]);", &["`T` is not declared", "template arguments given: TT, N = 3"])]
#[case("out[0] = metal::sqroot(x[0]) + xx[0];", &["`sqroot` is not known"])]
#[case("out[0] = y[0];", &["source line 1", "out[0] = y[0];"])]
fn unknown_names(#[case] source: &str, #[case] parts: &[&str]) {
    let kernel = MetalKernel::new("names", ["x"], ["out"])
        .source(source)
        .build()
        .unwrap();
    let x = nine();
    let inputs = [&x];
    let launch = kernel.launch(&inputs).template("TT", F32).template("N", 3);
    let text = launch.run::<1>().unwrap_err().to_string();
    for part in parts {
        assert!(text.contains(part), "{text}");
    }
}
