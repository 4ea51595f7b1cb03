//! The io_uring driver: the kernel receives by itself for connections that the loop alone has, and an epoll
//! driver does everything else.
//!
//! A request of a ring holds the file that it is about. If the ring watched a descriptor that the program
//! closes, its peer would not hear of the end, and bytes that the ring has received would be missing to other
//! readers. So the ring carries the receives of *entrusted* descriptors only
//! ([`Driver::entrust`](crate::Driver::entrust)), by one multishot request each that takes a provided buffer
//! for every piece that arrives. All other operations, and the wakers, are the [`Epoll`] driver's, whose
//! epoll object the ring watches. A driver with no entrusted connection has no ring and waits like the epoll
//! driver.
//!
//! Accounting: a request ends by one final completion. Until then the driver keeps its identifier in
//! `Receives`, or in `orphans` when the operation was cancelled, and the buffers belong to the kernel or to a
//! completion. Only the thread that made the ring may enter it; when a loop goes on in another thread, the
//! driver makes another ring there.
//!
//! `buffers` has the provided buffers, `ring` the ring and the probe, `receiving` the operations,
//! `completions` what becomes of a completion, `cancel` how operations end, `kept` the bytes that a cancelled
//! operation leaves behind, `requests` what the ring is asked, `reporting` and `wait` the two ends of a wait
//! and the blocking between them. Called by [`Driver`](crate::Driver) only; calls the kernel and the epoll
//! driver.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Weak};

use crate::epoll::{Epoll, Eventfd};
use crate::faults::Faults;
use crate::memory;
use crate::op::{Fd, Interest, Lease, Op, OpId, Outcome};
use crate::sys::Calls;
use crate::traffic::Traffic;

mod buffers;
mod cancel;
mod completions;
mod kept;
mod receiving;
mod reporting;
mod requests;
mod ring;
mod wait;

use buffers::Provided;
use cancel::Orphan;
use kept::Kept;
use receiving::{Chunk, Receives};
pub(crate) use ring::refusal;
use ring::{Completion, Ring};
pub(crate) use wait::UringWait;

/// Which driver an operation is of: the identifiers of both are interleaved.
const OF_EPOLL: u32 = 0;
const OF_RING: u32 = 1;

/// The buffer of a lease is a provided one.
const PROVIDED: u32 = 1 << 31;

/// Whether a wait is out, and what it waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waiting {
    #[default]
    No,
    /// It knows nothing of the ring.
    Epoll,
    /// The thread that may enter the ring may be inside the kernel.
    Ring,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Uring {
    // The first field: the ring is closed before the buffers are freed.
    ring: Option<Ring>,
    provided: Option<Provided>,
    epoll: Epoll,
    receives: Receives,
    orphans: Vec<Orphan>,
    kept: Kept,
    /// Whether the loop alone has a descriptor, by its number.
    entrusted: Vec<bool>,
    /// The operation of the ring for which the epoll driver receives, by the index of the epoll driver's
    /// operation.
    standing_in: Vec<Option<OpId>>,
    /// The epoll object that a request of the ring watches.
    watched_epoll: Option<Arc<OwnedFd>>,
    /// Whether the epoll object has something to report.
    epoll_has_news: bool,
    waiting: Waiting,
    /// Descriptors that another thread has shared while the thread that may enter the ring was inside the
    /// kernel.
    to_share: Vec<Fd>,
    /// The kernel has refused a ring or the memory for it; this driver asks no more.
    is_refused: bool,
    completions: Vec<Completion>,
}

impl Drop for Uring {
    fn drop(&mut self) {
        // Closing the ring would end its requests too, but later: the peers would not hear of it now.
        if let Some(ring) = &self.ring
            && ring.is_here()
            && !self.receives.is_empty()
        {
            let ids: Vec<OpId> = self.receives.ids().collect();
            for id in ids {
                self.orphan(id);
            }
            drop(self.end_orphans());
        }
    }
}

impl Uring {
    pub(crate) fn set_faults(&mut self, seed: u64, faults: Faults) {
        self.epoll.set_faults(seed, faults);
    }

