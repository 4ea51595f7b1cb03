//! [`WeakSet`]: all living objects of one class, without keeping them alive, as a `weakref.WeakSet` has them.
//!
//! An object holds a [`WeakSetEntry`], by which it enters, and which takes it out when the object is done or
//! freed.

use std::cell::Cell;
use std::marker::PhantomData;

use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use yibu_driver::memory::MakeRoom;

use crate::cell::LoopCell;
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

impl Places {
    /// The index that an object gets; nothing where there is no memory.
    fn insert(&mut self, object: *mut ffi::PyObject) -> Option<usize> {
        let index = self.first_free;
        if let Some(place) = self.all.get_mut(index) {
            if let Place::Free(next) = std::mem::replace(place, Place::Object(object)) {
                self.first_free = next;
            }
            return Some(index);
        }
        self.all.make_room(1).then(|| {
            self.all.push(Place::Object(object));
            self.all.len() - 1
        })
    }

    fn remove(&mut self, index: usize) {
        if let Some(place) = self.all.get_mut(index) {
            *place = Place::Free(std::mem::replace(&mut self.first_free, index));
        }
    }
}

/// The places, of whatever class the objects are.
struct Objects(LoopCell<Places>);

// SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it
// uses the GIL).
unsafe impl Sync for Objects {}

/// The objects of class `T` that have entered.
pub struct WeakSet<T>(Objects, PhantomData<fn() -> T>);

impl<T> WeakSet<T> {
    /// An empty set.
    pub const fn new() -> Self {
        Self(Objects(LoopCell::new(Places { all: Vec::new(), first_free: usize::MAX })), PhantomData)
    }
}

impl<T> Default for WeakSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Class> WeakSet<T> {
    /// Strong references to all objects in it.
    pub fn living<'py>(&self, py: Python<'py>) -> Vec<Obj<'py, T>> {
        // No Python code runs while the places are borrowed: references are only counted.
        self.0.0.with(|places| {
            let objects = places.all.iter().filter_map(|place| match place {
                Place::Object(object) => Some(*object),
                Place::Free(_) => None,
            });
            objects
                // An object in the middle of its deallocation has no references left and must not get new
                // ones. SAFETY: an object's entry is in its data, so its memory is valid until the entry is
                // dropped.
                .filter(|object| unsafe { ffi::Py_REFCNT(*object) } > 0)
                // SAFETY: as above; `enter` takes objects of this class.
                .map(|object| unsafe { Obj::from_any_unchecked(Bound::from_borrowed_ptr(py, object)) })
                .collect()
        })
    }
}

/// An object's place in a set, as a field of its data; empty until [`WeakSetEntry::enter`].
#[derive(Default)]
pub struct WeakSetEntry(Cell<Option<(&'static Objects, usize)>>);

impl WeakSetEntry {
    /// Enters the object that has this entry in its data. MemoryError where there is no room.
    #[inline]
    pub fn enter<T: Class>(&self, set: &'static WeakSet<T>, object: &Obj<'_, T>) -> PyResult<()> {
        assert!(object.has_in_data(self), "an entry must be a field of the object that enters");
        self.leave();
        let index = set.0.0.with(|places| places.insert(object.as_any().as_ptr()));
        self.0.set(Some((&set.0, index.ok_or_else(|| PyMemoryError::new_err(()))?)));
        Ok(())
    }

    /// Takes the object out.
    #[inline]
    pub fn leave(&self) {
        if let Some((objects, index)) = self.0.take() {
            objects.0.with(|places| places.remove(index));
        }
    }
}

impl Drop for WeakSetEntry {
    fn drop(&mut self) {
        self.leave();
    }
}
