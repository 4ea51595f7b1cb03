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

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFunction, PyString, PyType};

use super::class::{Class, ClassState, Obj};
use super::function;
use super::versions::{self, Finding};

/// Which names of a class are replaced: a bit for each of [`Class::HOOKS`], and the two below.
pub type Replaced = u64;

/// The bit of a name that is none of [`Class::HOOKS`].
const OTHER: u32 = 62;
/// `__init__` of the native class itself is replaced: objects are to be made by a call of the class. A subclass of a program's own is
/// called in any case, so it may have an `__init__` without this.
pub const INIT: Replaced = 1 << 61;
/// A method is replaced that asyncio calls and the native class does not: objects refuse to be made.
pub const UNHEARD: Replaced = 1 << 59;
/// `__lt__` of the native class is replaced.
pub const ORDER: Replaced = 1 << 60;
/// Something is replaced in the class of asyncio's that the native one stands for. Methods of native classes look there
/// themselves when they are called ([`replacement`]).
pub const BEHIND: Replaced = 1 << 63;

const KEPT: usize = 8;

#[derive(Clone, Copy)]
struct Verdict {
    tag: u32,
    replaced: Replaced,
}

/// No class has this tag: they are given in order.
const UNKNOWN: Verdict = Verdict { tag: u32::MAX, replaced: 0 };

struct Original {
    name: Py<PyString>,
    value: Py<PyAny>,
    bit: u32,
}

impl Original {
    /// Whether it is no method but gives and takes a value, which is the native object's in any case.
    fn is_attribute(&self, py: Python<'_>) -> bool {
        // SAFETY: attached; the type of a live object is alive.
        unsafe { (*ffi::Py_TYPE(self.value.bind(py).as_ptr())).tp_descr_set.is_some() }
    }
}

/// The name of a method that nobody calls, and what the native class had under it.
type Unheard = (Py<PyString>, Option<Py<PyAny>>);

/// What a native class was when the module was made, and what was found out since then.
pub struct Originals {
    entries: PyOnceLock<Vec<Original>>,
    /// The classes of asyncio's that the native one stands for, in the order of their resolution, with what they had.
    behind: PyOnceLock<Vec<(Py<PyType>, Py<PyDict>)>>,
    /// Methods of these that the native class has not, or does not call where asyncio does, with what it had under these names.
    unheard: PyOnceLock<Vec<Unheard>>,
    /// What the methods are called, by the types of the Rust functions.
    names: PyOnceLock<HashMap<TypeId, Py<PyString>>>,
    /// The first of them, and its version tag when it was last looked at.
    stock: Cell<*mut ffi::PyTypeObject>,
    stock_version: Cell<u32>,
    verdicts: [Cell<Verdict>; KEPT],
    /// What is replaced in the class that most instances are of, as long as that holds.
    usual: Finding,
    usually_replaced: Cell<Replaced>,
    /// Whether changes of that class cannot be told.
    unwatched: Cell<bool>,
    /// Whether the next method called is the native one, whatever was replaced: its replacement calls the original.
    passing: Cell<bool>,
}

impl Originals {
    /// Before the module is made.
    pub const fn new() -> Self {
        Self {
            entries: PyOnceLock::new(),
            behind: PyOnceLock::new(),
            unheard: PyOnceLock::new(),
            names: PyOnceLock::new(),
            stock: Cell::new(std::ptr::null_mut()),
            stock_version: Cell::new(0),
            verdicts: [const { Cell::new(UNKNOWN) }; KEPT],
            usual: Finding::new(),
            usually_replaced: Cell::new(0),
            unwatched: Cell::new(false),
            passing: Cell::new(false),
        }
    }

    /// Tells what the Rust functions of the methods are called.
    pub(super) fn name_functions(&self, py: Python<'_>, names: HashMap<TypeId, Py<PyString>>) {
        // Only importing the module a second time finds it full, and then it is right.
        let _ = self.names.set(py, names);
    }

