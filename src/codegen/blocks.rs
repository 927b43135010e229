//! Blocks of neighbours, which a GPU loads and stores with one instruction an array.

use std::ffi::OsString;
use std::sync::OnceLock;

use crate::Dtype;

/// What one instruction moves.
const BYTES: usize = 16;

/// From so many elements on; smaller arrays also lie in another address space.
const LEAST: u64 = 1024;

/// Elements that a thread of a CPU takes where some have 16 bits or are bool: enough to fill vector registers on the way to floats
/// and back.
const FLOATS: u64 = 64;

/// Whether a CPU reads and writes such arrays by blocks of floats: it converts one element alone at a high price, and g++ makes no
/// vectors of loads of bool.
pub(crate) fn floats(gpu: bool, compute: Dtype, mut dtypes: impl Iterator<Item = Dtype>) -> bool {
    !as_on_gpu(gpu)
        && compute == Dtype::Float32
        && dtypes.any(|d| matches!(d, Dtype::Float16 | Dtype::Bfloat16 | Dtype::Bool))
}

/// How many elements a thread takes of so many then; 1 where they are not made of whole blocks.
pub(crate) fn of_floats(size: u64) -> u64 {
    match size >= LEAST && size.is_multiple_of(FLOATS) {
        true => FLOATS,
        false => 1,
    }
}

/// How many elements a thread takes of arrays of these dtypes and this size; 1 where they are not made of
/// whole blocks, and on a CPU, whose compiler makes vectors of neighbouring threads.
pub(crate) fn block(gpu: bool, size: u64, dtypes: impl IntoIterator<Item = Dtype>) -> u64 {
    if !as_on_gpu(gpu) || size < LEAST {
        return 1;
    }
    let largest = dtypes.into_iter().map(Dtype::size).max().unwrap_or(BYTES);
    // Few lengths, so that dtypes of one byte compile no further.
    let block = (BYTES / largest.max(2)).max(1) as u64;
    if size.is_multiple_of(block) { block } else { 1 }
}

/// What `ZMLX_ROW_GROUPS` asks for on a CPU, so that the ways of GPUs can be tested there: `gpu`, or `teams` for one that
/// [multiplies for teams](multiplies_for_teams).
fn asked(what: &[&str]) -> bool {
    static ASKED: OnceLock<Option<OsString>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| std::env::var_os("ZMLX_ROW_GROUPS"));
    asked.as_ref().is_some_and(|v| what.iter().any(|w| v == w))
}

/// Whether work is shared out as on a GPU: where the stream is one's, or where it is asked for.
pub(crate) fn as_on_gpu(gpu: bool) -> bool {
    gpu || asked(&["gpu", "teams"])
}

/// Whether such work is multiplied for teams of four simdgroups (`kernels/tiles.metal`): by NVIDIA's sm_90 if there is enough of it to be
/// `busy`, or where it is asked for.
pub(crate) fn multiplies_for_teams(busy: bool) -> bool {
    let gpu = crate::stream::current().gpu;
    (busy && gpu && crate::engine::cuda::architecture() == Some("sm_90")) || asked(&["teams"])
}
