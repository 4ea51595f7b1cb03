//! `PidfdChildWatcher`: a descriptor of each child is readable when the child has ended, so the loop's own
//! poller waits for it. No thread, no signal, and no other process of the program is touched.
//!
//! Called by [`crate::event_loop`] and by programs; the loop, of whatever kind, calls a [`Child`].

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

#[cfg(not(Py_3_14))]
use super::idle;
use super::reaping::{reap, unknown};
use super::threaded_watcher::{ThreadedWatcher, reap_for, start_thread};
use crate::ffi::class::Plain;
use crate::ffi::{
    Class, ClassState, Create, Obj, Signature, Slot, Table, call, none, references, stands_for,
};
use crate::frames::Frame;
use crate::functions::running_loop;
use crate::replaced::names::UNIX_EVENTS;
use crate::replaced::names::running_loop::OF_UNIX_EVENTS;
use crate::{names, stock};

/// The data of a `PidfdChildWatcher`: none, the children are the loop's.
#[derive(Default)]
pub struct PidfdWatcher;

/// A child that a loop watches by a descriptor; the callback of the descriptor. The descriptor is closed with
/// it.
#[derive(Default)]
pub struct Child {
    fd: Cell<Option<i32>>,
    pid: Slot,
    callback: Slot,
    args: Slot,
    /// The loop that watches for a program whose watcher, by the book of 3.11, is the threaded one.
    event_loop: Slot,
}

static PIDFD_WATCHER: ClassState = ClassState::new();
static CHILD: ClassState = ClassState::new();
/// Named without the underscore up to 3.13.
#[cfg(not(Py_3_14))]
static DO_WAIT: Frame = Frame::new(&UNIX_EVENTS, "PidfdChildWatcher._do_wait");
#[cfg(Py_3_14)]
static DO_WAIT: Frame = Frame::new(&UNIX_EVENTS, "_PidfdChildWatcher._do_wait");

const ADD: Signature<2> =
    Signature::new_method("PidfdChildWatcher.add_child_handler", "pid, callback, *args");
#[cfg(not(Py_3_14))]
const REMOVE: Signature<1> = Signature::new_method("PidfdChildWatcher.remove_child_handler", "pid");
#[cfg(not(Py_3_14))]
const ATTACH: Signature<1> = Signature::new_method("PidfdChildWatcher.attach_loop", "loop");
#[cfg(not(Py_3_14))]
const EXIT: Signature<3> =
    Signature::new_method("PidfdChildWatcher.__exit__", "exc_type, exc_value, exc_traceback");

impl Child {
    /// A child with its descriptor open.
    pub(super) fn open<'py>(
        pid: Bound<'py, PyAny>,
        callback: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
    ) -> PyResult<Obj<'py, Self>> {
        let child = Self::create(pid.py())?;
        let fd = stock::os_module(pid.py())?.call_method1(name!("pidfd_open"), (&pid,))?;
        child.fd.set(Some(fd.extract()?));
        child.pid.put(pid);
        child.call_at_end(callback, args);
        Ok(child)
    }

    /// Replaces what is called.
    pub(super) fn call_at_end(&self, callback: Bound<'_, PyAny>, args: Bound<'_, PyTuple>) {
        self.callback.put(callback);
        self.args.put(args);
    }

    /// Has a loop call `function` when the child has ended.
    pub(super) fn watch<'py>(
        &self,
        event_loop: &Bound<'py, PyAny>,
        function: &Bound<'py, PyAny>,
        args: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let py = event_loop.py();
        let fd = self.fd.get().into_pyobject(py)?;
        let arguments = call::joined(&[&fd, function], args)?;
        event_loop.call_method1(names::_add_reader(py), arguments).map(drop)
    }

    /// Has the loop forget the descriptor.
    pub(super) fn forget(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        event_loop.call_method1(name!("_remove_reader"), (self.fd.get(),)).map(drop)
    }

    /// Closes the descriptor.
    pub(super) fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.fd.take() {
            Some(fd) => stock::os_module(py)?.call_method1(name!("close"), (fd,)).map(drop),
            None => Ok(()),
        }
    }
}

