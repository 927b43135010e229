//! The crate `safetensors`, and files of the format that are in memory.

use half::{bf16, f16};
use num_complex::Complex32;
use safetensors::tensor::{Dtype as StDtype, TensorView};
use safetensors::{SafeTensors, serialize};
use zmlx::prelude::*;
use zmlx::{ArrayMap, io};

use crate::common::{exactly, on_worker};
use crate::{Counted, borrows, count};

fn samples() -> Vec<(String, Array)> {
    let named = [
        Array::from_vec(vec![true, false, true], 3),
        Array::from_vec(vec![1u8, 2], (2, 1)),
        Array::from_vec(vec![1u16, 65535], 2),
        Array::from_vec(vec![1u32, u32::MAX], 2),
        Array::from_vec(vec![1u64, u64::MAX], 2),
        Array::from_vec(vec![-1i8, 2], 2),
        Array::from_vec(vec![-1i16, 2], 2),
        Array::from_vec(vec![-1i32, 2, 3, 4, 5, 6], (1, 2, 3)),
        Array::from_vec(vec![-1i64, 2], 2),
        Array::from_vec(vec![f16::from_f32(0.1); 3], 3),
        Array::from_vec(vec![bf16::from_f32(0.1); 3], 3),
        Array::from_vec(vec![0.1f32, -7.0], 2),
        Array::from_vec(vec![Complex32::new(1.0, -2.0)], ()),
        Array::from_vec(Vec::<f32>::new(), (0, 3)),
    ];
    let named = named.into_iter().enumerate();
    named.map(|(i, a)| (format!("x{i}"), a.unwrap())).collect()
}

#[test]
fn views_both_ways() {
    on_worker(|| {
        let mut all = samples();
        all.push((
            "x64".into(),
            exactly(|| Array::from_vec(vec![0.1f64], 1)).unwrap(),
        ));
        let views = all.iter().map(|(name, a)| (name, a.tensor_view().unwrap()));
        let file = serialize(views, None).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        for (name, array) in &all {
            let view = array.tensor_view().unwrap();
            if array.size() > 0 {
                // No copy.
                let at = array.to_bytes().unwrap();
                assert_eq!(view.data(), at);
            }
            exactly(|| {
                let back = Array::try_from(tensors.tensor(name).unwrap()).unwrap();
                assert_eq!((back.shape(), back.dtype()), (array.shape(), array.dtype()));
                assert_eq!(back.to_bytes().unwrap(), array.to_bytes().unwrap());
            });
        }
        let x = Array::from_vec(vec![1.0f32; 6], (2, 3)).unwrap();
        let at = x.as_slice::<f32>().unwrap().as_ptr() as usize;
        assert_eq!(x.tensor_view().unwrap().data().as_ptr() as usize, at);
        // What was saved here is read there.
        let map: ArrayMap = samples().into_iter().collect();
        let file = io::safetensors_to_bytes(&map).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        assert_eq!(tensors.len(), map.arrays.len());
        for (name, view) in tensors.iter() {
            assert_eq!(view.data(), map.arrays[name].to_bytes().unwrap());
        }
    });
}

#[test]
fn what_views_refuse() {
    on_worker(|| {
        let x = Array::from_vec(vec![1.0f32; 6], (2, 3)).unwrap();
        let y = x.exp().unwrap();
        let e = y.tensor_view().unwrap_err();
        assert!(matches!(e, Error::NotReady { .. }), "{e}");
        let turned = x.transpose(..).unwrap();
        turned.eval().unwrap();
        let e = turned.tensor_view().unwrap_err();
        assert!(e.to_string().contains("strided"), "{e}");
        let float8 = TensorView::new(StDtype::F8_E4M3, vec![2], &[0x38, 0xB8]).unwrap();
        let bytes = Array::try_from(&float8).unwrap();
        assert_eq!(
            bytes.from_fp8(F32).unwrap().to_vec::<f32>().unwrap(),
            [1.0, -1.0]
        );
        let other = TensorView::new(StDtype::F8_E5M2, vec![2], &[0, 0]).unwrap();
        let e = Array::try_from(&other).unwrap_err();
        assert!(
            matches!(e, Error::Dtype { .. }) && e.to_string().contains("F8_E5M2"),
            "{e}"
        );
        let flags = TensorView::new(StDtype::BOOL, vec![3], &[0, 1, 7]).unwrap();
        let flags = Array::try_from(&flags).unwrap();
        assert_eq!(flags.to_vec::<bool>().unwrap(), [false, true, true]);
    });
}

#[test]
fn files_in_memory() {
    on_worker(|| {
        let mut map: ArrayMap = samples().into_iter().collect();
        map.metadata.insert("format".into(), "é".into());
        let file = io::safetensors_to_bytes(&map).unwrap();
        let (owner, dropped) = Counted::new(file);
        let within = owner.values.as_ptr_range();
        let back = io::safetensors_from_owned(owner).unwrap();
        assert_eq!(back.metadata, map.metadata);
        assert_eq!(back.arrays.len(), map.arrays.len());
        let mut borrowed = 0;
        for (name, array) in &back.arrays {
            let want = &map.arrays[name];
            assert_eq!((array.shape(), array.dtype()), (want.shape(), want.dtype()));
            assert_eq!(array.to_bytes().unwrap(), want.to_bytes().unwrap());
            if let Ok(view) = array.tensor_view() {
                borrowed += usize::from(within.contains(&view.data().as_ptr()));
            }
        }
        if borrows() {
            // The order in the file is MLX's, and behind three bytes other types lie at odd places. Those of one byte always stay.
            assert!(borrowed >= 3, "{borrowed}");
            assert_eq!(count(&dropped), 0);
        }
        drop(back);
        assert_eq!(count(&dropped), 1);
    });
}

/// A header by hand, and values behind it.
fn file(header: &str, values: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(values);
    file
}

#[test]
fn values_that_cannot_stay() {
    on_worker(|| {
        // An odd place, and a bool that is neither 0 nor 1.
        let header = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},"g":{"dtype":"F32","shape":[2],"data_offsets":[9,17]},"b":{"dtype":"BOOL","shape":[3],"data_offsets":[17,20]}}"#;
        let floats = [1.5f32, -2.0].map(f32::to_le_bytes).concat();
        let values = [&[9][..], &floats, &floats, &[0, 1, 200]].concat();
        let back = io::safetensors_from_owned(file(header, &values)).unwrap();
        assert_eq!(back.get("a").unwrap().to_vec::<u8>().unwrap(), [9]);
        for name in ["f", "g"] {
            assert_eq!(
                back.get(name).unwrap().to_vec::<f32>().unwrap(),
                [1.5, -2.0]
            );
        }
        assert_eq!(
            back.get("b").unwrap().to_vec::<bool>().unwrap(),
            [false, true, true]
        );
        for damaged in [file(header, &values[..19]), file("{]", &[]), vec![1, 2]] {
            let e = io::safetensors_from_owned(damaged).unwrap_err();
            assert!(matches!(e, Error::Io { .. }), "{e}");
        }
    });
}
