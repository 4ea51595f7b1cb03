//! [`Watched`], the table that [`super`] keeps in a loop: which operation watches which side of which
//! descriptor.
//!
//! Called by [`super`] and by the loop's data, which drops it and shows it to the collector.

use std::collections::{HashMap, TryReserveError};

use pyo3::prelude::*;
use yibu_driver::memory::MakeRoom;
use yibu_engine::{Fd, Interest, OpId};

use crate::ffi::{Ref, Visitor};

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
    pub(super) fn put(&mut self, fd: Fd, interest: Interest, id: OpId) -> Result<(), TryReserveError> {
        let index = fd.unsigned_abs() as usize;
        if let Some(missing) = (index + 1).checked_sub(self.sides.len()) {
            self.sides.try_reserve(missing)?;
            self.sides.resize(index.max(self.sides.len().saturating_sub(1)) + 1, [None, None]);
        }
        self.sides[index][interest as usize] = Some(id);
        Ok(())
    }

    pub(super) fn take(&mut self, fd: Fd, interest: Interest) -> Option<OpId> {
        self.sides.get_mut(usize::try_from(fd).ok()?)?[interest as usize].take()
    }

    /// Takes out the object of a descriptor that has no watcher any more.
    pub(super) fn forget_object(&mut self, fd: Fd) -> Option<Ref> {
        let watched = usize::try_from(fd).ok().and_then(|fd| self.sides.get(fd));
        if watched.is_some_and(|sides| sides.iter().any(Option::is_some)) {
            return None;
        }
        // A look-up computes a hash also in an empty table, and most programs give numbers.
        if self.objects.is_empty() { None } else { self.objects.remove(&fd) }
    }

    /// An object was given in the place of the number `fd`. Returns the object that was given before, to be
    /// dropped.
    pub(super) fn put_object(&mut self, fd: Fd, object: Ref) -> Result<Option<Ref>, Ref> {
        if !self.objects.make_room(1) {
            return Err(object);
        }
        Ok(self.objects.insert(fd, object))
    }

    /// The number in whose place an object was given.
    pub(super) fn number_of(&self, object: &Bound<'_, PyAny>) -> Option<Fd> {
        self.objects.iter().find(|(_, given)| given.as_ptr() == object.as_ptr()).map(|(fd, _)| *fd)
    }

    /// Shows every object to the collector.
    pub(in crate::core) fn traverse(&self, visitor: &mut Visitor) {
        self.objects.values().for_each(|object| visitor.visit(object.as_ptr()));
    }
}
