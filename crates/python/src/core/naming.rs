//! The names of a trace: each is told once, by [`Kind::Name`], and is a number from then on.
//!
//! A function is known by its code, so that closures and methods of many objects share one name. Called for
//! the steps and jobs of a [`Recording`].

use std::collections::HashMap;
use std::sync::PoisonError;

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyFunction, PyString};
use yibu_observing::trace::{Kind, NO_NAME, OTHER_NAME};

use super::recording::Recording;
use crate::ffi::{context, thread};
use crate::stock;

/// How many names a trace tells apart; all others share [`OTHER_NAME`].
const MOST: u32 = 8192;

/// The names that were told.
#[derive(Default)]
pub struct Names {
    /// By the address of an object or of a text that lives as long as the process.
    by_address: HashMap<usize, u32>,
    /// Keeps the objects of `by_address` alive, so that no other object gets their addresses.
    objects: Vec<Py<PyAny>>,
    by_text: HashMap<Box<str>, u32>,
}

impl Recording {
    /// The number of the name that is kept for an address.
    pub fn known(&self, address: usize) -> Option<u32> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).by_address.get(&address).copied()
    }

    fn keep(&self, address: usize, object: Option<&Bound<'_, PyAny>>, name: u32) {
        if name == NO_NAME {
            return;
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.by_address.len() < MOST as usize {
            names.by_address.insert(address, name);
            names.objects.extend(object.map(|object| object.clone().unbind()));
        }
    }

    /// The number of a text; [`NO_NAME`] where the ring has no room to tell it.
    pub fn name_of_text(&self, py: Python<'_>, text: &str) -> u32 {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = names.by_text.get(text) {
            return *number;
        }
        let number = names.by_text.len() as u32 + OTHER_NAME + 1;
        if number >= MOST {
            return OTHER_NAME;
        }
        if !self.push_text(py, Kind::Name, [number.into(), 0, 0], text) {
            return NO_NAME;
        }
        names.by_text.insert(text.into(), number);
        number
    }

    /// The number of a text of the program itself.
    #[inline]
    pub fn name_of_static(&self, py: Python<'_>, text: &'static str) -> u32 {
        let address = text.as_ptr().addr();
        self.known(address).unwrap_or_else(|| {
            let name = self.name_of_text(py, text);
            self.keep(address, None, name);
            name
        })
    }

    /// The number of the name of a code object or a class.
    pub fn name_of_code(&self, code: &Bound<'_, PyAny>) -> PyResult<u32> {
        let address = code.as_ptr().addr();
        if let Some(name) = self.known(address) {
            return Ok(name);
        }
        let text = match code.getattr_opt(name!("co_qualname"))? {
            Some(text) => Some(text),
            None => code.getattr_opt(name!("__qualname__"))?,
        };
        let text = text.map(|text| text.str()).transpose()?;
        let name = self.name_of_text(code.py(), text.as_ref().map_or(Ok("?"), |text| text.to_str())?);
        self.keep(address, Some(code), name);
        Ok(name)
    }

    /// The number of the name of something that is called.
    pub fn name_of_callable(&self, callable: &Bound<'_, PyAny>) -> PyResult<u32> {
        let mut callable = callable.clone();
        // `functools.partial` within `functools.partial` may go on for long.
        for _ in 0..8 {
            if callable.is_exact_instance_of::<PyFunction>() {
                return self.name_of_code(&callable.getattr(name!("__code__"))?);
            }
            let inner = match callable.getattr_opt(name!("__func__"))? {
                Some(function) => Some(function),
                None if callable.is_exact_instance_of::<PyCFunction>() => None,
                None => callable.getattr_opt(name!("func"))?,
            };
            let Some(inner) = inner else { break };
            // asyncio's `to_thread` calls `functools.partial(context.run, function)`.
            let is_run =
                inner.getattr_opt(name!("__self__"))?.is_some_and(|owner| context::is_context(&owner));
            callable = match is_run {
                true => callable.getattr(name!("args"))?.get_item(0)?,
                false => inner,
            };
        }
        if let Some(name) = callable.getattr_opt(name!("__qualname__"))?
            && let Ok(name) = name.cast::<PyString>()
        {
            return Ok(self.name_of_text(callable.py(), name.to_str()?));
        }
        self.name_of_code(callable.get_type().as_any())
    }
}

/// The name of this thread. None is made for a thread that the interpreter has not started.
pub fn name_of_this_thread(py: Python<'_>) -> PyResult<String> {
    let threads = stock::module(py, "threading")?.call_method0(name!("enumerate"))?;
    for each in threads.try_iter()? {
        let each = each?;
        if each.getattr(name!("ident"))?.extract::<Option<u64>>()? == Some(thread::ident()) {
            return Ok(each.getattr(name!("name"))?.str()?.to_str()?.to_owned());
        }
    }
    Ok("thread".to_owned())
}
