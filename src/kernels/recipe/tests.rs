//! What the recipe makes of texts that the catalog has no example of.

use std::slice::from_ref;

use super::Kernel;
use crate::kernels::catalog::{Input, Kind, input};
use crate::{Array, Device, Dtype, Error, Result, grad, random, with_device, worker};

fn on_worker(body: impl FnOnce() -> Result<()> + Send + 'static) {
    let pool = worker::shared().expect("threads");
    pool.run(|| with_device(Device::CPU, body)).wait().unwrap();
}

#[track_caller]
fn close(got: &Array, want: &Array) {
    assert_eq!(got.shape(), want.shape());
    let close = got.allclose(want, (1e-5, 1e-5)).unwrap();
    assert!(close.item::<bool>().unwrap(), "{got}, expected {want}");
}

const LABELLED: &[Input] = &[input("x", Kind::Rows), input("label", Kind::Targets)];

#[test]
fn several_results_of_rows_and_elements() {
    static KERNEL: Kernel = Kernel::new(
        "tests::centred",
        &[input("x", Kind::Rows)],
        &["scale"],
        "m = mean(x); d = x - m; d * scale, m, max(abs(d))",
        "(x - mean(x)) * scale, sum(x) / D, max(abs(x - mean(x)))",
    );
    on_worker(|| {
        let x = random::normal((3, 4, 50))?;
        let got: [Array; 3] = KERNEL.call(&[&x], &[3.0])?;
        for (got, want) in got.iter().zip(KERNEL.reference(from_ref(&x), &[3.0])?) {
            close(got, &want);
        }
        let loss =
            |all: &[Array]| (all[0].square()?.sum(..)? + (&all[1] * &all[2])?.sum(..)?)?.sum(..);
        let got = grad(|x| loss(&KERNEL.call::<3>(&[x], &[3.0])?))(&x)?;
        let want = grad(|x| loss(&KERNEL.reference(from_ref(x), &[3.0])?))(&x)?;
        close(&got, &want);
        assert_eq!(KERNEL.bytes(12, 50, 4), 4 * (2 * 12 * 50 + 2 * 12));
        // Of a number of results that is not the program's there are none.
        let error = KERNEL.call::<2>(&[&x], &[3.0]).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error}");
        Ok(())
    });
}

#[test]
fn values_at_targets() {
    static KERNEL: Kernel = Kernel::new(
        "tests::picked",
        LABELLED,
        &[],
        "log(sum(exp(x - at(x, label))))",
        "log(sum(exp(x))) - at(x, label)",
    );
    on_worker(|| {
        let x = random::normal((5, 7))?;
        let label = random::randint(0, 7, 5)?;
        close(
            &KERNEL.call1(&[&x, &label], &[])?,
            &KERNEL.reference(&[x.clone(), label.clone()], &[])?[0],
        );
        let got = grad(|x| KERNEL.call1(&[x, &label], &[])?.sum(..))(&x)?;
        let want = grad(|x| KERNEL.reference(&[x.clone(), label.clone()], &[])?[0].sum(..))(&x)?;
        close(&got, &want);

        let error = KERNEL
            .call1(&[&x, &label.astype(Dtype::Float32)?], &[])
            .unwrap_err();
        assert!(matches!(error, Error::Dtype { .. }), "{error}");
        let error = KERNEL
            .call1(&[&x, &label.expand_dims(0)?], &[])
            .unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
        Ok(())
    });
}

#[test]
fn wrong_programs() {
    on_worker(|| {
        for (program, part) in [
            ("x +", "expected a value"),
            ("sum(x, x)", "takes 1 argument"),
            ("y", "undeclared variable `y`"),
            ("x = 1; x", "has a meaning already"),
            ("at(x, x)", "expected an integer as the index"),
        ] {
            let kernel = Kernel::new("tests::wrong", LABELLED, &[], program, "x");
            let ones = Array::ones((2, 2), Dtype::Float32)?;
            let label = Array::zeros(2, Dtype::Int32)?;
            let error = kernel.call1(&[&ones, &label], &[]).unwrap_err().to_string();
            assert!(error.contains(part), "{program}: {error}");
        }
        Ok(())
    });
}
