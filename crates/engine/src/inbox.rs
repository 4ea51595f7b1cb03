//! [`Inbox`]: the queue through which other threads send messages to a loop, which is woken only if it is
//! parked.
//!
//! Called by any thread ([`Inbox::post`]) and by [`crate::EventLoop`], which alone takes messages and parks;
//! calls the waker.
//!
//! No message is lost. A sender pushes its message, then changes `loop_state` from `PARKED` to `WOKEN` and
//! wakes the loop if the state was `PARKED`. The loop sets `PARKED`, then checks the queue, and blocks if the
//! queue is empty. Every access to `loop_state` is a read-modify-write that acquires and releases, so the
//! second of two accesses sees all that was written before the first: a sender that comes second finds
//! `PARKED` and wakes the loop, and a loop that comes second finds the message. A wake-up that comes late,
//! when the loop is busy again, ends its next park at once and does no other harm. `model` tries every
//! interleaving.
//!
//! Threads that hold the lock of the embedder (the interpreter's) push to the loop's ring themselves and call
//! [`Inbox::note_pushed`]: the loop uses its ring, and begins and ends to park, only while it holds that
//! lock, so the lock alone orders all of it.

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

/// The loop runs entries.
const BUSY: u8 = 0;
/// The loop blocks, or is about to.
const PARKED: u8 = 1;
/// The loop was woken and has not called [`Inbox::unpark`] yet.
const WOKEN: u8 = 2;

/// Messages of type `M` on their way to a loop that is woken by `W`.
#[derive(Debug)]
pub struct Inbox<M, W = Waker> {
    queue: SegQueue<M>,
    /// Set after a message was pushed, reset only by the loop. Cheaper for the loop to read in every turn
    /// than the queue.
    has_news: AtomicBool,
    /// About how many messages were sent since the inbox was last emptied: not exact, as threads that count
    /// at once may lose a count.
    backlog: AtomicUsize,
    loop_state: AtomicU8,
    waker: OnceLock<W>,
}

/// A sender throttles itself at each multiple of this many waiting messages.
const FLOOD: usize = 4096;
/// How long a throttled sender waits at most, and how often it checks the backlog meanwhile.
const LONGEST_THROTTLE: Duration = Duration::from_millis(1);
const CHECK_INTERVAL: Duration = Duration::from_micros(50);

impl<M, W> Default for Inbox<M, W> {
    fn default() -> Self {
        Self {
            queue: SegQueue::new(),
            has_news: AtomicBool::new(false),
            backlog: AtomicUsize::new(0),
            loop_state: AtomicU8::new(BUSY),
            waker: OnceLock::new(),
        }
    }
}

impl<M, W: Wake> Inbox<M, W> {
    /// Sends a message, and wakes the loop if it is parked.
    pub fn post(&self, message: M) {
        self.push(message);
        self.wake_if_parked();
    }

    /// Sends a message without waking the loop: the first half of [`post`](Self::post). Call
    /// [`wake_if_parked`](Self::wake_if_parked) later.
    #[inline]
    pub fn push(&self, message: M) {
        self.queue.push(message);
        self.backlog.store(self.backlog.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.has_news.store(true, Ordering::Release);
    }

    /// Counts an entry that another thread has pushed to the loop's ring itself, and wakes the loop if it is
    /// parked. For threads that hold a lock without which the loop neither uses its ring nor begins or ends
    /// to park, so that one reads the other's state as it is.
    #[inline]
    pub fn note_pushed(&self) {
        self.backlog.store(self.backlog.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        if self.loop_state.load(Ordering::Relaxed) == PARKED {
            self.wake_if_parked();
        }
    }

    /// The loop is about to run all that has come.
    #[inline]
    pub(crate) fn forget_backlog(&self) {
        self.backlog.store(0, Ordering::Relaxed);
    }

    /// Whether a sender should call [`throttle`](Self::throttle), so that the loop can catch up. Ask after
    /// sending.
    #[inline]
    pub fn is_flooded(&self) -> bool {
        let backlog = self.backlog.load(Ordering::Relaxed);
        backlog != 0 && backlog.is_multiple_of(FLOOD)
    }

    /// Blocks the sender until the loop has taken the messages, for `LONGEST_THROTTLE` at most, because a
    /// callback of the loop may take long. The sender must not hold the interpreter or a lock that the loop
    /// needs.
    #[cold]
    pub fn throttle(&self) {
        let begun = Instant::now();
        while self.backlog.load(Ordering::Relaxed) >= FLOOD && begun.elapsed() < LONGEST_THROTTLE {
            std::thread::sleep(CHECK_INTERVAL);
        }
    }

    /// Wakes the loop if it is parked: the second half of [`post`](Self::post).
    #[inline]
    pub fn wake_if_parked(&self) {
        let woken = |loop_state| Some(if loop_state == PARKED { WOKEN } else { loop_state });
        if self.loop_state.fetch_update(Ordering::AcqRel, Ordering::Acquire, woken) == Ok(PARKED)
            && let Some(waker) = self.waker.get()
        {
            waker.wake();
        }
    }

    /// Whether the loop was woken and does not run yet. A racy hint: executor workers use it to let the loop
    /// run first.
    #[inline]
    pub fn is_woken(&self) -> bool {
        self.loop_state.load(Ordering::Relaxed) == WOKEN
    }

    /// Whether a message may have come since the inbox was last emptied. Also false while a message is just
    /// being pushed.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.has_news.load(Ordering::Relaxed)
    }

    /// Makes `has_news` true again: not all messages could be taken.
    #[cold]
    pub(crate) fn keep_news(&self) {
        self.has_news.store(true, Ordering::Release);
    }

    /// Whether no message is there.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes the messages that are in the queue now, oldest first. Messages that come meanwhile stay, so the
    /// iteration ends however fast other threads post.
    #[inline]
    pub(crate) fn drain(&self) -> impl Iterator<Item = M> {
        // Before the messages are taken, so that a message that comes meanwhile sets it again.
        self.has_news.swap(false, Ordering::AcqRel);
        self.backlog.store(0, Ordering::Relaxed);
        (0..self.queue.len()).map_while(|_| self.queue.pop())
    }

    /// Makes the waker that other threads use, if there is none yet.
    pub(crate) fn ensure_waker(&self, waker: impl FnOnce() -> std::io::Result<W>) -> std::io::Result<()> {
        if self.waker.get().is_none() {
            // Only the loop's thread sets it, so `set` cannot fail.
            drop(self.waker.set(waker()?));
        }
        Ok(())
    }

    /// Announces that the loop is about to block until `waker` wakes it; `false` when a message came first
    /// and it must not block.
    pub(crate) fn park(&self, waker: impl FnOnce() -> std::io::Result<W>) -> std::io::Result<bool> {
        self.ensure_waker(waker)?;
        self.loop_state.swap(PARKED, Ordering::AcqRel);
        if self.is_empty() {
            return Ok(true);
        }
        self.unpark();
        Ok(false)
    }

    /// The loop does not block any more.
    pub(crate) fn unpark(&self) {
        self.loop_state.swap(BUSY, Ordering::AcqRel);
    }
}
