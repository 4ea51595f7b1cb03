//! What is replaced, asked of objects and of classes.

use std::any::TypeId;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use super::natives::natives;
use super::state::{IN_STOCK, INIT, NOT_CALLED, OTHERWISE, Replaced};
use crate::class::definition::Class;
use crate::class::object::Obj;
use crate::class::state::ClassState;
use crate::function::data::has_other_behaviour;
use crate::types::{give_version, lookup};
use crate::versions;

impl<T: Class> Obj<'_, T> {
    /// What of the object's class is replaced.
    #[inline(always)]
    pub fn replaced(&self) -> Replaced {
        if cfg!(not(Py_3_12)) {
            return by_tag::<T>(self.class_version(), || self.as_any().get_type());
        }
        match T::CLASS.originals.replaced_in_main_class() {
            Some(replaced) if self.is_of_main_class() => replaced,
            _ => self.compare(),
        }
    }

    /// Whether the object is of the class that most instances are of, and nothing has changed since that was
    /// last looked at.
    #[inline(always)]
    pub fn is_known(&self) -> bool {
        self.is_of_main_class() && T::CLASS.originals.main_finding.holds()
    }

    /// Whether the object is of the class that most instances are of.
    #[inline(always)]
    pub fn is_of_main_class(&self) -> bool {
        T::CLASS.is_of_main_class(self.as_any().as_ptr())
    }

    #[cold]
    #[inline(never)]
    fn compare(&self) -> Replaced {
        let class = || self.as_any().get_type();
        if self.is_of_main_class() {
            look_at_main_class::<T>(self.py())
        } else {
            by_tag::<T>(self.class_version(), class)
        }
    }

    /// Whether the object's class sees what asyncio's functions do with attributes; see
    /// [`Class::OBSERVABLE`].
    pub fn has_observed_attributes(&self) -> bool {
        T::CLASS.is_observed(self.as_any().get_type().as_type_ptr())
    }

    /// Whether all attributes of the object are those of its native class: what asyncio calls by name may be
    /// called directly.
    #[inline]
    pub fn is_native(&self) -> bool {
        self.replaced() == 0 && self.attribute_count() == 0
    }
}

/// What of a class is replaced, by its version tag.
#[inline(always)]
fn by_tag<'py, T: Class>(tag: u32, class: impl FnOnce() -> Bound<'py, PyType>) -> Replaced {
    // No class has the tag 0: it stands for none.
    let known = T::CLASS.originals.up_to_date(T::STANDS_FOR_STOCK && !T::DERIVES_FROM_STOCK).known(tag);
    known.unwrap_or_else(|| find_out(T::CLASS, &class()))
}

/// What is replaced in the class that most instances are of, looked at again and watched.
fn look_at_main_class<T: Class>(py: Python<'_>) -> Replaced {
    let (state, changes) = (T::CLASS, versions::changes());
    let class = state.main_class(py);
    // First, so that it has a version. What cannot be watched any more has changed so often that the
    // interpreter gave up counting.
    let watched = !state.originals.unwatched.get() && state.originals.watch(&class);
    state.originals.unwatched.set(!watched);
    let own = by_tag::<T>(versions::class_version(&class).unwrap_or(0), || class.clone());
    let replaced = own | T::replaced_elsewhere(py);
    if watched {
        state.originals.main_replaced.set(replaced);
        state.originals.main_finding.set(changes);
    }
    replaced
}

/// What of the native class itself is replaced, for the instances that native code makes.
#[inline(always)]
pub fn replaced_in<T: Class>(py: Python<'_>) -> Replaced {
    let state = T::CLASS;
    match state.originals.replaced_in_main_class() {
        Some(replaced) if state.main_is_native() => replaced,
        _ if cfg!(Py_3_12) && state.main_is_native() => look_at_main_class::<T>(py),
        _ => by_tag::<T>(state.version(), || state.class(py)),
    }
}

/// Whether nothing has changed since [`replaced_in`] was asked.
pub fn is_known<T: Class>() -> bool {
    T::CLASS.main_is_native() && T::CLASS.originals.main_finding.holds()
}

/// Finds out, and remembers. What cannot be found out counts as replaced: then everything goes by name.
#[cold]
fn find_out(state: &'static ClassState, class: &Bound<'_, PyType>) -> Replaced {
    let originals = &state.originals;
    let tag = give_version(class);
    if let Some(known) = originals.known(tag).filter(|_| tag != 0) {
        return known;
    }
    let replaced = compare(state, class).unwrap_or_else(|error| {
        error.write_unraisable(class.py(), Some(class.as_any()));
        Replaced::MAX
    });
    originals.remember(tag, replaced);
    replaced
}

