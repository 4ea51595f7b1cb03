//! What becomes of the completions of the ring, and of what the kernel has received, when an operation is
//! finished.

use std::io;

use super::receiving::{Chunk, Receive, Receives, Route};
use super::{PROVIDED, Uring};
use crate::faults::FaultInjector;
use crate::op::{Fd, Lease, Op, OpId, Outcome, again_or_failed, received};

use super::buffers::SIZE;
use super::ring::Completion;

/// The key of the request that watches the epoll object. No operation has it: there are fewer operations.
pub(super) const EPOLL_KEY: u64 = u64::MAX;

/// The key of requests whose completion says nothing.
pub(super) const IGNORED_KEY: u64 = u64::MAX - 1;

/// After this many pieces that filled their buffer, the epoll driver receives for a connection: it takes
/// sixteen times as many bytes by one call.
const MANY: u8 = 4;

impl Uring {
    /// Handles the completions that were taken off the ring.
    #[inline]
    pub(super) fn handle_completions(&mut self) {
        let mut completions = std::mem::take(&mut self.completions);
        for completion in completions.drain(..) {
            match completion.key {
                IGNORED_KEY => {}
                EPOLL_KEY => {
                    // A removal ends a request that another one has replaced.
                    if completion.result >= 0 {
                        self.epoll_has_news = true;
                        self.watched_epoll = None;
                    }
                }
                key => self.handle_completion(OpId::from_bits(key), completion),
            }
        }
        self.completions = completions;
    }

    #[inline]
    fn handle_completion(&mut self, id: OpId, completion: Completion) {
        let buffer = completion.buffer();
        if let (Some(buffer), Some(provided)) = (buffer, &mut self.provided) {
            provided.hold(buffer);
        }
        let Some(receive) = self.receives.get_mut(id) else { return self.handle_orphan(id, completion) };
        match (buffer, u32::try_from(completion.result)) {
            (Some(buffer), Ok(len)) if len > 0 => {
                receive.full = receive.full.saturating_add(u8::from(len as usize == SIZE));
                if Receives::make_room(receive) {
                    receive.chunks.push_back(Chunk::Provided { buffer, len });
                } else {
                    receive.end = Some(libc::ENOMEM);
                    self.give_back(buffer);
                }
            }
            (Some(buffer), _) => self.give_back(buffer),
            (None, _) => {}
        }
        if completion.is_final() {
            self.end_receive(id, completion.result);
        }
        self.receives.list(id);
    }

    /// The request has ended: the stream, or the request only.
    fn end_receive(&mut self, id: OpId, result: i32) {
        let Some(receive) = self.receives.get_mut(id) else { return };
        receive.route = Route::Over;
        match -result {
            0 => receive.end = receive.end.or(Some(0)),
            error if error < 0 || is_passing(error) => {
                receive.route = Route::Idle;
                self.receives.idle.push(id);
            }
            error => receive.end = receive.end.or(Some(error)),
        }
    }

    pub(super) fn give_back(&mut self, buffer: u16) {
        if let Some(provided) = &mut self.provided {
            provided.give_back(buffer);
        }
    }

    /// The next outcome of an operation of the ring.
    #[inline]
    pub(super) fn finish_receive(&mut self, id: OpId) -> Option<Outcome> {
        let receive = self.receives.get(id)?;
        if receive.chunks.is_empty()
            && receive.end.is_none()
            && matches!(receive.route, Route::Armed | Route::Idle)
        {
            // Not reported, or reported in error. A failure of the ring shows at the next wait.
            drop(self.arm_idle().and_then(|()| self.pump()));
        }
        let injected = match &mut self.epoll.calls.injector {
            Some(injector) => inject(injector, self.receives.get(id)?.chunks.front()),
            None => Ok(usize::MAX),
        };
        let limit = match injected {
            Ok(limit) => limit,
            Err(error) => return Some(again_or_failed(error)),
        };
        let receive = self.receives.get_mut(id)?;
        let Some(chunk) = receive.chunks.pop_front() else {
            return Some(match (receive.end, receive.route) {
                (Some(0), _) => Outcome::Eof,
                (Some(number), _) => Outcome::Failed(io::Error::from_raw_os_error(number)),
                (None, Route::Epoll(stand_in)) => return self.epoll.finish(stand_in),
                (None, _) => Outcome::Again,
            });
        };
        let many = receive.full >= MANY && receive.route == Route::Armed;
        let outcome = self.outcome(id, chunk, limit);
        if let Outcome::Bytes(lease) = &outcome {
            self.epoll.calls.traffic.received(lease.len());
        }
        if many && let Some(Op::Recv { fd }) = self.receives.op(id) {
            self.hand_to_epoll(id, fd);
        }
        Some(outcome)
    }

