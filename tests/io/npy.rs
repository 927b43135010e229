//! NumPy's format.

use std::fs;

use zmlx::io;
use zmlx::{Array, Error};

use crate::common::{exactly, on_worker};
use crate::{files_in, folder, raw, samples};

#[test]
fn npy() {
    on_worker(|| {
        let dir = folder();
        // Exactly this name, whatever its ending.
        let path = dir.path().join("a.array");
        let round_trip = |a: &Array| {
            io::save_npy(&path, a).unwrap();
            assert_eq!(files_in(dir.path()), 1);
            let bytes = io::npy_to_bytes(a).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            for b in [
                io::load_npy(&path).unwrap(),
                io::npy_from_bytes(&bytes).unwrap(),
            ] {
                assert_eq!((b.shape(), b.dtype()), (a.shape(), a.dtype()));
                assert_eq!(raw(&b), raw(a));
            }
        };
        samples().iter().for_each(round_trip);
        // Loading is an operation of the current device, and only the CPU has float64.
        exactly(|| round_trip(&Array::from_slice(&[1.0f64, 2.0], 2).unwrap()));
    });
}

#[test]
fn npy_of_numpy() {
    on_worker(|| {
        let file = |head: &str, data: &[u8]| {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((head.len() as u16).to_le_bytes());
            bytes.extend(head.as_bytes());
            bytes.extend(data);
            io::npy_from_bytes(&bytes)
        };
        let a = file(
            "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 2), }   \n",
            &[0, 1, 0, 2, 0, 3, 0, 4],
        );
        assert_eq!(a.unwrap().to_vec::<i16>().unwrap(), [1, 3, 2, 4]);
        let a = file(
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n",
            &[1, 2, 3],
        );
        assert_eq!(a.unwrap().to_vec::<u8>().unwrap(), [1, 2, 3]);
        for bad in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
            "{'descr': '|O8', 'fortran_order': False, 'shape': (1,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (+0,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 0), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2147483647, 2147483647, 2147483647), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': (9,)}",
            "{}",
            "",
        ] {
            let e = file(bad, &[0; 8]).unwrap_err();
            assert!(matches!(e, Error::Io { .. }), "{bad}: {e}");
        }
    });
}