fn compare(state: &'static ClassState, class: &Bound<'_, PyType>) -> PyResult<Replaced> {
    let py = class.py();
    let native = nearest(state, class)?;
    let Some(entries) = native.originals.entries.get(py) else { return Ok(0) };
    let stands_for = native.originals.stock_classes.get(py).is_some_and(|classes| !classes.is_empty());
    let is_native = class.is(native.class(py));
    let mut replaced = 0;
    for original in entries {
        let name = original.name.bind(py);
        let construction = original.bit == INIT.trailing_zeros();
        if (!construction || is_native)
            && (!lookup(class, name)?.is_some_and(|found| found.is(&original.value))
                || construction && has_other_behaviour(original.value.bind(py)))
        {
            replaced |= 1 << original.bit;
        }
        if stands_for && !original.is_attribute(py) && native.originals.replaced_in_stock(py, name)?.is_some()
        {
            replaced |= IN_STOCK | 1 << original.bit;
        }
    }
    if native.is_observed(class.as_type_ptr()) {
        // Whatever native code would do without a look at attributes goes by name.
        replaced |= OTHERWISE;
    }
    if native.originals.not_called(class)?.is_some() {
        replaced |= NOT_CALLED;
    }
    Ok(replaced)
}

/// The `__init__`s that programs have put into bases of the class of asyncio's that a native class stands
/// for, bound to an object, with these bases, in the order in which `super()` would call them.
pub fn replaced_base_inits<'py, T: Class>(
    object: &Obj<'py, T>,
) -> PyResult<Vec<(Bound<'py, PyType>, Bound<'py, PyAny>)>> {
    let replaced = T::CLASS.originals.replaced_base_inits(object.py())?;
    replaced.into_iter().map(|(class, init)| Ok((class, bind(&init, object.as_any())?))).collect()
}

/// TypeError when a method of an object is replaced that native code would not call.
#[cold]
pub fn refuse<T: Class>(object: &Obj<'_, T>) -> PyResult<()> {
    let class = object.as_any().get_type();
    let Some(name) = nearest(T::CLASS, &class)?.originals.not_called(&class)? else { return Ok(()) };
    Err(PyTypeError::new_err(format!(
        "{name}() is replaced, a step of asyncio's {} that yibu's does not go through: put the original back, or run this program on asyncio",
        class.name()?
    )))
}

/// The native class that an instance of `class` is of: the first that derives from the one of `state`.
pub fn nearest(state: &'static ClassState, class: &Bound<'_, PyType>) -> PyResult<&'static ClassState> {
    let native = state.class(class.py());
    for base in class.mro() {
        if let Some(found) = natives(class.py()).iter().find(|found| found.class.is(&base))
            && found.class.bind(class.py()).is_subclass(&native)?
        {
            return Ok(found.state);
        }
    }
    Ok(state)
}

/// What to call instead of a native method, bound to its object: Python code has replaced it in the class of
/// asyncio's that the native class stands for.
#[cold]
pub fn replacement<'py, T: Class>(
    object: &Obj<'py, T>,
    function: TypeId,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (py, originals) = (object.py(), &T::CLASS.originals);
    if originals.skips_replacement.take() {
        return Ok(None);
    }
    let Some(name) = originals.names.get(py).and_then(|names| names.get(&function)) else { return Ok(None) };
    match originals.replaced_in_stock(py, name.bind(py))? {
        Some(found) => bind(&found, object.as_any()).map(Some),
        None => Ok(None),
    }
}

/// A method of a native class where that is replaced in the class itself or in the one of asyncio's that it
/// stands for: what the methods of classes derived from it call as `super().name()`.
#[inline]
pub fn replaced_in_base<'py, T: Class>(py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    if replaced_in::<T>(py) == 0 { Ok(None) } else { look_in_base(T::CLASS, &T::class(py), name) }
}

#[cold]
fn look_in_base<'py>(
    state: &'static ClassState,
    class: &Bound<'py, PyType>,
    name: &str,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (py, name) = (class.py(), PyString::new(class.py(), name));
    for original in state.originals.entries.get(py).into_iter().flatten() {
        if original.name.bind(py).as_any().eq(&name)? {
            let found = class.getattr(&name)?;
            if !found.is(&original.value) || has_other_behaviour(&found) {
                return Ok(Some(found));
            }
            return state.originals.replaced_in_stock(py, &name);
        }
    }
    Ok(None)
}

/// `found.__get__(object, type(object))`.
fn bind<'py>(found: &Bound<'py, PyAny>, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; the type of a live object is alive, and its slot is called as the interpreter calls
    // it.
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

/// Calls a native method of an object that is not to look for its replacement, because it is called by that.
pub(crate) fn call_native<R>(
    state: &'static ClassState,
    object: &Bound<'_, PyAny>,
    call: impl FnOnce() -> R,
) -> R {
    let skips_replacement = &state.originals.skips_replacement;
    // Only a method that would look takes it back.
    skips_replacement.set(find_out(state, &object.get_type()) & IN_STOCK != 0);
    let result = call();
    skips_replacement.set(false);
    result
}
