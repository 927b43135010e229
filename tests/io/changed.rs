//! Files that change between loading and reading, and bytes that are no bools.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rstest::rstest;
use zmlx::{Array, ArrayMap, Dtype, Error, export_function, import_function, io};

use crate::common::on_worker;
use crate::folder;

const N: usize = 100_000;

/// A map with one array of ones, loaded from `path`.
fn lazy(path: &Path, kind: &str) -> Array {
    let ones = Array::from_slice(&vec![1.0f32; N], N).unwrap();
    if kind == "npy" {
        io::save_npy(path, &ones).unwrap();
        return io::load_npy(path).unwrap();
    }
    let map: ArrayMap = [("a".to_owned(), ones)].into_iter().collect();
    io::save_safetensors(path, &map).unwrap();
    io::load_safetensors(path)
        .unwrap()
        .get("a")
        .unwrap()
        .clone()
}

fn writer(path: &Path) -> File {
    // File systems count time in steps of milliseconds: written to in the step of the load, a file looks the same.
    std::thread::sleep(Duration::from_millis(30));
    File::options().write(true).open(path).unwrap()
}

#[rstest]
#[case::cut(|path: &Path| writer(path).set_len(1000).unwrap())]
#[case::emptied(|path: &Path| writer(path).set_len(0).unwrap())]
#[case::cut_and_filled_with_zeros(|path: &Path| {
    let file = writer(path);
    let len = file.metadata().unwrap().len();
    file.set_len(1000).unwrap();
    file.set_len(len).unwrap();
})]
#[case::overwritten(|path: &Path| {
    let mut file = writer(path);
    file.seek(std::io::SeekFrom::End(-8)).unwrap();
    file.write_all(&[0; 8]).unwrap();
})]
#[case::written_anew(|path: &Path| {
    let len = fs::metadata(path).unwrap().len();
    writer(path);
    fs::write(path, vec![0; len as usize]).unwrap();
})]
fn a_file_that_is_written_to(#[case] change: fn(&Path)) {
    on_worker(move || {
        for kind in ["npy", "safetensors"] {
            let dir = folder();
            let path = dir.path().join("w");
            let a = lazy(&path, kind);
            change(&path);
            let e = a.to_vec::<f32>().unwrap_err();
            assert!(matches!(e, Error::Io { .. }), "{kind}: {e}");
            assert!(e.to_string().contains(&*path.to_string_lossy()), "{e}");
            assert!(a.to_vec::<f32>().is_err(), "{kind}: a second time");
        }
    });
}

/// The open file is what counts, not its name.
#[test]
fn a_file_that_is_renamed_replaced_or_deleted() {
    on_worker(|| {
        for kind in ["npy", "safetensors"] {
            for change in [
                |path: &Path| fs::remove_file(path).unwrap(),
                |path: &Path| fs::rename(path, path.with_extension("old")).unwrap(),
                |path: &Path| {
                    let other = path.with_extension("new");
                    fs::write(&other, "short").unwrap();
                    fs::rename(other, path).unwrap();
                },
            ] {
                let dir = folder();
                let path = dir.path().join("w");
                let a = lazy(&path, kind);
                change(&path);
                assert_eq!(a.to_vec::<f32>().unwrap(), vec![1.0; N], "{kind}");
            }
        }
    });
}

/// Values of many megabytes come in parts.
#[test]
fn large_values() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("w.npy");
        let values: Vec<u64> = (0..(80 << 17)).map(|i| i * 0x9E37_79B9).collect();
        io::save_npy(&path, &Array::from_slice(&values, values.len()).unwrap()).unwrap();
        assert!(io::load_npy(&path).unwrap().to_vec::<u64>().unwrap() == values);
    });
}

