//! [`UringWait`]: the blocking half of a wait of the io_uring driver. Called with the interpreter released by
//! [`Wait`](crate::Wait); calls the kernel.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::io_uring::types::{SubmitArgs, Timespec};
use rustix::event::{PollFd, PollFlags, poll};

use super::ring::{Kernel, here, unpressed};
use crate::epoll::EpollWait;
use crate::op::Fd;
use crate::sys;

/// A wait for the epoll object, and for the ring while it has receives.
#[derive(Debug)]
pub(crate) struct UringWait {
    pub(super) epoll: EpollWait,
    pub(super) ring: Option<RingWait>,
}

/// The ring's part.
#[derive(Debug)]
pub(super) struct RingWait {
    pub(super) kernel: Arc<Kernel>,
    pub(super) owner: u64,
    /// There is something to report already.
    pub(super) has_news: bool,
}

impl UringWait {
    /// The descriptor that becomes readable when blocking would end. The ring watches the epoll object.
    pub(crate) fn descriptor(&self) -> Fd {
        let Some(ring) = &self.ring else { return self.epoll.descriptor() };
        if ring.owner == here() {
            // What is not submitted cannot make it readable. A failure shows when the wait blocks.
            drop(ring.kernel.enter_without_blocking());
        }
        ring.kernel.descriptor()
    }

    /// Blocks for `timeout` at most.
    pub(crate) fn block(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let Some(ring) = &self.ring else { return self.epoll.block(timeout) };
        let timeout = if ring.has_news { Some(Duration::ZERO) } else { timeout };
        if ring.owner != here() {
            return watch([ring.kernel.descriptor(), self.epoll.descriptor()], timeout);
        }
        let entered = match timeout {
            Some(Duration::ZERO) => return ring.kernel.enter_without_blocking(),
            None => ring.kernel.uring.submitter().submit_and_wait(1),
            Some(timeout) => {
                let seconds = timeout.as_secs();
                let limit = Timespec::new().sec(seconds.min(i64::MAX as u64)).nsec(timeout.subsec_nanos());
                let limit = SubmitArgs::new().timespec(&limit);
                ring.kernel.uring.submitter().submit_with_args(1, &limit)
            }
        };
        unpressed(entered)
    }
}

/// Blocks in a thread that may not enter the ring: until one of the descriptors is readable. The ring's is
/// when its owner's next `enter` finds something.
#[cold]
fn watch(descriptors: [Fd; 2], timeout: Option<Duration>) -> io::Result<()> {
    let [ring, epoll] = descriptors;
    let (ring, epoll) = (sys::borrow(ring)?, sys::borrow(epoll)?);
    let mut watched = [PollFd::new(&ring, PollFlags::IN), PollFd::new(&epoll, PollFlags::IN)];
    let limit = timeout.map(|timeout| rustix::event::Timespec {
        tv_sec: timeout.as_secs().min(i64::MAX as u64) as i64,
        tv_nsec: timeout.subsec_nanos().into(),
    });
    match poll(&mut watched, limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
