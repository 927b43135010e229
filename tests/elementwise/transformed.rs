//! Operations that are mapped, compiled, or called from several threads.

use super::*;

#[test]
fn mapped() {
    on_worker(|| {
        let mut rng = Rng::new();
        let a = normal(&mut rng, &[4, 3, 5]);
        let b = normal(&mut rng, &[5, 4]);
        let op = elementwise::binary("op", "a * b + a").unwrap();
        let want = |a: &Array, b: &Array| (a * b)? + a;
        // a by its first axis, b by its second.
        let got = vmap(|p: &[Array]| Ok(vec![op.call(&p[0], &p[1])?]))
            .in_axes([Some(0), Some(1)])
            .call([&a, &b])
            .unwrap();
        let expect = vmap(|p: &[Array]| Ok(vec![want(&p[0], &p[1])?]))
            .in_axes([Some(0), Some(1)])
            .call([&a, &b])
            .unwrap();
        check(&got[0], &expect[0], 1e-6, "two axes");
        // One not mapped; a gradient inside; the output's axis elsewhere.
        let slope = |p: &[Array]| {
            let g = grad(|a| op.call(a, &p[1])?.square()?.sum(..))(&p[0])?;
            Ok(vec![g])
        };
        let slope64 = |p: &[Array]| {
            let g = grad(|a| want(a, &p[1])?.square()?.sum(..))(&p[0])?;
            Ok(vec![g])
        };
        let w = normal(&mut rng, &[5]);
        let got = vmap(slope)
            .in_axes([Some(0), None])
            .out_axes([Some(1)])
            .call([&a, &w])
            .unwrap();
        let expect = vmap(slope64)
            .in_axes([Some(0), None])
            .out_axes([Some(1)])
            .call([&a, &w])
            .unwrap();
        check(&got[0], &expect[0], 1e-5, "gradient inside");
        // Nested, of a scalar function.
        let scalar = |p: &[Array]| Ok(vec![op.call(&p[0], &p[1])?]);
        let inner = |p: &[Array]| vmap(scalar).in_axes([Some(0), None]).call([&p[0], &p[1]]);
        let c = normal(&mut rng, &[6]);
        let d = normal(&mut rng, &[7]);
        let got = vmap(inner).in_axes([None, Some(0)]).call([&c, &d]).unwrap();
        let expect = want(&c, &d.reshape((7, 1)).unwrap()).unwrap();
        check(&got[0], &expect, 1e-6, "nested");
        // A gradient of what is mapped.
        let loss = |c: &Array| {
            vmap(inner).in_axes([None, Some(0)]).call([c, &d])?[0]
                .square()?
                .sum(..)
        };
        let got = grad(loss)(&c).unwrap();
        let expect = grad(|c| want(c, &d.reshape((7, 1))?)?.square()?.sum(..))(&c).unwrap();
        check(&got, &expect, 1e-5, "gradient outside");
    });
}

#[test]
fn compiled() {
    on_worker(|| {
        let x = normal(&mut Rng::new(), &[6, 20]);
        let w = normal(&mut Rng::new(), &[20]);
        let op = elementwise::binary("op", "a * kk_sigmoid(b)").unwrap();
        let plain = |p: &[Array]| -> Result<Vec<Array>> {
            let (op, w) = (op.clone(), p[1].clone());
            let g = grad(move |x| op.call(x, &w)?.square()?.sum(..))(&p[0])?;
            Ok(vec![(g + 1.0)?])
        };
        let want = plain(&[x.clone(), w.clone()]).unwrap();
        let op2 = op.clone();
        let f = compile(move |p: &[Array]| {
            let (op, w) = (op2.clone(), p[1].clone());
            let g = grad(move |x| op.call(x, &w)?.square()?.sum(..))(&p[0])?;
            Ok(vec![(g + 1.0)?])
        })
        .unwrap();
        for _ in 0..2 {
            check(&f.call([&x, &w]).unwrap()[0], &want[0], 1e-6, "compiled");
        }
    });
}

#[test]
fn from_threads() {
    let op = std::sync::Arc::new(elementwise::unary("shared", "x * x").unwrap());
    let threads: Vec<_> = (0..4)
        .map(|i| {
            let op = op.clone();
            std::thread::spawn(move || {
                let x: Array = (i as f32).into();
                op.call(&x).unwrap().item::<f32>().unwrap()
            })
        })
        .collect();
    for (i, t) in threads.into_iter().enumerate() {
        assert_eq!(t.join().unwrap(), (i * i) as f32);
    }
}

#[test]
fn a_new_shape_compiles_nothing() {
    on_worker(|| {
        let op = elementwise::binary("shapes", "a + b").unwrap();
        for n in [9, 100, 1001] {
            let x = Array::ones((3, n), F32).unwrap();
            let w = Array::ones(n, F32).unwrap();
            op.call(&x, &x).unwrap().eval().unwrap();
            op.call(&x, &w).unwrap().eval().unwrap();
        }
        assert_eq!(op.kernels().len(), 2);
    });
}
