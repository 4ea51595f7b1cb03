//! `ThreadedChildWatcher`: waits for each child in a thread of its own, and tells the loop from there.
//!
//! Called by [`crate::event_loop`] where there are no process descriptors, and by programs; the threads are
//! `threading.Thread`s, which call `_do_waitpid`.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyAssertionError, PyChildProcessError, PyResourceWarning, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

#[cfg(not(Py_3_14))]
use super::idle;
use super::reaping::{reap, unknown};
use crate::events::loop_debug;
use crate::ffi::class::Plain;
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Raised, Signature, Slot, Table, call, none, references, stands_for,
};
use crate::frames::Frame;
use crate::functions::running_loop;
use crate::replaced::names::UNIX_EVENTS;
use crate::replaced::names::running_loop::OF_UNIX_EVENTS;
use crate::{names, stock};

/// The data of a `ThreadedChildWatcher`.
#[derive(Default)]
pub struct ThreadedWatcher {
    /// How many threads there have been, for their names.
    count: Cell<u64>,
    /// The threads by process id, a dict; empty until there is one.
    threads: Slot,
}

/// Named without the underscore up to 3.13.
#[cfg(not(Py_3_14))]
static FRAME: Frame = Frame::new(&UNIX_EVENTS, "ThreadedChildWatcher._do_waitpid");
#[cfg(Py_3_14)]
static FRAME: Frame = Frame::new(&UNIX_EVENTS, "_ThreadedChildWatcher._do_waitpid");
static THREADED_WATCHER: ClassState = ClassState::new();
const INIT: Signature<0> = Signature::new_method("ThreadedChildWatcher.__init__", "");
const ADD: Signature<2> =
    Signature::new_method("ThreadedChildWatcher.add_child_handler", "pid, callback, *args");
const DO_WAIT: Signature<4> =
    Signature::new_method("ThreadedChildWatcher._do_waitpid", "loop, expected_pid, callback, args");
const NOTIFY: Signature<4> =
    Signature::new_method("ThreadedChildWatcher._reap_and_notify", "loop, expected_pid, callback, args");
#[cfg(not(Py_3_14))]
const REMOVE: Signature<1> = Signature::new_method("ThreadedChildWatcher.remove_child_handler", "pid");
#[cfg(not(Py_3_14))]
const ATTACH: Signature<1> = Signature::new_method("ThreadedChildWatcher.attach_loop", "loop");
#[cfg(not(Py_3_14))]
const EXIT: Signature<3> =
    Signature::new_method("ThreadedChildWatcher.__exit__", "exc_type, exc_val, exc_tb");

impl ThreadedWatcher {
    /// `_threads`.
    fn threads<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        if self.threads.is_empty() {
            self.threads.put(PyDict::new(py));
        }
        Ok(self.threads.get_or_none(py).cast_into()?)
    }
}

fn add<'py>(watcher: &Obj<'py, ThreadedWatcher>, args: Args<'_, 'py>) -> Output<'py> {
    let [pid, callback] = args.parse(&ADD)?;
    let event_loop = running_loop(watcher.py(), &OF_UNIX_EVENTS)?;
    start_thread(watcher, event_loop, pid, callback, args.rest(&ADD)?.into_any())?;
    Ok(none(watcher.py()))
}

/// Starts the thread that waits for a child.
pub(super) fn start_thread<'py>(
    watcher: &Obj<'py, ThreadedWatcher>,
    event_loop: Bound<'py, PyAny>,
    pid: Bound<'py, PyAny>,
    callback: Bound<'py, PyAny>,
    args: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = watcher.py();
    let keywords = PyDict::new(py);
    let number = watcher.count.replace(watcher.count.get() + 1);
    keywords.set_item("target", watcher.as_any().getattr(name!("_do_waitpid"))?)?;
    keywords.set_item("name", format!("asyncio-waitpid-{number}"))?;
    keywords.set_item("args", (event_loop, &pid, callback, args))?;
    keywords.set_item("daemon", true)?;
    let thread = stock::threading_module(py)?.getattr(name!("Thread"))?.call((), Some(&keywords))?;
    watcher.threads(py)?.set_item(pid, &thread)?;
    thread.call_method0(name!("start")).map(drop)
}

/// `_do_waitpid`: what a thread does.
fn wait<'py>(watcher: &Obj<'py, ThreadedWatcher>, args: Args<'_, 'py>) -> Output<'py> {
    let py = watcher.py();
    let [event_loop, pid, callback, rest] = args.parse(&DO_WAIT)?;
    if pid.le(0)? {
        return Err(PyAssertionError::new_err(()));
    }
    wait_and_have_it_reaped(watcher, &event_loop, &pid, (&callback, &rest))?;
    watcher.threads(py)?.del_item(pid)?;
    Ok(none(py))
}

