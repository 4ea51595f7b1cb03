//! The epoll driver: readiness from the kernel, and the operation itself done when it is finished.
//!
//! Level-triggered. One `recv` per report into a buffer of the driver; a report that was too few bytes is followed by
//! another at the next wait, so nothing reads until `EAGAIN`. A registration stays as it is from message to message.
//! Called by [`Driver`](crate::Driver) only; calls the kernel through `sys`, `wait` and `waker`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use crate::buffers::Buffers;
use crate::faults::{Chance, Faults};
use crate::fd_table::{FdSlot, FdTable};
use crate::memory::{self, MakeRoom};
use crate::op::{Fd, Interest, Lease, NO_OP, Op, OpId, OpTable, Outcome, again_or_failed, received, upto};
use crate::sys::{self, Calls};

mod eventfd;
mod wait;

pub(crate) use eventfd::Eventfd;
pub(crate) use wait::EpollWait;
use wait::Event;

/// Marks the waker's events; no descriptor's mark looks like it, for its number would be -1.
const WAKER_MARK: u64 = u64::MAX;

/// See the module. Holds no descriptor until one is needed.
#[derive(Debug, Default)]
pub struct Epoll {
    // Closed before the buffers go, whatever the order of use was.
    epoll: Option<Arc<OwnedFd>>,
    waker: Option<Arc<Eventfd>>,
    ops: OpTable,
    fds: FdTable,
    /// Descriptors whose last operation was cancelled, and which the kernel is still to be told about. It is told before
    /// the next wait: by then most are closed, or have another operation.
    leaving: Vec<Fd>,
    events: Vec<Event>,
    buffers: Buffers,
    pub(crate) calls: Calls,
}

impl Epoll {
    pub(crate) fn set_faults(&mut self, seed: u64, faults: Faults) {
        let unkind = faults != Faults::default();
        self.calls.chance = unkind.then(|| Box::new(Chance::new(seed, faults)));
    }

