//! [`Watched`]: the watcher of each side of each descriptor. A side has one watcher, and a new watcher replaces it, as in
//! `asyncio.selector_events`.
//!
//! The kernel's part is the engine's operations; the table here finds an operation by descriptor. It may name operations that have ended
//! since: to find out whether one has ended, ask the engine to cancel it. Called by the loop's `add_reader`,
//! `remove_reader`, `add_writer` and `remove_writer`, by signals, by waits for a socket of the program's, and by transports, whose
//! reading takes a watcher's place.

use std::collections::{HashMap, TryReserveError};

use pyo3::prelude::*;
use yibu_driver::memory::MakeRoom;
use yibu_engine::{Fd, Interest, Op, OpId};

use super::event_loop::EventLoop;
use super::operation::Owner;
use super::overridden::Overrides;
use super::parts::Part;
use crate::errors;
use crate::ffi::{Obj, Ref, Visitor};

/// The watched descriptors of a loop.
#[derive(Default)]
pub struct Watched {
    /// By descriptor: the operations on its read side and on its write side.
    sides: Vec<[Option<OpId>; 2]>,
    /// The objects that were given instead of a number: they are recognised after they were closed.
    objects: HashMap<Fd, Ref>,
}

impl Watched {
    /// Only for a descriptor that the kernel has accepted: it is open, so the table stays small.
    fn put(&mut self, fd: Fd, interest: Interest, id: OpId) -> Result<(), TryReserveError> {
        let index = fd.unsigned_abs() as usize;
        if let Some(missing) = (index + 1).checked_sub(self.sides.len()) {
            self.sides.try_reserve(missing)?;
            self.sides.resize(index.max(self.sides.len().saturating_sub(1)) + 1, [None, None]);
        }
        self.sides[index][interest as usize] = Some(id);
        Ok(())
    }

    fn take(&mut self, fd: Fd, interest: Interest) -> Option<OpId> {
        self.sides.get_mut(usize::try_from(fd).ok()?)?[interest as usize].take()
    }

    /// Takes out the object of a descriptor that has no watcher any more.
    fn forget_object(&mut self, fd: Fd) -> Option<Ref> {
        let watched = usize::try_from(fd).ok().and_then(|fd| self.sides.get(fd));
        if watched.is_some_and(|sides| sides.iter().any(Option::is_some)) {
            return None;
        }
        self.objects.remove(&fd)
    }
}

impl Part for Watched {
    fn traverse(&self, visitor: &mut Visitor) {
        self.objects.values().for_each(|object| visitor.visit(object.as_ptr()));
    }
}

/// Makes `owner` the watcher of one side of a descriptor. If the watcher before was a Handle, it is cancelled; if it was a Rust
/// future, that future stays pending until it is dropped.
pub fn watch(event_loop: &Obj<'_, EventLoop>, fd: Fd, interest: Interest, owner: Owner) -> PyResult<OpId> {
    if matches!(owner, Owner::Future(_)) {
        event_loop.refuse_other_watching()?;
    }
    let before = event_loop.parts.with(|watched: &mut Watched| watched.take(fd, interest));
    let replaced = before.and_then(|id| event_loop.engine.with(|engine| engine.cancel(id)));
    let submitted = event_loop.engine.with(|engine| engine.submit(Op::Poll { fd, interest }, owner));
    let submitted = match submitted {
        Ok(id) => match event_loop.parts.with(|watched: &mut Watched| watched.put(fd, interest, id)) {
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
    let (id, object) = event_loop.parts.with(|watched: &mut Watched| {
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
    errors::room(event_loop.parts.with(|watched: &mut Watched| watched.objects.make_room(1)))?;
    let former = event_loop.parts.with(|watched: &mut Watched| watched.objects.insert(fd, object));
    drop(former);
    Ok(())
}

/// The number in whose place an object was given.
pub fn remembered_number(event_loop: &Obj<'_, EventLoop>, object: &Bound<'_, PyAny>) -> Option<Fd> {
    event_loop.parts.with(|watched: &mut Watched| {
        watched.objects.iter().find(|(_, given)| given.as_ptr() == object.as_ptr()).map(|(fd, _)| *fd)
    })
}
