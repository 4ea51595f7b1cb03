//! The refusal of a keyword that a function does not have, with the name that may be meant: since 3.13 the
//! interpreter suggests one. Called by [`super::Signature`], and by functions that take any keywords.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The TypeError. `names` are those that the function has.
#[cold]
pub fn unexpected_keyword(function: &str, names: &[&str], keyword: &Bound<'_, PyString>) -> PyErr {
    let text = format!("{function}() got an unexpected keyword argument '{keyword}'");
    match suggestion(names, keyword) {
        Ok(None) => PyTypeError::new_err(text),
        Ok(Some(name)) => PyTypeError::new_err(format!("{text}. Did you mean '{name}'?")),
        Err(error) => error,
    }
}

fn suggestion<'py>(names: &[&str], keyword: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if !cfg!(Py_3_13) {
        return Ok(None);
    }
    let suggestions = keyword.py().import("_suggestions")?;
    let found = suggestions.call_method1("_generate_suggestions", (names, keyword))?;
    Ok(Some(found).filter(|name| !name.is_none()))
}
