//! What users get wrong, as they would write it: the error stands at their line and says what was expected, and what came.
//! No function of the library may lose the place on its way through closures and tables of functions.

mod common;

use zmlx::prelude::*;
use zmlx::testing;
use zmlx::{
    ArrayMap, Error, FrozenMap, Result, Worker, checkpoint, compile, custom_function,
    export_function, fast, import_function, io, jvp, keepdims, kernels, linalg, ops, profile,
    value_and_grad, value_and_grad_of, vjp, vmap, with_device,
};

type Wrong = (&'static str, &'static [&'static str], fn() -> Result<()>);

fn x() -> Array {
    Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], (2, 3)).unwrap()
}

fn ints() -> Array {
    Array::from_slice(&[1i32, 2, 3], 3).unwrap()
}

fn copy() -> MetalKernel {
    let source = "uint i = thread_position_in_grid.x; out[i] = x[i];";
    MetalKernel::new("copy_of_places", ["x"], ["out"])
        .source(source)
        .build()
        .unwrap()
}

/// Runs each and collects what is wrong with its message.
fn check(table: &[Wrong]) {
    let mut bad = String::new();
    for (name, words, f) in table {
        let Err(error) = f() else {
            bad += &format!("\n{name}: no error");
            continue;
        };
        let text = error.to_string();
        println!("{name}: {text}"); // `--nocapture` lets people read them all
        if !text.contains(concat!(file!(), ":"))
            || error.site().is_none_or(|at| at.file() != file!())
        {
            bad += &format!("\n{name}: its place is elsewhere: {text}");
        }
        if format!("{error:?}") != text {
            bad += &format!("\n{name}: Debug says something else: {error:?}");
        }
        for word in words.iter().filter(|w| !text.contains(**w)) {
            bad += &format!("\n{name}: without {word:?}: {text}");
        }
    }
    assert!(bad.is_empty(), "{bad}");
}

macro_rules! wrong {
    ($($name:literal [$($word:literal),*] $body:expr;)*) => {
        &[$(($name, &[$($word),*], || { let _ = $body?; Ok(()) })),*]
    };
}

