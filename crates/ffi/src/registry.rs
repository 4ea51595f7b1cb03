//! [`Registry`]: all living objects of one kind, without keeping them alive. It stands in for a `WeakSet`.
//!
//! An object registers when it comes to life and holds a [`Registration`], which takes it out when the object is done or freed.

use std::cell::{Cell, UnsafeCell};

use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use yibu_driver::memory::MakeRoom;

use crate::class::definition::Class;
use crate::class::object::Obj;

/// What is at one index.
enum Place {
    Object(*mut ffi::PyObject),
    /// Nothing; the index of the next such place.
    Free(usize),
}

struct Places {
    all: Vec<Place>,
    /// Beyond the end when none is free.
    first_free: usize,
}

/// The registered objects.
pub struct Registry(UnsafeCell<Places>);

// SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it uses the GIL).
unsafe impl Sync for Registry {}

impl Registry {
    /// An empty registry.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Places { all: Vec::new(), first_free: usize::MAX }))
    }

    #[expect(clippy::mut_from_ref, reason = "an UnsafeCell's content; see the note inside")]
    fn places(&self) -> &mut Places {
        // SAFETY: the callers below use the reference for one operation, which runs no Python code.
        unsafe { &mut *self.0.get() }
    }

    /// Strong references to all registered objects of class `T`.
    pub fn living<'py, T: Class>(&self, py: Python<'py>) -> Vec<Obj<'py, T>> {
        let objects = self.places().all.iter().filter_map(|place| match place {
            Place::Object(object) => Some(*object),
            Place::Free(_) => None,
        });
        objects
            // An object in the middle of its deallocation has no references left and must not get new ones.
            // SAFETY: a registered object's memory is valid until its Registration is dropped with its data.
            .filter(|object| unsafe { ffi::Py_REFCNT(*object) } > 0)
            // SAFETY: as above; `enter` takes objects of the registry's one class.
            .map(|object| unsafe { Obj::from_any_unchecked(Bound::from_borrowed_ptr(py, object)) })
            .collect()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

/// An object's place in a registry; empty until [`Registration::enter`].
#[derive(Default)]
pub struct Registration(Cell<Option<(&'static Registry, usize)>>);

impl Registration {
    /// Registers the object that holds this registration.
    pub fn enter<T: Class>(&self, registry: &'static Registry, object: &Obj<'_, T>) -> PyResult<()> {
        self.leave();
        let places = registry.places();
        let (index, object) = (places.first_free, Place::Object(object.as_any().as_ptr()));
        if let Some(place) = places.all.get_mut(index) {
            if let Place::Free(next) = std::mem::replace(place, object) {
                places.first_free = next;
            }
            self.0.set(Some((registry, index)));
        } else if places.all.make_room(1) {
            self.0.set(Some((registry, places.all.len())));
            places.all.push(object);
        } else {
            return Err(PyMemoryError::new_err(()));
        }
        Ok(())
    }

    /// Takes the object out.
    pub fn leave(&self) {
        if let Some((registry, index)) = self.0.take() {
            let places = registry.places();
            if let Some(place) = places.all.get_mut(index) {
                *place = Place::Free(std::mem::replace(&mut places.first_free, index));
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.leave();
    }
}
