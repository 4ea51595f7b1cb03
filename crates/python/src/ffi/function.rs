//! `Function`: a native function that looks and behaves like the Python function that asyncio has in its place, its twin.
//!
//! Calls go straight to the Rust code, by one of the functions below for each calling convention. All that can be asked of a
//! function is answered as the twin answers it, or as the program has set it ([`attributes`]). Calls that the fast way does not
//! take (a keyword for a parameter that a C function does not name, a wrong number of arguments) are bound to parameters by
//! the interpreter itself ([`binding`]), so they do and say what they do and say to a Python function.
//!
//! [`Table::build`](super::Table::build) makes them of the methods of a class ([`dress`]), `functions.rs` those of modules.

mod attributes;
mod binding;
pub mod naming;

use std::cell::Cell;
use std::ffi::CStr;
use std::mem::offset_of;
use std::ptr::null_mut;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFunction, PyString, PyType};

use super::class::{Class, ClassState, Header, Instance, Obj, Table, data_of};
use super::trampoline::{self as tramp, Stateless, guard, lend};
use super::versions::Verified;
use super::{Args, Output, Slot, Visitor};

unsafe extern "C" {
    /// A bound method; part of the C API that PyO3 does not declare.
    fn PyMethod_New(function: *mut ffi::PyObject, object: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

/// Weak references, a `__dict__`, and calls by the vectorcall protocol.
#[repr(C)]
pub struct FunctionHeader {
    dict: *mut ffi::PyObject,
    weak: *mut ffi::PyObject,
    vectorcall: Option<ffi::vectorcallfunc>,
}

// SAFETY: the offsets are the compiler's; a null function pointer is `None`.
unsafe impl Header for FunctionHeader {
    const DICT: Option<usize> = Some(offset_of!(FunctionHeader, dict));
    const WEAK: Option<usize> = Some(offset_of!(FunctionHeader, weak));
    const VECTORCALL: Option<usize> = Some(offset_of!(FunctionHeader, vectorcall));
}

/// The data of a native function. What is set by the program is empty until then.
#[derive(Default)]
pub struct Function {
    /// The way of a call to the Rust code.
    way: Cell<Option<ffi::vectorcallfunc>>,
    /// The class whose method it is.
    owner: Cell<Option<&'static ClassState>>,
    /// The C function, method or slot, as an object.
    native: Slot,
    /// What asyncio has in its place.
    twin: Slot,
    /// Binds arguments to parameters; see [`binding`].
    binder: Slot,
    /// The Python function that runs instead: the program has set `__code__`.
    replacement: Slot,
    /// Of a module's function: that nothing was replaced which the twin looks up, and who finds out.
    verified: Verified,
    lookups: Cell<Option<&'static dyn Lookups>>,
    set: attributes::Set,
}

/// What the twin of a module's function looks up by name when it runs.
pub trait Lookups: 'static {
    /// Whether something of that was replaced, so that the twin has to run itself. Where nothing was, `verified` is told.
    fn are_replaced(&self, twin: &Bound<'_, PyAny>, verified: &Verified) -> bool;
}

/// The Python function that a function of a module stands for, and what that looks up.
pub type Twin<'py> = (Bound<'py, PyAny>, &'static dyn Lookups);

static FUNCTION: ClassState = ClassState::new();

impl Function {
    fn of<'py>(
        way: ffi::vectorcallfunc,
        owner: Option<&'static ClassState>,
        native: Bound<'py, PyAny>,
        twin: Bound<'py, PyAny>,
    ) -> PyResult<Obj<'py, Self>> {
        let function = Self::create(native.py())?;
        function.way.set(Some(way));
        function.owner.set(owner);
        function.native.put(native);
        function.twin.put(twin);
        route(&function);
        immortalise(&function);
        Ok(function)
    }

    /// Whether the twin has to run in the place of the Rust code, after something has changed.
    #[cold]
    fn must_run_twin(&self, py: Python<'_>) -> bool {
        let twin = self.twin.get_or_none(py);
        self.lookups.get().is_some_and(|lookups| lookups.are_replaced(&twin, &self.verified))
    }

    /// Whether an object is one that the Rust code can work on.
    fn serves(&self, object: &Bound<'_, PyAny>) -> bool {
        self.owner.get().is_none_or(|owner| owner.has(object.as_ptr()))
    }
}