    #[inline]
    pub(crate) fn calls(&mut self) -> &mut Calls {
        &mut self.epoll.calls
    }

    #[inline]
    pub(crate) fn traffic(&self) -> Traffic {
        self.epoll.calls.traffic
    }

    #[inline]
    pub(crate) fn has_activity(&self) -> bool {
        self.epoll.calls.activity
    }

    // Descriptors.

    /// See [`Driver::entrust`](crate::Driver::entrust).
    pub(crate) fn entrust(&mut self, fd: Fd) {
        let Ok(number) = usize::try_from(fd) else { return };
        if number >= self.entrusted.len() {
            if self.entrusted.try_reserve(number + 1 - self.entrusted.len()).is_err() {
                return; // the epoll driver serves it as well
            }
            self.entrusted.resize(number + 1, false);
        }
        self.entrusted[number] = true;
    }

    /// See [`Driver::share`](crate::Driver::share).
    pub(crate) fn share(&mut self, fd: Fd) {
        if !std::mem::take(self.entrusted.get_mut(fd as usize).unwrap_or(&mut false)) {
            return;
        }
        let Some(id) = self.receives.on(fd) else { return };
        if self.is_entered_elsewhere() {
            self.to_share.push(fd);
            self.wake();
        } else {
            self.hand_to_epoll(id, fd);
        }
    }

    /// Whether another thread, the only one that may enter the ring, may be inside the kernel.
    fn is_entered_elsewhere(&self) -> bool {
        self.waiting == Waiting::Ring && !self.ring.as_ref().is_some_and(Ring::is_here)
    }

    /// Ends the wait that is out.
    fn wake(&mut self) {
        if let Ok(Some(waker)) = self.epoll.eventfd().map(|waker| waker.upgrade()) {
            waker.signal();
        }
    }

    fn is_entrusted(&self, fd: Fd) -> bool {
        usize::try_from(fd).ok().and_then(|fd| self.entrusted.get(fd)).copied().unwrap_or(false)
    }

    pub(crate) fn close(&mut self, fd: OwnedFd) {
        let number = fd.as_raw_fd();
        self.share(number);
        self.kept.forget(number);
        self.epoll.close(fd);
    }

    // Operations.