#[test]
fn arrays_and_operations() {
    check(wrong! {
        "from_slice" ["6", "[2, 2]"] Array::from_slice(&[0.0f32; 6], (2, 2));
        "from_bytes" [] Array::from_bytes(&[0; 3], 1, F32);
        "shape too large" ["dimension 1", "4294967296"] Array::zeros((2, 4294967296u64), F32);
        "shape negative" ["dimension 0", "-3"] Array::zeros((-3, 2), F32);
        "shape in a vector" ["-1"] Array::zeros(vec![-1], F32);
        "dim" ["5"] x().dim(5);
        "item" [] x().item::<f32>();
        "to_vec" ["float32", "int32"] x().to_vec::<i32>();
        "as_slice" ["float32"] x().as_slice::<u8>().map(<[u8]>::to_vec);
        "freeze, as_slice" [] x().freeze()?.as_slice::<i32>().map(<[i32]>::to_vec);
        "operator" [] &x() + &Array::zeros((5, 5), F32)?;
        "operator, owned" [] x() * Array::zeros((5, 5), F32)?;
        "operator, chained" [] (&x() + 1.0) * &Array::zeros((5, 5), F32)?;
        "operator, number" ["300", "uint8"] &Array::zeros(2, U8)? + 300i64;
        "bits" ["float32"] &x() & &x();
        "shift" [] &x() << 1;
        "add" [] x().add(&Array::zeros(7, F32)?);
        "matmul" [] x().matmul(&x());
        "sum" ["3"] x().sum(3);
        "sum, keepdims" [] x().sum(keepdims([0, 5]));
        "softmax" [] x().softmax(7);
        "argmax" ["one axis"] x().argmax((0, 1));
        "cumsum" [] x().cumsum(9);
        "sort" [] x().sort(9);
        "reshape" ["6", "(4,4)"] x().reshape((4, 4));
        "transpose" [] x().transpose([0, 0]);
        "squeeze" [] x().squeeze(0);
        "broadcast_to" [] x().broadcast_to((2, 4));
        "split" [] x().split(5, 1);
        "concatenate" [] ops::concatenate([x(), ints()], 0);
        "concatenate nothing" ["No arrays"] ops::concatenate(Vec::<Array>::new(), 0);
        "stack" ["[2, 3]", "[3]"] ops::stack([x(), ints()], 0);
        "einsum" [] ops::einsum("ij,jk->ik", [x(), x()]);
        "take" ["9"] x().take(&Array::from(9), 1);
        "take by floats" [] x().take(&x(), 0);
        "index" [] x().index((0, 0, 0));
        "conv1d" [] x().conv1d(&x(), ops::Conv::new());
        "quantize" [] x().quantize(ops::Quantization::default());
        "quantized_matmul" [] x().quantized_matmul(&Array::ones((32, 64), F32)?.quantize(ops::Quantization::default())?, true);
        "arange" [] Array::arange((0, 10, 0));
        "linspace" [] Array::linspace(0.0..=1.0, -1, F32);
        "eye" [] Array::eye(-1, 2, 0, F32);
        "full" [] Array::full((2, 2), Array::zeros(3, F32)?, F32);
        "tril" [] Array::from(1.0).tril(0);
        "diagonal" [] x().diagonal(0, 0, 0);
        "tensordot" [] x().tensordot(&x(), 1);
        "addmm" [] x().addmm(&x(), &x(), 1.0, 1.0);
        "slice" [] x().slice([0], [1, 2], [1]);
        "gather" [] x().gather([&x()], [0], [1, 1]);
        "take_along_axis" [] x().take_along_axis(&ints(), 1);
        "put_along_axis" [] x().put_along_axis(&ints(), 1.0, 1);
        "pad" [] x().pad([(1, 1)], ops::PadMode::Edge);
        "on_axes" ["7"] x().pad(ops::on_axes(7, 1), ops::PadMode::Edge);
        "pad_with" ["[2, 3]"] x().pad_with(1, x());
        "arange_as" ["300", "uint8"] Array::arange_as(0..301, U8);
        "trace_as" [] x().trace_as(0, 0, 0, F32);
        "einsum_path" ["2 arrays"] ops::einsum_path("ij,jk->ik", [x()]);
        "at" ["2"] x().at(2).set(0.0);
        "at, by an array" ["9"] x().at((.., &Array::from(9))).add(0.0);
        "at, a value" [] x().at(0).subtract(&Array::zeros(7, F32)?);
        "iter" ["[]"] Array::from(1.0).iter().next().unwrap_or_else(|| x().abs());
        "term" [] (x().term() * 2.0 + &Array::zeros(7, F32)?).get();
        "glu" ["7"] x().glu(7);
        "hard_swish" ["complex64"] Array::from(zmlx::num_complex::Complex32::I).hard_swish();
        "vmap1" [] vmap1(|x| Ok(x.clone()))(&Array::from(1.0));
        "roll" [] x().roll([1, 2, 3], [0]);
        "tile" ["-2"] x().tile((-2, 1));
        "view" [] Array::zeros((2, 3), U8)?.view(F32);
        "where_" [] ops::where_(&Array::zeros(5, BOOL)?, x(), 0.0);
        "clip" [] x().clip(&Array::zeros(7, F32)?..=&Array::zeros(7, F32)?);
        "unstack" [] x().unstack(4);
        "diff" [] x().diff(-1, 0);
        "searchsorted" [] x().searchsorted(&x(), false);
        "inv" ["[2, 3]"] linalg::inv(&x());
        "rms_norm" [] fast::rms_norm(&x(), Some(&Array::ones(5, F32)?), 1e-5);
        "rope" [] fast::rope(&ints(), 2).call();
        "attention" [] fast::scaled_dot_product_attention(&x(), &x(), &x(), 1.0).call();
        "randint" [] random::randint(0, 9, (-2, 2));
        "split key" [] random::split(&x());
        "bernoulli" [] random::with_key(&x()).bernoulli(0.5, 2);
    });
}

