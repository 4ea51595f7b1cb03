//! Simulated connections: two ends, the bytes on their way, and how a connection ends.
//!
//! What goes through a descriptor meets the world's faults; what the test's own handles (`net`) do to an end
//! does not.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::{File, World, port_of};
use crate::op::{Fd, SocketAddrAny};

/// One end of a connection.
pub(in crate::sim) type EndId = u64;

#[derive(Debug)]
pub(super) struct End {
    pub(super) peer: EndId,
    /// Bytes that arrived and were not received yet.
    pub(super) inbound: VecDeque<u8>,
    /// The peer will send no more.
    pub(super) eof: bool,
    /// This end said that it will send no more.
    pub(super) shut: bool,
    pub(super) closed: bool,
    /// The connection is gone; the error waits to be told once.
    pub(super) broken: bool,
    pub(super) error: Option<Errno>,
    pub(super) port: u16,
}

impl World {
    /// Two connected ends.
    pub(in crate::sim) fn connection(&mut self) -> (EndId, EndId) {
        let (one, other) = (self.last_end + 1, self.last_end + 2);
        self.last_end = other;
        for (id, peer) in [(one, other), (other, one)] {
            let end = End {
                peer,
                inbound: VecDeque::new(),
                eof: false,
                shut: false,
                closed: false,
                broken: false,
                error: None,
                port: port_of(id),
            };
            self.ends.insert(id, end);
        }
        (one, other)
    }

    /// Connects to a listener; the end that was not queued there.
    pub(in crate::sim) fn connect(&mut self, listener: Fd) -> io::Result<EndId> {
        let (one, other) = self.connection();
        match self.files.get_mut(&listener) {
            Some(File::Listener { waiting, backlog }) if waiting.len() < *backlog => waiting.push_back(other),
            _ => {
                self.ends.remove(&one);
                self.ends.remove(&other);
                return Err(Errno::CONNREFUSED.into());
            }
        }
        Ok(one)
    }

