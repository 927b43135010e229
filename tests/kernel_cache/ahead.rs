//! Kernels that are compiled ahead, and found where there is no compiler.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zmlx::engine::ahead::{self, Target};

use super::{Run, entries, folder};

/// Records the two kernels of a process.
fn recorded(dir: &Path) -> PathBuf {
    let list = dir.join("kernels.jsonl");
    let run = Run::new().env("ZMLX_CACHE_DIR", dir.join("cache"));
    let (_, errors) = run.env("ZMLX_RECORD_KERNELS", &list).works();
    assert!(errors.is_empty(), "{errors}");
    list
}

/// A process on a machine that has no compiler and no place to write to.
fn bare() -> Run {
    Run::new()
        .env("CXX", "/no/such/compiler")
        .env("HOME", "/no/such/home")
        .env("TMPDIR", "/no/such/folder")
}

#[test]
fn kernels_are_recorded_filled_and_found() {
    let dir = folder();
    let list = recorded(dir.path());
    assert_eq!(fs::read_to_string(&list).unwrap().lines().count(), 3);
    // What is loaded from the cache is recorded as well, and what is there twice is one.
    recorded(dir.path());
    assert_eq!(fs::read_to_string(&list).unwrap().lines().count(), 5);

    for target in Target::here() {
        // A GPU has kernels of its own.
        if target.to_string().starts_with("sm_") {
            continue;
        }
        let kernels = dir.path().join(target.to_string());
        let filled = ahead::fill(&list, &kernels, std::slice::from_ref(&target)).unwrap();
        assert_eq!((filled.compiled, filled.found, filled.left_out), (2, 0, 0));
        let filled = ahead::fill(&list, &kernels, std::slice::from_ref(&target)).unwrap();
        assert_eq!((filled.compiled, filled.found, filled.left_out), (0, 2, 0));
        assert_eq!(entries(&kernels).len(), 2);
        // Nothing but the kernels is there.
        assert_eq!(fs::read_dir(&kernels).unwrap().count(), 1);
        assert_eq!(fs::read_dir(kernels.join("host")).unwrap().count(), 2);
        let (text, errors) = bare().env("ZMLX_KERNELS_DIR", &kernels).works();
        assert!(text.contains("compiled 0 loaded 2"), "{target}: {text}");
        assert!(errors.is_empty(), "{errors}");
        // With a compiler, too, they come first.
        let run = Run::new().env("ZMLX_CACHE_DIR", dir.path().join("unused"));
        run.env("ZMLX_KERNELS_DIR", &kernels).works();
        assert!(!dir.path().join("unused").exists());
    }
}

/// Another processor's are not found, and the error says where they were looked for.
#[test]
fn what_is_not_there_is_named() {
    let dir = folder();
    let (text, _) = bare().run();
    let words =
        "kernel `cache_one` needs a C++ compiler, and none was found (tried /no/such/compiler)";
    assert!(
        text.contains(words) && text.contains("no folder of such kernels is there"),
        "{text}"
    );
    let list = recorded(dir.path());
    let kernels = dir.path().join("kernels");
    ahead::fill(&list, &kernels, &[Target::native()]).unwrap();
    let [one, _] = &entries(&kernels)[..] else {
        panic!("two entries")
    };
    fs::remove_dir_all(one).unwrap();
    let (text, _) = bare().env("ZMLX_KERNELS_DIR", &kernels).run();
    let one_works =
        text.contains("0: cache_one gives 42") != text.contains("0: cache_two gives 82");
    assert!(one_works, "{text}");
    let place = format!(
        "it is not in {} for this machine (native",
        kernels.join("host").display()
    );
    assert!(
        text.contains(&place) && text.contains("docs/DEPLOYING.md"),
        "{text}"
    );
}

/// Entries that are damaged, do not load, or that others could have written are not run.
#[test]
fn what_is_damaged_is_not_run() {
    let dir = folder();
    let list = recorded(dir.path());
    let kernels = dir.path().join("kernels");
    let refill = || {
        let _ = fs::remove_dir_all(&kernels);
        ahead::fill(&list, &kernels, &[Target::native()]).unwrap();
        entries(&kernels)
    };
    let run = || bare().env("ZMLX_KERNELS_DIR", &kernels);
    let library = refill()[0].join("kernel.so");
    fs::write(&library, "").unwrap();
    assert_eq!(run().run().0.matches("gives").count(), 1);
    let library = refill()[0].join("kernel.so");
    fs::set_permissions(&library, Permissions::from_mode(0o777)).unwrap();
    assert_eq!(run().run().0.matches("gives").count(), 1);
    refill();
    // A compiler mends it, elsewhere.
    fs::write(entries(&kernels)[1].join("kernel.so"), "").unwrap();
    let cache = dir.path().join("mended");
    let with = Run::new().env("ZMLX_KERNELS_DIR", &kernels);
    let (text, _) = with.env("ZMLX_CACHE_DIR", &cache).works();
    assert!(text.contains("compiled 1 loaded 1"), "{text}");
    assert_eq!(entries(&cache).len(), 1);
}

