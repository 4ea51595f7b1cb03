//! Timers in deadline order, ties first come first served.
//!
//! A four-ary heap with lazy deletion: cancelling only counts, and when more than half of a large heap is cancelled the
//! survivors are kept and the rest is handed back. Cancelling the timer that was added last, as time limits around short
//! work do, takes it out at once. Called by [`crate::EventLoop`]; whether a timer is cancelled, its type `T` knows.

/// A timer that can be asked whether it still matters.
pub trait Timer {
    /// Whether it was cancelled: it will be dropped, not run.
    fn cancelled(&self) -> bool;
}

#[derive(Debug)]
struct Entry<T> {
    when: f64,
    order: u64,
    timer: T,
}

impl<T> Entry<T> {
    #[inline]
    fn before(&self, other: &Self) -> bool {
        self.when < other.when || (self.when == other.when && self.order < other.order)
    }
}

/// What cancelling released: dropping it may run foreign code, so it is left to the caller.
#[derive(Debug)]
#[must_use = "drop it where foreign code may run"]
pub enum Cancelled<T> {
    /// Nothing yet.
    Nothing,
    /// The timer itself.
    One(T),
    /// Many cancelled timers.
    Many(Vec<T>),
}

/// The heap.
#[derive(Debug)]
pub struct Timers<T> {
    heap: Vec<Entry<T>>,
    cancelled: usize,
    order: u64,
}

const ARITY: usize = 4;

/// Heaps up to this size are not compacted.
const SMALL: usize = 64;

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { heap: Vec::new(), cancelled: 0, order: 0 }
    }
}

impl<T: Timer> Timers<T> {
    /// Adds a timer due at `when` seconds.
    pub fn push(&mut self, when: f64, timer: T) {
        self.order += 1;
        self.heap.push(Entry { when, order: self.order, timer });
        self.sift_up(self.heap.len() - 1);
    }

    /// Takes note that one timer in the heap was cancelled just now.
    pub fn note_cancelled(&mut self) -> Cancelled<T> {
        if self.heap.last().is_some_and(|last| last.timer.cancelled()) {
            // The last leaf can go without moving anything.
            return self.heap.pop().map_or(Cancelled::Nothing, |entry| Cancelled::One(entry.timer));
        }
        self.cancelled += 1;
        if self.heap.len() <= SMALL || self.cancelled * 2 <= self.heap.len() {
            return Cancelled::Nothing;
        }
        Cancelled::Many(self.compact())
    }

    /// Keeps the living, in order; gives the cancelled back.
    fn compact(&mut self) -> Vec<T> {
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.heap).into_iter().partition(|entry| entry.timer.cancelled());
        self.heap = kept;
        self.heap.shrink_to(self.heap.len() * 2);
        self.cancelled = 0;
        for index in (0..self.heap.len().div_ceil(ARITY)).rev() {
            self.sift_down(index);
        }
        gone.into_iter().map(|entry| entry.timer).collect()
    }

    /// The earliest deadline in the heap.
    #[inline]
    pub fn next_deadline(&self) -> Option<f64> {
        self.heap.first().map(|entry| entry.when)
    }

    /// Takes the earliest timer if it was cancelled.
    #[inline]
    pub fn pop_cancelled(&mut self) -> Option<T> {
        if !self.heap.first()?.timer.cancelled() {
            return None;
        }
        self.cancelled = self.cancelled.saturating_sub(1);
        self.pop()
    }

    /// Takes the earliest timer if it is due before `end`.
    #[inline]
    pub fn pop_due(&mut self, end: f64) -> Option<T> {
        if self.heap.first()?.when >= end {
            return None;
        }
        self.pop()
    }

    fn pop(&mut self) -> Option<T> {
        let last = self.heap.len().checked_sub(1)?;
        self.heap.swap(0, last);
        let entry = self.heap.pop()?;
        if self.heap.len() > 1 {
            self.sift_down(0);
        }
        Some(entry.timer)
    }

    fn sift_up(&mut self, mut index: usize) {
        while index > 0 {
            let parent = (index - 1) / ARITY;
            if !self.heap[index].before(&self.heap[parent]) {
                break;
            }
            self.heap.swap(index, parent);
            index = parent;
        }
    }

    fn sift_down(&mut self, mut index: usize) {
        loop {
            let first = index * ARITY + 1;
            let children = first..(first + ARITY).min(self.heap.len());
            let Some(least) = children.reduce(|a, b| if self.heap[b].before(&self.heap[a]) { b } else { a })
            else {
                break;
            };
            if !self.heap[least].before(&self.heap[index]) {
                break;
            }
            self.heap.swap(index, least);
            index = least;
        }
    }

    /// The number of timers, cancelled ones that are still in the heap included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Shows every timer, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.heap.iter().map(|entry| &entry.timer)
    }

    /// Takes all timers.
    pub fn take(&mut self) -> Vec<T> {
        self.cancelled = 0;
        std::mem::take(&mut self.heap).into_iter().map(|entry| entry.timer).collect()
    }
}
