//! Values: broadcasting, dtypes, strides, texts and closures.

use super::*;

#[rstest]
// all alike, rows, columns, numbers, both at once, and what needs strides
#[case([vec![5, 33], vec![5, 33], vec![5, 33]])]
#[case([vec![5, 33], vec![33], vec![]])]
#[case([vec![5, 33], vec![5, 1], vec![1]])]
#[case([vec![5, 1], vec![33], vec![1, 1]])]
#[case([vec![2, 3, 4, 5], vec![3, 1, 5], vec![2, 1, 4, 1]])]
#[case([vec![4, 1, 5], vec![1, 3, 1], vec![2, 1, 1, 1]])]
#[case([vec![], vec![], vec![]])]
#[case([vec![1], vec![], vec![1, 1]])]
#[case([vec![2, 70_000], vec![2, 1], vec![70_000]])]
#[case([vec![3, 1], vec![3, 1], vec![3, 5]])]
fn broadcasting(#[case] shapes: [Vec<usize>; 3], #[values(F32, F16, BF16)] dtype: Dtype) {
    on_worker(move || {
        let mut rng = Rng::new();
        let inputs: Vec<Array> = shapes
            .iter()
            .map(|s| normal(&mut rng, s).astype(dtype).unwrap())
            .collect();
        let exact = f64_of(&inputs);
        let (op, tol) = (op(), tolerance(dtype));
        let y = op.call(&inputs).unwrap();
        assert_eq!(y.dtype(), dtype);
        check(&y, &exactly(|| op64(&exact).unwrap()), tol, "value");

        let c = normal(
            &mut rng,
            &y.shape().iter().map(|&d| d as usize).collect::<Vec<_>>(),
        );
        let c = c.astype(dtype).unwrap();
        let nums = [0, 1, 2];
        let loss = |p: &[Array]| Ok(vec![(op.call(p)? * &c)?.astype(F32)?.sum(..)?]);
        let (_, got) = value_and_grad_of(loss, &nums, &inputs).unwrap();
        let (_, want) = exactly(|| {
            let c64 = c.astype(F64).unwrap();
            let loss = |p: &[Array]| Ok(vec![(op64(p)? * &c64)?.sum(..)?]);
            value_and_grad_of(loss, &nums, &exact).unwrap()
        });
        // Sums of up to 70,000 products.
        let wide = tol * if y.size() > 1000 { 300.0 } else { 10.0 };
        for (i, (g, w)) in got.iter().zip(&want).enumerate() {
            assert_eq!(g.dtype(), dtype);
            check(g, w, wide, &format!("gradient {i}"));
        }

        let tangents: Vec<Array> = inputs.iter().map(|a| (a * 0.5).unwrap()).collect();
        let (_, got) = jvp(|p| Ok(vec![op.call(p)?]), &inputs, &tangents).unwrap();
        let tangents = f64_of(&tangents);
        let (_, want) = exactly(|| jvp(|p| Ok(vec![op64(p)?]), &exact, tangents).unwrap());
        check(&got[0], &want[0], 4.0 * tol, "tangent");
    });
}

#[test]
fn dtypes_mix() {
    on_worker(|| {
        let mut rng = Rng::new();
        let a = normal(&mut rng, &[4, 33]).astype(BF16).unwrap();
        let b = Array::from_slice(&(0..33).collect::<Vec<i32>>(), 33).unwrap();
        let op = elementwise::binary("mix", "a * b").unwrap();
        let y = op.call(&a, &b).unwrap();
        assert_eq!(y.dtype(), BF16);
        let want = exactly(|| (a.astype(F64).unwrap() * b.astype(F64).unwrap()).unwrap());
        check(&y, &want, 8e-3, "bf16 * int");
        let y = op.clone().output_dtype(F32).unwrap().call(&a, &b).unwrap();
        assert_eq!(y.dtype(), F32);
        check(&y, &want, 1e-6, "as float32");
        // The gradient of an integer is there, of its dtype.
        let (_, g) =
            value_and_grad_of(|p| Ok(vec![op.call(&p[0], &b)?.sum(..)?]), &[0], [&a]).unwrap();
        assert_eq!(g[0].dtype(), BF16);
        let flag = op.output_dtype(BOOL).unwrap().call(&a, 0.0).unwrap();
        assert_eq!(flag.dtype(), BOOL);
    });
}

#[test]
fn integers() {
    on_worker(|| {
        let values = [0i32, 1, -7, 16_777_217, i32::MAX - 3];
        let x = Array::from_slice(&values, 5).unwrap();
        let op = elementwise::unary("int", "(x ^ 5) + 3").unwrap();
        let op = op.compute_dtype(I32).unwrap();
        let want: Vec<i32> = values.iter().map(|v| (v ^ 5).wrapping_add(3)).collect();
        assert_eq!(op.call(&x).unwrap().to_vec::<i32>().unwrap(), want);
        let halves = elementwise::unary("halves", "x * 2.0f").unwrap();
        let halves = halves.compute_dtype(F16).unwrap();
        assert_eq!(
            halves.call(&1.25.into()).unwrap().item::<f32>().unwrap(),
            2.5
        );
    });
}

