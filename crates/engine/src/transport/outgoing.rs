//! What was written and not yet sent. Held by `stream`; calls the driver.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use yibu_driver::memory::MakeRoom;

use yibu_driver::{Driver, Fd, MAX_PIECES};

use super::channel::Channel;

/// A queue of chunks, sent in order with as few calls as possible.
///
/// A chunk is dropped as soon as it is sent, with the machine borrowed: dropping it must not run foreign
/// code.
#[derive(Debug)]
#[repr(C)] // the size is all that most writes look at, and stands first
pub struct Outgoing<C> {
    /// Bytes in all chunks, without those sent.
    size: usize,
    /// How much of the first chunk has been sent; less than its length.
    sent: usize,
    chunks: VecDeque<C>,
}

impl<C> Default for Outgoing<C> {
    fn default() -> Self {
        Self { size: 0, sent: 0, chunks: VecDeque::new() }
    }
}

impl<C: AsRef<[u8]>> Outgoing<C> {
    /// How many bytes wait.
    #[inline]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Whether none waits.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Makes room for one more chunk; `false` where there is no memory for it.
    pub fn make_room(&mut self) -> bool {
        self.chunks.make_room(1)
    }

    /// Queues a chunk; an empty one would never be sent and is dropped.
    pub fn push(&mut self, chunk: C) {
        let len = chunk.as_ref().len();
        if len != 0 {
            self.size += len;
            self.chunks.push_back(chunk);
        }
    }

    /// What waits, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let rest = self.chunks.iter().skip(1).map(AsRef::as_ref);
        self.chunks.front().and_then(|first| first.as_ref().get(self.sent..)).into_iter().chain(rest)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Sends what the channel takes at once, and says how much that was.
    pub fn send<K: Channel>(&mut self, driver: &mut Driver, fd: Fd) -> io::Result<usize> {
        let Some(first) = self.chunks.front() else { return Ok(0) };
        let first = first.as_ref().get(self.sent..).unwrap_or_default();
        let n = if self.chunks.len() == 1 {
            K::send(driver, fd, first)?
        } else {
            let rest =
                self.chunks.iter().skip(1).take(MAX_PIECES - 1).map(|chunk| IoSlice::new(chunk.as_ref()));
            let pieces: Vec<IoSlice<'_>> = std::iter::once(IoSlice::new(first)).chain(rest).collect();
            K::send_vectored(driver, fd, &pieces)?
        };
        self.advance(n);
        Ok(n)
    }

    /// The first `n` bytes have been sent.
    pub fn advance(&mut self, n: usize) {
        self.size = self.size.saturating_sub(n);
        let mut sent = self.sent + n;
        while let Some(first) = self.chunks.front() {
            let len = first.as_ref().len();
            if sent < len {
                break;
            }
            sent -= len;
            self.chunks.pop_front();
        }
        self.sent = sent;
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use proptest::prelude::*;
    use yibu_driver::Faults;

    use super::super::Socket;
    use super::*;

    #[test]
    fn more_chunks_than_one_call_takes() -> io::Result<()> {
        let (mut driver, net) = Driver::sim(1);
        let (fd, peer) = net.stream()?;
        let mut outgoing = Outgoing::default();
        for byte in 0..2 * MAX_PIECES + 5 {
            outgoing.push([byte as u8]);
        }
        let calls: Vec<usize> = (0..3)
            .map(|_| outgoing.send::<Socket>(&mut driver, fd.as_raw_fd()))
            .collect::<io::Result<_>>()?;
        assert_eq!(calls, [MAX_PIECES, MAX_PIECES, 5]);
        assert!(outgoing.is_empty());
        let expected: Vec<u8> = (0..2 * MAX_PIECES + 5).map(|byte| byte as u8).collect();
        assert_eq!(peer.receive()?, expected);
        Ok(())
    }

    proptest! {
        #[test]
        fn everything_is_sent_once_and_in_order(
            seed: u64, short in 0..200u8, again in 0..100u8,
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..40),
        ) {
            let (mut driver, net) = Driver::sim(seed);
            let (fd, peer) = net.stream()?;
            net.set_faults(Faults { short_write: short, again, ..Faults::default() });
            let mut outgoing = Outgoing::default();
            let everything = chunks.concat();
            for chunk in chunks {
                outgoing.push(chunk);
            }
            let mut received = Vec::new();
            prop_assert_eq!(outgoing.size(), everything.len());
            while !outgoing.is_empty() {
                match outgoing.send::<Socket>(&mut driver, fd.as_raw_fd()) {
                    Ok(_) => received.extend(peer.receive()?),
                    Err(error) => prop_assert!(matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    )),
                }
                prop_assert_eq!(outgoing.size(), everything.len() - received.len());
            }
            prop_assert_eq!(received, everything);
        }
    }
}
