//! Finding the data of a class in an object.

use std::ffi::c_void;
use std::ptr::null_mut;

use pyo3::ffi;

use super::functions::Functions;
use super::header::{Found, Part, SIZE, behind, header};
use crate::class::definition::Class;
use crate::class::state::ClassState;

/// Whose data objects of `T` have: that of the native base where the class adds nothing.
#[inline]
pub(crate) fn kind<T: Class>() -> &'static ClassState {
    match T::extended() {
        Some(extended) if extended.whole => extended.base,
        _ => T::CLASS,
    }
}

/// The data of `T` in an object.
///
/// # Safety
/// As for [`crate::class::layout::data_of`].
#[inline]
pub(crate) unsafe fn data_of<'a, T: Class>(object: *mut ffi::PyObject) -> &'a T {
    // SAFETY: layout. Data of T's kind is a T; what `find` gives is, too.
    unsafe {
        let data = if (*header(object)).parts.is_only(kind::<T>()) { behind(object) } else { find(object) };
        &*data
    }
}

/// The data of `T`, wherever it is. It is made where there is none: for a second native base, or because the
/// object was made by another class than it has now.
#[cold]
#[inline(never)]
unsafe fn find<T: Class>(object: *mut ffi::PyObject) -> *mut T {
    let wanted = kind::<T>();
    // SAFETY: layout; data lives as long as the object, in one place. New data is linked before other code
    // sees it, after all other, so that a class that was given some is given it again; making it runs no
    // Python code.
    unsafe {
        let parts = &(*header(object)).parts;
        let first = match parts.find() {
            Found::Nothing => {
                take_allocator(ffi::Py_TYPE(object));
                null_mut()
            }
            Found::Behind(kind) if (*kind).begins_with(wanted) => return behind(object),
            Found::Behind(kind) => Part::boxed(kind, behind(object), ()),
            Found::List(first) => first,
        };
        let (mut last, mut next) = (null_mut::<Part<()>>(), first);
        while !next.is_null() {
            if (*(*next).of).begins_with(wanted) {
                return (*next).place.cast();
            }
            last = next;
            next = (*next).next.get();
        }
        let part = Part::boxed(wanted, null_mut(), T::default());
        if last.is_null() {
            parts.set_list(part);
        } else {
            (*last).next.set(part);
            parts.set_list(first);
        }
        (*part).place.cast()
    }
}

impl ClassState {
    /// Whether data of this class is, or begins with, that of another one.
    fn begins_with(&self, other: &ClassState) -> bool {
        let mut state = self;
        loop {
            if std::ptr::eq(state, other) {
                return true;
            }
            match state.extends.get() {
                Some(base) => state = base,
                None => return false,
            }
        }
    }
}

/// Calls `visit` with all data of an object.
pub(crate) unsafe fn each(
    object: *mut ffi::PyObject,
    mut visit: impl FnMut(*mut c_void, &'static Functions),
) {
    // SAFETY: layout. What is visited may add data behind all other, and frees none.
    unsafe {
        match (*header(object)).parts.find() {
            Found::Nothing => {}
            Found::Behind(kind) => visit(behind(object), (*kind).functions.get()),
            Found::List(mut part) => {
                while !part.is_null() {
                    visit((*part).place, (*(*part).of).functions.get());
                    part = (*part).next.get();
                }
            }
        }
    }
}

/// Gives a class the allocator of its native base, if its instances have room for the data where that has it.
/// The interpreter gives every Python class its own, which knows of no data.
///
/// # Safety
/// Attached; the class derives from `Base`.
pub(crate) unsafe fn take_allocator(class: *mut ffi::PyTypeObject) {
    let is_python = |class: *mut ffi::PyTypeObject| {
        // SAFETY: attached; the class and its bases are alive.
        unsafe {
            (*class)
                .tp_alloc
                .is_none_or(|own| std::ptr::fn_addr_eq(own, ffi::PyType_GenericAlloc as ffi::allocfunc))
        }
    };
    // SAFETY: attached; the class and its bases are alive, and the first that is no Python class is a
    // combinable one, because the layout of the class is theirs.
    unsafe {
        if !is_python(class) || (*class).tp_basicsize != SIZE.cast_signed() {
            return;
        }
        let mut base = (*class).tp_base;
        while !base.is_null() && is_python(base) {
            base = (*base).tp_base;
        }
        if !base.is_null() {
            (*class).tp_alloc = (*base).tp_alloc;
        }
    }
}
