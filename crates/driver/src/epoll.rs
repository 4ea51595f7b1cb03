//! The epoll driver: the kernel reports readiness, and `finish` then makes the system call of the operation.
//!
//! Level-triggered. One `recv` per report into a buffer of the driver; when bytes are left, the next wait
//! reports the descriptor again, so there is no loop that reads until `EAGAIN`. A registration stays as it is
//! from message to message. Called by [`Driver`](crate::Driver) only; calls the kernel through `sys`, `wait`
//! and `waker`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use crate::buffers::Buffers;
use crate::faults::{FaultInjector, Faults};
use crate::fd_table::{FdSlot, FdTable, Usage};
use crate::memory::{self, MakeRoom};
use crate::op::{Fd, Interest, Lease, NO_OP, Op, OpId, OpTable, Outcome, again_or_failed, at_most, received};
use crate::sys::{self, Calls};

mod eventfd;
mod wait;

pub(crate) use eventfd::Eventfd;
pub(crate) use wait::EpollWait;
use wait::Event;

/// The key of the waker's events. No descriptor has it: its number would be -1.
const WAKER_KEY: u64 = u64::MAX;

/// How long the list `reported` gets before its descriptors are unregistered, if no wait comes first.
const MOST_REPORTED: usize = 1024;

/// See the module. Holds no descriptor until one is needed.
#[derive(Debug, Default)]
pub struct Epoll {
    // The first field, so that it is closed before the buffers are freed.
    epoll: Option<Arc<OwnedFd>>,
    waker: Option<Arc<Eventfd>>,
    ops: OpTable,
    fds: FdTable,
    /// Descriptors without an operation that the kernel has reported to a poll, or is about to report: they
    /// would end the next wait that may block, and are unregistered before it. Most are closed by then.
    reported: Vec<Fd>,
    events: Vec<Event>,
    buffers: Buffers,
    pub(crate) calls: Calls,
}

impl Epoll {
    pub(crate) fn set_faults(&mut self, seed: u64, faults: Faults) {
        let enabled = faults != Faults::default();
        self.calls.injector = enabled.then(|| Box::new(FaultInjector::new(seed, faults)));
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
        let is_kept = slot.usage == Usage::Kept;
        if is_kept {
            // Said of this submission only.
            slot.usage = Usage::Idle;
            self.fds.set(fd, slot);
        }
        let id = self.ops.insert(op).ok_or_else(memory::exhausted)?;
        if is_kept && matches!(op, Op::Recv { .. } | Op::Read { .. }) {
            // The kernel still watches for this. An event from before may be reported, and then nothing is
            // received.
            self.fds.set(fd, FdSlot { usage: Usage::Used, ..slot.with(interest, id.index() as u32) });
            return Ok(id);
        }
        match self.register(fd, slot, interest, id) {
            Ok(()) => Ok(id),
            Err(error) => {
                self.ops.remove(id);
                Err(error)
            }
        }
    }

    /// The caller that cancelled the last operation of a descriptor submits the next one now, and says that
    /// the descriptor is the same.
    pub(crate) fn submits_again(&mut self, fd: Fd) {
        let slot = self.fds.get(fd);
        if slot.usage == Usage::Idle {
            self.fds.set(fd, FdSlot { usage: Usage::Kept, ..slot });
        }
    }

    pub(crate) fn cancel(&mut self, id: OpId) -> bool {
        let Some(op) = self.ops.remove(id) else { return false };
        self.calls.activity = true;
        let fd = op.fd();
        let slot = self.fds.get(fd);
        if slot.side(op.interest()) == id.index() as u32 {
            let rest = slot.with(op.interest(), NO_OP);
            if rest.is_empty() {
                // The kernel goes on watching. A transport that pauses and resumes between two messages needs
                // no system call for it, nor does one that closes the descriptor. What can be written to
                // would be reported at once.
                let is_ready = op.interest() == Interest::Write && self.note_reported(fd);
                let usage = if is_ready { Usage::Reported } else { Usage::Idle };
                self.fds.set(fd, FdSlot { usage, ..rest });
            } else {
                let stamp = self.fds.next_stamp();
                let rest = FdSlot { stamp, ..rest };
                // Fails if the descriptor was closed before the cancel: the kernel removed the registration
                // of both sides then.
                let kept = self.watch_only(fd, rest).is_ok();
                self.fds.set(fd, if kept { rest } else { FdSlot { stamp, ..FdSlot::EMPTY } });
            }
        }
        true
    }