/// `[2, 0, 255, 1]` as bools are true, false, true, true, and count three, wherever they come from.
#[test]
fn each_byte_but_0_is_true() {
    const BYTES: [u8; 4] = [2, 0, 255, 1];
    on_worker(|| {
        let check = |what: &str, a: &Array| {
            assert_eq!(a.dtype(), Dtype::Bool, "{what}");
            assert_eq!(
                a.to_vec::<bool>().unwrap(),
                [true, false, true, true],
                "{what}"
            );
            assert_eq!(a.sum(..).unwrap().item::<i32>().unwrap(), 3, "{what}");
            let not = a.logical_not().unwrap();
            assert_eq!(
                not.to_vec::<bool>().unwrap(),
                [false, true, false, false],
                "{what}"
            );
            assert_eq!(
                a.freeze().unwrap().as_slice::<bool>().unwrap(),
                [true, false, true, true]
            );
            let bytes = a.view(Dtype::Uint8).unwrap();
            assert_eq!(bytes.to_vec::<u8>().unwrap(), [1, 0, 1, 1], "{what}");
        };
        let bytes = Array::from_slice(&BYTES, 4).unwrap();
        check("view", &bytes.view(Dtype::Bool).unwrap());
        let signed = bytes.view(Dtype::Int8).unwrap();
        check("view of int8", &signed.view(Dtype::Bool).unwrap());
        let wide = Array::from_slice(&[u32::from_le_bytes(BYTES)], 1).unwrap();
        check("view of uint32", &wide.view(Dtype::Bool).unwrap());
        check("bytes", &Array::from_bytes(&BYTES, 4, Dtype::Bool).unwrap());

        let head = "{'descr': '|b1', 'fortran_order': False, 'shape': (4,), }\n";
        let len = (head.len() as u16).to_le_bytes();
        let npy = [b"\x93NUMPY\x01\x00", &len[..], head.as_bytes(), &BYTES].concat();
        check("npy in memory", &io::npy_from_bytes(&npy).unwrap());
        let head = r#"{"a":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}"#;
        let len = (head.len() as u64).to_le_bytes();
        let tensors = [&len[..], head.as_bytes(), &BYTES].concat();
        let loaded = io::safetensors_from_bytes(&tensors).unwrap();
        check("safetensors in memory", loaded.get("a").unwrap());
        let dir = folder();
        let path = dir.path().join("b");
        fs::write(&path, npy).unwrap();
        check("npy", &io::load_npy(&path).unwrap());
        fs::write(&path, tensors).unwrap();
        check(
            "safetensors",
            io::load_safetensors(&path).unwrap().get("a").unwrap(),
        );
    });
}

/// Bools that an exported function captured, changed in the file.
#[test]
fn bools_of_imported_functions() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("f.mlxfn");
        let marks = [true, false, true, true, false, true, true, true];
        let flags = Array::from_slice(&marks, 8).unwrap();
        let f = |x: &[Array]| Ok(vec![flags.add(&x[0])?, flags.logical_not()?, flags.clone()]);
        let ones = Array::from_slice(&[1i32; 8], 8).unwrap();
        export_function(&path, f, [&ones], false).unwrap();
        let mut file = fs::read(&path).unwrap();
        let as_bytes = marks.map(u8::from);
        let at = file.windows(8).position(|w| w == as_bytes).unwrap();
        file[at] = 7;
        file[at + 3] = 255;
        fs::write(&path, file).unwrap();
        let f = import_function(&path).unwrap();
        // More than once, as what one call changes the next one meets.
        for _ in 0..3 {
            let out = f.call([&ones]).unwrap();
            let sums: Vec<i32> = marks.map(|m| i32::from(m) + 1).to_vec();
            assert_eq!(out[0].to_vec::<i32>().unwrap(), sums);
            assert_eq!(out[1].to_vec::<bool>().unwrap(), marks.map(|m| !m));
            assert_eq!(out[2].to_vec::<bool>().unwrap(), marks);
        }
    });
}

/// NumPy's big-endian complex numbers: each of the two numbers is turned around, not the pair.
#[test]
fn complex_numbers_of_another_order() {
    on_worker(|| {
        let numbers = [1.0f32, -2.0, 3.5, 0.25];
        for (shape, count) in [("(2,)", 2), ("()", 1)] {
            let head = format!("{{'descr': '>c8', 'fortran_order': False, 'shape': {shape}, }}\n");
            let len = (head.len() as u16).to_le_bytes();
            let data: Vec<u8> = numbers[..2 * count]
                .iter()
                .flat_map(|n| n.to_be_bytes())
                .collect();
            let npy = [b"\x93NUMPY\x01\x00", &len[..], head.as_bytes(), &data].concat();
            let a = io::npy_from_bytes(&npy).unwrap();
            assert_eq!(a.ndim(), usize::from(count == 2));
            let got = a.to_vec::<num_complex::Complex32>().unwrap();
            let want = numbers
                .chunks(2)
                .map(|n| num_complex::Complex32::new(n[0], n[1]));
            assert_eq!(got, want.take(count).collect::<Vec<_>>());
        }
    });
}

/// A clock that was set back changes nothing of a file that nobody writes to.
#[test]
fn old_files_are_read() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("w");
        lazy(&path, "npy");
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            io::load_npy(&path).unwrap().to_vec::<f32>().unwrap(),
            vec![1.0; N]
        );
    });
}
