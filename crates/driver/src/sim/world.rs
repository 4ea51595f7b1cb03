//! The simulated kernel: descriptors, connections, listeners, what is watched, and the virtual clock.
//!
//! Called by the simulated driver, by its waits and wakers, and by the test's own handles (`net`), all under
//! one lock. Calls `faults` for chance, and the real kernel only for numbers: each simulated descriptor is an
//! eventfd that nobody uses, so that numbers are given out, owned and used again exactly as those of real
//! sockets.

mod connections;
mod datagrams;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use self::connections::End;
use self::datagrams::Mailbox;
use crate::faults::{Faults, Random};
use crate::fd_table::{FdSlot, FdTable};
use crate::memory;
use crate::op::{Fd, Interest, NO_OP, Op, OpId, OpTable};

pub(super) use self::connections::EndId;

/// What a simulated wait brings back: a descriptor, the stamp of its registration, and which sides are ready.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    fd: Fd,
    stamp: u32,
    read: bool,
    write: bool,
}

#[derive(Debug)]
enum File {
    Stream(EndId),
    Listener { waiting: VecDeque<EndId>, backlog: usize },
    Datagrams(Mailbox),
}

/// What a test sends later: when, the place among all that was scheduled, the sending end, the bytes.
type Later = (Duration, u64, EndId, Vec<u8>);

#[derive(Debug)]
pub(super) struct World {
    pub(super) ops: OpTable,
    fds: FdTable,
    files: BTreeMap<Fd, File>,
    ends: BTreeMap<EndId, End>,
    last_end: EndId,
    pub(super) capacity: usize,
    now: Duration,
    agenda: BinaryHeap<Reverse<Later>>,
    scheduled: u64,
    pub(super) faults: Faults,
    random: Random,
    pub(super) woken: bool,
    pub(super) threads: bool,
}

/// As much as a connection holds per direction, unless the test says otherwise.
const CAPACITY: usize = 64 * 1024;

