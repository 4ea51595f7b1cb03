//! Timers in deadline order, ties first come first served.
//!
//! Most programs use few different delays, so most timers are due no earlier than those that were added
//! before. These stand in a line, where adding one and taking the earliest moves no other. The rest is in a
//! four-ary heap, and the earliest of all is the first of the one or of the other. When many timers leave a
//! large heap and none comes, the others are sorted and stand in the line from then on: each timer that
//! leaves such a heap waits for memory on every level.
//!
//! Deletion is lazy: cancelling a timer only counts it, and when more than half of many timers are cancelled,
//! line and heap are rebuilt without them. A cancelled timer that is the last of the line or of the heap is
//! removed at once; the time limit of a short operation mostly is. Called by [`crate::EventLoop`]; the type
//! `T` tells whether a timer is cancelled.

use std::collections::VecDeque;

use yibu_driver::memory::MakeRoom;

/// A timer that tells whether it was cancelled.
pub trait Timer {
    /// Whether the timer was cancelled, so that it is dropped and not run.
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

/// The timers that left the heap when one was cancelled. The caller drops them, because dropping may run
/// Python code.
#[derive(Debug)]
#[must_use = "drop it where foreign code may run"]
pub enum Cancelled<T> {
    /// None.
    Nothing,
    /// The timer itself.
    One(T),
    /// Many cancelled timers.
    Many(Vec<T>),
}

/// The line and the heap.
#[derive(Debug)]
pub struct Timers<T> {
    line: VecDeque<Entry<T>>,
    heap: Vec<Entry<T>>,
    /// How many entries of both are cancelled.
    cancelled: usize,
    /// Cancelled timers that have left both and are still to be dropped by the caller.
    gone: Vec<T>,
    order: u64,
    /// How many timers have left the heap from its top since one was added.
    drained: usize,
}

const ARITY: usize = 4;

/// So few timers are not compacted.
const SMALL: usize = 64;

/// A heap of so many timers is larger than the fast caches.
const LARGE: usize = 4096;

/// A large heap is sorted when this part of it has left.
const DRAINED_PART: usize = 16;

/// Line and heap keep the memory for this many timers each.
const KEEP: usize = 1024;

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { line: VecDeque::new(), heap: Vec::new(), cancelled: 0, gone: Vec::new(), order: 0, drained: 0 }
    }
}

impl<T: Timer> Timers<T> {
    /// Makes room for one more timer; `false` where there is no memory for it.
    #[inline]
    pub fn make_room(&mut self) -> bool {
        self.line.make_room(1) && self.heap.make_room(1)
    }

    /// Adds a timer due at `when` seconds. Not-a-number is due at once, because a heap needs deadlines that
    /// can be compared.
    #[inline]
    pub fn push(&mut self, when: f64, timer: T) {
        let when = if when.is_nan() { f64::NEG_INFINITY } else { when };
        self.order += 1;
        let entry = Entry { when, order: self.order, timer };
        if self.line.back().is_none_or(|last| last.when <= when) {
            self.line.push_back(entry);
        } else {
            self.drained = 0;
            self.heap.push(entry);
            self.sift_up(self.heap.len() - 1);
        }
    }

    /// Counts one timer that was cancelled just now. The timers returned may be others, cancelled earlier.
    pub fn note_cancelled(&mut self) -> Cancelled<T> {
        // The last ones can go without moving anything.
        let last = match self.line.back() {
            Some(last) if last.timer.cancelled() => self.line.pop_back(),
            _ => self.heap.pop_if(|last| last.timer.cancelled()),
        };
        self.cancelled += usize::from(last.is_none());
        if self.mostly_cancelled()
            && let Some(mut gone) = self.compact()
        {
            gone.extend(last.map(|entry| entry.timer));
            return Cancelled::Many(gone);
        }
        self.give_back();
        last.map_or(Cancelled::Nothing, |entry| Cancelled::One(entry.timer))
    }

