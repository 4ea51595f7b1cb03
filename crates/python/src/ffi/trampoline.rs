//! From CPython's calling conventions to safe Rust functions and back.
//!
//! Every `extern "C"` function of the crate is made here. Each one catches panics (they become `SystemError`-like
//! exceptions, never an abort), turns `Err` into the interpreter's current exception, and lends its arguments without
//! counting references. The Rust function is a type parameter of zero size, so a table entry costs no indirection.

use std::any::{Any, TypeId};
use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyMemoryError, PySystemError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::thread::{attached, outlive_interpreter};
use super::{Args, Class, Obj, Output, depth, originals, stop};

/// A function whose value is its type: what `fn` items and closures without captures are.
pub trait Stateless: Copy + 'static {
    /// Conjures the function.
    ///
    /// # Safety
    /// A value of the type must have existed: table builders take one and drop it.
    unsafe fn conjure() -> Self {
        const { assert!(size_of::<Self>() == 0, "table functions must not capture anything") };
        // SAFETY: a Copy type of size zero has no bytes to be wrong; the caller vouches that it is inhabited.
        unsafe { std::mem::zeroed() }
    }
}

impl<F: Copy + 'static> Stateless for F {}

/// Runs `body`; a panic in it becomes an exception, for whoever has to put things right after both.
#[inline]
pub fn caught<R>(body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(panicked(payload.as_ref())))
}

/// What PyO3 says where the interpreter could not make an object: there was no memory, as a rule, if it has not told another reason.
const NO_OBJECT: [&str; 2] = ["PyObject pointer is null", "Python API call failed"];

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}

/// Has panics about an object for which there is no memory print nothing: they become MemoryError ([`panicked`]). All
/// other panics of this library are printed. Called when the module is made; doing it again changes nothing.
pub fn print_no_lack_of_memory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // SAFETY: the first function may be called by any thread, and the others are by one that is attached.
            let lacks_memory = NO_OBJECT.contains(&message(panic.payload()))
                && unsafe {
                    ffi::PyGILState_Check() != 0
                        && (ffi::PyErr_Occurred().is_null()
                            || ffi::PyErr_ExceptionMatches(ffi::PyExc_MemoryError) != 0)
                };
            if !lacks_memory {
                usual(panic);
            }
        }));
    });
}

#[cold]
fn panicked(payload: &(dyn Any + Send)) -> PyErr {
    let text = message(payload);
    if NO_OBJECT.contains(&text) {
        // SAFETY: attached, as everything that makes objects.
        let told = PyErr::take(unsafe { Python::assume_attached() });
        return told.unwrap_or_else(|| PyMemoryError::new_err(()));
    }
    PySystemError::new_err(format!("yibu failed internally: {text}"))
}

/// Runs `body`, giving `failed` and a set exception when it fails or panics, or when calls are nested too deep.
#[inline(always)] // it is a part of every call
pub(super) fn guard<'py, R>(_: Python<'py>, failed: R, body: impl FnOnce() -> PyResult<R>) -> R {
    let entered = || {
        depth::enter()?;
        body()
    };
    match catch_unwind(AssertUnwindSafe(entered)) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => {
            raise(error);
            failed
        }
        Err(payload) => {
            raise(panicked(payload.as_ref()));
            failed
        }
    }
}

/// Sets the exception. Attached for PyO3, too: the arguments of which it makes the exception it would otherwise keep until it attaches
/// a thread itself, which may be never where yibu's own loop does not run.
#[cold]
fn raise(error: PyErr) {
    attached(|py| error.restore(py));
}

/// The object that a slot was called on, lent to the Rust function.
///
/// # Safety
/// `slf` is a live instance of `T`'s type, as CPython guarantees for `self` of a slot or method of that type.
#[inline]
pub(super) unsafe fn lend<'py, T: Class>(
    py: Python<'py>,
    slf: *mut ffi::PyObject,
) -> ManuallyDrop<Obj<'py, T>> {
    // SAFETY: the reference is only lent: ManuallyDrop never gives it back, so it need not be owned.
    ManuallyDrop::new(unsafe { Obj::from_any_unchecked(Bound::from_owned_ptr(py, slf)) })
}

#[inline]
fn give(output: Output<'_>) -> PyResult<*mut ffi::PyObject> {
    output.map(Bound::into_ptr)
}

