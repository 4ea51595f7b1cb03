//! Which of a loop's methods Python code has replaced: on the object, in a subclass, or in the classes of
//! asyncio's for which it stands (`asyncio.BaseEventLoop.create_task = traced`).
//!
//! asyncio's loop calls its own methods by name. So does this one, where it would otherwise take a native
//! short cut, for each name of [`super::overridable`]; all others it calls by name in any case. The class is
//! asked by [`crate::ffi::originals`]; what is set on the object is noticed when it is set. A loop of which
//! nothing is replaced, nor of what its turns go past, says so with one comparison
//! ([`Overrides::is_untouched`]). Called before every native short cut.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::EventLoop;
use super::overridable::{FIXED, HOOKS, Overridable, bit};
use crate::ffi::Obj;
use crate::ffi::originals::Replaced;
use crate::ffi::versions;
use crate::names;
use crate::replaced::names::{CONTAINERS, MONOTONIC};

/// What is noticed of an entry when it is pushed.
const SCHEDULING: Replaced = bit(Overridable::CallSoon)
    | bit(Overridable::PushSoon)
    | bit(Overridable::CheckClosed)
    | bit(Overridable::GetDebug);

impl EventLoop {
    /// The native loop behind an object, when its `get_debug` is the native one.
    #[inline]
    pub fn plain<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Self>> {
        Obj::<Self>::cast(object).filter(|native| !native.overrides(Overridable::GetDebug))
    }

    /// The native loop behind an object, when a program cannot notice that entries are pushed to it and
    /// `call_soon` is not called: it is not replaced, and debug mode, which wants handles with sources, is
    /// off.
    #[inline]
    pub fn direct<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Self>> {
        let native = Obj::<Self>::cast(object)?;
        (!native.debug.get() && (native.is_untouched() || native.lets_push())).then_some(native)
    }
}

/// What is asked of a loop before a short cut is taken.
pub trait Overrides {
    /// Whether Python code replaced a method.
    fn overrides(&self, method: Overridable) -> bool;
    /// All methods that Python code replaced.
    fn overridden_methods(&self) -> Replaced;
    /// Whether Python code has replaced no method of the loop, not the `_run` of handles, not asyncio's
    /// `Handle` and not `time.monotonic`: what every turn and every push would have to ask. When it says no,
    /// that is to be asked.
    fn is_untouched(&self) -> bool;
    /// Whether entries may be pushed although the loop is not untouched.
    fn lets_push(&self) -> bool;
    /// `self._check_closed()`: RuntimeError when the loop is closed.
    fn ensure_open(&self) -> PyResult<()>;
    /// `self.get_debug()`. What reads `self._debug` in asyncio asks the field.
    fn says_it_debugs(&self) -> PyResult<bool>;
    /// `self.is_running()`
    fn says_it_runs(&self) -> PyResult<bool>;
    /// TypeError when Python code has replaced a method by which asyncio watches descriptors: transports,
    /// servers and socket methods do not call it here.
    fn refuse_other_watching(&self) -> PyResult<()>;

    /// TypeError when Python code has replaced what this loop does in its own way.
    fn refuse_overridden(&self) -> PyResult<()>;
}

impl Overrides for Obj<'_, EventLoop> {
    #[inline(always)]
    fn overrides(&self, method: Overridable) -> bool {
        self.overridden_methods() & bit(method) != 0
    }

    #[inline(always)]
    fn overridden_methods(&self) -> Replaced {
        if self.is_untouched() { 0 } else { look_at_methods(self) }
    }

    #[inline(always)]
    fn is_untouched(&self) -> bool {
        self.is_of_main_class() && self.overridden.untouched.holds()
    }

    #[inline(never)]
    fn lets_push(&self) -> bool {
        self.overridden_methods() & SCHEDULING == 0 && !(self.services.handles_are_replaced)(self.py())
    }

    #[inline(always)]
    fn ensure_open(&self) -> PyResult<()> {
        if self.is_untouched() && !self.is_closed() { Ok(()) } else { ask_whether_open(self) }
    }

    #[inline(always)]
    fn says_it_debugs(&self) -> PyResult<bool> {
        if self.is_untouched() { Ok(self.debug.get()) } else { ask_whether_debugging(self) }
    }

    fn says_it_runs(&self) -> PyResult<bool> {
        if self.overrides(Overridable::IsRunning) {
            return self.as_any().call_method0(names::is_running(self.py()))?.is_truthy();
        }
        Ok(self.is_running())
    }

    fn refuse_other_watching(&self) -> PyResult<()> {
        const WATCHING: Replaced = bit(Overridable::AddReader)
            | bit(Overridable::AddWriter)
            | bit(Overridable::RemoveReader)
            | bit(Overridable::RemoveWriter);
        let replaced = self.overridden_methods() & WATCHING;
        if replaced == 0 {
            return Ok(());
        }
        let name = HOOKS[replaced.trailing_zeros() as usize][0];
        Err(PyTypeError::new_err(format!(
            "{name}() is replaced, by which asyncio's transports watch descriptors and yibu's do not: put the original back, or run this program on asyncio",
        )))
    }

    fn refuse_overridden(&self) -> PyResult<()> {
        for name in &CONTAINERS {
            if name.is_replaced(self.py()) {
                return Err(PyTypeError::new_err(format!(
                    "{} is replaced, of which asyncio's event loop keeps its entries and yibu's does not",
                    name.text()
                )));
            }
        }
        if !self.overrides(Overridable::Fixed) {
            return Ok(());
        }
        let class = self.as_any().get_type();
        Err(PyTypeError::new_err(format!(
            "{} replaces a step of asyncio's event loop that yibu's does not have: one of {}",
            class.name()?,
            FIXED.join(", ")
        )))
    }
}

#[cold]
#[inline(never)]
fn look_at_methods(event_loop: &Obj<'_, EventLoop>) -> Replaced {
    let changes = versions::changes();
    let methods = event_loop.replaced() | event_loop.overridden.own.get();
    if event_loop.is_known() && !event_loop.overridden.looked.holds() {
        event_loop.overridden.looked.set(changes);
        let py = event_loop.py();
        if methods == 0
            && !(event_loop.services.handles_are_replaced)(py)
            && !MONOTONIC.is_replaced(py)
            && (event_loop.services.runs_are_replaced)(py) == Some(false)
        {
            event_loop.overridden.untouched.set(changes);
        }
    }
    methods
}

#[inline(never)]
fn ask_whether_open(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if event_loop.overrides(Overridable::CheckClosed) {
        return event_loop.as_any().call_method0(name!("_check_closed")).map(drop);
    }
    event_loop.check_open()
}

#[inline(never)]
fn ask_whether_debugging(event_loop: &Obj<'_, EventLoop>) -> PyResult<bool> {
    if event_loop.overrides(Overridable::GetDebug) {
        return event_loop.as_any().call_method0(names::get_debug(event_loop.py()))?.is_truthy();
    }
    Ok(event_loop.debug.get())
}

/// Keeps `overridden` true when an attribute of the object is set or deleted.
pub fn attribute_changed(
    event_loop: &Obj<'_, EventLoop>,
    name: &Bound<'_, PyAny>,
    set: bool,
) -> PyResult<()> {
    let name = name.cast::<PyString>()?.to_str()?;
    let Some(index) = HOOKS.iter().position(|names| names.contains(&name)) else { return Ok(()) };
    let overridden = &event_loop.overridden;
    let bits = overridden.own.get() & !(1 << index);
    overridden.own.set(if set { bits | 1 << index } else { bits });
    overridden.untouched.forget();
    overridden.looked.forget();
    Ok(())
}
