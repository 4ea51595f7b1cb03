//! The ring of entries that are ready to run: one FIFO for everything, as asyncio's `_ready`.
//!
//! A turn runs what was in the ring when the turn began; what is pushed meanwhile waits for the next one.
//! Called by [`crate::EventLoop`].

use std::collections::VecDeque;

use yibu_driver::memory::MakeRoom;

/// A FIFO that gives its memory back after a burst.
#[derive(Debug)]
pub struct Ready<E> {
    ring: VecDeque<E>,
}

/// Rings up to this many entries keep their memory.
const KEEP: usize = 4096;

impl<E> Default for Ready<E> {
    fn default() -> Self {
        Self { ring: VecDeque::new() }
    }
}

impl<E> Ready<E> {
    /// Makes room for one more entry; `false` where there is no memory for it.
    #[inline]
    pub fn make_room(&mut self) -> bool {
        self.ring.make_room(1)
    }

    /// Appends an entry.
    #[inline]
    pub fn push(&mut self, entry: E) {
        self.ring.push_back(entry);
    }

    /// Puts an entry before all others.
    pub fn push_first(&mut self, entry: E) {
        self.ring.push_front(entry);
    }

    /// Takes the oldest entry.
    #[inline]
    pub fn pop(&mut self) -> Option<E> {
        self.ring.pop_front()
    }

    /// The oldest entry.
    #[inline]
    pub fn first(&self) -> Option<&E> {
        self.ring.front()
    }

    /// The number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether nothing is ready.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Shows every entry, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.ring.iter()
    }

    /// The entry at a place, counted from the oldest.
    pub fn get(&self, place: usize) -> Option<&E> {
        self.ring.get(place)
    }

    /// The entry at a place, to be replaced.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut E> {
        self.ring.get_mut(place)
    }

    /// Appends entries.
    pub fn extend(&mut self, entries: impl IntoIterator<Item = E>) {
        self.ring.extend(entries);
    }

    /// Takes all entries.
    pub fn take(&mut self) -> VecDeque<E> {
        std::mem::take(&mut self.ring)
    }

    /// How many entries there is memory for.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Gives memory back when a burst is over.
    pub fn trim(&mut self) {
        if self.ring.is_empty() && self.ring.capacity() > KEEP {
            self.ring = VecDeque::new();
        }
    }
}
