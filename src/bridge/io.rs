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
        fn save_bytes(a: &Array) -> Result<UniquePtr<CxxString>>;

        fn save_safetensors(file: &[u8], arrays: &Named) -> Result<()>;
        fn save_safetensors_bytes(arrays: &Named) -> Result<UniquePtr<CxxString>>;
    }
}
