//! The loop's door for other threads: a queue of messages, and a wake-up only when the loop is parked.
//!
//! Called by any thread ([`Inbox::post`]) and by [`crate::EventLoop`], which alone takes messages and parks; calls the waker.
//!
//! No message is lost: a poster pushes, then takes the mark [`PARKED`] away and rings if it was set; the loop sets the
//! mark, then looks at the queue, and blocks if it is empty. Every access to the mark is a read-modify-write that acquires and
//! releases, so whoever comes second has seen all that the first one did: a poster who finds the mark rings, and after a poster
//! who did not find it the loop finds the message. A ring that comes late, when the loop has long been busy again, ends one
//! park too many and nothing else. `model` tries every interleaving.

#[cfg(all(test, loom))]
mod model;

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

#[cfg(not(all(test, loom)))]
use crossbeam_queue::SegQueue;
#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};
#[cfg(all(test, loom))]
use model::SegQueue;
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use yibu_driver::Waker;

/// What ends a park.
pub trait Wake {
    /// Ends the park that is under way, or the next one.
    fn wake(&self);
}

impl Wake for Waker {
    fn wake(&self) {
        Self::wake(self);
    }
}

/// The loop is at work.
const BUSY: u8 = 0;
/// The loop blocks, or is about to.
const PARKED: u8 = 1;
/// The loop was woken and has not said yet that it is at work.
const RUNG: u8 = 2;

/// Messages of type `M` on their way to a loop that is woken by `W`.
#[derive(Debug)]
pub struct Inbox<M, W = Waker> {
    queue: SegQueue<M>,
    /// Set after a message was sent, and by nobody reset but the loop: what it looks at where it looks often.
    has_news: AtomicBool,
    /// About how many messages were sent since the inbox was last emptied: threads that count at once may lose some.
    backlog: AtomicUsize,
    mark: AtomicU8,
    waker: OnceLock<W>,
}

/// A sender gives way when so many messages wait, and after as many again.
const FLOOD: usize = 1024;
/// How long a sender gives way at most, and how long before it looks again.
const GIVES_WAY: Duration = Duration::from_millis(1);
const LOOKS_AGAIN: Duration = Duration::from_micros(50);

impl<M, W> Default for Inbox<M, W> {
    fn default() -> Self {
        Self {
            queue: SegQueue::new(),
            has_news: AtomicBool::new(false),
            backlog: AtomicUsize::new(0),
            mark: AtomicU8::new(BUSY),
            waker: OnceLock::new(),
        }
    }
}

impl<M, W: Wake> Inbox<M, W> {
    /// Sends a message; wakes the loop when it is parked.
    pub fn post(&self, message: M) {
        self.push(message);
        self.ring();
    }

    /// The first half of [`post`](Self::post): the loop need not find the message before it is rung for.
    #[inline]
    pub fn push(&self, message: M) {
        self.queue.push(message);
        self.backlog.store(self.backlog.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.has_news.store(true, Ordering::Release);
    }

    /// Whether it is time for a sender to give way, so that the loop gets to what was sent. Ask after sending.
    #[inline]
    pub fn is_flooded(&self) -> bool {
        let backlog = self.backlog.load(Ordering::Relaxed);
        backlog != 0 && backlog.is_multiple_of(FLOOD)
    }

    /// Waits until the loop has taken the messages, for a millisecond at most: it may be busy with something long. Hold nothing
    /// that the loop needs meanwhile.
    #[cold]
    pub fn give_way(&self) {
        let begun = Instant::now();
        while self.backlog.load(Ordering::Relaxed) >= FLOOD && begun.elapsed() < GIVES_WAY {
            std::thread::sleep(LOOKS_AGAIN);
        }
    }

    /// The second half.
    #[inline]
    pub fn ring(&self) {
        let rings = |mark| Some(if mark == PARKED { RUNG } else { mark });
        if self.mark.fetch_update(Ordering::AcqRel, Ordering::Acquire, rings) == Ok(PARKED)
            && let Some(waker) = self.waker.get()
        {
            waker.wake();
        }
    }

    /// Whether the loop was woken and has not got to work since. A hint, for those who stand in its way.
    #[inline]
    pub fn is_rung(&self) -> bool {
        self.mark.load(Ordering::Relaxed) == RUNG
    }

    /// Whether something may be there that was not when it was last emptied. False also of a message that is just being sent.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.has_news.load(Ordering::Relaxed)
    }

    /// Not all that was there could be taken.
    #[cold]
    pub(crate) fn keep_news(&self) {
        self.has_news.store(true, Ordering::Release);
    }

    /// Whether nothing is there.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes the messages that are there, oldest first, and not those that come meanwhile: however fast others post, it ends.
    #[inline]
    pub(crate) fn drain(&self) -> impl Iterator<Item = M> {
        // Before the messages are taken: what is sent meanwhile is news again.
        self.has_news.swap(false, Ordering::AcqRel);
        self.backlog.store(0, Ordering::Relaxed);
        (0..self.queue.len()).map_while(|_| self.queue.pop())
    }

    /// Makes the waker that other threads use, if there is none yet.
    pub(crate) fn ensure_waker(&self, waker: impl FnOnce() -> std::io::Result<W>) -> std::io::Result<()> {
        if self.waker.get().is_none() {
            // Only the loop's thread sets it, so a lost race is impossible and the value is simply there afterwards.
            drop(self.waker.set(waker()?));
        }
        Ok(())
    }

    /// Announces that the loop is about to block, woken by `waker`; `false` when a message came first and it must not.
    pub(crate) fn park(&self, waker: impl FnOnce() -> std::io::Result<W>) -> std::io::Result<bool> {
        self.ensure_waker(waker)?;
        self.mark.swap(PARKED, Ordering::AcqRel);
        if self.is_empty() {
            return Ok(true);
        }
        self.unpark();
        Ok(false)
    }

    /// The loop is busy again.
    pub(crate) fn unpark(&self) {
        self.mark.swap(BUSY, Ordering::AcqRel);
    }
}
