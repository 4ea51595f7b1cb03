//! [`Kept`]: bytes that the kernel had received for an operation when the operation was cancelled. They
//! belong to the socket: the next read from it gets them first. Used by the io_uring driver; asks the kernel
//! which file a number stands for.

use std::io;

use crate::op::Fd;
use crate::sys;

/// Which file it is: the device and number of its inode, which the kernel gives to no other socket while it
/// is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(fd: Fd) -> io::Result<Self> {
        let status = rustix::fs::fstat(sys::borrow(fd)?)?;
        Ok(Self(status.st_dev, status.st_ino))
    }
}

/// What was received of one socket.
#[derive(Debug)]
pub(super) struct Rest {
    fd: Fd,
    identity: Identity,
    pub(super) bytes: Vec<u8>,
    /// How many of `bytes` have been taken.
    pub(super) taken: usize,
    /// What came behind the bytes: an error number, or 0 for the end of the stream.
    pub(super) end: Option<i32>,
}

/// The rests, hardly ever any.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<Rest>);

impl Kept {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds to the rest of a socket; `false` where there is no memory.
    pub(super) fn add(&mut self, fd: Fd, identity: Identity, bytes: &[u8], end: Option<i32>) -> bool {
        let place = match self.0.iter().position(|rest| rest.fd == fd && rest.identity == identity) {
            Some(place) => place,
            None => {
                if self.0.try_reserve(1).is_err() {
                    return false;
                }
                self.0.push(Rest { fd, identity, bytes: Vec::new(), taken: 0, end: None });
                self.0.len() - 1
            }
        };
        let rest = &mut self.0[place];
        if rest.bytes.try_reserve(bytes.len()).is_err() {
            return false;
        }
        rest.bytes.extend_from_slice(bytes);
        rest.end = rest.end.or(end);
        true
    }

    /// The sockets that have a rest and are still open.
    pub(super) fn open(&mut self) -> impl Iterator<Item = Fd> + '_ {
        self.0.retain(|rest| Identity::of(rest.fd).is_ok_and(|identity| identity == rest.identity));
        self.0.iter().map(|rest| rest.fd)
    }

    /// Takes all of the rest of a socket.
    pub(super) fn take(&mut self, fd: Fd) -> Option<Rest> {
        if self.0.is_empty() || !self.open().any(|open| open == fd) {
            return None;
        }
        let place = self.0.iter().position(|rest| rest.fd == fd)?;
        Some(self.0.swap_remove(place))
    }

    /// Takes bytes of a socket's rest, or its end; `None` when it has none.
    pub(super) fn read(&mut self, fd: Fd, buf: &mut [u8]) -> Option<io::Result<usize>> {
        let mut rest = self.take(fd)?;
        let left = rest.bytes.get(rest.taken..).unwrap_or_default();
        if left.is_empty() {
            return match rest.end {
                None => None,
                Some(0) => Some(Ok(0)),
                Some(number) => Some(Err(io::Error::from_raw_os_error(number))),
            };
        }
        let count = left.len().min(buf.len());
        buf[..count].copy_from_slice(&left[..count]);
        rest.taken += count;
        if rest.taken < rest.bytes.len() || rest.end.is_some() {
            self.0.push(rest); // in the place that `take` has made
        }
        Some(Ok(count))
    }

    /// The socket is about to be closed.
    pub(super) fn forget(&mut self, fd: Fd) {
        self.0.retain(|rest| rest.fd != fd);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_rest_is_read_once_and_in_order() -> io::Result<()> {
        let (near, _far) = UnixStream::pair()?;
        let (fd, mut kept, mut buf) = (near.as_raw_fd(), Kept::default(), [0; 4]);
        let identity = Identity::of(fd)?;
        assert!(kept.add(fd, identity, b"abc", None) && kept.add(fd, identity, b"def", Some(0)));
        assert_eq!(kept.read(fd, &mut buf).transpose()?, Some(4));
        assert_eq!(&buf, b"abcd");
        assert_eq!(kept.read(fd, &mut buf).transpose()?, Some(2));
        assert_eq!(kept.read(fd, &mut buf).transpose()?, Some(0));
        assert!(kept.is_empty());
        Ok(())
    }

    #[test]
    fn the_next_file_of_a_number_gets_nothing() -> io::Result<()> {
        let (near, far) = UnixStream::pair()?;
        let fd = near.as_raw_fd();
        let mut kept = Kept::default();
        assert!(kept.add(fd, Identity::of(far.as_raw_fd())?, b"for a stranger", None));
        assert!(kept.read(fd, &mut [0; 4]).is_none());
        assert!(kept.is_empty());
        Ok(())
    }
}
