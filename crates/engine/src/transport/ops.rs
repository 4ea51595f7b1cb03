//! [`Ops`]: how a state machine reaches the kernel.

use std::io;

use yibu_driver::{Driver, Op, OpId};

/// How a state machine reaches the kernel. The embedder's implementation records the owner of each operation;
/// that of a bare driver, for tests, records nothing.
pub trait Ops {
    /// For system calls that happen at once.
    fn driver(&mut self) -> &mut Driver;

    /// Arms an operation for the machine that asks.
    fn submit(&mut self, op: Op) -> io::Result<OpId>;

    /// Ends an operation of the machine that asks.
    fn cancel(&mut self, id: OpId);
}

impl Ops for Driver {
    fn driver(&mut self) -> &mut Driver {
        self
    }

    fn submit(&mut self, op: Op) -> io::Result<OpId> {
        Self::submit(self, op)
    }

    fn cancel(&mut self, id: OpId) {
        Self::cancel(self, id);
    }
}
