//! Simulated datagram sockets: mailboxes with a port. Methods of the world, with its faults.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::{File, World, port_of};
use crate::op::{Fd, SocketAddrAny};

/// A datagram socket.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) port: u16,
    /// The socket that it is connected with.
    pub(super) peer: Option<u16>,
    /// What arrived and was not received yet, with the sender's port.
    pub(super) inbound: VecDeque<(u16, Vec<u8>)>,
    /// What became of a datagram sent before; told once.
    pub(super) error: Option<Errno>,
}

impl Mailbox {
    pub(super) fn is_full(&self, capacity: usize) -> bool {
        self.inbound.iter().map(|(_, datagram)| datagram.len().max(1)).sum::<usize>() >= capacity
    }
}

impl World {
    pub(in crate::sim) fn datagrams(&mut self, peer: Option<u16>) -> io::Result<(OwnedFd, u16)> {
        self.last_end += 1;
        let port = port_of(self.last_end);
        let mailbox = Mailbox { port, peer, inbound: VecDeque::new(), error: None };
        Ok((self.descriptor(File::Datagrams(mailbox))?, port))
    }

    pub(super) fn mailbox(&self, port: u16) -> Option<&Mailbox> {
        self.files.values().find_map(|file| match file {
            File::Datagrams(mailbox) if mailbox.port == port => Some(mailbox),
            _ => None,
        })
    }

    fn mailbox_of(&mut self, fd: Fd) -> io::Result<&mut Mailbox> {
        match self.files.get_mut(&fd) {
            Some(File::Datagrams(mailbox)) => Ok(mailbox),
            Some(_) => Err(Errno::OPNOTSUPP.into()),
            None => Err(Errno::BADF.into()),
        }
    }

    /// What waited longest; what does not fit into `buf` is cut off.
    pub(in crate::sim) fn recv_from(
        &mut self,
        fd: Fd,
        buf: &mut [u8],
    ) -> io::Result<(usize, Option<SocketAddrAny>)> {
        self.maybe_again()?;
        let mailbox = self.mailbox_of(fd)?;
        if let Some(error) = mailbox.error.take() {
            return Err(error.into());
        }
        let (port, datagram) = mailbox.inbound.pop_front().ok_or(Errno::AGAIN)?;
        let n = datagram.len().min(buf.len());
        buf[..n].copy_from_slice(&datagram[..n]);
        Ok((n, Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())))
    }

    /// Unlike UDP, and like datagrams of a Unix socket, nothing is lost for lack of room: `EAGAIN`.
    pub(in crate::sim) fn send_to(
        &mut self,
        fd: Fd,
        data: &[u8],
        address: Option<&SocketAddrAny>,
    ) -> io::Result<usize> {
        self.maybe_again()?;
        if self.random.strikes(self.faults.no_buffers) {
            return Err(Errno::NOBUFS.into());
        }
        let capacity = self.capacity;
        let mailbox = self.mailbox_of(fd)?;
        if let Some(error) = mailbox.error.take() {
            return Err(error.into());
        }
        let (port, connected) = (mailbox.port, mailbox.peer);
        let to = match address {
            Some(address) => SocketAddrV4::try_from(address.clone())?.port(),
            None => connected.ok_or(Errno::DESTADDRREQ)?,
        };
        let receiver = self.files.values_mut().find_map(|file| match file {
            File::Datagrams(mailbox) if mailbox.port == to => Some(mailbox),
            _ => None,
        });
        match receiver {
            Some(receiver) if receiver.is_full(capacity) => return Err(Errno::AGAIN.into()),
            Some(receiver) => receiver.inbound.push_back((port, data.to_vec())),
            // Only a connected socket gets the error.
            None if connected.is_some() => self.mailbox_of(fd)?.error = Some(Errno::CONNREFUSED),
            None => {}
        }
        Ok(data.len())
    }
}
