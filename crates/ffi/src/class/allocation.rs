//! How objects are made: from the freelist of the class, or with memory from the interpreter.

use std::ptr::null_mut;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use yibu_driver::memory::is_short;

use super::definition::Class;
use super::header::Header;
use super::layout::Instance;
use super::object::Obj;
use crate::combined::creation;

/// Making objects of a native class.
pub trait Create: Class {
    /// Makes an instance in its default state; the caller fills it in place, because moving a half-warm
    /// struct of this size costs more than everything else here (its stores are still on their way to the
    /// cache).
    #[inline]
    fn create(py: Python<'_>) -> PyResult<Obj<'_, Self>> {
        let state = Self::CLASS;
        let class = state.as_type_ptr();
        if Self::FREELIST > 0
            && let Some(object) = state.pop()
        {
            // SAFETY: the freelist holds dead, untracked memory of exactly this class, data dropped and
            // header zeroed; PyObject_Init makes it an object again (with a reference to its type), then data
            // is written, then it is tracked.
            unsafe {
                if Self::Header::COMBINES {
                    creation::revive::<Self>(object, class);
                } else {
                    ffi::PyObject_Init(object, class);
                    (&raw mut (*object.cast::<Instance<Self>>()).data).write(Self::default());
                }
                ffi::PyObject_GC_Track(object.cast());
                return Ok(Obj::from_any_unchecked(Bound::from_owned_ptr(py, object)));
            }
        }
        // SAFETY: attached; `class` is a ready type (set before any instance can be asked for). The memory is
        // zeroed, and no collection can run before `data` is written, because nothing is allocated in
        // between.
        unsafe {
            let object = Bound::from_owned_ptr_or_err(py, allocate::<Self>(class))?;
            Ok(Obj::from_any_unchecked(object))
        }
    }

    /// Makes an instance that the collector does not know of until [`Obj::track`]: for what mostly dies
    /// young. The code that keeps it vouches that it can be part of garbage only after that.
    #[inline]
    fn create_untracked(py: Python<'_>) -> PyResult<Obj<'_, Self>> {
        const { assert!(!Self::Header::COMBINES, "what combines is made by `create`") };
        let state = Self::CLASS;
        let class = state.as_type_ptr();
        // SAFETY: as in `create`; new memory has its header (what is before the data) zeroed here, and no
        // collection looks at an object that is not tracked.
        unsafe {
            let object = if Self::FREELIST > 0
                && let Some(object) = state.pop()
            {
                ffi::PyObject_Init(object, class)
            } else {
                let short = is_short();
                let object = if short { ffi::PyErr_NoMemory() } else { ffi::PyObject_GC_New(class) };
                if object.is_null() {
                    return Err(PyErr::fetch(py));
                }
                object
                    .byte_add(Instance::<Self>::HEADER)
                    .cast::<u8>()
                    .write_bytes(0, size_of::<Self::Header>());
                object
            };
            (&raw mut (*object.cast::<Instance<Self>>()).data).write(Self::default());
            Ok(Obj::from_any_unchecked(Bound::from_owned_ptr(py, object)))
        }
    }
}

impl<T: Class> Create for T {}

/// `tp_new`: an object whose `__init__` has not run.
pub(crate) unsafe extern "C" fn new<T: Class>(
    class: *mut ffi::PyTypeObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython passes T's type or a subclass, a tuple, and a dict or null; the default state is
    // written before anything else can see the memory.
    unsafe {
        let address = |class: *const ffi::PyTypeObject| (*class).tp_init.map_or(0, |init| init as usize);
        if address(class) == address(&raw const ffi::PyBaseObject_Type)
            && (ffi::PyTuple_GET_SIZE(args) > 0 || !kwargs.is_null() && ffi::PyDict_Size(kwargs) > 0)
        {
            return refuse_arguments(class);
        }
        if T::CLASS.is_class(class) {
            let made = T::create(Python::assume_attached());
            return made.map_or_else(
                |error| {
                    error.restore(Python::assume_attached());
                    null_mut()
                },
                |object| object.into_any().into_ptr(),
            );
        }
        allocate::<T>(class)
    }
}

/// As `object` refuses arguments that neither `__new__` nor `__init__` takes.
///
/// # Safety
/// Attached; the class is ready.
#[cold]
unsafe fn refuse_arguments(class: *mut ffi::PyTypeObject) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise; a type is an object.
    let class = unsafe { Bound::from_borrowed_ptr(Python::assume_attached(), class.cast()) };
    let name = class.getattr("__name__").map_or_else(|error| error.to_string(), |name| name.to_string());
    PyTypeError::new_err(format!("{name}() takes no arguments")).restore(class.py());
    null_mut()
}

/// An instance of a class in its default state; null with an exception set when there is no memory.
///
/// # Safety
/// Attached; the class is ready, and `T`'s or one that derives from it. If it combines, it adds nothing to
/// the layout.
#[inline]
pub(crate) unsafe fn allocate<T: Class>(class: *mut ffi::PyTypeObject) -> *mut ffi::PyObject {
    // SAFETY: the caller passes T's ready type or a subclass, whose instances are at least as large. The
    // memory is zeroed, and no collection can run before the data is written, because nothing is allocated in
    // between.
    unsafe {
        if is_short() {
            return ffi::PyErr_NoMemory();
        }
        if T::Header::COMBINES {
            let object = creation::create::<T>(class);
            if !object.is_null() {
                ffi::PyObject_GC_Track(object.cast());
            }
            return object;
        }
        let object = ffi::PyType_GenericAlloc(class, 0);
        if !object.is_null() {
            (&raw mut (*object.cast::<Instance<T>>()).data).write(T::default());
        }
        object
    }
}

/// `tp_alloc` of class `T`: an instance in its default state.
pub(crate) unsafe extern "C" fn alloc<T: Class>(
    class: *mut ffi::PyTypeObject,
    _items: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this, attached, for `T`'s class or one that `take_allocator` gave it to, which
    // derives from that.
    unsafe {
        if !T::CLASS.is_class(class) {
            return allocate::<T>(class);
        }
        let py = Python::assume_attached();
        match T::create(py) {
            Ok(object) => object.into_any().into_ptr(),
            Err(error) => {
                error.restore(py);
                null_mut()
            }
        }
    }
}
