//! A listening socket: `_start_serving` and `_accept_connection` of `asyncio.selector_events`, without what
//! is done with a connection. Called by yibu-python's server; calls the driver.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use yibu_driver::{Fd, Op, OpId, Outcome, SocketAddrAny};

use super::ops::Ops;

/// One step of a round of accepting.
#[derive(Debug)]
#[must_use = "dropping it closes the connection, or swallows an error"]
pub enum Accepting {
    /// A connection. Go on with [`Listener::accept_more`].
    Connection(OwnedFd, Option<SocketAddrAny>),
    /// The system is out of descriptors or memory. The listener rests: tell the exception handler, and call
    /// [`Listener::start`] after asyncio's `ACCEPT_RETRY_DELAY`. Resting is what keeps this to one report in
    /// that time.
    OutOfResources(io::Error),
    /// Raise from the callback that is running. The listener goes on.
    Failed(io::Error),
}

/// What the exception handler is told with [`Accepting::OutOfResources`].
pub const OUT_OF_RESOURCES: &str = "socket.accept() out of system resource";

/// After this many rounds with one connection each, only one round in as many tries to accept a second
/// connection.
const LONELY: u32 = 8;

/// One listening socket. The embedder keeps the descriptor open until [`Listener::stop`].
#[derive(Debug)]
pub struct Listener {
    fd: Fd,
    per_round: usize,
    left: usize,
    /// The number of connections of this round.
    taken: usize,
    /// Rounds with no more than one connection since the last one with several.
    lonely: u32,
    op: Option<OpId>,
    stopped: bool,
}

impl Listener {
    /// A listener that accepts at most `per_round` connections before the loop runs other entries (asyncio:
    /// as many as the backlog holds). It does not accept yet.
    pub fn new(fd: Fd, per_round: usize) -> Self {
        Self { fd, per_round: per_round.max(1), left: 0, taken: 0, lonely: 0, op: None, stopped: false }
    }

    /// The descriptor.
    pub const fn fd(&self) -> Fd {
        self.fd
    }

    /// The armed operation; none while resting or stopped.
    pub const fn op(&self) -> Option<OpId> {
        self.op
    }

    /// Starts accepting, or does so again after a rest. Nothing happens when it accepts already, or was
    /// stopped.
    pub fn start(&mut self, ops: &mut impl Ops) -> io::Result<()> {
        if self.op.is_none() && !self.stopped {
            self.op = Some(ops.submit(Op::Accept { fd: self.fd })?);
        }
        Ok(())
    }

    /// Stops for good.
    pub fn stop(&mut self, ops: &mut impl Ops) {
        self.stopped = true;
        self.rest(ops);
    }

    /// Takes an outcome of its operation, which begins a round.
    pub fn on_outcome(&mut self, ops: &mut impl Ops, outcome: Outcome) -> Option<Accepting> {
        self.left = self.per_round;
        self.lonely = if self.taken > 1 { 0 } else { self.lonely.saturating_add(1) };
        self.taken = 0;
        self.step(ops, outcome)
    }

    /// Goes on with the round; `None` ends it. Connections beyond it are reported at the next wait.
    ///
    /// Where connections come one at a time, most rounds do not try to accept a second one.
    pub fn accept_more(&mut self, ops: &mut impl Ops) -> Option<Accepting> {
        if self.left == 0 || (self.lonely >= LONELY && !self.lonely.is_multiple_of(LONELY)) {
            return None;
        }
        let outcome = ops.driver().finish(self.op?)?;
        self.step(ops, outcome)
    }

    fn step(&mut self, ops: &mut impl Ops, outcome: Outcome) -> Option<Accepting> {
        match outcome {
            Outcome::Accepted(socket, address) => {
                self.left = self.left.saturating_sub(1);
                self.taken += 1;
                Some(Accepting::Connection(socket, address))
            }
            Outcome::Failed(error) => {
                // A failed operation is over.
                self.rest(ops);
                if is_out_of_resources(&error) {
                    return Some(Accepting::OutOfResources(error));
                }
                Some(Accepting::Failed(self.start(ops).err().unwrap_or(error)))
            }
            _ => None,
        }
    }

    /// Accepts nothing more until it is started again.
    pub fn rest(&mut self, ops: &mut impl Ops) {
        self.left = 0;
        if let Some(id) = self.op.take() {
            ops.cancel(id);
        }
    }
}

fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}
