//! What the obligations are tested with: a driver, and connections made the way that driver's kernel makes
//! them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::pipe::PipeFlags;
use yibu_driver::{Driver, Fd, OpId, Outcome, Peer, SimNet};

/// Longer than anything here takes; on the virtual clock it passes at once.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Rig {
    pub driver: Driver,
    pub net: Option<SimNet>,
}

/// The far end of a connection, which the driver knows nothing about.
pub enum Far {
    Socket(TcpStream),
    Sim(Peer),
}

impl Rig {
    pub fn epoll() -> Self {
        Self { driver: Driver::epoll(), net: None }
    }

    /// On io_uring, whose streams are the driver's alone; `None` where the kernel has none.
    pub fn io_uring() -> Option<Self> {
        match Driver::io_uring() {
            Ok(driver) => Some(Self { driver, net: None }),
            Err(error) => {
                eprintln!("not tested on io_uring: {error}");
                None
            }
        }
    }

    pub fn sim() -> Self {
        let (driver, net) = Driver::sim(7);
        Self { driver, net: Some(net) }
    }

    pub fn stream(&mut self) -> io::Result<(OwnedFd, Far)> {
        match &self.net {
            Some(net) => net.stream().map(|(fd, peer)| (fd, Far::Sim(peer))),
            None => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                let far = TcpStream::connect(listener.local_addr()?)?;
                let (near, _) = listener.accept()?;
                near.set_nonblocking(true)?;
                far.set_nodelay(true)?;
                self.driver.entrust(near.as_raw_fd());
                Ok((near.into(), Far::Socket(far)))
            }
        }
    }

    /// The reading and the writing end of a pipe.
    pub fn pipe(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        match &self.net {
            Some(net) => net.pair(),
            None => Ok(rustix::pipe::pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?),
        }
    }

    /// Two datagram sockets: the second one is connected with the first.
    pub fn datagrams(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        match &self.net {
            Some(net) => {
                let (near, port) = net.datagrams(None)?;
                Ok((near, net.datagrams(Some(port))?.0))
            }
            None => {
                let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
                far.connect(near.local_addr()?)?;
                Ok((near.into(), far.into()))
            }
        }
    }

    /// Closes a descriptor and gives its number to a new stream at once.
    pub fn reuse_number(&mut self, fd: &mut OwnedFd) -> io::Result<Far> {
        match &self.net {
            Some(net) => Ok(Far::Sim(net.reuse_number(fd))),
            None => {
                let (new, far) = self.stream()?;
                self.driver.share(new.as_raw_fd());
                self.driver.share(fd.as_raw_fd());
                rustix::io::dup3(&new, fd, rustix::io::DupFlags::CLOEXEC)?;
                Ok(far)
            }
        }
    }

    pub fn listen(&self) -> io::Result<OwnedFd> {
        match &self.net {
            Some(net) => net.listen(16),
            None => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                listener.set_nonblocking(true)?;
                Ok(listener.into())
            }
        }
    }

    pub fn connect(&self, listener: &OwnedFd) -> io::Result<Far> {
        match &self.net {
            Some(net) => net.connect(listener.as_raw_fd()).map(Far::Sim),
            None => {
                let listener = TcpListener::from(listener.try_clone()?);
                Ok(Far::Socket(TcpStream::connect(listener.local_addr()?)?))
            }
        }
    }

    /// One wait that may block.
    pub fn wait(&mut self) -> io::Result<Vec<OpId>> {
        self.block(Some(PATIENCE))
    }

    /// Waits until one wait reports all of these operations, and says what it reported.
    pub fn wait_until(&mut self, expected: &[OpId]) -> io::Result<Vec<OpId>> {
        let limit = Instant::now() + PATIENCE;
        let mut reported = self.wait()?;
        while !expected.iter().all(|id| reported.contains(id)) {
            if Instant::now() > limit {
                return Err(io::Error::other(format!("{expected:?} expected, not {reported:?}")));
            }
            reported = self.wait()?;
        }
        Ok(reported)
    }

    /// One wait of a chosen length.
    pub fn wait_for(&mut self, timeout: Duration) -> io::Result<Vec<OpId>> {
        self.block(Some(timeout))
    }

    /// One wait that something has to end.
    pub fn wait_for_ever(&mut self) -> io::Result<Vec<OpId>> {
        self.block(None)
    }

    fn block(&mut self, timeout: Option<Duration>) -> io::Result<Vec<OpId>> {
        let mut ready = Vec::new();
        let mut wait = self.driver.begin_wait()?;
        let blocked = wait.block(timeout);
        self.driver.end_wait(wait, &mut ready)?;
        blocked.map(|()| ready)
    }

    /// One wait that does not.
    pub fn poll(&mut self) -> io::Result<Vec<OpId>> {
        let mut ready = Vec::new();
        self.driver.poll_now(&mut ready)?;
        Ok(ready)
    }

    /// The bytes that an operation received, with their buffer given back.
    pub fn receive(&mut self, id: OpId) -> io::Result<Vec<u8>> {
        match self.driver.finish(id) {
            Some(Outcome::Bytes(lease)) => {
                let bytes = self.driver.bytes(&lease).to_vec();
                self.driver.recycle(lease);
                Ok(bytes)
            }
            other => Err(io::Error::other(format!("bytes expected, not {other:?}"))),
        }
    }

    /// Fills a connection until its socket takes no more.
    pub fn fill(&mut self, fd: Fd) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            match self.driver.send(fd, &[7; 65536]) {
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(filled),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Far {
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Socket(socket) => socket.write_all(bytes),
            Self::Sim(peer) => peer.send(bytes).map(|n| assert_eq!(n, bytes.len())),
        }
    }

    pub fn receive_exactly(&mut self, n: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Socket(socket) => {
                let mut bytes = vec![0; n];
                socket.read_exact(&mut bytes)?;
                Ok(bytes)
            }
            Self::Sim(peer) => peer.receive_some(n),
        }
    }

    pub fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Socket(socket) => socket.shutdown(Shutdown::Write),
            Self::Sim(peer) => peer.shutdown_write(),
        }
    }

    /// Breaks the connection: closing with bytes unread is answered with a reset.
    pub fn reset(self) {
        match self {
            Self::Socket(socket) => drop(socket),
            Self::Sim(peer) => peer.reset(),
        }
    }
}