    /// Each function of asyncio's that a native method stands for, with that. `__init__` of a base does less than the native one.
    #[cfg(Py_3_12)]
    pub(super) fn counterparts<'py>(
        &self,
        py: Python<'py>,
        mut each: impl FnMut(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> PyResult<()>,
    ) -> PyResult<()> {
        for original in self.entries.get(py).into_iter().flatten() {
            let name = original.name.bind(py);
            for (_, had) in self.behind.get(py).into_iter().flatten() {
                if let Some(function) = had.bind(py).get_item(name)? {
                    each(&function, original.value.bind(py))?;
                    if original.bit == INIT.trailing_zeros() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// What replaces a name in the classes of asyncio's that the native one stands for. A base counts where asyncio's methods of
    /// the classes before it go on to it.
    fn behind<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        for (class, had) in self.behind.get(py).into_iter().flatten() {
            let (now, before) = (own(class.bind(py), name)?, had.bind(py).get_item(name)?);
            match (now, before) {
                (Some(now), Some(before)) if now.is(&before) => {
                    if name.to_str()? == "__init__" || !calls_base(&before)? {
                        return Ok(None);
                    }
                }
                (Some(now), _) => return Ok(Some(now)),
                (None, _) => {}
            }
        }
        Ok(None)
    }

    /// A method that is replaced, in `class` or behind it, and not called.
    fn unheard<'py>(&self, class: &Bound<'py, PyType>) -> PyResult<Option<Bound<'py, PyString>>> {
        let py = class.py();
        for (name, usual) in self.unheard.get(py).into_iter().flatten() {
            let name = name.bind(py);
            let same = match (lookup(class, name)?, usual) {
                (Some(found), Some(usual)) => found.is(usual),
                (found, usual) => found.is_none() && usual.is_none(),
            };
            if !same || self.behind(py, name)?.is_some() {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    /// Itself, after a look at whether the class that it stands for has changed. One that the native class derives from changes
    /// the native one's tag.
    #[inline(always)]
    fn up_to_date<T: Class>(&self) -> &Self {
        if T::STANDS_FOR_STOCK && !T::DERIVES_FROM_STOCK {
            let stock = self.stock.get();
            if !stock.is_null() {
                // SAFETY: attached; a type that `behind` keeps alive.
                let version = unsafe { (*stock).tp_version_tag };
                // Without a tag it has changed since somebody last looked.
                if version == 0 || version != self.stock_version.get() {
                    self.forget();
                }
            }
        }
        self
    }

    /// The class that it stands for is another one: nothing that was found out holds any more.
    #[cold]
    fn forget(&self) {
        // SAFETY: attached; not null, says the caller.
        self.stock_version.set(unsafe { assign_version(self.stock.get()) });
        for verdict in &self.verdicts {
            verdict.set(UNKNOWN);
        }
    }

    /// Another class is the one that most instances are of.
    pub(super) fn forget_usual(&self) {
        self.usual.forget();
        self.unwatched.set(false);
    }

    /// What is replaced in the class that most instances are of, while nothing has changed.
    #[inline(always)]
    fn usually(&self) -> Option<Replaced> {
        self.usual.holds().then(|| self.usually_replaced.get())
    }

    /// Has changes told of everything that answers about the class depend on; whether they will be.
    fn watch(&self, class: &Bound<'_, PyType>) -> bool {
        let py = class.py();
        let behind =
            self.behind.get(py).into_iter().flatten().map(|(class, _)| class.bind(py).clone().into_any());
        class.mro().iter().chain(behind).all(|base| base.cast::<PyType>().is_ok_and(versions::watch_class))
    }

    #[inline(always)]
    fn known(&self, tag: u32) -> Option<Replaced> {
        let verdict = self.verdicts[tag as usize % KEPT].get();
        (verdict.tag == tag).then_some(verdict.replaced)
    }
}

/// A native class.
pub(super) struct Native {
    pub class: Py<PyType>,
    pub state: &'static ClassState,
    hooks: &'static [&'static [&'static str]],
    unheard: &'static [&'static str],
    /// Whether asyncio's class is among its bases, so that it has all methods.
    derives: bool,
    stock: for<'py> fn(Python<'py>) -> PyResult<Option<&'py Bound<'py, PyType>>>,
}

#[cfg(not(Py_3_12))]
impl Native {
    /// Whether it stands for a class of asyncio's.
    pub fn stands_for_stock(&self) -> bool {
        Python::attach(|py| self.state.originals.behind.get(py).is_some_and(|classes| !classes.is_empty()))
    }
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
        unheard: T::UNHEARD,
        derives: T::DERIVES_FROM_STOCK,
        stock: if T::STANDS_FOR_STOCK { T::stock } else { |_| Ok(None) },
    };
    MADE.lock().unwrap_or_else(PoisonError::into_inner).push(native);
}

pub(super) fn natives(py: Python<'_>) -> &[Native] {
    NATIVES.get(py).map_or(&[], Vec::as_slice)
}

/// Takes note of every native class as it is now. Called when all of them are made.
pub fn remember(py: Python<'_>) -> PyResult<()> {
    let made = std::mem::take(&mut *MADE.lock().unwrap_or_else(PoisonError::into_inner));
    // Only importing the module a second time finds any of this full, and then it is right.
    let _ = NATIVES.set(py, made);
    // Some of asyncio's classes are behind several native ones: what they have is looked at when they have all wrappers.
    #[cfg(not(Py_3_12))]
    for Native { class, stock, .. } in natives(py) {
        // Of `__init__` only the first: those of its bases do less than the native one.
        let (init, mut init_seen) = (PyString::intern(py, "__init__"), false);
        for base in stock(py)?.map_or_else(|| Ok(Vec::new()), bases_behind)? {
            let has_init = !init_seen && own(&base, &init)?.is_some();
            init_seen |= has_init;
            super::stand_ins::wrap(&base, class.bind(py), has_init)?;
        }
    }
    for Native { class, state, hooks, unheard, derives, stock } in natives(py) {
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
        let mut behind = Vec::new();
        if let Some(stock) = stock(py)? {
            for base in bases_behind(stock)? {
                let had = content(&base)?;
                behind.push((base.unbind(), had.unbind()));
            }
        }
        let mut missing = Vec::new();
        for (name, value) in behind.iter().flat_map(|(_, had)| had.bind(py).iter()) {
            let name = name.cast_into::<PyString>()?;
            let text = name.to_str()?;
            if value.is_instance_of::<PyFunction>()
                && !text.starts_with("__")
                && (unheard.contains(&text) || !derives && lookup(class, &name)?.is_none())
            {
                let usual = lookup(class, &name)?.map(Bound::unbind);
                missing.push((name.unbind(), usual));
            }
        }
        let _ = state.originals.unheard.set(py, missing);
        if let Some((stock, _)) = behind.first() {
            state.originals.stock.set(stock.as_ptr().cast());
        }
        let _ = state.originals.behind.set(py, behind);
    }
    Ok(())
}

impl<T: Class> Obj<'_, T> {
    /// What of the object's class is replaced.
    #[inline(always)]
    pub fn replaced(&self) -> Replaced {
        if cfg!(not(Py_3_12)) {
            return by_tag::<T>(self.class_version(), || self.as_any().get_type());
        }
        match T::state().originals.usually() {
            Some(replaced) if self.is_usual() => replaced,
            _ => self.look(),
        }
    }

    /// Whether the object is of the class that most instances are of, and nothing has changed since that was last looked at.
    #[inline(always)]
    pub fn is_known(&self) -> bool {
        self.is_usual() && T::state().originals.usual.holds()
    }

    /// Whether the object is of the class that most instances are of.
    #[inline(always)]
    pub fn is_usual(&self) -> bool {
        T::state().is_usual(self.as_any().as_ptr())
    }

    #[cold]
    #[inline(never)]
    fn look(&self) -> Replaced {
        let class = || self.as_any().get_type();
        if self.is_usual() { look_usual::<T>(self.py()) } else { by_tag::<T>(self.class_version(), class) }
    }

    /// Whether all attributes of the object are those of its native class: what asyncio calls by name may be called directly.
    #[inline]
    pub fn is_native(&self) -> bool {
        self.replaced() == 0 && self.attribute_count() == 0
    }
}

/// What of a class is replaced, by its version tag.
#[inline(always)]
fn by_tag<'py, T: Class>(tag: u32, class: impl FnOnce() -> Bound<'py, PyType>) -> Replaced {
    // No class has the tag 0: it stands for none.
    let known = T::state().originals.up_to_date::<T>().known(tag);
    known.unwrap_or_else(|| judge(T::state(), &class()))
}