    pub(crate) fn alter(&mut self, id: OpId, op: Op) -> bool {
        self.ops.alter(id, op)
    }

    /// Adds a descriptor to `reported`. False if there is no memory for it.
    fn note_reported(&mut self, fd: Fd) -> bool {
        // A loop that always has something to do polls and never waits: the list would grow as long as it runs.
        if self.reported.len() >= MOST_REPORTED {
            self.unregister_reported();
        }
        let has_room = self.reported.make_room(1);
        if has_room {
            self.reported.push(fd);
        }
        has_room
    }

    /// Unregisters the descriptors of `reported`, except those that were closed or have a new operation.
    fn unregister_reported(&mut self) {
        while let Some(fd) = self.reported.pop() {
            if self.fds.get(fd).usage == Usage::Reported {
                // False if the descriptor was closed meanwhile: the kernel removed the registration then. If
                // it did not, because a duplicate lives, the next event tells.
                let _gone = self.unregister(fd);
            }
        }
    }

    /// Unregisters a descriptor without operations. False if the kernel knows no such registration.
    fn unregister(&mut self, fd: Fd) -> bool {
        self.take_number(fd);
        let unregistered = self.epoll().and_then(|epoll| Ok(epoll::delete(epoll, sys::borrow(fd)?)?));
        unregistered.is_ok()
    }

