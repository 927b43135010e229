//! Bits, exactly.

use zmlx::kernels::bits::{pack_bits, unpack_bits};
use zmlx::prelude::*;
use zmlx::{Result, vjp, vmap};

use crate::common::{Rng, exactly, on_worker};

/// The bytes, by shifts.
fn packed(set: &[bool]) -> Vec<u8> {
    let byte = |c: &[bool]| {
        c.iter()
            .enumerate()
            .fold(0, |b, (i, &v)| b | u8::from(v) << i)
    };
    set.chunks(8).map(byte).collect()
}

#[test]
fn there_and_back() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for bytes in [0usize, 1, 2, 5, 33, 1000, 100_003] {
            let set: Vec<bool> = (0..8 * bytes).map(|_| rng.below(2) == 1).collect();
            let x = Array::from_slice(&set, set.len() as i32)?;
            let want = packed(&set);
            for dtype in [BOOL, U8, I8, U16, I16, U32, I32, U64, I64, F32, F16, BF16] {
                let got = pack_bits(&x.astype(dtype)?)?;
                assert_eq!((got.dtype(), got.shape()), (U8, &[bytes as i32][..]));
                assert_eq!(got.to_vec::<u8>()?, want, "{bytes} bytes of {dtype}");
            }
            let flat = unpack_bits(&pack_bits(&x)?).call()?;
            let back: Vec<bool> = flat.to_vec::<u8>()?.into_iter().map(|v| v == 1).collect();
            assert_eq!(back, set);
            assert!(flat.to_vec::<u8>()?.into_iter().all(|v| v < 2));
            let shape = [2, 4, bytes as i32];
            assert_eq!(
                unpack_bits(&pack_bits(&x)?)
                    .original_shape(shape)
                    .call()?
                    .shape(),
                shape
            );
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_zero() {
    on_worker(|| -> Result<()> {
        let tiny = f32::from_bits(1);
        let x = [
            0.0f32,
            -0.0,
            tiny,
            -tiny,
            f32::NAN,
            f32::INFINITY,
            256.0,
            0.5,
        ];
        assert_eq!(
            pack_bits(&Array::from_slice(&x, 8)?)?.to_vec::<u8>()?,
            [0b1111_1100]
        );
        let x = [0i64, 1 << 32, 256, i64::MIN, -1, 0, 1 << 8, 1];
        assert_eq!(
            pack_bits(&Array::from_slice(&x, 8)?)?.to_vec::<u8>()?,
            [0b1101_1110]
        );
        // Views are taken in row-major order.
        let x = Array::from_slice(&[1, 0, 0, 0, 1, 1, 0, 0], (4, 2))?.transpose(..)?;
        assert_eq!(pack_bits(&x)?.to_vec::<u8>()?, [0b0100_0101]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_refused() {
    on_worker(|| -> Result<()> {
        let seven = Array::ones(7, U8)?;
        let e = pack_bits(&seven).unwrap_err();
        assert!(
            matches!(e, Error::Shape { .. }) && e.to_string().contains("`x`"),
            "{e}"
        );
        let e = unpack_bits(&seven).original_shape(55).call().unwrap_err();
        assert!(matches!(e, Error::Shape { .. }), "{e}");
        assert!(unpack_bits(&seven).original_shape((-1, 7)).call().is_err());
        let e = unpack_bits(&Array::ones(8, I32)?).call().unwrap_err();
        assert!(matches!(e, Error::Dtype { .. }), "{e}");
        exactly(|| {
            assert!(matches!(
                pack_bits(&Array::ones(8, F64).unwrap()),
                Err(Error::Dtype { .. })
            ))
        });
        let f = |p: &[Array]| Ok(vec![pack_bits(&p[0])?.astype(F32)?]);
        let x = Array::ones(16, F32)?;
        let e = vjp(f, [&x], [&Array::ones(2, F32)?]).unwrap_err();
        assert!(
            matches!(e, Error::Argument { .. }) && e.to_string().contains("pack_bits"),
            "{e}"
        );
        Ok(())
    })
    .unwrap();
}

#[test]
fn mapped_axes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let set: Vec<u8> = (0..3 * 16).map(|_| rng.below(2) as u8).collect();
        let x = Array::from_slice(&set, (3, 16))?;
        let y = vmap(|p: &[Array]| Ok(vec![pack_bits(&p[0])?])).call([&x])?;
        assert_eq!(y[0].shape(), [3, 2]);
        assert_eq!(y[0].to_vec::<u8>()?, pack_bits(&x)?.to_vec::<u8>()?);
        let z = vmap(|p: &[Array]| Ok(vec![unpack_bits(&p[0]).call()?])).call([&y[0]])?;
        assert_eq!(z[0].to_vec::<u8>()?, set);
        Ok(())
    })
    .unwrap();
}
