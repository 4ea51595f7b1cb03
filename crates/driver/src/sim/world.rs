//! The simulated kernel: descriptors, connections, listeners, what is watched, and the virtual clock.
//!
//! Called by the simulated driver, by its waits and wakers, and by the test's own handles (`net`), all under one lock.
//! Calls `faults` for chance, and the real kernel only for numbers: each simulated descriptor is an eventfd that
//! nobody uses, so that numbers are given out, owned and used again exactly as they are in earnest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::faults::{Faults, Random};
use crate::fd_table::{FdSlot, FdTable};
use crate::memory;
use crate::op::{Fd, Interest, NO_OP, Op, OpId, OpTable, SocketAddrAny};

/// One end of a connection.
pub(super) type EndId = u64;

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

/// A datagram socket.
#[derive(Debug)]
struct Mailbox {
    port: u16,
    /// The socket that it is connected with.
    peer: Option<u16>,
    /// What arrived and was not received yet, with the sender's port.
    inbound: VecDeque<(u16, Vec<u8>)>,
    /// What became of a datagram sent before; told once.
    error: Option<Errno>,
}

impl Mailbox {
    fn is_full(&self, capacity: usize) -> bool {
        self.inbound.iter().map(|(_, datagram)| datagram.len().max(1)).sum::<usize>() >= capacity
    }
}

#[derive(Debug)]
struct End {
    peer: EndId,
    /// Bytes that arrived and were not received yet.
    inbound: VecDeque<u8>,
    /// The peer will send no more.
    eof: bool,
    /// This end said that it will send no more.
    shut: bool,
    closed: bool,
    /// The connection is gone; the error waits to be told once.
    broken: bool,
    error: Option<Errno>,
    port: u16,
}

