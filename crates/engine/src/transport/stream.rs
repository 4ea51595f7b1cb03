//! A connection: `asyncio.selector_events._SelectorSocketTransport`,
//! `asyncio.unix_events._UnixReadPipeTransport` and `_UnixWritePipeTransport`, without socket object, file
//! and protocol. How the three differ is said by `channel` and [`Reading`].
//!
//! Reading stays armed from message to message. A write is sent at once when nothing waits before it; what
//! the socket does not take is queued (`writing`). Called by yibu-python's transports; calls `outgoing`,
//! `flow`, `lifecycle`, and the driver.

mod writing;

use std::io;
use std::marker::PhantomData;

use yibu_driver::{Fd, Interest, Lease, Op, OpId, Outcome, is_again};

use super::channel::{Channel, Socket};
use super::flow::{Flow, LimitsError};
use super::lifecycle::Lifecycle;
use super::ops::Ops;
use super::outgoing::Outgoing;
use super::upcall::{During, Upcall};

pub use writing::{Coalesced, WriteError};

/// Where received bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Into a buffer of the driver, for `data_received`.
    Leased,
    /// Into a buffer of the protocol, for `buffer_updated`.
    Buffered,
    /// Nothing is received: this is a writing end, and can be read when its reader has gone.
    PeerWatched,
    /// Nothing is received, and the kernel does not tell when the reader has gone.
    Nothing,
}

/// What came of [`Stream::read_into`].
#[derive(Debug)]
pub enum ReadInto {
    /// So many bytes: `buffer_updated`.
    Bytes(usize),
    /// Nothing to read after all.
    Nothing,
    /// The end of the stream, or of the connection.
    Upcall(Upcall),
}

/// One connection. Chunks of type `C` hold what could not be sent at once.
///
/// The embedder keeps the descriptor open until `connection_lost` has been called, and hands every outcome of
/// the operations [`Stream::read_op`] and [`Stream::write_op`] to [`Stream::on_outcome`]. Methods that return
/// a `bool` return true when `connection_lost` is to be called at the next turn; that happens at most once in
/// all, [`Upcall::Fatal`] and [`Upcall::ConnectionLost`] included.
///
/// Of many connections none is in the processor's nearest cache when its turn comes: what every message looks
/// at is kept together, and first.
#[derive(Debug)]
#[repr(C)]
pub struct Stream<C, K = Socket> {
    fd: Fd,
    reading: Reading,
    paused: bool,
    eof: bool,
    drain_watched: bool,
    read_op: Option<OpId>,
    write_op: Option<OpId>,
    lifecycle: Lifecycle,
    /// The embedder sends and shuts down by itself: see [`Stream::embed`].
    embedded: bool,
    /// All of `outgoing` was written since the last [`Stream::send_coalesced`], and nothing of it was tried
    /// to be sent.
    coalescing: bool,
    outgoing: Outgoing<C>,
    flow: Flow,
    channel: PhantomData<K>,
}

impl<C: AsRef<[u8]>, K: Channel> Stream<C, K> {
    /// A stream on a connected, non-blocking descriptor. It does not read yet.
    pub fn new(fd: Fd, reading: Reading) -> Self {
        Self {
            fd,
            outgoing: Outgoing::default(),
            flow: Flow::default(),
            lifecycle: Lifecycle::default(),
            reading,
            read_op: None,
            write_op: None,
            paused: false,
            eof: false,
            drain_watched: false,
            embedded: false,
            coalescing: false,
            channel: PhantomData,
        }
    }

    /// The descriptor.
    pub const fn fd(&self) -> Fd {
        self.fd
    }

    /// The armed reading operation.
    pub const fn read_op(&self) -> Option<OpId> {
        self.read_op
    }

    /// The armed writing operation.
    pub const fn write_op(&self) -> Option<OpId> {
        self.write_op
    }

    /// `is_closing`.
    pub const fn is_closing(&self) -> bool {
        self.lifecycle.is_closing()
    }

