//! The attributes of a Function: what the program has set, else what the counterpart has.
//!
//! Refusals and their texts are those of Python functions. Setting `__code__`, `__defaults__` or
//! `__kwdefaults__` changes what a call does.

use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFunction, PyString, PyTuple, PyType};

use super::calls::choose_vectorcall;
use super::data::Function;
use super::naming;
use crate::call;
use crate::class::object::Obj;
use crate::class::table::Table;
use crate::objects::{Output, none};
use crate::reference::Slot;
use crate::types::{dict_of, is_slot};

/// What a setter gets: nothing for `del`.
type Value<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

/// Lists the attributes of the class.
pub(crate) fn list(t: &mut Table<Function>) {
    t.getter(c"__class__", |f| Ok(f.py().get_type::<PyFunction>().into_any()));
    names(t);
    parameters(t);
    annotations(t);
    t.getter(c"__globals__", |f| f.of_twin(f.py(), "__globals__"));
    t.getter(c"__closure__", |f| f.of_twin(f.py(), "__closure__"));
    t.getter(c"__builtins__", |f| f.of_twin(f.py(), "__builtins__"));
    t.repr(|f| {
        let text = format!("<function {} at {:p}>", f.qualname(f.py())?, f.as_any().as_ptr());
        Ok(PyString::new(f.py(), &text).into_any())
    });
    t.noargs(c"__reduce__", reduce, "For pickle and copy: the function by its name.");
}

fn names(t: &mut Table<Function>) {
    t.property(
        c"__name__",
        |f| f.get(f.py(), &f.set.name, "__name__"),
        |f, value| {
            f.set.name.put(checked::<PyString>(value, "__name__ must be set to a string object")?);
            naming::note_renamed(f.as_any(), f.counterpart.get(f.py()));
            Ok(())
        },
    );
    t.property(
        c"__qualname__",
        |f| f.qualname(f.py()),
        |f, value| {
            f.set.qualname.put(checked::<PyString>(value, "__qualname__ must be set to a string object")?);
            f.binder.clear();
            naming::note_renamed(f.as_any(), f.counterpart.get(f.py()));
            Ok(())
        },
    );
    t.property(c"__module__", module, |f, value| {
        f.set.module.put(value.cloned().unwrap_or_else(|| none(f.py())));
        Ok(())
    });
    t.property(
        c"__doc__",
        |f| f.get(f.py(), &f.set.doc, "__doc__"),
        |f, value| {
            f.set.doc.put(value.cloned().unwrap_or_else(|| none(f.py())));
            Ok(())
        },
    );
}

fn module<'py>(f: &Obj<'py, Function>) -> Output<'py> {
    let py = f.py();
    if let Some(set) = f.set.module.get(py) {
        return Ok(set);
    }
    let module = f.of_twin(py, "__module__")?;
    Ok(match module.extract::<&str>() {
        Ok(name) => PyString::new(py, &naming::here(name, name)).into_any(),
        Err(_) => module,
    })
}

fn parameters(t: &mut Table<Function>) {
    t.property(c"__code__", |f| f.code(f.py()), set_code);
    t.property(
        c"__defaults__",
        |f| f.defaults(f.py()),
        |f, value| {
            set_defaults(
                f,
                &f.set.defaults,
                "__defaults__",
                optional::<PyTuple>(f.py(), value, "__defaults__ must be set to a tuple object")?,
            )
        },
    );
    t.property(
        c"__kwdefaults__",
        |f| f.kwdefaults(f.py()),
        |f, value| {
            set_defaults(
                f,
                &f.set.kwdefaults,
                "__kwdefaults__",
                optional::<PyDict>(f.py(), value, "__kwdefaults__ must be set to a dict object")?,
            )
        },
    );
}

fn set_code<'py>(f: &Obj<'py, Function>, value: Value<'_, 'py>) -> PyResult<()> {
    let py = f.py();
    let wrong = || PyTypeError::new_err("__code__ must be set to a code object");
    let code = value.ok_or_else(wrong)?;
    let original = f.of_twin(py, "__code__")?;
    if code.is(&original) {
        f.set.code.clear();
    } else if code.is_instance(&original.get_type())? {
        let length = |variables: Bound<'py, PyAny>| if variables.is_none() { Ok(0) } else { variables.len() };
        let wanted = length(f.of_twin(py, "__closure__")?)?;
        let free = length(code.getattr("co_freevars")?)?;
        if wanted != free {
            let name = f.get(py, &f.set.name, "__name__")?;
            return Err(PyValueError::new_err(format!(
                "{name}() requires a code object with {wanted} free vars, not {free}"
            )));
        }
        f.set.code.put(code.clone());
    } else {
        return Err(wrong());
    }
    apply(f)
}

/// A Python function of the code that is set, with the counterpart's globals and closure.
fn copy_of_twin<'py>(f: &Obj<'py, Function>, code: &Bound<'py, PyAny>) -> Output<'py> {
    let py = f.py();
    let globals = f.of_twin(py, "__globals__")?;
    let name = f.of_twin(py, "__name__")?;
    let copy = py.get_type::<PyFunction>().call1((
        code,
        globals,
        name,
        f.defaults(py)?,
        f.of_twin(py, "__closure__")?,
    ))?;
    copy.setattr("__kwdefaults__", f.kwdefaults(py)?)?;
    copy.setattr("__qualname__", f.qualname(py)?)?;
    Ok(copy)
}

