//! Finds elements of outputs that no thread wrote.

use std::{collections::HashSet, fmt, marker::PhantomData, slice};

use crate::engine::host::Buffer;

/// The bytes that outputs are filled with before the first and before the second run.
const PATTERNS: [u8; 2] = [0xa5, 0x5a];

/// An output that was not wholly written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritten {
    /// The output.
    pub output: String,
    /// How many of its elements no thread wrote.
    pub elements: u64,
    /// The first of them.
    pub first: u64,
    /// How many elements it has.
    pub of: u64,
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            output,
            elements,
            first,
            of,
        } = self;
        write!(
            f,
            "no thread wrote {elements} of the {of} elements of `{output}`, the first at {first}"
        )
    }
}

/// One output under watch.
struct Watched {
    index: usize,
    element: usize,
    /// No slice, since the kernel writes through pointers of its own meanwhile.
    data: *mut u8,
    len: usize,
    /// Elements that may be unwritten; all of them before the first run.
    suspects: Option<Vec<u64>>,
}

impl Watched {
    const fn count(&self) -> u64 {
        (self.len / self.element) as u64
    }

    fn is_suspicious(&self) -> bool {
        self.suspects.as_ref().is_some_and(|s| !s.is_empty())
    }
}

/// The outputs of one launch.
pub struct Probe<'a> {
    outputs: Vec<Watched>,
    runs: usize,
    buffers: PhantomData<&'a [Buffer]>,
}

impl<'a> Probe<'a> {
    /// Watches the buffers whose entry in `elements`, bytes of an element, is not 0.
    ///
    /// # Safety
    /// Those buffers are valid for their length while this lives, and only the kernel writes them.
    pub unsafe fn new(buffers: &'a [Buffer], elements: &[u32]) -> Self {
        let outputs = buffers
            .iter()
            .zip(elements)
            .enumerate()
            .filter(|(_, (buffer, element))| {
                **element > 0 && buffer.len > 0 && !buffer.data.is_null()
            })
            .map(|(index, (buffer, &element))| Watched {
                index,
                element: element as usize,
                data: buffer.data.cast(),
                len: buffer.len as usize,
                suspects: None,
            })
            .collect();
        Self {
            outputs,
            runs: 0,
            buffers: PhantomData,
        }
    }

    /// Prepares a run.
    pub fn fill(&mut self) {
        for output in &mut self.outputs {
            // SAFETY: `new`'s caller vouches for the memory, and no kernel runs now.
            unsafe { output.data.write_bytes(PATTERNS[self.runs % 2], output.len) };
        }
    }

    /// Looks at what a run left; whether that is certain.
    pub fn is_settled(&mut self) -> bool {
        let pattern = PATTERNS[self.runs % 2];
        self.runs += 1;
        for output in &mut self.outputs {
            // SAFETY: as above; a run has filled what was not.
            let bytes = unsafe { slice::from_raw_parts(output.data, output.len) };
            // Most elements differ in their first byte already.
            let untouched = |bytes: &[u8]| {
                bytes.first() == Some(&pattern) && bytes.iter().all(|&b| b == pattern)
            };
            let elements = bytes.chunks_exact(output.element).zip(0u64..);
            let found = elements
                .filter(|(bytes, _)| untouched(bytes))
                .map(|(_, at)| at);
            output.suspects = Some(match output.suspects.take() {
                None => found.collect(),
                Some(old) => {
                    let found: HashSet<u64> = found.collect();
                    old.into_iter().filter(|at| found.contains(at)).collect()
                }
            });
        }
        self.runs > 1 || !self.outputs.iter().any(Watched::is_suspicious)
    }

    /// The outputs that were not wholly written.
    pub fn unwritten(self, names: &[String]) -> Vec<Unwritten> {
        let found = self.outputs.into_iter().filter_map(|output| {
            let of = output.count();
            let suspects = output.suspects?;
            Some(Unwritten {
                output: names.get(output.index).cloned().unwrap_or_default(),
                elements: suspects.len() as u64,
                first: *suspects.first()?,
                of,
            })
        });
        found.collect()
    }
}
