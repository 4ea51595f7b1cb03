//! Counterparts: the Python functions of asyncio that native ones stand for, by name.
//!
//! A native function takes what `inspect` and others ask for (code object, defaults, annotations, text) from
//! its counterpart, and a native coroutine its code. [`super::capture`] keeps all of asyncio's functions when
//! the module is imported, so that a counterpart is the original, whatever `install()` or the program puts
//! into its place later. Called by [`crate::functions`] and by the coroutines.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFunction, PyModule, PyString, PyTuple, PyType};

use crate::ffi::none;
use crate::ffi::types::content;

/// What was found in the modules of asyncio.
struct Counterparts {
    /// Functions and classes by the names that their own modules have for them.
    names: Py<PyDict>,
    /// What is in each of the classes, as a dict.
    classes: Py<PyDict>,
}

static COUNTERPARTS: PyOnceLock<Counterparts> = PyOnceLock::new();

/// The class whose methods the loop's are.
const LOOP: &str = "_UnixSelectorEventLoop";

fn counterparts(py: Python<'_>) -> PyResult<&Counterparts> {
    COUNTERPARTS.get_or_try_init(py, || find(py))
}

/// Keeps what there is now.
pub(super) fn keep(py: Python<'_>) -> PyResult<()> {
    counterparts(py).map(drop)
}

fn find(py: Python<'_>) -> PyResult<Counterparts> {
    let (names, classes) = (PyDict::new(py), PyDict::new(py));
    let loaded = py.import("sys")?.getattr(name!("modules"))?.cast_into::<PyDict>()?.copy()?;
    for (path, module) in loaded {
        let (Ok(path), Ok(module)) = (path.cast_into::<PyString>(), module.cast_into::<PyModule>()) else {
            continue;
        };
        if !path.to_str().is_ok_and(|path| path.starts_with("asyncio.")) {
            continue;
        }
        for (name, value) in module.dict() {
            let is_class = value.is_instance_of::<PyType>();
            if !(is_class || value.is_instance_of::<PyFunction>())
                || !value.getattr(name!("__module__"))?.eq(&path)?
                || names.contains(&name)?
            {
                continue;
            }
            if is_class {
                classes.set_item(&value, content(value.cast()?)?)?;
            }
            names.set_item(name, value)?;
        }
    }
    Ok(Counterparts { names: names.unbind(), classes: classes.unbind() })
}

/// asyncio's Python function of that name, `"sleep"`, `"Lock.acquire"` or `"EventLoop.getaddrinfo"`; nothing
/// where asyncio has none or one written in C.
pub fn function<'py>(py: Python<'py>, qualified: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let names = counterparts(py)?.names.bind(py);
    let Some((class, method)) = qualified.rsplit_once('.') else {
        return Ok(names.get_item(qualified)?.filter(|found| found.is_instance_of::<PyFunction>()));
    };
    let class = if class == "EventLoop" { LOOP } else { class };
    match names.get_item(class)? {
        Some(class) if class.is_instance_of::<PyType>() => {
            method_of(class.cast()?, &PyString::new(py, method))
        }
        _ => Ok(None),
    }
}

/// What a class of asyncio's has under a name, itself or from its bases, when that is a Python function.
pub fn method_of<'py>(
    class: &Bound<'py, PyType>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(attribute_of(class, name)?.filter(|found| found.is_instance_of::<PyFunction>()))
}

/// What a class of asyncio's has under a name, itself or from its bases.
pub fn attribute_of<'py>(
    class: &Bound<'py, PyType>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let kept = counterparts(class.py())?.classes.bind(class.py());
    for base in class.mro() {
        let content = match kept.get_item(&base)? {
            Some(content) => content.cast_into::<PyDict>()?,
            None => content(base.cast()?)?,
        };
        if let Some(found) = content.get_item(name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The same, also of functions within others: `outer.<locals>.inner`.
pub fn function_within<'py>(py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some((outer, inner)) = name.split_once(".<locals>.") else { return function(py, name) };
    let Some(outer) = function(py, outer)? else { return Ok(None) };
    let types = py.import("types")?;
    for constant in outer.getattr(name!("__code__"))?.getattr(name!("co_consts"))?.try_iter()? {
        let code = constant?;
        if !code.is_instance(&types.getattr(name!("CodeType"))?)?
            || !code.getattr(name!("co_name"))?.eq(inner)?
        {
            continue;
        }
        // The function is never called, so its variables of the outer function may be empty.
        let cell = types.getattr(name!("CellType"))?;
        let variables = code.getattr(name!("co_freevars"))?.len()?;
        let cells = (0..variables).map(|_| cell.call0()).collect::<PyResult<Vec<_>>>()?;
        let parts =
            (code, outer.getattr(name!("__globals__"))?, none(py), none(py), PyTuple::new(py, cells)?);
        return types.getattr(name!("FunctionType"))?.call1(parts).map(Some);
    }
    Ok(None)
}

/// A function of the same code. Calling the original on a native object would lead to the native method
/// ([`crate::ffi::redirection`]).
pub fn copy<'py>(function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let attribute = |name| function.getattr(name);
    let (code, globals, name) = (attribute("__code__")?, attribute("__globals__")?, attribute("__name__")?);
    let (defaults, closure) = (attribute("__defaults__")?, attribute("__closure__")?);
    let copy = function.py().get_type::<PyFunction>().call1((code, globals, name, defaults, closure))?;
    copy.setattr(name!("__qualname__"), attribute("__qualname__")?)?;
    copy.setattr(name!("__kwdefaults__"), attribute("__kwdefaults__")?)?;
    Ok(copy)
}
