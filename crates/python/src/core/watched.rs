//! The watcher of each side of each descriptor. A side has one watcher, and a new watcher replaces it, as in
//! `asyncio.selector_events`.
//!
//! The kernel's part is the engine's operations; the table ([`Watched`]) finds an operation by descriptor. It
//! may name operations that have ended since: to find out whether one has ended, ask the engine to cancel it.
//! Called by the loop's `add_reader`, `remove_reader`, `add_writer` and `remove_writer`, by signals, by waits
//! for a socket of the program's, and by transports, whose reading takes a watcher's place.

mod table;

use pyo3::prelude::*;
use yibu_engine::{Fd, Interest, Op, OpId};

pub use self::table::Watched;

use super::event_loop::EventLoop;
use super::operation::Owner;
use super::overridden::Overrides;
use crate::errors;
use crate::ffi::{Obj, Ref};

/// Makes `owner` the watcher of one side of a descriptor. If the watcher before was a Handle, it is
/// cancelled; if it was a Rust future, that future stays pending until it is dropped.
pub fn watch(event_loop: &Obj<'_, EventLoop>, fd: Fd, interest: Interest, owner: Owner) -> PyResult<OpId> {
    if matches!(owner, Owner::Future(_)) {
        event_loop.refuse_other_watching()?;
    }
    let before = event_loop.watched.with(|watched| watched.take(fd, interest));
    let replaced = before.and_then(|id| event_loop.engine.with(|engine| engine.cancel(id)));
    let submitted = event_loop.engine.with(|engine| engine.submit(Op::Poll { fd, interest }, owner));
    let submitted = match submitted {
        Ok(id) => match event_loop.watched.with(|watched| watched.put(fd, interest, id)) {
            Ok(()) => Ok(id),
            Err(_) => {
                drop(event_loop.engine.with(|engine| engine.cancel(id)));
                Err(errors::no_memory())
            }
        },
        Err((error, _owner)) => Err(errors::os_error(&error)),
    };
    replaced.map_or(Ok(()), |owner| owner.replaced(event_loop.py()))?;
    submitted
}

/// Removes the watcher of a side. Returns whether there was one.
pub fn unwatch(event_loop: &Obj<'_, EventLoop>, fd: Fd, interest: Interest) -> PyResult<bool> {
    let (id, object) = event_loop.watched.with(|watched| {
        let id = watched.take(fd, interest);
        (id, watched.forget_object(fd))
    });
    drop(object);
    let owner = id.and_then(|id| event_loop.engine.with(|engine| engine.cancel(id)));
    let watched = owner.is_some();
    owner.map_or(Ok(()), |owner| owner.replaced(event_loop.py()))?;
    Ok(watched)
}

/// An object was given in the place of a descriptor's number.
pub fn remember_object(event_loop: &Obj<'_, EventLoop>, fd: Fd, object: Bound<'_, PyAny>) -> PyResult<()> {
    let object = Ref::new(object);
    let former = event_loop.watched.with(|watched| watched.put_object(fd, object));
    former.map(drop).map_err(|_refused| errors::no_memory())
}

/// The number in whose place an object was given.
pub fn remembered_number(event_loop: &Obj<'_, EventLoop>, object: &Bound<'_, PyAny>) -> Option<Fd> {
    event_loop.watched.with(|watched| watched.number_of(object))
}
