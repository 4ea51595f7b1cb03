//! [`Wait`]: the blocking half of a wait, detached from the driver so that the interpreter lock can be given
//! up around it.
//!
//! Called by the engine; calls the kernel, or the simulated one. Everything that another thread may touch
//! meanwhile stays in the driver.

use std::io;
use std::time::Duration;

use crate::epoll::EpollWait;
use crate::io_uring::UringWait;
use crate::sim::SimWait;

/// One blocking wait and the events that it fetched. Made by
/// [`Driver::begin_wait`](crate::Driver::begin_wait), handed in to
/// [`Driver::end_wait`](crate::Driver::end_wait).
#[derive(Debug)]
pub struct Wait(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Epoll(EpollWait),
    Uring(Box<UringWait>),
    Sim(SimWait),
}

impl Wait {
    /// The descriptor that becomes readable when blocking would end; a simulated kernel has none.
    pub fn descriptor(&self) -> Option<i32> {
        match &self.0 {
            Kind::Epoll(wait) => Some(wait.descriptor()),
            Kind::Uring(wait) => Some(wait.descriptor()),
            Kind::Sim(_) => None,
        }
    }

    /// Blocks until an operation can be finished, a waker is used, a signal arrives or `timeout` has passed,
    /// never sooner than that; `None` waits for ever. A signal is no error: the wait ends without events.
    pub fn block(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match &mut self.0 {
            Kind::Epoll(wait) => wait.block(timeout),
            Kind::Uring(wait) => wait.block(timeout),
            Kind::Sim(wait) => wait.block(timeout),
        }
    }
}