    /// The outcome of a chunk, of which `limit` bytes are delivered at most.
    #[inline]
    fn outcome(&mut self, id: OpId, chunk: Chunk, limit: usize) -> Outcome {
        match chunk {
            Chunk::Provided { buffer, len } if len as usize <= limit => {
                Outcome::Bytes(Lease { buffer: u32::from(buffer) | PROVIDED, len })
            }
            Chunk::Provided { buffer, len } => {
                let bytes = self
                    .provided
                    .as_ref()
                    .map_or_else(Vec::new, |provided| provided.bytes(buffer, len as usize).to_vec());
                self.give_back(buffer);
                self.outcome(id, Chunk::Kept { bytes, taken: 0 }, limit)
            }
            Chunk::Kept { bytes, mut taken } => {
                let lease = self.epoll.fill_from(limit, |buf| {
                    let left = bytes.get(taken..).unwrap_or_default();
                    let count = left.len().min(buf.len());
                    buf[..count].copy_from_slice(&left[..count]);
                    taken += count;
                    Some(Ok(count))
                });
                if taken < bytes.len()
                    && let Some(receive) = self.receives.get_mut(id)
                {
                    receive.chunks.push_front(Chunk::Kept { bytes, taken }); // where it was before
                    self.receives.list(id);
                }
                lease.map_or(Outcome::Again, received)
            }
        }
    }

    /// Lets the epoll driver receive for an operation of the ring, which keeps its identifier. What the ring
    /// has received comes first.
    #[cold]
    pub(super) fn hand_to_epoll(&mut self, id: OpId, fd: Fd) {
        self.end_request(id);
        self.receives.forget_number(fd, id);
        self.receives.idle.retain(|other| *other != id);
        let stand_in = match self.receives.get(id) {
            Some(Receive { end: None, route: Route::Idle, .. }) => self.epoll.submit(Op::Recv { fd }),
            _ => return,
        };
        let Some(receive) = self.receives.get_mut(id) else { return };
        match stand_in {
            Ok(stand_in) => {
                receive.route = Route::Epoll(stand_in);
                let missing = (stand_in.index() + 1).saturating_sub(self.standing_in.len());
                if self.standing_in.try_reserve(missing).is_err() {
                    receive.end = Some(libc::ENOMEM);
                    self.epoll.cancel(stand_in);
                } else {
                    self.standing_in.resize(self.standing_in.len() + missing, None);
                    self.standing_in[stand_in.index()] = Some(id);
                }
            }
            Err(error) => receive.end = Some(error.raw_os_error().unwrap_or(libc::ENOMEM)),
        }
        self.receives.list(id);
    }
}

/// Whether an error ends the request only, and not the stream: the kernel has run out of buffers, or was told
/// to stop.
pub(super) const fn is_passing(error: i32) -> bool {
    matches!(error, libc::ENOBUFS | libc::EAGAIN | libc::EINTR | libc::ECANCELED)
}

/// The fault that strikes a receive: an error, or how many bytes it gives at most.
#[cold]
fn inject(injector: &mut FaultInjector, chunk: Option<&Chunk>) -> io::Result<usize> {
    let len = match chunk {
        Some(Chunk::Provided { len, .. }) => *len as usize,
        Some(Chunk::Kept { bytes, taken }) => bytes.len() - taken,
        None => return Ok(usize::MAX),
    };
    Ok(injector.receive(len)?)
}