/// A port that no other socket gets for a long time.
const fn port_of(id: EndId) -> u16 {
    1024 + (id % 60_000) as u16
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            ops: OpTable::default(),
            fds: FdTable::default(),
            files: BTreeMap::new(),
            ends: BTreeMap::new(),
            last_end: 0,
            capacity: CAPACITY,
            now: Duration::from_secs(1000),
            agenda: BinaryHeap::new(),
            scheduled: 0,
            faults: Faults::default(),
            random: Random::new(seed),
            woken: false,
            threads: false,
        }
    }

    // The clock.

    pub(super) const fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn schedule(&mut self, delay: Duration, end: EndId, bytes: Vec<u8>) {
        self.scheduled += 1;
        self.agenda.push(Reverse((self.now + delay, self.scheduled, end, bytes)));
    }

    /// Lets time pass to the next thing on the agenda, but not beyond `deadline`. False when nothing was left
    /// to do.
    pub(super) fn pass_time(&mut self, deadline: Option<Duration>) -> bool {
        let due = self
            .agenda
            .peek()
            .is_some_and(|Reverse((at, ..))| deadline.is_none_or(|deadline| *at <= deadline));
        if !due {
            self.now = deadline.map_or(self.now, |deadline| deadline.max(self.now));
            return false;
        }
        if let Some(Reverse((at, _, end, bytes))) = self.agenda.pop() {
            self.now = at.max(self.now);
            drop(self.deliver(end, &bytes, usize::MAX));
        }
        true
    }

    // Watching.

    pub(super) fn submit(&mut self, op: Op) -> io::Result<OpId> {
        let (fd, interest) = (op.fd(), op.interest());
        if !self.files.contains_key(&fd) {
            return Err(Errno::BADF.into());
        }
        let slot = self.fds.get(fd);
        if slot.side(interest) != NO_OP {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = self.ops.insert(op).ok_or_else(memory::exhausted)?;
        let stamp = self.fds.next_stamp();
        self.fds.set(fd, FdSlot { stamp, ..slot.with(interest, id.index() as u32) });
        Ok(id)
    }

    pub(super) fn cancel(&mut self, id: OpId) -> bool {
        let Some(op) = self.ops.remove(id) else { return false };
        let slot = self.fds.get(op.fd());
        if slot.side(op.interest()) == id.index() as u32 {
            let stamp = self.fds.next_stamp();
            self.fds.set(op.fd(), FdSlot { stamp, ..slot.with(op.interest(), NO_OP) });
        }
        true
    }

    pub(super) fn watched(&self) -> Vec<(Fd, bool, bool)> {
        self.fds.sides().collect()
    }

    pub(super) fn set_faults(&mut self, seed: u64, faults: Faults) {
        (self.random, self.faults) = (Random::new(seed), faults);
    }

    pub(super) fn forget_all(&mut self) {
        self.ops.clear();
        self.fds.clear();
    }

    /// The watched descriptors that are ready, in an order drawn from the seed, and some that are not.
    pub(super) fn events(&mut self) -> Vec<Event> {
        let mut events: Vec<Event> = self
            .fds
            .iter()
            .map(|(fd, slot)| {
                let (read, write) = self.readiness(fd);
                let (reads, writes) =
                    (slot.side(Interest::Read) != NO_OP, slot.side(Interest::Write) != NO_OP);
                Event { fd, stamp: slot.stamp, read: read && reads, write: write && writes }
            })
            .collect();
        for event in &mut events {
            event.read |= self.random.strikes(self.faults.spurious);
            event.write |= self.random.strikes(self.faults.spurious);
        }
        events.retain(|event| event.read || event.write);
        for last in (1..events.len()).rev() {
            events.swap(last, self.random.below(last + 1));
        }
        events
    }

    /// Appends the operations that events speak of, unless their registration has changed since.
    pub(super) fn translate(&self, events: &[Event], ready: &mut Vec<OpId>) {
        for event in events {
            let slot = self.fds.get(event.fd);
            if slot.stamp == event.stamp {
                ready.extend(event.read.then(|| self.ops.id_at(slot.read)).flatten());
                ready.extend(event.write.then(|| self.ops.id_at(slot.write)).flatten());
            }
        }
    }

    fn readiness(&self, fd: Fd) -> (bool, bool) {
        match self.files.get(&fd) {
            Some(File::Listener { waiting, .. }) => (!waiting.is_empty(), false),
            Some(File::Datagrams(mailbox)) => {
                let full = mailbox
                    .peer
                    .and_then(|port| self.mailbox(port))
                    .is_some_and(|peer| peer.is_full(self.capacity));
                (mailbox.error.is_some() || !mailbox.inbound.is_empty(), !full)
            }
            Some(File::Stream(end)) => self.ends.get(end).map_or((true, true), |end| {
                let room = self
                    .ends
                    .get(&end.peer)
                    .is_none_or(|peer| peer.closed || peer.inbound.len() < self.capacity);
                (end.broken || end.eof || !end.inbound.is_empty(), end.broken || room)
            }),
            None => (false, false),
        }
    }

    // Descriptors.

    fn descriptor(&mut self, file: File) -> io::Result<OwnedFd> {
        let number = eventfd(0, EventfdFlags::CLOEXEC)?;
        // A descriptor dropped without `close` is noticed when its number comes back.
        self.close(number.as_raw_fd());
        self.files.insert(number.as_raw_fd(), file);
        Ok(number)
    }

    pub(super) fn close(&mut self, fd: Fd) {
        match self.files.remove(&fd) {
            None => return,
            Some(File::Datagrams(_)) => {}
            Some(File::Stream(end)) => self.close_end(end),
            Some(File::Listener { waiting, .. }) => waiting.into_iter().for_each(|end| self.close_end(end)),
        }
        // As in the kernel, the file takes its registration along.
        let stamp = self.fds.next_stamp();
        self.fds.set(fd, FdSlot { stamp, ..FdSlot::EMPTY });
    }

    pub(super) fn listen(&mut self, backlog: usize) -> io::Result<OwnedFd> {
        self.descriptor(File::Listener { waiting: VecDeque::new(), backlog })
    }

    pub(super) fn stream(&mut self, end: EndId) -> io::Result<OwnedFd> {
        self.descriptor(File::Stream(end))
    }

    pub(super) fn reuse_number(&mut self, fd: Fd, end: EndId) {
        self.close(fd);
        self.files.insert(fd, File::Stream(end));
    }

    /// Fails as the faults say: the call is to be made again.
    fn maybe_again(&mut self) -> io::Result<()> {
        if self.random.strikes(self.faults.again) {
            return Err(if self.random.below(2) == 0 { Errno::AGAIN } else { Errno::INTR }.into());
        }
        Ok(())
    }
}