/// What happens by itself at some time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    Send(EndId, Vec<u8>),
    Close(EndId),
    Reset(EndId),
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) ops: OpTable,
    fds: FdTable,
    files: BTreeMap<Fd, File>,
    ends: BTreeMap<EndId, End>,
    last_end: EndId,
    pub(super) capacity: usize,
    now: Duration,
    agenda: BinaryHeap<Reverse<(Duration, u64, Action)>>,
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

    pub(super) fn schedule(&mut self, delay: Duration, action: Action) {
        self.scheduled += 1;
        self.agenda.push(Reverse((self.now + delay, self.scheduled, action)));
    }

    /// Lets time pass to the next thing on the agenda, but not beyond `deadline`. False when nothing was left to do.
    pub(super) fn pass_time(&mut self, deadline: Option<Duration>) -> bool {
        let due = self
            .agenda
            .peek()
            .is_some_and(|Reverse((at, ..))| deadline.is_none_or(|deadline| *at <= deadline));
        if !due {
            self.now = deadline.map_or(self.now, |deadline| deadline.max(self.now));
            return false;
        }
        if let Some(Reverse((at, _, action))) = self.agenda.pop() {
            self.now = at.max(self.now);
            match action {
                Action::Send(end, bytes) => drop(self.deliver(end, &bytes, usize::MAX)),
                Action::Close(end) => self.close_end(end),
                Action::Reset(end) => self.reset_end(end),
            }
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

    /// Two connected ends.
    pub(super) fn connection(&mut self) -> (EndId, EndId) {
        let (one, other) = (self.last_end + 1, self.last_end + 2);
        self.last_end = other;
        for (id, peer) in [(one, other), (other, one)] {
            let end = End {
                peer,
                inbound: VecDeque::new(),
                eof: false,
                shut: false,
                closed: false,
                broken: false,
                error: None,
                port: port_of(id),
            };
            self.ends.insert(id, end);
        }
        (one, other)
    }

    /// Connects to a listener; the end that was not queued there.
    pub(super) fn connect(&mut self, listener: Fd) -> io::Result<EndId> {
        let (one, other) = self.connection();
        match self.files.get_mut(&listener) {
            Some(File::Listener { waiting, backlog }) if waiting.len() < *backlog => waiting.push_back(other),
            _ => {
                self.ends.remove(&one);
                self.ends.remove(&other);
                return Err(Errno::CONNREFUSED.into());
            }
        }
        Ok(one)
    }

    pub(super) fn accept(&mut self, fd: Fd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
        match self.files.get(&fd) {
            None => return Err(Errno::BADF.into()),
            Some(File::Stream(_) | File::Datagrams(_)) => return Err(Errno::INVAL.into()),
            Some(File::Listener { .. }) => {}
        }
        self.maybe_again()?;
        if self.random.strikes(self.faults.no_descriptors) {
            return Err(Errno::MFILE.into());
        }
        let Some(File::Listener { waiting, .. }) = self.files.get_mut(&fd) else {
            return Err(Errno::BADF.into());
        };
        let end = waiting.pop_front().ok_or(Errno::AGAIN)?;
        let peer = self.ends.get(&end).map(|end| end.peer);
        let port = peer.and_then(|peer| self.ends.get(&peer)).map_or(0, |peer| peer.port);
        Ok((self.stream(end)?, Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())))
    }

    // Datagrams, with faults.

    pub(super) fn datagrams(&mut self, peer: Option<u16>) -> io::Result<(OwnedFd, u16)> {
        self.last_end += 1;
        let port = port_of(self.last_end);
        let mailbox = Mailbox { port, peer, inbound: VecDeque::new(), error: None };
        Ok((self.descriptor(File::Datagrams(mailbox))?, port))
    }

    fn mailbox(&self, port: u16) -> Option<&Mailbox> {
        self.files.values().find_map(|file| match file {
            File::Datagrams(mailbox) if mailbox.port == port => Some(mailbox),
            _ => None,
        })
    }

    fn mailbox_of(&mut self, fd: Fd) -> io::Result<&mut Mailbox> {
        match self.files.get_mut(&fd) {
            Some(File::Datagrams(mailbox)) => Ok(mailbox),
            Some(_) => Err(Errno::OPNOTSUPP.into()),
            None => Err(Errno::BADF.into()),
        }
    }

    /// What waited longest; what does not fit into `buf` is cut off.
    pub(super) fn recv_from(&mut self, fd: Fd, buf: &mut [u8]) -> io::Result<(usize, Option<SocketAddrAny>)> {
        self.maybe_again()?;
        let mailbox = self.mailbox_of(fd)?;
        if let Some(error) = mailbox.error.take() {
            return Err(error.into());
        }
        let (port, datagram) = mailbox.inbound.pop_front().ok_or(Errno::AGAIN)?;
        let n = datagram.len().min(buf.len());
        buf[..n].copy_from_slice(&datagram[..n]);
        Ok((n, Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())))
    }

    /// Unlike UDP, and like datagrams of a Unix socket, nothing is lost for lack of room: `EAGAIN`.
    pub(super) fn send_to(
        &mut self,
        fd: Fd,
        data: &[u8],
        address: Option<&SocketAddrAny>,
    ) -> io::Result<usize> {
        self.maybe_again()?;
        if self.random.strikes(self.faults.no_buffers) {
            return Err(Errno::NOBUFS.into());
        }
        let capacity = self.capacity;
        let mailbox = self.mailbox_of(fd)?;
        if let Some(error) = mailbox.error.take() {
            return Err(error.into());
        }
        let (port, connected) = (mailbox.port, mailbox.peer);
        let to = match address {
            Some(address) => SocketAddrV4::try_from(address.clone())?.port(),
            None => connected.ok_or(Errno::DESTADDRREQ)?,
        };
        let receiver = self.files.values_mut().find_map(|file| match file {
            File::Datagrams(mailbox) if mailbox.port == to => Some(mailbox),
            _ => None,
        });
        match receiver {
            Some(receiver) if receiver.is_full(capacity) => return Err(Errno::AGAIN.into()),
            Some(receiver) => receiver.inbound.push_back((port, data.to_vec())),
            // Only who is connected hears of it.
            None if connected.is_some() => self.mailbox_of(fd)?.error = Some(Errno::CONNREFUSED),
            None => {}
        }
        Ok(data.len())
    }

    // Data through descriptors, with faults.

    fn end_of(&self, fd: Fd) -> io::Result<EndId> {
        match self.files.get(&fd) {
            Some(File::Stream(end)) => Ok(*end),
            Some(File::Listener { .. } | File::Datagrams(_)) => Err(Errno::NOTCONN.into()),
            None => Err(Errno::BADF.into()),
        }
    }

    fn maybe_again(&mut self) -> io::Result<()> {
        if self.random.strikes(self.faults.again) {
            return Err(if self.random.below(2) == 0 { Errno::AGAIN } else { Errno::INTR }.into());
        }
        Ok(())
    }

    pub(super) fn recv(&mut self, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
        let id = self.end_of(fd)?;
        self.maybe_again()?;
        if self.random.strikes(self.faults.reset) {
            self.reset_end(id);
        }
        let there = self.ends.get(&id).map_or(0, |end| end.inbound.len()).min(buf.len());
        let n = self.random.some_of(there, self.faults.short_read);
        self.take(id, &mut buf[..n])
    }

    pub(super) fn send(&mut self, fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let id = self.end_of(fd)?;
        self.maybe_again()?;
        if self.random.strikes(self.faults.no_buffers) {
            return Err(Errno::NOBUFS.into());
        }
        if self.random.strikes(self.faults.reset) {
            self.reset_end(id);
        }
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        let room = self.random.some_of(total.min(self.capacity), self.faults.short_write);
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).take(room).collect();
        self.deliver(id, &bytes, room)
    }

    pub(super) fn shutdown_write(&mut self, fd: Fd) -> io::Result<()> {
        let id = self.end_of(fd)?;
        self.shut_end(id)
    }

    // Ends, without faults: the test's side of a connection.

    /// Receives into the whole of `buf`, or says why not.
    pub(super) fn take(&mut self, id: EndId, buf: &mut [u8]) -> io::Result<usize> {
        let end = self.ends.get_mut(&id).ok_or(Errno::BADF)?;
        if end.inbound.is_empty() {
            return match end.error.take() {
                Some(error) => Err(error.into()),
                None if end.eof || end.broken => Ok(0),
                None => Err(Errno::AGAIN.into()),
            };
        }
        let n = buf.len().min(end.inbound.len());
        for (to, from) in buf.iter_mut().zip(end.inbound.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }

    /// Sends at most `most` of `bytes` to the peer of an end.
    pub(super) fn deliver(&mut self, id: EndId, bytes: &[u8], most: usize) -> io::Result<usize> {
        let end = self.ends.get_mut(&id).ok_or(Errno::BADF)?;
        if let Some(error) = end.error.take() {
            return Err(error.into());
        }
        if end.broken || end.shut {
            return Err(Errno::PIPE.into());
        }
        let peer_id = end.peer;
        let most = most.min(bytes.len());
        match self.ends.get_mut(&peer_id) {
            Some(peer) if !peer.closed => {
                let n = most.min(self.capacity.saturating_sub(peer.inbound.len()));
                if n == 0 && most != 0 {
                    return Err(Errno::AGAIN.into());
                }
                peer.inbound.extend(&bytes[..n]);
                Ok(n)
            }
            // Taken, sent, and answered with a reset.
            _ => {
                self.break_end(id);
                Ok(most)
            }
        }
    }

    pub(super) fn shut_end(&mut self, id: EndId) -> io::Result<()> {
        let end = self.ends.get_mut(&id).ok_or(Errno::BADF)?;
        if end.broken {
            return Err(Errno::NOTCONN.into());
        }
        end.shut = true;
        let peer = end.peer;
        if let Some(peer) = self.ends.get_mut(&peer) {
            peer.eof = true;
        }
        Ok(())
    }

    /// Closes an end: its peer reads to the end, or is reset when something was left unread.
    pub(super) fn close_end(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        end.closed = true;
        let (peer, unread) = (end.peer, !end.inbound.is_empty());
        match self.ends.get_mut(&peer) {
            Some(peer) if !peer.closed => peer.eof = true,
            // Both ends are closed, so no call can refer to the connection any more.
            _ => {
                self.ends.remove(&id);
                self.ends.remove(&peer);
                return;
            }
        }
        if unread {
            self.break_end(peer);
        }
    }

    /// Breaks a connection for both; what was on its way is lost.
    pub(super) fn reset_end(&mut self, id: EndId) {
        let peer = self.ends.get(&id).map(|end| end.peer);
        for id in [Some(id), peer].into_iter().flatten() {
            self.break_end(id);
            if let Some(end) = self.ends.get_mut(&id) {
                end.inbound.clear();
            }
        }
    }

    fn break_end(&mut self, id: EndId) {
        if let Some(end) = self.ends.get_mut(&id).filter(|end| !end.broken) {
            end.broken = true;
            end.error = Some(Errno::CONNRESET);
        }
    }

    pub(super) fn available(&self, id: EndId) -> usize {
        self.ends.get(&id).map_or(0, |end| end.inbound.len())
    }
}
