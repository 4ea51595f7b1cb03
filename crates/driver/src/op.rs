//! Operations and their outcomes: the types of the interface between engine and driver, and the table of live
//! operations.
//!
//! Held here: [`Op`], [`OpId`], [`Outcome`], [`Lease`], and `OpTable`, which hands out identifiers that go
//! stale when their operation ends. Every driver keeps one table; the engine only ever sees identifiers.
//! Calls nothing.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use crate::memory::MakeRoom;

pub use rustix::net::SocketAddrAny;

/// A descriptor's number. The driver does not own the descriptor: the submitter keeps it open until it
/// cancels the operation.
pub type Fd = std::os::fd::RawFd;

/// The side of a descriptor that an operation waits on. Each side carries at most one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Readable: bytes, the end of the stream or a connection to accept.
    Read,
    /// Writable: room for bytes, or a connection attempt that succeeded or failed.
    Write,
}

/// An operation, which is done when the kernel reports its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Readiness only. Level-triggered: reported at every wait while it holds, until cancelled.
    Poll {
        /// The descriptor to watch.
        fd: Fd,
        /// The side to watch.
        interest: Interest,
    },
    /// Receive from a stream into a buffer of the driver, again and again until end of file, error or cancel.
    Recv {
        /// A non-blocking stream socket.
        fd: Fd,
    },
    /// Read from a descriptor that is no socket (a pipe, a terminal) into a buffer of the driver, as `Recv`
    /// does from a socket.
    Read {
        /// A non-blocking descriptor.
        fd: Fd,
    },
    /// Receive datagrams one by one into a buffer of the driver, again and again until cancel.
    RecvFrom {
        /// A datagram socket.
        fd: Fd,
    },
    /// Accept connections, again and again until error or cancel.
    Accept {
        /// A non-blocking listening socket.
        fd: Fd,
    },
}

impl Op {
    /// The descriptor that the operation is about.
    #[inline]
    pub const fn fd(self) -> Fd {
        match self {
            Self::Poll { fd, .. }
            | Self::Recv { fd }
            | Self::Read { fd }
            | Self::RecvFrom { fd }
            | Self::Accept { fd } => fd,
        }
    }

    /// The side of the descriptor that the operation occupies.
    #[inline]
    pub const fn interest(self) -> Interest {
        match self {
            Self::Poll { interest, .. } => interest,
            Self::Recv { .. } | Self::Read { .. } | Self::RecvFrom { .. } | Self::Accept { .. } => {
                Interest::Read
            }
        }
    }
}

/// Identifies one submission. A later submission may reuse the index after a cancel; the generation tells the
/// two apart, so that for an old identifier `finish` returns `None` and `cancel` returns `false`.
///
/// Aligned like a pointer, so that an enum of pointers and operations is copied in whole words: copies that
/// straddle its fields stall the loads behind them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(align(8))]
pub struct OpId {
    index: u32,
    generation: u32,
}

impl OpId {
    /// The position in the table of live operations: small, dense, and good for indexing a table of owners.
    #[inline]
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// The identifier as one number, for callers that can store only a number.
    #[inline]
    pub const fn bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// Rebuilds the identifier from [`bits`](Self::bits); any other number is stale or wrong.
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }

    /// The identifier by which a driver that joins two tables of operations names an operation of table
    /// `lane`, 0 or 1.
    #[inline]
    pub(crate) const fn interleaved(self, lane: u32) -> Self {
        Self { index: self.index << 1 | lane, generation: self.generation }
    }

    /// The identifier in its own table, and which table that is: undoes [`interleaved`](Self::interleaved).
    #[inline]
    pub(crate) const fn lane(self) -> (Self, u32) {
        (Self { index: self.index >> 1, generation: self.generation }, self.index & 1)
    }
}

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpId({}v{})", self.index, self.generation)
    }
}

/// The result of [`Driver::finish`](crate::Driver::finish).
#[derive(Debug)]
pub enum Outcome {
    /// `Poll`: the descriptor is ready. The operation stays armed.
    Ready,
    /// `Recv`, `Read`: bytes arrived. The operation stays armed.
    Bytes(Lease),
    /// `Recv`, `Read`: the peer has sent everything. The operation is over (see `Failed`).
    Eof,
    /// `RecvFrom`: a datagram arrived, which may be empty, with the sender's address where it has one. The
    /// operation stays armed.
    Datagram(Lease, Option<SocketAddrAny>),
    /// `Accept`: a connection, non-blocking and close-on-exec, with the peer's address where it has one.
    /// The operation stays armed.
    Accepted(OwnedFd, Option<SocketAddrAny>),
    /// Nothing to take now: the report was spurious, or everything had been taken before. The operation stays
    /// armed.
    Again,
    /// The kernel refused. After this, and after `Eof`, the operation is over but its identifier is still
    /// valid, and still occupies its side of the descriptor, until its owner cancels it. The owner does so
    /// before the next wait; until then a driver may report the operation once more, and finishing it tries
    /// again. Not so `RecvFrom`: a refusal is about one datagram sent before (no socket receives there), and
    /// the operation stays armed.
    Failed(io::Error),
}

/// Whether a call failed because it would block or was interrupted (`EAGAIN`, `EINTR`): repeat it when the
/// kernel reports the descriptor.
#[inline]
pub fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Bytes received into a buffer of the driver.
///
/// Read with [`Driver::bytes`](crate::Driver::bytes) and given back with
/// [`Driver::recycle`](crate::Driver::recycle), on the driver that made it; no other lease has the buffer
/// until then. A lease that is dropped instead keeps its buffer until the driver is dropped.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "give the buffer back with Driver::recycle"]
pub struct Lease {
    pub(crate) buffer: u32,
    pub(crate) len: u32,
}

