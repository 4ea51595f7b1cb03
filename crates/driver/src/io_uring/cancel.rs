//! How operations end before their request does: cancelled at once for the engine, and by a request of its own for the kernel.

use std::io;

use ::io_uring::opcode;

use super::completions::IGNORED_KEY;
use super::kept::Identity;
use super::receiving::{Chunk, Receive, Route};
use super::ring::Completion;
use super::{OF_EPOLL, Uring};
use crate::op::{Fd, OpId};

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
            self.kept.add(fd, identity, &bytes, end);
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

    /// Tells the kernel to end the requests of cancelled operations, and takes what they have received until then.
    pub(super) fn end_orphans(&mut self) -> io::Result<()> {
        if self.orphans.is_empty() {
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
        self.settle_completions();
        Ok(())
    }

    /// Ends the request of an operation that goes on by another route.
    pub(super) fn end_request(&mut self, id: OpId) {
        if self.receives.get(id).is_none_or(|receive| receive.route != Route::Armed) {
            return;
        }
        let Some(ring) = self.ring.as_mut().filter(|ring| ring.is_here()) else { return };
        let request = opcode::AsyncCancel::new(id.bits()).build().user_data(IGNORED_KEY);
        // SAFETY: the request names no memory.
        let entered = unsafe { ring.push(&request) }.and_then(|()| ring.enter());
        ring.take(&mut self.completions);
        self.settle_completions();
        drop(entered); // a failure of the ring shows at the next wait
    }

    /// A completion of a cancelled operation's request: its bytes are kept for whoever reads next.
    #[cold]
    pub(super) fn settle_orphan(&mut self, id: OpId, completion: Completion) {
        let place = self.orphans.iter().position(|orphan| orphan.id == id);
        if let Some(buffer) = completion.buffer() {
            if let (Some(place), Some(provided)) = (place, &self.provided)
                && let Ok(len) = usize::try_from(completion.result)
                && let Orphan { fd, identity: Some(identity), .. } = &self.orphans[place]
            {
                self.kept.add(*fd, *identity, provided.bytes(buffer, len), None);
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
