//! What fails while work is handed over.

use super::*;

/// The devices that there are. A GPU's stream reads a file while work is handed over, a CPU's stream later.
fn devices() -> Vec<Device> {
    let all = [Device::CPU, Device::GPU];
    let there = all.into_iter().filter(|d| d.is_available().unwrap());
    there.collect()
}

/// Part of a file is gone after it was opened.
#[test]
fn a_file_cut_short() {
    on_worker(|| {
        let path =
            std::env::temp_dir().join(format!("zmlx-cut-{}.safetensors", std::process::id()));
        for device in devices() {
            with_device(device, || cut_short(&path));
        }
        let _ = std::fs::remove_file(path);
    });
}

fn cut_short(path: &std::path::Path) {
    let mut map = ArrayMap::default();
    for name in ["a", "b"] {
        map.arrays
            .insert(name.into(), Array::ones(100_000, F32).unwrap());
    }
    io::save_safetensors(path, &map).unwrap();
    let loaded = io::load_safetensors(path).unwrap();
    let size = std::fs::metadata(path).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(size - 200_000).unwrap();
    let sums: Vec<Array> = ["a", "b"]
        .iter()
        .map(|n| on_cpu(|| loaded.get(n).unwrap().sum(..)).unwrap())
        .collect();
    let handles: Vec<_> = sums.iter().map(|s| async_eval([s]).unwrap()).collect();
    for handle in handles {
        // What a changed file holds is nobody's to say, so that all of it is gone: at every read, and for what is
        // computed of it.
        let e = handle.wait().unwrap_err();
        assert!(matches!(e, Error::Io { .. }), "{e}");
    }
    for (name, sum) in ["a", "b"].iter().zip(&sums) {
        let whole = loaded.get(name).unwrap();
        for _ in 0..2 {
            assert!(whole.to_vec::<f32>().is_err());
            assert!(sum.item::<f32>().is_err());
        }
        assert!(!whole.is_ready().unwrap());
        assert!(!sum.is_ready().unwrap());
    }
}

/// Work that fails while it is handed over fails like any other: at its handle, and nothing else with it.
#[test]
fn what_fails_while_it_is_handed_over() {
    if zmlx::engine::info().cuda {
        // Memory that its allocator promises without having it may make the system end the process, and there files are
        // read by another thread.
        println!(
            "skipped: what_fails_while_it_is_handed_over: nothing fails at once with MLX's CUDA build"
        );
        return;
    }
    on_worker(|| {
        on_cpu(|| {
            // No machine has memory for it.
            let large = || {
                let all = Array::zeros((1 << 20, 1 << 20), F32).unwrap();
                all.contiguous().unwrap()
            };
            let is_it = |e: &Error| matches!(e, Error::Memory { .. });
            for _ in 0..5 {
                let big = large();
                let total = big.sum(..).unwrap();
                let beside = Array::from(3.0f32).square().unwrap();
                let first = async_eval([&total, &beside]).unwrap();
                assert!(first.is_done());
                let good = Array::from(2.0f32).square().unwrap();
                let second = async_eval([&good]).unwrap();
                second.wait().unwrap();
                assert_eq!(good.item::<f32>().unwrap(), 4.0);
                let e = first.wait().unwrap_err();
                assert!(is_it(&e), "{e}");
                assert!(!total.is_ready().unwrap());
                assert!(is_it(&total.eval().unwrap_err()));
                assert_eq!(beside.item::<f32>().unwrap(), 9.0);
                // A handle that nobody asks.
                drop(async_eval([&large()]).unwrap());
                let next = Array::from(4.0f32).square().unwrap();
                let e = next.eval().unwrap_err();
                assert!(
                    matches!(&e, Error::Earlier { source } if is_it(source)),
                    "{e}"
                );
                assert_eq!(next.item::<f32>().unwrap(), 16.0);
            }
        });
    });
}

/// Long graphs whose first node has failed on its stream's thread long before the last is handed over, on many
/// threads and streams at once: handing over never fails, and each error comes out at its own handle.
#[test]
fn failures_before_all_is_handed_over() {
    let threads: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(|| on_cpu(failing_early)))
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn failing_early() {
    let streams: Vec<Stream> = (0..3).map(|_| Stream::new(Device::CPU).unwrap()).collect();
    let at = |n: usize| &streams[n % streams.len()];
    for round in 0..12 {
        let (bad, mut good) = (with_stream(at(round), failing), Array::from(1.0f32));
        let mut sums = bad.clone();
        for step in 0..150 {
            // Now and then on another stream, which then waits for the first.
            with_stream(at(round + step / 50), || {
                sums = sums.add(&bad).unwrap();
                good = good.add(1.0f32).unwrap();
            });
        }
        // Each of the later evaluations meets a stream whose work has failed.
        let first = async_eval([&sums]).unwrap();
        let second = async_eval([&good]).unwrap();
        let third = async_eval([&with_stream(at(round + 1), failing)]).unwrap();
        if round % 3 == 0 {
            std::thread::yield_now();
        }
        let e = first.wait().unwrap_err();
        assert!(e.to_string().contains("LU factorization"), "{e}");
        second.wait().unwrap();
        assert_eq!(good.item::<f32>().unwrap(), 151.0);
        assert!(third.wait().is_err());
        assert_failed(&sums);
    }
}
