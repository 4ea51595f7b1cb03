//! A datagram socket: `asyncio.selector_events._SelectorDatagramTransport` without socket object and
//! protocol.
//!
//! A datagram is sent at once when none waits before it. What the socket does not take is queued, whole, and
//! only then is the descriptor watched for writing. A refused datagram is its sender's to hear of and ends
//! nothing: the socket goes on. Called by yibu-python's datagram transports; calls `flow`, `lifecycle`,
//! `read_again`, and the driver.

use std::collections::VecDeque;
use std::io;
use yibu_driver::memory::{self, MakeRoom};

use yibu_driver::{Fd, Interest, Lease, Op, OpId, Outcome, SocketAddrAny, is_again};

use super::flow::{Flow, LimitsError};
use super::lifecycle::Lifecycle;
use super::ops::Ops;
use super::read_again::ReadAgain;

/// Where a datagram goes.
#[derive(Debug)]
pub enum Destination<'a> {
    /// To the peer that the socket is connected with.
    Connected,
    /// To an address of the kernel's form.
    To(&'a SocketAddrAny),
    /// Only the embedder can tell, and sends it itself: [`DatagramUpcall::HandOver`].
    Embedder,
}

/// A datagram that waits to be sent.
pub trait Outbound {
    /// Its content.
    fn bytes(&self) -> &[u8];

    /// Where it goes.
    fn destination(&self) -> Destination<'_>;
}

/// What has to be done for a datagram socket, with nothing of it borrowed.
#[derive(Debug)]
#[must_use = "an upcall that is not executed is a protocol left in the dark"]
pub enum DatagramUpcall<D> {
    /// `datagram_received`, after the bytes were copied and the lease recycled.
    Received(Lease, Option<SocketAddrAny>),
    /// Something can be received, by the embedder itself.
    Readable,
    /// `error_received`.
    Error(io::Error),
    /// `pause_writing`.
    PauseWriting,
    /// `resume_writing`, and then [`Datagrams::end_if_sent`].
    ResumeWriting,
    /// Send this one, and tell [`Datagrams::handed_over`] what came of it.
    HandOver(D),
    /// `connection_lost(None)` now: everything was sent and the transport was closed.
    ConnectionLost,
    /// A datagram after the end, and so many others before it: log what [`Socket`](super::Socket) says of
    /// that when those are too many.
    LostSend(u32),
    /// Raise from the callback that is running: the kernel does not watch the descriptor.
    Raise(io::Error),
}

/// What came of a datagram that the embedder sent.
#[derive(Debug)]
pub enum Handed<D> {
    /// It is on its way.
    Done,
    /// The socket is full: it comes first when there is room.
    Again(D),
    /// It was refused, and the protocol has heard of it. What else waits is sent after the next report, as in
    /// asyncio.
    Refused,
}

/// One datagram socket. Values of type `D` hold what could not be sent at once.
///
/// The embedder keeps the descriptor open until `connection_lost` has been called, and hands every outcome of
/// the operations [`Datagrams::read_op`] and [`Datagrams::write_op`] to [`Datagrams::on_outcome`]. Methods
/// that return a `bool` return true when `connection_lost` is to be called at the next turn; that happens at
/// most once in all, [`DatagramUpcall::ConnectionLost`] included.
#[derive(Debug)]
pub struct Datagrams<D> {
    fd: Fd,
    /// Whether the driver receives; the embedder does otherwise.
    leased: bool,
    paused: bool,
    /// Whether every datagram goes to the same address: then none is sent after the end.
    fixed: bool,
    /// What each datagram in the queue counts beside its bytes.
    header: usize,
    read_op: Option<OpId>,
    write_op: Option<OpId>,
    lifecycle: Lifecycle,
    read_again: ReadAgain,
    size: usize,
    queue: VecDeque<D>,
    flow: Flow,
}

impl<D: Outbound> Datagrams<D> {
    /// A machine for a datagram socket. It does not read yet.
    ///
    /// With `leased` the driver receives, into its own buffer; the embedder does otherwise. `fixed` says that
    /// all datagrams go to one address. Each counts `header` bytes more than it has, as long as it waits.
    pub fn new(fd: Fd, leased: bool, fixed: bool, header: usize) -> Self {
        Self {
            fd,
            leased,
            paused: false,
            fixed,
            header,
            read_op: None,
            write_op: None,
            lifecycle: Lifecycle::default(),
            read_again: ReadAgain::default(),
            size: 0,
            queue: VecDeque::new(),
            flow: Flow::default(),
        }
    }

    /// The armed reading operation.
    pub const fn read_op(&self) -> Option<OpId> {
        self.read_op
    }

    /// The armed writing operation.
    pub const fn write_op(&self) -> Option<OpId> {
        self.write_op
    }

    /// Whether all datagrams go to one address.
    pub const fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// `is_closing`.
    pub const fn is_closing(&self) -> bool {
        self.lifecycle.is_closing()
    }