/// What the counterpart has counts as never set: it was put back.
fn set_defaults<'py>(
    f: &Obj<'py, Function>,
    slot: &Slot,
    name: &str,
    value: Bound<'py, PyAny>,
) -> PyResult<()> {
    if value.is(&f.of_twin(f.py(), name)?) {
        slot.clear();
    } else {
        slot.put(value);
    }
    apply(f)
}

/// After a change of what a call does.
fn apply(f: &Obj<'_, Function>) -> PyResult<()> {
    let py = f.py();
    f.binder.clear();
    match f.set.code.get(py) {
        Some(code) => f.replacement.put(copy_of_twin(f, &code)?),
        None => f.replacement.clear(),
    }
    choose_vectorcall(f);
    follow_settings(f)
}

/// Has the type call a Function whose behaviour was set where it would call its C slot, and counts it as
/// replaced.
fn follow_settings(function: &Obj<'_, Function>) -> PyResult<()> {
    let py = function.py();
    let (Some(owner), native) = (function.owner.get(), function.native.get_or_none(py)) else {
        return Ok(());
    };
    let class = owner.class(py);
    let name = native.getattr("__name__")?.cast_into::<PyString>()?;
    let found = dict_of(&class)?.get_item(&name)?;
    if is_slot(&native) && found.is_some_and(|found| found.is(function.as_any())) {
        return class.setattr(name, function.as_any());
    }
    Ok(())
}

fn annotations(t: &mut Table<Function>) {
    t.property(c"__annotations__", own_annotations, |f, value| {
        let text = "__annotations__ must be set to a dict object";
        let value = match value {
            Some(value) if !value.is_none() => checked::<PyDict>(Some(value), text)?,
            _ => PyDict::new(f.py()).into_any(),
        };
        f.set.annotations.put(value);
        if cfg!(Py_3_14) {
            f.set.annotate.put(none(f.py()));
        }
        Ok(())
    });
    #[cfg(Py_3_14)]
    t.property(
        c"__annotate__",
        |f| f.get(f.py(), &f.set.annotate, "__annotate__"),
        |f, value| {
            let value = value.ok_or_else(|| PyTypeError::new_err("__annotate__ cannot be deleted"))?;
            if !(value.is_none() || value.is_callable()) {
                return Err(PyTypeError::new_err("__annotate__ must be callable or None"));
            }
            f.set.annotate.put(value.clone());
            if !value.is_none() {
                f.set.annotations.clear();
            }
            Ok(())
        },
    );
    #[cfg(Py_3_12)]
    t.property(
        c"__type_params__",
        |f| f.get(f.py(), &f.set.type_params, "__type_params__"),
        |f, value| {
            f.set.type_params.put(checked::<PyTuple>(value, "__type_params__ must be set to a tuple")?);
            Ok(())
        },
    );
}

/// A dict that the program may write to: the function's own from the moment it is asked for.
fn own_annotations<'py>(f: &Obj<'py, Function>) -> Output<'py> {
    let py = f.py();
    if let Some(set) = f.set.annotations.get(py) {
        return Ok(set);
    }
    let own = match f.set.annotate.get(py) {
        Some(annotate) if !annotate.is_none() => {
            let made = call::call1(&annotate, 1i32.into_pyobject(py)?.as_any())?;
            if !made.is_instance_of::<PyDict>() {
                let text = format!("__annotate__ returned non-dict of type '{}'", made.get_type().name()?);
                return Err(PyTypeError::new_err(text));
            }
            made
        }
        Some(_) => PyDict::new(py).into_any(),
        None => f.of_twin(py, "__annotations__")?.cast::<PyDict>()?.copy()?.into_any(),
    };
    f.set.annotations.put(own.clone());
    Ok(own)
}

fn checked<'py, T: pyo3::PyTypeCheck>(value: Value<'_, 'py>, text: &'static str) -> Output<'py> {
    match value {
        Some(value) if T::type_check(value) => Ok(value.clone()),
        _ => Err(PyTypeError::new_err(text)),
    }
}

/// The same where None, or `del`, stands for nothing.
fn optional<'py, T: pyo3::PyTypeCheck>(
    py: Python<'py>,
    value: Value<'_, 'py>,
    text: &'static str,
) -> Output<'py> {
    match value {
        Some(value) if !value.is_none() => checked::<T>(Some(value), text),
        _ => Ok(none(py)),
    }
}

/// `__reduce__`: the qualified name where that leads to the function, else the attribute of the class whose
/// method it is.
fn reduce<'py>(f: &Obj<'py, Function>) -> Output<'py> {
    let py = f.py();
    let qualname = f.qualname(py)?;
    let by_name = || -> Output<'py> {
        let module = py.import(module(f)?.cast_into::<PyString>()?)?.into_any();
        qualname.extract::<&str>()?.split('.').try_fold(module, |object, name| object.getattr(name))
    };
    let found = match by_name() {
        Ok(found) => found.is(f.as_any()),
        Err(error) if error.is_instance_of::<PyAttributeError>(py) => false,
        Err(error) => return Err(error),
    };
    match f.owner.get() {
        Some(owner) if !found => {
            let class: Bound<'py, PyType> = owner.class(py);
            let getattr = py.import("builtins")?.getattr("getattr")?;
            let name = f.get(py, &f.set.name, "__name__")?;
            Ok((getattr, (class, name)).into_pyobject(py)?.into_any())
        }
        _ => Ok(qualname),
    }
}
