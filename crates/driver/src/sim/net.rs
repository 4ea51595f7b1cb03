//! The test's handles on the simulated kernel: [`SimNet`] makes sockets and rules over time and chance,
//! [`Peer`] is the far end of a connection. Called by tests of this crate and of the engine; calls `world`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::world::EndId;
use crate::faults::Faults;
use crate::op::Fd;

/// The network and the clock of one simulated driver.
#[derive(Clone, Debug)]
pub struct SimNet(pub(super) Arc<Shared>);

impl SimNet {
    /// Two connected stream sockets, both for the driver.
    pub fn pair(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        let mut world = self.0.world();
        let (one, other) = world.connection();
        Ok((world.stream(one)?, world.stream(other)?))
    }

    /// A connected stream socket for the driver, and its peer for the test.
    pub fn stream(&self) -> io::Result<(OwnedFd, Peer)> {
        let mut world = self.0.world();
        let (one, other) = world.connection();
        Ok((world.stream(one)?, Peer { shared: Arc::clone(&self.0), end: other }))
    }

    /// A datagram socket for the driver, connected with the port of another or not connected, and its own
    /// port.
    pub fn datagrams(&self, peer: Option<u16>) -> io::Result<(OwnedFd, u16)> {
        self.0.world().datagrams(peer)
    }

    /// Closes a descriptor and gives its number to a new stream at once, as `dup2` does.
    pub fn reuse_number(&self, fd: &OwnedFd) -> Peer {
        let mut world = self.0.world();
        let (one, other) = world.connection();
        world.reuse_number(fd.as_raw_fd(), one);
        Peer { shared: Arc::clone(&self.0), end: other }
    }

    /// A listening socket for the driver.
    pub fn listen(&self, backlog: usize) -> io::Result<OwnedFd> {
        self.0.world().listen(backlog)
    }

    /// A connection to a listening socket, refused when its backlog is full.
    pub fn connect(&self, listener: Fd) -> io::Result<Peer> {
        let end = self.0.world().connect(listener)?;
        Ok(Peer { shared: Arc::clone(&self.0), end })
    }

    /// From now on, fail so often.
    pub fn set_faults(&self, faults: Faults) {
        self.0.world().faults = faults;
    }

    /// How many bytes a connection holds in each direction.
    pub fn set_capacity(&self, bytes: usize) {
        self.0.world().capacity = bytes.max(1);
    }

    /// Whether other threads may wake the driver. If they may not (the default), waiting for ever with
    /// nothing on the agenda is an error, `Deadlock`, instead of a test that hangs.
    pub fn expect_threads(&self, expected: bool) {
        self.0.world().threads = expected;
    }

    /// Virtual time since some beginning.
    pub fn now(&self) -> Duration {
        self.0.world().now()
    }

    /// Lets time pass, and what is on the agenda happen.
    pub fn advance(&self, time: Duration) {
        let mut world = self.0.world();
        let deadline = world.now() + time;
        while world.pass_time(Some(deadline)) {}
    }
}

/// The far end of a connection. No faults strike it, but it shares the fate of its connection. Dropping it
/// closes it.
#[derive(Debug)]
pub struct Peer {
    shared: Arc<Shared>,
    end: EndId,
}

impl Peer {
    /// Sends what the connection has room for.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.world().deliver(self.end, bytes, usize::MAX)
    }

    /// Receives everything that is there: empty at the end of the stream, `WouldBlock` before it.
    pub fn receive(&self) -> io::Result<Vec<u8>> {
        self.receive_some(usize::MAX)
    }

    /// Receives at most `most` bytes.
    pub fn receive_some(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut world = self.shared.world();
        let mut bytes = vec![0; world.available(self.end).min(most)];
        let n = world.take(self.end, &mut bytes)?;
        bytes.truncate(n);
        Ok(bytes)
    }

    /// Tells the other end that nothing more will be sent.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.shared.world().shut_end(self.end)
    }

    /// Breaks the connection.
    pub fn reset(&self) {
        self.shared.world().reset_end(self.end);
    }

    /// Sends after a virtual delay; what does not fit then is lost.
    pub fn send_after(&self, delay: Duration, bytes: &[u8]) {
        self.shared.world().schedule(delay, self.end, bytes.to_vec());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.world().close_end(self.end);
    }
}
