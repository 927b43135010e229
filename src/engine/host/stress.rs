//! Kernels that ask much of memory: any address, large local arrays, large threadgroup memory, many
//! libraries.

use std::sync::atomic::{AtomicUsize, Ordering};

use rstest::rstest;

use super::{tests::kernel, *};
use crate::engine::error::LaunchError;

fn options(name: &str, single: bool, checked: bool) -> CompileOptions {
    CompileOptions {
        name: name.to_owned(),
        single,
        checked,
        ..CompileOptions::default()
    }
}

/// Whether kernels are compiled by gcc, of which more is known (docs/ENGINES.md says what).
fn by_gcc() -> bool {
    let (path, args) = compiler_command(MathMode::Safe).unwrap();
    matches!(frames::flag(&path, &args), Ok(Some(_)))
}

/// Bytes of which a part begins at a chosen distance from a multiple of 64.
struct Placed {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Placed {
    fn new(data: &[f32], shift: usize) -> Self {
        let len = 4 * data.len();
        let mut bytes = vec![0; len + 128 + shift];
        let start = bytes.as_ptr().align_offset(64) + shift;
        for (at, value) in data.iter().enumerate() {
            bytes[start + 4 * at..][..4].copy_from_slice(&value.to_ne_bytes());
        }
        Self { bytes, start, len }
    }

    fn buffer(&mut self) -> Buffer {
        Buffer {
            data: self.bytes[self.start..].as_mut_ptr().cast(),
            len: self.len as u64,
            before: 0,
        }
    }

    fn values(&self) -> Vec<f32> {
        let bytes = &self.bytes[self.start..self.start + self.len];
        let (words, _) = bytes.as_chunks();
        words.iter().map(|w| f32::from_ne_bytes(*w)).collect()
    }
}

/// Launches over `input` and an output of `outputs` floats, both `shift` bytes off a multiple of 64.
fn launch(
    kernel: &HostKernel,
    input: &[f32],
    outputs: usize,
    [threads, group]: [u32; 2],
    shift: usize,
) -> Result<Vec<f32>, LaunchError> {
    let (mut input, mut output) = (
        Placed::new(input, shift),
        Placed::new(&vec![-1.0; outputs], shift),
    );
    let buffers = [input.buffer(), output.buffer()];
    let args = LaunchArgs::new(&buffers, [threads, 1, 1], [group, 1, 1]);
    // SAFETY: both buffers outlive the call, and the tests' kernels stay within them.
    unsafe { kernel.launch(&args) }.map(|()| output.values())
}

const WIDE: &str = "struct alignas(16) Wide { float v[4]; };\n\
                    struct alignas(64) Wider { Wide w[4]; };\n";

/// Every thread reverses 64 floats, 16 bytes at a time, through what `by` makes of them.
fn reversing(by: &str) -> String {
    format!(
        "uint i = thread_position_in_grid.x;\n{by}\nfor (uint j = 0; j < 64; ++j) out[64 * i + j] = w[63 - j];"
    )
}

#[rstest]
#[case::structures(
    "const device Wider* p = (const device Wider*)inp + 4 * i; Wider q[4];\n\
     for (uint j = 0; j < 4; ++j) q[j] = p[j];\nthread float* w = (thread float*)q;"
)]
#[case::vectors(
    "float4 q[16]; for (uint j = 0; j < 16; ++j) q[j] = ((const device float4*)inp)[16 * i + j];\n\
     thread float* w = (thread float*)q;"
)]
#[case::words(
    "ulong q[32]; for (uint j = 0; j < 32; ++j) q[j] = ((const device ulong*)inp)[32 * i + j];\n\
     thread float* w = (thread float*)q;"
)]
#[case::threadgroup(
    "threadgroup char raw[4 + 4096]; threadgroup Wide* s = (threadgroup Wide*)(raw + 4);\n\
     threadgroup float* w = (threadgroup float*)s; uint t = thread_position_in_threadgroup.x;\n\
     threadgroup_barrier(mem_flags::mem_threadgroup);\n\
     for (uint j = 0; j < 16; ++j) s[16 * t + j] = ((const device Wide*)inp)[16 * i + j];\n\
     w += 64 * t; threadgroup_barrier(mem_flags::mem_threadgroup);"
)]
fn memory_may_begin_at_any_element(#[case] by: &str, #[values(false, true)] checked: bool) {
    if by.contains("Wide") && cfg!(target_arch = "x86_64") && !by_gcc() {
        return;
    }
    let text = kernel(WIDE, ["float", "float"], &reversing(by));
    let input: Vec<f32> = (0..64 * 16).map(|i| i as f32).collect();
    let expected: Vec<f32> = input
        .chunks(64)
        .flat_map(|c| c.iter().rev().copied())
        .collect();
    let kernel = compile(&text, &options("any", false, checked)).unwrap();
    for shift in [0, 4, 8, 20, 32, 60] {
        stacks::tests::SHIFT.store(shift / 16 * 16, Ordering::Relaxed);
        let output = launch(&kernel, &input, input.len(), [16, 16], shift).unwrap();
        assert_eq!(output, expected, "shift {shift}");
    }
    stacks::tests::SHIFT.store(0, Ordering::Relaxed);
}

