//! [`Corks`]: the transports of a loop whose writes wait for the end of the entry that the loop runs.
//!
//! Filled by `writing`, emptied by the loop's turn.

use std::cell::Cell;

use pyo3::prelude::*;

use super::{SocketTransport, writing};
use crate::event_loop::EventLoop;
use crate::ffi::{LoopCell, Obj, Ref};
use crate::upcall;

/// A loop's corked transports.
#[derive(Default)]
pub struct Corks {
    open: Cell<bool>,
    entry: Cell<u64>,
    filled: Cell<bool>,
    transports: LoopCell<Vec<Ref<SocketTransport>>>,
}

impl Corks {
    /// Whether writes may wait: an entry is running, at whose end they will be sent.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// The number of the entry that runs, counted from 1.
    #[inline]
    pub fn entry(&self) -> u64 {
        self.entry.get()
    }

    /// An entry begins.
    #[inline]
    pub fn open(&self) {
        self.entry.set(self.entry.get() + 1);
        self.open.set(true);
    }

    /// A transport has something to send.
    pub fn push(&self, transport: Ref<SocketTransport>) {
        self.filled.set(true);
        self.transports.with(|transports| transports.push(transport));
    }

    /// The entry has ended. Whether there is something to [`send`](Self::send).
    #[inline]
    pub fn shut(&self) -> bool {
        self.open.set(false);
        self.filled.get()
    }

    /// Sends everything. Failures are reported; only what must leave the loop comes out.
    pub fn send(&self, event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
        self.filled.set(false);
        let mut transports = self.transports.with(std::mem::take);
        let mut result = Ok(());
        for transport in transports.drain(..) {
            let transport = transport.into_obj(event_loop.py());
            let sent =
                writing::uncork(&transport).or_else(|error| upcall::report(event_loop, &transport, error));
            result = result.and(sent);
        }
        // The memory serves the next entry.
        self.transports.with(|slot| {
            if slot.is_empty() {
                std::mem::swap(slot, &mut transports);
            }
        });
        result
    }
}