/// Waits until the child has ended and leaves it to the loop to take note: until then its id belongs to
/// nobody else, so that a signal cannot reach another process.
fn wait_and_have_it_reaped<'py>(
    watcher: &Obj<'py, ThreadedWatcher>,
    event_loop: &Bound<'py, PyAny>,
    pid: &Bound<'py, PyAny>,
    call: (&Bound<'py, PyAny>, &Bound<'py, PyAny>),
) -> PyResult<()> {
    let py = watcher.py();
    let os = stock::os_module(py)?;
    let options = os.getattr(name!("WEXITED"))?.bitor(os.getattr(name!("WNOWAIT"))?)?;
    match os.call_method1(name!("waitid"), (os.getattr(name!("P_PID"))?, pid, options)) {
        Err(error) if !error.is_instance_of::<PyChildProcessError>(py) => return Err(error),
        // Other code of the program has waited for it.
        Err(error) => drop(Raised::from_err(py, error)),
        Ok(_) => {}
    }
    if !is_closed(event_loop)? {
        let notify = watcher.as_any().getattr(name!("_reap_and_notify"))?;
        let posted =
            event_loop.call_method1(name!("call_soon_threadsafe"), (notify, event_loop, pid, call.0, call.1));
        match posted {
            Ok(_) => return Ok(()),
            // It was closed this moment.
            Err(error) if error.is_instance_of::<PyRuntimeError>(py) => drop(Raised::from_err(py, error)),
            Err(error) => return Err(error),
        }
    }
    reap_for(event_loop, pid)?;
    warn_of_closed_loop(event_loop, pid)
}

/// `_reap_and_notify`: in the loop's thread.
fn notify<'py>(watcher: &Obj<'py, ThreadedWatcher>, args: Args<'_, 'py>) -> Output<'py> {
    let py = watcher.py();
    let [event_loop, pid, callback, rest] = args.parse(&NOTIFY)?;
    let code = reap_for(&event_loop, &pid)?;
    callback.call1(call::joined(&[&pid, &code], &rest)?)?;
    Ok(none(py))
}

/// Waits for a child and gives its return code.
pub(super) fn reap_for<'py>(event_loop: &Bound<'py, PyAny>, pid: &Bound<'py, PyAny>) -> Output<'py> {
    let py = pid.py();
    let Some(code) = reap(pid)? else {
        return unknown(&FRAME, pid, "Unknown child process pid %d, will report returncode 255");
    };
    if loop_debug(event_loop)? {
        FRAME.log(py, "debug", ("process %s exited with returncode %s", pid, &code))?;
    }
    Ok(code)
}

fn is_closed(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    event_loop.call_method0(names::is_closed(event_loop.py()))?.is_truthy()
}

fn warn_of_closed_loop(event_loop: &Bound<'_, PyAny>, pid: &Bound<'_, PyAny>) -> PyResult<()> {
    let text = "Loop %r that handles pid %r is closed";
    FRAME.log(pid.py(), "warning", (text, event_loop, pid))
}

/// `__del__`: some threads still wait.
fn finalize(watcher: &Obj<'_, ThreadedWatcher>) -> PyResult<()> {
    let py = watcher.py();
    for thread in watcher.threads(py)?.values() {
        if thread.call_method0(name!("is_alive"))?.is_truthy()? {
            let class = watcher.as_any().getattr(names::__class__(py))?;
            let text = text!("{} has registered but not finished child processes", class.str()?)?;
            static DEL: Frame = Frame::new(&UNIX_EVENTS, "ThreadedChildWatcher.__del__");
            return DEL.warn(&text, &py.get_type::<PyResourceWarning>(), Some(watcher.as_any()));
        }
    }
    Ok(())
}

#[cfg(not(Py_3_14))]
impl idle::Context for ThreadedWatcher {
    const EXIT: &'static Signature<3> = &EXIT;
}

#[cfg(not(Py_3_14))]
impl idle::Idle for ThreadedWatcher {
    const ATTACH: &'static Signature<1> = &ATTACH;
    const REMOVE: &'static Signature<1> = &REMOVE;
}

impl Class for ThreadedWatcher {
    #[cfg(Py_3_14)]
    const NAME: &'static CStr = c"yibu._ThreadedChildWatcher";
    #[cfg(not(Py_3_14))]
    const NAME: &'static CStr = c"yibu.ThreadedChildWatcher";
    type Header = Plain;

    const FUNCTIONS: bool = true;

    stands_for! { THREADED_WATCHER, stock::threaded_child_watcher }

    fn table(t: &mut Table<Self>) {
        t.doc(c"ThreadedChildWatcher()\n--\n\nWaits for child processes in threads.");
        t.init(|_, args, kwargs| {
            let [] = Args::parse_tuple(&INIT, args, kwargs)?;
            Ok(())
        });
        t.method(
            &ADD,
            add,
            "Calls callback(pid, returncode, *args) in the running loop when the child has ended.",
        );
        t.method(&DO_WAIT, wait, "What the thread of a child does.");
        t.method(&NOTIFY, notify, "Takes note of the child's end in the loop's thread.");
        t.property(
            c"_threads",
            |watcher| Ok(watcher.threads(watcher.py())?.into_any()),
            |watcher, value| crate::attributes::write(&watcher.threads, value),
        );
        #[cfg(not(Py_3_14))]
        idle::table(t);
        t.finalize(finalize);
    }

    references! { threads }

    fn wants_finalizer(&self) -> bool {
        !self.threads.is_empty()
    }
}