    /// Whether `connection_lost` has been called or is going to be.
    pub const fn is_lost(&self) -> bool {
        self.lifecycle.is_lost()
    }

    /// asyncio's `_conn_lost`: the writes that came too late, and one for the end of the connection itself
    /// where the channel counts it.
    pub const fn lost_count(&self) -> u32 {
        self.lifecycle.lost_count()
    }

    /// What waits to be sent, in order.
    pub fn unsent(&self) -> impl Iterator<Item = &[u8]> {
        self.outgoing.chunks()
    }

    /// `is_reading`.
    pub const fn is_reading(&self) -> bool {
        !self.lifecycle.is_closing() && !self.paused
    }

    /// Whether `pause_reading` is in force.
    pub const fn is_reading_paused(&self) -> bool {
        self.paused
    }

    /// Whether `write_eof` was called.
    pub const fn is_eof_written(&self) -> bool {
        self.eof
    }

    /// Whether `pause_writing` was called last.
    pub const fn is_writing_paused(&self) -> bool {
        self.flow.is_paused()
    }

    /// `get_write_buffer_size`.
    pub const fn write_buffer_size(&self) -> usize {
        self.outgoing.size()
    }

    /// `get_write_buffer_limits`: low, high.
    pub const fn write_buffer_limits(&self) -> (i64, i64) {
        self.flow.limits()
    }

    /// `set_write_buffer_limits`.
    pub fn set_write_buffer_limits(
        &mut self,
        high: Option<i64>,
        low: Option<i64>,
    ) -> Result<Option<Upcall>, LimitsError> {
        self.flow.set_limits(high, low)?;
        Ok(self.maybe_pause())
    }

    // Reading.

    /// Arms reading, unless paused or closing; after `connection_made`.
    pub fn start_reading(&mut self, ops: &mut impl Ops) -> io::Result<()> {
        if self.is_reading()
            && self.read_op.is_none()
            && let Some(op) = self.reading_op()
        {
            self.read_op = Some(ops.submit(op)?);
        }
        Ok(())
    }

    /// The operation by which it reads.
    fn reading_op(&self) -> Option<Op> {
        match self.reading {
            Reading::Leased => Some(K::reading(self.fd)),
            Reading::Buffered | Reading::PeerWatched => {
                Some(Op::Poll { fd: self.fd, interest: Interest::Read })
            }
            Reading::Nothing => None,
        }
    }

    /// `pause_reading`. Nothing happens when it does not read; where that is an error, the caller knows.
    pub fn pause_reading(&mut self, ops: &mut impl Ops) {
        if self.is_reading() {
            self.paused = true;
            self.stop_reading(ops);
        }
    }

    /// `resume_reading`. Nothing happens when it is not paused; where that is an error, the caller knows.
    pub fn resume_reading(&mut self, ops: &mut impl Ops) -> io::Result<()> {
        if self.lifecycle.is_closing() || !std::mem::take(&mut self.paused) {
            return Ok(());
        }
        ops.driver().submits_again(self.fd);
        self.start_reading(ops)
    }

    /// Follows `set_protocol`: where bytes go from now on.
    pub fn set_reading(&mut self, ops: &mut impl Ops, reading: Reading) -> io::Result<()> {
        if std::mem::replace(&mut self.reading, reading) == reading {
            return Ok(());
        }
        let (Some(id), next) = (self.read_op, self.reading_op()) else { return Ok(()) };
        // What has been reported already goes to the next protocol.
        if next.is_some_and(|op| ops.driver().alter(id, op)) {
            return Ok(());
        }
        self.stop_reading(ops);
        self.start_reading(ops)
    }

