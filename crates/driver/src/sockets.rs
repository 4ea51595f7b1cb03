//! What the kernel says of a socket: its names, and how many bytes have gone each way. Any thread may ask.
//! Nothing is counted for this while a program runs: the kernel counts the bytes of TCP connections in any
//! case. Called by the task tree of yibu-python.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::net::{SocketAddrAny, SocketType, getpeername, getsockname, sockopt};

use crate::Fd;

/// See the module.
#[derive(Clone, Debug)]
pub struct SocketFacts {
    /// The family of its addresses, as the `socket` module numbers it.
    pub family: i32,
    /// Whether it is a stream, as opposed to datagrams.
    pub is_stream: bool,
    /// Its own name.
    pub local: Option<SocketAddrAny>,
    /// The name of the other side.
    pub peer: Option<SocketAddrAny>,
    /// Where the kernel counts them: as many bytes as it has received and sent.
    pub bytes: Option<(u64, u64)>,
}

/// What the kernel says of an open descriptor; an error where that is no socket.
pub fn facts(fd: Fd) -> io::Result<SocketFacts> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the number is not -1, and it is used for these calls only. The caller's transport has the
    // descriptor open; of one that is not open the kernel says so.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    let is_stream = sockopt::socket_type(socket)? == SocketType::STREAM;
    Ok(SocketFacts {
        family: i32::from(sockopt::socket_domain(socket)?.as_raw()),
        is_stream,
        local: getsockname(socket).ok(),
        peer: getpeername(socket).ok().flatten(),
        bytes: if is_stream { tcp_bytes(fd) } else { None },
    })
}

/// The 64-bit words of the kernel's `struct tcp_info` that are looked at, by their numbers.
const ACKNOWLEDGED: usize = 15;
const RECEIVED: usize = 16;
const SENT: usize = 25;
const SENT_AGAIN: usize = 26;

/// Bytes that the kernel has received and sent on a TCP connection; `None` for what is none.
fn tcp_bytes(fd: Fd) -> Option<(u64, u64)> {
    let mut info = [0u64; 32];
    let mut size = size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` has room for `size` bytes, and is valid whatever bytes the kernel writes there.
    let answer = unsafe {
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut size)
    };
    let words = size as usize / size_of::<u64>();
    if answer != 0 || words <= RECEIVED {
        return None;
    }
    // Before Linux 4.19 only what the other side has acknowledged is known.
    let sent = if words > SENT_AGAIN {
        info[SENT].saturating_sub(info[SENT_AGAIN])
    } else {
        info[ACKNOWLEDGED].saturating_sub(1)
    };
    Some((info[RECEIVED], sent))
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_of_a_connection() -> Result<(), Box<dyn Error>> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (mut server, peer) = listener.accept()?;
        client.write_all(&[0; 1000])?;
        server.read_exact(&mut [0; 1000])?;
        server.write_all(&[0; 7])?;
        client.read_exact(&mut [0; 7])?;
        let facts = facts(server.as_raw_fd())?;
        assert_eq!(facts.bytes, Some((1000, 7)));
        assert_eq!(facts.peer.map(std::net::SocketAddr::try_from), Some(Ok(peer)));
        assert!(facts.is_stream && facts.family == libc::AF_INET);
        Ok(())
    }

    #[test]
    fn what_is_not_counted() -> Result<(), Box<dyn Error>> {
        let (one, _other) = UnixStream::pair()?;
        assert_eq!(facts(one.as_raw_fd())?.bytes, None);
        let datagrams = UdpSocket::bind("127.0.0.1:0")?;
        let seen = facts(datagrams.as_raw_fd())?;
        assert!(!seen.is_stream && seen.bytes.is_none() && seen.peer.is_none() && seen.local.is_some());
        assert!(facts(-1).is_err());
        Ok(())
    }
}
