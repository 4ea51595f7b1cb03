//! The buffers that a driver receives into, and the leases on them. Called by every driver; calls nothing.
//!
//! One buffer serves as long as each lease is given back before the next receive, which is how the engine
//! works. It is made at the first receive. Allocating per receive instead would cost three system calls each:
//! at this size the C library's allocator goes to `mmap`.

use std::io;

use crate::memory::{self, MakeRoom};
use crate::op::Lease;

/// As many bytes as asyncio asks for in one `recv`.
pub(crate) const BUFFER_SIZE: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Buffers {
    all: Vec<Box<[u8]>>,
    free: Vec<u32>,
}

impl Buffers {
    /// Lets `receive` fill a free buffer, and leases what it filled. `Ok(None)` when it received nothing.
    #[inline]
    pub(crate) fn fill<E: From<io::Error>>(
        &mut self,
        receive: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Option<Lease>, E> {
        let (buffer, bytes) = self.next()?;
        match receive(bytes)? {
            0 => Ok(None),
            len => Ok(Some(self.lease(buffer, len))),
        }
    }

    /// Lets `receive` fill a free buffer, and leases it even where nothing was received. What else `receive`
    /// learnt is passed on.
    #[inline]
    pub(crate) fn fill_datagram<E: From<io::Error>, R>(
        &mut self,
        receive: impl FnOnce(&mut [u8]) -> Result<(usize, R), E>,
    ) -> Result<(Lease, R), E> {
        let (buffer, bytes) = self.next()?;
        let (len, learnt) = receive(bytes)?;
        Ok((self.lease(buffer, len), learnt))
    }

    /// The buffer that `lease` takes next.
    #[inline]
    fn next(&mut self) -> io::Result<(u32, &mut [u8])> {
        let buffer = match self.free.last() {
            Some(&buffer) => buffer,
            None => {
                let has_room = self.all.make_room(1) && self.free.make_room(self.all.len() + 1);
                let buffer = self.all.len() as u32; // one more than are leased: memory ends long before 2^32
                self.all.push(empty_buffer().filter(|_| has_room).ok_or_else(memory::exhausted)?);
                self.free.push(buffer);
                buffer
            }
        };
        Ok((buffer, self.all.get_mut(buffer as usize).map_or(&mut [], |bytes| bytes)))
    }

    #[inline]
    fn lease(&mut self, buffer: u32, len: usize) -> Lease {
        self.free.pop();
        Lease { buffer, len: len.min(BUFFER_SIZE) as u32 }
    }

    #[inline]
    pub(crate) fn bytes(&self, lease: &Lease) -> &[u8] {
        self.all.get(lease.buffer as usize).and_then(|bytes| bytes.get(..lease.len())).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn recycle(&mut self, lease: Lease) {
        // A lease of another driver is only dropped.
        if (lease.buffer as usize) < self.all.len() && !self.free.contains(&lease.buffer) {
            self.free.push(lease.buffer);
        }
    }
}

/// A new buffer; `None` where there is no memory for it.
#[cold]
fn empty_buffer() -> Option<Box<[u8]>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(BUFFER_SIZE).ok()?;
    buffer.resize(BUFFER_SIZE, 0);
    Some(buffer.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffers: &mut Buffers, text: &[u8]) -> Option<Lease> {
        let Ok(lease) = buffers.fill(|buf| {
            buf[..text.len()].copy_from_slice(text);
            Ok::<usize, io::Error>(text.len())
        }) else {
            return None;
        };
        lease
    }

    #[test]
    fn one_buffer_is_enough_when_leases_come_back() {
        let mut buffers = Buffers::default();
        for text in [b"one".as_slice(), b"two", b"three"] {
            let lease = fill(&mut buffers, text).expect("something was received");
            assert_eq!(buffers.bytes(&lease), text);
            buffers.recycle(lease);
        }
        assert_eq!(buffers.all.len(), 1);
    }

    #[test]
    fn a_lease_held_keeps_its_bytes() {
        let mut buffers = Buffers::default();
        let first = fill(&mut buffers, b"first").expect("something was received");
        let second = fill(&mut buffers, b"second").expect("something was received");
        assert_eq!(buffers.bytes(&first), b"first");
        assert_eq!(buffers.bytes(&second), b"second");
        buffers.recycle(first);
        buffers.recycle(second);
        assert_eq!(buffers.all.len(), 2);
    }

    #[test]
    fn an_empty_datagram_is_leased() {
        let mut buffers = Buffers::default();
        let Ok((lease, sender)) = buffers.fill_datagram(|_| Ok::<_, io::Error>((0, "sender"))) else {
            panic!("nothing failed")
        };
        assert_eq!((buffers.bytes(&lease), sender), (b"".as_slice(), "sender"));
        assert!(buffers.free.is_empty());
        buffers.recycle(lease);
        assert_eq!(buffers.free.len(), 1);
    }

    #[test]
    fn nothing_received_leases_nothing() {
        let mut buffers = Buffers::default();
        assert_eq!(fill(&mut buffers, b""), None);
        let refused = buffers.fill(|_| Err::<usize, _>(io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert_eq!(refused.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionRefused));
        assert_eq!(buffers.free.len(), 1);
    }
}
