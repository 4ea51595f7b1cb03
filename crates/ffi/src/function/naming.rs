//! Under which modules native functions and classes are known: asyncio's while `install()` is in force,
//! otherwise yibu's of the same names. A name always leads to the object that bears it, so that it can be
//! pickled.

use std::borrow::Cow;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::types::dict_of;

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// The native classes with the names of asyncio's, and asyncio's modules of these.
static CLASSES: Mutex<Vec<(Py<PyType>, String)>> = Mutex::new(Vec::new());

/// The functions that a program has given another name, with what asyncio has in their places.
static RENAMED: Mutex<Vec<(Py<PyAny>, Py<PyAny>)>> = Mutex::new(Vec::new());

/// Remembers that a function has another name than its counterpart, after which coroutines are called
/// otherwise.
pub(super) fn note_renamed<'py>(function: &Bound<'py, PyAny>, counterpart: Option<Bound<'py, PyAny>>) {
    let Some(counterpart) = counterpart else { return };
    let mut renamed = RENAMED.lock().unwrap_or_else(PoisonError::into_inner);
    if !renamed.iter().any(|(known, _)| known.is(&counterpart)) {
        renamed.push((counterpart.unbind(), function.clone().unbind()));
    }
}

/// The function in the place of asyncio's, if a program has given it another name.
pub fn renamed<'py>(counterpart: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let renamed = RENAMED.lock().unwrap_or_else(PoisonError::into_inner);
    let found = renamed.iter().find(|(known, _)| known.is(counterpart));
    found.map(|(_, function)| function.bind(counterpart.py()).clone())
}

/// Gives everything the names that it has while native objects stand in asyncio's modules, or while they do
/// not.
pub fn set_installed(py: Python<'_>, installed: bool) -> PyResult<()> {
    INSTALLED.store(installed, Ordering::Relaxed);
    let classes = CLASSES.lock().unwrap_or_else(PoisonError::into_inner);
    classes.iter().try_for_each(|(class, module)| rename(class.bind(py), module))
}

/// Whether native objects stand in asyncio's modules.
pub fn is_installed() -> bool {
    INSTALLED.load(Ordering::Relaxed)
}

/// Has a class named as `stock` is from now on, if it bears the same name.
pub fn follow(class: &Bound<'_, PyType>, stock: &Bound<'_, PyType>) -> PyResult<()> {
    if !class.as_any().getattr("__qualname__")?.eq(stock.qualname()?)? {
        return Ok(());
    }
    let module = stock.module()?.to_string();
    rename(class, &module)?;
    call_in_messages(class, stock)?;
    // Where the source is, since 3.13, and what the class says of itself.
    for name in ["__firstlineno__", "__static_attributes__", "__final__", "__slots__"] {
        if let Some(value) = dict_of(stock)?.get_item(name)? {
            dict_of(class)?.set_item(name, value)?;
        }
    }
    let mut classes = CLASSES.lock().unwrap_or_else(PoisonError::into_inner);
    classes.push((class.clone().unbind(), module));
    Ok(())
}

/// The interpreter's own messages call instances of both alike: "'StreamReader' object has no attribute 'x'".
fn call_in_messages(class: &Bound<'_, PyType>, stock: &Bound<'_, PyType>) -> PyResult<()> {
    // SAFETY: attached; both types are alive, and names of types end in a zero.
    let name = unsafe { CStr::from_ptr((*stock.as_type_ptr()).tp_name) }.to_owned();
    // SAFETY: attached; the type is alive, and the name is never freed. Heap types do not free what `tp_name`
    // points to.
    unsafe { (*class.as_type_ptr()).tp_name = name.into_raw() };
    Ok(())
}

fn rename(class: &Bound<'_, PyType>, module: &str) -> PyResult<()> {
    let module = match module {
        // Written in C, and public elsewhere.
        "_asyncio" if class.name()? == "Task" => here(module, "asyncio.tasks"),
        "_asyncio" => here(module, "asyncio.futures"),
        _ => here(module, module),
    };
    dict_of(class)?.set_item("__module__", module)?;
    // SAFETY: attached; the type is alive.
    unsafe { ffi::PyType_Modified(class.as_type_ptr()) };
    Ok(())
}

/// The module where what asyncio has in `module` is found in its native form. `public` is the one of
/// asyncio's where it is found, too.
pub(crate) fn here<'a>(module: &'a str, public: &'a str) -> Cow<'a, str> {
    match public.strip_prefix("asyncio.") {
        Some(rest) if !INSTALLED.load(Ordering::Relaxed) => Cow::Owned(format!("yibu.{rest}")),
        _ => Cow::Borrowed(module),
    }
}
