//! Devices and streams: where operations run.
//!
//! Operations take no stream argument. They run on the stream of the innermost
//! [`with_stream`] or [`with_device`] of the calling thread, otherwise on the
//! thread's default stream of the default device.

pub(crate) mod forced;

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, Once};

use self::forced::{Engine, forced};
use crate::bridge::StreamRef;
use crate::bridge::stream::ffi;
use crate::error::Lift;
use crate::{Error, Result};

/// A kind of processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// The processor the program runs on.
    Cpu,
    /// A graphics processor: Metal or CUDA.
    Gpu,
}

/// A processor that MLX can compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// CPU or GPU.
    pub kind: DeviceKind,
    /// Which one of its kind, from 0.
    pub index: i32,
}

impl Device {
    /// The CPU.
    pub const CPU: Device = Device {
        kind: DeviceKind::Cpu,
        index: 0,
    };
    /// The first GPU, which may not be there: see [`is_available`](Self::is_available).
    pub const GPU: Device = Device {
        kind: DeviceKind::Gpu,
        index: 0,
    };

    /// True when MLX was built for this device and the machine has it.
    #[track_caller]
    pub fn is_available(self) -> Result<bool> {
        ffi::device_available(self.default_stream()).lift()
    }

    /// How many devices of this kind there are.
    #[track_caller]
    pub fn count(kind: DeviceKind) -> Result<usize> {
        ffi::device_count(kind == DeviceKind::Gpu).lift()
    }

    /// What MLX says of the device: name, memory, architecture and the like.
    #[track_caller]
    pub fn info(self) -> Result<Vec<(String, String)>> {
        let facts = ffi::device_info(self.default_stream()).lift()?;
        Ok(facts.into_iter().map(|f| (f.key, f.value)).collect())
    }

    /// The device of operations outside [`with_device`] and [`with_stream`].
    #[track_caller]
    pub fn default_device() -> Result<Device> {
        enter();
        ffi::default_device().lift().map(Device::from)
    }

    /// Changes the default device of the process.
    ///
    /// # Errors
    /// [`Error::Argument`] once a second thread has used MLX: the setting is one
    /// unguarded global there. Use [`with_device`] then.
    #[track_caller]
    pub fn set_default(self) -> Result<()> {
        enter();
        let threads = THREADS.lock().unwrap_or_else(|e| e.into_inner());
        if *threads > 1 {
            return Err(Error::argument(
                "device",
                "to be set before a second thread uses MLX (use `with_device`)",
                format_args!("{} threads", *threads),
            ));
        }
        if !self.is_available()? {
            return Err(Error::argument("device", "one that is available", self));
        }
        ffi::set_default_device(self.default_stream()).lift()
    }

    /// The mark of "this device's default stream on the calling thread".
    pub(crate) fn default_stream(self) -> StreamRef {
        StreamRef {
            index: -1,
            device_index: self.index,
            gpu: self.kind == DeviceKind::Gpu,
        }
    }
}

impl From<StreamRef> for Device {
    fn from(s: StreamRef) -> Self {
        Device {
            kind: if s.gpu {
                DeviceKind::Gpu
            } else {
                DeviceKind::Cpu
            },
            index: s.device_index,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::Cpu => "cpu",
            DeviceKind::Gpu => "gpu",
        };
        write!(f, "{kind}:{}", self.index)
    }
}

/// A queue of work on a device. Belongs to the thread that made it.
///
/// A CPU stream owns an operating system thread for the life of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    raw: StreamRef,
    here: PhantomData<*const ()>,
}

impl Stream {
    /// A new stream of this thread.
    #[track_caller]
    pub fn new(device: Device) -> Result<Stream> {
        enter();
        if !device.is_available()? {
            return Err(Error::argument("device", "one that is available", device));
        }
        let raw = ffi::new_stream(device.default_stream()).lift()?;
        Ok(Stream::wrap(raw))
    }

    /// This thread's default stream of `device`.
    #[track_caller]
    pub fn default_for(device: Device) -> Result<Stream> {
        enter();
        ffi::resolve(device.default_stream())
            .lift()
            .map(Stream::wrap)
    }

