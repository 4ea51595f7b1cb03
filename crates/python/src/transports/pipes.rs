//! `ReadPipeTransport` and `WritePipeTransport`: the two ends of pipes, FIFOs, terminals, and whatever else
//! programs read and write as files. `asyncio.unix_events._UnixReadPipeTransport` and
//! `_UnixWritePipeTransport`, native.
//!
//! Both are a [`Link`](super::link::Link) with the program's file object, [`End`](end::End); the engine's
//! [`Stream`](yibu_engine::transport::Stream) is told which of the two it is by how it reads. What they do as
//! sockets do is generic in the files beside this one, and listed in a `table` there. Each write is a call of
//! its own where the kernel takes it: a write to a pipe may be a message, or be atomic among those of other
//! processes. Made by the loop's `connect_read_pipe` and `connect_write_pipe`.

mod end;
mod read;
mod write;

pub use read::ReadPipeTransport;
pub use write::WritePipeTransport;

use pyo3::prelude::*;

use crate::classes;
use crate::stock;

/// Makes the classes.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    classes::add_derived::<ReadPipeTransport>(module, stock::read_transport(py)?)?;
    classes::add_derived::<WritePipeTransport>(module, stock::transport(py)?)?;
    read::complete(py)
}