#[test]
fn lists_that_are_none() {
    let dir = folder();
    let list = recorded(dir.path());
    let text = fs::read_to_string(&list).unwrap();
    let kernels = dir.path().join("kernels");
    let lines: Vec<&str> = text.lines().collect();
    let header = lines[0];
    for (text, words) in [
        (String::new(), "it is empty"),
        ("hello\n".into(), "line 1: expected an object of JSON"),
        ("{\"a\": 1}\n".into(), "line 1: expected a list of {"),
        (header.replace("0.", "9."), "record it again"),
        (
            format!("{header}\n{{\"engine\":\"host\"}}\n"),
            "line 2: expected a kernel",
        ),
        // A process that was killed while it wrote.
        (
            format!("{}\n{}", lines[0], &lines[1][..30]),
            "line 2: expected an object of JSON",
        ),
    ] {
        let bad = dir.path().join("bad");
        fs::write(&bad, &text).unwrap();
        let error = ahead::fill(&bad, &kernels, &[Target::native()]).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(words), "{text}: {message}");
        assert!(message.contains(&*bad.to_string_lossy()), "{message}");
    }
    let none = dir.path().join("none");
    assert!(ahead::fill(&none, &kernels, &[Target::native()]).is_err());
    let error = ahead::fill(&list, &kernels, &[]).unwrap_err().to_string();
    assert!(
        error.contains("`targets`: expected at least one"),
        "{error}"
    );
    let error = "x86-64-v1".parse::<Target>().unwrap_err().to_string();
    assert!(
        error.contains("native") && error.contains("got `x86-64-v1`"),
        "{error}"
    );
    assert!(ahead::record(dir.path()).is_err());
    // Kernels of the CPU for a GPU alone.
    let gpu: Target = "sm_90".parse().unwrap();
    let filled = ahead::fill(&list, &kernels, &[gpu]).unwrap();
    assert_eq!((filled.compiled, filled.left_out), (0, 2));
    assert!(!kernels.exists());
}

/// A text that a compiler does not take is an error with the kernel's name.
#[test]
fn a_kernel_that_does_not_compile() {
    let dir = folder();
    let list = recorded(dir.path());
    let text = fs::read_to_string(&list)
        .unwrap()
        .replace("x[0] + 1", "y[0] + 1");
    fs::write(&list, text).unwrap();
    let error = ahead::fill(&list, dir.path().join("k"), &[Target::native()]).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("kernel `cache_one` does not compile"),
        "{message}"
    );
}

/// The code of a GPU, made where there is none.
#[test]
fn kernels_of_cuda() {
    if let Err(tried) = zmlx::engine::cuda::compiler() {
        println!("SKIPPED: NVIDIA's run-time compiler is not here ({tried})");
        return;
    }
    let dir = folder();
    let list = dir.path().join("kernels.jsonl");
    let checked = || {
        let run = Run::new().env("ZMLX_CHECK_CUDA", "sm_90");
        run.env("ZMLX_CACHE_DIR", dir.path().join("cache"))
    };
    checked().env("ZMLX_RECORD_KERNELS", &list).works();
    let kernels = dir.path().join("kernels");
    let gpus = ["sm_90", "sm_80"].map(|name| name.parse().unwrap());
    let filled = ahead::fill(&list, &kernels, &gpus).unwrap();
    // Those of the CPU are left out.
    assert_eq!((filled.compiled, filled.found, filled.left_out), (4, 0, 2));
    let filled = ahead::fill(&list, &kernels, &gpus).unwrap();
    assert_eq!((filled.compiled, filled.found), (0, 4));
    let without = || checked().env("ZMLX_NVRTC", "/no/such/libnvrtc.so");
    let (text, _) = without().run();
    assert!(text.contains("needs NVIDIA's run-time compiler"), "{text}");
    without().env("ZMLX_KERNELS_DIR", &kernels).works();
    // Another GPU's code is not taken.
    let (text, _) = without()
        .env("ZMLX_KERNELS_DIR", &kernels)
        .env("ZMLX_CHECK_CUDA", "sm_89")
        .run();
    let place = format!(
        "it is not in {} for this machine (sm_89)",
        kernels.join("cuda").display()
    );
    assert!(text.contains(&place), "{text}");
}
