//! [`Traffic`]: what a driver has moved so far. Counted by the system calls of the epoll driver; read by the
//! observation of a loop.

/// How much was received, sent and accepted. Calls count when they have moved something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from sockets and pipes.
    pub received_bytes: u64,
    /// System calls that received.
    pub receives: u64,
    /// Bytes to sockets and pipes.
    pub sent_bytes: u64,
    /// System calls that sent.
    pub sends: u64,
    /// Connections that servers have taken.
    pub accepted: u64,
}

impl Traffic {
    /// A call has received `count` bytes.
    #[inline]
    pub(crate) fn received(&mut self, count: usize) -> usize {
        self.received_bytes += count as u64;
        self.receives += 1;
        count
    }

    /// A call has sent `count` bytes.
    #[inline]
    pub(crate) fn sent(&mut self, count: usize) -> usize {
        self.sent_bytes += count as u64;
        self.sends += 1;
        count
    }
}