/// Calls what replaces a method in the class of asyncio's that `T` stands for. One comparison when nothing does.
///
/// # Safety
/// As in [`lend`]; the arguments follow the vectorcall protocol.
#[inline(always)]
unsafe fn replaced<'py, T: Class, F: Stateless>(
    py: Python<'py>,
    slf: &Obj<'py, T>,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> PyResult<Option<*mut ffi::PyObject>> {
    if !T::STANDS_FOR_STOCK || slf.replaced() & originals::BEHIND == 0 {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { call_replacement(py, slf, TypeId::of::<F>(), args, nargs, keywords) }
}

/// Calls what Python code has put in the place of a method, if it has.
///
/// # Safety
/// The arguments follow the vectorcall protocol.
#[cold]
unsafe fn call_replacement<'py, T: Class>(
    py: Python<'py>,
    slf: &Obj<'py, T>,
    function: TypeId,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> PyResult<Option<*mut ffi::PyObject>> {
    let Some(replacement) = originals::replacement(slf, function)? else { return Ok(None) };
    // SAFETY: attached; the arguments are those that the caller vouches for.
    let result =
        unsafe { ffi::PyObject_Vectorcall(replacement.as_ptr(), args, nargs.cast_unsigned(), keywords) };
    if result.is_null() { Err(PyErr::fetch(py)) } else { Ok(Some(result)) }
}

/// METH_NOARGS.
#[inline(always)] // or the body of a `function::call_*`
pub(super) unsafe extern "C" fn noargs<T, F>(
    slf: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: as in `unary`.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let object = lend(py, slf);
            match replaced::<T, F>(py, &object, std::ptr::null(), 0, std::ptr::null_mut())? {
                Some(result) => Ok(result),
                None => give(F::conjure()(&object)),
            }
        })
    }
}

/// The slots of one argument (`tp_repr`, `tp_iter`, `am_await`), and getters.
pub(super) unsafe extern "C" fn unary<T, F>(
    slf: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: called by CPython on an instance of T's type, attached; the table builder had an F.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || give(F::conjure()(&lend(py, slf))))
    }
}

/// The slots of one argument, which have no second parameter.
pub(super) unsafe extern "C" fn slot<T, F>(slf: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: as in `unary`.
    unsafe { unary::<T, F>(slf, std::ptr::null_mut()) }
}

/// `tp_repr`: objects show what they hold.
pub(super) unsafe extern "C" fn repr<T, F>(slf: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: as in `unary`.
    unsafe {
        let py = Python::assume_attached();
        // What the objects shown do may take as long as the interpreter.
        outlive_interpreter(|| guard(py, std::ptr::null_mut(), || give(F::conjure()(&lend(py, slf)))))
    }
}

/// `tp_hash`.
pub(super) unsafe extern "C" fn hash<T, F>(slf: *mut ffi::PyObject) -> ffi::Py_hash_t
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<isize>,
{
    // SAFETY: as in `unary`.
    unsafe {
        let py = Python::assume_attached();
        guard(py, -1, || F::conjure()(&lend(py, slf)))
    }
}

/// `tp_richcompare`.
pub(super) unsafe extern "C" fn compare<T, F>(
    slf: *mut ffi::PyObject,
    other: *mut ffi::PyObject,
    op: c_int,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>, CompareOp) -> Output<'py>,
{
    // SAFETY: as in `unary`; `other` is a live borrowed reference, only lent.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let other = ManuallyDrop::new(Bound::from_owned_ptr(py, other));
            match CompareOp::from_raw(op) {
                Some(op) => give(F::conjure()(&lend(py, slf), &other, op)),
                None => Err(PySystemError::new_err("unknown comparison")),
            }
        })
    }
}

/// `tp_descr_get`.
pub(super) unsafe extern "C" fn descr_get<T, F>(
    slf: *mut ffi::PyObject,
    object: *mut ffi::PyObject,
    _class: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Option<&'a Bound<'py, PyAny>>) -> Output<'py>,
{
    // SAFETY: as in `unary`; `object` is null or a live borrowed reference, only lent.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let object =
                (!object.is_null()).then(|| ManuallyDrop::new(Bound::<PyAny>::from_owned_ptr(py, object)));
            give(F::conjure()(&lend(py, slf), object.as_deref()))
        })
    }
}

