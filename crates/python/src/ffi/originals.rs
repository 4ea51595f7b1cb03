//! What Python code has replaced of a native class: in the class itself, in a subclass, or in the class of asyncio's that it
//! stands for. The one answer to that question: class files ask [`Obj::is_native`], or [`Obj::replaced`] for single names.
//!
//! Every class has a version tag, which no other class has and which changes with the class and with each of its bases. What was
//! found out about a class is kept with its tag, so asking again is two loads and a comparison. Finding out compares what the
//! class has under each name with what the native class had when the module was made ([`remember`]), so it is exact, and what was
//! replaced and put back counts as never replaced. A class without a tag (newer interpreters give a class only so many) is
//! looked at each time.

use std::any::TypeId;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};

use super::class::{Class, ClassState, Obj};

/// Which names of a class are replaced: a bit for each of [`Class::HOOKS`], and the two below.
pub type Replaced = u64;

/// The bit of a name that is none of [`Class::HOOKS`].
const OTHER: u32 = 62;
/// Something is replaced in the class of asyncio's that the native one stands for. Methods of native classes look there
/// themselves when they are called ([`replacement`]).
pub const BEHIND: Replaced = 1 << 63;

const KEPT: usize = 8;

#[derive(Clone, Copy)]
struct Verdict {
    tag: u32,
    replaced: Replaced,
}

struct Original {
    name: Py<PyString>,
    value: Py<PyAny>,
    bit: u32,
}

/// What a native class was when the module was made, and what was found out since then.
pub struct Originals {
    entries: PyOnceLock<Vec<Original>>,
    /// The classes of asyncio's that the native one stands for, in the order of their resolution, with what they had.
    behind: PyOnceLock<Vec<(Py<PyType>, Py<PyDict>)>>,
    /// What the methods are called, by the types of the Rust functions.
    names: PyOnceLock<HashMap<TypeId, Py<PyString>>>,
    verdicts: [Cell<Verdict>; KEPT],
    /// Whether the next method called is the native one, whatever was replaced: its replacement calls the original.
    passing: Cell<bool>,
}

impl Originals {
    /// Before the module is made.
    pub const fn new() -> Self {
        Self {
            entries: PyOnceLock::new(),
            behind: PyOnceLock::new(),
            names: PyOnceLock::new(),
            // No class has this tag: they are given in order.
            verdicts: [const { Cell::new(Verdict { tag: u32::MAX, replaced: 0 }) }; KEPT],
            passing: Cell::new(false),
        }
    }

    /// Tells what the Rust functions of the methods are called.
    pub(super) fn name_functions(&self, py: Python<'_>, names: HashMap<TypeId, Py<PyString>>) {
        // Only importing the module a second time finds it full, and then it is right.
        let _ = self.names.set(py, names);
    }

    /// What replaces a name in the classes of asyncio's that the native one stands for.
    fn behind<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (mut now, mut before) = (None, None);
        for (class, had) in self.behind.get(py).into_iter().flatten() {
            if now.is_none() {
                now = own(class.bind(py), name)?;
            }
            if before.is_none() {
                before = had.bind(py).get_item(name)?;
            }
        }
        Ok(now.filter(|now| !before.is_some_and(|before| before.is(now))))
    }

    #[inline]
    fn known(&self, tag: u32) -> Option<Replaced> {
        let verdict = self.verdicts[tag as usize % KEPT].get();
        (verdict.tag == tag).then_some(verdict.replaced)
    }
}

/// A native class.
struct Native {
    class: Py<PyType>,
    state: &'static ClassState,
    hooks: &'static [&'static str],
    stands_for: for<'py> fn(Python<'py>) -> PyResult<Option<Bound<'py, PyType>>>,
}

/// The native classes, while the module is being made.
static MADE: Mutex<Vec<Native>> = Mutex::new(Vec::new());
static NATIVES: PyOnceLock<Vec<Native>> = PyOnceLock::new();

