//! [`Driver`]: an enum of drivers with one `match` per method. What the methods promise is on the crate's
//! page.
//!
//! Called by the engine; calls the driver that runs.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

use crate::epoll::Epoll;
use crate::faults::Faults;
use crate::io_uring::{self, Uring};
use crate::op::{Fd, Interest, Lease, Op, OpId, Outcome, SocketAddrAny};
use crate::sending_file::SendingFile;
use crate::sim::{Sim, SimNet};
use crate::traffic::Traffic;
use crate::wait::{self, Wait};
use crate::waker::{self, Waker};
use crate::{buffers, clock};

/// One kernel, real or simulated. See the crate's page for what its methods promise.
#[derive(Debug)]
pub enum Driver {
    /// Linux's epoll.
    Epoll(Epoll),
    /// Linux's io_uring, with epoll for what does not gain by it.
    Uring(Box<Uring>),
    /// A kernel in memory, for tests.
    Sim(Sim),
}

impl Driver {
    /// The driver on epoll.
    pub fn epoll() -> Self {
        Self::Epoll(Epoll::default())
    }

    /// The driver on io_uring; an error where the kernel lacks it, or a sandbox forbids it.
    pub fn io_uring() -> io::Result<Self> {
        match io_uring::refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(Self::Uring(Box::default())),
        }
    }

    /// A driver on a simulated kernel, which makes every choice from `seed`, and the handle by which a test
    /// controls that kernel.
    pub fn sim(seed: u64) -> (Self, SimNet) {
        let (driver, net) = Sim::new(seed);
        (Self::Sim(driver), net)
    }

    /// Turns fault injection on, or off by `Faults::default()`. Equal seeds make equal sequences of calls
    /// fail alike.
    pub fn set_faults(&mut self, seed: u64, faults: Faults) {
        match self {
            Self::Epoll(driver) => driver.set_faults(seed, faults),
            Self::Uring(driver) => driver.set_faults(seed, faults),
            Self::Sim(driver) => driver.set_faults(seed, faults),
        }
    }

    /// The driver's name, for `repr` and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Epoll(_) => "epoll",
            Self::Uring(_) => "io_uring",
            Self::Sim(_) => "sim",
        }
    }

    /// What was received, sent and accepted so far; a simulated kernel does not count.
    #[inline]
    pub fn traffic(&self) -> Option<Traffic> {
        match self {
            Self::Epoll(driver) => Some(driver.calls.traffic),
            Self::Uring(driver) => Some(driver.traffic()),
            Self::Sim(_) => None,
        }
    }

    /// Arms an operation. The descriptor has to stay open until it is cancelled.
    pub fn submit(&mut self, op: Op) -> io::Result<OpId> {
        match self {
            Self::Epoll(driver) => driver.submit(op),
            Self::Uring(driver) => driver.submit(op),
            Self::Sim(driver) => driver.submit(op),
        }
    }

    /// Ends an operation without an outcome; `false` when it had ended before.
    pub fn cancel(&mut self, id: OpId) -> bool {
        match self {
            Self::Epoll(driver) => driver.cancel(id),
            Self::Uring(driver) => driver.cancel(id),
            Self::Sim(driver) => driver.cancel(id),
        }
    }

    /// Said by the caller that cancelled the last operation of a descriptor that is still open, right before
    /// it submits another one: a registration that the kernel still has need not be asked about.
    pub fn submits_again(&mut self, fd: Fd) {
        match self {
            Self::Epoll(driver) => driver.submits_again(fd),
            Self::Uring(_) | Self::Sim(_) => {}
        }
    }

    /// Replaces an operation by another one on the same side of the same descriptor, keeping its identifier
    /// and a report that was made already; `false` when descriptor or side differ, or the operation had
    /// ended.
    pub fn alter(&mut self, id: OpId, op: Op) -> bool {
        match self {
            Self::Epoll(driver) => driver.alter(id, op),
            Self::Uring(driver) => driver.alter(id, op),
            Self::Sim(driver) => driver.alter(id, op),
        }
    }

    /// Whether an operation has not been cancelled, so that `finish` would do it.
    #[inline]
    pub fn is_live(&self, id: OpId) -> bool {
        match self {
            Self::Epoll(driver) => driver.is_live(id),
            Self::Uring(driver) => driver.is_live(id),
            Self::Sim(driver) => driver.is_live(id),
        }
    }

    /// Does the operation and returns its outcome; `None` when it was cancelled since it was reported.
    #[inline(always)] // once for each report, as the choice of the driver in the following two
    pub fn finish(&mut self, id: OpId) -> Option<Outcome> {
        match self {
            Self::Epoll(driver) => driver.finish(id),
            Self::Uring(driver) => driver.finish(id),
            Self::Sim(driver) => driver.finish(id),
        }
    }

    /// Whether the driver has received bytes for an operation, or the end of the stream, that was not taken
    /// yet: no call on the descriptor gives them any more.
    pub fn holds_bytes(&self, id: OpId) -> bool {
        match self {
            Self::Uring(driver) => driver.holds_bytes(id),
            Self::Epoll(_) | Self::Sim(_) => false,
        }
    }

    /// The received bytes that a lease names.
    #[inline]
    pub fn bytes(&self, lease: &Lease) -> &[u8] {
        match self {
            Self::Epoll(driver) => driver.bytes(lease),
            Self::Uring(driver) => driver.bytes(lease),
            Self::Sim(driver) => driver.bytes(lease),
        }
    }

    /// Gives a buffer back.
    #[inline]
    pub fn recycle(&mut self, lease: Lease) {
        match self {
            Self::Epoll(driver) => driver.recycle(lease),
            Self::Uring(driver) => driver.recycle(lease),
            Self::Sim(driver) => driver.recycle(lease),
        }
    }

    /// Begins a wait. The [`Wait`] blocks without the driver, so that the driver stays usable meanwhile. Pass
    /// it to `end_wait` afterwards, also when blocking failed.
    #[inline(always)]
    pub fn begin_wait(&mut self) -> io::Result<Wait> {
        match self {
            Self::Epoll(driver) => Ok(Wait(wait::Kind::Epoll(driver.begin_wait()?))),
            Self::Uring(driver) => Ok(Wait(wait::Kind::Uring(Box::new(driver.begin_wait()?)))),
            Self::Sim(driver) => Ok(Wait(wait::Kind::Sim(driver.begin_wait()))),
        }
    }

    /// Appends the operations that the wait reports. An error means that the kernel refused a fresh epoll
    /// object where one was needed; what was reported is in `ready` all the same, and the next wait tries
    /// again.
    #[inline(always)]
    pub fn end_wait(&mut self, wait: Wait, ready: &mut Vec<OpId>) -> io::Result<()> {
        match (self, wait.0) {
            (Self::Epoll(driver), wait::Kind::Epoll(wait)) => driver.end_wait(wait, ready),
            (Self::Uring(driver), wait::Kind::Uring(wait)) => driver.end_wait(*wait, ready),
            (Self::Sim(driver), wait::Kind::Sim(wait)) => {
                driver.end_wait(wait, ready);
                Ok(())
            }
            // The wait of another driver says nothing about this one.
            _ => Ok(()),
        }
    }

    /// Appends the operations that can be finished now, without blocking; asks the kernel only if something
    /// is submitted.
    #[inline]
    pub fn poll_now(&mut self, ready: &mut Vec<OpId>) -> io::Result<()> {
        match self {
            Self::Epoll(driver) => driver.poll_now(ready),
            Self::Uring(driver) => driver.poll_now(ready),
            Self::Sim(driver) => {
                driver.poll_now(ready);
                Ok(())
            }
        }
    }

    /// Whether any operation is submitted: without one, a poll makes no system call.
    #[inline]
    pub fn is_watching(&self) -> bool {
        match self {
            Self::Epoll(driver) => driver.is_watching(),
            Self::Uring(driver) => driver.is_watching(),
            Self::Sim(driver) => driver.is_watching(),
        }
    }

    /// Whether descriptors were used since `take_activity` was last called: see obligation 13.
    #[inline]
    pub fn has_activity(&self) -> bool {
        match self {
            Self::Epoll(driver) => driver.calls.activity,
            Self::Uring(driver) => driver.has_activity(),
            Self::Sim(driver) => driver.activity.get(),
        }
    }

    /// Returns `has_activity` and resets it.
    #[inline]
    pub fn take_activity(&mut self) -> bool {
        match self {
            Self::Epoll(driver) => std::mem::take(&mut driver.calls.activity),
            Self::Uring(driver) => std::mem::take(&mut driver.calls().activity),
            Self::Sim(driver) => driver.activity.take(),
        }
    }

    /// Sets `has_activity`: a descriptor was used without the driver.
    #[inline]
    pub fn note_activity(&mut self) {
        match self {
            Self::Epoll(driver) => driver.calls.activity = true,
            Self::Uring(driver) => driver.calls().activity = true,
            Self::Sim(driver) => driver.activity.set(true),
        }
    }

    /// A handle that ends waits from any thread. The kernel object behind it is made at the first call.
    pub fn waker(&mut self) -> io::Result<Waker> {
        Ok(Waker(match self {
            Self::Epoll(driver) => waker::Kind::Eventfd(driver.eventfd()?),
            Self::Uring(driver) => waker::Kind::Eventfd(driver.eventfd()?),
            Self::Sim(driver) => waker::Kind::Sim(driver.shared()),
        }))
    }

    /// An operation; `None` when it has ended.
    pub fn op(&self, id: OpId) -> Option<Op> {
        match self {
            Self::Epoll(driver) => driver.op(id),
            Self::Uring(driver) => driver.op(id),
            Self::Sim(driver) => driver.op(id),
        }
    }

    /// The descriptor of an operation and its side; `None` when the operation has ended.
    pub fn subject(&self, id: OpId) -> Option<(Fd, Interest)> {
        self.op(id).map(|op| (op.fd(), op.interest()))
    }

    /// The watched descriptors, each with whether it is watched for reading and for writing.
    pub fn watched(&self) -> Vec<(Fd, bool, bool)> {
        match self {
            Self::Epoll(driver) => driver.watched(),
            Self::Uring(driver) => driver.watched(),
            Self::Sim(driver) => driver.watched(),
        }
    }

    /// Seconds on the driver's clock: `time.monotonic()`, or the virtual clock.
    #[inline]
    pub fn now(&self) -> f64 {
        match self {
            Self::Epoll(_) | Self::Uring(_) => clock::monotonic(),
            Self::Sim(driver) => driver.now(),
        }
    }

    /// Whether the driver's clock shows `seconds` or more. Cheaper than `now()` when that time is far off.
    #[inline]
    pub fn is_due(&self, seconds: f64) -> bool {
        match self {
            Self::Epoll(_) | Self::Uring(_) => clock::is_due(seconds),
            Self::Sim(driver) => seconds <= driver.now(),
        }
    }

    /// A number that changes every few milliseconds of the driver's clock; cheaper to ask than `now`.
    #[inline]
    pub fn tick(&self) -> i64 {
        match self {
            Self::Epoll(_) | Self::Uring(_) => clock::tick(),
            Self::Sim(driver) => driver.tick(),
        }
    }

    /// For waits shorter than this many seconds, poll in a loop instead of blocking: putting the thread to
    /// sleep and waking it takes longer. Zero on the virtual clock, which stands still while the loop polls.
    #[inline]
    pub const fn spin_threshold(&self) -> f64 {
        match self {
            Self::Epoll(_) | Self::Uring(_) => 10e-6,
            Self::Sim(_) => 0.0,
        }
    }

    /// So many seconds after a timer was due, a loop may run it together with the next ones to wait less
    /// often. Zero on the virtual clock, where a wait costs nothing.
    #[inline]
    pub const fn timer_slack(&self) -> f64 {
        match self {
            Self::Epoll(_) | Self::Uring(_) => 250e-6,
            Self::Sim(_) => 0.0,
        }
    }

    /// Sends as many bytes as a non-blocking socket takes at once.
    #[inline(always)] // every write of a transport
    pub fn send(&mut self, fd: Fd, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Epoll(driver) => driver.calls.send(fd, data),
            Self::Uring(driver) => driver.calls().send(fd, data),
            Self::Sim(driver) => driver.send(fd, &[IoSlice::new(data)]),
        }
    }

    /// Sends several pieces, at most [`MAX_PIECES`] of them, as one.
    #[inline]
    pub fn send_vectored(&mut self, fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Epoll(driver) => driver.calls.send_vectored(fd, bufs),
            Self::Uring(driver) => driver.calls().send_vectored(fd, bufs),
            Self::Sim(driver) => driver.send(fd, bufs),
        }
    }

    /// Receives the bytes that are there into a buffer of the driver, [`MAX_RECEIVE`] or `max` bytes at most;
    /// `None` at the end of the stream. This is `Recv` for a socket that has no operation.
    #[inline]
    pub fn recv(&mut self, fd: Fd, max: usize) -> io::Result<Option<Lease>> {
        match self {
            Self::Epoll(driver) => driver.recv(fd, max),
            Self::Uring(driver) => driver.recv(fd, max),
            Self::Sim(driver) => driver.recv(fd, max),
        }
    }

    /// Receives the bytes that are there into a buffer of the caller; 0 at the end of the stream.
    #[inline]
    pub fn recv_into(&mut self, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Epoll(driver) => driver.calls.recv(fd, buf),
            Self::Uring(driver) => driver.recv_into(fd, buf),
            Self::Sim(driver) => driver.recv_into(fd, buf),
        }
    }

    /// Sends one datagram, to `address` or to the peer of a connected socket; the whole datagram or nothing.
    #[inline]
    pub fn send_to(&mut self, fd: Fd, data: &[u8], address: Option<&SocketAddrAny>) -> io::Result<usize> {
        match self {
            Self::Epoll(driver) => driver.calls.send_to(fd, data, address),
            Self::Uring(driver) => driver.calls().send_to(fd, data, address),
            Self::Sim(driver) => driver.send_to(fd, data, address),
        }
    }

    /// Writes as many bytes as a non-blocking descriptor that is no socket takes at once.
    #[inline]
    pub fn write(&mut self, fd: Fd, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Epoll(driver) => driver.calls.write(fd, data),
            Self::Uring(driver) => driver.calls().write(fd, data),
            Self::Sim(driver) => driver.send(fd, &[IoSlice::new(data)]),
        }
    }

    /// Writes several pieces, at most [`MAX_PIECES`] of them, as one.
    #[inline]
    pub fn write_vectored(&mut self, fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Epoll(driver) => driver.calls.write_vectored(fd, bufs),
            Self::Uring(driver) => driver.calls().write_vectored(fd, bufs),
            Self::Sim(driver) => driver.send(fd, bufs),
        }
    }

    /// Reads the bytes that are there, from a descriptor that is no socket, into a buffer of the caller; 0 at
    /// the end of the stream.
    #[inline]
    pub fn read_into(&mut self, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Epoll(driver) => driver.calls.read(fd, buf),
            Self::Uring(driver) => driver.calls().read(fd, buf),
            Self::Sim(driver) => driver.recv_into(fd, buf),
        }
    }

    /// Prepares sending `count` bytes at `offset` of a file, or as many as the non-blocking stream socket
    /// takes. The file's own position does not move.
    pub fn begin_send_file(
        &mut self,
        socket: Fd,
        file: Fd,
        offset: u64,
        count: usize,
    ) -> io::Result<SendingFile> {
        Ok(match self {
            Self::Epoll(driver) => {
                SendingFile { socket, file, offset, count: driver.calls.send_file(count)?, world: None }
            }
            Self::Uring(driver) => {
                SendingFile { socket, file, offset, count: driver.calls().send_file(count)?, world: None }
            }
            Self::Sim(driver) => {
                driver.activity.set(true);
                SendingFile { socket, file, offset, count, world: Some(driver.shared()) }
            }
        })
    }

    /// Only the loop has this descriptor of a stream socket from now on: no other code reads from it or
    /// closes it but by [`close`](Self::close). A driver may then receive before it is asked to.
    pub fn entrust(&mut self, fd: Fd) {
        if let Self::Uring(driver) = self {
            driver.entrust(fd);
        }
    }

    /// Others have the descriptor from now on, too.
    pub fn share(&mut self, fd: Fd) {
        if let Self::Uring(driver) = self {
            driver.share(fd);
        }
    }

    /// Shuts the sending side down: the peer receives the end of the stream.
    pub fn shutdown_write(&mut self, fd: Fd) -> io::Result<()> {
        match self {
            Self::Epoll(driver) => driver.calls.shutdown_write(fd),
            Self::Uring(driver) => driver.calls().shutdown_write(fd),
            Self::Sim(driver) => driver.shutdown_write(fd),
        }
    }

    /// Closes a descriptor that came from this driver. Cancel its operations first.
    pub fn close(&mut self, fd: OwnedFd) {
        match self {
            Self::Epoll(driver) => driver.close(fd),
            Self::Uring(driver) => driver.close(fd),
            Self::Sim(driver) => driver.close(fd),
        }
    }

    /// Makes the driver usable in the child of a fork: it forgets every operation and opens kernel objects of
    /// its own.
    pub fn after_fork_in_child(&mut self) -> io::Result<()> {
        match self {
            Self::Epoll(driver) => driver.after_fork_in_child(),
            Self::Uring(driver) => driver.after_fork_in_child(),
            Self::Sim(driver) => {
                driver.after_fork_in_child();
                Ok(())
            }
        }
    }
}

/// How many bytes a buffer of the driver holds.
pub const MAX_RECEIVE: usize = buffers::BUFFER_SIZE;

/// How many pieces one `send_vectored` takes (`IOV_MAX`).
pub const MAX_PIECES: usize = 1024;