/// What the linker says is what the C library lays the block out by.
#[rstest]
fn threadgroup_memory_says_its_alignment(
    #[values("char", "float", "half4", "Wide", "Wider")] element: &str,
) {
    let body = format!(
        "threadgroup {element} s[64]; threadgroup char* b = (threadgroup char*)s;\n\
         uint t = thread_position_in_threadgroup.x; b[t] = char(inp[t]);\n\
         threadgroup_barrier(mem_flags::mem_threadgroup); out[t] = b[63 - t];"
    );
    let text = kernel(WIDE, ["float", "float"], &body);
    let kernel = compile(&text, &options("aligned", false, false)).unwrap();
    let input: Vec<f32> = (0..64).map(|i| i as f32).collect();
    let output = launch(&kernel, &input, 64, [64, 64], 4).unwrap();
    assert!(output.iter().eq(input.iter().rev()));
    if cfg!(target_os = "linux") {
        let block = elf::thread_local(&kernel.library.path()).unwrap();
        assert!(block.align >= 64 && block.bytes >= 64, "{block:?}");
    }
}

/// A local array of `bytes`, written and read by every thread, in a function of its own or not.
fn local(bytes: u64, helper: bool, barrier: bool) -> String {
    let n = bytes / 4;
    let fill =
        format!("float a[{n}]; for (uint j = 0; j < {n}u; ++j) a[j] = x + float(j % 1000u);\n");
    let at = format!("a[(i * 977u + {n}u - 1u) % {n}u]");
    let header = match helper {
        true => format!(
            "[[gnu::noinline]] static float deep(float x, uint i) {{ {fill} return {at}; }}\n"
        ),
        false => String::new(),
    };
    let value = match helper {
        true => "float y = deep(x, i);".to_owned(),
        false => format!("{fill}float y = {at};"),
    };
    let barrier = match barrier {
        true => "threadgroup_barrier(mem_flags::mem_threadgroup);",
        false => "",
    };
    let body = format!(
        "uint i = thread_position_in_grid.x; float x = inp[i % 64u];\n{value}\n{barrier}\nout[i] = y;"
    );
    kernel(&header, ["float", "float"], &body)
}

fn expected_of_local(bytes: u64, threads: u32) -> Vec<f32> {
    let n = bytes / 4;
    (0..u64::from(threads))
        .map(|i| (i % 64) as f32 + ((i * 977 + n - 1) % n % 1000) as f32)
        .collect()
}

