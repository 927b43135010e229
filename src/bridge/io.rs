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

    /// One metadata value of a GGUF file: nothing, an array, a text, texts, by `kind` 0, 1, 2, 3.
    struct GgufEntry {
        key: String,
        kind: u8,
        array: UniquePtr<Array>,
        texts: Vec<String>,
    }

    struct GgufFile {
        names: Vec<String>,
        arrays: UniquePtr<CxxVector<Array>>,
        metadata: Vec<GgufEntry>,
    }

    unsafe extern "C++" {
        include!("zmlx/io.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        fn load(file: &[u8], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn save(file: &[u8], a: &Array) -> Result<()>;
        fn load_bytes(data: &[u8], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn save_bytes(a: &Array) -> Result<UniquePtr<CxxString>>;

        fn load_safetensors(file: &[u8], s: StreamRef) -> Result<Named>;
        fn load_safetensors_bytes(data: &[u8], s: StreamRef) -> Result<Named>;
        fn save_safetensors(file: &[u8], arrays: &Named) -> Result<()>;
        fn save_safetensors_bytes(arrays: &Named) -> Result<UniquePtr<CxxString>>;

        fn load_gguf(file: &[u8], s: StreamRef) -> Result<GgufFile>;
        fn save_gguf(file: &[u8], content: &GgufFile) -> Result<()>;
    }
}
