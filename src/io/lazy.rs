//! Arrays that are read from a file when they are wanted.

use std::fs::File;
use std::io::BufReader;
use std::os::fd::IntoRawFd;

use cxx::SharedPtr;

use super::check::Source;
use crate::bridge::io::ffi;
use crate::error::Lift;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Dtype, Result};

/// What has a header that was read, and values that are read later.
pub(super) trait Values {
    /// The values, for [`Lazy`].
    #[track_caller]
    fn values(self) -> Result<Lazy>;
}

/// Where the values of a file's arrays come from.
pub(super) struct Lazy(SharedPtr<ffi::Source>);

impl Values for Source<BufReader<File>> {
    #[track_caller]
    fn values(self) -> Result<Lazy> {
        let (file, name) = self.into_file()?;
        let source = ffi::file_source(file.into_raw_fd(), name.as_bytes()).lift()?;
        Ok(Lazy(source))
    }
}

impl Values for Source<std::io::Cursor<&[u8]>> {
    #[track_caller]
    fn values(self) -> Result<Lazy> {
        Ok(Lazy(ffi::memory_source(self.all()).lift()?))
    }
}

impl Lazy {
    /// An array of row-major values at `at`, little-endian or else `swapped`. Each byte of a bool but 0
    /// is true.
    #[track_caller]
    pub(super) fn array(
        &self,
        at: u64,
        swapped: bool,
        dtype: Dtype,
        dims: &[i32],
    ) -> Result<Array> {
        if dtype == Dtype::Complex64 && swapped {
            // MLX turns all eight bytes around, and with them the two numbers.
            let parts: Vec<i32> = dims.iter().copied().chain([2]).collect();
            let parts = self.array(at, swapped, Dtype::Float32, &parts)?;
            return parts.view(dtype)?.reshape(dims);
        }
        let header = header(dtype, swapped, dims);
        let truth = dtype == Dtype::Bool;
        done(ffi::lazy(self.0.clone(), at, &header, truth, current()))
    }

    /// The same of another dtype than bool, read at once.
    #[track_caller]
    pub(super) fn now(&self, at: u64, dtype: Dtype, dims: &[i32]) -> Result<Array> {
        done(ffi::read_now(&self.0, at, dims, dtype))
    }

    /// So many bytes.
    #[track_caller]
    pub(super) fn bytes(&self, at: u64, n: u64) -> Result<Vec<u8>> {
        // The header was compared with the file's length, so there are as many.
        let mut out = vec![0; n as usize];
        ffi::read_bytes(&self.0, at, &mut out).lift()?;
        Ok(out)
    }
}

/// The header of a npy file with such an array, which is how MLX is told what to read.
fn header(dtype: Dtype, swapped: bool, dims: &[i32]) -> Vec<u8> {
    let kind = match dtype {
        // As bytes: not every byte is a bool.
        Dtype::Bool | Dtype::Uint8 => "u1",
        Dtype::Uint16 => "u2",
        Dtype::Uint32 => "u4",
        Dtype::Uint64 => "u8",
        Dtype::Int8 => "i1",
        Dtype::Int16 => "i2",
        Dtype::Int32 => "i4",
        Dtype::Int64 => "i8",
        Dtype::Float16 => "f2",
        Dtype::Float32 => "f4",
        Dtype::Float64 => "f8",
        Dtype::Bfloat16 => "V2",
        Dtype::Complex64 => "c8",
    };
    let order = match (dtype.size(), swapped) {
        (1, _) => '|',
        (_, false) => '<',
        (_, true) => '>',
    };
    let dims: Vec<String> = dims.iter().map(i32::to_string).collect();
    let dims = dims.join(", ");
    let text =
        format!("{{'descr': '{order}{kind}', 'fortran_order': False, 'shape': ({dims}), }}\n");
    let mut header = b"\x93NUMPY\x02\x00".to_vec();
    header.extend((text.len() as u32).to_le_bytes());
    header.extend(text.as_bytes());
    header
}
