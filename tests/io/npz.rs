//! NumPy's format for several arrays.

use std::fs;
use std::io::{Cursor, Write};
use std::process::Command;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};
use zmlx::io::{self, Npz};
use zmlx::{Array, Dtype, Error};

use crate::common::{exactly, on_worker};
use crate::{files_in, folder, raw, samples};

fn content() -> Npz {
    let mut all: Vec<_> = samples().into_iter().enumerate().collect();
    // In no alphabetical order.
    all.reverse();
    let named = all.into_iter().map(|(i, a)| (format!("layer/{i}.é"), a));
    named.collect()
}

fn same(got: &Npz, want: &Npz) {
    let names = |npz: &Npz| {
        npz.arrays
            .iter()
            .map(|(n, _)| n.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(got), names(want));
    for ((name, a), (_, b)) in got.arrays.iter().zip(&want.arrays) {
        assert_eq!((a.shape(), a.dtype()), (b.shape(), b.dtype()), "{name}");
        assert_eq!(raw(a), raw(b), "{name}");
    }
}

#[test]
fn round_trips() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("a.arrays");
        let content = content();
        io::save_npz(&path, &content).unwrap();
        assert_eq!(files_in(dir.path()), 1);
        same(&io::load_npz(&path).unwrap(), &content);
        assert_eq!(
            fs::read(&path).unwrap(),
            io::npz_to_bytes(&content).unwrap()
        );
        same(
            &io::npz_from_bytes(&fs::read(&path).unwrap()).unwrap(),
            &content,
        );
        io::save_npz_compressed(&path, &content).unwrap();
        same(&io::load_npz(&path).unwrap(), &content);

        let none = Npz::default();
        io::save_npz(&path, &none).unwrap();
        assert!(io::load_npz(&path).unwrap().arrays.is_empty());
        let zeros = Npz::unnamed([Array::zeros(1 << 18, Dtype::Float32).unwrap()]);
        io::save_npz_compressed(&path, &zeros).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 1 << 12);
        let back = io::load_npz(&path).unwrap();
        same(&back, &zeros);
        assert_eq!(back.arrays[0].0, "arr_0");
        assert!(back.get("arr_0").is_ok());
        let e = back.get("arr_1").unwrap_err().to_string();
        assert!(e.contains("arr_0") && e.contains("arr_1"), "{e}");
        exactly(|| {
            let double = Npz::unnamed([Array::from_slice(&[0.1f64], 1).unwrap()]);
            same(
                &io::npz_from_bytes(&io::npz_to_bytes(&double).unwrap()).unwrap(),
                &double,
            );
        });
    });
}