/// What is replaced in the class that most instances are of, looked at again and watched.
fn look_usual<T: Class>(py: Python<'_>) -> Replaced {
    let (state, changes) = (T::state(), versions::changes());
    let class = state.usual(py);
    // First, so that it has a version. What cannot be watched any more has changed so often that the interpreter gave up counting.
    let watched = !state.originals.unwatched.get() && state.originals.watch(&class);
    state.originals.unwatched.set(!watched);
    let own = by_tag::<T>(versions::class_version(&class).unwrap_or(0), || class.clone());
    let replaced = own | T::replaced_elsewhere(py);
    if watched {
        state.originals.usually_replaced.set(replaced);
        state.originals.usual.set(changes);
    }
    replaced
}

/// What of the native class itself is replaced, for the instances that native code makes.
#[inline(always)]
pub fn replaced_in<T: Class>(py: Python<'_>) -> Replaced {
    let state = T::state();
    match state.originals.usually() {
        Some(replaced) if state.is_usually_native() => replaced,
        _ if cfg!(Py_3_12) && state.is_usually_native() => look_usual::<T>(py),
        _ => by_tag::<T>(state.version(), || state.class(py)),
    }
}

/// Whether nothing has changed since [`replaced_in`] was asked.
pub fn is_known<T: Class>() -> bool {
    T::state().is_usually_native() && T::state().originals.usual.holds()
}

