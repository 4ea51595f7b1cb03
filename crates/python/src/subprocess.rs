//! Child processes as streams: `asyncio.subprocess`, native.
//!
//! | file | holds |
//! |---|---|
//! | `process` | `Process`: what a program has of its child |
//! | `communicate` | the coroutines of `Process.communicate` |
//! | `protocol` | `SubprocessStreamProtocol`: from the child's transport to the streams |
//! | `creating` | `create_subprocess_exec`, `create_subprocess_shell` |
//!
//! Called by programs; calls `subprocess_exec` and `subprocess_shell` of the running loop, whichever it is.

mod communicate;
mod creating;
mod process;
mod protocol;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::ffi::{Class, Table};
use crate::stock;
use crate::streams::FlowControl;

/// Makes the classes and adds the functions.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    crate::classes::add::<process::Process>(module)?;
    let bases = PyTuple::new(py, [&FlowControl::class(py), stock::subprocess_protocol(py)?])?;
    let protocol = Table::<protocol::SubprocessStreamProtocol>::build_with_bases(&bases)?;
    module.add(protocol.name()?, &protocol)?;
    creating::register(module)
}
