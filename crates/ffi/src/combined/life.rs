//! How instances of combinable classes die, and what the collector sees of them: all goes by their data, not
//! by their class, which Python code may change. Called by the interpreter; `class::free`, `traverse` and
//! `clear` are the same for other classes.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use pyo3::ffi;

use super::data::{each, kind};
use super::extended::Extended;
use super::functions::Functions;
use super::header::{Found, Part, behind, header};
use crate::class::definition::{Class, Extends};
use crate::class::header::Header;
use crate::depth;
use crate::gc::Visitor;

unsafe fn clear_dict(object: *mut ffi::PyObject) {
    // SAFETY: layout; the field is null or holds an owned reference, which is taken out before it is let go
    // of.
    unsafe {
        let content = std::mem::replace(&mut (*header(object)).dict, null_mut());
        ffi::Py_XDECREF(content);
    }
}

/// `tp_dealloc`: however many objects hold each other, their deaths do not nest.
pub(crate) unsafe extern "C" fn dealloc<T: Class>(object: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, when the last reference is gone.
    unsafe { depth::free(object, free::<T>) }
}

/// What `class::free` is for other classes.
#[inline(always)] // into `dealloc`
unsafe fn free<T: Class>(object: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, when the last reference is gone (a resurrecting finalizer makes us
    // return early). Order: finalizer, untrack, weak references, dict, data, memory, type. Dropping data may
    // run Python code, which cannot reach this object any more.
    unsafe {
        let parts = &raw const (*header(object)).parts;
        let wants_finalizer = if (*parts).is_only(kind::<T>()) {
            (*behind::<T>(object)).wants_finalizer()
        } else {
            let mut wants = false;
            each(object, |data, functions| wants |= (functions.wants_finalizer)(data));
            wants
        };
        if wants_finalizer && ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
            return;
        }
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_GC_UnTrack(object.cast());
        if !(*header(object)).weak.is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        clear_dict(object);
        // Only memory with data of this class is kept for it: its `__class__` may have been assigned. Under a
        // sanitizer memory goes back at once, so that using it afterwards is seen (scripts/sanitize).
        let is_kept = if (*parts).is_only(kind::<T>()) {
            std::ptr::drop_in_place(behind::<T>(object));
            cfg!(not(no_freelists))
                && T::FREELIST > 0
                && T::CLASS.is_class(class)
                && ffi::PyObject_GC_IsFinalized(object) == 0
                && T::CLASS.push(object, T::FREELIST)
        } else {
            drop_all(object);
            false
        };
        if !is_kept {
            ffi::PyObject_GC_Del(object.cast());
        }
        ffi::Py_DECREF(class.cast());
    }
}

/// Drops the data of an object that has others than its class's.
#[cold]
unsafe fn drop_all(object: *mut ffi::PyObject) {
    // SAFETY: the object dies; nobody else can reach its data.
    unsafe {
        match (*header(object)).parts.find() {
            Found::Nothing => {}
            Found::Behind(kind) => ((*kind).functions.get().drop)(behind(object)),
            Found::List(mut part) => {
                while !part.is_null() {
                    let (next, functions) = ((*part).next.get(), (*(*part).of).functions.get());
                    if (*part).place == behind(object) {
                        (functions.drop)((*part).place);
                        drop(Box::from_raw(part));
                    } else {
                        (functions.free)(part.cast());
                    }
                    part = next;
                }
            }
        }
    }
}

/// `tp_traverse`.
pub(crate) unsafe extern "C" fn traverse<T: Class>(
    object: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called by the collector on a live instance; nothing here touches a reference count.
    unsafe {
        let mut visitor = Visitor::new(visit, arg);
        visitor.visit(ffi::Py_TYPE(object).cast());
        visitor.visit((*header(object)).dict);
        if (*header(object)).parts.is_only(kind::<T>()) {
            (*behind::<T>(object)).traverse(&mut visitor);
        } else {
            each(object, |data, functions| (functions.traverse)(data, &mut visitor));
        }
        visitor.answer()
    }
}

/// `tp_clear`.
pub(crate) unsafe extern "C" fn clear(object: *mut ffi::PyObject) -> c_int {
    // SAFETY: called by the collector on a live instance that is part of unreachable garbage.
    unsafe {
        clear_dict(object);
        each(object, |data, functions| (functions.clear)(data));
        0
    }
}

impl Functions {
    pub(crate) const fn of<T: Class>() -> Self {
        const {
            if T::Header::COMBINES {
                assert!(align_of::<T>() <= align_of::<usize>(), "the header ends at such addresses");
                assert!(!T::AWAITED, "its death would have to be told");
            }
        };
        // What the SAFETY notes refer to: the caller passes data of a class with these functions, so it is a
        // T.
        Self {
            // SAFETY: the data is a T, and only shared.
            traverse: |data, visitor| unsafe { (*data.cast::<T>()).traverse(visitor) },
            // SAFETY: the data is a T, and only shared.
            clear: |data| unsafe { (*data.cast::<T>()).clear() },
            // SAFETY: the data is a T, and only shared.
            wants_finalizer: |data| unsafe { (*data.cast::<T>()).wants_finalizer() },
            // SAFETY: the data is a T; it is dropped once, when nobody else can reach the object.
            drop: |data| unsafe { std::ptr::drop_in_place(data.cast::<T>()) },
            // SAFETY: the part has a T, in a box of its own; it is dropped once, when nobody else can reach
            // the object.
            free: |part| unsafe { drop(Box::from_raw(part.cast::<Part<T>>())) },
        }
    }
}

impl<T: Class> Extended<T> {
    /// `B` is that class.
    #[inline]
    pub fn by<B: Class>() -> Self
    where
        T: Extends<B>,
    {
        Self {
            base: kind::<B>(),
            whole: size_of::<T>() == size_of::<B>(),
            dealloc: dealloc::<B>,
            traverse: traverse::<B>,
            class: std::marker::PhantomData,
        }
    }
}

/// Notes how the data of a class is handled.
pub(crate) fn prepare<T: Class>() {
    let state = T::CLASS;
    state.functions.set(const { &Functions::of::<T>() });
    state.extends.set(T::extended().map(|extended| extended.base));
}

/// `tp_dealloc` and `tp_traverse` of a class: those of its native base where it adds nothing, by which the
/// interpreter knows that `__class__` may be assigned.
pub(crate) fn life<T: Class>() -> (ffi::destructor, ffi::traverseproc) {
    match T::extended() {
        Some(extended) if extended.whole => (extended.dealloc, extended.traverse),
        _ => (dealloc::<T>, traverse::<T>),
    }
}