/// A native class was made.
pub(super) fn expect<T: Class>(class: &Bound<'_, PyType>) {
    let native = Native {
        class: class.clone().unbind(),
        state: T::state(),
        hooks: T::HOOKS,
        stands_for: T::stands_for,
    };
    MADE.lock().unwrap_or_else(PoisonError::into_inner).push(native);
}

fn natives(py: Python<'_>) -> &[Native] {
    NATIVES.get(py).map_or(&[], Vec::as_slice)
}

/// Takes note of every native class as it is now. Called when all of them are made.
pub fn remember(py: Python<'_>) -> PyResult<()> {
    let made = std::mem::take(&mut *MADE.lock().unwrap_or_else(PoisonError::into_inner));
    // Only importing the module a second time finds any of this full, and then it is right.
    let _ = NATIVES.set(py, made);
    for Native { class, state, hooks, stands_for } in natives(py) {
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
                let ours = !text.starts_with("__") || matches!(text, "__aenter__" | "__aexit__");
                let Some(value) = lookup(class, &name)?.filter(|_| ours) else { continue };
                let hook = hooks.iter().position(|hook| *hook == text);
                let bit = hook.map_or(OTHER, |index| index as u32);
                entries.push(Original { name: name.unbind(), value: value.unbind(), bit });
            }
        }
        let _ = state.originals.entries.set(py, entries);
        let mut behind = Vec::new();
        if let Some(stock) = stands_for(py)? {
            for base in stock.mro().iter().filter(|base| !base.is(py.get_type::<PyAny>())) {
                let base = base.cast_into::<PyType>()?;
                let had = content(&base)?;
                behind.push((base.unbind(), had.unbind()));
            }
        }
        let _ = state.originals.behind.set(py, behind);
    }
    Ok(())
}

impl<T: Class> Obj<'_, T> {
    /// What of the object's class is replaced.
    #[inline]
    pub fn replaced(&self) -> Replaced {
        // No class has the tag 0: it stands for none.
        let known = T::state().originals.known(self.class_version());
        known.unwrap_or_else(|| judge::<T>(&self.as_any().get_type()))
    }

    /// Whether all attributes of the object are those of its native class: what asyncio calls by name may be called directly.
    #[inline]
    pub fn is_native(&self) -> bool {
        self.replaced() == 0 && self.attribute_count() == 0
    }
}

/// Finds out, and remembers. What cannot be found out counts as replaced: then everything goes by name.
#[cold]
fn judge<T: Class>(class: &Bound<'_, PyType>) -> Replaced {
    let originals = &T::state().originals;
    let tag = give_version(class);
    if let Some(known) = originals.known(tag).filter(|_| tag != 0) {
        return known;
    }
    let replaced = compare::<T>(class).unwrap_or_else(|error| {
        error.write_unraisable(class.py(), Some(class.as_any()));
        Replaced::MAX
    });
    if tag != 0 {
        originals.verdicts[tag as usize % KEPT].set(Verdict { tag, replaced });
    }
    replaced
}

fn compare<T: Class>(class: &Bound<'_, PyType>) -> PyResult<Replaced> {
    let py = class.py();
    let native = nearest::<T>(class)?;
    let Some(entries) = native.originals.entries.get(py) else { return Ok(0) };
    let stands_for = native.originals.behind.get(py).is_some_and(|classes| !classes.is_empty());
    let mut replaced = 0;
    for original in entries {
        let name = original.name.bind(py);
        if !lookup(class, name)?.is_some_and(|found| found.is(&original.value)) {
            replaced |= 1 << original.bit;
        }
        if stands_for && native.originals.behind(py, name)?.is_some() {
            replaced |= BEHIND | 1 << original.bit;
        }
    }
    Ok(replaced)
}

