//! The number of a socket's descriptor, read from the socket object.
//!
//! `_socket.socket` keeps the number behind the header of its objects, -1 once the socket is closed, and
//! `fileno()` returns it. A transport asks before each system call whether the program has closed its socket,
//! so the field is read in place of a call. Its place is that of the interpreters that were looked at;
//! [`learn`] tries it with a socket that is open and with one that never was, before [`number`] relies on it.

use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// How an object of `_socket.socket` begins.
#[repr(C)]
struct Head {
    object: ffi::PyObject,
    number: c_int,
}

/// The class of sockets for which the place was found right.
static KNOWN: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// What `fileno()` of a socket returns; nothing where that cannot be told, because its class is another one
/// than that of the socket that was tried.
#[inline]
pub fn number(socket: &Bound<'_, PyAny>) -> Option<c_int> {
    let known = KNOWN.get(socket.py())?;
    // SAFETY: attached; both objects are alive, and objects of this very class begin with a `Head`.
    unsafe {
        let is_known = ffi::Py_TYPE(socket.as_ptr()).cast() == known.as_ptr();
        is_known.then(|| (*socket.as_ptr().cast::<Head>()).number)
    }
}

/// Tries the place with a socket whose `fileno()` has just returned `told`; once, and not with a closed one.
#[cold]
pub fn learn(socket: &Bound<'_, PyAny>, told: c_int) -> PyResult<()> {
    static TRIED: AtomicBool = AtomicBool::new(false);
    let class = socket.get_type();
    let Some(base) = base_in_c(&class) else { return Ok(()) };
    if told < 0 || TRIED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let never_open = base.call_method1("__new__", (&base,))?;
    // SAFETY: attached; the objects are alive and of `base`, whose objects are larger than a `Head`.
    let [open, closed] =
        [socket, &never_open].map(|object| unsafe { (*object.as_ptr().cast::<Head>()).number });
    if (open, closed) == (told, -1) {
        KNOWN.get_or_init(class.py(), || class.clone().unbind());
    }
    Ok(())
}

/// The class `_socket.socket`, if `class` is derived from it without another one between.
fn base_in_c<'py>(class: &Bound<'py, PyType>) -> Option<Bound<'py, PyType>> {
    // SAFETY: attached; a class is alive as long as one that is derived from it, and its name ends in a zero.
    unsafe {
        let base = (*class.as_type_ptr()).tp_base;
        let is_it = !base.is_null()
            && CStr::from_ptr((*base).tp_name) == c"_socket.socket"
            && usize::try_from((*base).tp_basicsize).is_ok_and(|size| size >= size_of::<Head>());
        is_it.then(|| Bound::from_borrowed_ptr(class.py(), base.cast()).cast_into_unchecked())
    }
}