/// Ends the counting of references to a function: it lives as long as its class or module anyhow, and every call counts twice.
#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
fn immortalise(function: &Obj<'_, Function>) {
    let object = function.as_any().as_ptr();
    // SAFETY: attached; the object is alive, new, and known to this thread only. The count is the one that this version of the
    // interpreter gives to immortal objects. It is not part of garbage from now on, so the collector need not look at it.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        #[cfg(Py_3_14)]
        {
            (*object).ob_refcnt.ob_refcnt_full = 3 << 30;
        }
        #[cfg(not(Py_3_14))]
        {
            (*object).ob_refcnt.ob_refcnt = u32::MAX as ffi::Py_ssize_t;
        }
    }
}

#[cfg(not(all(Py_3_12, not(Py_GIL_DISABLED))))]
fn immortalise(_function: &Obj<'_, Function>) {}

/// Lets calls of a function go the way that its attributes ask for.
fn route(function: &Obj<'_, Function>) {
    let way = match function.way.get() {
        _ if !function.replacement.is_empty() => call_replacement,
        Some(way) if !function.set.defaults_differ() => way,
        _ => call_bound,
    };
    // SAFETY: layout; the interpreter reads the field when it calls the function, on an attached thread.
    unsafe {
        (*function.as_any().as_ptr().cast::<Instance<Function>>()).header().vectorcall = Some(way);
    }
}

/// A call of METH_NOARGS code. Other arguments than the object itself go the slow way, as in the following ones.
pub(super) unsafe extern "C" fn call_noargs<T, F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: called by CPython on a Function, attached, with arguments by the vectorcall protocol; the Rust code gets an object
    // of its class.
    unsafe {
        if ffi::PyVectorcall_NARGS(nargsf) == 1 && keywords.is_null() && T::state().has(*args) {
            return tramp::noargs::<T, F>(*args, null_mut());
        }
        call_bound(slf, args, nargsf, keywords)
    }
}

/// A call of METH_O code.
pub(super) unsafe extern "C" fn call_one<T, F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>) -> Output<'py>,
{
    // SAFETY: as in `call_noargs`.
    unsafe {
        if ffi::PyVectorcall_NARGS(nargsf) == 2 && keywords.is_null() && T::state().has(*args) {
            return tramp::one::<T, F>(*args, *args.add(1));
        }
        call_bound(slf, args, nargsf, keywords)
    }
}

/// A call of METH_FASTCALL | METH_KEYWORDS code.
pub(super) unsafe extern "C" fn call_fast<T, F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: as in `call_noargs`; the other arguments follow the object.
    unsafe {
        let count = ffi::PyVectorcall_NARGS(nargsf);
        if count > 0 && T::state().has(*args) {
            let result = tramp::fast::<T, F>(*args, args.add(1), count - 1, keywords);
            return if result.is_null() { failed(slf, args, nargsf, keywords) } else { result };
        }
        call_bound(slf, args, nargsf, keywords)
    }
}

/// A call of the code of a module's function.
pub(super) unsafe extern "C" fn call_free<F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Stateless + for<'a, 'py> Fn(Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: as in `call_noargs`.
    unsafe {
        if !slf.is_null() {
            let py = Python::assume_attached();
            let function: &Function = data_of(slf);
            if !function.verified.holds(py) {
                match guard(py, None, || Ok(Some(function.must_run_twin(py)))) {
                    Some(false) => {}
                    Some(true) => {
                        return ffi::PyObject_Vectorcall(function.twin.as_ptr(), args, nargsf, keywords);
                    }
                    None => return null_mut(),
                }
            }
        }
        let result = tramp::function::<F>(args, ffi::PyVectorcall_NARGS(nargsf), keywords);
        if result.is_null() { failed(slf, args, nargsf, keywords) } else { result }
    }
}

/// METH_NOARGS, for a method that is mostly called as a Function: goes by [`call_noargs`], so that the Rust code is a part of one
/// function only, that of ordinary calls, and is compiled into it.
pub(super) unsafe extern "C" fn noargs<T, F>(
    slf: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: called by CPython on an instance of T's type, attached; the arguments are alive for the call.
    unsafe { call_noargs::<T, F>(null_mut(), &raw const slf, 1, null_mut()) }
}

