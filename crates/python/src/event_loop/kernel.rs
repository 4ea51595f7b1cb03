//! The way of the engine's transport machines to the kernel. Used by transports and acceptors, which own what they submit.

use std::io;

use yibu_engine::transport::Ops;
use yibu_engine::{Driver, Op, OpId};

use super::{Engine, EventLoop, Owner};

/// A machine's operations are submitted for the owner that `owner` makes.
pub struct Kernel<'a> {
    engine: &'a mut Engine,
    closed: bool,
    owner: &'a dyn Fn() -> Owner,
}

impl Kernel<'_> {
    /// Lets `f` act on the kernel of `event_loop`, which is borrowed meanwhile: `f` must not call Python.
    #[inline]
    pub fn with<R>(
        event_loop: &EventLoop,
        owner: &dyn Fn() -> Owner,
        f: impl FnOnce(&mut Kernel<'_>) -> R,
    ) -> R {
        let closed = event_loop.is_closed();
        event_loop.engine.with(|engine| f(&mut Kernel { engine, closed, owner }))
    }
}

impl Ops for Kernel<'_> {
    #[inline]
    fn driver(&mut self) -> &mut Driver {
        &mut self.engine.driver
    }

    fn submit(&mut self, op: Op) -> io::Result<OpId> {
        if self.closed {
            return Err(io::Error::other("the loop is closed"));
        }
        // An owner that comes back is one more reference to an object that the caller holds: dropping it runs nothing.
        self.engine.submit(op, (self.owner)()).map_err(|(error, _owner)| error)
    }

    fn cancel(&mut self, id: OpId) {
        // As in `submit`.
        drop(self.engine.cancel(id));
    }
}
