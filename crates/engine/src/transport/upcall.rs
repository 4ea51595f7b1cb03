//! [`Upcall`]: what a stream's machine returns for the protocol to be told.

use std::io;

use yibu_driver::Lease;

/// What has to be done for a machine, with nothing of it borrowed.
#[derive(Debug)]
#[must_use = "an upcall that is not executed is a protocol left in the dark"]
pub enum Upcall {
    /// `data_received`, after the bytes were copied and the lease recycled.
    Data(Lease),
    /// A `BufferedProtocol` may read: `get_buffer`, [`Stream::read_into`](super::Stream::read_into),
    /// `buffer_updated`.
    Readable,
    /// `eof_received`; its answer goes to [`Stream::on_eof_reply`](super::Stream::on_eof_reply).
    Eof,
    /// The reader of what is written here has gone: then [`Stream::hang_up`](super::Stream::hang_up).
    PeerClosed,
    /// `pause_writing`.
    PauseWriting,
    /// `resume_writing`, and then [`Stream::go_on`](super::Stream::go_on).
    ResumeWriting(Rest),
    /// Everything was sent, and the transport was to tell so
    /// ([`Stream::watch_drain`](super::Stream::watch_drain)). Then [`Stream::go_on`](super::Stream::go_on).
    Drained(Rest),
    /// The kernel gave the connection up, which is closed already. Report it as `_fatal_error` does, with the
    /// message of [`Channel::failure`](super::Channel::failure), and call `connection_lost` with the same
    /// error at the next turn.
    Fatal {
        /// What was being done.
        during: During,
        /// What the kernel said.
        error: io::Error,
    },
    /// Everything was sent, and nothing more will be written: the embedder, which sends by itself, is to shut
    /// down.
    ShutDown,
    /// `connection_lost(None)` now: everything was sent and the transport was closed.
    ConnectionLost,
    /// A write that came too late, after so many others: log
    /// [`Channel::LOST_WRITE_WARNING`](super::Channel::LOST_WRITE_WARNING) when those are too many.
    LostWrite(u32),
    /// Raise from the callback that is running.
    Raise(io::Error),
}

/// What remains to be done after an upcall that lets the protocol act in between.
#[derive(Debug)]
#[must_use = "the transport stalls unless it is handed to Stream::go_on"]
pub struct Rest(pub(super) Step);

/// Which half of a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// Receiving.
    Reading,
    /// Sending.
    Writing,
}

/// What a `Rest` goes on with.
#[derive(Debug)]
pub(super) enum Step {
    /// After `resume_writing`: see whether everything has been sent.
    AfterResume {
        /// Chunks were queued before sending, by `writelines`.
        queued_first: bool,
    },
    /// Everything has been sent: say so to the peer, or be gone.
    Finish,
}
