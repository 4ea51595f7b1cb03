//! The system calls that move data, one thin function each, all in this file so that a fault can be put before any
//! of them. Called by the epoll driver; calls rustix.

use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, read as read_call, write as write_call, writev};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrAny, SocketFlags, acceptfrom_with,
    recv as recv_call, recvfrom, send as send_call, sendmsg, sendto, shutdown,
};

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

/// Receives into `buf`; at once, whatever the mode of the socket is.
#[inline]
pub(crate) fn recv(fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
    let (n, _) = recv_call(borrow(fd)?, buf, RecvFlags::DONTWAIT)?;
    Ok(n)
}

/// Receives one datagram into `buf`, and says who sent it; at once, whatever the mode of the socket is.
#[inline]
pub(crate) fn recv_from(fd: Fd, buf: &mut [u8]) -> io::Result<(usize, Option<SocketAddrAny>)> {
    let (n, _, sender) = recvfrom(borrow(fd)?, buf, RecvFlags::DONTWAIT)?;
    Ok((n, sender))
}

/// Reads into `buf` from what is not a socket, which has to be non-blocking.
#[inline]
pub(crate) fn read(fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
    Ok(read_call(borrow(fd)?, buf)?)
}

/// How everything is sent: a broken connection is an error and never a signal, and nothing waits, whatever the
/// mode of the socket is.
const SENDING: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// Sends what the socket takes.
#[inline]
pub(crate) fn send(fd: Fd, data: &[u8]) -> io::Result<usize> {
    Ok(send_call(borrow(fd)?, data, SENDING)?)
}

/// Sends several pieces with one call.
#[inline]
pub(crate) fn send_vectored(fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(sendmsg(borrow(fd)?, bufs, &mut SendAncillaryBuffer::default(), SENDING)?)
}

/// Sends one datagram, to `address` or to whom the socket is connected with.
#[inline]
pub(crate) fn send_to(fd: Fd, data: &[u8], address: Option<&SocketAddrAny>) -> io::Result<usize> {
    let Some(address) = address else { return send(fd, data) };
    Ok(sendto(borrow(fd)?, data, SENDING, address)?)
}

/// Writes what a descriptor takes that is not a socket. It has to be non-blocking.
#[inline]
pub(crate) fn write(fd: Fd, data: &[u8]) -> io::Result<usize> {
    Ok(write_call(borrow(fd)?, data)?)
}

/// Writes several pieces with one call.
#[inline]
pub(crate) fn write_vectored(fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(writev(borrow(fd)?, bufs)?)
}

/// Takes one connection, non-blocking and close-on-exec.
#[inline]
pub(crate) fn accept(fd: Fd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    Ok(acceptfrom_with(borrow(fd)?, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
}

/// Tells the peer that nothing more will be sent.
#[inline]
pub(crate) fn shutdown_write(fd: Fd) -> io::Result<()> {
    Ok(shutdown(borrow(fd)?, Shutdown::Write)?)
}
