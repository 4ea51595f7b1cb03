//! Transports as state machines: what a connection does, without the protocol it does it for.
//!
//! A machine is told what happened (an outcome of the driver, a call of the user) and returns what has to be told to
//! the protocol, as an [`Upcall`]. It never calls back, so user code may call into it again from within an upcall
//! (`write` in `data_received`) like from anywhere else. Called by yibu-python's transports; calls the driver through [`Ops`].
//!
//! | file | holds |
//! |---|---|
//! | `stream` | one connection: TCP, Unix sockets, pipes |
//! | `channel` | how a socket and a pipe differ |
//! | `datagrams` | one datagram socket: UDP, Unix sockets |
//! | `looks` | when to look for another datagram unasked |
//! | `listener` | one listening socket |
//! | `outgoing` | what was written and not yet sent |
//! | `flow` | the water marks between "pause" and "resume" |
//! | `lifecycle` | open, closing, lost |

use std::io;

use yibu_driver::{Driver, Lease, Op, OpId};

mod channel;
mod datagrams;
mod flow;
mod lifecycle;
mod listener;
mod looks;
mod outgoing;
mod stream;

pub use channel::{Channel, Pipe, Socket};
pub use datagrams::{DatagramUpcall, Datagrams, Destination, Handed, Outbound};
pub use flow::{DEFAULT_HIGH, Flow, LimitsError};
pub use listener::{Accepting, Listener, OUT_OF_RESOURCES};
pub use outgoing::Outgoing;
pub use stream::{Cork, ReadInto, Reading, Stream, WriteError};

/// A machine's way to the kernel. The embedder's implementation keeps track of whom an operation belongs to; a bare
/// driver keeps track of nothing.
pub trait Ops {
    /// For system calls that happen at once.
    fn driver(&mut self) -> &mut Driver;

    /// Arms an operation for the machine that asks.
    fn submit(&mut self, op: Op) -> io::Result<OpId>;

    /// Ends an operation of the machine that asks.
    fn cancel(&mut self, id: OpId);
}

impl Ops for Driver {
    fn driver(&mut self) -> &mut Driver {
        self
    }

    fn submit(&mut self, op: Op) -> io::Result<OpId> {
        Self::submit(self, op)
    }

    fn cancel(&mut self, id: OpId) {
        Self::cancel(self, id);
    }
}

/// What has to be done for a machine, with nothing of it borrowed.
#[derive(Debug)]
#[must_use = "an upcall that is not executed is a protocol left in the dark"]
pub enum Upcall {
    /// `data_received`, after the bytes were copied and the lease recycled.
    Data(Lease),
    /// A `BufferedProtocol` may read: `get_buffer`, [`Stream::read_into`], `buffer_updated`.
    Readable,
    /// `eof_received`; its answer goes to [`Stream::on_eof_reply`].
    Eof,
    /// The reader of what is written here has gone: then [`Stream::hang_up`].
    PeerClosed,
    /// `pause_writing`.
    PauseWriting,
    /// `resume_writing`, and then [`Stream::go_on`].
    ResumeWriting(Rest),
    /// Everything was sent and somebody asked to know ([`Stream::watch_drain`]). Then [`Stream::go_on`].
    Drained(Rest),
    /// The kernel gave the connection up, which is closed already. Report it as `_fatal_error` does, with the message
    /// of [`Channel::failure`], and call `connection_lost` with the same error at the next turn.
    Fatal {
        /// What was being done.
        during: During,
        /// What the kernel said.
        error: io::Error,
    },
    /// Everything was sent, and nothing more will be written: the embedder, which sends by itself, is to shut down.
    ShutDown,
    /// `connection_lost(None)` now: everything was sent and the transport was closed.
    ConnectionLost,
    /// A write that came too late, after so many others: log [`Channel::LOST_WRITE_WARNING`] when those are too many.
    LostWrite(u32),
    /// Raise from the callback that is running.
    Raise(io::Error),
}

/// What remains to be done after an upcall that lets the protocol act in between.
#[derive(Debug)]
#[must_use = "the transport stalls unless it is handed to Stream::go_on"]
pub struct Rest(stream::Step);

/// Which half of a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// Receiving.
    Reading,
    /// Sending.
    Writing,
}
