//! Several processes, on one machine or many, that work on one thing: `mlx/distributed`.
//!
//! Each process runs the same program, has a rank from 0 to the number of processes, and takes part in the same
//! operations in the same order. What connects them is a [`Backend`] of MLX, which reads its settings from the environment:
//!
//! | backend | where | environment |
//! |---|---|---|
//! | ring | CPU, over TCP | `MLX_RANK`, and `MLX_HOSTFILE`: a JSON list with a list of `"address:port"` for each rank |
//! | nccl | NVIDIA GPUs, one process a GPU | `MLX_RANK`, `MLX_WORLD_SIZE`, `NCCL_HOST_IP`, `NCCL_PORT`, a `CUDA_VISIBLE_DEVICES` of each process's own |
//! | mpi | wherever an MPI library is installed | that of `mpirun` |
//! | jaccl | Macs with RDMA over Thunderbolt | `MLX_RANK`, `MLX_IBV_DEVICES`, `MLX_JACCL_COORDINATOR` |
//!
//! `cargo run --example launch -- -n 4 -- PROGRAM` starts four processes on this machine with the ring's settings, and [`Ring`] does so for
//! a program of your own.
//!
//! Operations are lazy, as all are. A process that waits for another one that never takes part waits for ever.
//!
//! ```
//! use zmlx::{Array, distributed};
//!
//! # fn main() -> zmlx::Result<()> {
//! // Without settings it is a group of one process, in which sums are what they add.
//! let group = distributed::init()?;
//! let x = Array::from_slice(&[1.0f32, 2.0], 2)?;
//! let sum = group.all_sum(&x)?;
//! assert_eq!(sum.shape(), [2]);
//! # Ok(())
//! # }
//! ```

mod average;
mod group;
mod ring;

pub use self::group::Group;
pub use self::ring::{Ring, Said};

use std::fmt;
use std::sync::Mutex;

use crate::bridge::distributed::ffi;
use crate::error::Lift as _;
use crate::stream::enter;
use crate::{Error, Result};

/// What connects the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// TCP, neighbour to neighbour; computes on the CPU.
    Ring,
    /// NVIDIA's library.
    Nccl,
    /// A library of the Message Passing Interface.
    Mpi,
    /// RDMA over Thunderbolt.
    Jaccl,
}

impl Backend {
    fn name(self) -> &'static str {
        match self {
            Backend::Ring => "ring",
            Backend::Nccl => "nccl",
            Backend::Mpi => "mpi",
            Backend::Jaccl => "jaccl",
        }
    }

    /// Whether this MLX has the backend and what it needs is installed.
    ///
    /// # Errors
    /// What MLX says.
    #[track_caller]
    pub fn is_available(self) -> Result<bool> {
        enter();
        ffi::is_available(self.name()).lift()
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// MLX keeps the groups in a table that it does not lock.
static GROUPS: Mutex<()> = Mutex::new(());

/// The group of all processes, by the first backend whose settings are there: NCCL where MLX runs on CUDA, the ring, MPI, JACCL. Without settings it is
/// a group of this process alone.
///
/// # Errors
/// [`Error::Mlx`] where settings are there and do not work.
#[track_caller]
pub fn init() -> Result<Group> {
    connect_by(false, "any")
}

/// The group of all processes, by this backend and no other.
///
/// # Errors
/// [`Error::Argument`] if this MLX does not have the backend, [`Error::Mlx`] where its settings are missing or do not work.
#[track_caller]
pub fn connect(backend: Backend) -> Result<Group> {
    if !backend.is_available()? {
        return Err(Error::argument(
            "backend",
            "one that is available here",
            backend,
        ));
    }
    connect_by(true, backend.name())
}

#[track_caller]
fn connect_by(strict: bool, backend: &str) -> Result<Group> {
    enter();
    let _alone = GROUPS.lock().unwrap_or_else(|e| e.into_inner());
    Group::wrap(ffi::init(strict, backend).lift()?)
}

/// Forgets the groups, so that the next [`init`] connects anew. Groups that are still held stay connected.
///
/// # Errors
/// What MLX says.
#[track_caller]
pub fn clear() -> Result<()> {
    enter();
    let _alone = GROUPS.lock().unwrap_or_else(|e| e.into_inner());
    ffi::clear_backends().lift()
}