impl Lease {
    /// How many bytes were received; zero for an empty datagram only.
    #[inline]
    #[expect(
        clippy::len_without_is_empty,
        reason = "no bytes of a stream are Outcome::Eof, so the question does not arise"
    )]
    pub const fn len(&self) -> usize {
        self.len as usize
    }
}

/// The live operations, in slots that later operations reuse.
#[derive(Debug)]
pub(crate) struct OpTable {
    slots: Vec<Slot>,
    first_free: u32,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Live(Op),
    Free { next: u32 },
}

/// No slot; an operation table never grows that far.
pub(crate) const NO_OP: u32 = u32::MAX;

impl Default for OpTable {
    fn default() -> Self {
        Self { slots: Vec::new(), first_free: NO_OP }
    }
}

impl OpTable {
    /// Stores an operation; `None` if there is no memory for it.
    pub(crate) fn insert(&mut self, op: Op) -> Option<OpId> {
        let index = self.first_free;
        if let Some(slot) = self.slots.get_mut(index as usize) {
            if let State::Free { next } = slot.state {
                self.first_free = next;
            }
            slot.state = State::Live(op);
            return Some(OpId { index, generation: slot.generation });
        }
        // Every live operation holds an open descriptor's side, and there are fewer than 2^31 descriptors.
        let index = self.slots.len() as u32;
        if !self.slots.make_room(1) {
            return None;
        }
        self.slots.push(Slot { generation: 0, state: State::Live(op) });
        Some(OpId { index, generation: 0 })
    }

    #[inline]
    pub(crate) fn get(&self, id: OpId) -> Option<Op> {
        match self.slots.get(id.index()) {
            Some(Slot { generation, state: State::Live(op) }) if *generation == id.generation => Some(*op),
            _ => None,
        }
    }

    /// Replaces a live operation by another one on the same side of the same descriptor.
    pub(crate) fn alter(&mut self, id: OpId, op: Op) -> bool {
        match self.slots.get_mut(id.index()) {
            Some(Slot { generation, state: State::Live(live) })
                if *generation == id.generation
                    && live.fd() == op.fd()
                    && live.interest() == op.interest() =>
            {
                *live = op;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn remove(&mut self, id: OpId) -> Option<Op> {
        let op = self.get(id)?;
        let slot = self.slots.get_mut(id.index())?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = State::Free { next: self.first_free };
        self.first_free = id.index;
        Some(op)
    }

    /// Whether there is a live operation.
    pub(crate) fn is_any_live(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.state, State::Live(_)))
    }

    /// How many slots there are.
    pub(crate) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// The identifier of the live operation in a slot.
    #[inline]
    pub(crate) fn id_at(&self, index: u32) -> Option<OpId> {
        match self.slots.get(index as usize) {
            Some(Slot { generation, state: State::Live(_) }) => Some(OpId { index, generation: *generation }),
            _ => None,
        }
    }

    /// Ends every operation; all identifiers go stale.
    pub(crate) fn clear(&mut self) {
        for index in 0..self.slots.len() as u32 {
            if let Some(id) = self.id_at(index) {
                self.remove(id);
            }
        }
    }
}

/// The first `max` bytes of a buffer, or all of it.
pub(crate) fn at_most(buf: &mut [u8], max: usize) -> &mut [u8] {
    let len = buf.len().min(max);
    &mut buf[..len]
}

/// The outcome of a read from a stream.
#[inline]
pub(crate) fn received(lease: io::Result<Option<Lease>>) -> Outcome {
    match lease {
        Ok(Some(lease)) => Outcome::Bytes(lease),
        Ok(None) => Outcome::Eof,
        Err(error) => again_or_failed(error),
    }
}

/// The outcome for an error of a repeatable operation.
pub(crate) fn again_or_failed(error: io::Error) -> Outcome {
    if is_again(&error) { Outcome::Again } else { Outcome::Failed(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: Op = Op::Poll { fd: 7, interest: Interest::Write };

    fn insert(table: &mut OpTable, op: Op) -> OpId {
        table.insert(op).expect("there is memory")
    }

    #[test]
    fn a_slot_used_again_has_another_generation() {
        let mut table = OpTable::default();
        let first = insert(&mut table, POLL);
        assert_eq!(table.remove(first), Some(POLL));
        let second = insert(&mut table, Op::Recv { fd: 7 });
        assert_eq!(first.index(), second.index());
        assert_ne!(first, second);
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(Op::Recv { fd: 7 }));
    }

    #[test]
    fn an_operation_becomes_another_of_its_side_only() {
        let mut table = OpTable::default();
        let id = insert(&mut table, Op::Recv { fd: 7 });
        assert!(table.alter(id, Op::Poll { fd: 7, interest: Interest::Read }));
        assert!(!table.alter(id, Op::Recv { fd: 8 }));
        assert!(!table.alter(id, POLL));
        assert_eq!(table.get(id), Some(Op::Poll { fd: 7, interest: Interest::Read }));
        table.remove(id);
        assert!(!table.alter(id, Op::Recv { fd: 7 }));
    }

    #[test]
    fn clear_makes_every_identifier_stale_and_every_slot_free() {
        let mut table = OpTable::default();
        let ids: Vec<OpId> = (0..10).map(|fd| insert(&mut table, Op::Accept { fd })).collect();
        table.clear();
        assert!(ids.iter().all(|id| table.get(*id).is_none()));
        let again: Vec<OpId> = (0..10).map(|fd| insert(&mut table, Op::Accept { fd })).collect();
        assert!(again.iter().all(|id| id.index() < 10 && table.get(*id).is_some()));
    }
}