    pub(in crate::sim) fn accept(&mut self, fd: Fd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
        match self.files.get(&fd) {
            None => return Err(Errno::BADF.into()),
            Some(File::Stream(_) | File::Datagrams(_)) => return Err(Errno::INVAL.into()),
            Some(File::Listener { .. }) => {}
        }
        self.maybe_again()?;
        if self.random.strikes(self.faults.no_descriptors) {
            return Err(Errno::MFILE.into());
        }
        let Some(File::Listener { waiting, .. }) = self.files.get_mut(&fd) else {
            return Err(Errno::BADF.into());
        };
        let end = waiting.pop_front().ok_or(Errno::AGAIN)?;
        let peer = self.ends.get(&end).map(|end| end.peer);
        let port = peer.and_then(|peer| self.ends.get(&peer)).map_or(0, |peer| peer.port);
        Ok((self.stream(end)?, Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())))
    }

    // Data through descriptors, with faults.

    fn end_of(&self, fd: Fd) -> io::Result<EndId> {
        match self.files.get(&fd) {
            Some(File::Stream(end)) => Ok(*end),
            Some(File::Listener { .. } | File::Datagrams(_)) => Err(Errno::NOTCONN.into()),
            None => Err(Errno::BADF.into()),
        }
    }

    pub(in crate::sim) fn recv(&mut self, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
        let id = self.end_of(fd)?;
        self.maybe_again()?;
        if self.random.strikes(self.faults.reset) {
            self.reset_end(id);
        }
        let there = self.ends.get(&id).map_or(0, |end| end.inbound.len()).min(buf.len());
        let n = self.random.some_of(there, self.faults.short_read);
        self.take(id, &mut buf[..n])
    }

    pub(in crate::sim) fn send(&mut self, fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let id = self.end_of(fd)?;
        self.maybe_again()?;
        if self.random.strikes(self.faults.no_buffers) {
            return Err(Errno::NOBUFS.into());
        }
        if self.random.strikes(self.faults.reset) {
            self.reset_end(id);
        }
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        let room = self.random.some_of(total.min(self.capacity), self.faults.short_write);
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).take(room).collect();
        self.deliver(id, &bytes, room)
    }

    pub(in crate::sim) fn shutdown_write(&mut self, fd: Fd) -> io::Result<()> {
        let id = self.end_of(fd)?;
        self.shut_end(id)
    }

    // Ends, without faults: the test's side of a connection.

    /// Receives into the whole of `buf`, or says why not.
    pub(in crate::sim) fn take(&mut self, id: EndId, buf: &mut [u8]) -> io::Result<usize> {
        let end = self.ends.get_mut(&id).ok_or(Errno::BADF)?;
        if end.inbound.is_empty() {
            return match end.error.take() {
                Some(error) => Err(error.into()),
                None if end.eof || end.broken => Ok(0),
                None => Err(Errno::AGAIN.into()),
            };
        }
        let n = buf.len().min(end.inbound.len());
        for (to, from) in buf.iter_mut().zip(end.inbound.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }

    /// Sends at most `most` of `bytes` to the peer of an end.
    pub(in crate::sim) fn deliver(&mut self, id: EndId, bytes: &[u8], most: usize) -> io::Result<usize> {
        let end = self.ends.get_mut(&id).ok_or(Errno::BADF)?;
        if let Some(error) = end.error.take() {
            return Err(error.into());
        }
        if end.broken || end.shut {
            return Err(Errno::PIPE.into());
        }
        let peer_id = end.peer;
        let most = most.min(bytes.len());
        match self.ends.get_mut(&peer_id) {
            Some(peer) if !peer.closed => {
                let n = most.min(self.capacity.saturating_sub(peer.inbound.len()));
                if n == 0 && most != 0 {
                    return Err(Errno::AGAIN.into());
                }
                peer.inbound.extend(&bytes[..n]);
                Ok(n)
            }
            // Taken, sent, and answered with a reset.
            _ => {
                self.break_end(id);
                Ok(most)
            }
        }
    }

    pub(in crate::sim) fn shut_end(&mut self, id: EndId) -> io::Result<()> {
        let end = self.ends.get_mut(&id).ok_or(Errno::BADF)?;
        if end.broken {
            return Err(Errno::NOTCONN.into());
        }
        end.shut = true;
        let peer = end.peer;
        if let Some(peer) = self.ends.get_mut(&peer) {
            peer.eof = true;
        }
        Ok(())
    }

    /// Closes an end: its peer reads to the end, or is reset when something was left unread.
    pub(in crate::sim) fn close_end(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        end.closed = true;
        let (peer, unread) = (end.peer, !end.inbound.is_empty());
        match self.ends.get_mut(&peer) {
            Some(peer) if !peer.closed => peer.eof = true,
            // Both ends are closed, so no call can refer to the connection any more.
            _ => {
                self.ends.remove(&id);
                self.ends.remove(&peer);
                return;
            }
        }
        if unread {
            self.break_end(peer);
        }
    }

    /// Breaks a connection for both; what was on its way is lost.
    pub(in crate::sim) fn reset_end(&mut self, id: EndId) {
        let peer = self.ends.get(&id).map(|end| end.peer);
        for id in [Some(id), peer].into_iter().flatten() {
            self.break_end(id);
            if let Some(end) = self.ends.get_mut(&id) {
                end.inbound.clear();
            }
        }
    }

    fn break_end(&mut self, id: EndId) {
        if let Some(end) = self.ends.get_mut(&id).filter(|end| !end.broken) {
            end.broken = true;
            end.error = Some(Errno::CONNRESET);
        }
    }

    pub(in crate::sim) fn available(&self, id: EndId) -> usize {
        self.ends.get(&id).map_or(0, |end| end.inbound.len())
    }
}