/// `tp_iternext` of a plain iterator: `Ok(None)` is its end.
pub(super) unsafe extern "C" fn item<T, F>(slf: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<Option<Bound<'py, PyAny>>>,
{
    // SAFETY: as in `unary`.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            Ok(F::conjure()(&lend(py, slf))?.map_or(std::ptr::null_mut(), Bound::into_ptr))
        })
    }
}

/// `tp_iternext` of what can be sent to, as `await` calls it: a value that is returned travels in a StopIteration, None
/// in no exception at all.
pub(super) unsafe extern "C" fn next<T, F>(slf: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless
        + for<'a, 'py> Fn(
            &'a Obj<'py, T>,
            &'a Bound<'py, PyAny>,
        ) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>>,
{
    // SAFETY: as in `unary`.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let nothing = ManuallyDrop::new(Bound::from_owned_ptr(py, ffi::Py_None()));
            Ok(match F::conjure()(&lend(py, slf), &nothing)? {
                Ok(value) => value.into_ptr(),
                Err(value) => {
                    stop::raise(value, T::AWAITED && ffi::Py_REFCNT(slf) == 1);
                    std::ptr::null_mut()
                }
            })
        })
    }
}

/// `am_send`: `Ok(Err(value))` returns, `Ok(Ok(value))` yields.
pub(super) unsafe extern "C" fn send<T, F>(
    slf: *mut ffi::PyObject,
    arg: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult
where
    T: Class,
    F: Stateless
        + for<'a, 'py> Fn(
            &'a Obj<'py, T>,
            &'a Bound<'py, PyAny>,
        ) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>>,
{
    // SAFETY: as in `unary`; `arg` is a live borrowed reference and `result` a place to write to.
    unsafe {
        let py = Python::assume_attached();
        *result = std::ptr::null_mut();
        guard(py, ffi::PySendResult::PYGEN_ERROR, || {
            let arg = ManuallyDrop::new(Bound::from_owned_ptr(py, arg));
            Ok(match F::conjure()(&lend(py, slf), &arg)? {
                Ok(value) => {
                    *result = value.into_ptr();
                    ffi::PySendResult::PYGEN_NEXT
                }
                Err(value) => {
                    *result = value.into_ptr();
                    ffi::PySendResult::PYGEN_RETURN
                }
            })
        })
    }
}

/// METH_O.
#[inline(always)] // or the body of a `function::call_*`
pub(super) unsafe extern "C" fn one<T, F>(
    slf: *mut ffi::PyObject,
    arg: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>) -> Output<'py>,
{
    // SAFETY: as in `unary`; `arg` is a live borrowed reference, only lent.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let object = lend(py, slf);
            if let Some(result) = replaced::<T, F>(py, &object, &raw const arg, 1, std::ptr::null_mut())? {
                return Ok(result);
            }
            let arg = ManuallyDrop::new(Bound::from_owned_ptr(py, arg));
            give(F::conjure()(&object, &arg))
        })
    }
}

/// METH_FASTCALL | METH_KEYWORDS.
#[inline(always)] // or the body of a `function::call_*`
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
    // SAFETY: as in `unary`; the arguments follow the vectorcall protocol.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let object = lend(py, slf);
            if let Some(result) = replaced::<T, F>(py, &object, args, nargs, keywords)? {
                return Ok(result);
            }
            give(F::conjure()(&object, Args::from_vectorcall(py, args, nargs, keywords)))
        })
    }
}

/// A call of an instance, by the vectorcall protocol.
pub(super) unsafe extern "C" fn vectorcall<T, F>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: as in `fast`; the flag bit of `nargsf` is masked off.
    unsafe { fast::<T, F>(slf, args, ffi::PyVectorcall_NARGS(nargsf), keywords) }
}

