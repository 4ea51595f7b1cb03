//! What a stream's bytes go through. A stream is written once, for any [`Channel`]; what a socket and a pipe
//! do differently is all here, and known when the stream is compiled. Used by `stream` and `outgoing`; calls
//! the driver.

use std::fmt;
use std::io::{self, IoSlice};

use yibu_driver::{Driver, Fd, Op};

use super::upcall::During;

/// The system calls of a kind of file, and where asyncio's transports for it differ.
pub trait Channel: fmt::Debug + 'static {
    /// Whether nothing more can be written to a transport that closes, although what was written before is
    /// still sent.
    const CLOSING_REFUSES: bool;
    /// Whether `_conn_lost` counts the end of every connection, or only one that a write found.
    const EVERY_END_COUNTS: bool;
    /// Whether the protocol is resumed only when nothing waits, wherever the low-water mark is.
    const RESUMES_WHEN_EMPTY: bool;
    /// What is logged about writes to a lost connection.
    const LOST_WRITE_WARNING: &'static str;

    /// The operation that reads into a buffer of the driver.
    fn reading(fd: Fd) -> Op;

    /// Reads into a buffer of the caller; 0 at the end.
    fn read_into(driver: &mut Driver, fd: Fd, buf: &mut [u8]) -> io::Result<usize>;

    /// Sends what is taken at once.
    fn send(driver: &mut Driver, fd: Fd, data: &[u8]) -> io::Result<usize>;

    /// Sends several pieces as one.
    fn send_vectored(driver: &mut Driver, fd: Fd, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// What the exception handler is told when the kernel refuses.
    fn failure(during: During) -> &'static str;
}

/// A connected stream socket.
#[derive(Debug)]
pub enum Socket {}

/// A pipe, a FIFO, a terminal, or whatever else is read and written as a file. It carries bytes in one
/// direction.
#[derive(Debug)]
pub enum Pipe {}

impl Channel for Socket {
    const CLOSING_REFUSES: bool = false;
    const EVERY_END_COUNTS: bool = true;
    const RESUMES_WHEN_EMPTY: bool = false;
    const LOST_WRITE_WARNING: &'static str = "socket.send() raised exception.";

    fn reading(fd: Fd) -> Op {
        Op::Recv { fd }
    }

    #[inline]
    fn read_into(driver: &mut Driver, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
        driver.recv_into(fd, buf)
    }

    #[inline]
    fn send(driver: &mut Driver, fd: Fd, data: &[u8]) -> io::Result<usize> {
        driver.send(fd, data)
    }

    #[inline]
    fn send_vectored(driver: &mut Driver, fd: Fd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        driver.send_vectored(fd, pieces)
    }

    fn failure(during: During) -> &'static str {
        match during {
            During::Reading => "Fatal read error on socket transport",
            During::Writing => "Fatal write error on socket transport",
        }
    }
}

impl Channel for Pipe {
    const CLOSING_REFUSES: bool = true;
    const EVERY_END_COUNTS: bool = false;
    const RESUMES_WHEN_EMPTY: bool = true;
    const LOST_WRITE_WARNING: &'static str = "pipe closed by peer or os.write(pipe, data) raised exception.";

    fn reading(fd: Fd) -> Op {
        Op::Read { fd }
    }

    #[inline]
    fn read_into(driver: &mut Driver, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
        driver.read_into(fd, buf)
    }

    #[inline]
    fn send(driver: &mut Driver, fd: Fd, data: &[u8]) -> io::Result<usize> {
        driver.write(fd, data)
    }

    #[inline]
    fn send_vectored(driver: &mut Driver, fd: Fd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        driver.write_vectored(fd, pieces)
    }

    fn failure(during: During) -> &'static str {
        match during {
            During::Reading => "Fatal read error on pipe transport",
            During::Writing => "Fatal write error on pipe transport",
        }
    }
}