/// METH_O, in the same way.
pub(super) unsafe extern "C" fn one<T, F>(
    slf: *mut ffi::PyObject,
    arg: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>) -> Output<'py>,
{
    let args = [slf, arg];
    // SAFETY: as in `noargs`.
    unsafe { call_one::<T, F>(null_mut(), args.as_ptr(), args.len(), null_mut()) }
}

/// METH_FASTCALL | METH_KEYWORDS, in the same way.
pub(super) unsafe extern "C" fn fast<T, F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: as in `noargs`; the arguments follow the vectorcall protocol.
    unsafe {
        let named = if keywords.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(keywords).unsigned_abs() };
        let count = nargs.unsigned_abs();
        let mut all = Vec::new();
        if all.try_reserve_exact(1 + count + named).is_err() {
            return ffi::PyErr_NoMemory();
        }
        all.push(slf);
        if !args.is_null() {
            all.extend_from_slice(std::slice::from_raw_parts(args, count + named));
        }
        call_fast::<T, F>(null_mut(), all.as_ptr(), 1 + count, keywords)
    }
}

/// METH_FASTCALL | METH_KEYWORDS of a module's function, in the same way.
pub(super) unsafe extern "C" fn free<F>(
    _: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Stateless + for<'a, 'py> Fn(Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: as in `fast`.
    unsafe { call_free::<F>(null_mut(), args, nargs.unsigned_abs(), keywords) }
}

/// A call of what stands for a slot of the type, such as `__init__`.
unsafe extern "C" fn call_object(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `call_noargs`; `native` is a live object that the function keeps.
    unsafe {
        let function: &Function = data_of(slf);
        if ffi::PyVectorcall_NARGS(nargsf) > 0 && function.owner.get().is_some_and(|owner| owner.has(*args)) {
            let result = ffi::PyObject_Vectorcall(function.native.as_ptr(), args, nargsf, keywords);
            return if result.is_null() { failed(slf, args, nargsf, keywords) } else { result };
        }
        call_bound(slf, args, nargsf, keywords)
    }
}

unsafe extern "C" fn call_replacement(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `call_noargs`. The function may set another `__code__` while this one runs, so it is kept for that time.
    unsafe {
        let py = Python::assume_attached();
        let function: &Function = data_of(slf);
        let replacement = function.replacement.get_or_none(py);
        ffi::PyObject_Vectorcall(replacement.as_ptr(), args, nargsf, keywords)
    }
}

/// The slow way of all calls, and the only one of a function whose defaults were set.
#[cold]
unsafe extern "C" fn call_bound(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `call_noargs`; function and arguments are only lent. There is no function where a C function was called, whose
    // arguments were bound before.
    unsafe {
        let py = Python::assume_attached();
        guard(py, null_mut(), || {
            if slf.is_null() {
                return Err(PyTypeError::new_err("wrong arguments"));
            }
            let args = Args::from_vectorcall(py, args, ffi::PyVectorcall_NARGS(nargsf), keywords);
            binding::call(&lend(py, slf), args).map(Bound::into_ptr)
        })
    }
}

/// A call has failed. If that was because of the number or the names of its arguments, what a Python function says is said instead.
#[cold]
unsafe fn failed(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    if slf.is_null() {
        return null_mut();
    }
    // SAFETY: as in `call_bound`; an exception is set, because the Rust code has returned null.
    unsafe {
        let py = Python::assume_attached();
        guard(py, null_mut(), || {
            let error = PyErr::fetch(py);
            if error.is_instance_of::<PyTypeError>(py) {
                let args = Args::from_vectorcall(py, args, ffi::PyVectorcall_NARGS(nargsf), keywords);
                binding::bind(&lend(py, slf), args)?;
            }
            Err(error)
        })
    }
}

/// `function.__get__(object)`.
fn bind_to<'py>(function: &Obj<'py, Function>, object: Option<&Bound<'py, PyAny>>) -> Output<'py> {
    match object {
        None => Ok(function.as_any().clone()),
        // SAFETY: attached; both objects are alive, and a new reference or null is returned.
        Some(object) => unsafe {
            let method = PyMethod_New(function.as_any().as_ptr(), object.as_ptr());
            Bound::from_owned_ptr_or_err(function.py(), method)
        },
    }
}

impl Class for Function {
    const NAME: &'static CStr = c"yibu._yibu.function";
    type Header = FunctionHeader;
    const SUBCLASSABLE: bool = false;
    const CONSTRUCTIBLE: bool = false;
    // What the interpreter's specialised instructions for method calls ask of the class of a method.
    const IMMUTABLE: bool = true;
    const METHOD: bool = true;
    const BARE_NAME: bool = true;

    fn state() -> &'static ClassState {
        &FUNCTION
    }

    fn table(t: &mut Table<Self>) {
        t.descriptor(bind_to);
        attributes::list(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        for slot in [&self.native, &self.twin, &self.binder, &self.replacement] {
            slot.traverse(visitor);
        }
        self.set.traverse(visitor);
    }

    fn clear(&self) {
        for slot in [&self.native, &self.twin, &self.binder, &self.replacement] {
            slot.clear();
        }
        self.set.clear();
    }
}

/// A function of a module, called by `way`, which is also there as a C function.
pub(super) fn of_module<'py>(
    way: ffi::vectorcallfunc,
    native: Bound<'py, PyAny>,
    (twin, lookups): Twin<'py>,
) -> Output<'py> {
    let function = Function::of(way, None, native, twin)?;
    function.lookups.set(Some(lookups));
    Ok(function.into_any())
}