#[test]
fn files() {
    check(wrong! {
        "load_npy" ["/nonexistent/x.npy"] io::load_npy("/nonexistent/x.npy");
        "load_safetensors" ["/nonexistent/x"] io::load_safetensors("/nonexistent/x");
        "load_gguf" ["/nonexistent/x"] io::load_gguf("/nonexistent/x");
        "save_npy" ["/nonexistent/x.npy"] io::save_npy("/nonexistent/x.npy", &x());
        "save_safetensors" ["/nonexistent"] io::save_safetensors("/nonexistent/x", &ArrayMap::default());
        "save_gguf" ["/nonexistent"] io::save_gguf("/nonexistent/x", &io::Gguf::default());
        "load a folder" ["/"] io::load_npy("/");
        "npy_from_bytes" [] io::npy_from_bytes(b"\x93NUMPY\x01\0\x02\0{}");
        "npy_from_bytes, short" [] io::npy_from_bytes(b"\x93NU");
        "safetensors_from_bytes" [] io::safetensors_from_bytes(b"\x02\0\0\0\0\0\0\0{]");
        "safetensors_from_bytes, short" [] io::safetensors_from_bytes(b"\x02\0");
        "safetensors float64" ["`w`", "float64"] io::safetensors_to_bytes(&[("w".to_owned(), with_device(Device::CPU, || Array::zeros(1, F64))?)].into_iter().collect());
        "ArrayMap::get" ["`bias`", "`weight`"] [("weight".to_owned(), x())].into_iter().collect::<ArrayMap>().get("bias").cloned();
        "FrozenMap::get" ["`bias`"] FrozenMap::default().get("bias").cloned();
        "import_function" ["/nonexistent"] import_function("/nonexistent/f.mlxfn").map(drop);
        "load_npz" ["/nonexistent/x.npz"] io::load_npz("/nonexistent/x.npz");
        "save_npz" ["/nonexistent"] io::save_npz("/nonexistent/x.npz", &io::Npz::default());
        "npz, a name twice" ["`w`"] io::npz_to_bytes(&[("w".to_owned(), x()), ("w".to_owned(), x())].into_iter().collect());
        "npz_from_bytes" [] io::npz_from_bytes(b"PK");
        "Npz::get" ["`w`"] io::Npz::default().get("w").cloned();
        "safetensors_from_owned" [] io::safetensors_from_owned(b"\x02\0".to_vec());
        "exporter" ["/nonexistent"] zmlx::exporter("/nonexistent/f.mlxfn", |p: &[Array], _: &zmlx::Keywords| Ok(p.to_vec()), false).map(drop);
        "exporter without a trace" ["at least one trace"] zmlx::exporter(std::env::temp_dir().join("f.mlxfn"), |p: &[Array], _: &zmlx::Keywords| Ok(p.to_vec()), false)?.finish();
        "export_function" ["/nonexistent"] export_function("/nonexistent/f.mlxfn", |p| Ok(p.to_vec()), [x()], false);
    });
}

