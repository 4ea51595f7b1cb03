//! The system calls that move data, one thin method each, all in this file so that a fault can be put before
//! any of them. Called by the epoll driver; calls [`crate::direct`] and rustix.

use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, writev};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrAny, SocketFlags, acceptfrom_with,
    recvfrom, sendmsg, sendto, shutdown,
};

use crate::direct::{read, recv, send, write};
use crate::faults::FaultInjector;
use crate::op::Fd;
use crate::traffic::Traffic;

/// The descriptor behind a number, for the length of one system call.
#[inline]
pub(crate) fn borrow<'a>(fd: Fd) -> io::Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: the number is not -1, the only value with no representation. That it is open is the promise of
    // the submitter of an operation (see `Fd`); where the promise is broken the kernel answers EBADF, as it
    // does to Python's own socket calls, and no memory is at stake.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// How everything is sent: a broken connection is an error and never a signal, and nothing waits, whatever
/// the mode of the socket is.
const SENDING: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// The system calls of one driver, and the fault injector before them, which only tests have.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) injector: Option<Box<FaultInjector>>,
    /// Whether a descriptor was used so that the kernel may have something new to report: obligation 13 of
    /// the crate's page.
    pub(crate) activity: bool,
    pub(crate) traffic: Traffic,
}

impl Calls {
    /// Receives into `buf`; at once, whatever the mode of the socket is.
    #[inline]
    pub(crate) fn recv(&mut self, fd: Fd, mut buf: &mut [u8]) -> io::Result<usize> {
        if let Some(injector) = &mut self.injector {
            let room = injector.receive(buf.len())?;
            buf = &mut buf[..room];
        }
        let n = recv(borrow(fd)?, buf, libc::MSG_DONTWAIT)?;
        Ok(self.traffic.received(n))
    }

    /// Receives one datagram into `buf`, and says who sent it; at once, whatever the mode of the socket is.
    #[inline]
    pub(crate) fn recv_from(&mut self, fd: Fd, buf: &mut [u8]) -> io::Result<(usize, Option<SocketAddrAny>)> {
        if let Some(injector) = &mut self.injector {
            injector.receive_datagram()?;
        }
        let (n, _, sender) = recvfrom(borrow(fd)?, buf, RecvFlags::DONTWAIT)?;
        Ok((self.traffic.received(n), sender))
    }

    /// Reads into `buf` from a non-blocking descriptor that is no socket.
    #[inline]
    pub(crate) fn read(&mut self, fd: Fd, mut buf: &mut [u8]) -> io::Result<usize> {
        if let Some(injector) = &mut self.injector {
            let room = injector.read(buf.len())?;
            buf = &mut buf[..room];
        }
        let n = read(borrow(fd)?, buf)?;
        Ok(self.traffic.received(n))
    }

    /// Sends as many bytes as the socket takes.
    #[inline]
    pub(crate) fn send(&mut self, fd: Fd, mut data: &[u8]) -> io::Result<usize> {
        self.activity = true;
        if let Some(injector) = &mut self.injector {
            data = &data[..injector.send(data.len())?];
        }
        let n = send(borrow(fd)?, data, SENDING.bits().cast_signed())?;
        Ok(self.traffic.sent(n))
    }

    /// Sends several pieces with one call.
    #[inline]
    pub(crate) fn send_vectored(&mut self, fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.activity = true;
        if let Some(injector) = &mut self.injector {
            let part = first(bufs, injector.send(len(bufs))?);
            let n = send(borrow(fd)?, &part, SENDING.bits().cast_signed())?;
            return Ok(self.traffic.sent(n));
        }
        let n = sendmsg(borrow(fd)?, bufs, &mut SendAncillaryBuffer::default(), SENDING)?;
        Ok(self.traffic.sent(n))
    }

    /// Sends one datagram, to `address` or to the peer of a connected socket.
    #[inline]
    pub(crate) fn send_to(
        &mut self,
        fd: Fd,
        data: &[u8],
        address: Option<&SocketAddrAny>,
    ) -> io::Result<usize> {
        self.activity = true;
        if let Some(injector) = &mut self.injector {
            injector.send_datagram()?;
        }
        let n = match address {
            Some(address) => sendto(borrow(fd)?, data, SENDING, address)?,
            None => send(borrow(fd)?, data, SENDING.bits().cast_signed())?,
        };
        Ok(self.traffic.sent(n))
    }

    /// Writes as many bytes as a non-blocking descriptor that is no socket takes.
    #[inline]
    pub(crate) fn write(&mut self, fd: Fd, mut data: &[u8]) -> io::Result<usize> {
        self.activity = true;
        if let Some(injector) = &mut self.injector {
            data = &data[..injector.write(data.len())?];
        }
        let n = write(borrow(fd)?, data)?;
        Ok(self.traffic.sent(n))
    }

    /// Writes several pieces with one call.
    #[inline]
    pub(crate) fn write_vectored(&mut self, fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.activity = true;
        if let Some(injector) = &mut self.injector {
            let part = first(bufs, injector.write(len(bufs))?);
            let n = write(borrow(fd)?, &part)?;
            return Ok(self.traffic.sent(n));
        }
        let n = writev(borrow(fd)?, bufs)?;
        Ok(self.traffic.sent(n))
    }

    /// How much of a file may be sent; [`SendingFile`](crate::SendingFile) does it.
    pub(crate) fn send_file(&mut self, count: usize) -> io::Result<usize> {
        self.activity = true;
        Ok(match &mut self.injector {
            Some(injector) => injector.send(count)?,
            None => count,
        })
    }

    /// Takes one connection, non-blocking and close-on-exec.
    #[inline]
    pub(crate) fn accept(&mut self, fd: Fd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
        if let Some(injector) = &mut self.injector {
            injector.accept()?;
        }
        let accepted = acceptfrom_with(borrow(fd)?, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
        self.traffic.accepted += 1;
        Ok(accepted)
    }

    /// Shuts the sending side down: the peer receives the end of the stream.
    #[inline]
    pub(crate) fn shutdown_write(&mut self, fd: Fd) -> io::Result<()> {
        self.activity = true;
        if let Some(injector) = &mut self.injector {
            injector.shut_down()?;
        }
        Ok(shutdown(borrow(fd)?, Shutdown::Write)?)
    }

    /// Asked before the driver makes an object of its own.
    pub(crate) fn descriptor(&mut self) -> io::Result<()> {
        if let Some(injector) = &mut self.injector {
            injector.descriptor()?;
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
