//! What stands between the head of an object and its data: `__dict__`, weak references, and the function that
//! a call runs.

use std::mem::offset_of;

use pyo3::ffi;

/// What stands between the object header and the data of an instance.
///
/// # Safety
/// `DICT` and `WEAK` must be offsets of pointer-sized fields inside the type, which is `repr(C)` and valid
/// when zeroed.
pub unsafe trait Header: 'static {
    /// Where the instance `__dict__` is kept.
    const DICT: Option<usize>;
    /// Where the list of weak references is kept.
    const WEAK: Option<usize>;
    /// Where the function is kept that a call of the instance runs.
    const VECTORCALL: Option<usize> = None;
    /// Whether classes with it are combined: see [`crate::combined`].
    const COMBINES: bool = false;
}

/// Neither `__dict__` nor weak references.
#[repr(C)]
pub struct Plain;

/// Weak references only, like a class with `__slots__ = ("__weakref__", ...)`.
#[repr(C)]
pub struct Weak {
    weak: *mut ffi::PyObject,
}

/// A `__dict__` and weak references, like an ordinary Python class.
#[repr(C)]
pub struct DictAndWeak {
    dict: *mut ffi::PyObject,
    weak: *mut ffi::PyObject,
}

/// A `__dict__` and weak references after the `N` slots of a Python class from which the native one derives,
/// left empty.
#[repr(C)]
pub struct AfterSlots<const N: usize> {
    slots: [*mut ffi::PyObject; N],
    dict: *mut ffi::PyObject,
    weak: *mut ffi::PyObject,
}

/// Weak references, and instances that are called by the vectorcall protocol ([`super::make_callable`]).
#[repr(C)]
pub struct Callable {
    weak: *mut ffi::PyObject,
    pub(crate) vectorcall: Option<ffi::vectorcallfunc>,
}

// SAFETY: the offsets are the compiler's; a null function pointer is `None`.
unsafe impl Header for Callable {
    const DICT: Option<usize> = None;
    const WEAK: Option<usize> = Some(offset_of!(Callable, weak));
    const VECTORCALL: Option<usize> = Some(offset_of!(Callable, vectorcall));
}

// SAFETY: no offsets.
unsafe impl Header for Plain {
    const DICT: Option<usize> = None;
    const WEAK: Option<usize> = None;
}

// SAFETY: the offset is the compiler's.
unsafe impl Header for Weak {
    const DICT: Option<usize> = None;
    const WEAK: Option<usize> = Some(offset_of!(Weak, weak));
}

// SAFETY: the offsets are the compiler's.
unsafe impl Header for DictAndWeak {
    const DICT: Option<usize> = Some(offset_of!(DictAndWeak, dict));
    const WEAK: Option<usize> = Some(offset_of!(DictAndWeak, weak));
}

// SAFETY: the offsets are the compiler's.
unsafe impl<const N: usize> Header for AfterSlots<N> {
    const DICT: Option<usize> = Some(offset_of!(AfterSlots<N>, dict));
    const WEAK: Option<usize> = Some(offset_of!(AfterSlots<N>, weak));
}
