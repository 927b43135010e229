//! Arguments of kernels and launches that make no sense.

use super::*;

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