/// Files that NumPy wrote (`reference_npz.py`).
#[test]
fn files_of_numpy() {
    on_worker(|| {
        let files: [&[u8]; 2] = [
            include_bytes!("reference.npz"),
            include_bytes!("reference_compressed.npz"),
        ];
        for file in files {
            let npz = io::npz_from_bytes(file).unwrap();
            let names: Vec<&str> = npz.arrays.iter().map(|(n, _)| n.as_str()).collect();
            let want = [
                "z",
                "columns",
                "swapped",
                "flag",
                "layer/0.weight",
                "é",
                "empty",
                "many",
                "arr_0",
            ];
            assert_eq!(names, want);
            let get = |name: &str| npz.get(name).unwrap();
            assert_eq!(get("z").shape(), [2, 3]);
            assert_eq!(
                get("z").to_vec::<f32>().unwrap(),
                [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
            );
            assert_eq!(get("columns").shape(), [2, 3]);
            assert_eq!(get("columns").to_vec::<i32>().unwrap(), [0, 1, 2, 3, 4, 5]);
            assert_eq!(get("swapped").to_vec::<i16>().unwrap(), [1, -2, 300]);
            assert_eq!(get("flag").to_vec::<bool>().unwrap(), [true, false, true]);
            let weight = get("layer/0.weight")
                .to_vec::<num_complex::Complex32>()
                .unwrap();
            assert_eq!(weight, [num_complex::Complex32::new(1.0, 2.0)]);
            assert_eq!(get("é").item::<u64>().unwrap(), (1 << 63) + 1);
            assert_eq!(
                (get("empty").shape(), get("empty").dtype()),
                (&[0, 4][..], Dtype::Float16)
            );
            let many: Vec<i64> = (0..500).map(|i| i % 100).collect();
            assert_eq!(get("many").to_vec::<i64>().unwrap(), many);
            assert_eq!(get("arr_0").item::<f32>().unwrap(), 1.5);
        }
    });
}

/// NumPy reads what is written here, where there is NumPy.
#[test]
fn numpy_reads_ours() {
    on_worker(|| {
        let numpy = Command::new("python3")
            .args(["-c", "import numpy"])
            .output();
        if !numpy.is_ok_and(|o| o.status.success()) {
            println!("SKIPPED: python3 has no numpy here");
            return;
        }
        let dir = folder();
        let content = Npz::from_iter([
            (
                "b".to_owned(),
                Array::from_slice(&[1.5f32, -2.0, 3.0, 4.0], (2, 2)).unwrap(),
            ),
            ("a/é".to_owned(), Array::from_slice(&[7i64, -8], 2).unwrap()),
        ]);
        let (plain, small) = (dir.path().join("plain.npz"), dir.path().join("small.npz"));
        io::save_npz(&plain, &content).unwrap();
        io::save_npz_compressed(&small, &content).unwrap();
        let script = "import numpy, sys\nfor f in sys.argv[1:]:\n  n = numpy.load(f)\n  print({k: n[k].tolist() for k in n.files})";
        let out = Command::new("python3")
            .args(["-c", script])
            .args([plain, small])
            .output()
            .unwrap();
        let line = "{'b': [[1.5, -2.0], [3.0, 4.0]], 'a/é': [7, -8]}\n";
        assert_eq!(String::from_utf8_lossy(&out.stdout), line.repeat(2));
    });
}

/// A ZIP file with these members.
fn zip(members: &[(&str, &[u8])], how: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default().compression_method(how);
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn what_is_no_npz() {
    on_worker(|| {
        let array = io::npy_to_bytes(&Array::from_slice(&[1.0f32, 2.0], 2).unwrap()).unwrap();
        let stored = CompressionMethod::Stored;
        assert!(io::npz_from_bytes(&zip(&[("a.npy", &array)], stored)).is_ok());
        let short = &array[..array.len() - 1];
        for (bad, want) in [
            (zip(&[("a.txt", &array)], stored), "`a.txt` is no array"),
            (zip(&[("a", &array)], stored), "`a` is no array"),
            (zip(&[("folder/", &[])], stored), "is no array"),
            (
                zip(&[("a.npy", short)], stored),
                "`a`: its values are incomplete",
            ),
            (zip(&[("a.npy", b"hello")], stored), "`a`"),
            (zip(&[("a.npy", &[])], CompressionMethod::Deflated), "`a`"),
            (array.clone(), ""),
            (Vec::new(), ""),
        ] {
            let e = io::npz_from_bytes(&bad).unwrap_err();
            assert!(
                matches!(e, Error::Io { .. }) && e.to_string().contains(want),
                "{e}"
            );
        }
        // Two members of one name: the library that writes ZIP files refuses them, so the name is changed afterwards.
        let mut two = zip(&[("a.npy", &array), ("b.npy", &array)], stored);
        for at in 0..two.len() - 5 {
            if &two[at..at + 5] == b"b.npy" {
                two[at] = b'a';
            }
        }
        let e = io::npz_from_bytes(&two).unwrap_err();
        assert!(e.to_string().contains("one name"), "{e}");
        assert!(matches!(
            io::load_npz("/nonexistent/x.npz"),
            Err(Error::Io { .. })
        ));
        assert!(matches!(io::load_npz("/dev/null"), Err(Error::Io { .. })));
    });
}

/// Whatever byte is changed or missing, the answer is an error or an array, and where values changed an error.
#[test]
fn damaged_files() {
    on_worker(|| {
        let values: Vec<f32> = (0..40).map(|i| (i % 3) as f32).collect();
        let content = Npz::unnamed([Array::from_slice(&values, 40).unwrap(), 7i32.into()]);
        let dir = folder();
        let path = dir.path().join("a.npz");
        for save in [io::save_npz, io::save_npz_compressed] {
            save(&path, &content).unwrap();
            let whole = fs::read(&path).unwrap();
            for at in 0..whole.len() {
                for change in [1, 0x80, 0xFF] {
                    let mut bytes = whole.clone();
                    bytes[at] ^= change;
                    if let Ok(npz) = io::npz_from_bytes(&bytes) {
                        for (_, array) in &npz.arrays {
                            let sound = [raw(&content.arrays[0].1), raw(&content.arrays[1].1)];
                            assert!(sound.contains(&raw(array)), "byte {at} ^ {change}");
                        }
                    }
                }
                let e = io::npz_from_bytes(&whole[..at]).unwrap_err();
                assert!(matches!(e, Error::Io { .. }), "{at}: {e}");
            }
        }
    });
}

/// Sizes that a file of that length cannot hold are not asked of memory.
#[test]
fn sizes_are_bounded() {
    on_worker(|| {
        let array = io::npy_to_bytes(&Array::from_slice(&[1.0f32, 2.0], 2).unwrap()).unwrap();
        let mut file = zip(&[("a.npy", &array)], CompressionMethod::Deflated);
        // The directory's record: the unpacked size stands at 24.
        let record = file.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        file[record + 24..record + 28].copy_from_slice(&0xFFFF_FFF0u32.to_le_bytes());
        let e = io::npz_from_bytes(&file).unwrap_err();
        assert!(matches!(e, Error::Io { .. }), "{e}");
    });
}

#[test]
fn what_is_not_saved() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("a.npz");
        fs::write(&path, "old").unwrap();
        let one = || Array::from(1.0f32);
        let long = "x".repeat(65532);
        for names in [vec![""], vec!["a", "b", "a"], vec![long.as_str()]] {
            let content: Npz = names.iter().map(|n| ((*n).to_owned(), one())).collect();
            let e = io::save_npz(&path, &content).unwrap_err();
            assert!(matches!(e, Error::Argument { .. }), "{e}");
        }
        let fits: Npz = [(long[1..].to_owned(), one())].into_iter().collect();
        let bytes = io::npz_to_bytes(&fits).unwrap();
        assert_eq!(io::npz_from_bytes(&bytes).unwrap().arrays[0].0.len(), 65531);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(files_in(dir.path()), 1);
    });
}
