//! [`FdTable`]: the operations on each descriptor, indexed by the descriptor's number, so that an event needs
//! no hash lookup. Called by the epoll driver and by the simulated one; calls nothing.
//!
//! Every change of a descriptor's registration gets a stamp of its own, which the kernel hands back with each
//! event. An event with an old stamp belongs to an earlier registration, perhaps of another file with the
//! same number, and is dropped; the descriptor is level-triggered, so the kernel reports again what is still
//! true.

use crate::op::{Fd, Interest, NO_OP};

/// The operations on one descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FdSlot {
    /// The stamp of the last change.
    pub(crate) stamp: u32,
    /// Index of the operation on the read side, or `NO_OP`.
    pub(crate) read: u32,
    /// Index of the operation on the write side, or `NO_OP`.
    pub(crate) write: u32,
    pub(crate) usage: Usage,
}

/// Whether the kernel watches a descriptor for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// The kernel watches what has an operation, and nothing else.
    Used,
    /// The last operation was cancelled, and the kernel still watches.
    Idle,
    /// The same, and the next operation is known to be on the same file: see `Epoll::submits_again`.
    Kept,
    /// The last operation was cancelled, and the kernel reports the descriptor: see `Epoll::reported`.
    Reported,
}

impl FdSlot {
    pub(crate) const EMPTY: Self = Self { stamp: 0, read: NO_OP, write: NO_OP, usage: Usage::Used };

    #[inline]
    pub(crate) const fn side(&self, interest: Interest) -> u32 {
        match interest {
            Interest::Read => self.read,
            Interest::Write => self.write,
        }
    }

    #[inline]
    pub(crate) const fn with(mut self, interest: Interest, op: u32) -> Self {
        match interest {
            Interest::Read => self.read = op,
            Interest::Write => self.write = op,
        }
        self
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.read == NO_OP && self.write == NO_OP
    }
}

/// A slot for every descriptor number up to the highest that was ever watched.
#[derive(Debug, Default)]
pub(crate) struct FdTable {
    slots: Vec<FdSlot>,
    stamp: u32,
    watched: usize,
}

impl FdTable {
    /// The slot of a descriptor; an empty one for a number that was never watched.
    #[inline]
    pub(crate) fn get(&self, fd: Fd) -> FdSlot {
        usize::try_from(fd).ok().and_then(|fd| self.slots.get(fd)).copied().unwrap_or(FdSlot::EMPTY)
    }

    /// Stores a slot. Only for a number that the kernel has just accepted: it is open, so the table stays
    /// small. `false` where there is no memory for the table up to there; for a number that has been stored
    /// before there is.
    pub(crate) fn set(&mut self, fd: Fd, slot: FdSlot) -> bool {
        let Ok(index) = usize::try_from(fd) else { return false };
        if index >= self.slots.len() {
            if self.slots.try_reserve(index + 1 - self.slots.len()).is_err() {
                return false;
            }
            self.slots.resize(index + 1, FdSlot::EMPTY);
        }
        let old = std::mem::replace(&mut self.slots[index], slot);
        self.watched += usize::from(!slot.is_empty());
        self.watched -= usize::from(!old.is_empty());
        true
    }

    /// A stamp for the next change.
    #[inline]
    pub(crate) fn next_stamp(&mut self) -> u32 {
        self.stamp = self.stamp.wrapping_add(1);
        self.stamp
    }

    /// The stamp of the latest change of any descriptor.
    #[inline]
    pub(crate) const fn latest_stamp(&self) -> u32 {
        self.stamp
    }

    /// How many descriptors are watched.
    #[inline]
    pub(crate) const fn watched(&self) -> usize {
        self.watched
    }

    /// The watched descriptors.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Fd, FdSlot)> + '_ {
        self.slots.iter().enumerate().filter(|(_, slot)| !slot.is_empty()).map(|(fd, slot)| (fd as Fd, *slot))
    }

    /// The watched descriptors, each with whether it is watched for reading and for writing.
    pub(crate) fn sides(&self) -> impl Iterator<Item = (Fd, bool, bool)> + '_ {
        self.iter().map(|(fd, slot)| (fd, slot.read != NO_OP, slot.write != NO_OP))
    }

    /// Says of every descriptor that the kernel watches it for an operation or not at all.
    pub(crate) fn all_used(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.usage = Usage::Used);
    }

    /// Forgets every operation; stamps go on, so that events already fetched stay recognisably old.
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.watched = 0;
    }
}
