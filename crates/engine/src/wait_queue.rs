//! [`WaitQueue`]: the waiters of a lock or a queue, first come first served.
//!
//! Waiters mostly leave at the front. A waiter whose wait is cancelled leaves from the middle, by its ticket,
//! and its place stays empty. Empty places are removed later, many at once, so leaving costs one binary
//! search, and the number of empty places stays bounded however long the first waiter stays. Called by
//! yibu-python's locks and queues; calls nothing.

use std::collections::VecDeque;

use yibu_driver::memory::MakeRoom;

/// A place in one queue; never given out twice there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// The ticket as a number, for keeping.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The ticket of a number that [`Ticket::number`] gave.
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

#[derive(Debug)]
struct Place<W> {
    ticket: Ticket,
    /// `None` where a waiter left before its turn; never at either end of the queue.
    waiter: Option<W>,
}

/// Waiters in the order of their arrival.
#[derive(Debug)]
pub struct WaitQueue<W> {
    /// By rising tickets.
    places: VecDeque<Place<W>>,
    /// The ticket of the next waiter to be added.
    next: Ticket,
    waiting: usize,
}

/// Queues keep the memory for this many waiters, and look for empty places in no shorter ones.
const KEEP: usize = 64;

impl<W> Default for WaitQueue<W> {
    fn default() -> Self {
        Self { places: VecDeque::new(), next: Ticket(0), waiting: 0 }
    }
}

impl<W> WaitQueue<W> {
    /// Makes room for one more waiter; `false` where there is no memory for it.
    #[inline]
    pub fn make_room(&mut self) -> bool {
        self.places.make_room(1)
    }

    /// Adds a waiter at the back.
    pub fn push(&mut self, waiter: W) -> Ticket {
        let ticket = self.next;
        self.next.0 += 1;
        self.places.push_back(Place { ticket, waiter: Some(waiter) });
        self.waiting += 1;
        ticket
    }

    /// Removes the waiter with this ticket; `None` when it has left already.
    pub fn remove(&mut self, ticket: Ticket) -> Option<W> {
        let index = self.places.binary_search_by_key(&ticket, |place| place.ticket).ok()?;
        let waiter = self.places.get_mut(index)?.waiter.take()?;
        self.waiting -= 1;
        self.close_up();
        Some(waiter)
    }

    /// Removes the first waiter.
    pub fn pop(&mut self) -> Option<W> {
        let waiter = self.places.pop_front()?.waiter;
        self.waiting -= 1;
        self.close_up();
        waiter
    }

    /// The first waiter.
    pub fn front(&self) -> Option<&W> {
        self.places.front()?.waiter.as_ref()
    }

    /// The waiters with this ticket and later ones: to go on with a walk during which others came and left.
    pub fn iter_from(&self, ticket: Ticket) -> impl Iterator<Item = (Ticket, &W)> {
        let start = self.places.partition_point(|place| place.ticket < ticket);
        self.places.range(start..).filter_map(|place| Some((place.ticket, place.waiter.as_ref()?)))
    }

    /// The waiters, first come first.
    pub fn iter(&self) -> impl Iterator<Item = &W> {
        self.places.iter().filter_map(|place| place.waiter.as_ref())
    }

    /// The ticket of the next waiter to be added.
    pub fn next(&self) -> Ticket {
        self.next
    }

    /// The number of waiters.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether there is no waiter.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// For how many waiters there is memory.
    pub fn capacity(&self) -> usize {
        self.places.capacity()
    }

    /// Removes all waiters.
    pub fn take(&mut self) -> Vec<W> {
        self.waiting = 0;
        std::mem::take(&mut self.places).into_iter().filter_map(|place| place.waiter).collect()
    }

    /// Restores the rule that both ends of the queue are waiters, and frees memory when a long queue has
    /// become short.
    fn close_up(&mut self) {
        while self.places.front().is_some_and(|place| place.waiter.is_none()) {
            self.places.pop_front();
        }
        while self.places.back().is_some_and(|place| place.waiter.is_none()) {
            self.places.pop_back();
        }
        if self.places.len() > KEEP && self.places.len() > self.waiting * 2 {
            self.places.retain(|place| place.waiter.is_some());
        }
        if self.places.capacity() > KEEP && self.places.len() < self.places.capacity() / 4 {
            self.places.shrink_to((self.places.len() * 2).max(KEEP));
        }
    }
}