/// The child has ended: waits for it, and calls back.
pub(super) fn ended(child: &Obj<'_, Child>) -> PyResult<()> {
    let py = child.py();
    let pid = child.pid.get_or_none(py);
    let code = match child.event_loop.get(py) {
        Some(event_loop) => reap_for(&event_loop, &pid)?,
        None => match reap(&pid)? {
            Some(code) => code,
            None => unknown(
                &DO_WAIT,
                &pid,
                "child process pid %d exit status already read:  will report returncode 255",
            )?,
        },
    };
    child.close(py)?;
    let (callback, args) = (child.callback.get_or_none(py), child.args.get_or_none(py));
    callback.call1(call::joined(&[&pid, &code], &args)?).map(drop)
}

/// Nobody watches the child any more. Where a thread was to be expected, one goes on: its loop was closed,
/// and it says so.
fn finalize(child: &Obj<'_, Child>) -> PyResult<()> {
    let py = child.py();
    child.close(py)?;
    let Some(event_loop) = child.event_loop.take() else { return Ok(()) };
    let event_loop = event_loop.into_any(py);
    if !event_loop.call_method0(names::is_closed(py))?.is_truthy()?
        || stock::module(py, "sys")?.call_method0(name!("is_finalizing"))?.is_truthy()?
    {
        return Ok(());
    }
    let (pid, callback) = (child.pid.get_or_none(py), child.callback.get_or_none(py));
    start_thread(&ThreadedWatcher::create(py)?, event_loop, pid, callback, child.args.get_or_none(py))
}

impl Class for PidfdWatcher {
    #[cfg(Py_3_14)]
    const NAME: &'static CStr = c"yibu._PidfdChildWatcher";
    #[cfg(not(Py_3_14))]
    const NAME: &'static CStr = c"yibu.PidfdChildWatcher";
    type Header = Plain;

    const FUNCTIONS: bool = true;

    stands_for! { PIDFD_WATCHER, stock::pidfd_child_watcher }

    fn table(t: &mut Table<Self>) {
        t.doc(c"PidfdChildWatcher()\n--\n\nWaits for child processes with process descriptors.");
        t.method(
            &ADD,
            |watcher, args| {
                let py = watcher.py();
                let [pid, callback] = args.parse(&ADD)?;
                let event_loop = running_loop(py, &OF_UNIX_EVENTS)?;
                let child = Child::open(pid, callback, args.rest(&ADD)?)?;
                child.watch(&event_loop, child.as_any(), PyTuple::empty(py).as_any())?;
                if cfg!(not(Py_3_12)) {
                    child.event_loop.put(event_loop);
                }
                Ok(none(py))
            },
            "Calls callback(pid, returncode, *args) when the child has ended.",
        );
        #[cfg(not(Py_3_14))]
        idle::table(t);
    }

    references! {}
}

#[cfg(not(Py_3_14))]
impl idle::Context for PidfdWatcher {
    const EXIT: &'static Signature<3> = &EXIT;
}

#[cfg(not(Py_3_14))]
impl idle::Idle for PidfdWatcher {
    const ATTACH: &'static Signature<1> = &ATTACH;
    const REMOVE: &'static Signature<1> = &REMOVE;
}

impl Class for Child {
    const NAME: &'static CStr = c"yibu.Child";
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &CHILD;

    fn table(t: &mut Table<Self>) {
        t.doc(c"A child process that a loop watches.");
        t.call(|child, _args, _kwargs| {
            child.forget(&running_loop(child.py(), &OF_UNIX_EVENTS)?)?;
            ended(child)?;
            Ok(none(child.py()))
        });
        t.finalize(finalize);
    }

    references! { pid, callback, args, event_loop }

    fn wants_finalizer(&self) -> bool {
        self.fd.get().is_some()
    }
}
