//! That the data of a combined class begins with that of another one.

use std::marker::PhantomData;

use pyo3::ffi;

use crate::class::state::ClassState;

/// That the data of class `T` begins with that of another native class.
pub struct Extended<T> {
    pub(crate) base: &'static ClassState,
    /// Whether there is nothing more in it.
    pub(crate) whole: bool,
    pub(crate) dealloc: ffi::destructor,
    pub(crate) traverse: ffi::traverseproc,
    pub(crate) class: PhantomData<T>,
}
