//! Memory for an object with something behind it, from the interpreter. Called by [`super::creation`].

use pyo3::ffi;

#[cfg(Py_3_12)]
unsafe extern "C" {
    fn PyUnstable_Object_GC_NewWithExtraData(
        class: *mut ffi::PyTypeObject,
        extra: usize,
    ) -> *mut ffi::PyObject;
}

/// Zeroed memory for an object of a class and so many bytes more; the collector does not know of it.
#[cfg(Py_3_12)]
pub(crate) unsafe fn allocate(class: *mut ffi::PyTypeObject, extra: usize) -> *mut ffi::PyObject {
    // SAFETY: attached; the class is ready and collected.
    unsafe { PyUnstable_Object_GC_NewWithExtraData(class, extra) }
}

/// The type that objects are of while Python 3.11 allocates them. Nothing but its size and its flags is ever
/// looked at.
#[cfg(not(Py_3_12))]
struct Template(std::cell::UnsafeCell<std::mem::MaybeUninit<ffi::PyTypeObject>>);

// SAFETY: every access is made by attached code holding the interpreter lock (the module declares that it
// uses the GIL).
#[cfg(not(Py_3_12))]
unsafe impl Sync for Template {}

#[cfg(not(Py_3_12))]
static TEMPLATE: Template = Template(std::cell::UnsafeCell::new(std::mem::MaybeUninit::zeroed()));

/// Zeroed memory for an object of a class and so many bytes more; the collector does not know of it.
#[cfg(not(Py_3_12))]
pub(crate) unsafe fn allocate(class: *mut ffi::PyTypeObject, extra: usize) -> *mut ffi::PyObject {
    // SAFETY: attached. A zeroed type object is a valid one; it is no heap type, so objects have no reference
    // to it. The size is read before a collection may run, so it does not matter that this one may come here,
    // too. Neither the template nor the class (which has its `__dict__` from `Base`) keeps anything before
    // its objects. The type is replaced before the object is seen.
    unsafe {
        let size = (*class).tp_basicsize.cast_unsigned() + extra;
        let template = TEMPLATE.0.get().cast::<ffi::PyTypeObject>();
        (*template).tp_flags = ffi::Py_TPFLAGS_HAVE_GC;
        (*template).tp_basicsize = size.cast_signed();
        let object = ffi::PyObject_GC_New::<ffi::PyObject>(template);
        if !object.is_null() {
            (*object).ob_type = class;
            ffi::Py_INCREF(class.cast());
            let header = size_of::<ffi::PyObject>();
            object.byte_add(header).cast::<u8>().write_bytes(0, size - header);
        }
        object
    }
}
