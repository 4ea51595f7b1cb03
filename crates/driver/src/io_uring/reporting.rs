//! The two ends of a wait, and what it reports: operations of the ring, those of the epoll object that the
//! ring watches, and readers of sockets of which bytes are kept.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::wait::{RingWait, UringWait};
use super::{OF_EPOLL, OF_RING, Uring, Waiting};
use crate::epoll::EpollWait;
use crate::memory;
use crate::op::OpId;

impl Uring {
    pub(crate) fn begin_wait(&mut self) -> io::Result<UringWait> {
        let mut epoll = self.epoll.begin_wait()?;
        epoll.clear();
        let ring = if self.uses_ring() { Some(self.begin_ring_wait(&epoll)?) } else { None };
        self.waiting = if ring.is_some() { Waiting::Ring } else { Waiting::Epoll };
        Ok(UringWait { epoll, ring })
    }

    pub(super) fn begin_ring_wait(&mut self, epoll: &EpollWait) -> io::Result<RingWait> {
        self.arm_idle()?;
        self.watch_epoll(&epoll.epoll)?;
        let has_news = self.has_news();
        let ring = self.ring.as_ref().ok_or_else(memory::exhausted)?;
        Ok(RingWait { kernel: ring.kernel(), owner: ring.owner(), has_news })
    }

    pub(crate) fn end_wait(&mut self, wait: UringWait, ready: &mut Vec<OpId>) -> io::Result<()> {
        self.waiting = Waiting::No;
        let UringWait { mut epoll, ring } = wait;
        let fetched = match ring {
            None => Ok(()),
            Some(ring) if !self.is_of_now(&ring) => epoll.block(Some(Duration::ZERO)),
            Some(_) => self.pump().and_then(|()| self.ask_epoll(&mut epoll)),
        };
        while let Some(fd) = self.to_share.pop() {
            if let Some(id) = self.receives.on(fd) {
                self.hand_to_epoll(id, fd);
            }
        }
        let ended = self.report(epoll, ready);
        fetched.and(ended)
    }

    pub(super) fn is_of_now(&self, wait: &RingWait) -> bool {
        self.ring.as_ref().is_some_and(|ring| Arc::ptr_eq(&ring.kernel(), &wait.kernel))
    }

    pub(crate) fn poll_now(&mut self, ready: &mut Vec<OpId>) -> io::Result<()> {
        if !self.uses_ring() {
            let first = ready.len();
            let polled = self.epoll.poll_now(ready);
            self.interleave(&mut ready[first..]);
            self.report_kept(ready);
            return polled;
        }
        let mut epoll = self.epoll.begin_wait()?;
        epoll.clear();
        let fetched = self
            .arm_idle()
            .and_then(|()| self.watch_epoll(&epoll.epoll))
            .and_then(|()| self.pump())
            .and_then(|()| self.ask_epoll(&mut epoll));
        let ended = self.report(epoll, ready);
        fetched.and(ended)
    }

    /// Fetches the events of the epoll object, if the ring has said that there are some.
    pub(super) fn ask_epoll(&mut self, wait: &mut EpollWait) -> io::Result<()> {
        if std::mem::take(&mut self.epoll_has_news) { wait.block(Some(Duration::ZERO)) } else { Ok(()) }
    }

    /// Appends what ring and epoll object report.
    pub(super) fn report(&mut self, wait: EpollWait, ready: &mut Vec<OpId>) -> io::Result<()> {
        let first = ready.len();
        let interrupted = self.epoll.calls.injector.as_mut().is_some_and(|injector| injector.interrupts());
        if !interrupted {
            ready.extend(self.receives.news().iter().map(|id| id.interleaved(OF_RING)));
            self.report_spurious(ready);
        }
        let second = ready.len();
        let ended = self.epoll.end_wait(wait, ready);
        self.interleave(&mut ready[second..]);
        if second != first && !self.standing_in.is_empty() {
            // An operation for which the epoll driver receives may have been reported by both.
            let mut place = second;
            while place < ready.len() {
                if ready[first..second].contains(&ready[place]) {
                    ready.remove(place);
                } else {
                    place += 1;
                }
            }
        }
        self.report_kept(ready);
        ended
    }

    /// Makes identifiers of the epoll driver identifiers of this one.
    pub(super) fn interleave(&self, ids: &mut [OpId]) {
        for id in ids {
            *id = match self.standing_in.get(id.index()).copied().flatten() {
                Some(receive) => receive.interleaved(OF_RING),
                None => id.interleaved(OF_EPOLL),
            };
        }
    }

    /// Reports the read operations of sockets of which bytes are kept.
    #[inline]
    pub(super) fn report_kept(&mut self, ready: &mut Vec<OpId>) {
        if self.kept.is_empty() {
            return;
        }
        for fd in self.kept.open() {
            let id = self.epoll.reader(fd).map(|id| id.interleaved(OF_EPOLL));
            ready.extend(id.filter(|id| !ready.contains(id)));
        }
    }

    /// Injects the fault `spurious`: reports an operation that is not ready.
    pub(super) fn report_spurious(&mut self, ready: &mut Vec<OpId>) {
        let bound = self.receives.len();
        let Some(injector) = &mut self.epoll.calls.injector else { return };
        let unready = injector.spurious(bound).and_then(|index| self.receives.id_at(index));
        let unready = unready.map(|id| id.interleaved(OF_RING));
        ready.extend(unready.filter(|id| !ready.contains(id)));
    }

    /// Whether a wait must not block.
    pub(super) fn has_news(&mut self) -> bool {
        if self.receives.has_news() {
            return true;
        }
        if self.kept.is_empty() {
            return false;
        }
        let epoll = &self.epoll;
        self.kept.open().any(|fd| epoll.has_reader(fd))
    }

    /// Whether waits go through the ring; without entrusted connections, and without bytes to report, they
    /// need not.
    pub(super) fn uses_ring(&mut self) -> bool {
        (!self.receives.is_empty() || !self.kept.is_empty() || !self.orphans.is_empty())
            && self.may_use_ring()
    }
}
