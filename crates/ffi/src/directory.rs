//! [`Directory`]: living objects by a small number, without keeping them alive. It stands in for a `WeakValueDictionary`
//! whose keys are descriptors.
//!
//! An object enters under a number and holds a [`Listing`], which takes it out when the object is done or freed.

use std::cell::{Cell, UnsafeCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::class::definition::Class;
use crate::class::object::Obj;

/// By number: one that a program has made up must not ask for memory.
type Objects = Rc<UnsafeCell<BTreeMap<usize, *mut ffi::PyObject>>>;

/// Objects of native classes by number.
#[derive(Default)]
pub struct Directory(Objects);

#[expect(clippy::mut_from_ref, reason = "an UnsafeCell's content; see the note inside")]
fn content(objects: &Objects) -> &mut BTreeMap<usize, *mut ffi::PyObject> {
    // SAFETY: the callers below use the reference for one operation on the map, which runs no Python code; directories
    // and listings are not Send, so the interpreter lock is held.
    unsafe { &mut *objects.get() }
}

impl Directory {
    /// Lists an object; whatever was listed under the number before is forgotten. The object keeps the listing.
    pub fn enter<T: Class>(&self, number: usize, object: &Obj<'_, T>) -> Listing {
        let pointer = object.as_any().as_ptr();
        content(&self.0).insert(number, pointer);
        Listing(Cell::new(Some((Rc::clone(&self.0), number, pointer))))
    }

    /// The living object listed under a number.
    pub fn get<'py>(&self, py: Python<'py>, number: usize) -> Option<Bound<'py, PyAny>> {
        let object = *content(&self.0).get(&number)?;
        // An object in the middle of its deallocation has no references left and must not get new ones.
        // SAFETY: a listed object's memory is valid until its Listing is dropped with its data.
        unsafe { (ffi::Py_REFCNT(object) > 0).then(|| Bound::from_borrowed_ptr(py, object)) }
    }

    /// All living objects with their numbers.
    pub fn living<'py>(&self, py: Python<'py>) -> Vec<(usize, Bound<'py, PyAny>)> {
        let numbers: Vec<usize> = content(&self.0).keys().copied().collect();
        numbers.into_iter().filter_map(|number| Some((number, self.get(py, number)?))).collect()
    }
}

/// An object's place in a directory; the default is none.
#[derive(Default)]
pub struct Listing(Cell<Option<(Objects, usize, *mut ffi::PyObject)>>);

impl Listing {
    /// Takes the object out, and takes over the place of another listing of the same object.
    pub fn set(&self, other: Listing) {
        self.leave();
        self.0.set(other.0.take());
    }

    /// Takes the object out.
    pub fn leave(&self) {
        if let Some((objects, number, object)) = self.0.take()
            && content(&objects).get(&number) == Some(&object)
        {
            content(&objects).remove(&number);
        }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.leave();
    }
}