    /// Takes an outcome of one of its operations. Outcomes of others are recycled and come to nothing.
    #[inline]
    pub fn on_outcome(&mut self, ops: &mut impl Ops, id: OpId, outcome: Outcome) -> Option<Upcall> {
        if self.read_op == Some(id) {
            return match outcome {
                Outcome::Bytes(lease) => Some(Upcall::Data(lease)),
                Outcome::Ready if self.reading == Reading::PeerWatched => Some(Upcall::PeerClosed),
                Outcome::Ready => Some(Upcall::Readable),
                Outcome::Eof => Some(Upcall::Eof),
                Outcome::Failed(error) => self.fatal(ops, During::Reading, error),
                Outcome::Datagram(lease, _) => recycled(ops, lease),
                Outcome::Again | Outcome::Accepted(..) => None,
            };
        }
        match outcome {
            Outcome::Bytes(lease) | Outcome::Datagram(lease, _) => recycled(ops, lease),
            _ if self.write_op == Some(id) => self.flush(ops, false),
            _ => None,
        }
    }

    /// Reads into the buffer of a `BufferedProtocol`, which is not empty.
    pub fn read_into(&mut self, ops: &mut impl Ops, buf: &mut [u8]) -> ReadInto {
        if self.lifecycle.is_lost() {
            return ReadInto::Nothing;
        }
        match K::read_into(ops.driver(), self.fd, buf) {
            Ok(0) => ReadInto::Upcall(Upcall::Eof),
            Ok(n) => ReadInto::Bytes(n),
            Err(error) if is_again(&error) => ReadInto::Nothing,
            Err(error) => self.fatal(ops, During::Reading, error).map_or(ReadInto::Nothing, ReadInto::Upcall),
        }
    }

    /// What `eof_received` answered: go on writing, or close.
    pub fn on_eof_reply(&mut self, ops: &mut impl Ops, keep_open: bool) -> bool {
        if keep_open {
            // Nothing more can be received, and the end would be reported again and again.
            self.stop_reading(ops);
            false
        } else {
            self.close(ops)
        }
    }

    fn stop_reading(&mut self, ops: &mut impl Ops) {
        if let Some(id) = self.read_op.take() {
            ops.cancel(id);
        }
    }

    // Ending.

    /// `close`: reads no more, sends what waits, and is lost then. True when nothing waits.
    pub fn close(&mut self, ops: &mut impl Ops) -> bool {
        if !self.lifecycle.close() {
            return false;
        }
        // As long as something waits it matters that the peer is there.
        if self.outgoing.is_empty() || self.reading != Reading::PeerWatched {
            self.stop_reading(ops);
        }
        if !self.outgoing.is_empty() {
            return false;
        }
        self.unwatch_writing(ops);
        self.lifecycle.lose(K::EVERY_END_COUNTS)
    }

    /// Follows [`Upcall::PeerClosed`]: sends no more. How many bytes will not be read, or nothing when the
    /// connection was lost before.
    pub fn hang_up(&mut self, ops: &mut impl Ops) -> Option<usize> {
        let unsent = self.outgoing.size();
        self.abort(ops).then_some(unsent)
    }

    /// `abort`, and `_force_close` after the protocol failed: sends no more. Which exception
    /// `connection_lost` gets is the caller's to know.
    pub fn abort(&mut self, ops: &mut impl Ops) -> bool {
        self.end(ops, K::EVERY_END_COUNTS)
    }

    fn end(&mut self, ops: &mut impl Ops, counts: bool) -> bool {
        self.stop_reading(ops);
        self.unwatch_writing(ops);
        self.outgoing.clear();
        self.coalescing = false;
        self.lifecycle.lose(counts)
    }

    fn fatal(&mut self, ops: &mut impl Ops, during: During, error: io::Error) -> Option<Upcall> {
        let counts = K::EVERY_END_COUNTS || during == During::Writing;
        self.end(ops, counts).then_some(Upcall::Fatal { during, error })
    }
}

/// Gives back a buffer whose bytes are not needed.
#[cold]
fn recycled(ops: &mut impl Ops, lease: Lease) -> Option<Upcall> {
    ops.driver().recycle(lease);
    None
}
