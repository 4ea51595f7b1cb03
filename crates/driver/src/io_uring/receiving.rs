//! [`Receives`]: the receive operations that the ring carries, what the kernel has received for them, and
//! which of them have something to report. Used by the io_uring driver; calls nothing.

use std::collections::VecDeque;

use crate::memory::MakeRoom;
use crate::op::{Fd, NO_OP, Op, OpId, OpTable};

/// Received bytes of one operation.
#[derive(Debug)]
pub(super) enum Chunk {
    /// The first `len` bytes of a provided buffer.
    Provided { buffer: u16, len: u32 },
    /// Bytes that were kept when an earlier operation was cancelled, from `taken` on.
    Kept { bytes: Vec<u8>, taken: usize },
}

/// Who receives for an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Route {
    /// None until the request is submitted, for the first time or again.
    #[default]
    Idle,
    /// A request of the ring, whose final completion has not come.
    Armed,
    /// An operation of the epoll driver.
    Epoll(OpId),
    /// None any more: the end of the stream, or an error, has come.
    Over,
}

/// One operation.
#[derive(Debug, Default)]
pub(super) struct Receive {
    pub(super) route: Route,
    pub(super) chunks: VecDeque<Chunk>,
    /// What comes behind the chunks: an error number, or 0 for the end of the stream.
    pub(super) end: Option<i32>,
    /// Whether it stands in the list of those with something to report.
    listed: bool,
    /// How many pieces filled their buffer.
    pub(super) full: u8,
}

impl Receive {
    pub(super) fn has_something(&self) -> bool {
        !self.chunks.is_empty() || self.end.is_some()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Receives {
    ops: OpTable,
    all: Vec<Receive>,
    /// How many operations are live.
    live: usize,
    with_something: Vec<OpId>,
    /// Operations whose request is to be submitted.
    pub(super) idle: Vec<OpId>,
    /// The operation on each descriptor, by the descriptor's number.
    by_fd: Vec<u32>,
}

impl Receives {
    pub(super) fn insert(&mut self, fd: Fd) -> Option<OpId> {
        let number = usize::try_from(fd).ok()?;
        let missing = (number + 1).saturating_sub(self.by_fd.len());
        if !self.by_fd.make_room(missing) {
            return None;
        }
        let id = self.ops.insert(Op::Recv { fd })?;
        let missing = (id.index() + 1).saturating_sub(self.all.len());
        // Each list holds an operation once at most, so this room is enough for as long as the operation
        // lives.
        if !self.all.make_room(missing)
            || !self.with_something.make_room(self.live + 1)
            || !self.idle.make_room(self.live + 1)
        {
            self.ops.remove(id);
            return None;
        }
        if missing != 0 {
            self.all.push(Receive::default());
        }
        self.by_fd.resize(self.by_fd.len().max(number + 1), NO_OP);
        self.by_fd[number] = id.index() as u32;
        self.all[id.index()] = Receive::default();
        self.live += 1;
        self.idle.push(id);
        Some(id)
    }

    /// Ends an operation; the caller gives its buffers back.
    pub(super) fn remove(&mut self, id: OpId) -> Option<(Fd, Receive)> {
        let fd = self.ops.remove(id)?.fd();
        self.live -= 1;
        self.forget_number(fd, id);
        self.with_something.retain(|other| *other != id);
        self.idle.retain(|other| *other != id);
        Some((fd, std::mem::take(&mut self.all[id.index()])))
    }

    /// The descriptor has, from now on, no operation of the ring.
    pub(super) fn forget_number(&mut self, fd: Fd, id: OpId) {
        if let Some(place) = usize::try_from(fd).ok().and_then(|fd| self.by_fd.get_mut(fd))
            && *place == id.index() as u32
        {
            *place = NO_OP;
        }
    }

    #[inline]
    pub(super) fn get(&self, id: OpId) -> Option<&Receive> {
        self.ops.get(id)?;
        self.all.get(id.index())
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: OpId) -> Option<&mut Receive> {
        self.ops.get(id)?;
        self.all.get_mut(id.index())
    }

    #[inline]
    pub(super) fn op(&self, id: OpId) -> Option<Op> {
        self.ops.get(id)
    }

    /// The operation that the ring carries on a descriptor.
    pub(super) fn on(&self, fd: Fd) -> Option<OpId> {
        let index = usize::try_from(fd).ok().and_then(|fd| self.by_fd.get(fd).copied())?;
        self.ops.id_at(index)
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// All operations.
    pub(super) fn ids(&self) -> impl Iterator<Item = OpId> + '_ {
        (0..self.ops.len() as u32).filter_map(|index| self.ops.id_at(index))
    }

    /// How many slots there are, and the operation in one of them.
    pub(super) const fn len(&self) -> usize {
        self.ops.len()
    }

    pub(super) fn id_at(&self, index: usize) -> Option<OpId> {
        self.ops.id_at(index as u32)
    }

    /// The operation has something to report, or may have.
    #[inline]
    pub(super) fn list(&mut self, id: OpId) {
        if let Some(receive) = self.all.get_mut(id.index())
            && !receive.listed
            && receive.has_something()
        {
            receive.listed = true;
            self.with_something.push(id);
        }
    }

    /// Whether an operation has something to report.
    pub(super) fn has_news(&mut self) -> bool {
        self.unlist_empty();
        !self.with_something.is_empty()
    }

    /// The operations that have something to report.
    #[inline]
    pub(super) fn news(&mut self) -> &[OpId] {
        self.unlist_empty();
        &self.with_something
    }

    /// Takes those off the list of which everything was taken.
    fn unlist_empty(&mut self) {
        let all = &mut self.all;
        self.with_something.retain(|id| {
            let receive = &mut all[id.index()];
            receive.listed = receive.has_something();
            receive.listed
        });
    }

    /// Whether a chunk lies in a provided buffer.
    pub(super) fn uses(&self, buffer: u16) -> bool {
        self.ids()
            .filter_map(|id| self.get(id))
            .flat_map(|receive| &receive.chunks)
            .any(|chunk| matches!(chunk, Chunk::Provided { buffer: used, .. } if *used == buffer))
    }

    /// Makes room for one more chunk; `false` where there is no memory.
    pub(super) fn make_room(receive: &mut Receive) -> bool {
        receive.chunks.make_room(1)
    }

    /// Forgets every operation; all identifiers go stale.
    pub(super) fn clear(&mut self) {
        self.ops.clear();
        self.all.iter_mut().for_each(|receive| *receive = Receive::default());
        self.with_something.clear();
        self.idle.clear();
        self.by_fd.clear();
        self.live = 0;
    }
}
