//! Tests that compile and run kernels. They need a C++ compiler.

mod time_limit;

use std::{sync::Barrier, thread};

use rstest::rstest;

use super::*;
use crate::engine::cache::Cache;
use crate::engine::error::{LaunchError, Region};

/// A kernel over one input and one output of the given types, in MLX's form.
pub(super) fn kernel(header: &str, types: [&str; 2], body: &str) -> String {
    let [input, output] = types;
    let single = [
        "thread_index_in_simdgroup",
        "simdgroup_index_in_threadgroup",
        "simdgroups_per_threadgroup",
    ];
    let triple = [
        "thread_position_in_grid",
        "thread_position_in_threadgroup",
        "threadgroup_position_in_grid",
        "threads_per_threadgroup",
        "dispatch_threads_per_threadgroup",
        "threads_per_grid",
    ];
    let typed = |ty, names: &[&str]| -> Vec<String> {
        names
            .iter()
            .filter(|n| body.contains(**n))
            .map(|n| format!(",\n  {ty} {n} [[{n}]]"))
            .collect()
    };
    let attributes = [typed("uint", &single), typed("uint3", &triple)]
        .concat()
        .concat();
    format!(
        "{header}[[kernel]] void custom_kernel_test(\n  const device {input}* inp [[buffer(0)]],\n  \
         device {output}* out [[buffer(1)]]{attributes}) {{\n{body}\n}}\n"
    )
}

fn named(name: &str) -> CompileOptions {
    CompileOptions {
        name: name.to_owned(),
        ..CompileOptions::default()
    }
}

/// Runs a float kernel whose output has `outputs` elements.
fn run(
    text: &str,
    input: &mut [f32],
    outputs: usize,
    args: LaunchArgs<'_>,
) -> Result<Vec<f32>, LaunchError> {
    let clamped: [u32; 3] = std::array::from_fn(|d| args.threadgroup[d].min(args.grid[d]));
    let options = CompileOptions {
        single: clamped == [1; 3],
        ..named("test")
    };
    let kernel = compile(text, &options).unwrap();
    let mut output = vec![-1.0f32; outputs];
    let buffer = |data: &mut [f32]| Buffer {
        data: data.as_mut_ptr().cast(),
        len: 4 * data.len() as u64,
        before: 0,
    };
    let buffers = [buffer(input), buffer(&mut output)];
    // SAFETY: both buffers outlive the call, and the test's kernel stays within them.
    unsafe {
        kernel.launch(&LaunchArgs {
            buffers: &buffers,
            ..args
        })
    }
    .map(|()| output)
}

fn over(grid: [u32; 3], threadgroup: [u32; 3]) -> LaunchArgs<'static> {
    LaunchArgs::new(&[], grid, threadgroup)
}

const FLOATS: [&str; 2] = ["float", "float"];

/// MLX's names of functions tell which inputs are small, which makes no difference here.
#[test]
fn texts_do_not_depend_on_the_name() {
    let text = |name: &str, header: &str| {
        let text = format!(
            "{header}template <typename T>\n[[kernel]] void {name}(\n  const device T* inp [[buffer(0)]],\n  \
             device T* out [[buffer(1)]]) {{\nout[0] = inp[0];\n}}\n\n\
             template [[host_name(\"{name}\")]] [[kernel]] decltype({name}<float>) {name}<float>;\n"
        );
        let lowered = lower(&text, &named("test")).unwrap();
        assert_eq!(lowered.kernel, name);
        lowered.text
    };
    let one = text("custom_kernel_test_float_floatc", "");
    assert_eq!(one, text("custom_kernel_test_float_floats", ""));
    assert!(!one.contains("custom_kernel_test"), "{one}");
    // A name that something else has, too, stays.
    let other = text("k", "#define k custom\n");
    assert!(other.contains("k<float>("), "{other}");
}

#[rstest]
#[case([1000, 1, 1], [256, 1, 1])]
#[case([7, 5, 3], [4, 4, 4])]
#[case([1, 1, 100_000], [1, 1, 1024])]
#[case([33, 1, 1], [1024, 1, 1])]
#[case([300, 200, 1], [1, 1, 1])]
fn every_thread_runs_once(#[case] grid: [u32; 3], #[case] threadgroup: [u32; 3]) {
    let count = grid.iter().product::<u32>() as usize;
    let index = "uint3 p = thread_position_in_grid; uint3 n = threads_per_grid;\n\
                 uint i = (p.z * n.y + p.y) * n.x + p.x;";
    // The same position again, put together from the threadgroup's.
    let by_group = "uint3 q = threadgroup_position_in_grid * dispatch_threads_per_threadgroup + thread_position_in_threadgroup;\n\
                    if (any(q != p) || any(thread_position_in_threadgroup >= threads_per_threadgroup)) return;";
    for extra in ["", by_group, "threadgroup_barrier(mem_flags::mem_none);"] {
        let text = kernel(
            "",
            FLOATS,
            &format!("{index}\n{extra}\nout[i] += inp[i] + 1;"),
        );
        let mut input: Vec<f32> = (0..count).map(|i| i as f32).collect();
        let output = run(&text, &mut input, count, over(grid, threadgroup)).unwrap();
        assert_eq!(output, input, "{extra}");
    }
}

