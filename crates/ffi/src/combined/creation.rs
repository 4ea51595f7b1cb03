//! How objects of combined classes are made. Called by `class/allocation.rs`.

use pyo3::ffi;

use super::data::kind;
use super::header::{behind, header};
use super::memory;
use crate::class::definition::Class;

/// Makes an instance of a class in its default state, which the collector does not know of yet; null with an
/// exception set when there is no memory.
///
/// # Safety
/// Attached; `class` is the type of `T`, or one that derives from it and adds nothing to its layout.
#[inline]
pub(crate) unsafe fn create<T: Class>(class: *mut ffi::PyTypeObject) -> *mut ffi::PyObject {
    // SAFETY: the memory is zeroed, which is an empty header, and has room for the data. The collector and
    // other code see the object when that is there.
    unsafe {
        let object = memory::allocate(class, size_of::<T>());
        if !object.is_null() {
            fill::<T>(object);
        }
        object
    }
}

/// Makes an instance of exactly `T`'s class of memory that [`super::life::dealloc`] has kept.
///
/// # Safety
/// Attached; the memory is an `Object` and a `T`, with neither `__dict__` nor weak references.
#[inline]
pub(crate) unsafe fn revive<T: Class>(object: *mut ffi::PyObject, class: *mut ffi::PyTypeObject) {
    // SAFETY: `PyObject_Init` makes it an object again, with a reference to its type.
    unsafe {
        ffi::PyObject_Init(object, class);
        fill::<T>(object);
    }
}

#[inline]
unsafe fn fill<T: Class>(object: *mut ffi::PyObject) {
    // SAFETY: the caller passes memory with room for the data, which holds none.
    unsafe {
        (*header(object)).parts.set_behind(kind::<T>());
        behind::<T>(object).write(T::default());
    }
}
