//! Texts whose length a program controls: MemoryError when there is no memory for one. Called by the `repr()`
//! of classes and by messages about a program's objects; calls the check whether a text may grow.

use std::fmt::{self, Write};

use pyo3::prelude::*;
use yibu_driver::memory::MakeRoom;

use crate::errors;

/// `format!` for texts of which a program decides how long they are.
macro_rules! text {
    ($($arguments:tt)*) => {
        $crate::texts::of(format_args!($($arguments)*))
    };
}

/// A text that asks for room.
struct Growing<'a>(&'a mut String);

impl Write for Growing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !self.0.make_room(text.len()) {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// What `text!` makes.
pub fn of(arguments: fmt::Arguments<'_>) -> PyResult<String> {
    let mut text = String::new();
    append(&mut text, arguments)?;
    Ok(text)
}

/// Puts more at the end of a text.
pub fn append(text: &mut String, arguments: fmt::Arguments<'_>) -> PyResult<()> {
    Growing(text).write_fmt(arguments).map_err(|_| errors::no_memory())
}

/// Texts with something between them.
pub fn joined(parts: &[String], between: &str) -> PyResult<String> {
    let mut text = String::new();
    for (place, part) in parts.iter().enumerate() {
        append(&mut text, format_args!("{}{part}", if place == 0 { "" } else { between }))?;
    }
    Ok(text)
}

/// A `str` as a text.
pub fn copied(object: &Bound<'_, PyAny>) -> PyResult<String> {
    of(format_args!("{}", object.extract::<&str>()?))
}
