//! How objects die, and what the collector sees of them: for classes that are not combined
//! (`combined/life.rs` has the same for those that are).

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use pyo3::ffi;

use super::definition::Class;
use super::header::Header;
use super::layout::Instance;
use crate::depth;
use crate::gc::Visitor;
#[cfg(Py_3_12)]
use crate::stop_iteration;

/// `tp_dealloc`: however many objects hold each other, their deaths do not nest.
pub(crate) unsafe extern "C" fn dealloc<T: Class>(object: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, when the last reference is gone.
    unsafe { depth::free(object, free::<T>) }
}

#[inline(always)] // into `dealloc`
unsafe fn free<T: Class>(object: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, when the last reference is gone (a resurrecting finalizer makes us
    // return early). Order: finalizer, untrack, weak references, dict, data, memory, type. Dropping data may
    // run Python code, which cannot reach this object any more.
    unsafe {
        let instance = object.cast::<Instance<T>>();
        if (*instance).data.wants_finalizer() && ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
            return;
        }
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_GC_UnTrack(object.cast());
        let weak = Instance::<T>::field(object, T::Header::WEAK);
        if !weak.is_null() && !(*weak).is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        let dict = Instance::<T>::field(object, T::Header::DICT);
        if !dict.is_null() && !(*dict).is_null() {
            let content = std::mem::replace(&mut *dict, null_mut());
            ffi::Py_DECREF(content);
        }
        std::ptr::drop_in_place(&raw mut (*instance).data);
        // Under a sanitizer memory goes back at once, so that using it afterwards is seen (scripts/sanitize).
        let reusable = cfg!(not(no_freelists))
            && T::FREELIST > 0
            && T::CLASS.is_class(class)
            && ffi::PyObject_GC_IsFinalized(object) == 0;
        if !(reusable && T::CLASS.push(object, T::FREELIST)) {
            ffi::PyObject_GC_Del(object.cast());
        }
        ffi::Py_DECREF(class.cast());
        #[cfg(Py_3_12)]
        if T::AWAITED {
            stop_iteration::release();
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
        let dict = Instance::<T>::field(object, T::Header::DICT);
        if !dict.is_null() {
            visitor.visit(*dict);
        }
        (*object.cast::<Instance<T>>()).data.traverse(&mut visitor);
        visitor.answer()
    }
}

/// `tp_clear`.
pub(crate) unsafe extern "C" fn clear<T: Class>(object: *mut ffi::PyObject) -> c_int {
    // SAFETY: called by the collector on a live instance that is part of unreachable garbage.
    unsafe {
        let dict = Instance::<T>::field(object, T::Header::DICT);
        if !dict.is_null() && !(*dict).is_null() {
            let content = std::mem::replace(&mut *dict, null_mut());
            ffi::Py_DECREF(content);
        }
        (*object.cast::<Instance<T>>()).data.clear();
        0
    }
}
