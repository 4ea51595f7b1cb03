//! The writing half of a stream: `write`, `writelines`, `write_eof`, and sending what waits.
//!
//! What the descriptor does not take at once is queued, and only then is the descriptor watched for writing.
//! A small write may wait for others, so that one system call sends them all ([`Stream::coalesce`]). Called
//! by the owner of the stream and by `stream`, for outcomes; calls `outgoing`, `flow`, `lifecycle`, and the
//! driver.

use std::fmt;
use std::io;

use yibu_driver::{Interest, Op, is_again};

use super::Stream;
use crate::transport::channel::Channel;
use crate::transport::ops::Ops;
use crate::transport::upcall::{During, Rest, Step, Upcall};

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

/// How much may wait for [`Stream::send_coalesced`], in bytes. More is sent at once: joining large writes
/// saves nothing, and flow control has to see them.
const COALESCED_MAX: usize = 32 * 1024;

impl<C: AsRef<[u8]>, K: Channel> Stream<C, K> {
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

    /// `write` that leaves the sending to [`Stream::send_coalesced`], so that several small writes become
    /// one. `make_chunk` is called when the answer is not [`Coalesced::Refused`].
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

    /// Whether what is written now is to be sent at once: nothing waits before it, and it does not come too
    /// late.
    pub const fn sends_at_once(&self) -> bool {
        self.outgoing.is_empty() && !self.refuses()
    }

    /// `write` of `len` bytes of which `sent` have been sent already. The rest is kept as what `make_chunk`
    /// makes.
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

    /// The first `count` bytes of what waits have been sent; `queued_first` after `queue` and
    /// `stop_coalescing`.
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

    /// Forbids writing and asks for [`Upcall::Drained`]; true when nothing waits to be sent, and no upcall
    /// will come.
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
            Step::AfterResume { queued_first } => self.keep_or_finish(ops, queued_first),
            Step::Finish => self.finish(ops),
        }
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self, ops: &mut impl Ops, queued_first: bool) -> Option<Upcall> {
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
            return Some(Upcall::ResumeWriting(Rest(Step::AfterResume { queued_first })));
        }
        self.keep_or_finish(ops, queued_first)
    }

    /// Either something is left, or it is over.
    fn keep_or_finish(&mut self, ops: &mut impl Ops, queued_first: bool) -> Option<Upcall> {
        if self.lifecycle.is_lost() {
            return None; // by the protocol, in `resume_writing`
        }
        if !self.outgoing.is_empty() {
            return self.keep(ops, queued_first);
        }
        self.unwatch_writing(ops);
        if self.drain_watched { Some(Upcall::Drained(Rest(Step::Finish))) } else { self.finish(ops) }
    }

    /// Something is left. `writelines` has still to see to it that it is sent, and that not too much piles
    /// up.
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

    pub(super) fn unwatch_writing(&mut self, ops: &mut impl Ops) {
        if let Some(id) = self.write_op.take() {
            ops.cancel(id);
        }
    }

    pub(super) fn maybe_pause(&mut self) -> Option<Upcall> {
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
