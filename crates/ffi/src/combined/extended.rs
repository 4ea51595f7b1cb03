//! The data of a combined class that extends another one: it begins with the data of that one.

use std::marker::PhantomData;

use pyo3::ffi;

use crate::class::state::ClassState;

/// The data of class `T` begins with the data of another native class.
pub struct Extended<T> {
    pub(crate) base: &'static ClassState,
    /// Whether there is nothing more in it.
    pub(crate) whole: bool,
    pub(crate) dealloc: ffi::destructor,
    pub(crate) traverse: ffi::traverseproc,
    pub(crate) class: PhantomData<T>,
}
