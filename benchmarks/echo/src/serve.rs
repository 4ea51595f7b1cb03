//! The floor: an echo server with nothing between it and the kernel.
//!
//! One thread, level-triggered epoll, one `recv` into one buffer shared by all connections, the answer sent at
//! once, and write interest only while the kernel's send buffer is full. Started by `main.rs`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

use crate::phase;

const RECEIVE_BYTES: usize = 256 * 1024;
const EVENTS: usize = 1024;
const LISTENER: u64 = u64::MAX;

struct Connection {
    stream: TcpStream,
    /// What the kernel would not take yet. While it is not empty nothing is read.
    unsent: Vec<u8>,
}

struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    /// Slot numbers are what epoll carries; a closed connection leaves `None`, refilled from `free`.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    received: Box<[u8]>,
}

/// Serves until the process is killed.
pub fn serve() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // Listening again only raises the backlog above the 128 that the standard library asks for.
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    phase::announce(&format!("port {}", listener.local_addr()?.port()))?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let received = vec![0; RECEIVE_BYTES].into_boxed_slice();
    Server { epoll, listener, connections: Vec::new(), free: Vec::new(), received }.run()
}

impl Server {
    fn run(&mut self) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    slot => self.echo(slot as usize)?,
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            epoll::add(&self.epoll, &stream, EventData::new_u64(slot as u64), EventFlags::IN)?;
            self.connections[slot] = Some(Connection { stream, unsent: Vec::new() });
        }
    }

    fn echo(&mut self, slot: usize) -> io::Result<()> {
        let Some(connection) = self.connections[slot].as_mut() else { return Ok(()) };
        let was_full = !connection.unsent.is_empty();
        let open = if was_full { connection.flush() } else { connection.answer(&mut self.received) };
        match open {
            Ok(true) => {
                let is_full = !connection.unsent.is_empty();
                if is_full != was_full {
                    let interest = if is_full { EventFlags::OUT } else { EventFlags::IN };
                    epoll::modify(
                        &self.epoll,
                        &connection.stream,
                        EventData::new_u64(slot as u64),
                        interest,
                    )?;
                }
            }
            // Closing the descriptor takes it out of the epoll set too.
            Ok(false) | Err(_) => {
                self.connections[slot] = None;
                self.free.push(slot);
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Receives once and sends it back; false at the end of the stream.
    fn answer(&mut self, received: &mut [u8]) -> io::Result<bool> {
        let length = match self.stream.read(received) {
            Ok(0) => return Ok(false),
            Ok(length) => length,
            Err(error) if is_transient(&error) => return Ok(true),
            Err(error) => return Err(error),
        };
        let sent = match self.stream.write(&received[..length]) {
            Ok(sent) => sent,
            Err(error) if is_transient(&error) => 0,
            Err(error) => return Err(error),
        };
        self.unsent.extend_from_slice(&received[sent..length]);
        Ok(true)
    }

    /// Sends more of what was left over.
    fn flush(&mut self) -> io::Result<bool> {
        match self.stream.write(&self.unsent) {
            Ok(sent) => {
                self.unsent.drain(..sent);
            }
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
