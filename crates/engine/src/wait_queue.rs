//! Those who wait for a lock or a queue, first come first served.
//!
//! Waiters mostly leave at the front; one whose wait is cancelled leaves from wherever it stands, by its ticket and without a
//! search. Called by yibu-python's locks and queues; calls nothing.

use std::collections::VecDeque;

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

/// Waiters in the order of their arrival.
#[derive(Debug)]
pub struct WaitQueue<W> {
    /// `None` where a waiter left before its turn; never at the front.
    places: VecDeque<Option<W>>,
    /// The ticket of the front place.
    first: u64,
    waiting: usize,
}

/// Queues keep the memory for this many waiters.
const KEEP: usize = 64;

impl<W> Default for WaitQueue<W> {
    fn default() -> Self {
        Self { places: VecDeque::new(), first: 0, waiting: 0 }
    }
}

impl<W> WaitQueue<W> {
    /// Lets a waiter in, at the back.
    pub fn push(&mut self, waiter: W) -> Ticket {
        let ticket = Ticket(self.first + self.places.len() as u64);
        self.places.push_back(Some(waiter));
        self.waiting += 1;
        ticket
    }

    /// Lets the waiter with this ticket out; `None` when it has left already.
    pub fn remove(&mut self, ticket: Ticket) -> Option<W> {
        let index = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        let waiter = self.places.get_mut(index)?.take()?;
        self.waiting -= 1;
        self.close_up();
        Some(waiter)
    }

    /// Lets the first waiter out.
    pub fn pop(&mut self) -> Option<W> {
        let waiter = self.places.pop_front()?;
        self.first += 1;
        self.waiting -= 1;
        self.close_up();
        waiter
    }

    /// The first waiter.
    pub fn front(&self) -> Option<&W> {
        self.places.front()?.as_ref()
    }

    /// The waiters, first come first.
    pub fn iter(&self) -> impl Iterator<Item = &W> {
        self.places.iter().flatten()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Lets everybody out.
    pub fn take(&mut self) -> Vec<W> {
        self.first += self.places.len() as u64;
        self.waiting = 0;
        std::mem::take(&mut self.places).into_iter().flatten().collect()
    }

    /// Keeps a waiter at the front, and gives memory back that a crowd has left behind.
    fn close_up(&mut self) {
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        if self.places.capacity() > KEEP && self.places.len() < self.places.capacity() / 4 {
            self.places.shrink_to((self.places.len() * 2).max(KEEP));
        }
    }
}
