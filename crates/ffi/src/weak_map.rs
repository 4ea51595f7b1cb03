//! [`WeakMap`]: living objects by a small number, without keeping them alive, as a
//! `weakref.WeakValueDictionary` has them whose keys are descriptors.
//!
//! An object holds a [`WeakMapEntry`], by which it enters, and which takes it out when the object is done or
//! freed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::cell::LoopCell;
use crate::class::definition::Class;
use crate::class::object::Obj;

/// By number: one that a program has made up must not ask for memory.
type Objects = Rc<LoopCell<BTreeMap<usize, *mut ffi::PyObject>>>;

/// Objects of native classes by number.
#[derive(Default)]
pub struct WeakMap(Objects);

impl WeakMap {
    /// The living object that has entered under a number.
    pub fn get<'py>(&self, py: Python<'py>, number: usize) -> Option<Bound<'py, PyAny>> {
        let object = self.0.with(|objects| objects.get(&number).copied())?;
        // An object in the middle of its deallocation has no references left and must not get new ones.
        // SAFETY: an object's entry is in its data, so its memory is valid until the entry is dropped.
        unsafe { (ffi::Py_REFCNT(object) > 0).then(|| Bound::from_borrowed_ptr(py, object)) }
    }

    /// All living objects with their numbers.
    pub fn living<'py>(&self, py: Python<'py>) -> Vec<(usize, Bound<'py, PyAny>)> {
        let numbers: Vec<usize> = self.0.with(|objects| objects.keys().copied().collect());
        numbers.into_iter().filter_map(|number| Some((number, self.get(py, number)?))).collect()
    }
}

/// An object's place in a map, as a field of its data; empty until [`WeakMapEntry::enter`].
#[derive(Default)]
pub struct WeakMapEntry(Cell<Option<(Objects, usize, *mut ffi::PyObject)>>);

impl WeakMapEntry {
    /// Enters the object that has this entry in its data under a number; whatever was there before is
    /// forgotten.
    pub fn enter<T: Class>(&self, map: &WeakMap, number: usize, object: &Obj<'_, T>) {
        assert!(object.has_in_data(self), "an entry must be a field of the object that enters");
        self.leave();
        let pointer = object.as_any().as_ptr();
        map.0.with(|objects| objects.insert(number, pointer));
        self.0.set(Some((Rc::clone(&map.0), number, pointer)));
    }

    /// Takes the object out.
    pub fn leave(&self) {
        if let Some((objects, number, object)) = self.0.take() {
            objects.with(|objects| {
                if objects.get(&number) == Some(&object) {
                    objects.remove(&number);
                }
            });
        }
    }
}

impl Drop for WeakMapEntry {
    fn drop(&mut self) {
        self.leave();
    }
}