#[rstest]
#[case::many_threads(300_000, false, true, [2048, 1024])]
#[case::in_a_helper(3 << 20, true, true, [64, 32])]
#[case::large(64 << 20, false, true, [4, 2])]
#[case::a_loop(3 << 20, false, false, [300, 100])]
#[case::a_loop_with_a_helper(20 << 20, true, false, [20, 10])]
#[case::one_to_a_group(20 << 20, false, true, [20, 1])]
fn local_arrays_may_be_large(
    #[case] bytes: u64,
    #[case] helper: bool,
    #[case] barrier: bool,
    #[case] threads: [u32; 2],
    #[values(false, true)] checked: bool,
) {
    if bytes > 4 << 20 && !by_gcc() {
        return;
    }
    let text = local(bytes, helper, barrier);
    let options = options("local", threads[1] == 1, checked);
    let input: Vec<f32> = (0..64).map(|i| i as f32).collect();
    let kernel = compile(&text, &options).unwrap();
    let output = launch(&kernel, &input, threads[0] as usize, threads, 0).unwrap();
    assert_eq!(output, expected_of_local(bytes, threads[0]));
}

#[rstest]
fn local_arrays_beyond_memory_are_refused(#[values(false, true)] checked: bool) {
    if !by_gcc() {
        return;
    }
    let text = local(1 << 30, false, true);
    let kernel = compile(&text, &options("hoarder", false, checked)).unwrap();
    let error = launch(&kernel, &[1.0; 64], 1024, [1024, 1024], 0).unwrap_err();
    assert!(matches!(error, LaunchError::Stack { .. }), "{error}");
    assert!(error.to_string().contains("kernel `hoarder`"), "{error}");
}

#[rstest]
#[case::direct(
    "float f(float x) { return x < 1 ? x : f(x - 1) * f(x / 2); }",
    "f(inp[0])",
    &[1]
)]
#[case::mutual(
    "float g(float x);\nfloat f(float x) { return x < 1 ? x : g(x - 1) + g(x / 2); }\nfloat g(float x) { return f(x) * f(x / 3); }",
    "f(inp[0])",
    &[2, 3]
)]
#[case::tail("float f(float x) { return f(x + 1); }", "f(inp[0])", &[1])]
#[case::overloaded(
    "float f(float2 v);\nfloat f(float x) { return x < 1 ? x : f(float2(x - 1, x / 2)); }\n\
     float f(float2 v) { return f(v.x) * f(v.y); }",
    "f(inp[0])",
    &[2, 3]
)]
#[case::members(
    "struct S { float x; float f() thread { S s{x - 1}; S t{x / 2}; return x < 1 ? x : s.f() * t.f(); } };",
    "S{inp[0]}.f()",
    &[1]
)]
fn recursion_is_refused(
    #[case] header: &str,
    #[case] call: &str,
    #[case] lines: &[usize],
    #[values(false, true)] checked: bool,
) {
    // Names do not show these.
    if (header.contains("struct") || header.contains("float2")) && !by_gcc() {
        return;
    }
    let text = kernel(
        &format!("{header}\n"),
        ["float", "float"],
        &format!("out[0] = {call};"),
    );
    let Err(EngineError::Compile(error)) = compile(&text, &options("endless", false, checked))
    else {
        panic!("it compiled")
    };
    assert!(error.message.contains("recursion"), "{error}");
    // Any function of the cycle may be the one that is shown.
    let line = error.location.as_ref().map_or(0, |l| l.line);
    assert!(lines.contains(&line), "{error}");
}

#[test]
fn what_only_looks_like_recursion_compiles() {
    let header = "template <int N> float sum(const device float* p) { if constexpr (N == 0) return 0; else return p[0] + sum<N - 1>(p + 1); }\n\
                  float f(float2 v) { return v.x + v.y; }\nfloat f(float x) { return f(float2(x, 1)); }\n\
                  float unused(float x) { return unused(x - 1) * unused(x / 2); }\n";
    let text = kernel(
        header,
        ["float", "float"],
        "out[0] = sum<4>(inp); out[1] = f(inp[0]);",
    );
    let kernel = compile(&text, &options("apparent", false, false)).unwrap();
    let output = launch(&kernel, &[1.0, 2.0, 3.0, 4.0], 2, [1, 1], 0).unwrap();
    assert_eq!(output, [10.0, 2.0]);
}

