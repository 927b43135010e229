//! Bad input to custom kernels: a typed error that names what is wrong, at the call.

use rstest::rstest;
use zmlx::prelude::*;
use zmlx::{MetalKernel, Result, with_device};

const COPY: &str = "uint i = thread_position_in_grid.x; out[i] = x[i];";

fn copy() -> MetalKernel {
    MetalKernel::new("copy", ["x"], ["out"])
        .source(COPY)
        .build()
        .unwrap()
}

fn nine() -> Array {
    Array::from_slice(&[1.0f32; 9], 9).unwrap()
}

/// The argument that an error names.
#[track_caller]
fn argument<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result.unwrap_err() {
        Error::Argument {
            argument, message, ..
        } => {
            assert!(
                message.contains("expected") && message.contains("got"),
                "{message}"
            );
            argument
        }
        other => panic!("not an argument error: {other:?}"),
    }
}

fn define(inputs: &[&str], outputs: &[&str], source: &str) -> Result<MetalKernel> {
    MetalKernel::new("bad", inputs.iter().copied(), outputs.iter().copied())
        .source(source)
        .build()
}

#[rstest]
#[case::no_output("outputs", &["x"], &[], COPY)]
#[case::no_source("source", &["x"], &["out"], "  \n")]
#[case::empty_name("outputs", &["x"], &[""], COPY)]
#[case::no_identifier("inputs", &["x-1"], &["out"], COPY)]
#[case::digit_first("inputs", &["1x"], &["out"], COPY)]
#[case::injection("inputs", &["x, int y"], &["out"], COPY)]
#[case::keyword("inputs", &["float"], &["out"], COPY)]
#[case::address_space("inputs", &["device"], &["out"], COPY)]
#[case::twice("inputs", &["x", "x"], &["out"], COPY)]
#[case::input_and_output("outputs", &["x"], &["x"], COPY)]
#[case::nul("source", &["x"], &["out"], "out[0] = 1;\0")]
fn definitions(
    #[case] name: &str,
    #[case] inputs: &[&str],
    #[case] outputs: &[&str],
    #[case] source: &str,
) {
    assert_eq!(argument(define(inputs, outputs, source)), name);
}

#[test]
fn an_empty_kernel_name_is_refused_an_odd_one_is_not() {
    let build = |name: &str| MetalKernel::new(name, ["x"], ["out"]).source(COPY).build();
    assert_eq!(argument(build("")), "name");
    for name in ["my.kernel-2", "δ", "a b", "7"] {
        let k = build(name).unwrap();
        assert_eq!(k.name(), name);
        let [y] = k.launch(&[&nine()]).run().unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0; 9]);
    }
}

#[rstest]
#[case::too_few(0)]
#[case::too_many(2)]
fn input_counts(#[case] n: usize) {
    let inputs = vec![nine(); n];
    assert_eq!(argument(copy().launch(&inputs).run::<1>()), "inputs");
}

#[test]
fn output_counts() {
    let (k, x) = (copy(), nine());
    assert_eq!(argument(k.launch(&[&x]).run::<2>()), "outputs");
    let two = k.launch(&[&x]).output(9, F32).output(9, F32).run::<1>();
    assert_eq!(argument(two), "output");
    let none: [&Array; 0] = [];
    let unknown = MetalKernel::new("u", Vec::<String>::new(), ["out"])
        .source("out[0] = 1;")
        .build()
        .unwrap();
    assert_eq!(argument(unknown.launch(&none).run::<1>()), "output");
}

#[rstest]
#[case::zero((0, 1, 1))]
#[case::negative((9, -1, 1))]
#[case::huge((1i64 << 31, 1, 1))]
fn grids(#[case] grid: (i64, i64, i64)) {
    assert_eq!(
        argument(copy().launch(&[&nine()]).grid(grid).run::<1>()),
        "grid"
    );
}

#[rstest]
#[case::zero((0, 1, 1))]
#[case::negative((1, -4, 1))]
#[case::over_1024((1025, 1, 1))]
#[case::product((32, 32, 2))]
#[case::overflow((1 << 20, 1 << 20, 1 << 20))]
fn threadgroups(#[case] threadgroup: (i64, i64, i64)) {
    let run = copy()
        .launch(&[&nine()])
        .threadgroup(threadgroup)
        .run::<1>();
    assert_eq!(argument(run), "threadgroup");
}

