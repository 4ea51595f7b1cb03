//! What of methods and properties can be listed in a [`Table`], and functions of modules.

use std::any::TypeId;
use std::ffi::{CStr, c_int};

use pyo3::IntoPyObjectExt;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::definition::Class;
use super::object::Obj;
use super::table::{Table, leak};
use crate::args::{Args, Signature};
use crate::function::calls as by_function;
use crate::function::data::Counterpart;
use crate::function::making;
use crate::objects::{Output, none};
use crate::trampoline::{self as tramp, Stateless};

/// What a method may return that returns None to Python.
pub trait Done: 'static {
    /// Whether it was done.
    fn done(self) -> PyResult<()>;
}

impl Done for () {
    #[inline]
    fn done(self) -> PyResult<()> {
        Ok(())
    }
}

impl Done for PyResult<()> {
    #[inline]
    fn done(self) -> PyResult<()> {
        self
    }
}

/// The method that [`Table::action`] makes of `F`.
#[inline(always)] // it is `F` with another result
fn act<'py, T: Class, F, R: Done>(object: &Obj<'py, T>) -> Output<'py>
where
    F: Stateless + for<'a, 'p> Fn(&'a Obj<'p, T>) -> R,
{
    // SAFETY: `Table::action` took a value of the type.
    let function = unsafe { F::value() };
    function(object).done().map(|()| none(object.py()))
}

/// The method that [`Table::action_on`] makes of `F`.
#[inline(always)] // it is `F` with another result
fn act_on<'py, T: Class, F, R: Done>(object: &Obj<'py, T>, argument: &Bound<'py, PyAny>) -> Output<'py>
where
    F: Stateless + for<'a, 'p> Fn(&'a Obj<'p, T>, &'a Bound<'p, PyAny>) -> R,
{
    // SAFETY: `Table::action_on` took a value of the type.
    let function = unsafe { F::value() };
    function(object, argument).done().map(|()| none(object.py()))
}

/// The method that [`Table::command`] makes of `F`.
#[inline(always)] // it is `F` with another result
fn act_with<'py, T: Class, F, R: Done>(object: &Obj<'py, T>, args: Args<'_, 'py>) -> Output<'py>
where
    F: Stateless + for<'a, 'p> Fn(&'a Obj<'p, T>, Args<'a, 'p>) -> R,
{
    // SAFETY: `Table::command` took a value of the type.
    let function = unsafe { F::value() };
    function(object, args).done().map(|()| none(object.py()))
}

/// The method or property that [`Table::answer`] or [`Table::value`] makes of `F`.
#[inline(always)] // it is `F` with another result
fn tell<'py, T: Class, F, V>(object: &Obj<'py, T>) -> Output<'py>
where
    F: Stateless + for<'a, 'p> Fn(&'a Obj<'p, T>) -> V,
    V: for<'p> IntoPyObject<'p> + 'static,
{
    // SAFETY: `Table::answer` or `Table::value` took a value of the type.
    let function = unsafe { F::value() };
    function(object).into_bound_py_any(object.py())
}

impl<T: Class> Table<T> {
    /// Adds the method that function `F` is.
    fn add<F: Stateless>(
        &mut self,
        name: &'static CStr,
        meth: ffi::PyMethodDefPointer,
        flags: c_int,
        doc: &'static CStr,
    ) {
        self.name_function::<F>(&name.to_string_lossy());
        self.add_method(name, meth, flags, doc);
    }

    /// Notes what the function `F` is called.
    pub(crate) fn name_function<F: Stateless>(&mut self, text: &str) {
        if T::STANDS_FOR_STOCK {
            let name = Python::attach(|py| PyString::intern(py, text).unbind());
            let other = self.functions.insert(TypeId::of::<F>(), name);
            assert!(other.is_none(), "two methods of one function, which could not tell them apart: {text}");
        }
    }

    /// A method without arguments.
    pub fn noargs<F>(&mut self, name: &'static CStr, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        let text = leak(format!("{}($self)\n--\n\n{doc}", name.to_string_lossy()));
        let code = if T::FUNCTIONS { by_function::noargs::<T, F> } else { tramp::noargs::<T, F> };
        self.add::<F>(name, ffi::PyMethodDefPointer { PyCFunction: code }, ffi::METH_NOARGS, text);
        if T::FUNCTIONS {
            self.vectorcalls.push((name, by_function::call_noargs::<T, F>));
        }
    }

    /// A method without arguments that has the name of a slot, for code that asks by that name.
    pub fn instead_of_slot<F>(&mut self, name: &'static CStr, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        let text = leak(format!("{}($self)\n--\n\n{doc}", name.to_string_lossy()));
        let meth = ffi::PyMethodDefPointer { PyCFunction: tramp::unary::<T, F> };
        self.add_method(name, meth, ffi::METH_NOARGS | ffi::METH_COEXIST, text);
        if T::FUNCTIONS {
            self.vectorcalls.push((name, by_function::call_noargs::<T, F>));
        }
    }

    /// A method of any positional arguments.
    pub fn any<F>(&mut self, name: &'static CStr, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
    {
        let text = leak(format!("{}($self, *args)\n--\n\n{doc}", name.to_string_lossy()));
        let code = if T::FUNCTIONS { by_function::fast::<T, F> } else { tramp::fast::<T, F> };
        let meth = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: code };
        self.add_method(name, meth, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, text);
        if T::FUNCTIONS {
            self.vectorcalls.push((name, by_function::call_fast::<T, F>));
        }
    }

