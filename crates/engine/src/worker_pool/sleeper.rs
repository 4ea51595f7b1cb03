//! [`Sleeper`]: one thread sleeps until another wakes it; a wake-up that comes before the sleep is not lost.
//!
//! Called by the workers of a pool and by the threads that submit jobs; calls `std::thread::park`.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, Thread};

/// Puts the thread that made it to sleep and wakes it.
#[derive(Debug)]
pub struct Sleeper {
    woken: AtomicBool,
    word: AtomicU32,
    thread: Thread,
}

impl Sleeper {
    /// A sleeper for the calling thread.
    pub fn of_this_thread() -> Self {
        Self { woken: AtomicBool::new(false), word: AtomicU32::new(0), thread: thread::current() }
    }

    /// Wakes the thread; its `sleep` returns `word`.
    pub fn wake(&self, word: u32) {
        self.word.store(word, Ordering::Relaxed);
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Blocks until [`wake`](Self::wake) is called, or returns at once if it was called before; returns the
    /// word of the last `wake`. Only the thread that made the sleeper may call this. Any other unpark of the
    /// thread does not end the sleep.
    pub fn sleep(&self) -> u32 {
        while !self.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
        self.word.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_wake_before_the_sleep_ends_it() {
        let sleeper = Sleeper::of_this_thread();
        sleeper.wake(1);
        sleeper.wake(2);
        assert_eq!(sleeper.sleep(), 2);
    }

    #[test]
    fn a_stray_unpark_does_not_end_the_sleep() {
        let sleeper = Arc::new(Sleeper::of_this_thread());
        thread::current().unpark();
        let waker = thread::spawn({
            let sleeper = Arc::clone(&sleeper);
            move || sleeper.wake(3)
        });
        assert_eq!(sleeper.sleep(), 3);
        assert!(!sleeper.woken.load(Ordering::Relaxed));
        waker.join().expect("waking does not panic");
    }
}
