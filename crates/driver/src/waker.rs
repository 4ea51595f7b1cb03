//! Ending another thread's wait. [`Waker`] is made by a driver, cloned by whoever posts to the loop from outside,
//! and calls the kernel or the simulation that the loop waits in.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Weak};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{DupFlags, dup3, write};

use crate::sim::Shared;

/// Ends the current wait of its driver, or the next one when none is under way. Calls may coalesce.
#[derive(Clone, Debug)]
pub struct Waker(pub(crate) Kind);

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Weak: the descriptor is closed with the driver, however long somebody keeps a waker.
    Eventfd(Weak<Eventfd>),
    Sim(Arc<Shared>),
}

impl Waker {
    /// Ends the wait. Cheap enough to call often, dear enough (a system call) to call only when the loop is parked.
    #[inline]
    pub fn wake(&self) {
        match &self.0 {
            Kind::Eventfd(eventfd) => {
                if let Some(eventfd) = eventfd.upgrade() {
                    eventfd.signal();
                }
            }
            Kind::Sim(shared) => shared.wake(),
        }
    }
}

/// The eventfd of one epoll driver. It is watched edge-triggered, so every write is an event of its own and nobody
/// has to read the counter back.
#[derive(Debug)]
pub(crate) struct Eventfd(OwnedFd);

impl Eventfd {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    #[inline]
    fn signal(&self) {
        // The only failure of a non-blocking write of 1 is EAGAIN from a counter 2^64 wakes old.
        let _ = write(&self.0, &1u64.to_ne_bytes());
    }

    /// Puts a fresh eventfd under the same number: after a fork the old one is the parent's too. All clones of the
    /// waker then wake the child.
    pub(crate) fn replace(&self) -> io::Result<()> {
        let fresh = Self::new()?;
        // SAFETY: the number is open and owned by `self.0`, which outlives `number`; ManuallyDrop keeps it from being
        // closed twice. dup3 exchanges what it refers to and leaves it open.
        let mut number = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(self.0.as_raw_fd()) });
        dup3(&fresh.0, &mut number, DupFlags::CLOEXEC)?;
        Ok(())
    }
}

impl AsFd for Eventfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
