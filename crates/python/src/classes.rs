//! Making native classes and adding them to the module under their names.

use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::ffi::class::{Extends, know_derived};
use crate::ffi::{Class, Table};

/// Makes a class and adds it.
pub fn add<'py, T: Class>(module: &Bound<'py, PyModule>) -> PyResult<Bound<'py, PyType>> {
    let class = Table::<T>::build(module.py(), None)?;
    module.add(class.name()?, &class)?;
    Ok(class)
}

/// The same for a class derived from `base`.
pub fn add_derived<T: Class>(module: &Bound<'_, PyModule>, base: &Bound<'_, PyType>) -> PyResult<()> {
    let class = Table::<T>::build(module.py(), Some(base))?;
    module.add(class.name()?, &class)
}

/// The same for a class with several bases, of which the first with a layout decides about the layout.
pub fn add_on<'py, T: Class>(
    module: &Bound<'py, PyModule>,
    bases: &[&Bound<'py, PyType>],
) -> PyResult<Bound<'py, PyType>> {
    let class = Table::<T>::build_with_bases(&PyTuple::new(module.py(), bases)?)?;
    module.add(class.name()?, &class)?;
    Ok(class)
}

/// The same for a class derived from native class `B`, whose exact instances [`crate::ffi::Obj::cast_native`]
/// is to know.
pub fn add_known<T: Extends<B>, B: Class>(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_derived::<T>(module, &B::class(module.py()))?;
    know_derived::<T, B>()
}
