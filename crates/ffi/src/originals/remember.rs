//! Takes note of what native classes are when the module is made.

use pyo3::prelude::*;
use pyo3::types::{PyFunction, PyString, PyType};

use super::natives::{Native, finish, natives};
use super::state::{INIT, ORDER, OTHER, Original};
#[cfg(not(Py_3_12))]
use crate::redirection::by_wrappers;
#[cfg(not(Py_3_12))]
use crate::types::own;
use crate::types::{content, lookup};

/// Takes note of every native class as it is now. Called when all of them are made.
pub fn remember(py: Python<'_>) -> PyResult<()> {
    finish(py);
    // Only importing the module a second time finds any of this full, and then it is right. Some of asyncio's
    // classes are behind several native ones: what they have is looked at when they have all wrappers.
    #[cfg(not(Py_3_12))]
    for Native { class, stock, .. } in natives(py) {
        // Of `__init__` only the first: those of its bases do less than the native one.
        let (init, mut init_seen) = (PyString::intern(py, "__init__"), false);
        for base in stock(py)?.map_or_else(|| Ok(Vec::new()), stock_bases)? {
            let has_init = !init_seen && own(&base, &init)?.is_some();
            init_seen |= has_init;
            // A base for which a native base of its own stands gets the methods of that: they are what
            // `super()` finds.
            if !has_native_base(&base, class.bind(py))? {
                by_wrappers::wrap(&base, class.bind(py), has_init)?;
            }
        }
    }
    for Native { class, state, hooks, not_called, derives, stock, .. } in natives(py) {
        let class = class.bind(py);
        let mut entries = Vec::new();
        for base in class.mro() {
            let base = base.cast_into::<PyType>()?;
            if !natives(py).iter().any(|native| native.class.is(&base)) {
                continue;
            }
            for (name, _) in content(&base)? {
                let name = name.cast_into::<PyString>()?;
                let text = name.to_str()?;
                // The interpreter's own names are slots of the type, and looked up by the interpreter.
                let ours = !text.starts_with("__")
                    || matches!(
                        text,
                        "__enter__" | "__exit__" | "__aenter__" | "__aexit__" | "__init__" | "__lt__"
                    );
                let Some(value) = lookup(class, &name)?.filter(|_| ours) else { continue };
                let bit = match text {
                    "__init__" => INIT.trailing_zeros(),
                    "__lt__" => ORDER.trailing_zeros(),
                    _ => hooks
                        .iter()
                        .position(|names| names.contains(&text))
                        .map_or(OTHER, |index| index as u32),
                };
                entries.push(Original { name: name.unbind(), value: value.unbind(), bit });
            }
        }
        let _ = state.originals.entries.set(py, entries);
        let mut stock_classes = Vec::new();
        if let Some(stock) = stock(py)? {
            for base in stock_bases(stock)? {
                let had = content(&base)?;
                stock_classes.push((base.unbind(), had.unbind()));
            }
        }
        let mut missing = Vec::new();
        for (name, value) in stock_classes.iter().flat_map(|(_, had)| had.bind(py).iter()) {
            let name = name.cast_into::<PyString>()?;
            let text = name.to_str()?;
            if value.is_instance_of::<PyFunction>()
                && !text.starts_with("__")
                && (not_called.contains(&text) || !derives && lookup(class, &name)?.is_none())
            {
                let original = lookup(class, &name)?.map(Bound::unbind);
                missing.push((name.unbind(), original));
            }
        }
        let _ = state.originals.not_called.set(py, missing);
        state.originals.skips_base_init.set(not_called.contains(&"__init__"));
        if let Some((stock, _)) = stock_classes.first() {
            state.originals.stock.set(stock.as_ptr().cast());
        }
        let _ = state.originals.stock_classes.set(py, stock_classes);
    }
    Ok(())
}

/// Whether a class of asyncio's is the one that a base of a native class stands for.
#[cfg(not(Py_3_12))]
fn has_native_base(stock: &Bound<'_, PyType>, native: &Bound<'_, PyType>) -> PyResult<bool> {
    let py = native.py();
    for other in natives(py) {
        let class = other.class.bind(py);
        let stands_for_it = (other.stock)(py)?.is_some_and(|theirs| theirs.is(stock));
        if stands_for_it && !class.is(native) && native.is_subclass(class)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The classes of asyncio's behind a native one. Those of protocols are programs' bases, and nothing stands
/// in for them.
fn stock_bases<'py>(stock: &Bound<'py, PyType>) -> PyResult<Vec<Bound<'py, PyType>>> {
    let mut bases = Vec::new();
    for base in stock.mro() {
        let base = base.cast_into::<PyType>()?;
        let module = base.module()?;
        if !matches!(module.to_str()?, "builtins" | "asyncio.protocols") {
            bases.push(base);
        }
    }
    Ok(bases)
}
