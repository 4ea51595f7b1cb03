//! [`Waker`] ends the wait of another thread. It is made by a driver, cloned by threads that post to the
//! loop, and calls the kernel or the simulation that the loop waits in.

use std::sync::{Arc, Weak};

use crate::epoll::Eventfd;
use crate::sim::Shared;

/// Ends the current wait of its driver, or the next one when none is under way. Calls may coalesce.
#[derive(Clone, Debug)]
pub struct Waker(pub(crate) Kind);

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Weak: the descriptor is closed with the driver, even if the waker lives longer.
    Eventfd(Weak<Eventfd>),
    Sim(Arc<Shared>),
}

impl Waker {
    /// Ends the wait, by one system call: call it only when the loop is parked.
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