#[test]
fn template_names_and_values() {
    let (k, x) = (copy(), nine());
    let run = |name: &str, value: zmlx::TemplateArg| {
        argument(k.launch(&[&x]).template(name, value).run::<1>())
    };
    assert_eq!(run("a b", 1.into()), "template");
    assert_eq!(run("x", 1.into()), "template");
    assert_eq!(run("int", 1.into()), "template");
    assert_eq!(run("N", (-1).into()), "template");
    let twice = k.launch(&[&x]).template("N", 1).template("N", 2).run::<1>();
    assert_eq!(argument(twice), "template");
}

#[test]
fn dtypes_that_metal_lacks() {
    let x = Array::from_slice(&[1.0f64; 9], 9).unwrap();
    let k = copy();
    for e in [
        k.launch(&[&x]).run::<1>().unwrap_err(),
        k.launch(&[&nine()]).output(9, F64).run::<1>().unwrap_err(),
        k.launch(&[&nine()])
            .template("T", F64)
            .run::<1>()
            .unwrap_err(),
    ] {
        assert!(matches!(e, Error::Dtype { .. }), "{e}");
    }
}

#[test]
fn shapes() {
    let (k, x) = (copy(), nine());
    for shape in [
        vec![-1i64, 4],
        vec![1 << 40],
        vec![1 << 30, 1 << 30, 1 << 30],
    ] {
        let e = k.launch(&[&x]).output(&shape, F32).run::<1>().unwrap_err();
        assert!(matches!(e, Error::Shape { .. }), "{shape:?}: {e}");
    }
}

#[test]
fn a_kernel_that_does_not_compile_shows_its_line() {
    let k = MetalKernel::new("scale", ["x", "k"], ["out"])
        .source("uint i = thread_position_in_grid.x;\nout[i] = T(float(x[i]) * q);")
        .build()
        .unwrap();
    let x = Array::from_slice(&[1.0f32; 32], (8, 4)).unwrap();
    // In the words of the host's compiler; tests/cuda.rs has those of NVIDIA's.
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
    assert!(at.file().ends_with("kernel_errors.rs"));
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

/// The host engine's: on a GPU such a kernel may hang. Threads that have returned are not waited for.
#[rstest]
#[case::branches(
    "if (t < 4) {\n threadgroup_barrier(mem_flags::mem_threadgroup);\n } else {\n threadgroup_barrier(mem_flags::mem_threadgroup); }",
    Some("some at source line 3 and some at source line 5")
)]
#[case::simdgroups(
    "if (t < 32) threadgroup_barrier(mem_flags::mem_none);\n s[t] = t;\n sync_all();",
    Some("some at source line 2 and some at header line 2")
)]
#[case::uneven_rounds(
    "for (uint i = t; i < 100; i += 64) threadgroup_barrier(mem_flags::mem_none);\n sync_all();",
    Some("source line 2 and some at header line 2")
)]
#[case::in_step(
    "for (uint i = 0; i < 5; ++i) { s[t] = i; sync_all(); } sync_all();",
    None
)]
#[case::returned(
    "if (t > 40) return; sync_all(); if (t > 10) { return; } sync_all();",
    None
)]
fn a_divergent_barrier_is_an_error(#[case] body: &str, #[case] message: Option<&str>) {
    let k = MetalKernel::new("divergent", ["x"], ["out"])
        .header("inline void sync_all() {\n  threadgroup_barrier(mem_flags::mem_threadgroup); }\n")
        .source(format!(
            "threadgroup uint s[64]; uint t = thread_position_in_threadgroup.x; s[t] = 0; out[t] = x[0];\n{body}"
        ))
        .build()
        .unwrap();
    let launch = || {
        k.launch(&[&nine()])
            .output(64, F32)
            .grid(64)
            .threadgroup(64)
            .run()
            .unwrap()
    };
    let [y] = with_device(Device::CPU, launch);
    match (y.to_vec::<f32>(), message) {
        (Ok(values), None) => assert_eq!(values, [1.0; 64]),
        (Err(e), Some(message)) => {
            assert!(
                matches!(&e, Error::Launch { kernel, .. } if kernel == "divergent"),
                "{e}"
            );
            assert!(e.to_string().contains(message), "{e}");
        }
        (result, _) => panic!("{result:?}"),
    }
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

#[test]
fn an_endless_kernel_ends_in_an_error() {
    let k = MetalKernel::new("endless", ["x"], ["out"])
        .source("int n = 0; while (true) { if (x[0] == 2) break; ++n; } out[0] = n;")
        .build()
        .unwrap();
    // The limit is read when the process first needs it.
    let child = std::env::var_os("ZMLX_KERNEL_TIMEOUT");
    if child.is_none() {
        let test = "an_endless_kernel_ends_in_an_error";
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env("ZMLX_KERNEL_TIMEOUT", "1")
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(run.status.success() && out.contains("1 passed"), "{out}");
        return;
    }
    let stuck = MetalKernel::new("endless", ["x"], ["out"])
        .header("#define UNTIL(c) while (!(c))\n#define AGAIN do { ++n; UNTIL(x[0] == 2); } while (true)\n")
        .source("int n = 0; if (x[1] == 1) AGAIN; out[0] = n;")
        .build()
        .unwrap();
    for k in [k, stuck] {
        // Time is up on the host engine only; a GPU would hang.
        let launch = || k.launch(&[&nine()]).output(1, F32).grid(1).run().unwrap();
        let [y] = with_device(Device::CPU, launch);
        let e = y.eval().unwrap_err();
        assert!(
            matches!(&e, Error::Launch { kernel, .. } if kernel == "endless"),
            "{e}"
        );
    }
    // The stream works on.
    let [y] = copy().launch(&[&nine()]).run().unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), [1.0; 9]);
}

