//! `Arguments`: the positional arguments of a call that is made later.
//!
//! Most such calls have one argument or none, and then no tuple is made. Held by handles and by the jobs of
//! the executor; calls the callback with them.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::errors;
use crate::ffi::{Args, Output, Slot, Visitor, call, context};

/// One argument as it is (`single`), several as a tuple, none as nothing.
#[derive(Default)]
pub struct Arguments<Flags = ()> {
    kept: Slot,
    single: Cell<bool>,
    /// Flags of the object that has the arguments: here they take no memory, because `single` leaves most of
    /// a word unused.
    pub flags: Flags,
}

impl<Flags> Arguments<Flags> {
    /// None.
    pub const fn new(flags: Flags) -> Self {
        Self { kept: Slot::new(), single: Cell::new(false), flags }
    }

    /// Keeps those of a native call from `first` on.
    #[inline]
    pub fn keep(&self, args: &Args<'_, '_>, first: usize) -> PyResult<()> {
        match args.len().saturating_sub(first) {
            0 => {}
            1 => {
                if let Some(argument) = args.get(first) {
                    self.keep_one(argument);
                }
            }
            _ => self.kept.put(args.tuple_from(first)?),
        }
        Ok(())
    }

    /// Keeps one.
    #[inline]
    pub fn keep_one(&self, argument: Bound<'_, PyAny>) {
        self.kept.put(argument);
        self.single.set(true);
    }

    /// Keeps all that a sequence holds: a tuple, unless Python code came with something else.
    pub fn keep_all(&self, arguments: Bound<'_, PyAny>) {
        self.kept.put(arguments);
        self.single.set(false);
    }

    /// The same in a context, or by the method `run` of what stands in the place of one.
    #[inline]
    pub fn call_in<'py>(&self, context: &Bound<'py, PyAny>, callable: &Bound<'py, PyAny>) -> Output<'py> {
        if context::is_context(context) {
            context::run(context, |_| self.call(callable))
        } else {
            context::run_by_method(context, callable, &self.all(callable.py())?)
        }
    }

    /// Calls `callable` with them.
    #[inline]
    pub fn call<'py>(&self, callable: &Bound<'py, PyAny>) -> Output<'py> {
        match self.kept.get(callable.py()) {
            None => call::call0(callable),
            Some(argument) if self.single.get() => call::call1(callable, &argument),
            Some(arguments) => match arguments.cast::<PyTuple>() {
                Ok(tuple) => call::call_tuple(callable, tuple),
                Err(_) => {
                    let items = errors::collected(arguments.try_iter()?)?;
                    call::call_tuple(callable, &PyTuple::new(callable.py(), items)?)
                }
            },
        }
    }

    /// They in a tuple, or in the other sequence that they came in.
    pub fn all<'py>(&self, py: Python<'py>) -> Output<'py> {
        match self.kept.get(py) {
            None => Ok(PyTuple::empty(py).into_any()),
            Some(argument) if self.single.get() => Ok(PyTuple::new(py, [argument])?.into_any()),
            Some(arguments) => Ok(arguments),
        }
    }

    /// Shows them to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.kept.traverse(visitor);
    }

    /// Lets them go.
    pub fn clear(&self) {
        self.kept.clear();
    }
}