/// Makes Functions of those methods of a new class for which the standard library's class has Python functions. `ways` are how the
/// methods are called that are no slots of the type.
///
/// They are put into the dict of the type past its slots, which stay the C functions that they are.
pub(super) fn dress<'py>(
    class: &Bound<'py, PyType>,
    state: &'static ClassState,
    ways: &[(&'static CStr, ffi::vectorcallfunc)],
    stock: &Bound<'py, PyType>,
) -> PyResult<()> {
    let content = dict_of(class)?;
    for (name, native) in content.copy()? {
        let name = name.cast_into::<PyString>()?;
        let way = if is_slot(&native) {
            call_object
        } else if let Some((_, way)) = ways
            .iter()
            .find(|(method, _)| name.to_str().is_ok_and(|name| name.as_bytes() == method.to_bytes()))
        {
            *way
        } else {
            continue;
        };
        if let Some(twin) = attribute_of(stock, &name)?.filter(|twin| twin.is_instance_of::<PyFunction>()) {
            content.set_item(&name, Function::of(way, Some(state), native, twin)?.into_any())?;
        }
    }
    content.set_item("__doc__", stock.getattr("__doc__")?)?;
    // SAFETY: attached; the type is alive.
    unsafe { ffi::PyType_Modified(class.as_type_ptr()) };
    naming::follow(class, stock)
}

/// Whether what stands in the dict of a type is the C object for one of its slots.
fn is_slot(native: &Bound<'_, PyAny>) -> bool {
    // SAFETY: attached; the object is alive.
    unsafe { ffi::Py_TYPE(native.as_ptr()) == &raw mut ffi::PyWrapperDescr_Type }
}

/// Whether an object is a Function that does not do what its Rust code does: the program has set its code or its defaults.
pub(super) fn acts_otherwise(object: &Bound<'_, PyAny>) -> bool {
    Obj::<Function>::cast_exact(object)
        .is_some_and(|function| !function.replacement.is_empty() || function.set.defaults_differ())
}

/// Has the type call a Function whose behaviour was set where it would call its C slot, and tells those who ask what is replaced.
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

/// The dict of a type itself, to be written only before the type is used.
fn dict_of<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyDict>> {
    let py = class.py();
    // SAFETY: attached; the type is alive and ready, so it has a dict.
    unsafe {
        #[cfg(Py_3_12)]
        let dict = Bound::from_owned_ptr_or_err(py, ffi::PyType_GetDict(class.as_type_ptr()))?;
        #[cfg(not(Py_3_12))]
        let dict = Bound::from_borrowed_ptr_or_err(py, (*class.as_type_ptr()).tp_dict)?;
        Ok(dict.cast_into_unchecked())
    }
}

/// What a class has under a name, itself or from its bases, as it stands in their dicts.
fn attribute_of<'py>(
    class: &Bound<'py, PyType>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    for base in class.mro() {
        let content = base.getattr("__dict__")?;
        if content.contains(name)? {
            return content.get_item(name).map(Some);
        }
    }
    Ok(None)
}
