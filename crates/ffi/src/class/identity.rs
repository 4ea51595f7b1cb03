//! What instances say of themselves: `__class__` and `__weakref__`.

use std::ptr::null_mut;

use pyo3::prelude::*;
use pyo3::types::PyType;

use super::definition::Class;
use super::header::Header;
use super::layout::Instance;
use super::object::Obj;
use crate::objects::{Output, none};

/// `__class__`: the standard library's class, as proxies answer, so that `isinstance(x, asyncio.Handle)`
/// holds before `install()` has put the native class in its place. After that, and for a subclass, it is the
/// object's own class.
pub fn isinstance_class<'py, T: Class>(
    object: &Obj<'py, T>,
    stock: for<'a> fn(Python<'a>) -> PyResult<&'a Bound<'a, PyType>>,
) -> Output<'py> {
    match Obj::<T>::cast_exact(object.as_any()) {
        Some(_) if !T::CLASS.is_in_place() => Ok(stock(object.py())?.clone().into_any()),
        _ => Ok(object.as_any().get_type().into_any()),
    }
}

/// The same for a class that has [`Class::stock`].
pub(crate) fn stock_class<'py, T: Class>(object: &Obj<'py, T>) -> Output<'py> {
    let class = object.as_any().get_type();
    match T::stock(object.py())? {
        Some(stock) if class.is(T::class(object.py())) && !T::CLASS.is_in_place() => {
            Ok(stock.clone().into_any())
        }
        _ => Ok(class.into_any()),
    }
}

/// Whether instances of a class of asyncio's show `__weakref__`: code that adds slots to a subclass looks for
/// it.
pub(crate) fn has_weakref(stock: Option<&Bound<'_, PyType>>) -> PyResult<bool> {
    stock.map_or(Ok(false), |class| class.as_any().hasattr("__weakref__"))
}

/// `__weakref__`: a weak reference to the object, where there is one.
pub(crate) fn first_weak_reference<'py, T: Class>(object: &Obj<'py, T>) -> Output<'py> {
    let field = Instance::<T>::field(object.as_any().as_ptr(), T::Header::WEAK);
    // SAFETY: attached; layout. The field is null or holds the first of the living weak references, as the
    // interpreter's own `__weakref__` finds it.
    unsafe {
        let first = if field.is_null() { null_mut() } else { *field };
        Ok(Bound::from_borrowed_ptr_or_opt(object.py(), first).unwrap_or_else(|| none(object.py())))
    }
}

/// Assigning `__class__`: as `object` does it, which refuses where the layouts differ.
pub(crate) fn set_class<'py, T: Class>(
    object: &Obj<'py, T>,
    class: Option<&Bound<'py, PyAny>>,
) -> PyResult<()> {
    let py = object.py();
    let descriptor = py.get_type::<PyAny>().getattr("__dict__")?.get_item("__class__")?;
    match class {
        Some(class) => descriptor.call_method1("__set__", (object.as_any(), class)),
        None => descriptor.call_method1("__delete__", (object.as_any(),)),
    }
    .map(drop)
}
