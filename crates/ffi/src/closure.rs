//! Whether a Python function is one that a given code object made around a given object: how asyncio's own
//! closures are told.
//!
//! Called by `tasks/eager.rs` for each task that is created with a task factory.

use pyo3::ffi;
use pyo3::prelude::*;

/// Whether `function` is a Python function whose code is `code` at this moment and whose only free variable
/// is `variable`.
#[inline]
pub fn is_closure(function: &Bound<'_, PyAny>, code: &Bound<'_, PyAny>, variable: &Bound<'_, PyAny>) -> bool {
    // SAFETY: any object can be asked whether it is a function, and a function always has its code and, or
    // not, a tuple of cells. Both are borrowed and looked at while nothing can run that replaces them. A cell
    // is asked only after a check.
    unsafe {
        if ffi::PyFunction_Check(function.as_ptr()) == 0
            || ffi::PyFunction_GetCode(function.as_ptr()) != code.as_ptr()
        {
            return false;
        }
        let cells = ffi::PyFunction_GetClosure(function.as_ptr());
        if cells.is_null() || ffi::PyTuple_Size(cells) != 1 {
            return false;
        }
        let cell = ffi::PyTuple_GetItem(cells, 0);
        if ffi::PyCell_Check(cell) == 0 {
            return false;
        }
        // A new reference, or none where the cell is empty.
        Bound::from_owned_ptr_or_opt(function.py(), ffi::PyCell_Get(cell))
            .is_some_and(|held| held.is(variable))
    }
}
