//! What an object of a combined class consists of: the header, and the list of its data where there are
//! several.

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr::null_mut;

use pyo3::ffi;

use crate::class::header::Header;
use crate::class::state::ClassState;

/// A `__dict__`, weak references, and where the data is. Without something behind the list of weak references
/// Python 3.11 takes the layout for that of a Python class, from which any other may derive.
#[repr(C)]
pub struct Combinable {
    pub(crate) dict: *mut ffi::PyObject,
    pub(crate) weak: *mut ffi::PyObject,
    pub(crate) parts: Parts,
}

// SAFETY: the offsets are the compiler's.
unsafe impl Header for Combinable {
    const DICT: Option<usize> = Some(offset_of!(Combinable, dict));
    const WEAK: Option<usize> = Some(offset_of!(Combinable, weak));
    const COMBINES: bool = true;
}

/// An object as all combinable classes have it.
#[repr(C)]
pub(crate) struct Object {
    object: ffi::PyObject,
    header: Combinable,
}

/// Where the data of an object is.
///
/// Null: there is none yet. The address of a class's static: it is behind the object, of that class and of no
/// other. An odd address: in the list that begins one byte before.
#[repr(transparent)]
pub(crate) struct Parts(Cell<*mut c_void>);

/// What [`Parts`] says.
pub(crate) enum Found {
    Nothing,
    Behind(*const ClassState),
    List(*mut Part<()>),
}

impl Parts {
    #[inline]
    pub(crate) fn find(&self) -> Found {
        let word = self.0.get();
        if word.is_null() {
            Found::Nothing
        } else if word.addr() & 1 == 0 {
            Found::Behind(word.cast_const().cast())
        } else {
            Found::List(word.map_addr(|address| address & !1).cast())
        }
    }

    /// Whether data of this kind is behind the object, and there is no other.
    #[inline]
    pub(crate) fn is_only(&self, kind: &'static ClassState) -> bool {
        std::ptr::eq(self.0.get().cast_const().cast(), kind)
    }

    #[inline]
    pub(crate) fn set_behind(&self, kind: &'static ClassState) {
        self.0.set(std::ptr::from_ref(kind).cast_mut().cast());
    }

    pub(crate) fn set_list(&self, first: *mut Part<()>) {
        self.0.set(first.map_addr(|address| address | 1).cast());
    }
}

/// The data of one native class in an object that has data of several, boxed.
#[repr(C)]
pub(crate) struct Part<T> {
    pub(crate) next: Cell<*mut Part<()>>,
    /// Whose data it is: the static of the class, of which there is one.
    pub(crate) of: *const ClassState,
    /// Where the data is: here, or behind the object.
    pub(crate) place: *mut c_void,
    data: T,
}

impl<T> Part<T> {
    pub(crate) fn boxed(of: *const ClassState, place: *mut c_void, data: T) -> *mut Part<()> {
        let part = Box::into_raw(Box::new(Self { next: Cell::new(null_mut()), of, place, data }));
        if place.is_null() {
            // SAFETY: the part has just been made, and nobody else knows it.
            unsafe { (*part).place = (&raw mut (*part).data).cast() };
        }
        part.cast()
    }
}

/// How large an object is, without its data.
pub(crate) const SIZE: usize = size_of::<Object>();

/// The header of an object.
#[inline]
pub(crate) unsafe fn header(object: *mut ffi::PyObject) -> *mut Combinable {
    // SAFETY: layout.
    unsafe { &raw mut (*object.cast::<Object>()).header }
}

/// Where the data of the class that made an object is.
#[inline]
pub(crate) unsafe fn behind<T>(object: *mut ffi::PyObject) -> *mut T {
    // SAFETY: the caller knows by the header that there is data.
    unsafe { object.byte_add(SIZE).cast() }
}