#[test]
fn transforms() {
    check(wrong! {
        "grad of a vector" ["[2, 3]", ".sum(..)"] grad(|x: &Array| x.square())(&x());

        "grad of a method" [] grad(Array::square)(&x());
        "an error inside" [] grad(|x: &Array| x.sum(9))(&x());
        "value_and_grad" [] value_and_grad(|x: &Array| x.square())(&x());
        "value_and_grad_of, number" ["`argnums`", "3"] value_and_grad_of(|p| Ok(vec![p[0].sum(..)?]), &[3], [x()]);
        "value_and_grad_of, nothing" ["none"] value_and_grad_of(|_| Ok(vec![]), &[0], [x()]);
        "vjp, count" [] vjp(|p| Ok(p.to_vec()), [x()], [x(), x()]);
        "vjp, shape" [] vjp(|p| Ok(p.to_vec()), [x()], [ints()]);
        "jvp, count" [] jvp(|p| Ok(p.to_vec()), [x()], [x(), x()]);
        "jvp, shape" ["[2, 3]", "[3]"] jvp(|p| Ok(p.to_vec()), [x()], [ints()]);
        "vmap, none" [] vmap(|p| Ok(p.to_vec())).call(Vec::<Array>::new());
        "vmap, sizes" [] vmap(|p| Ok(p.to_vec())).call([x(), ints()]);
        "vmap, axis" ["5"] vmap(|p| Ok(p.to_vec())).in_axes([Some(5)]).call([x()]);
        "vmap, out axis" ["7"] vmap(|p| Ok(p.to_vec())).out_axes([Some(7)]).call([x()]);
        "custom vjp, count" [] vjp(|p| custom_function(|p: &[Array]| Ok(p.to_vec())).with_vjp(|_, _, _| Ok(vec![])).call(p), [x()], [x()]);
        "custom vjp, shape" ["[2, 3]", "[3]"] vjp(|p| custom_function(|p: &[Array]| Ok(p.to_vec())).with_vjp(|_, _, _| Ok(vec![ints()])).call(p), [x()], [x()]);
        "custom jvp, count" [] jvp(|p| custom_function(|p: &[Array]| Ok(p.to_vec())).with_jvp(|_, _, _| Ok(vec![])).call(p), [x()], [x()]);
        "custom call1" ["one output", "2"] custom_function(|p: &[Array]| Ok(vec![p[0].clone(), p[0].clone()])).call1(&x());
        "compile" [] compile(|p: &[Array]| Ok(vec![p[0].sum(9)?]))?.call([x()]);
        "checkpoint" [] checkpoint(|p: &[Array]| Ok(vec![p[0].sum(9)?]))?(&[x()]);
        "a method inside checkpoint" [] checkpoint(|p: &[Array]| p.iter().map(Array::inv_of_places).collect())?(&[x()]);
    });
}

/// A method given as a function loses its caller.
trait Places {
    fn inv_of_places(&self) -> Result<Array>;
}

impl Places for Array {
    fn inv_of_places(&self) -> Result<Array> {
        linalg::inv(self)
    }
}

#[test]
fn kernels_and_toolkit() {
    check(wrong! {
        "no source" ["`source`"] MetalKernel::new("k", ["x"], ["out"]).build();
        "no array" ["1", "x", "0"] copy().launch(&[] as &[Array]).run::<1>();
        "two arrays" ["2"] copy().launch(&[x(), x()]).run::<1>();
        "outputs" [] copy().launch(&[x()]).run::<2>();
        "grid" [] copy().launch(&[x()]).grid(-1).run::<1>();
        "text that does not compile" ["nothing_of_that_name"] MetalKernel::new("k", ["x"], ["out"]).source("out[0] = nothing_of_that_name;").build()?.launch(&[x()]).run::<1>();
        "a kernel under grad" [] grad(|x: &Array| { let [y] = copy().launch(&[x]).run()?; y.sum(..) })(&x());
        "unary, a name" ["`y`"] elementwise::unary("f", "x + y");
        "unary, by grad" [] elementwise::unary("f", "x * x")?.call(&Array::zeros(3, C64)?);
        "map, count" [] elementwise::map("f", ["a", "b"], "a + b")?.call(&[x()]);
        "binary, shapes" [] elementwise::binary("f", "a + b")?.call(&x(), &Array::zeros((5, 5), F32)?);
        "reduce" [] api::reduce("f").update("acc + v").build()?.call(&Array::from(1.0));
        "softmax of a scalar" [] kernels::softmax::softmax_lastdim(&Array::from(1.0));
        "softmax of integers" ["int32"] kernels::softmax::softmax_lastdim(&ints());
        "rmsnorm, weight" [] kernels::norms::rmsnorm(&x(), &Array::ones(7, F32)?).call();
        "rmsnorm under grad" [] grad(|x: &Array| kernels::norms::rmsnorm(x, &Array::ones(7, F32)?).call()?.sum(..))(&x());
        "swiglu" ["3"] kernels::transformer::swiglu(&x());
        "dropout" ["1.5"] kernels::transformer::dropout(&x(), 1.5, 0);
        "cross entropy" [] kernels::loss::softmax_cross_entropy(&x(), &x()).call();
        "rope" [] kernels::rope::apply_rope(&x(), &x(), &x());
        "cumsum" [] kernels::scan::cumsum_lastdim(&Array::from(1.0));
        "a vector from the catalog under grad" [] grad(|x: &Array| kernels::activations::gelu_tanh(x))(&x());
        "a catalog function under grad" [] grad(kernels::softmax::softmax_lastdim)(&x());
        "assert_matches" ["3"] testing::assert_matches(|x: &Array| x + 1.0, |x: &Array| x + 3.0, testing::shapes([(4,)]));
        "assert_matches, failing" [] testing::assert_matches(|x: &Array| x.sum(9), |x: &Array| x.sum(0), testing::shapes([(4,)]));
        "nary" [] autograd::nary_from_expr("f", ["x"], ["y"]).build();
        "autotune, no candidates" [] zmlx::autotune::Autotune::new(&copy()).threadgroups(Vec::<i64>::new()).build().map(drop);
        "tuned times" [] zmlx::autotune::Cache::at("/dev/null/x").save();
        "dump" [] profile::dump(copy().launch(&[x()]), "/dev/null/x").map(drop);
    });
}

