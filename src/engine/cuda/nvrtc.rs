//! NVIDIA's run-time compiler, found and loaded when a kernel is first compiled.
//!
//! MLX's CUDA build brings it into the process, so its name alone usually finds it. It
//! works without a GPU and without a driver, and our kernels include no header of CUDA's.

use std::{
    env,
    ffi::{CStr, CString, c_char, c_int, c_void},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

use libloading::Library;

use super::patience::{self, Problem, Reason};
use crate::engine::compile_limit::{COMPILE_TIMEOUT, compile_limit};

type Program = *mut c_void;
type Status = c_int;
/// Asks for the number of bytes, and for the bytes.
type Bytes = (
    unsafe extern "C" fn(Program, *mut usize) -> Status,
    unsafe extern "C" fn(Program, *mut c_char) -> Status,
);
type Callback = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;

/// The functions that are used of it.
pub struct Nvrtc {
    /// Major and minor number.
    pub version: (c_int, c_int),
    /// What was loaded.
    pub name: String,
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> Status,
    destroy: unsafe extern "C" fn(*mut Program) -> Status,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> Status,
    log_size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    log: unsafe extern "C" fn(Program, *mut c_char) -> Status,
    code_size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    code: unsafe extern "C" fn(Program, *mut c_char) -> Status,
    assembly_size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    assembly: unsafe extern "C" fn(Program, *mut c_char) -> Status,
    words: unsafe extern "C" fn(Status) -> *const c_char,
    /// Has the compiler ask whether to go on. Not in all versions.
    flow: Option<unsafe extern "C" fn(Program, Callback, *mut c_void) -> Status>,
}

/// What became of a program.
pub enum Outcome {
    /// Code for the GPU.
    Code(Vec<u8>),
    /// The compiler's words about an error in the text.
    Refused(String),
    /// It failed in another way.
    Failed(String),
}

const ERROR_COMPILATION: Status = 6;
const ERROR_CANCELLED: Status = 16;

/// What the compiler asks now and then: 1 when the time is over. `end` is an [`Instant`].
unsafe extern "C" fn is_late(end: *mut c_void, _reserved: *mut c_void) -> c_int {
    // SAFETY: the instant outlives the compilation, which alone calls this, and nothing changes it.
    let end = unsafe { *end.cast::<Instant>() };
    c_int::from(Instant::now() > end)
}

/// The compiler, or the places where it was looked for.
pub fn get() -> Result<&'static Nvrtc, &'static str> {
    static FOUND: OnceLock<Result<Nvrtc, String>> = OnceLock::new();
    FOUND
        .get_or_init(find)
        .as_ref()
        .map_err(std::string::String::as_str)
}

fn find() -> Result<Nvrtc, String> {
    let mut tried = Vec::new();
    for name in candidates() {
        match load(&name) {
            Ok(found) => return Ok(found),
            Err(problem) => tried.push(problem),
        }
    }
    Err(tried.join(", "))
}

/// Names and paths, in the order in which they are tried.
fn candidates() -> Vec<String> {
    const NAMES: [&str; 2] = ["libnvrtc.so.13", "libnvrtc.so.12"];
    if let Some(path) = env::var("ZMLX_NVRTC").ok().filter(|p| !p.is_empty()) {
        return vec![path];
    }
    let mut all: Vec<String> = NAMES.map(str::to_owned).to_vec();
    let homes = ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(env::var_os)
        .map(PathBuf::from);
    for home in homes.chain([PathBuf::from("/usr/local/cuda")]) {
        for folder in ["lib64", "lib"] {
            let files = NAMES.map(|name| home.join(folder).join(name));
            all.extend(
                files
                    .iter()
                    .filter(|f| f.is_file())
                    .map(|f| f.to_string_lossy().into_owned()),
            );
        }
    }
    all
}

/// The compiler loads a second library by name alone, which the loader finds where it is loaded already.
fn load_builtins(name: &str) {
    let folder = Path::new(name)
        .parent()
        .filter(|f| !f.as_os_str().is_empty());
    let Some(Ok(files)) = folder.map(std::fs::read_dir) else {
        return;
    };
    for file in files.flatten() {
        let file_name = file.file_name();
        let builtins = file_name
            .to_str()
            .is_some_and(|n| n.starts_with("libnvrtc-builtins.so."));
        if builtins {
            // SAFETY: it holds tables and has no initializers of note.
            let library = unsafe { Library::new(file.path()) };
            // Whatever is wrong with it, the compiler will say.
            let _ = library.map(std::mem::forget);
        }
    }
}

fn load(name: &str) -> Result<Nvrtc, String> {
    let missing = |e: libloading::Error| format!("{name}: {e}");
    load_builtins(name);
    // SAFETY: the compiler's initializers are those that MLX's CUDA build runs by linking to it.
    let library = unsafe { Library::new(name) }.map_err(missing)?;
    // SAFETY: the functions have had these types since CUDA 11.1, whatever the library's number.
    let mut nvrtc = unsafe {
        Nvrtc {
            version: (0, 0),
            name: name.to_owned(),
            create: *library.get(b"nvrtcCreateProgram\0").map_err(missing)?,
            destroy: *library.get(b"nvrtcDestroyProgram\0").map_err(missing)?,
            compile: *library.get(b"nvrtcCompileProgram\0").map_err(missing)?,
            log_size: *library.get(b"nvrtcGetProgramLogSize\0").map_err(missing)?,
            log: *library.get(b"nvrtcGetProgramLog\0").map_err(missing)?,
            code_size: *library.get(b"nvrtcGetCUBINSize\0").map_err(missing)?,
            code: *library.get(b"nvrtcGetCUBIN\0").map_err(missing)?,
            assembly_size: *library.get(b"nvrtcGetPTXSize\0").map_err(missing)?,
            assembly: *library.get(b"nvrtcGetPTX\0").map_err(missing)?,
            words: *library.get(b"nvrtcGetErrorString\0").map_err(missing)?,
            flow: library.get(b"nvrtcSetFlowCallback\0").ok().map(|f| *f),
        }
    };
    // SAFETY: as above; it writes two numbers.
    unsafe {
        let version: libloading::Symbol<
            '_,
            unsafe extern "C" fn(*mut c_int, *mut c_int) -> Status,
        > = library.get(b"nvrtcVersion\0").map_err(missing)?;
        version(&mut nvrtc.version.0, &mut nvrtc.version.1);
    }
    // For the life of the process, as MLX keeps it.
    std::mem::forget(library);
    Ok(nvrtc)
}

impl Nvrtc {
    /// Compiles one program. Calls of several threads do not disturb each other.
    pub fn compile(&'static self, text: &str, options: &[String]) -> Outcome {
        self.make(text, options, (self.code_size, self.code))
    }

    /// The assembly of a program, which is not held to a GPU's limits.
    pub fn assembly(&'static self, text: &str, options: &[String]) -> Result<String, String> {
        // For a virtual architecture the compiler stops there.
        let options: Vec<String> = options
            .iter()
            .map(|o| o.replace("--gpu-architecture=sm_", "--gpu-architecture=compute_"))
            .collect();
        match self.make(text, &options, (self.assembly_size, self.assembly)) {
            Outcome::Code(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Outcome::Refused(words) | Outcome::Failed(words) => Err(words),
        }
    }

    /// Waits for it as long as for any compiler.
    fn make(&'static self, text: &str, options: &[String], result: Bytes) -> Outcome {
        let limit = compile_limit();
        let (own_text, own_options) = (text.to_owned(), options.to_owned());
        let made = patience::within(limit, (text, options), move || {
            let mut end = Instant::now().checked_add(limit);
            loop {
                let made = self.make_here(&own_text, &own_options, result, &mut end);
                // Ended before its time, it is begun again: the compiler shares more between threads than it says.
                if made.is_some() || end.is_some_and(|end| Instant::now() > end) {
                    return made;
                }
            }
        });
        let made = made.map(|made| made.unwrap_or_else(|| Outcome::Failed(late(limit))));
        made.unwrap_or_else(|problem| {
            Outcome::Failed(match problem {
                Problem::Late(Reason::Slow) => late(limit),
                Problem::Late(Reason::Busy) => format!(
                    "{}: it reads one text at a time, and that of an earlier launch still keeps it busy",
                    late(limit)
                ),
                Problem::Late(Reason::Again) => format!(
                    "an earlier launch gave up waiting for it, and it has not finished with that text since ({COMPILE_TIMEOUT})"
                ),
                Problem::System(e) => e.to_string(),
            })
        })
    }

    /// Nothing when it was ended because of the time.
    fn make_here(
        &self,
        text: &str,
        options: &[String],
        (size, get): Bytes,
        end: &mut Option<Instant>,
    ) -> Option<Outcome> {
        let Ok(text) = CString::new(text) else {
            return Some(Outcome::Failed("the text holds a zero byte".into()));
        };
        let options: Vec<CString> = options
            .iter()
            .filter_map(|o| CString::new(o.as_str()).ok())
            .collect();
        let pointers: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
        let mut program: Program = std::ptr::null_mut();
        // SAFETY: all strings end in a zero and live until the program is destroyed, which happens
        // on every way out; sizes are those that the compiler asks for.
        unsafe {
            let made = (self.create)(
                &mut program,
                text.as_ptr(),
                c"kernel.cu".as_ptr(),
                0,
                std::ptr::null(),
                std::ptr::null(),
            );
            if made != 0 {
                return Some(Outcome::Failed(self.describe(made)));
            }
            if let (Some(flow), Some(end)) = (self.flow, end) {
                // Without it, it is only left behind when it is late.
                flow(program, is_late, std::ptr::from_mut(end).cast());
            }
            let status = (self.compile)(program, pointers.len() as c_int, pointers.as_ptr());
            let outcome = match status {
                0 => Some(
                    self.bytes(program, size, get)
                        .map_or_else(|s| Outcome::Failed(self.describe(s)), Outcome::Code),
                ),
                ERROR_CANCELLED if self.flow.is_some() => None,
                status => {
                    let log = self
                        .bytes(program, self.log_size, self.log)
                        .unwrap_or_default();
                    let log = String::from_utf8_lossy(&log);
                    let log = log.trim_end_matches('\0').to_owned();
                    Some(match status {
                        ERROR_COMPILATION => Outcome::Refused(log),
                        other => Outcome::Failed(format!("{} {log}", self.describe(other))),
                    })
                }
            };
            (self.destroy)(&mut program);
            outcome
        }
    }

    /// # Safety
    /// `size` and `get` must belong together, and `program` must be alive.
    unsafe fn bytes(
        &self,
        program: Program,
        size: unsafe extern "C" fn(Program, *mut usize) -> Status,
        get: unsafe extern "C" fn(Program, *mut c_char) -> Status,
    ) -> Result<Vec<u8>, Status> {
        let mut n = 0usize;
        // SAFETY: the first call says how many bytes the second writes.
        unsafe {
            match size(program, &mut n) {
                0 => {}
                status => return Err(status),
            }
            let mut bytes = vec![0u8; n];
            match get(program, bytes.as_mut_ptr().cast()) {
                0 => Ok(bytes),
                status => Err(status),
            }
        }
    }

    fn describe(&self, status: Status) -> String {
        // SAFETY: the compiler gives a constant string for any number.
        let words = unsafe { (self.words)(status) };
        if words.is_null() {
            return format!("error {status}");
        }
        // SAFETY: as above.
        unsafe { CStr::from_ptr(words) }
            .to_string_lossy()
            .into_owned()
    }
}

fn late(limit: Duration) -> String {
    format!(
        "it did not finish within {limit:?} and is not waited for any longer ({COMPILE_TIMEOUT} sets the limit in seconds)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text without an end for the part that reads it, and one for the part that makes code of it. In a process of
    /// their own, which also has to end well while a thread is left behind.
    #[test]
    fn a_text_that_takes_too_long() {
        const NAME: &str = "engine::cuda::nvrtc::tests::a_text_that_takes_too_long";
        if let Err(tried) = get() {
            eprintln!("skipped: no NVRTC ({tried})");
            return;
        }
        if env::var(COMPILE_TIMEOUT).is_ok_and(|limit| limit == "1.5") {
            return too_long();
        }
        let began = Instant::now();
        let ended = std::process::Command::new(env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(COMPILE_TIMEOUT, "1.5")
            .output()
            .unwrap();
        assert!(ended.status.success(), "{ended:?}");
        assert!(began.elapsed() < Duration::from_secs(150));
    }

    fn too_long() {
        const READING: &str = "
            constexpr long f(int n) { long r = 0; for (int i = 0; i < n; ++i) r += i * 3; return r; }
            template <int N> struct Y { static constexpr long v = Y<N - 1>::v + f(400000 + N); };
            template <> struct Y<0> { static constexpr long v = 0; };
            extern \"C\" __global__ void k(long* p) { p[0] = Y<400>::v; }";
        const MAKING: &str = "
            extern \"C\" __global__ void k(float* p) {
              #pragma unroll
              for (int i = 0; i < 300; ++i)
                #pragma unroll
                for (int j = 0; j < 300; ++j) p[i * 7 + j] = sinf(p[i + j * 5]) * p[j];
            }";
        let nvrtc = get().unwrap();
        let options = ["--gpu-architecture=sm_90", "--std=c++20"].map(str::to_owned);
        let small = "extern \"C\" __global__ void k(float* p) { p[0] = 1; }";
        let failed = |text| match nvrtc.compile(text, &options) {
            Outcome::Failed(why) => why,
            _ => panic!("it was in time"),
        };
        let began = Instant::now();
        let why = failed(MAKING);
        assert!(why.contains("did not finish within 1.5s"), "{why}");
        // It ends, and others go on; on a busy machine not within so short a time.
        let others = || loop {
            match nvrtc.compile(small, &options) {
                Outcome::Code(_) => break,
                Outcome::Refused(why) | Outcome::Failed(why) => {
                    assert!(why.contains(COMPILE_TIMEOUT), "{why}");
                    assert!(began.elapsed() < Duration::from_secs(100), "{why}");
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        };
        others();
        let why = failed(READING);
        assert!(why.contains("did not finish within 1.5s"), "{why}");
        let why = failed(READING);
        assert!(why.contains("earlier launch gave up"), "{why}");
        // Others may have to wait, but not for ever.
        let began = Instant::now();
        if let Outcome::Failed(why) = nvrtc.compile("// another", &options) {
            assert!(why.contains("keeps it busy"), "{why}");
        }
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
