//! Attributes that Python code may assign but not delete, as those of a class written in Python are in
//! practice.
//!
//! Called by the `table` functions of the classes, and by their `t.property` writers, whose value is None
//! when the attribute is deleted.

use std::cell::Cell;

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;

use crate::ffi::Slot;

/// What is assigned; deletion is refused.
pub fn assigned<'a, 'py>(value: Option<&'a Bound<'py, PyAny>>) -> PyResult<&'a Bound<'py, PyAny>> {
    value.ok_or_else(|| PyAttributeError::new_err("cannot delete attribute"))
}

/// Writes an attribute that is an object; `None` empties it.
pub fn write(slot: &Slot, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let value = assigned(value)?;
    if value.is_none() {
        slot.clear();
    } else {
        slot.put(value.clone());
    }
    Ok(())
}

/// Writes an attribute that is a truth value.
pub fn write_flag(cell: &Cell<bool>, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    cell.set(assigned(value)?.is_truthy()?);
    Ok(())
}

/// Attributes of a class that are a slot each: `objects! { t: c"_loop" => event_loop }`.
macro_rules! objects {
    ($t:ident: $($name:literal => $slot:ident $(. $part:ident)* $([$index:literal])?),* $(,)?) => {$(
        $t.property(
            $name,
            |object| Ok(object.$slot$(.$part)*$([$index])?.get_or_none(object.py())),
            |object, value| $crate::attributes::write(&object.$slot$(.$part)*$([$index])?, value),
        );
    )*};
}

/// Attributes of a class that are true or false.
macro_rules! flags {
    ($t:ident: $($name:literal => $flag:ident $(. $part:ident)*),* $(,)?) => {$(
        $t.property(
            $name,
            |object| Ok($crate::ffi::boolean(object.py(), object.$flag$(.$part)*.get())),
            |object, value| $crate::attributes::write_flag(&object.$flag$(.$part)*, value),
        );
    )*};
}

pub(crate) use {flags, objects};