    /// Closes a descriptor; its registration goes with it.
    pub(crate) fn close(&mut self, fd: OwnedFd) {
        self.calls.activity = true;
        if self.fds.get(fd.as_raw_fd()).usage != Usage::Used {
            self.take_number(fd.as_raw_fd());
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

    /// The operation on the read side of a descriptor.
    pub(crate) fn reader(&self, fd: Fd) -> Option<OpId> {
        self.ops.id_at(self.fds.get(fd).read)
    }

    #[inline]
    pub(crate) fn has_reader(&self, fd: Fd) -> bool {
        self.fds.get(fd).read != NO_OP
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
        self.buffers.fill(|buf| self.calls.recv(fd, at_most(buf, max)))
    }

    /// Leases a buffer that `fill` has filled with `max` bytes at most; `None` where it has nothing to fill
    /// it with.
    pub(crate) fn fill_from(
        &mut self,
        max: usize,
        fill: impl FnOnce(&mut [u8]) -> Option<io::Result<usize>>,
    ) -> Option<io::Result<Option<Lease>>> {
        let mut is_any = true;
        let filled = self.buffers.fill(|buf| {
            fill(at_most(buf, max)).unwrap_or_else(|| {
                is_any = false;
                Ok(0)
            })
        });
        is_any.then_some(filled)
    }

    #[inline]
    pub(crate) fn bytes(&self, lease: &Lease) -> &[u8] {
        self.buffers.bytes(lease)
    }

    #[inline]
    pub(crate) fn recycle(&mut self, lease: Lease) {
        self.buffers.recycle(lease);
    }

    #[inline]
    pub(crate) fn begin_wait(&mut self) -> io::Result<EpollWait> {
        self.unregister_reported();
        self.take_events()
    }

    fn take_events(&mut self) -> io::Result<EpollWait> {
        let epoll = Arc::clone(self.epoll()?);
        Ok(EpollWait { epoll, events: std::mem::take(&mut self.events), stamp: self.fds.latest_stamp() })
    }

    #[inline]
    pub(crate) fn end_wait(&mut self, wait: EpollWait, ready: &mut Vec<OpId>) -> io::Result<()> {
        self.give_events_back(wait, ready, false)
    }

    /// Reports the events of a wait, or of a poll: only a poll leaves descriptors registered that have no
    /// operation.
    fn give_events_back(&mut self, wait: EpollWait, ready: &mut Vec<OpId>, is_poll: bool) -> io::Result<()> {
        let EpollWait { epoll, mut events, stamp } = wait;
        if self.calls.injector.as_mut().is_some_and(|injector| injector.interrupts()) {
            events.clear();
        }
        // Events of an epoll object that was replaced during the wait say nothing about the present one.
        let unreachable = self.epoll.as_ref().is_some_and(|current| Arc::ptr_eq(current, &epoll))
            && self.translate(&events, stamp, ready, is_poll);
        self.events = events;
        self.report_spurious(ready);
        if unreachable { self.rebuild() } else { Ok(()) }
    }

    pub(crate) fn poll_now(&mut self, ready: &mut Vec<OpId>) -> io::Result<()> {
        if !self.is_watching() {
            return Ok(());
        }
        let mut wait = self.take_events()?;
        let fetched = wait::wait(&wait.epoll, &mut wait.events, Some(Duration::ZERO));
        self.give_events_back(wait, ready, true)?;
        fetched
    }

    /// The eventfd whose write ends a wait. Weak, so that the descriptor is closed with the driver even if a
    /// waker lives longer.
    pub(crate) fn eventfd(&mut self) -> io::Result<Weak<Eventfd>> {
        if let Some(eventfd) = &self.waker {
            return Ok(Arc::downgrade(eventfd));
        }
        self.calls.descriptor()?;
        let eventfd = Arc::new(Eventfd::new()?);
        self.take_number(eventfd.as_fd().as_raw_fd());
        watch_waker(self.epoll()?, &eventfd)?;
        let weak = Arc::downgrade(&eventfd);
        self.waker = Some(eventfd);
        Ok(weak)
    }

    /// The child's descriptors refer to the epoll object of the parent: to unregister there would unregister
    /// for the parent too. So the child only closes them.
    pub(crate) fn after_fork_in_child(&mut self) -> io::Result<()> {
        self.epoll = None; // closes the child's descriptor and leaves the object alone
        self.ops.clear();
        self.fds.clear();
        self.reported.clear();
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
            self.take_number(fresh.as_raw_fd());
            self.epoll = Some(Arc::new(fresh));
        }
        self.epoll.as_ref().ok_or_else(|| io::Error::other("no epoll object"))
    }

    /// Nothing of this number is watched any more, and its events are old ones; or the driver has opened a
    /// descriptor of its own with it, which is not to be unregistered in the place of a former owner's that
    /// was closed without a cancel or after one.
    pub(crate) fn take_number(&mut self, fd: Fd) {
        let stamp = self.fds.next_stamp();
        self.fds.set(fd, FdSlot { stamp, ..FdSlot::EMPTY });
    }

    /// Adds an operation to what the kernel watches `fd` for.
    fn register(&mut self, fd: Fd, current: FdSlot, interest: Interest, id: OpId) -> io::Result<()> {
        let file = sys::borrow(fd)?;
        let stamp = self.fds.next_stamp();
        let alone = FdSlot { stamp, ..FdSlot::EMPTY }.with(interest, id.index() as u32);
        let joined = FdSlot { stamp, usage: Usage::Used, ..current.with(interest, id.index() as u32) };
        let epoll = self.epoll()?;
        let slot = if current.is_empty() && current.usage == Usage::Used {
            match epoll::add(epoll, file, key(fd, stamp), flags(alone)) {
                // The registration of a descriptor that was closed while a duplicate of it lived on: the same
                // file has the same number again.
                Err(Errno::EXIST) => epoll::modify(epoll, file, key(fd, stamp), flags(alone))?,
                result => result?,
            }
            alone
        } else {
            match epoll::modify(epoll, file, key(fd, stamp), flags(joined)) {
                Ok(()) => joined,
                // The descriptor was closed without a cancel and another file has its number: the operation
                // on the other side belongs to the old file and is never reported again.
                Err(Errno::NOENT) => {
                    epoll::add(epoll, file, key(fd, stamp), flags(alone))?;
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
        Ok(epoll::modify(self.epoll()?, file, key(fd, rest.stamp), flags(rest))?)
    }

    /// Whether the file now called `fd` is the one that its operations were submitted for.
    fn still_registered(&mut self, fd: Fd, slot: FdSlot) -> io::Result<bool> {
        let file = sys::borrow(fd)?;
        match epoll::modify(self.epoll()?, file, key(fd, slot.stamp), flags(slot)) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Appends the operations that the events report, in the kernel's order. Returns true when an event comes
    /// from a registration that the driver had given up before the wait began: its descriptor is closed, a
    /// duplicate keeps its file open, so the registration cannot be removed and would end every wait at once.
    fn translate(
        &mut self,
        events: &[Event],
        waited_since: u32,
        ready: &mut Vec<OpId>,
        is_poll: bool,
    ) -> bool {
        let mut unreachable = false;
        for event in events {
            let (flags, key) = (EventFlags::from_bits_retain(event.events), event.u64);
            if key == WAKER_KEY {
                continue;
            }
            let fd = key as u32 as Fd;
            let slot = self.fds.get(fd);
            if slot.usage != Usage::Used {
                if is_poll && slot.usage != Usage::Reported && self.note_reported(fd) {
                    self.fds.set(fd, FdSlot { usage: Usage::Reported, ..slot });
                } else {
                    unreachable |= !self.unregister(fd);
                }
                continue;
            }
            if slot.stamp != (key >> 32) as u32 {
                // Wrapping difference: was the last change made before the wait?
                unreachable |= waited_since.wrapping_sub(slot.stamp) < u32::MAX / 2;
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
        unreachable
    }

    /// Injects the fault `spurious`: reports an operation that is not ready. Never a `Poll`: programs rely on
    /// its report and may block on the descriptor, and no kernel reports a `Poll` wrongly.
    fn report_spurious(&mut self, ready: &mut Vec<OpId>) {
        let Some(injector) = &mut self.calls.injector else { return };
        let unready = injector
            .spurious(self.ops.len())
            .and_then(|index| self.ops.id_at(index as u32))
            .filter(|id| !matches!(self.ops.get(*id), Some(Op::Poll { .. })) && !ready.contains(id));
        ready.extend(unready);
    }

    /// Replaces the epoll object by a new one that has only the present registrations.
    fn rebuild(&mut self) -> io::Result<()> {
        self.calls.descriptor()?;
        let fresh = epoll::create(CreateFlags::CLOEXEC)?;
        self.take_number(fresh.as_raw_fd());
        if let Some(eventfd) = &self.waker {
            watch_waker(&fresh, eventfd)?;
        }
        for (fd, slot) in self.fds.iter() {
            match epoll::add(&fresh, sys::borrow(fd)?, key(fd, slot.stamp), flags(slot)) {
                // Its owner has closed it and not cancelled yet.
                Err(Errno::BADF | Errno::PERM) => {}
                result => result?,
            }
        }
        self.reported.clear();
        self.fds.all_used();
        self.epoll = Some(Arc::new(fresh));
        Ok(())
    }
}

/// What the kernel hands back with an event: the descriptor's number and the stamp of its registration.
fn key(fd: Fd, stamp: u32) -> EventData {
    EventData::new_u64(u64::from(stamp) << 32 | u64::from(fd as u32))
}

fn flags(slot: FdSlot) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, slot.side(Interest::Read) != NO_OP);
    flags.set(EventFlags::OUT, slot.side(Interest::Write) != NO_OP);
    flags
}

fn watch_waker(epoll: &OwnedFd, eventfd: &Eventfd) -> io::Result<()> {
    Ok(epoll::add(epoll, eventfd, EventData::new_u64(WAKER_KEY), EventFlags::IN | EventFlags::ET)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_only_polls_keeps_a_short_list() -> io::Result<()> {
        let (near, _far) = std::os::unix::net::UnixStream::pair()?;
        let op = Op::Poll { fd: near.as_raw_fd(), interest: Interest::Write };
        let mut epoll = Epoll::default();
        let mut ready = Vec::new();
        for _ in 0..3 * MOST_REPORTED {
            let id = epoll.submit(op)?;
            assert!(epoll.cancel(id));
            epoll.poll_now(&mut ready)?;
            assert!(epoll.reported.len() <= MOST_REPORTED);
        }
        assert_eq!(ready, []);
        Ok(())
    }
}
