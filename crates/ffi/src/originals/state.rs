//! `Originals`: what a native class was when the module was made, and what was found out since then.

use std::any::TypeId;
use std::cell::Cell;
use std::collections::HashMap;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};

use crate::types::{assign_version, lookup, own};
use crate::versions::{self, Finding};

/// Which names of a class are replaced: a bit for each of [`crate::Class::HOOKS`], and the two below.
pub type Replaced = u64;

/// The bit of a name that is none of [`crate::Class::HOOKS`].
pub(crate) const OTHER: u32 = 62;

/// All methods of the class count as replaced: the bits of [`crate::Class::HOOKS`], and that of others.
pub(crate) const OTHERWISE: Replaced = (NOT_CALLED - 1) | 1 << OTHER;

/// `__init__` of the native class itself is replaced: objects are to be made by a call of the class. A
/// subclass of a program's own is called in any case, so it may have an `__init__` without this.
pub const INIT: Replaced = 1 << 61;

/// The native method that stands for `__init__` of a base of the class of asyncio's that the native one
/// stands for: the native `__init__` has done all by then.
#[cfg(Py_3_12)]
pub(crate) const BASE_INIT: &str = "_init_of_base";

/// A method is replaced that asyncio calls and the native class does not: objects refuse to be made.
pub const NOT_CALLED: Replaced = 1 << 59;

/// `__lt__` of the native class is replaced.
pub const ORDER: Replaced = 1 << 60;

/// Something is replaced in the class of asyncio's that the native one stands for. Methods of native classes
/// look there themselves when they are called (`replacement`).
pub const IN_STOCK: Replaced = 1 << 63;

const KEPT: usize = 8;

#[derive(Clone, Copy)]
pub(crate) struct Answer {
    tag: u32,
    replaced: Replaced,
}

/// No class has this tag: they are given in order.
const UNKNOWN: Answer = Answer { tag: u32::MAX, replaced: 0 };

/// What a native class had under a name.
pub(crate) struct Original {
    pub name: Py<PyString>,
    pub value: Py<PyAny>,
    pub bit: u32,
}

impl Original {
    /// Whether it is no method but gives and takes a value, which is the native object's in any case.
    pub(crate) fn is_attribute(&self, py: Python<'_>) -> bool {
        // SAFETY: attached; the type of a live object is alive.
        unsafe { (*ffi::Py_TYPE(self.value.bind(py).as_ptr())).tp_descr_set.is_some() }
    }
}

/// The name of a method that native code never calls, and what the native class had under it.
pub(crate) type NotCalled = (Py<PyString>, Option<Py<PyAny>>);

/// What a native class was when the module was made, and what was found out since then.
pub(crate) struct Originals {
    pub(crate) entries: PyOnceLock<Vec<Original>>,
    /// The classes of asyncio's that the native one stands for, in the order of their resolution, with what
    /// they had.
    pub(crate) stock_classes: PyOnceLock<Vec<(Py<PyType>, Py<PyDict>)>>,
    /// Methods of these that the native class has not, or does not call where asyncio does, with what it had
    /// under these names.
    pub(crate) not_called: PyOnceLock<Vec<NotCalled>>,
    /// Whether `__init__` of their bases is among these.
    pub(crate) skips_base_init: Cell<bool>,
    /// What the methods are called, by the types of the Rust functions.
    pub(crate) names: PyOnceLock<HashMap<TypeId, Py<PyString>>>,
    /// The first of them, and its version tag when it was last looked at.
    pub(crate) stock: Cell<*mut ffi::PyTypeObject>,
    pub(crate) stock_version: Cell<u32>,
    pub(crate) answers: [Cell<Answer>; KEPT],
    /// What is replaced in the class that most instances are of, as long as that holds.
    pub(crate) main_finding: Finding,
    pub(crate) main_replaced: Cell<Replaced>,
    /// Whether changes of that class cannot be told.
    pub(crate) unwatched: Cell<bool>,
    /// Whether the next method called is the native one, whatever was replaced: its replacement calls the
    /// original.
    pub(crate) skips_replacement: Cell<bool>,
}