    /// Whether to rebuild line and heap without the cancelled timers.
    #[inline]
    fn mostly_cancelled(&self) -> bool {
        let all = self.line.len() + self.heap.len();
        all > SMALL && self.cancelled * 2 > all
    }

    /// Rebuilds both without the cancelled timers, which are returned, with room for one more; `None` if
    /// there is no memory for that.
    fn compact(&mut self) -> Option<Vec<T>> {
        let mut gone = Vec::new();
        if !gone.make_room(self.cancelled + 1) {
            return None;
        }
        self.extract(Timer::cancelled, &mut gone);
        self.cancelled = 0;
        self.give_back();
        Some(gone)
    }

    /// Moves the timers that `unwanted` picks out of line and heap.
    fn extract(&mut self, mut unwanted: impl FnMut(&T) -> bool, into: &mut Vec<T>) {
        for _ in 0..self.line.len() {
            match self.line.pop_front() {
                Some(entry) if unwanted(&entry.timer) => into.push(entry.timer),
                Some(entry) => self.line.push_back(entry),
                None => break,
            }
        }
        into.extend(self.heap.extract_if(.., |entry| unwanted(&entry.timer)).map(|entry| entry.timer));
        for index in (0..self.heap.len().div_ceil(ARITY)).rev() {
            self.sift_down(index);
        }
    }

    /// Frees memory that a burst of timers has left behind.
    #[inline]
    fn give_back(&mut self) {
        if self.heap.capacity() > KEEP && self.heap.len() < self.heap.capacity() / 4 {
            self.heap.shrink_to((self.heap.len() * 2).max(KEEP));
        }
        if self.line.capacity() > KEEP && self.line.len() < self.line.capacity() / 4 {
            self.line.shrink_to((self.line.len() * 2).max(KEEP));
        }
    }

    /// Whether the earliest timer is the first of the heap; it is the first of the line otherwise, if there
    /// is any.
    #[inline]
    fn heap_is_first(&self) -> bool {
        match (self.heap.first(), self.line.front()) {
            (Some(in_heap), Some(in_line)) => in_heap.before(in_line),
            (in_heap, _) => in_heap.is_some(),
        }
    }

    #[inline]
    fn first(&self) -> Option<&Entry<T>> {
        if self.heap_is_first() { self.heap.first() } else { self.line.front() }
    }

    /// The earliest deadline.
    #[inline]
    pub fn next_deadline(&self) -> Option<f64> {
        self.first().map(|entry| entry.when)
    }

    /// Takes one cancelled timer: the first timer if that is cancelled, or any once most timers are
    /// cancelled.
    #[inline]
    pub fn pop_cancelled(&mut self) -> Option<T> {
        if self.gone.is_empty() {
            if self.first()?.timer.cancelled() {
                return self.pop();
            }
            if !self.mostly_cancelled() {
                return None;
            }
            self.gone = self.compact()?;
        }
        let timer = self.gone.pop();
        if self.gone.is_empty() {
            self.gone = Vec::new();
        }
        timer
    }

    /// Shows the deadline of each timer that is due at `time` and not cancelled, in no order. Looks at no
    /// other but their neighbours.
    pub fn each_due(&self, time: f64, mut show: impl FnMut(f64)) {
        self.look_at_due(time, |entry| {
            if !entry.timer.cancelled() {
                show(entry.when);
            }
            true
        });
    }

    /// Whether so many timers are due at `time` that are not cancelled. Where cancelled ones are many, it may
    /// say that there are fewer.
    pub fn has_due(&self, time: f64, number: usize) -> bool {
        let (mut missing, mut looks) = (number, 0);
        self.look_at_due(time, |entry| {
            missing = missing.saturating_sub(usize::from(!entry.timer.cancelled()));
            looks += 1;
            missing > 0 && looks < number * 4
        });
        missing == 0
    }

