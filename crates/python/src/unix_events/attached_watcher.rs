//! `PidfdChildWatcher` as Python 3.11 has it: it belongs to the loop it was attached to, and can forget
//! children.
//!
//! Called by programs that set it as their watcher, and through it by [`crate::event_loop`]; the loop calls
//! `_do_wait`.

use std::ffi::CStr;

use pyo3::exceptions::{PyKeyError, PyRuntimeWarning};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::idle;
use super::pidfd_watcher::{Child, ended};
use crate::ffi::class::Plain;
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Signature, Slot, Table, boolean, none, references, stands_for,
};
use crate::frames::Frame;
use crate::replaced::names::UNIX_EVENTS;
use crate::{names, stock};

/// The data of a `PidfdChildWatcher`.
#[derive(Default)]
pub struct AttachedWatcher {
    event_loop: Slot,
    /// The children by their process ids, a dict.
    children: Slot,
}

static ATTACHED_WATCHER: ClassState = ClassState::new();
const INIT: Signature<0> = Signature::new_method("PidfdChildWatcher.__init__", "");
const ADD: Signature<2> =
    Signature::new_method("PidfdChildWatcher.add_child_handler", "pid, callback, *args");
const REMOVE: Signature<1> = Signature::new_method("PidfdChildWatcher.remove_child_handler", "pid");
const ATTACH: Signature<1> = Signature::new_method("PidfdChildWatcher.attach_loop", "loop");
const DO_WAIT: Signature<1> = Signature::new_method("PidfdChildWatcher._do_wait", "pid");
const EXIT: Signature<3> =
    Signature::new_method("PidfdChildWatcher.__exit__", "exc_type, exc_value, exc_traceback");

impl AttachedWatcher {
    fn children<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        Ok(self.children.get_or_none(py).cast_into()?)
    }
}

/// Takes a child out of the list and has the loop forget it.
fn take<'py>(
    watcher: &Obj<'py, AttachedWatcher>,
    pid: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = watcher.py();
    let children = watcher.children(py)?;
    let Some(child) = children.get_item(pid)? else { return Ok(None) };
    children.del_item(pid)?;
    if let Some(native) = Obj::<Child>::cast_exact(&child) {
        native.forget(&watcher.event_loop.get_or_none(py))?;
    }
    Ok(Some(child))
}

fn add<'py>(watcher: &Obj<'py, AttachedWatcher>, args: Args<'_, 'py>) -> Output<'py> {
    let py = watcher.py();
    let [pid, callback] = args.parse(&ADD)?;
    let (children, rest) = (watcher.children(py)?, args.rest(&ADD)?);
    if let Some(child) = children.get_item(&pid)? {
        if let Some(native) = Obj::<Child>::cast_exact(&child) {
            native.call_at_end(callback, rest);
        }
        return Ok(none(py));
    }
    let child = Child::open(pid.clone(), callback, rest)?;
    let wait = watcher.as_any().getattr(name!("_do_wait"))?;
    child.watch(&watcher.event_loop.get_or_none(py), &wait, PyTuple::new(py, [&pid])?.as_any())?;
    children.set_item(pid, child.as_any())?;
    Ok(none(py))
}

fn attach<'py>(watcher: &Obj<'py, AttachedWatcher>, event_loop: &Bound<'py, PyAny>) -> Output<'py> {
    let py = watcher.py();
    let children = watcher.children(py)?;
    if !watcher.event_loop.is_empty() && event_loop.is_none() && !children.is_empty() {
        let text = "A loop is being detached from a child watcher with pending handlers";
        static FRAME: Frame = Frame::new(&UNIX_EVENTS, "SafeChildWatcher.attach_loop");
        FRAME.warn(text, &py.get_type::<PyRuntimeWarning>(), None)?;
    }
    for pid in children.keys() {
        if let Some(child) = take(watcher, &pid)?.as_ref().and_then(Obj::<Child>::cast_exact) {
            child.close(py)?;
        }
    }
    crate::attributes::write(&watcher.event_loop, Some(event_loop))?;
    Ok(none(py))
}

impl idle::Context for AttachedWatcher {
    const EXIT: &'static Signature<3> = &EXIT;
}

impl Class for AttachedWatcher {
    const NAME: &'static CStr = c"yibu.PidfdChildWatcher";
    type Header = Plain;

    const FUNCTIONS: bool = true;

    stands_for! { ATTACHED_WATCHER, stock::pidfd_child_watcher }

    fn table(t: &mut Table<Self>) {
        t.doc(c"PidfdChildWatcher()\n--\n\nWaits for child processes with process descriptors, on the loop it is attached to.");
        t.init(|watcher, args, kwargs| {
            let [] = Args::parse_tuple(&INIT, args, kwargs)?;
            watcher.event_loop.clear();
            watcher.children.put(PyDict::new(watcher.py()));
            Ok(())
        });
        idle::context_table(t);
        t.noargs(
            c"is_active",
            |watcher| {
                let py = watcher.py();
                match watcher.event_loop.get(py) {
                    Some(event_loop) => event_loop.call_method0(names::is_running(py)),
                    None => Ok(boolean(py, false)),
                }
            },
            "Whether the loop it is attached to runs.",
        );
        t.noargs(
            c"close",
            |watcher| watcher.as_any().call_method1(name!("attach_loop"), (none(watcher.py()),)),
            "Detaches it from its loop.",
        );
        t.method(
            &ATTACH,
            |watcher, args| {
                let [event_loop] = args.parse(&ATTACH)?;
                attach(watcher, &event_loop)
            },
            "Forgets all children, and watches on another loop from now on.",
        );
        t.method(&ADD, add, "Calls callback(pid, returncode, *args) when the child has ended.");
        t.method(
            &REMOVE,
            |watcher, args| {
                let [pid] = args.parse(&REMOVE)?;
                let child = take(watcher, &pid)?;
                let child = child.as_ref().and_then(Obj::<Child>::cast_exact);
                child.map_or(Ok(()), |child| child.close(watcher.py()))?;
                Ok(boolean(watcher.py(), child.is_some()))
            },
            "Forgets a child. Returns whether it was known.",
        );
        t.method(
            &DO_WAIT,
            |watcher, args| {
                let [pid] = args.parse(&DO_WAIT)?;
                match take(watcher, &pid)?.as_ref().and_then(Obj::<Child>::cast_exact) {
                    Some(child) => ended(child)?,
                    None => return Err(PyKeyError::new_err(pid.unbind())),
                }
                Ok(none(watcher.py()))
            },
            "Called by the loop when the child has ended.",
        );
        t.getter(c"_loop", |watcher| Ok(watcher.event_loop.get_or_none(watcher.py())));
        t.getter(c"_callbacks", |watcher| Ok(watcher.children.get_or_none(watcher.py())));
    }

    references! { event_loop, children }
}
