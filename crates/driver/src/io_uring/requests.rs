//! Which thread has the ring, and the requests that it gets: a receive for each operation, and one that
//! watches the epoll object.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use ::io_uring::{opcode, types};

use super::buffers::Provided;
use super::completions::{EPOLL_KEY, IGNORED_KEY};
use super::receiving::Route;
use super::ring::{BUFFERS, Ring};
use super::{Uring, Waiting};
use crate::op::{Fd, OpId};

impl Uring {
    /// Whether this thread may enter the ring, which is made first if there is none.
    #[inline]
    pub(super) fn may_use_ring(&mut self) -> bool {
        match &self.ring {
            Some(ring) if ring.is_here() => self.waiting != Waiting::Epoll,
            _ if self.is_refused || self.waiting != Waiting::No => false,
            _ => self.make_ring(),
        }
    }

    /// Makes a ring of this thread. The requests of one that another thread has made are submitted again.
    #[cold]
    pub(super) fn make_ring(&mut self) -> bool {
        if let Some(mut former) = self.ring.take() {
            // What the kernel has received is in memory. What it has not received it leaves to the next ring.
            former.take(&mut self.completions);
            self.handle_completions();
            drop(former);
            self.forget_requests();
        }
        if self.provided.is_none() {
            self.provided = Provided::new();
        }
        let receives = &self.receives;
        self.ring = self
            .provided
            .as_mut()
            .filter(|_| self.epoll.calls.descriptor().is_ok())
            .and_then(|provided| Ring::new(provided, |buffer| receives.uses(buffer)).ok());
        if let Some(ring) = &self.ring {
            self.epoll.take_number(ring.kernel().descriptor());
            return true;
        }
        self.is_refused = true;
        let ids: Vec<(OpId, Fd)> =
            self.receives.ids().filter_map(|id| Some((id, self.receives.op(id)?.fd()))).collect();
        for (id, fd) in ids {
            self.hand_to_epoll(id, fd);
        }
        false
    }

    /// Queues the requests of operations that have none.
    pub(super) fn arm_idle(&mut self) -> io::Result<()> {
        while let Some(id) = self.receives.idle.pop() {
            let (Some(op), Some(ring)) = (self.receives.op(id), self.ring.as_mut()) else { continue };
            let Some(receive) = self.receives.get_mut(id) else { continue };
            if receive.route != Route::Idle || receive.end.is_some() {
                continue;
            }
            let request = opcode::RecvMulti::new(types::Fd(op.fd()), BUFFERS).build().user_data(id.bits());
            // SAFETY: the request names no memory but the provided buffers, which the ring keeps alive.
            if let Err(error) = unsafe { ring.push(&request) } {
                self.receives.idle.push(id);
                return Err(error);
            }
            receive.route = Route::Armed;
        }
        Ok(())
    }

    /// Queues the request that watches the epoll object, unless the kernel has it.
    #[inline]
    pub(super) fn watch_epoll(&mut self, epoll: &Arc<OwnedFd>) -> io::Result<()> {
        let Some(ring) = self.ring.as_mut() else { return Ok(()) };
        match &self.watched_epoll {
            Some(watched) if Arc::ptr_eq(watched, epoll) => return Ok(()),
            Some(_) => {
                let removal = opcode::PollRemove::new(EPOLL_KEY).build().user_data(IGNORED_KEY);
                // SAFETY: the request names no memory.
                unsafe { ring.push(&removal) }?;
                ring.enter()?;
            }
            None => {}
        }
        let request = opcode::PollAdd::new(types::Fd(epoll.as_raw_fd()), libc::POLLIN as u32);
        // SAFETY: the request names no memory.
        unsafe { ring.push(&request.build().user_data(EPOLL_KEY)) }?;
        self.watched_epoll = Some(Arc::clone(epoll));
        Ok(())
    }

    /// Lets the kernel work, and takes what it has done.
    #[inline]
    pub(super) fn pump(&mut self) -> io::Result<()> {
        let Some(ring) = self.ring.as_mut().filter(|ring| ring.is_here()) else { return Ok(()) };
        let entered = if ring.has_work() { ring.enter() } else { Ok(()) };
        ring.take(&mut self.completions);
        self.handle_completions();
        // Another thread has cancelled them while this one was inside the kernel.
        entered.and_then(|()| self.end_orphans())
    }
}