#[test]
fn arrays_whose_length_is_a_value_are_refused() {
    let body = "int n = int(inp[0]); float a[n]; for (int j = 0; j < n; ++j) a[j] = inp[j]; out[0] = a[n - 1];";
    if !by_gcc() {
        return;
    }
    let text = kernel("", ["float", "float"], body);
    let Err(EngineError::Compile(error)) = compile(&text, &options("vla", false, false)) else {
        panic!("it compiled")
    };
    assert!(error.message.contains("no constant"), "{error}");
}

/// A group's sum over threadgroup memory of so many bytes.
fn shared(bytes: u64) -> String {
    let n = bytes / 4;
    let body = format!(
        "threadgroup float s[{n}]; uint t = thread_position_in_threadgroup.x, i = thread_position_in_grid.x;\n\
         s[{n}ul - 1ul - t] = inp[i % 64u]; threadgroup_barrier(mem_flags::mem_threadgroup);\n\
         out[i] = s[{n}ul - 64ul + t];"
    );
    kernel("", ["float", "float"], &body)
}

#[test]
fn threadgroup_memory_may_be_large() {
    let kernel = compile(&shared(32 << 20), &options("shared", false, false)).unwrap();
    let input: Vec<f32> = (0..64).map(|i| i as f32).collect();
    let output = launch(&kernel, &input, 256, [256, 64], 0).unwrap();
    assert!(
        output
            .iter()
            .enumerate()
            .all(|(i, &x)| x == 63.0 - (i % 64) as f32)
    );
}

#[rstest]
#[case(1 << 40)]
#[case(1 << 50)]
fn threadgroup_memory_beyond_memory_is_refused(#[case] bytes: u64) {
    let message = match compile(&shared(bytes), &options("glutton", false, false)) {
        Err(error) => error.to_string(),
        Ok(kernel) => {
            let error = launch(&kernel, &[1.0; 64], 64, [64, 64], 0).unwrap_err();
            assert!(
                matches!(error, LaunchError::ThreadgroupMemory { .. }),
                "{error}"
            );
            error.to_string()
        }
    };
    assert!(message.contains("kernel `glutton`"), "{message}");
    assert!(message.contains("threadgroup"), "{message}");
}

/// How many libraries may be loaded while it is not 0.
pub static LIMIT: AtomicUsize = AtomicUsize::new(0);

#[test]
fn libraries_make_room_for_others() {
    LIMIT.store(4, Ordering::Relaxed);
    let kernels: Vec<_> = (0..7)
        .map(|n| {
            let body = format!("out[thread_position_in_grid.x] = inp[0] + {n};");
            let text = kernel("", ["float", "float"], &body);
            compile(&text, &options("many", false, false)).unwrap()
        })
        .collect();
    for round in 0..3 {
        for (n, kernel) in kernels.iter().enumerate() {
            let output = launch(kernel, &[round as f32], 8, [8, 4], 0).unwrap();
            assert_eq!(output, [(round + n) as f32; 8]);
            let loaded = kernels.iter().filter(|k| k.library.is_loaded()).count();
            assert!((1..=4).contains(&loaded), "{loaded}");
        }
    }
    // One that the cache has lost is built again.
    let idle = kernels.iter().find(|k| !k.library.is_loaded()).unwrap();
    let path = idle.library.path();
    if cfg!(target_os = "linux") {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!maps.contains(path.to_str().unwrap()), "it is still mapped");
    }
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    let output = launch(idle, &[1.0], 1, [1, 1], 0).unwrap();
    assert!(output[0] >= 1.0);
    LIMIT.store(0, Ordering::Relaxed);
}
