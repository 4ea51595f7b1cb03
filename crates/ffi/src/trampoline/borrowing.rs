//! Rust functions as types, and the objects that they borrow.

use std::mem::ManuallyDrop;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::class::definition::Class;
use crate::class::object::Obj;
use crate::objects::Output;

/// A function whose value is its type: what `fn` items and closures without captures are.
pub trait Stateless: Copy + 'static {
    /// The function itself.
    ///
    /// # Safety
    /// A value of the type must have existed: table builders take one and drop it.
    unsafe fn value() -> Self {
        const { assert!(size_of::<Self>() == 0, "table functions must not capture anything") };
        // SAFETY: a Copy type of size zero has no bytes to be wrong; the caller vouches that it is inhabited.
        unsafe { std::mem::zeroed() }
    }
}

impl<F: Copy + 'static> Stateless for F {}

/// The object that a slot was called on, borrowed by the Rust function.
///
/// # Safety
/// `slf` is a live instance of `T`'s type, as CPython guarantees for `self` of a slot or method of that type.
#[inline]
pub(crate) unsafe fn borrow_self<'py, T: Class>(
    py: Python<'py>,
    slf: *mut ffi::PyObject,
) -> ManuallyDrop<Obj<'py, T>> {
    // SAFETY: the reference is only borrowed: ManuallyDrop never gives it back, so it need not be owned.
    ManuallyDrop::new(unsafe { Obj::from_any_unchecked(Bound::from_owned_ptr(py, slf)) })
}

/// The reference that a Rust function has returned, for the interpreter.
#[inline]
pub(crate) fn give(output: Output<'_>) -> PyResult<*mut ffi::PyObject> {
    output.map(Bound::into_ptr)
}