    /// Whether `connection_lost` has been called or is going to be.
    pub const fn is_lost(&self) -> bool {
        self.lifecycle.is_lost()
    }

    /// asyncio's `_conn_lost`: the datagrams that came too late, and one for an end that did not wait for the
    /// queue.
    pub const fn lost_count(&self) -> u32 {
        self.lifecycle.lost_count()
    }

    /// `is_reading`.
    pub const fn is_reading(&self) -> bool {
        !self.lifecycle.is_closing() && !self.paused
    }

    /// Whether `pause_reading` is in force.
    pub const fn is_reading_paused(&self) -> bool {
        self.paused
    }

    /// Whether `pause_writing` was called last.
    pub const fn is_writing_paused(&self) -> bool {
        self.flow.is_paused()
    }

    /// What waits to be sent, in order.
    pub const fn queue(&self) -> &VecDeque<D> {
        &self.queue
    }

    /// Takes the queued datagrams out, unsent, when all references of a transport are cleared.
    pub fn forget(&mut self) -> VecDeque<D> {
        self.size = 0;
        std::mem::take(&mut self.queue)
    }

    /// `get_write_buffer_size`.
    pub const fn write_buffer_size(&self) -> usize {
        self.size
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
    ) -> Result<Option<DatagramUpcall<D>>, LimitsError> {
        self.flow.set_limits(high, low)?;
        Ok(self.maybe_pause())
    }

    // Receiving.

    /// Arms reading, unless paused or closing; after `connection_made`.
    pub fn start_reading(&mut self, ops: &mut impl Ops) -> io::Result<()> {
        if self.is_reading() && self.read_op.is_none() {
            self.read_op = Some(ops.submit(if self.leased {
                Op::RecvFrom { fd: self.fd }
            } else {
                Op::Poll { fd: self.fd, interest: Interest::Read }
            })?);
        }
        Ok(())
    }

    /// `pause_reading`. Nothing happens when it does not read.
    pub fn pause_reading(&mut self, ops: &mut impl Ops) {
        if self.is_reading() {
            self.paused = true;
            self.stop_reading(ops);
        }
    }

    /// `resume_reading`. Nothing happens when it is not paused.
    pub fn resume_reading(&mut self, ops: &mut impl Ops) -> io::Result<()> {
        if self.lifecycle.is_closing() || !self.paused {
            return Ok(());
        }
        self.paused = false;
        self.start_reading(ops)
    }

    /// Takes the outcome of an operation. The outcome of an operation that is not this machine's is recycled.
    #[inline]
    pub fn on_outcome(
        &mut self,
        ops: &mut impl Ops,
        id: OpId,
        outcome: Outcome,
    ) -> Option<DatagramUpcall<D>> {
        if self.read_op == Some(id) {
            return match outcome {
                Outcome::Datagram(lease, sender) => {
                    self.read_again.received();
                    Some(DatagramUpcall::Received(lease, sender))
                }
                Outcome::Failed(error) => Some(DatagramUpcall::Error(error)),
                Outcome::Ready => Some(DatagramUpcall::Readable),
                Outcome::Again => {
                    self.read_again.found_nothing();
                    None
                }
                Outcome::Bytes(_) | Outcome::Eof | Outcome::Accepted(..) => None,
            };
        }
        if let Outcome::Datagram(lease, _) = outcome {
            ops.driver().recycle(lease);
            return None;
        }
        if self.write_op == Some(id) { self.flush(ops) } else { None }
    }

    /// Whether to receive another datagram in the next turn without waiting for a report, by
    /// [`Datagrams::begin_read_again`]. To be asked when the received datagram has been handled, so that
    /// callbacks which the protocol scheduled run first, as they would before a report.
    #[inline]
    pub fn expects_more(&mut self) -> bool {
        self.read_again.schedule()
    }

    /// The operation to finish without a report; `None` if the socket does not read any more.
    pub fn begin_read_again(&mut self) -> Option<OpId> {
        self.read_again.begin(self.read_op.is_some());
        self.read_op
    }

    fn stop_reading(&mut self, ops: &mut impl Ops) {
        if let Some(id) = self.read_op.take() {
            ops.cancel(id);
        }
    }

    // Sending.

    /// Counts a datagram that comes after the end, and says so: it is not to be sent. Where they do not all
    /// go to one address, asyncio leaves it to the socket as long as that is not `gone`; then it stumbles
    /// over that, and here the datagram is dropped, too.
    #[inline]
    pub fn comes_too_late(&mut self, gone: bool) -> Option<DatagramUpcall<D>> {
        let counted = self.fixed && self.lifecycle.lost_count() != 0;
        (counted || gone).then(|| DatagramUpcall::LostSend(self.lifecycle.write_lost()))
    }