#[test]
fn workers() {
    check(wrong! {
        "an error in a job" [] Worker::spawn(|| Ok(()))?.run(|_| x().sum(9)?.item::<f32>()).wait();
        "an error at the start" [] Worker::spawn(|| x().sum(9).map(drop)).map(drop);
        "a worker that has ended" [] { let w = Worker::spawn(|| Ok(()))?; w.close(); w.run(|_| Ok(1)).wait() };
    });
}

/// Numbers of any type take the dtype of the array.
#[test]
fn numbers() -> Result<()> {
    // Where float64 is.
    with_device(Device::CPU, numbers_of_every_type)
}

fn numbers_of_every_type() -> Result<()> {
    for dtype in [F16, BF16, F32, F64] {
        let x = Array::ones(2, dtype)?;
        for y in [
            (&x * 2.0)?,
            (&x * 2.0f64)?,
            (&x * 2.0f32)?,
            (&x * 2usize)?,
            (&x * 2u32)?,
            (&x * 2i64)?,
            (&x * 2u64)?,
            (&x * 2u8)?,
            (&x * half::f16::from_f32(2.0))?,
            (&x * half::bf16::from_f32(2.0))?,
            (2.0 * &x)?,
            (2 * &x)?,
            x.add(1.0f64)?,
            x.maximum(2usize)?,
        ] {
            assert_eq!(y.dtype(), dtype);
            assert_eq!(y.astype(F32)?.to_vec::<f32>()?, [2.0, 2.0]);
        }
    }
    // A float64 array takes all of the number's digits.
    assert_eq!((Array::ones(1, F64)? * 0.1)?.item::<f64>()?, 0.1);
    // Whole numbers keep integers, floats make float32.
    let n = Array::from_slice(&[7u64], 1)?;
    assert_eq!((&n + u64::MAX / 2)?.item::<u64>()?, u64::MAX / 2 + 7);
    assert_eq!((&ints() + 1i64)?.dtype(), I32);
    assert_eq!((&ints() * 0.5f64)?.dtype(), F32);
    assert_eq!((&Array::from(true) + 1usize)?.dtype(), I32);
    assert_eq!((&Array::from(true) + (1i64 << 40))?.dtype(), I64);
    for error in [
        (&ints() + (1i64 << 40)).err(),
        (&Array::zeros(1, U8)? + -1i64).err(),
        (&Array::zeros(1, I8)? + 128usize).err(),
    ] {
        assert!(matches!(error, Some(Error::Argument { .. })), "{error:?}");
    }
    Ok(())
}
