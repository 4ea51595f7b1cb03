//! Datagrams: the load of sockets that each send a batch and wait until all of it has come back, and the floor for servers.
//!
//! The number of messages is fixed, not the time, so that every server does the same work. Every byte that comes back is
//! compared with what was sent, and a datagram that does not come back is an error: batches are small enough for the buffers of
//! the kernel. Started by `main.rs`; says where it is through `phase.rs`.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

use crate::options::Options;
use crate::phase;

const RECEIVE_BYTES: usize = 64 * 1024;
const EVENTS: usize = 1024;
/// What has not come back by then is lost.
const PATIENCE: Duration = Duration::from_secs(10);

struct Peer {
    socket: UdpSocket,
    /// How many datagrams of the batch are still out.
    missing: usize,
}

struct Load {
    epoll: OwnedFd,
    peers: Vec<Peer>,
    message: Box<[u8]>,
    /// Datagrams in a batch.
    depth: usize,
    buffer: Box<[u8]>,
}

/// Makes the sockets, warms up, waits, exchanges the messages that are measured, waits, and leaves.
pub fn exchange(options: &Options) -> io::Result<()> {
    let (server, depth) = (options.server()?, options.number("depth")?);
    let message: Box<[u8]> = (0..options.number("size")?).map(|index| (index % 251) as u8).collect();
    let buffer = vec![0; RECEIVE_BYTES].into_boxed_slice();
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut load = Load { epoll, peers: Vec::new(), message, depth, buffer };
    for slot in 0..options.number("connections")? {
        load.peers.push(load.greet(server, slot)?);
    }
    load.run(options.number("warmup")?)?;
    phase::pause("ready")?;
    let messages = load.run(options.number("messages")?)?;
    phase::pause(&format!("done {messages}"))
}

impl Load {
    /// A socket whose first datagram has come back: a server that serves one peer only knows it from then on.
    fn greet(&self, server: SocketAddr, slot: usize) -> io::Result<Peer> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(&self.message)?;
        let length = socket.recv(&mut vec![0; RECEIVE_BYTES])?;
        if length != self.message.len() {
            return Err(mismatch());
        }
        socket.set_nonblocking(true)?;
        epoll::add(&self.epoll, &socket, EventData::new_u64(slot as u64), EventFlags::IN)?;
        Ok(Peer { socket, missing: 0 })
    }

    /// Exchanges at least `messages` messages, rounded up to whole batches, and says how many it were.
    fn run(&mut self, messages: usize) -> io::Result<usize> {
        let batches = messages.div_ceil(self.depth);
        let (mut unstarted, mut unfinished) = (batches, batches);
        for slot in 0..self.peers.len().min(batches) {
            unstarted -= 1;
            self.begin(slot)?;
        }
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        while unfinished > 0 {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&patience)) {
                Ok(0) => return Err(io::Error::new(ErrorKind::TimedOut, "a datagram was lost")),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let slot = event.data.u64() as usize;
                if self.receive(slot)? {
                    unfinished -= 1;
                    if unstarted > 0 {
                        unstarted -= 1;
                        self.begin(slot)?;
                    }
                }
            }
        }
        Ok(batches * self.depth)
    }

    fn begin(&mut self, slot: usize) -> io::Result<()> {
        let peer = &mut self.peers[slot];
        peer.missing = self.depth;
        for _ in 0..self.depth {
            peer.socket.send(&self.message)?;
        }
        Ok(())
    }

    /// Receives what is there; true when that completed the batch.
    fn receive(&mut self, slot: usize) -> io::Result<bool> {
        let peer = &mut self.peers[slot];
        while peer.missing > 0 {
            let length = match peer.socket.recv(&mut self.buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            if self.buffer[..length] != *self.message {
                return Err(mismatch());
            }
            peer.missing -= 1;
        }
        Ok(true)
    }
}

fn mismatch() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the server did not send back what it was sent")
}

/// The floor: one thread, level-triggered epoll, one datagram received and sent back at a time. Serves until the process is
/// killed.
pub fn serve() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    phase::announce(&format!("port {}", socket.local_addr()?.port()))?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &socket, EventData::new_u64(0), EventFlags::IN)?;
    let mut received = vec![0; RECEIVE_BYTES];
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
    loop {
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match socket.recv_from(&mut received) {
            Ok((length, peer)) => socket.send_to(&received[..length], peer).map(drop)?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
