//! The simulated driver: sockets in memory, a virtual clock, and faults drawn from a seed, under the same
//! obligations as a real kernel. The loop and its transports are tested on it: a run is decided by its seed,
//! and sleeping takes no time.
//!
//! Called by [`Driver`](crate::Driver), [`Wait`](crate::Wait) and [`Waker`](crate::Waker); calls `world`,
//! which is the kernel here. The test holds [`SimNet`].

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::buffers::Buffers;
use crate::faults::Faults;
use crate::op::{Fd, Lease, Op, OpId, Outcome, SocketAddrAny, again_or_failed, at_most, received};

mod net;
mod world;

pub use net::{Peer, SimNet};
use world::World;

/// See the module.
#[derive(Debug)]
pub struct Sim {
    shared: Arc<Shared>,
    buffers: Buffers,
    /// As in the calls of the real driver.
    pub(crate) activity: Cell<bool>,
}

/// The world, and the bell that ends a wait in it.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    bell: Condvar,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        // A test that failed while it held the lock left nothing half done that later tests could see.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a `SendingFile`: the file is a real one.
    pub(crate) fn send_file(&self, socket: Fd, file: Fd, offset: u64, count: usize) -> io::Result<usize> {
        let mut world = self.world();
        let mut bytes = vec![0; count.min(world.capacity)];
        let there = rustix::io::pread(crate::sys::borrow(file)?, &mut bytes, offset)?;
        world.send(socket, &[IoSlice::new(&bytes[..there])])
    }

    /// For the waker.
    pub(crate) fn wake(&self) {
        self.world().woken = true;
        self.bell.notify_all();
    }
}

impl Sim {
    pub(crate) fn new(seed: u64) -> (Self, SimNet) {
        let shared = Arc::new(Shared { world: Mutex::new(World::new(seed)), bell: Condvar::new() });
        let net = SimNet(Arc::clone(&shared));
        (Self { shared, buffers: Buffers::default(), activity: Cell::new(false) }, net)
    }

    pub(crate) fn set_faults(&self, seed: u64, faults: Faults) {
        self.shared.world().set_faults(seed, faults);
    }

    pub(crate) fn submit(&self, op: Op) -> io::Result<OpId> {
        self.activity.set(true);
        let id = self.shared.world().submit(op)?;
        self.shared.bell.notify_all();
        Ok(id)
    }

    pub(crate) fn cancel(&self, id: OpId) -> bool {
        self.activity.set(true);
        self.shared.world().cancel(id)
    }

    pub(crate) fn alter(&self, id: OpId, op: Op) -> bool {
        self.shared.world().ops.alter(id, op)
    }

    pub(crate) fn is_watching(&self) -> bool {
        self.shared.world().ops.is_any_live()
    }

    pub(crate) fn is_live(&self, id: OpId) -> bool {
        self.shared.world().ops.get(id).is_some()
    }

    pub(crate) fn op(&self, id: OpId) -> Option<Op> {
        self.shared.world().ops.get(id)
    }

    pub(crate) fn watched(&self) -> Vec<(Fd, bool, bool)> {
        self.shared.world().watched()
    }

    pub(crate) fn finish(&mut self, id: OpId) -> Option<Outcome> {
        let mut world = self.shared.world();
        Some(match world.ops.get(id)? {
            Op::Poll { .. } => Outcome::Ready,
            // A simulated pipe is a stream.
            Op::Recv { fd } | Op::Read { fd } => received(self.buffers.fill(|buf| world.recv(fd, buf))),
            Op::RecvFrom { fd } => match self.buffers.fill_datagram(|buf| world.recv_from(fd, buf)) {
                Ok((lease, sender)) => Outcome::Datagram(lease, sender),
                Err(error) => again_or_failed(error),
            },
            Op::Accept { fd } => match world.accept(fd) {
                Ok((socket, address)) => Outcome::Accepted(socket, address),
                Err(error) => again_or_failed(error),
            },
        })
    }

    pub(crate) fn recv(&mut self, fd: Fd, max: usize) -> io::Result<Option<Lease>> {
        let mut world = self.shared.world();
        self.buffers.fill(|buf| world.recv(fd, at_most(buf, max)))
    }

    pub(crate) fn bytes(&self, lease: &Lease) -> &[u8] {
        self.buffers.bytes(lease)
    }

    pub(crate) fn recycle(&mut self, lease: Lease) {
        self.buffers.recycle(lease);
    }

    pub(crate) fn begin_wait(&self) -> SimWait {
        SimWait { shared: Arc::clone(&self.shared), events: Vec::new() }
    }

    pub(crate) fn end_wait(&self, wait: SimWait, ready: &mut Vec<OpId>) {
        if Arc::ptr_eq(&self.shared, &wait.shared) {
            self.shared.world().translate(&wait.events, ready);
        }
    }

    pub(crate) fn poll_now(&self, ready: &mut Vec<OpId>) {
        let mut world = self.shared.world();
        world.woken = false; // a wait that does not block may swallow a wake, so here it always does
        let events = world.events();
        world.translate(&events, ready);
    }

    /// For threads other than the driver's.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Whole milliseconds of virtual time.
    pub(crate) fn tick(&self) -> i64 {
        (self.now() * 1e3) as i64
    }

    pub(crate) fn now(&self) -> f64 {
        self.shared.world().now().as_nanos() as f64 / 1e9
    }

    pub(crate) fn send(&self, fd: Fd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.activity.set(true);
        self.shared.world().send(fd, bufs)
    }

    pub(crate) fn send_to(&self, fd: Fd, data: &[u8], address: Option<&SocketAddrAny>) -> io::Result<usize> {
        self.activity.set(true);
        self.shared.world().send_to(fd, data, address)
    }

    pub(crate) fn recv_into(&self, fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
        self.shared.world().recv(fd, buf)
    }

    pub(crate) fn shutdown_write(&self, fd: Fd) -> io::Result<()> {
        self.activity.set(true);
        self.shared.world().shutdown_write(fd)
    }

    pub(crate) fn close(&self, fd: OwnedFd) {
        self.activity.set(true);
        self.shared.world().close(fd.as_raw_fd());
        drop(fd); // only now may the number be given to another
    }

    pub(crate) fn after_fork_in_child(&self) {
        self.shared.world().forget_all();
    }
}

/// The blocking half of a simulated wait.
#[derive(Debug)]
pub(crate) struct SimWait {
    shared: Arc<Shared>,
    events: Vec<world::Event>,
}

impl SimWait {
    /// Lets virtual time pass until something is ready or the deadline has come.
    pub(crate) fn block(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut world = self.shared.world();
        let deadline = timeout.and_then(|timeout| world.now().checked_add(timeout));
        loop {
            self.events = world.events();
            if std::mem::take(&mut world.woken) || !self.events.is_empty() {
                return Ok(());
            }
            if world.pass_time(deadline) {
                continue;
            }
            if deadline.is_some() {
                return Ok(());
            }
            if !world.threads {
                return Err(io::Error::new(io::ErrorKind::Deadlock, "the simulation would wait for ever"));
            }
            world = self.shared.bell.wait(world).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
