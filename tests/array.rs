//! The array type: construction, metadata, reading back, errors.

use zmlx::{Array, Dtype, Error};

#[test]
fn round_trip() {
    let x = Array::from_slice(&[1i32, 2, 3, 4, 5, 6], (2, 3)).unwrap();
    assert_eq!(x.shape(), [2, 3]);
    assert_eq!(x.dtype(), Dtype::Int32);
    let t = x.transpose(..).unwrap();
    assert_eq!(t.to_vec::<i32>().unwrap(), [1, 4, 2, 5, 3, 6]);
    assert!(matches!(t.as_slice::<i32>(), Err(Error::NotReady { .. })));
    assert!(matches!(x.as_slice::<f32>(), Err(Error::Dtype { .. })));
    let y = (&x * 2 + &x).unwrap();
    assert_eq!(y.to_vec::<i32>().unwrap(), [3, 6, 9, 12, 15, 18]);
    let k: Array = 3.0.into();
    assert_eq!(k.dtype(), Dtype::Float32);
    let e = x
        .add(Array::from_slice(&[1i32, 2], 2).unwrap())
        .unwrap_err();
    assert!(matches!(e, Error::Shape { .. }), "{e}");
    assert!(e.to_string().contains("tests/array.rs"), "{e}");
}