/// Sizes come as any integer that they have in the program; what no `int` holds is refused.
#[test]
fn template_arguments_of_any_integer() {
    let kernel = MetalKernel::new("filled", ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = x[i] + N;")
        .build()
        .unwrap();
    let x = nine();
    let run = |n: zmlx::TemplateArg| -> Result<Vec<f32>> {
        let [y] = kernel.launch(&[&x]).template("N", n).run()?;
        y.to_vec::<f32>()
    };
    for n in [
        3usize.into(),
        3u32.into(),
        3i64.into(),
        3u64.into(),
        3u8.into(),
        3i8.into(),
        3u16.into(),
        3i16.into(),
        3isize.into(),
        3.into(),
    ] {
        assert_eq!(run(n).unwrap(), [4.0; 9]);
    }
    assert_eq!(argument(run(usize::MAX.into())), "template");
    assert_eq!(argument(run((1u32 << 31).into())), "template");
    let text = run((-(1i64 << 40)).into()).unwrap_err().to_string();
    assert!(text.contains("-1099511627776"), "{text}");
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

#[test]
fn float64_arrays_are_told_how_to_become_float32() {
    let x = with_device(Device::CPU, || nine().astype(Dtype::Float64)).unwrap();
    let text = copy().launch(&[&x]).run::<1>().unwrap_err().to_string();
    assert!(
        text.contains("float64") && text.contains("astype(F32)"),
        "{text}"
    );
}

/// A raw kernel has no derivative: the error names it, and what to do.
#[test]
fn kernels_have_no_derivative() {
    let kernel = copy();
    let f = |x: &Array| -> Result<Array> {
        let [y] = kernel.launch(&[x]).run()?;
        y.sum(..)
    };
    let errors = [
        zmlx::grad(f)(&nine()).unwrap_err(),
        zmlx::jvp(|p: &[Array]| Ok(vec![f(&p[0])?]), [&nine()], [nine()]).unwrap_err(),
    ];
    for error in errors {
        let text = error.to_string();
        for part in ["kernel `copy`", "nary_from_expr", "stop_gradient"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(matches!(error, Error::Argument { .. }), "{error:?}");
    }
}
