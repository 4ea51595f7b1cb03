//! A connection: `asyncio.selector_events._SelectorSocketTransport`, `asyncio.unix_events._UnixReadPipeTransport` and
//! `_UnixWritePipeTransport`, without socket object, file and protocol. How the three differ is said by `channel` and
//! [`Reading`].
//!
//! Reading stays armed from message to message. A write is sent at once when nothing waits before it; what the socket
//! does not take is queued, and only then is the descriptor watched for writing. Called by yibu-python's transports;
//! calls `outgoing`, `flow`, `lifecycle`, and the driver.

use std::fmt;
use std::io;
use std::marker::PhantomData;

use yibu_driver::{Fd, Interest, Lease, Op, OpId, Outcome, is_again};

use super::channel::{Channel, Socket};
use super::flow::{Flow, LimitsError};
use super::lifecycle::Lifecycle;
use super::ops::Ops;
use super::outgoing::Outgoing;
use super::upcall::{During, Rest, Step, Upcall};

/// Where received bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Into a buffer of the driver, for `data_received`.
    Lent,
    /// Into a buffer of the protocol, for `buffer_updated`.
    Buffered,
    /// Nothing is received: this is a writing end, and can be read when its reader has gone.
    PeerWatched,
    /// Nothing is received, and the kernel does not tell when the reader has gone.
    Nothing,
}

/// Why a write was not even tried.
#[derive(Debug)]
pub enum WriteError {
    /// `write_eof` was called before.
    AfterEof,
    /// `sendfile` or TLS waits for the buffer to drain, to use the socket directly.
    SendfileInProgress,
    /// The kernel does not watch the descriptor.
    Unwatched(io::Error),
    /// There is no memory to keep the data.
    NoMemory,
}

impl WriteError {
    /// asyncio's text for the `RuntimeError`, given the method called; `None` for what is another error.
    pub fn text(&self, method: &str) -> Option<String> {
        match self {
            Self::AfterEof => Some(format!("Cannot call {method}() after write_eof()")),
            Self::SendfileInProgress => Some(format!("unable to {method}; sendfile is in progress")),
            Self::Unwatched(_) | Self::NoMemory => None,
        }
    }
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

/// What [`Stream::coalesce`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coalesced {
    /// The data waits, and nothing waited before: see to it that `send_coalesced` is called.
    First,
    /// The data waits with what waited before.
    Joined,
    /// Nothing was taken: `send_coalesced`, then `write`.
    Refused,
}

/// How much may wait for [`Stream::send_coalesced`], in bytes. More is sent at once: joining large writes saves nothing, and flow
/// control has to see them.
const COALESCED_MAX: usize = 32 * 1024;

