//! What the garbage collector may see of native objects. Called by `tp_traverse` of every class.

use std::ffi::{c_int, c_void};

use pyo3::ffi;

/// The collector's visit, given to [`super::Class::traverse`]. Remembers the first non-zero answer, as
/// `Py_VISIT` does.
pub struct Visitor {
    visit: ffi::visitproc,
    arg: *mut c_void,
    answer: c_int,
}

impl Visitor {
    /// Wraps what `tp_traverse` was given.
    pub(super) fn new(visit: ffi::visitproc, arg: *mut c_void) -> Self {
        Self { visit, arg, answer: 0 }
    }

    /// Shows one referent.
    #[inline]
    #[expect(
        clippy::not_unsafe_ptr_arg_deref,
        reason = "class files show what they own, as `Ref::as_ptr` gives it"
    )]
    pub fn visit(&mut self, object: *mut ffi::PyObject) {
        if self.answer == 0 && !object.is_null() {
            // SAFETY: `visit` and `arg` come from the running collection, and `object` is a live referent.
            self.answer = unsafe { (self.visit)(object, self.arg) };
        }
    }

    /// What `tp_traverse` returns.
    pub(super) fn answer(&self) -> c_int {
        self.answer
    }
}
