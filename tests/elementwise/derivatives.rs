//! Derivatives of elementwise operations.

use super::*;

#[test]
fn one_gradient_of_several() {
    on_worker(|| {
        let mut rng = Rng::new();
        let inputs = [
            normal(&mut rng, &[4, 5]),
            normal(&mut rng, &[5]),
            normal(&mut rng, &[]),
        ];
        let op = op();
        let loss = |p: &[Array]| Ok(vec![op.call(p)?.sum(..)?]);
        let (_, got) = value_and_grad_of(loss, &[1], &inputs).unwrap();
        let loss = |p: &[Array]| Ok(vec![op64(p)?.sum(..)?]);
        let exact = f64_of(&inputs);
        let (_, want) = exactly(|| value_and_grad_of(loss, &[1], exact).unwrap());
        check(&got[0], &want[0], 1e-5, "gradient");
        let (_, t) = jvp(
            |p| Ok(vec![op.call(&[&inputs[0], &p[0], &inputs[2]])?]),
            [&inputs[1]],
            [&inputs[1]],
        )
        .unwrap();
        assert_eq!(t[0].shape(), [4, 5]);
    });
}

/// Functions whose every derivative is smooth, with MLX's own.
#[rstest]
#[case("x * kk_sigmoid(x)", |x: &Array| x * x.sigmoid())]
#[case("exp(-x * x) * sin(x)", |x: &Array| x.square()?.negative()?.exp()? * x.sin()?)]
#[case("log(1.0f + x * x) / (2.0f + cos(x))", |x: &Array| {
    (x.square()? + 1.0)?.log()? / (x.cos()? + 2.0)?
})]
fn three_derivatives(#[case] text: &str, #[case] f: fn(&Array) -> Result<Array>) {
    let text = text.to_owned();
    on_worker(move || {
        let x = normal(&mut Rng::new(), &[50]);
        let x64 = exactly(|| x.astype(F64).unwrap());
        let op = elementwise::unary("f", &text).unwrap();
        let one = |x: &Array| grad(|x| op.call(x)?.sum(..))(x);
        let two = |x: &Array| grad(|x| one(x)?.sum(..))(x);
        let three = grad(|x: &Array| two(x)?.sum(..))(&x).unwrap();
        let want1 = |x: &Array| grad(|x| f(x)?.sum(..))(x);
        let want2 = |x: &Array| grad(|x| want1(x)?.sum(..))(x);
        let [first, second, third] = exactly(|| {
            let want3 = grad(|x: &Array| want2(x)?.sum(..));
            [want1(&x64), want2(&x64), want3(&x64)].map(Result::unwrap)
        });
        check(&one(&x).unwrap(), &first, 1e-5, "first");
        check(&two(&x).unwrap(), &second, 2e-5, "second");
        check(&three, &third, 1e-4, "third");
        // Forward over backward.
        let ones = Array::ones(50, F32).unwrap();
        let (_, t) = jvp(|p| Ok(vec![one(&p[0])?]), [&x], [&ones]).unwrap();
        check(&t[0], &second, 2e-5, "forward over backward");
    });
}
