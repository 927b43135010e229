//! A group of processes and its operations.

use std::fmt;
use std::marker::PhantomData;

use cxx::SharedPtr;

use crate::bridge::StreamRef;
use crate::bridge::distributed::ffi;
use crate::error::Lift as _;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Device, Dtype, Error, IntoShape, Result};

/// Processes that work together, as this one sees them. See [the module](super).
///
/// Every operation here is one that all processes of the group take part in, with arrays of one shape and dtype.
#[derive(Clone)]
pub struct Group {
    raw: SharedPtr<ffi::Group>,
    rank: i32,
    size: i32,
    /// Whether the operations may run on a GPU.
    gpu: bool,
    // As an `Array`, it stays on its thread.
    here: PhantomData<*const ()>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Group(rank {} of {})", self.rank, self.size)
    }
}

impl Group {
    #[track_caller]
    pub(super) fn wrap(raw: SharedPtr<ffi::Group>) -> Result<Self> {
        let Some(group) = raw.as_ref() else {
            return Err(Error::argument("group", "one from MLX", "nothing"));
        };
        let (rank, size) = (ffi::rank(group).lift()?, ffi::size(group).lift()?);
        // Nothing is sent in a group of one.
        let gpu = size == 1 || ffi::on_gpu(group).lift()?;
        Ok(Group {
            raw,
            rank,
            size,
            gpu,
            here: PhantomData,
        })
    }

    /// Where operations run: the ring, MPI and JACCL know CPUs alone.
    fn stream(&self) -> StreamRef {
        match self.gpu {
            true => current(),
            false => Device::CPU.default_stream(),
        }
    }

    fn raw(&self) -> &ffi::Group {
        &self.raw
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> i32 {
        self.rank
    }

    /// How many processes there are.
    pub fn size(&self) -> i32 {
        self.size
    }

    /// Smaller groups: of processes that give the same `color`, in the order of their `key`, or of their ranks without one. MPI can do this, the ring cannot.
    ///
    /// # Errors
    /// [`Error::Mlx`] where the backend cannot, [`Error::Argument`] for a key below 0.
    #[track_caller]
    pub fn split(&self, color: i32, key: impl Into<Option<i32>>) -> Result<Group> {
        let key = key.into();
        if let Some(key) = key.filter(|&key| key < 0) {
            return Err(Error::argument("key", "0 at least", key));
        }
        Group::wrap(ffi::split(self.raw(), color, key.unwrap_or(-1)).lift()?)
    }

    /// The sum of the processes' arrays, of their shape and dtype.
    ///
    /// # Errors
    /// What the backend says, here or in the evaluation.
    #[track_caller]
    pub fn all_sum(&self, x: &Array) -> Result<Array> {
        done(ffi::all_sum(x.raw(), self.raw(), self.stream()))
    }

    /// The largest of the processes' elements, each for itself.
    ///
    /// # Errors
    /// As [`all_sum`](Group::all_sum).
    #[track_caller]
    pub fn all_max(&self, x: &Array) -> Result<Array> {
        done(ffi::all_max(x.raw(), self.raw(), self.stream()))
    }

    /// The smallest of the processes' elements, each for itself.
    ///
    /// # Errors
    /// As [`all_sum`](Group::all_sum).
    #[track_caller]
    pub fn all_min(&self, x: &Array) -> Result<Array> {
        done(ffi::all_min(x.raw(), self.raw(), self.stream()))
    }

    /// The processes' arrays one behind the other along the first axis, in the order of ranks; numbers become an array of one axis.
    ///
    /// # Errors
    /// As [`all_sum`](Group::all_sum).
    #[track_caller]
    pub fn all_gather(&self, x: &Array) -> Result<Array> {
        // In a group of one MLX leaves a number as it is.
        let x = if x.ndim() == 0 { &x.reshape(1)? } else { x };
        done(ffi::all_gather(x.raw(), self.raw(), self.stream()))
    }

    /// This process's part of the sum: the first axis in as many parts as there are processes. NCCL and JACCL can do this, the ring cannot.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the first axis divides into so many parts; otherwise as [`all_sum`](Group::all_sum).
    #[track_caller]
    pub fn sum_scatter(&self, x: &Array) -> Result<Array> {
        if x.shape().first().is_none_or(|n| n % self.size != 0) {
            return Err(Error::shape(format!(
                "`x`: expected a first axis that divides into {} parts, got shape {:?}",
                self.size,
                x.shape()
            )));
        }
        done(ffi::sum_scatter(x.raw(), self.raw(), self.stream()))
    }

    /// Sends an array to the process of this rank, which has to [`recv`](Group::recv) it. The result is `x`; evaluating it is what sends.
    ///
    /// # Errors
    /// [`Error::Argument`] unless it is the rank of another process; otherwise as [`all_sum`](Group::all_sum). The ring sends to neighbours only.
    #[track_caller]
    pub fn send(&self, x: &Array, to: i32) -> Result<Array> {
        self.other("to", to)?;
        done(ffi::send(x.raw(), to, self.raw(), self.stream()))
    }

    /// The array that the process of this rank [sends](Group::send), which has this shape and dtype.
    ///
    /// # Errors
    /// As [`send`](Group::send), and [`Error::Shape`] for a shape that is none.
    #[track_caller]
    pub fn recv(&self, shape: impl IntoShape, dtype: Dtype, from: i32) -> Result<Array> {
        let shape = shape.into_shape()?;
        self.other("from", from)?;
        done(ffi::recv(&shape, dtype, from, self.raw(), self.stream()))
    }

    /// [`recv`](Group::recv) of an array of the shape and dtype of `x`.
    ///
    /// # Errors
    /// As [`recv`](Group::recv).
    #[track_caller]
    pub fn recv_like(&self, x: &Array, from: i32) -> Result<Array> {
        self.recv(x.shape(), x.dtype(), from)
    }

    #[track_caller]
    fn other(&self, argument: &str, rank: i32) -> Result<()> {
        if (0..self.size).contains(&rank) && rank != self.rank {
            return Ok(());
        }
        let expected = match self.size {
            1 => "a group of several processes".to_owned(),
            n => format!(
                "a rank from 0 to {}, other than this process's {}",
                n - 1,
                self.rank
            ),
        };
        Err(Error::argument(argument, expected, rank))
    }
}
