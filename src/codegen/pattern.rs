//! What a kernel's text depends on beside the program: how its arrays lie, and how threads go over them.

/// Where a kernel finds an input's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Access {
    /// Not read, so not passed.
    Unused,
    /// A 0-d array, which MLX passes as a reference.
    Value,
    /// One element.
    First,
    /// As large as the result: one value for each element.
    Full,
    /// One value for each row.
    Column,
    /// One row for all.
    Shared,
    /// Any other broadcast with a value for each element of a row; where a row starts comes from strides.
    Rows,
    /// Any other broadcast with one value a row.
    Starts,
}

impl Access {
    /// How an input whose rows are made of parts is read. A part of one element is still a part: a row of two such parts has no one
    /// value. Parts that are broadcast along the row have no pointers, so there is no way to read them.
    pub(super) fn of_parts(self, as_long: bool) -> Option<Access> {
        match self {
            Access::Unused | Access::Full | Access::Shared | Access::Rows => Some(self),
            Access::First if as_long => Some(Access::Shared),
            Access::Column if as_long => Some(Access::Full),
            Access::Starts if as_long => Some(Access::Rows),
            _ => None,
        }
    }
}

/// How threads and elements meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Form {
    /// A thread for each element.
    Flat,
    /// A thread for each block of neighbours, in arrays of whole blocks.
    Blocks,
    /// A threadgroup for each row, whose length is that of the first full input.
    Rows,
    /// The same, with lengths and strides in an input of their own.
    Strided,
    /// A thread for each row.
    Serial,
    /// The same, with lengths and strides in an input of their own.
    SerialStrided,
}

impl Form {
    /// Whether sizes come as an input.
    pub(crate) fn has_dims(self) -> bool {
        matches!(self, Form::Strided | Form::SerialStrided)
    }
}

/// How a thread goes over a row, where a group of threads has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Walk {
    /// In memory, once for each pass.
    Loop,
    /// The group has the whole row in its registers.
    Held,
    /// The group has one piece of the row after the other in its registers.
    Pieces,
}

/// The most arrays that a kernel takes: Metal has 31 places for buffers.
pub(crate) const MOST_BUFFERS: usize = 30;

/// Where values wait that two passes over a row need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Keeps {
    /// They are computed twice.
    No,
    /// In the output, which is as exact as they are.
    InOutput,
    /// In an array of the thread, which has the row for itself.
    Aside,
}

/// What a kernel's text depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    pub(crate) form: Form,
    accesses: u128,
    pub(crate) walk: Walk,
    /// Where values that the last pass computed wait for the end; see [`super::keep`].
    pub(crate) keeps: Keeps,
    /// Whether blocks are read as floats, and written from them, see `kernels/floats.metal`.
    pub(crate) floats: bool,
    /// Whether the next row is asked of memory while this one is computed, as a CPU that takes one row after the other should.
    pub(crate) ahead: bool,
}

impl Pattern {
    pub(crate) fn new(form: Form, accesses: impl IntoIterator<Item = Access>) -> Pattern {
        let mut pattern = Pattern::unread(form);
        for (i, access) in accesses.into_iter().enumerate() {
            pattern.read(i, access);
        }
        pattern
    }

    /// Without any argument.
    pub(super) fn unread(form: Form) -> Pattern {
        Pattern {
            form,
            accesses: 0,
            walk: Walk::Loop,
            keeps: Keeps::No,
            floats: false,
            ahead: false,
        }
    }

    /// Says once how the argument with this number, below [`MOST_BUFFERS`], is read.
    pub(super) fn read(&mut self, i: usize, access: Access) {
        self.accesses |= (access as u128) << (4 * i);
    }

    /// How the argument with this number is read.
    pub(crate) fn access(&self, i: usize) -> Access {
        match (self.accesses >> (4 * i)) & 15 {
            1 => Access::Value,
            2 => Access::First,
            3 => Access::Full,
            4 => Access::Column,
            5 => Access::Shared,
            6 => Access::Rows,
            7 => Access::Starts,
            _ => Access::Unused,
        }
    }
}
