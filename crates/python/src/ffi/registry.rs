//! [`Registry`]: all living objects of one kind, without keeping them alive. It stands in for a `WeakSet`.
//!
//! An object registers when it comes to life and holds a [`Registration`], which takes it out when the object is done or freed.

use std::cell::{Cell, UnsafeCell};

use pyo3::ffi;
use pyo3::prelude::*;
use slab::Slab;

use super::{Class, Obj};

/// The registered objects.
pub struct Registry(UnsafeCell<Slab<*mut ffi::PyObject>>);

// SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it uses the GIL).
unsafe impl Sync for Registry {}

impl Registry {
    /// An empty registry.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Slab::new()))
    }

    #[expect(clippy::mut_from_ref, reason = "an UnsafeCell's content; see the note inside")]
    fn slab(&self) -> &mut Slab<*mut ffi::PyObject> {
        // SAFETY: the callers below use the reference for one slab operation, which runs no Python code.
        unsafe { &mut *self.0.get() }
    }

    /// Strong references to all registered objects of class `T`.
    pub fn living<'py, T: Class>(&self, py: Python<'py>) -> Vec<Obj<'py, T>> {
        let slab = self.slab();
        slab.iter()
            .map(|(_, object)| *object)
            // An object in the middle of its deallocation has no references left and must not get new ones.
            // SAFETY: a registered object's memory is valid until its Registration is dropped with its data.
            .filter(|object| unsafe { ffi::Py_REFCNT(*object) } > 0)
            // SAFETY: as above; `enter` takes objects of the registry's one class.
            .map(|object| unsafe { Obj::from_any_unchecked(Bound::from_borrowed_ptr(py, object)) })
            .collect()
    }
}

/// An object's place in a registry; empty until [`Registration::enter`].
#[derive(Default)]
pub struct Registration(Cell<Option<(&'static Registry, usize)>>);

impl Registration {
    /// Registers the object that holds this registration.
    pub fn enter<T: Class>(&self, registry: &'static Registry, object: &Obj<'_, T>) {
        self.leave();
        let key = registry.slab().insert(object.as_any().as_ptr());
        self.0.set(Some((registry, key)));
    }

    /// Takes the object out.
    pub fn leave(&self) {
        if let Some((registry, key)) = self.0.take() {
            registry.slab().remove(key);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.leave();
    }
}