impl Originals {
    /// Before the module is made.
    pub(crate) const fn new() -> Self {
        Self {
            entries: PyOnceLock::new(),
            stock_classes: PyOnceLock::new(),
            not_called: PyOnceLock::new(),
            skips_base_init: Cell::new(false),
            names: PyOnceLock::new(),
            stock: Cell::new(std::ptr::null_mut()),
            stock_version: Cell::new(0),
            answers: [const { Cell::new(UNKNOWN) }; KEPT],
            main_finding: Finding::new(),
            main_replaced: Cell::new(0),
            unwatched: Cell::new(false),
            skips_replacement: Cell::new(false),
        }
    }

    /// Tells what the Rust functions of the methods are called.
    pub(crate) fn name_functions(&self, py: Python<'_>, names: HashMap<TypeId, Py<PyString>>) {
        // Only importing the module a second time finds it full, and then it is right.
        let _ = self.names.set(py, names);
    }

    /// Each function of asyncio's that a native method stands for, with that. `__init__` of a base does less
    /// than the native one: for it stands [`BASE_INIT`], where the native class has it.
    #[cfg(Py_3_12)]
    pub(crate) fn counterparts<'py>(
        &self,
        py: Python<'py>,
        mut each: impl FnMut(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> PyResult<()>,
    ) -> PyResult<()> {
        for original in self.entries.get(py).into_iter().flatten() {
            let name = original.name.bind(py);
            let mut method = original.value.bind(py);
            for (_, had) in self.stock_classes.get(py).into_iter().flatten() {
                if let Some(function) = had.bind(py).get_item(name)? {
                    each(&function, method)?;
                    if original.bit == INIT.trailing_zeros() {
                        let Some(of_base) = self.method(py, BASE_INIT)? else { break };
                        method = of_base;
                    }
                }
            }
        }
        Ok(())
    }

