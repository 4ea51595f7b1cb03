//! Transports of child processes: `asyncio.base_subprocess`, native.
//!
//! | file | holds |
//! |---|---|
//! | `data` | the data of a `BaseSubprocessTransport` |
//! | `transport` | its attributes, signals, closing |
//! | `connecting` | the coroutine that connects the child's pipes to the loop |
//! | `ending` | what the pipes and the watcher report, in order, up to `connection_lost` |
//! | `pipes` | the protocols of the pipes |
//!
//! The child itself is started by a subclass, [`crate::unix_events`]. Everything between the loop, the pipes
//! and the protocol is called by name: a program may subclass any of them.

mod connecting;
mod data;
mod ending;
mod pipes;
mod transport;

pub use connecting::close_files;
pub use data::BaseSubprocessTransport;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::ffi::{Class, Table};
use crate::stock;

/// Makes the classes.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    crate::classes::add_derived::<BaseSubprocessTransport>(module, stock::subprocess_transport(py)?)?;
    crate::classes::add_derived::<pipes::WritePipe>(module, stock::base_protocol(py)?)?;
    let bases = PyTuple::new(py, [&pipes::WritePipe::class(py), stock::protocol(py)?])?;
    let read = Table::<pipes::ReadPipe>::build_with_bases(&bases)?;
    module.add(read.name()?, &read)
}
