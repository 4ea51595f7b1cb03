//! The io_uring driver: the kernel receives by itself for connections that the loop alone has, and an epoll driver does everything else.
//!
//! A request of a ring holds the file that it is about. Were a descriptor watched by the ring that somebody else closes, its peer would
//! not hear of the end, and bytes that the ring has received would be missing to whoever else reads. So the ring carries the receives of
//! *entrusted* descriptors only ([`Driver::entrust`](crate::Driver::entrust)), by one multishot request each that takes a provided buffer for every
//! piece that arrives. All other operations, and the wakers, are the [`Epoll`] driver's, whose epoll object the ring watches. A driver
//! with no entrusted connection has no ring and waits like the epoll driver.
//!
//! Accounting: a request ends by one final completion. Until then the driver keeps its identifier in `Receives`, or in `orphans` when the
//! operation was cancelled, and the buffers belong to the kernel or to a completion. Only the thread that made the ring may enter it; when a
//! loop goes on in another thread, the driver makes another ring there.
//!
//! `buffers` has the provided buffers, `ring` the ring and the probe, `receiving` the operations, `completions` what becomes of a completion,
//! `cancel` how operations end, `kept` the bytes that a cancelled operation leaves behind, `wait` the blocking.
//! Called by [`Driver`](crate::Driver) only; calls the kernel and the epoll driver.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Weak};

use ::io_uring::{opcode, types};

use crate::epoll::{Epoll, EpollWait, Eventfd};
use crate::faults::Faults;
use crate::memory;
use crate::op::{Fd, Interest, Lease, Op, OpId, Outcome};
use crate::sys::Calls;

mod buffers;
mod cancel;
mod completions;
mod kept;
mod receiving;
mod ring;
mod wait;

