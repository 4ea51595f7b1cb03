//! Streams: `asyncio.streams`, native.
//!
//! | file | holds |
//! |---|---|
//! | `reader` | `StreamReader`: what has arrived, and the one task that waits for more |
//! | `content` | the bytes themselves |
//! | `reading` | the coroutines of a reader: `read`, `readline`, ... |
//! | `flow` | `FlowControlMixin`: tasks that wait in `drain()` |
//! | `protocol` | `StreamReaderProtocol`: from the transport to the reader |
//! | `writer` | `StreamWriter` |
//! | `connecting` | `open_connection`, `start_server` and their kin |
//!
//! From a native transport bytes reach the reader without a Python call: `protocol` registers a
//! [`Receiver`](receiver::Receiver).

mod connecting;
mod content;
mod flow;
mod protocol;
mod reader;
mod reading;
mod writer;

pub use flow::{FlowControl, init_base};
pub use protocol::{data_received, plain};
pub use reader::made as new_reader;
pub use reader::{DEFAULT_LIMIT, StreamReader, feed_eof, receive, set_exception, set_transport};
pub use writer::made as new_writer;

use pyo3::prelude::*;

use crate::ffi::Table;
use crate::stock;
use crate::transports::receiver;

/// Makes the classes and adds the functions.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::classes::add::<reader::StreamReader>(module)?;
    crate::classes::add::<writer::StreamWriter>(module)?;
    let flow = Table::<flow::FlowControl>::build(module.py(), Some(stock::protocol(module.py())?))?;
    module.add(flow.name()?, &flow)?;
    crate::classes::add_derived::<protocol::StreamReaderProtocol>(module, &flow)?;
    receiver::register(&protocol::RECEIVER)?;
    connecting::register(module)
}
