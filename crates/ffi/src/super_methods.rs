//! What `super()` is to the methods of a native class, as it is to asyncio's in Python: where a program
//! derives from several classes, the next one in the order of resolution need not be the native base.
//!
//! Called by the class files whose counterparts in asyncio call `super()`; calls the interpreter.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PySuper};

use crate::class::definition::{Class, Extends};
use crate::class::object::Obj;
use crate::originals::questions;

impl<'py, T: Class> Obj<'py, T> {
    /// `super().name`; nothing where that is the method of `B`, and nothing is replaced there.
    #[inline]
    pub fn replaced_super_method<B: Class>(
        &self,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Option<Bound<'py, PyAny>>>
    where
        T: Extends<B>,
    {
        if self.has_single_bases() && questions::replaced_in::<B>(self.py()) == 0 {
            return Ok(None);
        }
        self.super_method(name).map(Some)
    }

    /// `super().name`, in the class that asyncio has in the place of `T`.
    pub fn super_method(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        PySuper::new(&T::class(self.py()), self.as_any())?.getattr(name)
    }

    /// Whether each class from the object's down to `T`'s has one base, so that none can stand behind that
    /// one but its own.
    #[inline]
    pub fn has_single_bases(&self) -> bool {
        let end = T::class(self.py()).as_type_ptr();
        // SAFETY: attached; the types of a live object are alive, and have their bases in a tuple. The
        // object's class derives from `end`; following single bases ends there.
        unsafe {
            let mut class = ffi::Py_TYPE(self.as_any().as_ptr());
            while class != end {
                if class.is_null() || ffi::PyTuple_GET_SIZE((*class).tp_bases) != 1 {
                    return false;
                }
                class = (*class).tp_base;
            }
            true
        }
    }
}