#[rstest]
fn threads_meet_at_barriers(#[values(Order::Forward, Order::Reverse)] order: Order) {
    let text = kernel(
        "",
        FLOATS,
        "threadgroup float s[256];\nuint t = thread_position_in_threadgroup.x;\n\
         if (t >= 200u) return;\n\
         s[t] = inp[thread_position_in_grid.x];\n\
         for (uint n = 128; n > 0; n >>= 1) {\n\
           threadgroup_barrier(mem_flags::mem_threadgroup);\n\
           if (t < n && t + n < 200u) s[t] += s[t + n];\n\
         }\n\
         if (t == 0) out[threadgroup_position_in_grid.x] = s[0];",
    );
    let mut input: Vec<f32> = (0..1024).map(|i| i as f32).collect();
    let args = LaunchArgs {
        order,
        ..over([1024, 1, 1], [256, 1, 1])
    };
    let output = run(&text, &mut input, 4, args).unwrap();
    let expected: Vec<f32> = input.chunks(256).map(|c| c[..200].iter().sum()).collect();
    assert_eq!(output, expected);
}

#[test]
fn the_last_simdgroup_is_narrower() {
    let text = kernel(
        "",
        FLOATS,
        "float s = simd_sum(inp[thread_position_in_grid.x]);\n\
         if (thread_index_in_simdgroup == 0) out[simdgroup_index_in_threadgroup] = s + simdgroups_per_threadgroup;",
    );
    let output = run(&text, &mut [1.0; 40], 2, over([40, 1, 1], [40, 1, 1])).unwrap();
    assert_eq!(output, [34.0, 10.0]);
}

#[rstest]
fn branches_do_not_mix(#[values(Order::Forward, Order::Reverse)] order: Order) {
    let text = kernel(
        "",
        FLOATS,
        "float x = inp[thread_position_in_grid.x];\nuint lane = thread_index_in_simdgroup;\n\
         if (lane < 8) {\nx = simd_sum(x);\n} else if (lane < 12) {\nx = simd_max(x);\n}\n\
         float last = x;\nfor (uint i = 0; i < lane; ++i) {\nlast = simd_broadcast(x, 31);\n}\n\
         out[thread_position_in_grid.x] = simd_sum(last > 0 ? 1.0f : 0.0f) * 100 + x;",
    );
    let mut input: Vec<f32> = (0..64).map(|i| (i % 32) as f32).collect();
    let output = run(
        &text,
        &mut input,
        64,
        LaunchArgs {
            order,
            ..over([64, 1, 1], [64, 1, 1])
        },
    )
    .unwrap();
    let right = |lane: usize| match lane {
        0..8 => 28.0,
        8..12 => 11.0,
        lane => lane as f32,
    };
    let expected: Vec<f32> = (0..64).map(|i| 3200.0 + right(i % 32)).collect();
    assert_eq!(output, expected);
}

#[test]
fn errors_show_the_msl_line() {
    let header = "inline float one(float x) {\n  return x + nothing;\n}\n";
    for (header, body, region, line, text) in [
        (
            header,
            "out[0] = 1;",
            Region::Header,
            2,
            "  return x + nothing;",
        ),
        (
            "",
            "\n  threadgroup float s[2];\n  s[0] = missing(1.0);",
            Region::Source,
            3,
            "  s[0] = missing(1.0);",
        ),
    ] {
        let Err(EngineError::Compile(error)) =
            compile(&kernel(header, FLOATS, body), &named("bad"))
        else {
            panic!("it compiled")
        };
        let place = error.location.as_ref().unwrap();
        assert_eq!(
            (place.region, place.line, place.text.as_str()),
            (region, line, text)
        );
        assert!(
            error.to_string().contains("kernel `bad` does not compile"),
            "{error}"
        );
    }
}