    /// Shows each timer that is due at `time`, in no order, as long as `show` wants more.
    fn look_at_due(&self, time: f64, mut show: impl FnMut(&Entry<T>) -> bool) {
        let due = |entry: &&Entry<T>| entry.when <= time;
        if !self.line.iter().take_while(due).all(&mut show) {
            return;
        }
        // Down the heap, first children first. An entry that is not due has no children that are.
        let mut index = 0;
        loop {
            if let Some(entry) = self.heap.get(index).filter(due) {
                if !show(entry) {
                    return;
                }
                index = index * ARITY + 1;
                continue;
            }
            // The last child has no next one: its parent's next one follows.
            while index > 0 && index.is_multiple_of(ARITY) {
                index = (index - 1) / ARITY;
            }
            if index == 0 {
                return;
            }
            index += 1;
        }
    }

    /// Takes the earliest timer, cancelled or not, if it is due before `end`.
    #[inline]
    pub fn pop_due(&mut self, end: f64) -> Option<T> {
        if self.first()?.when >= end { None } else { self.pop() }
    }

    fn pop(&mut self) -> Option<T> {
        let timer = if self.heap_is_first() {
            let timer = self.heap.swap_remove(0).timer;
            self.drained += 1;
            if self.heap.len() > LARGE && self.drained > self.heap.len() / DRAINED_PART {
                self.straighten();
            } else {
                self.sift_down(0);
            }
            timer
        } else {
            self.line.pop_front()?.timer
        };
        self.give_back();
        if timer.cancelled() {
            self.cancelled = self.cancelled.saturating_sub(1);
        }
        Some(timer)
    }

    /// Moves all timers of the heap into the line. Where there is no memory for that the heap stays one.
    #[inline(never)] // rare
    fn straighten(&mut self) {
        self.drained = 0;
        if !self.heap.make_room(self.line.len()) {
            self.sift_down(0);
            return;
        }
        let mut all = std::mem::take(&mut self.heap);
        all.extend(std::mem::take(&mut self.line));
        // A zero may have either sign.
        all.sort_unstable_by(|a, b| (a.when + 0.0).total_cmp(&(b.when + 0.0)).then(a.order.cmp(&b.order)));
        self.line = VecDeque::from(all);
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

    /// The number of timers, cancelled ones that are still here included.
    pub fn len(&self) -> usize {
        self.line.len() + self.heap.len() + self.gone.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many timers there is memory for.
    pub fn capacity(&self) -> usize {
        self.line.capacity() + self.heap.capacity() + self.gone.capacity()
    }

    /// Shows every timer with its deadline, in the order in which they are due.
    pub fn in_order(&self) -> Vec<(f64, &T)> {
        let mut entries: Vec<&Entry<T>> = self.line.iter().chain(&self.heap).collect();
        entries.sort_by(|a, b| a.when.total_cmp(&b.when).then(a.order.cmp(&b.order)));
        entries.into_iter().map(|entry| (entry.when, &entry.timer)).collect()
    }

    /// Replaces each timer for which `change` returns another one; returns the replaced timers.
    pub fn replace(&mut self, mut change: impl FnMut(&T) -> Option<T>) -> Vec<T> {
        let entries = self.line.iter_mut().chain(&mut self.heap);
        let changed = entries.filter_map(|entry| {
            let timer = change(&entry.timer)?;
            Some(std::mem::replace(&mut entry.timer, timer))
        });
        changed.collect()
    }

    /// Takes the timers out that `unwanted` picks.
    pub fn remove(&mut self, unwanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        self.extract(unwanted, &mut removed);
        self.cancelled -= removed.iter().filter(|timer| timer.cancelled()).count().min(self.cancelled);
        removed
    }

    /// How many timers in line and heap are cancelled.
    pub fn cancelled_count(&self) -> usize {
        self.cancelled
    }

    /// Shows every timer, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.line.iter().chain(&self.heap).map(|entry| &entry.timer).chain(&self.gone)
    }

    /// Takes all timers.
    pub fn take(&mut self) -> Vec<T> {
        let mut timers = std::mem::take(&mut self.gone);
        timers.extend(std::mem::take(&mut self.line).into_iter().map(|entry| entry.timer));
        timers.extend(std::mem::take(&mut self.heap).into_iter().map(|entry| entry.timer));
        self.cancelled = 0;
        timers
    }
}
