//! The system calls that move data, one thin method each, all in this file so that a fault can be put before any
//! of them. Called by the epoll driver; calls rustix.

use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, read, write, writev};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrAny, SocketFlags, acceptfrom_with, recv,
    recvfrom, send, sendmsg, sendto, shutdown,
};

use crate::faults::Chance;
use crate::op::Fd;

/// The descriptor behind a number, for the length of one system call.
#[inline]
pub(crate) fn borrow<'a>(fd: Fd) -> io::Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: the number is not -1, the only value with no representation. That it is open is the promise of the
    // submitter of an operation (see `Fd`); where the promise is broken the kernel answers EBADF, as it does to
    // Python's own socket calls, and no memory is at stake.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// How everything is sent: a broken connection is an error and never a signal, and nothing waits, whatever the
/// mode of the socket is.
const SENDING: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// The way to the kernel of one driver, and what may stand in it: nothing, except in tests.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) chance: Option<Box<Chance>>,
    /// Whether anything was written, or otherwise done by which the kernel may have something new to say: see the
    /// crate's page.
    pub(crate) activity: bool,
}

impl Calls {
    /// Receives into `buf`; at once, whatever the mode of the socket is.
    #[inline]
    pub(crate) fn recv(&mut self, fd: Fd, mut buf: &mut [u8]) -> io::Result<usize> {
        if let Some(chance) = &mut self.chance {
            let room = chance.receive(buf.len())?;
            buf = &mut buf[..room];
        }
        let (n, _) = recv(borrow(fd)?, buf, RecvFlags::DONTWAIT)?;
        Ok(n)
    }

    /// Receives one datagram into `buf`, and says who sent it; at once, whatever the mode of the socket is.
    #[inline]
    pub(crate) fn recv_from(&mut self, fd: Fd, buf: &mut [u8]) -> io::Result<(usize, Option<SocketAddrAny>)> {
        if let Some(chance) = &mut self.chance {
            chance.receive_datagram()?;
        }
        let (n, _, sender) = recvfrom(borrow(fd)?, buf, RecvFlags::DONTWAIT)?;
        Ok((n, sender))
    }

    /// Reads into `buf` from what is not a socket, which has to be non-blocking.
    #[inline]
    pub(crate) fn read(&mut self, fd: Fd, mut buf: &mut [u8]) -> io::Result<usize> {
        if let Some(chance) = &mut self.chance {
            let room = chance.read(buf.len())?;
            buf = &mut buf[..room];
        }
        Ok(read(borrow(fd)?, buf)?)
    }

    /// Sends what the socket takes.
    #[inline]
    pub(crate) fn send(&mut self, fd: Fd, mut data: &[u8]) -> io::Result<usize> {
        self.activity = true;
        if let Some(chance) = &mut self.chance {
            data = &data[..chance.send(data.len())?];
        }
        Ok(send(borrow(fd)?, data, SENDING)?)
    }

    /// Sends several pieces with one call.
    #[inline]
    pub(crate) fn send_vectored(&mut self, fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.activity = true;
        if let Some(chance) = &mut self.chance {
            let part = first(bufs, chance.send(len(bufs))?);
            return Ok(send(borrow(fd)?, &part, SENDING)?);
        }
        Ok(sendmsg(borrow(fd)?, bufs, &mut SendAncillaryBuffer::default(), SENDING)?)
    }

    /// Sends one datagram, to `address` or to whom the socket is connected with.
    #[inline]
    pub(crate) fn send_to(
        &mut self,
        fd: Fd,
        data: &[u8],
        address: Option<&SocketAddrAny>,
    ) -> io::Result<usize> {
        self.activity = true;
        if let Some(chance) = &mut self.chance {
            chance.send_datagram()?;
        }
        Ok(match address {
            Some(address) => sendto(borrow(fd)?, data, SENDING, address)?,
            None => send(borrow(fd)?, data, SENDING)?,
        })
    }

    /// Writes what a descriptor takes that is not a socket. It has to be non-blocking.
    #[inline]
    pub(crate) fn write(&mut self, fd: Fd, mut data: &[u8]) -> io::Result<usize> {
        self.activity = true;
        if let Some(chance) = &mut self.chance {
            data = &data[..chance.write(data.len())?];
        }
        Ok(write(borrow(fd)?, data)?)
    }

    /// Writes several pieces with one call.
    #[inline]
    pub(crate) fn write_vectored(&mut self, fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.activity = true;
        if let Some(chance) = &mut self.chance {
            let part = first(bufs, chance.write(len(bufs))?);
            return Ok(write(borrow(fd)?, &part)?);
        }
        Ok(writev(borrow(fd)?, bufs)?)
    }

    /// How much of a file may be sent; [`SendingFile`](crate::SendingFile) does it.
    pub(crate) fn send_file(&mut self, count: usize) -> io::Result<usize> {
        self.activity = true;
        Ok(match &mut self.chance {
            Some(chance) => chance.send(count)?,
            None => count,
        })
    }

    /// Takes one connection, non-blocking and close-on-exec.
    #[inline]
    pub(crate) fn accept(&mut self, fd: Fd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
        if let Some(chance) = &mut self.chance {
            chance.accept()?;
        }
        Ok(acceptfrom_with(borrow(fd)?, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
    }

    /// Tells the peer that nothing more will be sent.
    #[inline]
    pub(crate) fn shutdown_write(&mut self, fd: Fd) -> io::Result<()> {
        self.activity = true;
        if let Some(chance) = &mut self.chance {
            chance.shut_down()?;
        }
        Ok(shutdown(borrow(fd)?, Shutdown::Write)?)
    }

    /// Asked before the driver makes an object of its own.
    pub(crate) fn descriptor(&mut self) -> io::Result<()> {
        if let Some(chance) = &mut self.chance {
            chance.descriptor()?;
        }
        Ok(())
    }
}

fn len(bufs: &[IoSlice<'_>]) -> usize {
    bufs.iter().map(|buf| buf.len()).sum()
}

/// The first `n` bytes of all pieces.
fn first(bufs: &[IoSlice<'_>], n: usize) -> Vec<u8> {
    bufs.iter().flat_map(|buf| buf.iter().copied()).take(n).collect()
}