#[test]
fn bad_launches_are_refused() {
    let text = kernel("", FLOATS, "out[thread_position_in_grid.x] = inp[0];");
    let refused =
        |grid, threadgroup| run(&text, &mut [1.0], 1, over(grid, threadgroup)).unwrap_err();
    assert!(matches!(
        refused([0, 1, 1], [1; 3]),
        LaunchError::Empty { what: "grid", .. }
    ));
    assert!(matches!(
        refused([1; 3], [1, 0, 1]),
        LaunchError::Empty {
            what: "threadgroup",
            ..
        }
    ));
    assert!(matches!(
        refused([4096, 4, 1], [512, 4, 1]),
        LaunchError::Threadgroup { .. }
    ));
    assert!(matches!(
        refused([u32::MAX, u32::MAX, 1], [1; 3]),
        LaunchError::Grid { .. }
    ));
    let kernel = compile(&text, &named("test")).unwrap();
    // SAFETY: it is refused before any buffer is looked at.
    let result = unsafe { kernel.launch(&over([1; 3], [1; 3])) };
    assert!(matches!(
        result,
        Err(LaunchError::Buffers {
            expected: 2,
            got: 0,
            ..
        })
    ));
}

#[test]
fn many_threads_compile_and_launch() {
    let (before, gate) = (kernels_built(), Barrier::new(8));
    thread::scope(|scope| {
        for own in 0..8 {
            let gate = &gate;
            scope.spawn(move || {
                gate.wait();
                for round in 0..20u32 {
                    // All threads want the same kernels, each in its own order.
                    let which = (round + own) % 4;
                    let text = kernel("", FLOATS, &format!(
                        "threadgroup float s[64]; uint t = thread_position_in_threadgroup.x;\n\
                         s[t] = inp[thread_position_in_grid.x]; threadgroup_barrier(mem_flags::mem_threadgroup);\n\
                         out[thread_position_in_grid.x] = s[63 - t] + {which};"
                    ));
                    let mut input: Vec<f32> = (0..640).map(|i| (i % 64) as f32).collect();
                    let output = run(&text, &mut input, 640, over([640, 1, 1], [64, 1, 1])).unwrap();
                    let right = |i: usize| (63 - i % 64) as f32 + which as f32;
                    assert!(output.iter().enumerate().all(|(i, &x)| x == right(i)));
                }
            });
        }
    });
    // Other tests build kernels meanwhile, so this is a bound only.
    assert!(kernels_built() - before < 60);
}

/// Undamaged, but nothing that the system loads: cut off, no library, another machine's.
#[test]
fn libraries_that_do_not_load_are_built_again() {
    use std::{fs, path::PathBuf};

    let add = "out[thread_position_in_grid.x] = inp[thread_position_in_grid.x] + 123;";
    let text = kernel("", ["float"; 2], add);
    let options = named("test");
    let library = || -> PathBuf {
        let lowered = lower(&text, &options).unwrap();
        let found = compiler::library("test", &lowered, options.math_mode, Ok);
        found.unwrap().0
    };
    let path = library();
    let whole = fs::read(&path).unwrap();
    let mut other = whole.clone();
    // The machine's number.
    other[18..20].copy_from_slice(&[0xf3, 0]);
    let key = path.parent().unwrap().file_name().unwrap();
    for damage in [&whole[..100], b"no library", &other] {
        fs::write(&path, damage).unwrap();
        Cache::open("host").unwrap().sign(key.to_str().unwrap());
        let load = |p| loader::Slot::load("test", p, msl::Mode::Plain, false);
        let lowered = lower(&text, &options).unwrap();
        let (_, origin) = compiler::library("test", &lowered, options.math_mode, load).unwrap();
        assert_eq!(origin, Origin::Compiler);
        assert!(fs::read(&path).unwrap().len() > damage.len() / 2 + 1000);
        // Found where it was, and not built again.
        assert_eq!(library(), path);
    }
    let mut input = [1.0];
    let output = run(&text, &mut input, 1, over([1; 3], [1; 3])).unwrap();
    assert_eq!(output, [124.0]);
}

#[test]
fn damaged_entries_are_built_again() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::at(root.path().to_owned()).unwrap();
    let build = |text: &'static str| {
        cache
            .publish("key", |folder| std::fs::write(folder.join("file"), text))
            .unwrap()
    };
    let folder = build("good");
    assert_eq!(build("not used"), folder);
    let file = folder.join("file");
    for damage in [Some("bad!"), Some(""), None] {
        match damage {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        assert_eq!(cache.find("key"), None);
        build("good");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "good");
    }
    let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "temporary folders are left: {left:?}");
}