#[test]
fn strided_empty_and_further_names() {
    on_worker(|| {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[6, 7, 8]);
        let t = x.transpose([2, 0, 1]).unwrap();
        let silu = elementwise::unary("silu", "x * kk_sigmoid(x)").unwrap();
        let want = (&t * t.sigmoid()).unwrap();
        check(&silu.call(&t).unwrap(), &want, 1e-6, "transposed");
        let every = x.slice([0, 0, 0], [6, 7, 8], [2, 1, 3]).unwrap();
        let want = (&every * every.sigmoid()).unwrap();
        check(&silu.call(&every).unwrap(), &want, 1e-6, "sliced");
        for shape in [vec![0], vec![3, 0], vec![0, 5]] {
            let empty = Array::zeros(&shape, F32).unwrap();
            assert_eq!(silu.call(&empty).unwrap().shape(), shape);
            let g = grad(|x| silu.call(x)?.sum(..))(&empty).unwrap();
            assert_eq!(g.shape(), shape);
        }
        let add = elementwise::binary("add", "a + b").unwrap();
        let y = add.call(
            &Array::zeros((3, 0), F32).unwrap(),
            Array::ones((3, 1), F32).unwrap(),
        );
        assert_eq!(y.unwrap().shape(), [3, 0]);

        let n = elementwise::unary("n", "x + elem").unwrap();
        let y = n.call(&Array::zeros((2, 3), F32).unwrap()).unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        // In a broadcast call, too.
        let n = elementwise::binary("n2", "a * 0.0f + b * 0.0f + elem").unwrap();
        let y = n.call(
            &Array::zeros((2, 1), F32).unwrap(),
            Array::zeros(3, F32).unwrap(),
        );
        assert_eq!(
            y.unwrap().to_vec::<f32>().unwrap(),
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        );
        // `x` is `a`.
        let op = elementwise::binary("alias", "x - b").unwrap();
        assert_eq!(
            op.call(&5.0.into(), 2.0).unwrap().item::<f32>().unwrap(),
            3.0
        );
    });
}

#[test]
fn closures_and_text_agree() {
    on_worker(|| {
        let x = normal(&mut Rng::new(), &[100]);
        let text = elementwise::unary("mish", "x * tanh(kk_softplus(x))").unwrap();
        let traced = elementwise::unary("mish", |x: Expr| &x * x.softplus().tanh()).unwrap();
        let (a, b) = (text.call(&x).unwrap(), traced.call(&x).unwrap());
        assert!(a.array_equal(&b, false).unwrap().item::<bool>().unwrap());
        let two = elementwise::binary("b", |a: Expr, b: Expr| a.max(b)).unwrap();
        assert_eq!(
            two.call(&1.0.into(), 2.0).unwrap().item::<f32>().unwrap(),
            2.0
        );
    });
}

/// Integers stay integers where nobody asked for another arithmetic and the expression gives integers.
#[test]
fn integers_are_exact() {
    on_worker(|| -> Result<()> {
        let i32s = Array::from_slice(&[16_777_217i32, i32::MAX - 10, -16_777_219, 0], 4)?;
        let plus = elementwise::unary("plus", "x + 1")?;
        let want = [16_777_218, i32::MAX - 9, -16_777_218, 1];
        assert_eq!(plus.call(&i32s)?.to_vec::<i32>()?, want);
        let by_closure = elementwise::unary("by_closure", |x: Expr| x + 1.0)?;
        assert_eq!(by_closure.call(&i32s)?.to_vec::<i32>()?, want);
        let y = autograd::unary_from_expr("pass", "x + 1")
            .vjp("g")
            .build()?
            .call(&i32s)?;
        assert_eq!(y.to_vec::<i32>()?, want);
        let y = api::elementwise("max(x, 0) - 1.0f").build()?.call(&i32s)?;
        assert_eq!(y.to_vec::<i32>()?, [16_777_216, i32::MAX - 11, -1, -1]);
        let y = elementwise::unary("halves", "x / 2")?.call(&i32s)?;
        assert_eq!(
            y.to_vec::<i32>()?,
            [8_388_608, 1_073_741_818, -8_388_609, 0]
        );

        let big = (1i64 << 53) + 1;
        let i64s = Array::from_slice(&[big, -big, i64::MAX - 1], 3)?;
        assert_eq!(
            plus.call(&i64s)?.to_vec::<i64>()?,
            [big + 1, 1 - big, i64::MAX]
        );
        let abs = elementwise::unary("size", "abs(x) > 5 ? abs(x) : clamp(x, -1, 1)")?;
        assert_eq!(abs.call(&i64s)?.to_vec::<i64>()?, [big, big, i64::MAX - 1]);

        let u32s = Array::from_slice(&[0u32, u32::MAX], 2)?;
        let less = elementwise::unary("less", "x - 1 < 0 ? 7 : x - 1")?;
        assert_eq!(less.call(&u32s)?.to_vec::<u32>()?, [7, u32::MAX - 1]);
        let u64s = Array::from_slice(&[u64::MAX - 1, 3], 2)?;
        assert_eq!(plus.call(&u64s)?.to_vec::<u64>()?, [u64::MAX, 4]);

        // Results of floats do not overflow on the way.
        let square = elementwise::unary("square", "x * x")?.output_dtype(F32)?;
        let y = square.call(&Array::from_slice(&[100_000i32], 1)?)?;
        assert_eq!(y.item::<f32>()?, 1e10);
        let mixed = elementwise::map("mixed_integers", ["a", "b"], "a * 2 - b")?;
        let a = Array::from_slice(&[16_777_217i32], 1)?;
        let b = Array::from_slice(&[1i64 << 40], 1)?;
        assert_eq!(mixed.call(&[&a, &b])?.item::<i32>()?, 33_554_434);
        // Fractions and functions of floats are computed as before.
        let y = elementwise::unary("half", "x * 0.5f")?.call(&Array::from_slice(&[3i32], 1)?)?;
        assert_eq!(y.item::<i32>()?, 1);
        let y =
            elementwise::unary("numbered", "x - elem")?.call(&Array::from_slice(&[0i32, 0], 2)?)?;
        assert_eq!(y.to_vec::<i32>()?, [0, -1]);
        Ok(())
    })
    .unwrap();
}
