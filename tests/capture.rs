//! Captured launches: what `MetalKernel::capture` writes, `Capture` reads and runs.

use std::fs;
use std::path::{Path, PathBuf};

use rstest::rstest;
use zmlx::MetalKernel;
use zmlx::metal::capture::Capture;
use zmlx::prelude::*;

/// The folders below `dir`, in order.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    folders.sort();
    folders
}

/// Runs a captured launch again and compares.
#[track_caller]
fn replay(folder: &Path) {
    let capture = Capture::read(folder).unwrap();
    let outputs = capture.launch(&capture.inputs().unwrap()).unwrap();
    let comparison = capture.compare(&outputs).unwrap();
    assert!(comparison.is_ok() && comparison.compared > 0, "{folder:?}");
}

/// Two outputs, every kind of template argument, an initial value, and inputs of all classes: a scalar, a
/// small one, a strided one and one that begins within its storage.
fn capture_one(dir: &Path, contiguous: bool) -> Vec<Vec<f32>> {
    let kernel = MetalKernel::new("captured", ["a", "s", "v"], ["sum", "half_of"])
        .header("template <typename U> inline U twice(U v) { return v + v; }\n")
        .source(
            "uint i = thread_position_in_grid.x;
             auto at = elem_to_loc(i, a_shape, a_strides, a_ndim);
             if (EVEN && i % 2 != 0) return;
             sum[i] = a[at] * N + s + v[i % 3];
             half_of[i] = U(twice(a[at]));",
        )
        .ensure_row_contiguous(contiguous)
        .build()
        .unwrap()
        .capture(dir);
    let data: Vec<f32> = (0..48).map(|i| i as f32).collect();
    let base = Array::from_slice(&data, (4, 12)).unwrap();
    let a = base.transpose(..).unwrap();
    let v = Array::from_slice(&[0.25f32, 0.5, 0.75], 3).unwrap();
    let s = Array::from(100.0f32);
    let outputs = kernel
        .launch(&[&a, &s, &v])
        .template("U", F16)
        .template("N", 3)
        .template("EVEN", true)
        .output((12, 4), F32)
        .output(48, F16)
        .init_value(-1.0)
        .grid(48)
        .threadgroup(32)
        .run_vec()
        .unwrap();
    let first = outputs[0].to_vec::<f32>().unwrap();
    let second = outputs[1].to_vec::<half::f16>().unwrap();
    vec![first, second.into_iter().map(half::f16::to_f32).collect()]
}

#[rstest]
fn a_captured_launch_runs_again(#[values(true, false)] contiguous: bool) {
    let dir = tempfile::tempdir().unwrap();
    let values = capture_one(dir.path(), contiguous);
    capture_one(dir.path(), contiguous);
    let folders = folders(dir.path());
    assert_eq!(folders.len(), 2, "each launch has a folder of its own");
    for (i, &sum) in values[0].iter().enumerate() {
        let a = (i % 4 * 12 + i / 4) as f32;
        let want = match i % 2 {
            0 => a * 3.0 + 100.0 + (i % 3 + 1) as f32 * 0.25,
            _ => -1.0,
        };
        assert_eq!(sum, want, "element {i}");
    }
    for folder in &folders {
        let capture = Capture::read(folder).unwrap();
        assert_eq!(capture.kernel().name(), "captured");
        assert_eq!(capture.kernel().input_names(), ["a", "s", "v"]);
        let expected = capture.expected();
        assert_eq!(expected[0].shape, [12, 4]);
        assert_eq!(expected[1].dtype, F16);
        let bytes: Vec<u8> = values[0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(expected[0].bytes.as_deref(), Some(&bytes[..]));
        let inputs = capture.inputs().unwrap();
        assert_eq!(inputs[0].shape(), [12, 4]);
        assert!(!inputs[0].is_row_contiguous(), "strides are kept");
        replay(folder);
    }
}

#[test]
fn other_results_are_found() {
    let dir = tempfile::tempdir().unwrap();
    capture_one(dir.path(), true);
    let folder = &folders(dir.path())[0];
    let out = folder.join("out_0.bin");
    let mut bytes = fs::read(&out).unwrap();
    bytes[8..12].copy_from_slice(&7.0f32.to_le_bytes());
    fs::write(&out, bytes).unwrap();
    let capture = Capture::read(folder).unwrap();
    let outputs = capture.launch(&capture.inputs().unwrap()).unwrap();
    let comparison = capture.compare(&outputs).unwrap();
    assert!(!comparison.is_ok());
    assert_eq!(comparison.mismatches, 1);
    let first = comparison.first.unwrap();
    assert_eq!((first.output.as_str(), first.index), ("sum", 2));
}

/// Every damage is an error that names the file, and never a panic.
#[rstest]
#[case::no_meta("meta.json", None)]
#[case::no_json("meta.json", Some("{ \"kernel_name\": "))]
#[case::empty("meta.json", Some("{}"))]
#[case::other_json("meta.json", Some("[1, 2]"))]
#[case::no_input("in_1.bin", None)]
#[case::no_output("out_1.bin", None)]
#[case::short_output("out_0.bin", Some("abc"))]
#[case::short_input("in_0.bin", Some("abcd"))]
#[case::short_scalar("in_1.bin", Some("ab"))]
fn damaged_folders_are_refused(#[case] file: &str, #[case] text: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    capture_one(dir.path(), true);
    let folder = &folders(dir.path())[0];
    match text {
        Some(text) => fs::write(folder.join(file), text).unwrap(),
        None => fs::remove_file(folder.join(file)).unwrap(),
    }
    let result = Capture::read(folder).and_then(|c| c.inputs());
    let error = result.map(drop).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
}

/// Fields that are there but make no sense.
#[rstest]
#[case("\"int\"", "\"integer\"")]
#[case("\"float32\"", "\"float31\"")]
#[case("\"safe\"", "\"careless\"")]
#[case("\"grid\": [\n    48,", "\"grid\": [\n    \"48\",")]
#[case("\"threadgroup\": [\n    32,", "\"threadgroup\": [\n    32, 1,")]
#[case("\"shape\": [\n        48", "\"shape\": [\n        -48")]
#[case("\"source\": \"", "\"sauce\": \"")]
fn nonsense_in_meta_is_refused(#[case] from: &str, #[case] to: &str) {
    let dir = tempfile::tempdir().unwrap();
    capture_one(dir.path(), true);
    let folder = &folders(dir.path())[0];
    let meta = folder.join("meta.json");
    let text = fs::read_to_string(&meta).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&meta, text.replacen(from, to, 1)).unwrap();
    let error = Capture::read(folder).map(drop).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("meta.json"), "{error}");
}

#[test]
fn no_folder_can_be_made() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let kernel = MetalKernel::new("copy", ["x"], ["out"])
        .source("out[thread_position_in_grid.x] = x[thread_position_in_grid.x];")
        .build()
        .unwrap()
        .capture(file.path());
    let x = Array::from_slice(&[1.0f32], 1).unwrap();
    let error = kernel.launch(&[&x]).run::<1>().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
}