    /// A method of one positional argument; `parameter` is its name in the documentation.
    pub fn one<F>(&mut self, name: &'static CStr, parameter: &str, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>) -> Output<'py>,
    {
        let text = leak(format!("{}($self, {parameter}, /)\n--\n\n{doc}", name.to_string_lossy()));
        let code = if T::FUNCTIONS { by_function::one::<T, F> } else { tramp::one::<T, F> };
        self.add::<F>(name, ffi::PyMethodDefPointer { PyCFunction: code }, ffi::METH_O, text);
        if T::FUNCTIONS {
            self.vectorcalls.push((name, by_function::call_one::<T, F>));
        }
    }

    /// A method without arguments that returns None.
    pub fn action<F, R>(&mut self, name: &'static CStr, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> R,
        R: Done,
    {
        self.noargs(name, act::<T, F, R>, doc);
    }

    /// The same of one positional argument.
    pub fn action_on<F, R>(&mut self, name: &'static CStr, parameter: &str, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, &'a Bound<'py, PyAny>) -> R,
        R: Done,
    {
        self.one(name, parameter, act_on::<T, F, R>, doc);
    }

    /// A method without arguments that returns a plain value: yes or no, a number, several of these.
    pub fn answer<F, V>(&mut self, name: &'static CStr, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> V,
        V: for<'py> IntoPyObject<'py> + 'static,
    {
        self.noargs(name, tell::<T, F, V>, doc);
    }

    /// A method with the arguments of `signature`, whose name is what follows the last dot of
    /// `signature.function`.
    pub fn method<const N: usize, F>(&mut self, signature: &'static Signature<N>, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> Output<'py>,
    {
        let name = signature.function.rsplit('.').next().unwrap_or(signature.function);
        let comma = if signature.text.is_empty() { "" } else { ", " };
        let text = leak(format!("{name}($self{comma}{})\n--\n\n{doc}", signature.text));
        let code = if T::FUNCTIONS { by_function::fast::<T, F> } else { tramp::fast::<T, F> };
        let meth = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: code };
        let name = leak(name.to_owned());
        self.add::<F>(name, meth, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, text);
        if T::FUNCTIONS {
            self.vectorcalls.push((name, by_function::call_fast::<T, F>));
        }
    }

    /// The same that returns None.
    pub fn command<const N: usize, F, R>(&mut self, signature: &'static Signature<N>, _: F, doc: &str)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Args<'a, 'py>) -> R,
        R: Done,
    {
        self.method(signature, act_with::<T, F, R>, doc);
    }

    /// `__class_getitem__`, giving a `types.GenericAlias`.
    pub fn generic(&mut self) {
        let meth = ffi::PyMethodDefPointer { PyCFunction: ffi::Py_GenericAlias };
        self.add_method(c"__class_getitem__", meth, ffi::METH_O | ffi::METH_CLASS, c"See PEP 585");
    }

    /// `__init_subclass__`.
    pub(crate) fn init_subclass(&mut self, function: ffi::PyCFunctionFastWithKeywords) {
        let meth = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function };
        let flags = ffi::METH_FASTCALL | ffi::METH_KEYWORDS | ffi::METH_CLASS;
        self.add_method(c"__init_subclass__", meth, flags, c"Prepares a class that derives from this one.");
    }

    /// A read-only property.
    pub fn getter<F>(&mut self, name: &'static CStr, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.add_property(name, Some(tramp::getter::<T, F>), None);
    }

    /// A read-only property that is a plain value.
    pub fn value<F, V>(&mut self, name: &'static CStr, _: F)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> V,
        V: for<'py> IntoPyObject<'py> + 'static,
    {
        self.getter(name, tell::<T, F, V>);
    }

    /// A read-only property with a docstring.
    pub fn documented_getter<F>(&mut self, name: &'static CStr, get: F, doc: &'static CStr)
    where
        F: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
    {
        self.getter(name, get);
        self.document_property(doc);
    }

    /// A property that can be written; the setter gets `None` for `del`.
    pub fn property<G, S>(&mut self, name: &'static CStr, _: G, _: S)
    where
        G: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>) -> Output<'py>,
        S: Stateless + for<'a, 'py> Fn(&'a Obj<'py, T>, Option<&'a Bound<'py, PyAny>>) -> PyResult<()>,
    {
        self.add_property(name, Some(tramp::getter::<T, G>), Some(tramp::setter::<T, S>));
    }
}

/// Makes a module-level function; `signature.function` is its name. With a counterpart, Python's function of
/// that name, it looks like that.
pub fn function<'py, const N: usize, F>(
    module: &Bound<'py, PyAny>,
    signature: &'static Signature<N>,
    _: F,
    doc: &str,
    counterpart: Option<Counterpart<'py>>,
) -> PyResult<Bound<'py, PyAny>>
where
    F: Stateless + for<'a, 'p> Fn(Args<'a, 'p>) -> Output<'p>,
{
    let text = leak(format!("{}({})\n--\n\n{doc}", signature.function, signature.text));
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: leak(signature.function.to_owned()).as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: by_function::free::<F> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: text.as_ptr(),
    }));
    let name = module.getattr("__name__")?;
    // SAFETY: attached; the definition is leaked because the function refers to it for ever.
    let native = unsafe {
        let function = ffi::PyCFunction_NewEx(definition, module.as_ptr(), name.as_ptr());
        Bound::from_owned_ptr_or_err(module.py(), function)?
    };
    match counterpart {
        Some(counterpart) => making::of_module(by_function::call_free::<F>, native, counterpart),
        None => Ok(native),
    }
}
