//! Printing shows what is there and computes nothing.

mod common;

use common::on_worker;
use zmlx::prelude::*;
use zmlx::{ArrayMap, Device, async_eval, compile, linalg, random, with_device};

fn failing() -> Array {
    let singular = Array::from_slice(&[0.0f32; 4], (2, 2)).unwrap();
    with_device(Device::CPU, || linalg::inv(&singular)).unwrap()
}

fn forms(a: &Array) -> [String; 2] {
    [format!("{a}"), format!("{a:?}")]
}

#[test]
fn lazy_arrays_stay_lazy() {
    on_worker(|| {
        let y = (&random::normal((4, 8)).unwrap() + 1.0).unwrap();
        let [display, debug] = forms(&y);
        assert_eq!(display, "float32 array of shape [4, 8], not evaluated");
        assert_eq!(debug, "Array(float32, [4, 8], not evaluated)");
        assert!(!y.is_ready().unwrap());
        // Whatever holds arrays.
        let mut map = ArrayMap::default();
        map.arrays.insert("y".into(), y.clone());
        let all = format!("{map:?} {:?} {:#?}", [&y], Some((&y, 1)));
        assert_eq!(all.matches("not evaluated").count(), 3);
        assert!(!y.is_ready().unwrap());
        y.eval().unwrap();
        let [display, debug] = forms(&y);
        assert!(display.starts_with("array([["), "{display}");
        assert!(
            debug.starts_with("Array(float32, [4, 8], array([["),
            "{debug}"
        );
        assert_eq!(
            y.freeze().map(|f| format!("{f:?}")).unwrap(),
            "Frozen(float32, [4, 8])"
        );
    });
}

#[test]
fn a_failure_is_not_lost_by_printing() {
    on_worker(|| {
        let x = failing();
        let _ = forms(&x);
        assert!(x.eval().unwrap_err().to_string().contains("LU"));
        assert_eq!(forms(&x)[0], "float32 array of shape [2, 2], failed");
        assert_eq!(forms(&x)[1], "Array(float32, [2, 2], failed)");
        assert!(!x.is_ready().unwrap());
        // While it is under way, and after.
        let (x, fine) = (failing(), Array::from(3.0f32).square().unwrap());
        let handle = async_eval([&x, &fine]).unwrap();
        let _ = (forms(&x), forms(&fine));
        while !handle.is_done() {
            let _ = (forms(&x), forms(&fine));
        }
        assert_eq!(forms(&x)[1], "Array(float32, [2, 2], failed)");
        assert!(handle.wait().is_err());
        assert_eq!(
            forms(&fine)[1],
            "Array(float32, [], array(9, dtype=float32))"
        );
    });
}

#[test]
fn traced_arrays_say_so() {
    on_worker(|| {
        let f = compile(|p: &[Array]| {
            let [display, debug] = forms(&p[0]);
            assert_eq!(display, "float32 array of shape [2], traced");
            assert_eq!(debug, "Array(float32, [2], traced)");
            Ok(vec![p[0].exp()?])
        })
        .unwrap();
        f.call([&Array::ones(2, F32).unwrap()]).unwrap();
    });
}
