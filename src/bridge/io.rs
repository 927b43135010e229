//! `mlx/io.h`. Paths travel as bytes.

#[cxx::bridge(namespace = "zmlx::io")]
pub(crate) mod ffi {
    /// One pair of a text metadata section.
    struct Entry {
        key: String,
        value: String,
    }

    /// Arrays with their names, in the same order, and text metadata.
    struct Named {
        names: Vec<String>,
        arrays: UniquePtr<CxxVector<Array>>,
        metadata: Vec<Entry>,
    }

    extern "Rust" {
        /// Where a file in memory grows.
        type Sink;
        /// False where there is no memory for it.
        fn append(self: &mut Sink, bytes: &[u8]) -> bool;
        fn written(self: &Sink) -> usize;
    }

    unsafe extern "C++" {
        include!("zmlx/io.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        #[namespace = "zmlx"]
        type Dtype = crate::Dtype;

        /// Where values come from: an open file, or bytes in memory.
        type Source;
        /// Takes the descriptor.
        fn file_source(fd: i32, name: &[u8]) -> Result<SharedPtr<Source>>;
        /// Copies the bytes.
        fn memory_source(data: &[u8]) -> Result<SharedPtr<Source>>;
        /// An array that is read when it is wanted; `header` is that of a npy file.
        fn lazy(
            source: SharedPtr<Source>,
            at: u64,
            header: &[u8],
            truth: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        /// The same at once; not for bools.
        fn read_now(
            source: &Source,
            at: u64,
            dims: &[i32],
            dtype: Dtype,
        ) -> Result<UniquePtr<Array>>;
        /// All of `out`.
        fn read_bytes(source: &Source, at: u64, out: &mut [u8]) -> Result<()>;

        fn save(file: &[u8], a: &Array) -> Result<()>;
        fn save_bytes(a: &Array, out: &mut Sink) -> Result<()>;

        fn save_safetensors(file: &[u8], arrays: &Named) -> Result<()>;
        fn save_safetensors_bytes(arrays: &Named, out: &mut Sink) -> Result<()>;
    }
}

/// The bytes of a file, which MLX writes piece by piece. They are held once where the room was asked for in advance.
pub(crate) struct Sink(Vec<u8>);

impl Sink {
    /// Room for `bytes`. Without the memory it begins empty, and the first piece fails.
    pub(crate) fn with_room(bytes: usize) -> Self {
        let mut all = Vec::new();
        let _ = all.try_reserve_exact(bytes);
        Sink(all)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn append(&mut self, bytes: &[u8]) -> bool {
        let room = self.0.try_reserve(bytes.len()).is_ok();
        if room {
            self.0.extend_from_slice(bytes);
        }
        room
    }

    fn written(&self) -> usize {
        self.0.len()
    }
}