/// The native class that an instance of `class` is of: the first that derives from `T`.
pub fn nearest<T: Class>(class: &Bound<'_, PyType>) -> PyResult<&'static ClassState> {
    let native = T::class(class.py());
    for base in class.mro() {
        if let Some(found) = natives(class.py()).iter().find(|found| found.class.is(&base))
            && found.class.bind(class.py()).is_subclass(&native)?
        {
            return Ok(found.state);
        }
    }
    Ok(T::state())
}

/// What to call instead of a native method, bound to its object: Python code has replaced it in the class of asyncio's that the
/// native class stands for.
#[cold]
pub fn replacement<'py, T: Class>(
    object: &Obj<'py, T>,
    function: TypeId,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (py, originals) = (object.py(), &T::state().originals);
    if originals.passing.take() {
        return Ok(None);
    }
    let Some(name) = originals.names.get(py).and_then(|names| names.get(&function)) else { return Ok(None) };
    match originals.behind(py, name.bind(py))? {
        Some(found) => bind(&found, object.as_any()).map(Some),
        None => Ok(None),
    }
}

/// `found.__get__(object, type(object))`.
fn bind<'py>(found: &Bound<'py, PyAny>, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; the type of a live object is alive, and its slot is called as the interpreter calls it.
    unsafe {
        match (*ffi::Py_TYPE(found.as_ptr())).tp_descr_get {
            Some(get) => {
                let bound = get(found.as_ptr(), object.as_ptr(), ffi::Py_TYPE(object.as_ptr()).cast());
                Bound::from_owned_ptr_or_err(found.py(), bound)
            }
            None => Ok(found.clone()),
        }
    }
}

#[expect(dead_code, reason = "the loop's own methods come next")]
/// Runs a call of a native method that is not to look for its replacement.
pub fn passing<T: Class, R>(object: &Obj<'_, T>, call: impl FnOnce() -> R) -> R {
    let passing = &T::state().originals.passing;
    // Only a method that would look takes it back.
    passing.set(object.replaced() & BEHIND != 0);
    let result = call();
    passing.set(false);
    result
}

/// The version tag of a class, given to it if it has none. 0 when it cannot have one.
fn give_version(class: &Bound<'_, PyType>) -> u32 {
    #[cfg(not(Py_3_12))]
    unsafe extern "C" {
        fn _PyType_Lookup(class: *mut ffi::PyTypeObject, name: *mut ffi::PyObject) -> *mut ffi::PyObject;
    }
    #[cfg(Py_3_12)]
    unsafe extern "C" {
        fn PyUnstable_Type_AssignVersionTag(class: *mut ffi::PyTypeObject) -> std::ffi::c_int;
    }
    let type_object = class.as_type_ptr();
    // SAFETY: attached; the object is a type, and alive. Looking a name up runs no Python code, and gives a version.
    unsafe {
        #[cfg(not(Py_3_12))]
        _PyType_Lookup(type_object, pyo3::intern!(class.py(), "__doc__").as_ptr());
        #[cfg(Py_3_12)]
        PyUnstable_Type_AssignVersionTag(type_object);
        (*type_object).tp_version_tag
    }
}

/// A copy of a class's own `__dict__`.
fn content<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyDict>> {
    dict(class)?.copy()
}

fn dict<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: attached; the object is a type, and alive, and its namespace is a dict.
    unsafe {
        #[cfg(Py_3_12)]
        let dict = Bound::from_owned_ptr_or_err(class.py(), ffi::PyType_GetDict(class.as_type_ptr()))?;
        #[cfg(not(Py_3_12))]
        let dict = Bound::from_borrowed_ptr_or_err(class.py(), (*class.as_type_ptr()).tp_dict)?;
        Ok(dict.cast_into_unchecked())
    }
}

/// What a class itself has under a name.
fn own<'py>(class: &Bound<'py, PyType>, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    dict(class)?.get_item(name)
}

/// What a class or the first of its bases has under a name.
fn lookup<'py>(
    class: &Bound<'py, PyType>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    for base in class.mro() {
        if let Some(found) = own(base.cast::<PyType>()?, name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