/// `tp_init`.
pub(super) unsafe extern "C" fn init<T, F>(
    slf: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int
where
    T: Class,
    F: Stateless
        + for<'a, 'py> Fn(
            &'a Obj<'py, T>,
            &'a Bound<'py, PyTuple>,
            Option<&'a Bound<'py, PyDict>>,
        ) -> PyResult<()>,
{
    // SAFETY: as in `unary`; `args` is a tuple and `kwargs` null or a dict, both only lent.
    unsafe {
        let py = Python::assume_attached();
        guard(py, -1, || {
            let args = ManuallyDrop::new(Bound::from_owned_ptr(py, args).cast_into_unchecked::<PyTuple>());
            let kwargs = (!kwargs.is_null()).then(|| {
                ManuallyDrop::new(Bound::from_owned_ptr(py, kwargs).cast_into_unchecked::<PyDict>())
            });
            let object = lend::<T>(py, slf);
            if T::STANDS_FOR_STOCK
                && object.replaced() & originals::BEHIND != 0
                && let Some(replacement) = originals::replacement(&object, TypeId::of::<F>())?
            {
                return replacement.call(&*args, kwargs.as_deref()).map(|_| 0);
            }
            if T::STANDS_FOR_STOCK && object.replaced() & originals::UNHEARD != 0 {
                originals::refuse(&object)?;
            }
            F::conjure()(&object, &args, kwargs.as_deref()).map(|()| 0)
        })
    }
}

/// `tp_call`.
pub(super) unsafe extern "C" fn invoke<T, F>(
    slf: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless
        + for<'a, 'py> Fn(
            &'a Obj<'py, T>,
            &'a Bound<'py, PyTuple>,
            Option<&'a Bound<'py, PyDict>>,
        ) -> Output<'py>,
{
    // SAFETY: as in `init`.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            let args = ManuallyDrop::new(Bound::from_owned_ptr(py, args).cast_into_unchecked::<PyTuple>());
            let kwargs = (!kwargs.is_null()).then(|| {
                ManuallyDrop::new(Bound::from_owned_ptr(py, kwargs).cast_into_unchecked::<PyDict>())
            });
            give(F::conjure()(&lend(py, slf), &args, kwargs.as_deref()))
        })
    }
}

/// Getter of a property.
pub(super) unsafe extern "C" fn getter<T, F>(
    slf: *mut ffi::PyObject,
    _: *mut std::ffi::c_void,
) -> *mut ffi::PyObject
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
{
    // SAFETY: as in `unary`.
    unsafe { unary::<T, F>(slf, std::ptr::null_mut()) }
}

/// Setter of a property; the value is `None` (the Rust one) for `del`.
pub(super) unsafe extern "C" fn setter<T, F>(
    slf: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    _: *mut std::ffi::c_void,
) -> c_int
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Option<&'a Bound<'py, PyAny>>) -> PyResult<()>,
{
    // SAFETY: as in `unary`; `value` is null or a live reference, only lent.
    unsafe {
        let py = Python::assume_attached();
        guard(py, -1, || {
            let value =
                (!value.is_null()).then(|| ManuallyDrop::new(Bound::<PyAny>::from_owned_ptr(py, value)));
            F::conjure()(&lend(py, slf), value.as_deref()).map(|()| 0)
        })
    }
}

/// `tp_setattro`: also asked for deletions (value `None`).
pub(super) unsafe extern "C" fn setattr<T, F>(
    slf: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>, bool) -> PyResult<()>,
{
    // SAFETY: as in `unary`; the generic setattr does the work, the Rust function only observes that it happened.
    unsafe {
        let py = Python::assume_attached();
        guard(py, -1, || {
            if ffi::PyObject_GenericSetAttr(slf, name, value) != 0 {
                return Err(PyErr::fetch(py));
            }
            let name = ManuallyDrop::new(Bound::<PyAny>::from_owned_ptr(py, name));
            F::conjure()(&lend(py, slf), &name, !value.is_null()).map(|()| 0)
        })
    }
}

/// `tp_finalize`: runs with any current exception put aside; what it raises itself is reported as unraisable.
pub(super) unsafe extern "C" fn finalize<T, F>(slf: *mut ffi::PyObject)
where
    T: Class,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<()>,
{
    // SAFETY: as in `unary`; the object is alive (possibly for the last time, or resurrected by the function).
    unsafe {
        let py = Python::assume_attached();
        let aside = PyErr::take(py);
        let object = lend(py, slf);
        let failed = guard(py, true, || F::conjure()(&object).map(|()| false));
        if failed {
            ffi::PyErr_WriteUnraisable(slf);
        }
        if let Some(error) = aside {
            error.restore(py);
        }
    }
}

/// A function of the module.
#[inline(always)] // it is the body of `function::call_free`
pub(super) unsafe fn function<F>(
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Stateless + for<'a, 'py> Fn(Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: called for CPython, attached; the arguments follow the vectorcall protocol.
    unsafe {
        let py = Python::assume_attached();
        guard(py, std::ptr::null_mut(), || {
            give(F::conjure()(Args::from_vectorcall(py, args, nargs, keywords)))
        })
    }
}
