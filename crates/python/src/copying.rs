//! Copies and pickles of the primitives: the state that `copy` and `pickle` take along from an object, and
//! give to its copy.
//!
//! asyncio's classes are written in Python: their state is the instance's `__dict__`. That of a native object
//! is what it has under the same names, and whatever a program has added. As in asyncio it goes well while
//! nobody waits: a future cannot be copied. Called by the `table` functions of the classes; reads and writes
//! attributes.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::ffi::class::is_native;
use crate::ffi::combined::Base;
use crate::ffi::{Args, Class, Obj, Output, Signature, Table};
use crate::stock;

/// A class whose objects can be copied: what `vars()` shows of one, and what is said here.
pub trait Copied: Class {
    /// What an instance of asyncio's class has in its `__dict__` of another object that it has: the name of
    /// that object, and names of attributes.
    const STATE_OF_ANOTHER: (&'static str, &'static [&'static str]) = ("", &[]);
}

const REDUCE: Signature<1> = Signature::new("__reduce_ex__", "protocol, /");
const SET_STATE: Signature<1> = Signature::new("__setstate__", "state, /");

/// The state that objects have from one class.
struct Share {
    class: for<'py> fn(Python<'py>) -> Bound<'py, PyType>,
    state: &'static [&'static str],
    rare: &'static [&'static str],
    of_another: (&'static str, &'static [&'static str]),
}

/// That of every class whose objects can be copied.
static SHARES: Mutex<Vec<&'static Share>> = Mutex::new(Vec::new());

/// The methods by which objects are copied.
pub fn table<T: Copied>(t: &mut Table<T>) {
    let share = const {
        &Share { class: T::class, state: T::SHOWN, rare: T::SHOWN_WHEN_SET, of_another: T::STATE_OF_ANOTHER }
    };
    SHARES.lock().unwrap_or_else(PoisonError::into_inner).push(share);
    t.noargs(c"__getstate__", state, "What a copy of it starts from.");
    t.command(
        &SET_STATE,
        |object, args| {
            let [state] = args.parse(&SET_STATE)?;
            set_state(object.as_any(), &state)
        },
        "Makes it what another one was.",
    );
    t.method(&REDUCE, reduce, "How it is copied and pickled.");
}

/// `__getstate__()`: a dict, and behind it one of the `__slots__` of subclasses where there are some.
fn state<'py, T: Copied>(object: &Obj<'py, T>) -> Output<'py> {
    let (py, any) = (object.py(), object.as_any());
    let state = PyDict::new(py);
    for share in shares(&any.get_type())? {
        for name in share.state {
            if !state.contains(name)? {
                state.set_item(name, any.getattr(*name)?)?;
            }
        }
        for name in share.rare {
            let value = any.getattr(*name)?;
            if !value.is_none() {
                state.set_item(name, value)?;
            }
        }
        let (another, names) = share.of_another;
        for name in names {
            state.set_item(name, any.getattr(another)?.getattr(*name)?)?;
        }
    }
    if let Some(own) = object.own_dict() {
        for (name, value) in own.copy()? {
            // What `vars()` has put there is older than what was found above.
            if !state.contains(&name)? {
                state.set_item(name, value)?;
            }
        }
    }
    let slots = PyDict::new(py);
    let names = stock::module(py, "copyreg")?.call_method1(name!("_slotnames"), (any.get_type(),))?;
    for name in names.try_iter()? {
        let name = name?;
        if let Some(value) = any.getattr_opt(name.cast()?)? {
            slots.set_item(name, value)?;
        }
    }
    if slots.is_empty() { Ok(state.into_any()) } else { Ok((state, slots).into_pyobject(py)?.into_any()) }
}

/// What objects of a class have from its native bases. TypeError where they have something that cannot be
/// copied from one.
fn shares(class: &Bound<'_, PyType>) -> PyResult<Vec<&'static Share>> {
    let py = class.py();
    let known: Vec<&'static Share> = SHARES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut shares = Vec::new();
    for base in class.mro() {
        let base = base.cast_into::<PyType>()?;
        if let Some(share) = known.iter().find(|share| (share.class)(py).is(&base)) {
            shares.push(*share);
        } else if is_native(&base) && !base.is(Base::class(py)) {
            let mut derives = false;
            for share in &known {
                derives |= base.is_subclass(&(share.class)(py))?;
            }
            if !derives {
                return Err(PyTypeError::new_err(format!("cannot pickle '{}' object", class.name()?)));
            }
        }
    }
    Ok(shares)
}

/// `__setstate__(state)`, with such a dict, or the pair.
fn set_state<'py>(object: &Bound<'py, PyAny>, state: &Bound<'py, PyAny>) -> PyResult<()> {
    if let Ok(parts) = state.cast::<PyTuple>() {
        return parts.iter().try_for_each(|part| set_state(object, &part));
    }
    if state.is_none() {
        return Ok(());
    }
    // A copy: what is set may be an attribute of the program's, whose setter changes the dict.
    for (name, value) in state.cast::<PyDict>()?.copy()?.iter() {
        object.setattr(name.cast()?, value)?;
    }
    Ok(())
}

/// `__reduce_ex__(protocol)`. For native classes not `object`'s: that has `pickle` compare the class to
/// `__class__`, which answers asyncio's class as long as `install()` has not put the native one in its place;
/// nor for the oldest protocols, by which `object` copies classes of Python only.
fn reduce<'py, T: Copied>(object: &Obj<'py, T>, args: Args<'_, 'py>) -> Output<'py> {
    let (py, any) = (object.py(), object.as_any());
    let [protocol] = args.parse(&REDUCE)?;
    let class = any.get_type();
    if !is_native(&class) && protocol.ge(2)? {
        return py.get_type::<PyAny>().call_method1(name!("__reduce_ex__"), (any, protocol));
    }
    let state = any.call_method0(name!("__getstate__"))?;
    Ok((class.getattr(name!("__new__"))?, (class,), state).into_pyobject(py)?.into_any())
}
