//! Counts of sources and outputs.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A class of counts: read, compared, shown, as a dict.
macro_rules! counts {
    ($(#[$doc:meta])* $class:ident of $counts:path { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)+ }) => {
        $(#[$doc])*
        #[pyclass(frozen, module = "framewire", eq)]
        #[derive(PartialEq)]
        pub(crate) struct $class($counts);

        impl From<$counts> for $class {
            fn from(counts: $counts) -> Self {
                Self(counts)
            }
        }

        #[pymethods]
        impl $class {
            $(
                $(#[$field_doc])*
                #[getter]
                fn $field(&self) -> $kind {
                    self.0.$field
                }
            )+

            /// Each count under its name.
            fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                let counts = PyDict::new(py);
                $(counts.set_item(stringify!($field), self.0.$field)?;)+
                Ok(counts)
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                // As Python writes them: True, not true.
                let counts = [$(format!(concat!(stringify!($field), "={}"), self.0.$field.into_bound_py_any(py)?.repr()?)),+];
                Ok(format!(concat!(stringify!($class), "({})"), counts.join(", ")))
            }
        }
    };
}

counts! {
    /// What became of the frames of a source.
    SourceStats of framewire_ends::SourceStats {
        /// Frames that this program took.
        taken: u64,
        /// Frames that newer ones took the place of before they were taken.
        dropped: u64,
        /// Frames that did not arrive whole, or for which no slot was free; 0 by shared memory.
        lost: u64,
        /// Frames that their source left out, as it says itself; 0 by shared memory.
        skipped: u64,
        /// Bytes of pixels taken.
        bytes: u64,
        /// Streams that have been read, the ended ones too.
        streams: u64,
        /// How often a stream's hub or sender was gone, and back.
        reconnects: u64,
        /// Slots of the streams that are open that frames and arrays of this program hold.
        held: usize,
    }
}

counts! {
    /// What became of the frames of an output.
    OutputStats of framewire_ends::OutputStats {
        /// Frames that were handed over.
        sent: u64,
        /// Frames that the receiver says it has whole; of those that are published, all.
        delivered: u64,
        /// Frames that gave way to newer ones, or that there was no slot for.
        skipped: u64,
        /// Bytes handed over, as the transport counts them.
        bytes: u64,
        /// Arrays whose items had to be put in C order before they were sent.
        reordered: u64,
        /// Readers in other processes, of published frames.
        readers: usize,
        /// Whether the receiver has opened the stream; a published one is open once it has begun.
        is_open: bool,
        /// The cipher that its datagrams are protected by, such as AES-128-GCM; None where they are plain, by shared memory, and while it is not open.
        protection: Option<&'static str>,
    }
}