/// Finds out, and remembers. What cannot be found out counts as replaced: then everything goes by name.
#[cold]
fn judge(state: &'static ClassState, class: &Bound<'_, PyType>) -> Replaced {
    let originals = &state.originals;
    let tag = give_version(class);
    if let Some(known) = originals.known(tag).filter(|_| tag != 0) {
        return known;
    }
    let replaced = compare(state, class).unwrap_or_else(|error| {
        error.write_unraisable(class.py(), Some(class.as_any()));
        Replaced::MAX
    });
    if tag != 0 {
        originals.verdicts[tag as usize % KEPT].set(Verdict { tag, replaced });
    }
    replaced
}

fn compare(state: &'static ClassState, class: &Bound<'_, PyType>) -> PyResult<Replaced> {
    let py = class.py();
    let native = nearest(state, class)?;
    let Some(entries) = native.originals.entries.get(py) else { return Ok(0) };
    let stands_for = native.originals.behind.get(py).is_some_and(|classes| !classes.is_empty());
    let is_native = class.is(native.class(py));
    let mut replaced = 0;
    for original in entries {
        let name = original.name.bind(py);
        let construction = original.bit == INIT.trailing_zeros();
        if (!construction || is_native)
            && (!lookup(class, name)?.is_some_and(|found| found.is(&original.value))
                || construction && function::acts_otherwise(original.value.bind(py)))
        {
            replaced |= 1 << original.bit;
        }
        if stands_for && !original.is_attribute(py) && native.originals.behind(py, name)?.is_some() {
            replaced |= BEHIND | 1 << original.bit;
        }
    }
    if native.originals.unheard(class)?.is_some() {
        replaced |= UNHEARD;
    }
    Ok(replaced)
}

/// The classes of asyncio's behind a native one. Those of protocols are programs' bases, and nothing stands in for them.
fn bases_behind<'py>(stock: &Bound<'py, PyType>) -> PyResult<Vec<Bound<'py, PyType>>> {
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

/// TypeError when a method of an object is replaced that nobody would call.
#[cold]
pub fn refuse<T: Class>(object: &Obj<'_, T>) -> PyResult<()> {
    let class = object.as_any().get_type();
    let Some(name) = nearest(T::state(), &class)?.originals.unheard(&class)? else { return Ok(()) };
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

/// A method of a native class where that is replaced in the class itself: what the methods of classes derived from it call as
/// `super().name()`.
#[inline]
pub fn replaced_in_base<'py, T: Class>(py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    if replaced_in::<T>(py) == 0 { Ok(None) } else { look_in_base(T::state(), &T::class(py), name) }
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
            let same = found.is(&original.value) && !function::acts_otherwise(&found);
            return Ok((!same).then_some(found));
        }
    }
    Ok(None)
}

/// Whether a function of asyncio's calls `super()`.
fn calls_base(function: &Bound<'_, PyAny>) -> PyResult<bool> {
    match function.getattr_opt("__code__")? {
        Some(code) => code.getattr("co_names")?.contains("super"),
        None => Ok(false),
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

/// Calls a native method of an object that is not to look for its replacement, because it is called by that.
pub(super) fn call_native<R>(
    state: &'static ClassState,
    object: &Bound<'_, PyAny>,
    call: impl FnOnce() -> R,
) -> R {
    let passing = &state.originals.passing;
    // Only a method that would look takes it back.
    passing.set(judge(state, &object.get_type()) & BEHIND != 0);
    let result = call();
    passing.set(false);
    result
}

/// The version tag of a class, given to it if it has none. 0 when it cannot have one.
fn give_version(class: &Bound<'_, PyType>) -> u32 {
    // SAFETY: attached; the object is a type, and alive.
    unsafe { assign_version(class.as_type_ptr()) }
}

/// See [`give_version`].
///
/// # Safety
/// A live type, by attached code.
unsafe fn assign_version(class: *mut ffi::PyTypeObject) -> u32 {
    #[cfg(not(Py_3_12))]
    unsafe extern "C" {
        fn _PyType_Lookup(class: *mut ffi::PyTypeObject, name: *mut ffi::PyObject) -> *mut ffi::PyObject;
    }
    #[cfg(Py_3_12)]
    unsafe extern "C" {
        fn PyUnstable_Type_AssignVersionTag(class: *mut ffi::PyTypeObject) -> std::ffi::c_int;
    }
    // SAFETY: the caller's promise. Looking a name up runs no Python code, and gives a version.
    unsafe {
        #[cfg(not(Py_3_12))]
        {
            let py = Python::assume_attached();
            _PyType_Lookup(class, pyo3::intern!(py, "__doc__").as_ptr());
        }
        #[cfg(Py_3_12)]
        PyUnstable_Type_AssignVersionTag(class);
        (*class).tp_version_tag
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
