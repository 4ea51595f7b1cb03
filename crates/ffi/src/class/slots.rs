//! What of a type's slots can be listed in a [`Table`].

use std::ffi::c_void;

use pyo3::basic::CompareOp;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::definition::Class;
use super::header::Callable;
use super::layout::Instance;
use super::object::Obj;
use super::table::Table;
use crate::args::Args;
use crate::objects::Output;
use crate::trampoline::{self as tramp, Stateless};

type Kwargs<'a, 'py> = Option<&'a Bound<'py, PyDict>>;

impl<T: Class> Table<T> {
    /// `__init__`.
    pub fn init<F>(&mut self, _: F)
    where
        F: Stateless
            + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyTuple>, Kwargs<'a, 'py>) -> PyResult<()>,
    {
        self.name_function::<F>("__init__");
        self.slot(ffi::Py_tp_init, tramp::init::<T, F> as *mut c_void);
    }

    /// How a call of exactly this class makes an instance: what `__init__` would do with a new one, without a
    /// tuple and a dict for the arguments. For classes whose `__init__` cannot be replaced.
    pub fn construct<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(Args<'a, 'py>) -> PyResult<Obj<'py, T>>,
    {
        const { assert!(T::IMMUTABLE && !T::STANDS_FOR_STOCK, "__init__ might be replaced") };
        self.construct = Some(tramp::construct::<T, F>);
    }

    /// `__call__`.
    pub fn call<F>(&mut self, _: F)
    where
        F: Stateless
            + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyTuple>, Kwargs<'a, 'py>) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_call, tramp::invoke::<T, F> as *mut c_void);
    }

    /// `__get__`: the function gets the object that the attribute was asked of, nothing when that was the
    /// class.
    pub fn descriptor<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Option<&'a Bound<'py, PyAny>>) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_descr_get, tramp::descr_get::<T, F> as *mut c_void);
    }

    /// `__repr__`.
    pub fn repr<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_repr, tramp::repr::<T, F> as *mut c_void);
    }

    /// `__str__`.
    pub fn str<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_str, tramp::slot::<T, F> as *mut c_void);
    }

    /// `__hash__`.
    pub fn hash<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<isize>,
    {
        self.slot(ffi::Py_tp_hash, tramp::hash::<T, F> as *mut c_void);
    }

    /// The six comparisons.
    pub fn compare<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>, CompareOp) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_richcompare, tramp::compare::<T, F> as *mut c_void);
    }

    /// `__iter__`.
    pub fn iter<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_tp_iter, tramp::slot::<T, F> as *mut c_void);
    }

    /// `__await__`.
    pub fn await_<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_am_await, tramp::slot::<T, F> as *mut c_void);
    }

    /// `__aiter__`.
    pub fn aiter<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_am_aiter, tramp::slot::<T, F> as *mut c_void);
    }

    /// `__anext__`.
    pub fn anext<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.slot(ffi::Py_am_anext, tramp::slot::<T, F> as *mut c_void);
    }

    /// `__next__` of an iterator that is nothing else.
    pub fn next<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<Option<Bound<'py, PyAny>>>,
    {
        self.slot(ffi::Py_tp_iternext, tramp::item::<T, F> as *mut c_void);
    }

    /// What `PyIter_Send` and `__next__` (with None) ask: `Ok(Ok(v))` yields v, `Ok(Err(v))` returns v.
    pub fn send<F>(&mut self, _: F)
    where
        F: Stateless
            + for<'a, 'py> Fn(
                &'a Obj<'py, T>,
                &'a Bound<'py, PyAny>,
            ) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>>,
    {
        self.slot(ffi::Py_am_send, tramp::send::<T, F> as *mut c_void);
        self.slot(ffi::Py_tp_iternext, tramp::next::<T, F> as *mut c_void);
    }

    /// What `__next__` asks instead, to which None is sent: for what `await` iterates, and programs do not.
    pub fn iterate<F>(&mut self, _: F)
    where
        F: Stateless
            + for<'a, 'py> Fn(
                &'a Obj<'py, T>,
                &'a Bound<'py, PyAny>,
            ) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>>,
    {
        self.slots.retain(|slot| slot.slot != ffi::Py_tp_iternext);
        self.slot(ffi::Py_tp_iternext, tramp::next::<T, F> as *mut c_void);
    }

    /// Observes attribute assignment on instances: the function gets the name and whether a value was set (or
    /// deleted).
    pub fn setattr<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>, bool) -> PyResult<()>,
    {
        self.slot(ffi::Py_tp_setattro, tramp::setattr::<T, F> as *mut c_void);
    }

    /// `__del__`, with resurrection allowed; see [`Class::wants_finalizer`].
    pub fn finalize<F>(&mut self, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> PyResult<()>,
    {
        self.slot(ffi::Py_tp_finalize, tramp::finalize::<T, F> as *mut c_void);
    }
}

/// Makes an instance callable: a call of it runs `function(instance, args)`.
pub fn make_callable<T, F>(object: &Obj<'_, T>, _: F)
where
    T: Class<Header = Callable>,
    F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
{
    // SAFETY: layout; the field is written before Python code can call the object, and read by CPython only.
    unsafe {
        (*object.as_any().as_ptr().cast::<Instance<T>>()).header.vectorcall = Some(tramp::vectorcall::<T, F>);
    }
}