    /// `sendto`, once it is not too late: sends the datagram, or keeps it as `keep` makes it.
    #[inline]
    pub fn send(
        &mut self,
        ops: &mut impl Ops,
        data: &[u8],
        to: Option<&SocketAddrAny>,
        keep: impl FnOnce() -> D,
    ) -> Option<DatagramUpcall<D>> {
        if self.queue.is_empty() {
            match ops.driver().send_to(self.fd, data, to) {
                Ok(_) => return None,
                Err(error) if is_again(&error) => {}
                Err(error) => return Some(DatagramUpcall::Error(error)),
            }
        }
        self.keep(ops, keep())
    }

    /// Queues a datagram: the socket is full, or others wait before it.
    pub fn keep(&mut self, ops: &mut impl Ops, datagram: D) -> Option<DatagramUpcall<D>> {
        if !self.queue.make_room(1) {
            return Some(DatagramUpcall::Raise(memory::exhausted()));
        }
        if self.write_op.is_none() {
            match ops.submit(Op::Poll { fd: self.fd, interest: Interest::Write }) {
                Ok(id) => self.write_op = Some(id),
                Err(error) => return Some(DatagramUpcall::Raise(error)),
            }
        }
        self.size += self.weight(&datagram);
        self.queue.push_back(datagram);
        self.maybe_pause()
    }

    /// Sends what waits, as far as the socket takes it: `_sendto_ready`.
    pub fn flush(&mut self, ops: &mut impl Ops) -> Option<DatagramUpcall<D>> {
        while let Some(first) = self.queue.front() {
            let sent = match first.destination() {
                Destination::Connected => ops.driver().send_to(self.fd, first.bytes(), None),
                Destination::To(address) => ops.driver().send_to(self.fd, first.bytes(), Some(address)),
                Destination::Embedder => return self.take_first().map(DatagramUpcall::HandOver),
            };
            match sent {
                Ok(_) => drop(self.take_first()),
                Err(error) if is_again(&error) => break,
                Err(error) => {
                    drop(self.take_first());
                    return Some(DatagramUpcall::Error(error));
                }
            }
        }
        self.flushed(ops)
    }

    /// Goes on after [`DatagramUpcall::HandOver`].
    pub fn handed_over(&mut self, ops: &mut impl Ops, came_of_it: Handed<D>) -> Option<DatagramUpcall<D>> {
        match came_of_it {
            Handed::Done => self.flush(ops),
            Handed::Again(datagram) => {
                self.size += self.weight(&datagram);
                self.queue.push_front(datagram);
                self.flushed(ops)
            }
            Handed::Refused => None,
        }
    }

    fn flushed(&mut self, ops: &mut impl Ops) -> Option<DatagramUpcall<D>> {
        // The protocol may send or close before it is seen whether anything is left.
        if self.flow.shrank(self.size) { Some(DatagramUpcall::ResumeWriting) } else { self.end_if_sent(ops) }
    }

    /// Either something is left, or it is over. Also what follows [`DatagramUpcall::ResumeWriting`].
    pub fn end_if_sent(&mut self, ops: &mut impl Ops) -> Option<DatagramUpcall<D>> {
        if !self.queue.is_empty() || self.lifecycle.is_lost() {
            return None;
        }
        self.unwatch_writing(ops);
        (self.lifecycle.is_closing() && self.lifecycle.lose(false)).then_some(DatagramUpcall::ConnectionLost)
    }

    fn take_first(&mut self) -> Option<D> {
        let first = self.queue.pop_front()?;
        self.size = self.size.saturating_sub(self.weight(&first));
        Some(first)
    }

    fn weight(&self, datagram: &D) -> usize {
        datagram.bytes().len() + self.header
    }

    fn unwatch_writing(&mut self, ops: &mut impl Ops) {
        if let Some(id) = self.write_op.take() {
            ops.cancel(id);
        }
    }

    fn maybe_pause(&mut self) -> Option<DatagramUpcall<D>> {
        self.flow.grew(self.size).then_some(DatagramUpcall::PauseWriting)
    }

    // Ending.

    /// `close`: receives no more, sends what waits, and is lost then. True when nothing waits.
    pub fn close(&mut self, ops: &mut impl Ops) -> bool {
        if !self.lifecycle.close() {
            return false;
        }
        self.stop_reading(ops);
        if !self.queue.is_empty() {
            return false;
        }
        self.unwatch_writing(ops);
        self.lifecycle.lose(true)
    }

    /// `abort`, and `_force_close` after something failed: sends no more. What waited is the caller's to
    /// drop.
    #[must_use = "the queue may hold what must not be dropped with anything borrowed"]
    pub fn abort(&mut self, ops: &mut impl Ops) -> (bool, VecDeque<D>) {
        self.stop_reading(ops);
        self.unwatch_writing(ops);
        (self.lifecycle.lose(true), self.forget())
    }
}