use buffers::Provided;
use cancel::Orphan;
use completions::EPOLL_KEY;
use kept::Kept;
use receiving::{Chunk, Receives, Route};
pub(crate) use ring::refusal;
use ring::{BUFFERS, Completion, Ring};
use wait::RingWait;
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
    /// The operation of the ring for which the epoll driver receives, by the index of the epoll driver's operation.
    standing_in: Vec<Option<OpId>>,
    /// The epoll object that a request of the ring watches.
    watched_epoll: Option<Arc<OwnedFd>>,
    /// Whether the epoll object has something to report.
    epoll_has_news: bool,
    waiting: Waiting,
    /// Descriptors that another thread has shared while the thread that may enter the ring was inside the kernel.
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
            return read;
        }
        self.epoll.recv(fd, max)
    }

    #[inline]
    pub(crate) fn recv_into(&mut self, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
        if !self.kept.is_empty()
            && let Some(read) = self.kept.read(fd, buf)
        {
            return read;
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

    // Waiting.

    pub(crate) fn begin_wait(&mut self) -> io::Result<UringWait> {
        let epoll = self.epoll.begin_wait()?;
        let ring = if self.uses_ring() { Some(self.begin_ring_wait(&epoll)?) } else { None };
        self.waiting = if ring.is_some() { Waiting::Ring } else { Waiting::Epoll };
        Ok(UringWait { epoll, ring })
    }

    fn begin_ring_wait(&mut self, epoll: &EpollWait) -> io::Result<RingWait> {
        self.arm_idle()?;
        self.watch_epoll(&epoll.epoll)?;
        let has_news = self.has_news();
        let ring = self.ring.as_ref().ok_or_else(memory::exhausted)?;
        Ok(RingWait { kernel: ring.kernel(), owner: ring.owner(), has_news })
    }

    pub(crate) fn end_wait(&mut self, wait: UringWait, ready: &mut Vec<OpId>) -> io::Result<()> {
        self.waiting = Waiting::No;
        let UringWait { mut epoll, ring } = wait;
        let fetched = match ring {
            None => Ok(()),
            Some(ring) if !self.is_of_now(&ring) => epoll.block(Some(std::time::Duration::ZERO)),
            Some(_) => self.pump().and_then(|()| self.ask_epoll(&mut epoll)),
        };
        while let Some(fd) = self.to_share.pop() {
            if let Some(id) = self.receives.on(fd) {
                self.hand_to_epoll(id, fd);
            }
        }
        let ended = self.report(epoll, ready);
        fetched.and(ended)
    }

    fn is_of_now(&self, wait: &RingWait) -> bool {
        self.ring.as_ref().is_some_and(|ring| Arc::ptr_eq(&ring.kernel(), &wait.kernel))
    }

    pub(crate) fn poll_now(&mut self, ready: &mut Vec<OpId>) -> io::Result<()> {
        if !self.uses_ring() {
            let first = ready.len();
            let polled = self.epoll.poll_now(ready);
            self.interleave(&mut ready[first..]);
            self.report_kept(ready);
            return polled;
        }
        let mut epoll = self.epoll.begin_wait()?;
        let fetched = self
            .arm_idle()
            .and_then(|()| self.watch_epoll(&epoll.epoll))
            .and_then(|()| self.pump())
            .and_then(|()| self.ask_epoll(&mut epoll));
        let ended = self.report(epoll, ready);
        fetched.and(ended)
    }

    /// Fetches the events of the epoll object, if the ring has said that there are some.
    fn ask_epoll(&mut self, wait: &mut EpollWait) -> io::Result<()> {
        if std::mem::take(&mut self.epoll_has_news) {
            wait.block(Some(std::time::Duration::ZERO))
        } else {
            wait.clear();
            Ok(())
        }
    }

    /// Appends what ring and epoll object report.
    fn report(&mut self, wait: EpollWait, ready: &mut Vec<OpId>) -> io::Result<()> {
        let first = ready.len();
        let interrupted = self.epoll.calls.injector.as_mut().is_some_and(|injector| injector.interrupts());
        if !interrupted {
            ready.extend(self.receives.news().iter().map(|id| id.interleaved(OF_RING)));
            self.report_spurious(ready);
        }
        let second = ready.len();
        let ended = self.epoll.end_wait(wait, ready);
        self.interleave(&mut ready[second..]);
        if second != first && !self.standing_in.is_empty() {
            // An operation for which the epoll driver receives may have been reported by both.
            let mut place = second;
            while place < ready.len() {
                if ready[first..second].contains(&ready[place]) {
                    ready.remove(place);
                } else {
                    place += 1;
                }
            }
        }
        self.report_kept(ready);
        ended
    }

    /// Makes identifiers of the epoll driver identifiers of this one.
    fn interleave(&self, ids: &mut [OpId]) {
        for id in ids {
            *id = match self.standing_in.get(id.index()).copied().flatten() {
                Some(receive) => receive.interleaved(OF_RING),
                None => id.interleaved(OF_EPOLL),
            };
        }
    }

    /// Reports the read operations of sockets of which bytes are kept.
    #[inline]
    fn report_kept(&mut self, ready: &mut Vec<OpId>) {
        if self.kept.is_empty() {
            return;
        }
        for fd in self.kept.open() {
            let id = self.epoll.reader(fd).map(|id| id.interleaved(OF_EPOLL));
            ready.extend(id.filter(|id| !ready.contains(id)));
        }
    }

    /// Injects the fault `spurious`: reports an operation that is not ready.
    fn report_spurious(&mut self, ready: &mut Vec<OpId>) {
        let bound = self.receives.len();
        let Some(injector) = &mut self.epoll.calls.injector else { return };
        let unready = injector.spurious(bound).and_then(|index| self.receives.id_at(index));
        let unready = unready.map(|id| id.interleaved(OF_RING));
        ready.extend(unready.filter(|id| !ready.contains(id)));
    }

    /// Whether a wait must not block.
    fn has_news(&mut self) -> bool {
        if self.receives.has_news() {
            return true;
        }
        if self.kept.is_empty() {
            return false;
        }
        let epoll = &self.epoll;
        self.kept.open().any(|fd| epoll.has_reader(fd))
    }

    /// Whether waits go through the ring; without entrusted connections, and without bytes to report, they need not.
    fn uses_ring(&mut self) -> bool {
        (!self.receives.is_empty() || !self.kept.is_empty() || !self.orphans.is_empty())
            && self.may_use_ring()
    }

    // The ring.

    /// Whether this thread may enter the ring, which is made first if there is none.
    #[inline]
    fn may_use_ring(&mut self) -> bool {
        match &self.ring {
            Some(ring) if ring.is_here() => self.waiting != Waiting::Epoll,
            _ if self.is_refused || self.waiting != Waiting::No => false,
            _ => self.make_ring(),
        }
    }

    /// Makes a ring of this thread. The requests of one that another thread has made are submitted again.
    #[cold]
    fn make_ring(&mut self) -> bool {
        if let Some(mut former) = self.ring.take() {
            // What the kernel has received is in memory. What it has not received it leaves to the next ring.
            former.take(&mut self.completions);
            self.settle_completions();
            drop(former);
            self.forget_requests();
        }
        if self.provided.is_none() {
            self.provided = Provided::new();
        }
        let receives = &self.receives;
        self.ring = self
            .provided
            .as_mut()
            .filter(|_| self.epoll.calls.descriptor().is_ok())
            .and_then(|provided| Ring::new(provided, |buffer| receives.uses(buffer)).ok());
        if let Some(ring) = &self.ring {
            self.epoll.take_number(ring.kernel().descriptor());
            return true;
        }
        self.is_refused = true;
        let ids: Vec<(OpId, Fd)> =
            self.receives.ids().filter_map(|id| Some((id, self.receives.op(id)?.fd()))).collect();
        for (id, fd) in ids {
            self.hand_to_epoll(id, fd);
        }
        false
    }

    /// Queues the requests of operations that have none.
    fn arm_idle(&mut self) -> io::Result<()> {
        while let Some(id) = self.receives.idle.pop() {
            let (Some(op), Some(ring)) = (self.receives.op(id), self.ring.as_mut()) else { continue };
            let Some(receive) = self.receives.get_mut(id) else { continue };
            if receive.route != Route::Idle || receive.end.is_some() {
                continue;
            }
            let request = opcode::RecvMulti::new(types::Fd(op.fd()), BUFFERS).build().user_data(id.bits());
            // SAFETY: the request names no memory but the provided buffers, which the ring keeps alive.
            if let Err(error) = unsafe { ring.push(&request) } {
                self.receives.idle.push(id);
                return Err(error);
            }
            receive.route = Route::Armed;
        }
        Ok(())
    }

    /// Queues the request that watches the epoll object, unless the kernel has it.
    #[inline]
    fn watch_epoll(&mut self, epoll: &Arc<OwnedFd>) -> io::Result<()> {
        let Some(ring) = self.ring.as_mut() else { return Ok(()) };
        match &self.watched_epoll {
            Some(watched) if Arc::ptr_eq(watched, epoll) => return Ok(()),
            Some(_) => {
                let removal = opcode::PollRemove::new(EPOLL_KEY).build().user_data(completions::IGNORED_KEY);
                // SAFETY: the request names no memory.
                unsafe { ring.push(&removal) }?;
                ring.enter()?;
            }
            None => {}
        }
        let request = opcode::PollAdd::new(types::Fd(epoll.as_raw_fd()), libc::POLLIN as u32);
        // SAFETY: the request names no memory.
        unsafe { ring.push(&request.build().user_data(EPOLL_KEY)) }?;
        self.watched_epoll = Some(Arc::clone(epoll));
        Ok(())
    }

    /// Lets the kernel work, and takes what it has done.
    #[inline]
    fn pump(&mut self) -> io::Result<()> {
        let Some(ring) = self.ring.as_mut().filter(|ring| ring.is_here()) else { return Ok(()) };
        let entered = if ring.has_work() { ring.enter() } else { Ok(()) };
        ring.take(&mut self.completions);
        self.settle_completions();
        // Another thread has cancelled them while this one was inside the kernel.
        entered.and_then(|()| self.end_orphans())
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