    pub(crate) fn submit(&mut self, op: Op) -> io::Result<OpId> {
        self.calls.activity = true;
        let (fd, interest) = (op.fd(), op.interest());
        let mut slot = self.fds.get(fd);
        if slot.side(interest) != NO_OP {
            if self.still_registered(fd, slot)? {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!("descriptor {fd} already has an operation on its {interest:?} side"),
                ));
            }
            slot = FdSlot::EMPTY;
        }
        let id = self.ops.insert(op).ok_or_else(memory::exhausted)?;
        match self.register(fd, slot, interest, id) {
            Ok(()) => Ok(id),
            Err(error) => {
                self.ops.remove(id);
                Err(error)
            }
        }
    }

    pub(crate) fn cancel(&mut self, id: OpId) -> bool {
        let Some(op) = self.ops.remove(id) else { return false };
        self.calls.activity = true;
        let fd = op.fd();
        let slot = self.fds.get(fd);
        if slot.side(op.interest()) == id.index() as u32 {
            let stamp = self.fds.next_stamp();
            let rest = FdSlot { stamp, ..slot.with(op.interest(), NO_OP) };
            if rest.is_empty() && self.leaving.make_room(1) {
                self.leaving.push(fd);
                self.fds.set(fd, FdSlot { leaving: true, ..rest });
            } else if rest.is_empty() {
                // Refused where the descriptor was closed meanwhile: its registration went with it.
                let _gone = self.epoll().and_then(|epoll| Ok(epoll::delete(epoll, sys::borrow(fd)?)?));
                self.fds.set(fd, rest);
            } else {
                // On failure the descriptor was closed before its operation was cancelled, and took its registration
                // along: for the other side too.
                let kept = self.watch_only(fd, rest).is_ok();
                self.fds.set(fd, if kept { rest } else { FdSlot { stamp, ..FdSlot::EMPTY } });
            }
        }
        true
    }

    pub(crate) fn alter(&mut self, id: OpId, op: Op) -> bool {
        self.ops.alter(id, op)
    }

    /// Takes what has left out of the epoll object, unless it was closed or came back.
    fn dismiss(&mut self) -> io::Result<()> {
        while let Some(fd) = self.leaving.pop() {
            let slot = self.fds.get(fd);
            if slot.leaving {
                self.fds.set(fd, FdSlot { leaving: false, ..slot });
                // Refused where the descriptor was closed meanwhile: its registration went with it.
                let _gone = epoll::delete(self.epoll()?, sys::borrow(fd)?);
            }
        }
        Ok(())
    }

    /// Closes a descriptor; its registration goes with it.
    pub(crate) fn close(&mut self, fd: OwnedFd) {
        self.calls.activity = true;
        let slot = self.fds.get(fd.as_raw_fd());
        if slot.leaving {
            self.fds.set(fd.as_raw_fd(), FdSlot { leaving: false, ..slot });
        }
        drop(fd);
    }

    #[inline]
    pub(crate) fn is_watching(&self) -> bool {
        self.fds.watched() > 0
    }

    #[inline]
    pub(crate) fn is_live(&self, id: OpId) -> bool {
        self.ops.get(id).is_some()
    }

    pub(crate) fn op(&self, id: OpId) -> Option<Op> {
        self.ops.get(id)
    }

    pub(crate) fn watched(&self) -> Vec<(Fd, bool, bool)> {
        self.fds.sides().collect()
    }

    pub(crate) fn finish(&mut self, id: OpId) -> Option<Outcome> {
        Some(match self.ops.get(id)? {
            Op::Poll { .. } => Outcome::Ready,
            Op::Recv { fd } => received(self.buffers.fill(|buf| self.calls.recv(fd, buf))),
            Op::Read { fd } => received(self.buffers.fill(|buf| self.calls.read(fd, buf))),
            Op::RecvFrom { fd } => match self.buffers.fill_datagram(|buf| self.calls.recv_from(fd, buf)) {
                Ok((lease, sender)) => Outcome::Datagram(lease, sender),
                Err(error) => again_or_failed(error),
            },
            Op::Accept { fd } => match self.calls.accept(fd) {
                Ok((socket, address)) => Outcome::Accepted(socket, address),
                // The peer left before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Outcome::Again,
                Err(error) => again_or_failed(error),
            },
        })
    }

    #[inline]
    pub(crate) fn recv(&mut self, fd: Fd, max: usize) -> io::Result<Option<Lease>> {
        self.buffers.fill(|buf| self.calls.recv(fd, upto(buf, max)))
    }

    #[inline]
    pub(crate) fn bytes(&self, lease: &Lease) -> &[u8] {
        self.buffers.bytes(lease)
    }

    #[inline]
    pub(crate) fn recycle(&mut self, lease: Lease) {
        self.buffers.recycle(lease);
    }

    pub(crate) fn begin_wait(&mut self) -> io::Result<EpollWait> {
        self.dismiss()?;
        let epoll = Arc::clone(self.epoll()?);
        Ok(EpollWait { epoll, events: std::mem::take(&mut self.events), stamp: self.fds.latest_stamp() })
    }

    pub(crate) fn end_wait(&mut self, wait: EpollWait, ready: &mut Vec<OpId>) -> io::Result<()> {
        let EpollWait { epoll, mut events, stamp } = wait;
        if self.calls.chance.as_mut().is_some_and(|chance| chance.interrupts()) {
            events.clear();
        }
        // Events of an epoll object that has been given up since say nothing about the present one.
        let orphaned = self.epoll.as_ref().is_some_and(|current| Arc::ptr_eq(current, &epoll))
            && self.translate(&events, stamp, ready);
        self.events = events;
        self.lie(ready);
        if orphaned { self.rebuild() } else { Ok(()) }
    }

    pub(crate) fn poll_now(&mut self, ready: &mut Vec<OpId>) -> io::Result<()> {
        if !self.is_watching() {
            return self.dismiss();
        }
        let mut wait = self.begin_wait()?;
        let fetched = wait::wait(&wait.epoll, &mut wait.events, Some(Duration::ZERO));
        self.end_wait(wait, ready)?;
        fetched
    }

    /// What ends a wait. Weak, so that the descriptor is closed with the driver, however long somebody keeps a waker.
    pub(crate) fn eventfd(&mut self) -> io::Result<Weak<Eventfd>> {
        if let Some(eventfd) = &self.waker {
            return Ok(Arc::downgrade(eventfd));
        }
        self.calls.descriptor()?;
        let eventfd = Arc::new(Eventfd::new()?);
        self.claim(eventfd.as_fd().as_raw_fd());
        watch_waker(self.epoll()?, &eventfd)?;
        let weak = Arc::downgrade(&eventfd);
        self.waker = Some(eventfd);
        Ok(weak)
    }

    /// The child's copies refer to the parent's objects: taking a registration out would take it out of the parent's.
    pub(crate) fn after_fork_in_child(&mut self) -> io::Result<()> {
        self.epoll = None; // closes the child's descriptor and leaves the object alone
        self.ops.clear();
        self.fds.clear();
        self.leaving.clear();
        if let Some(eventfd) = self.waker.clone() {
            eventfd.replace()?;
            watch_waker(self.epoll()?, &eventfd)?;
        }
        Ok(())
    }

    fn epoll(&mut self) -> io::Result<&Arc<OwnedFd>> {
        if self.epoll.is_none() {
            self.calls.descriptor()?;
            let fresh = epoll::create(CreateFlags::CLOEXEC)?;
            self.claim(fresh.as_raw_fd());
            self.epoll = Some(Arc::new(fresh));
        }
        self.epoll.as_ref().ok_or_else(|| io::Error::other("no epoll object"))
    }

    /// A number is the driver's own from now on. Its last owner closed it without cancelling, or is leaving: what is still known
    /// of that must not be done to the driver's descriptor.
    fn claim(&mut self, fd: Fd) {
        let stamp = self.fds.next_stamp();
        self.fds.set(fd, FdSlot { stamp, ..FdSlot::EMPTY });
    }

    /// Adds an operation to what the kernel watches `fd` for.
    fn register(&mut self, fd: Fd, current: FdSlot, interest: Interest, id: OpId) -> io::Result<()> {
        let file = sys::borrow(fd)?;
        let stamp = self.fds.next_stamp();
        let alone = FdSlot { stamp, ..FdSlot::EMPTY }.with(interest, id.index() as u32);
        let joined = FdSlot { stamp, leaving: false, ..current.with(interest, id.index() as u32) };
        let epoll = self.epoll()?;
        let slot = if current.is_empty() && !current.leaving {
            match epoll::add(epoll, file, mark(fd, stamp), flags(alone)) {
                // Left behind by a descriptor that was closed while a duplicate lived on, and came back to its number.
                Err(Errno::EXIST) => epoll::modify(epoll, file, mark(fd, stamp), flags(alone))?,
                result => result?,
            }
            alone
        } else {
            match epoll::modify(epoll, file, mark(fd, stamp), flags(joined)) {
                Ok(()) => joined,
                // Closed behind our back, and the number given to another file: the other side's operation was
                // about the old one and is never reported again.
                Err(Errno::NOENT) => {
                    epoll::add(epoll, file, mark(fd, stamp), flags(alone))?;
                    alone
                }
                Err(error) => return Err(error.into()),
            }
        };
        if !self.fds.set(fd, slot) {
            epoll::delete(self.epoll()?, file)?;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(())
    }

    /// Makes the kernel watch `fd` for `rest` only.
    fn watch_only(&mut self, fd: Fd, rest: FdSlot) -> io::Result<()> {
        let file = sys::borrow(fd)?;
        Ok(epoll::modify(self.epoll()?, file, mark(fd, rest.stamp), flags(rest))?)
    }

    /// Whether the file now called `fd` is the one that its operations were submitted for.
    fn still_registered(&mut self, fd: Fd, slot: FdSlot) -> io::Result<bool> {
        let file = sys::borrow(fd)?;
        match epoll::modify(self.epoll()?, file, mark(fd, slot.stamp), flags(slot)) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Appends the operations that events speak of, in the kernel's order. True when some event comes from a
    /// registration that was no longer ours when the wait began: its file lives on under a duplicate, nobody can take
    /// it out of the epoll object, and it would end every wait at once.
    fn translate(&self, events: &[Event], waited_since: u32, ready: &mut Vec<OpId>) -> bool {
        let mut orphaned = false;
        for event in events {
            let (flags, mark) = (EventFlags::from_bits_retain(event.events), event.u64);
            if mark == WAKER_MARK {
                continue;
            }
            let slot = self.fds.get(mark as u32 as Fd);
            if slot.stamp != (mark >> 32) as u32 {
                // Wrapping difference: was the last change made before the wait?
                orphaned |= waited_since.wrapping_sub(slot.stamp) < u32::MAX / 2;
                continue;
            }
            // An error or a hang-up concerns both sides.
            if flags.intersects(!EventFlags::OUT) {
                ready.extend(self.ops.id_at(slot.read));
            }
            if flags.intersects(!EventFlags::IN) {
                ready.extend(self.ops.id_at(slot.write));
            }
        }
        orphaned
    }

    /// Where chance wants it, reports an operation that is not ready. Never a `Poll`: programs rely on
    /// readiness and may block on what was reported, and kernels do not let them down.
    fn lie(&mut self, ready: &mut Vec<OpId>) {
        let Some(chance) = &mut self.calls.chance else { return };
        let unready = chance
            .lie(self.ops.len())
            .and_then(|index| self.ops.id_at(index as u32))
            .filter(|id| !matches!(self.ops.get(*id), Some(Op::Poll { .. })) && !ready.contains(id));
        ready.extend(unready);
    }

    /// Starts over with a new epoll object that holds the present registrations and no others.
    fn rebuild(&mut self) -> io::Result<()> {
        self.calls.descriptor()?;
        let fresh = epoll::create(CreateFlags::CLOEXEC)?;
        self.claim(fresh.as_raw_fd());
        if let Some(eventfd) = &self.waker {
            watch_waker(&fresh, eventfd)?;
        }
        for (fd, slot) in self.fds.iter() {
            match epoll::add(&fresh, sys::borrow(fd)?, mark(fd, slot.stamp), flags(slot)) {
                // Closed by its owner, who has yet to cancel.
                Err(Errno::BADF | Errno::PERM) => {}
                result => result?,
            }
        }
        for fd in self.leaving.drain(..) {
            self.fds.set(fd, FdSlot { leaving: false, ..self.fds.get(fd) });
        }
        self.epoll = Some(Arc::new(fresh));
        Ok(())
    }
}

/// What the kernel hands back with an event: the descriptor's number and the stamp of its registration.
fn mark(fd: Fd, stamp: u32) -> EventData {
    EventData::new_u64(u64::from(stamp) << 32 | u64::from(fd as u32))
}

fn flags(slot: FdSlot) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, slot.side(Interest::Read) != NO_OP);
    flags.set(EventFlags::OUT, slot.side(Interest::Write) != NO_OP);
    flags
}

fn watch_waker(epoll: &OwnedFd, eventfd: &Eventfd) -> io::Result<()> {
    Ok(epoll::add(epoll, eventfd, EventData::new_u64(WAKER_MARK), EventFlags::IN | EventFlags::ET)?)
}