    pub(crate) fn submit(&mut self, op: Op) -> io::Result<OpId> {
        self.epoll.calls.activity = true;
        let fd = op.fd();
        if op.interest() == Interest::Read && self.receives.on(fd).is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("descriptor {fd} already has an operation on its Read side"),
            ));
        }
        if matches!(op, Op::Recv { .. })
            && self.is_entrusted(fd)
            && !self.epoll.has_reader(fd)
            && self.may_use_ring()
        {
            return self.receive_by_ring(fd);
        }
        self.epoll.submit(op).map(|id| id.interleaved(OF_EPOLL))
    }

    fn receive_by_ring(&mut self, fd: Fd) -> io::Result<OpId> {
        let id = self.receives.insert(fd).ok_or_else(memory::exhausted)?;
        if let Some(rest) = self.kept.take(fd)
            && let Some(receive) = self.receives.get_mut(id)
        {
            receive.end = rest.end;
            if rest.taken < rest.bytes.len() {
                receive.chunks.push_back(Chunk::Kept { bytes: rest.bytes, taken: rest.taken });
            }
            self.receives.list(id);
        }
        // A wait that is out does not know of requests that are submitted later.
        if self.waiting == Waiting::Ring
            && let Err(error) = self.arm_idle().and_then(|()| self.ring.as_mut().map_or(Ok(()), Ring::enter))
        {
            self.receives.remove(id);
            return Err(error);
        }
        Ok(id.interleaved(OF_RING))
    }

    pub(crate) fn alter(&mut self, id: OpId, op: Op) -> bool {
        // An operation of the ring becomes another one only by a cancel.
        match id.lane() {
            (id, OF_EPOLL) => self.epoll.alter(id, op),
            _ => false,
        }
    }

    #[inline]
    pub(crate) fn is_watching(&self) -> bool {
        !self.receives.is_empty() || self.epoll.is_watching()
    }

    #[inline]
    pub(crate) fn is_live(&self, id: OpId) -> bool {
        match id.lane() {
            (id, OF_EPOLL) => self.epoll.is_live(id),
            (id, _) => self.receives.get(id).is_some(),
        }
    }

    pub(crate) fn holds_bytes(&self, id: OpId) -> bool {
        match id.lane() {
            (_, OF_EPOLL) => false,
            (id, _) => self.receives.get(id).is_some_and(receiving::Receive::has_something),
        }
    }

    pub(crate) fn op(&self, id: OpId) -> Option<Op> {
        match id.lane() {
            (id, OF_EPOLL) => self.epoll.op(id),
            (id, _) => self.receives.op(id),
        }
    }

    pub(crate) fn watched(&self) -> Vec<(Fd, bool, bool)> {
        let mut watched = self.epoll.watched();
        for id in self.receives.ids() {
            let Some(op) = self.receives.op(id) else { continue };
            match watched.iter_mut().find(|(fd, _, _)| *fd == op.fd()) {
                Some((_, reads, _)) => *reads = true,
                None => watched.push((op.fd(), true, false)),
            }
        }
        watched
    }

    #[inline]
    pub(crate) fn finish(&mut self, id: OpId) -> Option<Outcome> {
        match id.lane() {
            (id, OF_EPOLL) => match self.epoll.op(id)? {
                Op::Recv { fd } if !self.kept.is_empty() => {
                    Some(crate::op::received(self.recv(fd, usize::MAX)))
                }
                _ => self.epoll.finish(id),
            },
            (id, _) => self.finish_receive(id),
        }
    }

    // Calls that need no operation.

    #[inline]
    pub(crate) fn recv(&mut self, fd: Fd, max: usize) -> io::Result<Option<Lease>> {
        let kept = &mut self.kept;
        if !kept.is_empty()
            && let Some(read) = self.epoll.fill_from(max, |buf| kept.read(fd, buf))
        {
            if let Ok(Some(lease)) = &read {
                self.epoll.calls.traffic.received(lease.len());
            }
            return read;
        }
        self.epoll.recv(fd, max)
    }

    #[inline]
    pub(crate) fn recv_into(&mut self, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
        if !self.kept.is_empty()
            && let Some(read) = self.kept.read(fd, buf)
        {
            return read.map(|count| self.epoll.calls.traffic.received(count));
        }
        self.epoll.calls.recv(fd, buf)
    }

    #[inline]
    pub(crate) fn bytes(&self, lease: &Lease) -> &[u8] {
        match (&self.provided, lease.buffer & PROVIDED) {
            (Some(provided), PROVIDED) => provided.bytes((lease.buffer & !PROVIDED) as u16, lease.len()),
            _ => self.epoll.bytes(lease),
        }
    }

    #[inline]
    pub(crate) fn recycle(&mut self, lease: Lease) {
        match (&mut self.provided, lease.buffer & PROVIDED) {
            (Some(provided), PROVIDED) => provided.give_back((lease.buffer & !PROVIDED) as u16),
            _ => self.epoll.recycle(lease),
        }
    }

    // Elsewhere.

    /// The eventfd whose write ends a wait.
    pub(crate) fn eventfd(&mut self) -> io::Result<Weak<Eventfd>> {
        self.epoll.eventfd()
    }

    /// The child's ring is the parent's: the child only closes its descriptor.
    pub(crate) fn after_fork_in_child(&mut self) -> io::Result<()> {
        self.ring = None;
        self.provided = None;
        self.receives.clear();
        self.orphans.clear();
        self.kept.clear();
        self.entrusted.clear(); // the parent has them too
        self.standing_in.clear();
        self.watched_epoll = None;
        self.completions.clear();
        self.to_share.clear();
        (self.epoll_has_news, self.waiting) = (false, Waiting::No);
        self.epoll.after_fork_in_child()
    }
}
