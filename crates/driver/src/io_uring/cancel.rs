//! How operations end before their request does: cancelled at once for the engine, and by a request of its
//! own for the kernel.

use std::io;

use ::io_uring::opcode;

use super::completions::{IGNORED_KEY, is_passing};
use super::kept::Identity;
use super::receiving::{Chunk, Receive, Route};
use super::ring::{Completion, Ring};
use super::{OF_EPOLL, Uring, Waiting};
use crate::op::{Fd, OpId};
use crate::sys;

/// A request whose operation was cancelled, until its final completion.
#[derive(Debug)]
pub(super) struct Orphan {
    id: OpId,
    fd: Fd,
    /// Which file it was when it was cancelled, while it was open for certain.
    identity: Option<Identity>,
}

impl Uring {
    pub(crate) fn cancel(&mut self, id: OpId) -> bool {
        let id = match id.lane() {
            (id, OF_EPOLL) => return self.epoll.cancel(id),
            (id, _) => id,
        };
        if self.receives.get(id).is_none() {
            return false;
        }
        self.epoll.calls.activity = true;
        self.orphan(id);
        if self.is_entered_elsewhere() {
            // That thread is woken, and cancels when its wait has ended.
            self.wake();
        } else {
            // A failure of the ring shows at the next wait.
            drop(self.end_orphans());
        }
        true
    }

    /// Ends an operation, which leaves behind what was received and its request.
    pub(super) fn orphan(&mut self, id: OpId) {
        let Some((fd, receive)) = self.receives.remove(id) else { return };
        let Receive { route, chunks, end, .. } = receive;
        if let Route::Epoll(stand_in) = route {
            self.end_stand_in(stand_in);
        }
        let identity = (route == Route::Armed || !chunks.is_empty()).then(|| Identity::of(fd).ok()).flatten();
        let mut bytes = Vec::new();
        for chunk in chunks {
            match chunk {
                Chunk::Kept { bytes: kept, taken } => bytes.extend_from_slice(&kept[taken..]),
                Chunk::Provided { buffer, len } => {
                    if let Some(provided) = &self.provided {
                        bytes.extend_from_slice(provided.bytes(buffer, len as usize));
                    }
                    self.give_back(buffer);
                }
            }
        }
        if let Some(identity) = identity
            && !bytes.is_empty()
        {
            self.keep(fd, identity, &bytes, end);
        }
        if route == Route::Armed {
            self.orphans.push(Orphan { id, fd, identity });
        }
    }

    fn end_stand_in(&mut self, stand_in: OpId) {
        self.epoll.cancel(stand_in);
        if let Some(place) = self.standing_in.get_mut(stand_in.index()) {
            *place = None;
        }
    }

    /// Tells the kernel to end the requests of cancelled operations, and takes what they have received until
    /// then.
    pub(super) fn end_orphans(&mut self) -> io::Result<()> {
        if self.orphans.is_empty() {
            return Ok(());
        }
        if !self.ring.as_ref().is_some_and(Ring::is_here) {
            self.leave_other_thread();
            return Ok(());
        }
        let Some(ring) = self.ring.as_mut() else { return Ok(()) };
        for orphan in &self.orphans {
            let request = opcode::AsyncCancel::new(orphan.id.bits()).build().user_data(IGNORED_KEY);
            // SAFETY: the request names no memory.
            unsafe { ring.push(&request) }?;
        }
        ring.enter()?;
        ring.take(&mut self.completions);
        self.handle_completions();
        Ok(())
    }

    /// The loop does not run, and another thread may enter the ring. With the ring its requests end.
    #[cold]
    fn leave_other_thread(&mut self) {
        if self.waiting == Waiting::No && self.ring.is_some() {
            self.make_ring();
        }
    }

    /// Keeps what was received of a socket. Where there is no memory, the socket is not read any more,
    /// because bytes would be missing.
    fn keep(&mut self, fd: Fd, identity: Identity, bytes: &[u8], end: Option<i32>) {
        if !self.kept.add(fd, identity, bytes, end)
            && let Ok(socket) = sys::borrow(fd)
        {
            // Fails where the connection has ended already.
            let _ended = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
        }
    }

    /// Ends the request of an operation that goes on by another route.
    pub(super) fn end_request(&mut self, id: OpId) {
        if self.receives.get(id).is_none_or(|receive| receive.route != Route::Armed) {
            return;
        }
        let Some(ring) = self.ring.as_mut().filter(|ring| ring.is_here()) else {
            return self.leave_other_thread();
        };
        let request = opcode::AsyncCancel::new(id.bits()).build().user_data(IGNORED_KEY);
        // SAFETY: the request names no memory.
        let entered = unsafe { ring.push(&request) }.and_then(|()| ring.enter());
        ring.take(&mut self.completions);
        self.handle_completions();
        drop(entered); // a failure of the ring shows at the next wait
    }

    /// A completion of a cancelled operation's request: its bytes are kept for the next receive on the
    /// socket.
    #[cold]
    pub(super) fn handle_orphan(&mut self, id: OpId, completion: Completion) {
        let place = self.orphans.iter().position(|orphan| orphan.id == id);
        let heir = place.and_then(|place| Some((self.orphans[place].fd, self.orphans[place].identity?)));
        let error = matches!(-completion.result, 1.. if !is_passing(-completion.result));
        if let Some((fd, identity)) = heir
            && error
        {
            self.keep(fd, identity, &[], Some(-completion.result));
        }
        if let Some(buffer) = completion.buffer() {
            if let (Some((fd, identity)), Ok(len), Some(provided)) =
                (heir, usize::try_from(completion.result), &self.provided)
            {
                let bytes = provided.bytes(buffer, len).to_vec();
                self.keep(fd, identity, &bytes, None);
            }
            self.give_back(buffer);
        }
        if completion.is_final()
            && let Some(place) = place
        {
            self.orphans.swap_remove(place);
        }
    }

    /// The ring is gone: no final completion comes any more.
    pub(super) fn forget_requests(&mut self) {
        self.orphans.clear();
        self.watched_epoll = None;
        let ids: Vec<OpId> = self.receives.ids().collect();
        for id in ids {
            if let Some(receive) = self.receives.get_mut(id)
                && receive.route == Route::Armed
            {
                receive.route = Route::Idle;
                self.receives.idle.push(id);
            }
        }
    }
}
