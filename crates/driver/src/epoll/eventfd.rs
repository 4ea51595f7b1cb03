//! [`Eventfd`]: what ends the wait of an epoll driver from another thread. Made by the driver, signalled by
//! [`Waker`](crate::Waker); calls the kernel.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{DupFlags, dup3, write};

/// The eventfd of one epoll driver. It is watched edge-triggered, so every write is an event of its own and
/// no code has to read the counter back.
#[derive(Debug)]
pub(crate) struct Eventfd(OwnedFd);

impl Eventfd {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Ends the wait.
    #[inline]
    pub(crate) fn signal(&self) {
        // The only failure of a non-blocking write of 1 is EAGAIN from a counter 2^64 wakes old.
        let _ = write(&self.0, &1u64.to_ne_bytes());
    }

    /// Puts a fresh eventfd under the same number: after a fork the old one is the parent's too. All clones
    /// of the waker then wake the child.
    pub(crate) fn replace(&self) -> io::Result<()> {
        let fresh = Self::new()?;
        // SAFETY: the number is open and owned by `self.0`, which outlives `number`; ManuallyDrop keeps it
        // from being closed twice. dup3 exchanges what it refers to and leaves it open.
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