/// One connection. Chunks of type `C` hold what could not be sent at once.
///
/// The embedder keeps the descriptor open until `connection_lost` has been called, and hands every outcome of the
/// operations [`Stream::read_op`] and [`Stream::write_op`] to [`Stream::on_outcome`]. Methods that return a `bool`
/// return true when `connection_lost` is to be called at the next turn; that happens at most once in all,
/// [`Upcall::Fatal`] and [`Upcall::ConnectionLost`] included.
///
/// Of many connections none is in the processor's nearest cache when its turn comes: what every message looks at is kept
/// together, and first.
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
    /// All of `outgoing` was written since the last [`Stream::send_coalesced`], and nothing of it was tried to be sent.
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

    /// asyncio's `_conn_lost`: the writes that came too late, and one for the end of the connection itself where the channel
    /// counts it.
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
            Reading::Lent => Some(K::reading(self.fd)),
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

    // Writing.

    /// `write`. Sends what it can and keeps the rest as `make_chunk(n)`, a chunk of `data[n..]`.
    #[inline]
    pub fn write(
        &mut self,
        ops: &mut impl Ops,
        data: &[u8],
        make_chunk: impl FnOnce(usize) -> C,
    ) -> Result<Option<Upcall>, WriteError> {
        self.check_writable()?;
        if data.is_empty() {
            return Ok(None);
        }
        if self.refuses() {
            return Ok(Some(self.write_lost()));
        }
        let mut sent = 0;
        if self.outgoing.is_empty() {
            match K::send(ops.driver(), self.fd, data) {
                Ok(n) if n >= data.len() => return Ok(None),
                Ok(n) => sent = n,
                Err(error) if is_again(&error) => {}
                Err(error) => return Ok(self.fatal(ops, During::Writing, error)),
            }
            self.watch_writing(ops)?;
        }
        if !self.outgoing.make_room() {
            return Err(WriteError::NoMemory);
        }
        self.outgoing.push(make_chunk(sent));
        Ok(self.maybe_pause())
    }

    /// `write` that leaves the sending to [`Stream::send_coalesced`], so that several small writes become one. `make_chunk` is called
    /// when the answer is not [`Coalesced::Refused`].
    #[inline]
    pub fn coalesce(&mut self, len: usize, make_chunk: impl FnOnce() -> C) -> Result<Coalesced, WriteError> {
        self.check_writable()?;
        let coalescing = self.coalescing;
        if len == 0
            || self.refuses()
            || (self.outgoing.is_empty() == coalescing)
            || self.outgoing.size() + len > COALESCED_MAX
        {
            return Ok(Coalesced::Refused);
        }
        if !self.outgoing.make_room() {
            return Err(WriteError::NoMemory);
        }
        self.outgoing.push(make_chunk());
        self.coalescing = true;
        Ok(if coalescing { Coalesced::Joined } else { Coalesced::First })
    }

    /// Whether written data waits for [`Stream::send_coalesced`].
    #[inline]
    pub const fn is_coalescing(&self) -> bool {
        self.coalescing
    }

    /// Sends what [`Stream::coalesce`] has collected.
    pub fn send_coalesced(&mut self, ops: &mut impl Ops) -> Option<Upcall> {
        if !std::mem::take(&mut self.coalescing) || self.lifecycle.is_lost() {
            return None;
        }
        self.flush(ops, true)
    }

    // Writing where the embedder sends: through a socket object whose methods are a program's own.

    /// From now on the embedder sends what waits, tells [`Stream::sent`], and is told to shut down.
    pub fn embed(&mut self) {
        self.embedded = true;
    }

    /// Whether what is written now is to be sent at once: nothing waits before it, and it does not come too late.
    pub const fn sends_at_once(&self) -> bool {
        self.outgoing.is_empty() && !self.refuses()
    }

    /// `write` of `len` bytes of which `sent` have been sent already. The rest is kept as what `make_chunk` makes.
    pub fn write_rest(
        &mut self,
        ops: &mut impl Ops,
        len: usize,
        sent: usize,
        make_chunk: impl FnOnce() -> C,
    ) -> Result<Option<Upcall>, WriteError> {
        self.check_writable()?;
        if self.refuses() {
            return Ok((len != 0).then(|| self.write_lost()));
        }
        if sent >= len {
            return Ok(None);
        }
        self.watch_writing(ops)?;
        self.outgoing.push(make_chunk());
        Ok(self.maybe_pause())
    }

    /// `writelines`, without sending. True when there is something to send.
    pub fn queue(&mut self, chunks: impl IntoIterator<Item = C>) -> Result<Result<bool, Upcall>, WriteError> {
        self.check_writable()?;
        if self.refuses() {
            return Ok(Err(self.write_lost()));
        }
        for chunk in chunks {
            self.outgoing.push(chunk);
        }
        Ok(Ok(!self.outgoing.is_empty()))
    }

    /// Takes back what [`Stream::coalesce`] arranged. True when there is something to send.
    pub fn stop_coalescing(&mut self) -> bool {
        std::mem::take(&mut self.coalescing) && !self.lifecycle.is_lost()
    }

    /// The first `count` bytes of what waits have been sent; `queued_first` after `queue` and `stop_coalescing`.
    pub fn sent(&mut self, ops: &mut impl Ops, count: usize, queued_first: bool) -> Option<Upcall> {
        self.outgoing.advance(count);
        self.after_sending(ops, queued_first)
    }

    /// `write_eof`. True when the embedder is to shut down now.
    pub fn end_writing(&mut self) -> bool {
        if self.lifecycle.is_closing() || self.eof {
            return false;
        }
        self.eof = true;
        self.outgoing.is_empty()
    }

    /// `writelines`: queues the chunks, then sends with one call what it can of everything.
    pub fn writelines(
        &mut self,
        ops: &mut impl Ops,
        chunks: impl IntoIterator<Item = C>,
    ) -> Result<Option<Upcall>, WriteError> {
        self.check_writable()?;
        if self.refuses() {
            return Ok(Some(self.write_lost()));
        }
        for chunk in chunks {
            if !self.outgoing.make_room() {
                return Err(WriteError::NoMemory);
            }
            self.outgoing.push(chunk);
        }
        Ok(if self.outgoing.is_empty() { None } else { self.flush(ops, true) })
    }

    /// Whether `write` and `writelines` are allowed, before anything is said about their arguments.
    #[inline]
    pub fn check_writable(&self) -> Result<(), WriteError> {
        if self.eof {
            Err(WriteError::AfterEof)
        } else if self.drain_watched {
            Err(WriteError::SendfileInProgress)
        } else {
            Ok(())
        }
    }

    /// `write_eof`: nothing more will be written. The peer hears of it when everything has been sent.
    pub fn write_eof(&mut self, ops: &mut impl Ops) -> io::Result<()> {
        if self.lifecycle.is_closing() || self.eof {
            return Ok(());
        }
        self.eof = true;
        if self.outgoing.is_empty() { ops.driver().shutdown_write(self.fd) } else { Ok(()) }
    }

    /// Forbids writing and asks for [`Upcall::Drained`]; true when nothing waits to be sent, and no upcall will come.
    pub fn watch_drain(&mut self) -> bool {
        self.drain_watched = true;
        self.outgoing.is_empty()
    }

    /// Whether `watch_drain` is in force.
    pub const fn is_drain_watched(&self) -> bool {
        self.drain_watched
    }

    /// Allows writing again.
    pub fn unwatch_drain(&mut self) {
        self.drain_watched = false;
    }

    /// Goes on after [`Upcall::ResumeWriting`] and [`Upcall::Drained`].
    pub fn go_on(&mut self, ops: &mut impl Ops, rest: Rest) -> Option<Upcall> {
        match rest.0 {
            Step::Settle { queued_first } => self.settle(ops, queued_first),
            Step::Finish => self.finish(ops),
        }
    }

    /// Sends what waits.
    fn flush(&mut self, ops: &mut impl Ops, queued_first: bool) -> Option<Upcall> {
        match self.outgoing.send::<K>(ops.driver(), self.fd) {
            Ok(_) => self.after_sending(ops, queued_first),
            Err(error) if is_again(&error) => self.keep(ops, queued_first),
            Err(error) => self.fatal(ops, During::Writing, error),
        }
    }

    #[inline]
    fn after_sending(&mut self, ops: &mut impl Ops, queued_first: bool) -> Option<Upcall> {
        if (!K::RESUMES_WHEN_EMPTY || self.outgoing.is_empty()) && self.flow.shrank(self.outgoing.size()) {
            // The protocol may write or close before it is seen whether anything is left.
            return Some(Upcall::ResumeWriting(Rest(Step::Settle { queued_first })));
        }
        self.settle(ops, queued_first)
    }

    /// Either something is left, or it is over.
    fn settle(&mut self, ops: &mut impl Ops, queued_first: bool) -> Option<Upcall> {
        if self.lifecycle.is_lost() {
            return None; // by the protocol, in `resume_writing`
        }
        if !self.outgoing.is_empty() {
            return self.keep(ops, queued_first);
        }
        self.unwatch_writing(ops);
        if self.drain_watched { Some(Upcall::Drained(Rest(Step::Finish))) } else { self.finish(ops) }
    }

    /// Something is left. `writelines` has still to see to it that it is sent, and that not too much piles up.
    fn keep(&mut self, ops: &mut impl Ops, queued_first: bool) -> Option<Upcall> {
        if !queued_first {
            return None;
        }
        match self.watch_writing(ops) {
            Ok(()) => self.maybe_pause(),
            Err(WriteError::Unwatched(error)) => Some(Upcall::Raise(error)),
            Err(_) => None,
        }
    }

    fn finish(&mut self, ops: &mut impl Ops) -> Option<Upcall> {
        if !self.outgoing.is_empty() {
            return None;
        }
        if self.lifecycle.is_closing() {
            self.stop_reading(ops);
            return self.lifecycle.lose(K::EVERY_END_COUNTS).then_some(Upcall::ConnectionLost);
        }
        if self.eof && self.embedded {
            return Some(Upcall::ShutDown);
        }
        if self.eof {
            return ops.driver().shutdown_write(self.fd).err().map(Upcall::Raise);
        }
        None
    }

    fn watch_writing(&mut self, ops: &mut impl Ops) -> Result<(), WriteError> {
        if self.write_op.is_none() {
            let op = Op::Poll { fd: self.fd, interest: Interest::Write };
            self.write_op = Some(ops.submit(op).map_err(WriteError::Unwatched)?);
        }
        Ok(())
    }

    fn unwatch_writing(&mut self, ops: &mut impl Ops) {
        if let Some(id) = self.write_op.take() {
            ops.cancel(id);
        }
    }

    fn maybe_pause(&mut self) -> Option<Upcall> {
        self.flow.grew(self.outgoing.size()).then_some(Upcall::PauseWriting)
    }

    /// Whether what is written now comes too late.
    #[inline]
    const fn refuses(&self) -> bool {
        self.lifecycle.is_lost() || (K::CLOSING_REFUSES && self.lifecycle.is_closing())
    }

    fn write_lost(&mut self) -> Upcall {
        Upcall::LostWrite(self.lifecycle.write_lost())
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

    /// Follows [`Upcall::PeerClosed`]: sends no more. How many bytes nobody will read, or nothing when the connection was lost
    /// before.
    pub fn hang_up(&mut self, ops: &mut impl Ops) -> Option<usize> {
        let unsent = self.outgoing.size();
        self.abort(ops).then_some(unsent)
    }

    /// `abort`, and `_force_close` after the protocol failed: sends no more. Which exception `connection_lost` gets is the
    /// caller's to know.
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

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwatched(error) => error.fmt(f),
            Self::NoMemory => f.write_str("out of memory"),
            refused => f.write_str(&refused.text("write").unwrap_or_default()),
        }
    }
}

impl std::error::Error for WriteError {}

/// Gives back a buffer whose bytes are not needed.
#[cold]
fn recycled(ops: &mut impl Ops, lease: Lease) -> Option<Upcall> {
    ops.driver().recycle(lease);
    None
}