    /// The native method of a name.
    #[cfg(Py_3_12)]
    fn method<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<&Bound<'py, PyAny>>> {
        for original in self.entries.get(py).into_iter().flatten() {
            if original.name.bind(py).to_str()? == name {
                return Ok(Some(original.value.bind(py)));
            }
        }
        Ok(None)
    }

    /// The `__init__`s that programs have put into the bases of the first class of asyncio's that has one,
    /// with these bases.
    pub(crate) fn replaced_base_inits<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyType>, Bound<'py, PyAny>)>> {
        let name = PyString::intern(py, "__init__");
        let mut replaced = Vec::new();
        let classes = self.stock_classes.get(py).into_iter().flatten();
        let with_init = classes.filter_map(|(class, had)| Some((class, had.bind(py).get_item(&name).ok()??)));
        for (class, before) in with_init.skip(1) {
            if let Some(now) = own(class.bind(py), &name)?.filter(|now| !now.is(&before)) {
                replaced.push((class.bind(py).clone(), now));
            }
        }
        Ok(replaced)
    }

    /// What replaces a name in the classes of asyncio's that the native one stands for. A base counts where
    /// asyncio's methods of the classes before it go on to it.
    pub(crate) fn replaced_in_stock<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        for (class, had) in self.stock_classes.get(py).into_iter().flatten() {
            let (now, before) = (own(class.bind(py), name)?, had.bind(py).get_item(name)?);
            match (now, before) {
                (Some(now), Some(before)) if now.is(&before) => {
                    if name.to_str()? == "__init__" || !calls_base(&before)? {
                        return Ok(None);
                    }
                }
                (Some(now), None) if self.is_inherited(class.bind(py), name, &now)? => {}
                (Some(now), _) => return Ok(Some(now)),
                (None, _) => {}
            }
        }
        Ok(None)
    }

    /// Whether a class has under a name what it inherited: a program that puts back what it had found there
    /// sets it on the class.
    fn is_inherited<'py>(
        &self,
        class: &Bound<'py, PyType>,
        name: &Bound<'py, PyString>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<bool> {
        let py = class.py();
        let bases = self.stock_classes.get(py).into_iter().flatten();
        for (_, had) in bases.skip_while(|(base, _)| !base.is(class)).skip(1) {
            if let Some(inherited) = had.bind(py).get_item(name)? {
                return Ok(inherited.is(value));
            }
        }
        Ok(false)
    }

    /// Whether `__init__` is replaced in a base to which asyncio's classes go on by `super()`: the native one
    /// does not.
    fn is_base_init_replaced(&self, py: Python<'_>) -> PyResult<bool> {
        let name = PyString::intern(py, "__init__");
        let mut derived = false;
        for (class, had) in self.stock_classes.get(py).into_iter().flatten() {
            let (now, before) = (own(class.bind(py), &name)?, had.bind(py).get_item(&name)?);
            match (now, before) {
                (Some(now), Some(before)) if now.is(&before) => {
                    if !calls_base(&before)? {
                        return Ok(false);
                    }
                }
                (Some(now), None) if self.is_inherited(class.bind(py), &name, &now)? => continue,
                (Some(_), _) => return Ok(derived),
                (None, _) => continue,
            }
            derived = true;
        }
        Ok(false)
    }

    /// A method that is replaced, in `class` or in the classes of asyncio's that it stands for, and not
    /// called.
    pub(crate) fn not_called<'py>(
        &self,
        class: &Bound<'py, PyType>,
    ) -> PyResult<Option<Bound<'py, PyString>>> {
        let py = class.py();
        if self.skips_base_init.get() && self.is_base_init_replaced(py)? {
            return Ok(Some(PyString::intern(py, "__init__")));
        }
        for (name, original) in self.not_called.get(py).into_iter().flatten() {
            let name = name.bind(py);
            let same = match (lookup(class, name)?, original) {
                (Some(found), Some(original)) => found.is(original),
                (found, original) => found.is_none() && original.is_none(),
            };
            if !same || self.replaced_in_stock(py, name)?.is_some() {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    /// Itself, after a look at whether the class that it stands for has changed. One that the native class
    /// derives from changes the native one's tag, so it is not `beside` it.
    #[inline(always)]
    pub(crate) fn up_to_date(&self, beside: bool) -> &Self {
        if beside {
            let stock = self.stock.get();
            if !stock.is_null() {
                // SAFETY: attached; a type that `stock_classes` keeps alive.
                let version = unsafe { (*stock).tp_version_tag };
                // Without a tag it has changed since the last comparison.
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
        for answer in &self.answers {
            answer.set(UNKNOWN);
        }
    }

    /// Another class is the one that most instances are of.
    pub(crate) fn forget_main_class(&self) {
        self.main_finding.forget();
        self.unwatched.set(false);
    }

    /// What is replaced in the class that most instances are of, while nothing has changed.
    #[inline(always)]
    pub(crate) fn replaced_in_main_class(&self) -> Option<Replaced> {
        self.main_finding.holds().then(|| self.main_replaced.get())
    }

    /// Has changes told of everything that answers about the class depend on; whether they will be.
    pub(crate) fn watch(&self, class: &Bound<'_, PyType>) -> bool {
        let py = class.py();
        let stock_classes = self
            .stock_classes
            .get(py)
            .into_iter()
            .flatten()
            .map(|(class, _)| class.bind(py).clone().into_any());
        class
            .mro()
            .iter()
            .chain(stock_classes)
            .all(|base| base.cast::<PyType>().is_ok_and(versions::watch_class))
    }

    /// What was found out about the class with a tag is remembered.
    pub(crate) fn remember(&self, tag: u32, replaced: Replaced) {
        if tag != 0 {
            self.answers[tag as usize % KEPT].set(Answer { tag, replaced });
        }
    }

    /// What was found out about the class with a tag.
    #[inline(always)]
    pub(crate) fn known(&self, tag: u32) -> Option<Replaced> {
        let answer = self.answers[tag as usize % KEPT].get();
        (answer.tag == tag).then_some(answer.replaced)
    }
}

/// Whether a function of asyncio's calls `super()`.
fn calls_base(function: &Bound<'_, PyAny>) -> PyResult<bool> {
    match function.getattr_opt("__code__")? {
        Some(code) => code.getattr("co_names")?.contains("super"),
        None => Ok(false),
    }
}
