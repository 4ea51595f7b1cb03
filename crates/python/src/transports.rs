//! Transports: sockets, pipes and datagram sockets. `asyncio.selector_events` and `asyncio.unix_events`,
//! native.
//!
//! | file | holds |
//! |---|---|
//! | `endpoint` | what every transport has ([`Endpoint`](endpoint::Endpoint)), and what each class does its own way ([`Transport`](endpoint::Transport)) |
//! | `closing` | how a transport ends: errors, `close`, `abort`, `connection_lost` |
//! | `link` | what every transport of a stream has ([`Link`](link::Link)), and what each class does its own way ([`StreamTransport`](link::StreamTransport)) |
//! | `reading`, `writing`, `attributes` | what transports of streams do in the same way, compiled for each class |
//! | `upcall` | where protocols are called |
//! | `receiver` | native protocols that take data without a call into Python |
//! | `by_methods` | sockets whose methods are the program's own |
//! | `connection` | a descriptor, the Python socket around it, extra information |
//! | `on_socket` | what transports of sockets have in common: the socket object, extra information |
//! | `descriptors` | which descriptors of a loop belong to transports |
//! | `reports` | what the exception handler and the log are told |
//! | `socket`, `pipes`, `datagram` | the classes |

mod attributes;
mod by_methods;
mod chunk;
mod closing;
mod connection;
pub mod datagram;
pub mod descriptors;
mod endpoint;
mod link;
mod on_socket;
pub mod pipes;
mod reading;
pub mod receiver;
mod reports;
mod socket;
mod upcall;
mod writing;

pub use connection::Accepted;
pub use datagram::DatagramTransport;
pub use socket::{
    Parts, ServerClass, SocketTransport, accept, descriptor, register_server, socket, watch_for_loss, write,
    write_copied,
};
pub use writing::water_marks;

use pyo3::prelude::*;

/// Makes the classes.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    socket::register(module)?;
    pipes::register(module)?;
    datagram::register(module)
}
