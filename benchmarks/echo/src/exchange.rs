//! The echo load: many connections, each sending a batch of messages and waiting until all have come back.
//!
//! The number of messages is fixed, not the time, so that every server does the same work. Every byte that
//! comes back is compared with what was sent. Started by `main.rs`; says where it is through `phase.rs`.

use std::io::{self, ErrorKind};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::message::Message;
use crate::options::Options;
use crate::phase;

const RECEIVE_BYTES: usize = 256 * 1024;
const EVENTS: usize = 1024;

struct Connection {
    stream: OwnedFd,
    /// How much of the batch has gone out and has come back.
    sent: usize,
    received: usize,
    /// Whether epoll is asked for room to write.
    wants_room: bool,
}

/// The connections, and what goes over them.
pub struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// One batch as it goes over the wire. Byte `i` of every batch is the same, so one copy serves all.
    batch: Box<[u8]>,
    /// Messages in a batch.
    depth: usize,
    buffer: Box<[u8]>,
}

/// Connects, warms up, waits, exchanges the messages that are measured, waits, and leaves.
pub fn exchange(message: Message, options: &Options) -> io::Result<()> {
    let mut load = Load::connect(message, options)?;
    load.run(options.number("warmup")?)?;
    phase::pause("ready")?;
    let messages = load.run(options.number("messages")?)?;
    phase::pause(&format!("done {messages}"))
}

impl Load {
    /// Opens all connections.
    pub fn connect(message: Message, options: &Options) -> io::Result<Self> {
        let depth = options.number("depth")?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut connections = Vec::new();
        for slot in 0..options.number("connections")? {
            let stream = options.connect()?;
            rustix::io::ioctl_fionbio(&stream, true)?;
            epoll::add(&epoll, &stream, EventData::new_u64(slot as u64), EventFlags::IN)?;
            connections.push(Connection { stream, sent: 0, received: 0, wants_room: false });
        }
        let batch = message.batch(options.number("size")?, depth);
        let buffer = vec![0; RECEIVE_BYTES].into_boxed_slice();
        Ok(Self { epoll, connections, batch, depth, buffer })
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Exchanges at least `messages` messages, rounded up to whole batches, and says how many it were.
    pub fn run(&mut self, messages: usize) -> io::Result<usize> {
        let batches = messages.div_ceil(self.depth);
        let mut unstarted = batches;
        let mut unfinished = batches;
        for slot in 0..self.connections.len().min(batches) {
            unstarted -= 1;
            self.begin(slot)?;
        }
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let mut complete = Vec::new();
        while unfinished > 0 {
            self.wait(&mut events, None, &mut complete)?;
            for slot in complete.drain(..) {
                unfinished -= 1;
                if unstarted > 0 {
                    unstarted -= 1;
                    self.begin(slot)?;
                }
            }
        }
        Ok(batches * self.depth)
    }

    /// Waits, sends and receives what can be, and appends the connections whose batch has come back.
    pub fn wait(
        &mut self,
        events: &mut Vec<Event>,
        timeout: Option<&Timespec>,
        complete: &mut Vec<usize>,
    ) -> io::Result<()> {
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), timeout) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in events {
            // Copied out of the packed record that the kernel filled.
            let (flags, slot) = (event.flags, event.data.u64() as usize);
            if flags.contains(EventFlags::OUT) {
                self.send(slot)?;
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) && self.receive(slot)? {
                complete.push(slot);
            }
        }
        Ok(())
    }

    /// Sends a batch on a connection on which none is under way.
    pub fn begin(&mut self, slot: usize) -> io::Result<()> {
        self.connections[slot].sent = 0;
        self.connections[slot].received = 0;
        self.send(slot)
    }

    /// Sends what the kernel takes of the batch, and asks for room when it does not take it all.
    fn send(&mut self, slot: usize) -> io::Result<()> {
        let connection = &mut self.connections[slot];
        match rustix::io::write(&connection.stream, &self.batch[connection.sent..]) {
            Ok(length) => connection.sent += length,
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        let wants_room = connection.sent < self.batch.len();
        if wants_room != connection.wants_room {
            connection.wants_room = wants_room;
            let interest = if wants_room { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(&self.epoll, &connection.stream, EventData::new_u64(slot as u64), interest)?;
        }
        Ok(())
    }

    /// Receives once; true when that completed the batch.
    fn receive(&mut self, slot: usize) -> io::Result<bool> {
        let connection = &mut self.connections[slot];
        let length = match rustix::io::read(&connection.stream, &mut *self.buffer) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed a connection")),
            Ok(length) => length,
            Err(Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let expected = self.batch.get(connection.received..connection.received + length);
        if expected != Some(&self.buffer[..length]) {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "the server did not send back what it was sent",
            ));
        }
        connection.received += length;
        Ok(connection.received == self.batch.len())
    }
}