    /// The stream that operations of this thread use now.
    #[track_caller]
    pub fn current() -> Result<Stream> {
        ffi::resolve(current()).lift().map(Stream::wrap)
    }

    /// Where the stream runs.
    pub fn device(&self) -> Device {
        self.raw.into()
    }

    /// MLX's number of the stream.
    pub fn index(&self) -> i32 {
        self.raw.index
    }

    /// Waits until everything on the stream is done.
    ///
    /// # Errors
    /// [`Error::Earlier`] when an asynchronous evaluation failed whose handle was dropped.
    #[track_caller]
    pub fn synchronize(&self) -> Result<()> {
        crate::eval::before()?;
        ffi::synchronize(self.raw).lift()
    }

    fn wrap(raw: StreamRef) -> Self {
        Stream {
            raw,
            here: PhantomData,
        }
    }
}

/// Waits until everything on the current stream is done.
///
/// # Errors
/// [`Error::Earlier`] when an asynchronous evaluation failed whose handle was dropped.
#[track_caller]
pub fn synchronize() -> Result<()> {
    crate::eval::before()?;
    ffi::synchronize(current()).lift()
}

/// Gives back the streams of this thread and its compiled functions' cache.
///
/// It is the last thing to do with MLX on a thread: operations fail after it. A
/// thread that ends does it by itself.
#[track_caller]
pub fn clear_streams() -> Result<()> {
    ffi::clear_streams().lift()
}

/// Runs `body` with `stream` as the stream of this thread's operations.
///
/// ```
/// use zmlx::{Array, Device, Stream, with_stream};
/// # fn main() -> zmlx::Result<()> {
/// let side = Stream::new(Device::CPU)?;
/// let y = with_stream(&side, || Array::from(3.0f32).square())?;
/// assert_eq!(y.item::<f32>()?, 9.0);
/// # Ok(())
/// # }
/// ```
pub fn with_stream<R>(stream: &Stream, body: impl FnOnce() -> R) -> R {
    scoped(stream.raw, body)
}

/// Runs `body` on this thread's default stream of `device`.
pub fn with_device<R>(device: Device, body: impl FnOnce() -> R) -> R {
    scoped(device.default_stream(), body)
}

/// Version of the MLX library in use, such as `0.32.4`.
#[track_caller]
pub fn mlx_version() -> Result<String> {
    ffi::mlx_version().lift()
}

fn scoped<R>(stream: StreamRef, body: impl FnOnce() -> R) -> R {
    struct Leave(Option<StreamRef>);
    impl Drop for Leave {
        fn drop(&mut self) {
            SCOPE.set(self.0);
        }
    }
    let _leave = Leave(SCOPE.replace(Some(stream)));
    body()
}

thread_local! {
    /// The stream of the innermost scope. It has no destructor, so that it serves those of
    /// other thread-locals.
    static SCOPE: Cell<Option<StreamRef>> = const { Cell::new(None) };
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

/// How many threads have used MLX. `set_default` writes MLX's global under this
/// lock only while it is one, so no thread can read it at the same time.
static THREADS: Mutex<usize> = Mutex::new(0);

/// Counts the calling thread among the users of MLX, before its first use.
pub(crate) fn enter() {
    if !ENTERED.get() {
        static FIRST: Once = Once::new();
        FIRST.call_once(|| {
            // A lower limit is slow, not wrong, and a user's later setting replaces it.
            let _ = ffi::keep_buffers();
        });
        *THREADS.lock().unwrap_or_else(|e| e.into_inner()) += 1;
        ENTERED.set(true);
    }
}

/// The stream argument of an operation on this thread.
pub(crate) fn current() -> StreamRef {
    enter();
    SCOPE.get().unwrap_or_else(|| {
        let default = match forced() {
            None => ffi::default_device(),
            Some(Engine::Cpu) => return Device::CPU.default_stream(),
            Some(_) => return Device::GPU.default_stream(),
        };
        match default {
            Ok(device) => device,
            // Reading a global cannot fail; the CPU is always there.
            Err(_) => Device::CPU.default_stream(),
        }
    })
}

#[cfg(test)]
mod tests {
    static_assertions::assert_not_impl_any!(super::Stream: Send, Sync);
}
