//! Transports as state machines: what a connection does, without the protocol it does it for.
//!
//! A machine is told what happened (an outcome of the driver, a call of the user) and returns what has to be
//! told to the protocol, as an [`Upcall`]. It never calls back, so user code may call into it again from
//! within an upcall (`write` in `data_received`) like from anywhere else. Called by yibu-python's transports;
//! calls the driver through [`Ops`].
//!
//! | file | holds |
//! |---|---|
//! | `stream` | one connection: TCP, Unix sockets, pipes |
//! | `channel` | how a socket and a pipe differ |
//! | `datagrams` | one datagram socket: UDP, Unix sockets |
//! | `read_again` | whether to receive the next datagram without a report of the kernel |
//! | `listener` | one listening socket |
//! | `outgoing` | what was written and not yet sent |
//! | `flow` | the water marks between "pause" and "resume" |
//! | `lifecycle` | open, closing, lost |
//! | `ops` | a machine's way to the kernel |
//! | `upcall` | what has to be told to the protocol |

mod channel;
mod datagrams;
mod flow;
mod lifecycle;
mod listener;
mod ops;
mod outgoing;
mod read_again;
mod stream;
mod upcall;

pub use channel::{Channel, Pipe, Socket};
pub use datagrams::{DatagramUpcall, Datagrams, Destination, Handed, Outbound};
pub use flow::{DEFAULT_HIGH, Flow, LimitsError};
pub use listener::{Accepting, Listener, OUT_OF_RESOURCES};
pub use ops::Ops;
pub use outgoing::Outgoing;
pub use stream::{Coalesced, ReadInto, Reading, Stream, WriteError};
pub use upcall::{During, Rest, Upcall};
