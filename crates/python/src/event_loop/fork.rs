//! `os.fork()` while loops exist: the child must not touch the kernel objects that it shares with its parent.
//!
//! The standard library makes the child forget the running loop and the policy's loop; this file makes the
//! child's copies of native loops its own. They ask the kernel for nothing any more, so closing or running
//! them leaves the parent alone. Called by the interpreter, in the child, once for each fork made by Python
//! (that of `subprocess` is none, unless a `preexec_fn` wants to run Python there).

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};
use yibu_driver::threads;

use super::{executor, signals};
use crate::core::{Engine, EventLoop};
use crate::errors;
use crate::ffi::{Args, Obj, Output, Signature, none, thread};
use crate::observing::loops;
use crate::{functions, stock};

const AFTER_FORK: Signature<0> = Signature::new("_after_fork_in_child", "");

/// Asks the interpreter to be called after forks.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let function =
        functions::make(module, &AFTER_FORK, after_fork, "Makes the loops of a forked child its own.")?;
    let keywords = PyDict::new(py);
    keywords.set_item("after_in_child", function)?;
    stock::module(py, "os")?.call_method(name!("register_at_fork"), (), Some(&keywords)).map(drop)
}

fn after_fork<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [] = args.parse(&AFTER_FORK)?;
    threads::after_fork_in_child();
    for event_loop in loops::living(args.py()) {
        if let Err(error) = forget(&event_loop) {
            error.write_unraisable(args.py(), Some(event_loop.as_any()));
        }
    }
    Ok(none(args.py()))
}

/// What a loop was doing is the parent's business. A loop that another thread ran does not run any more: of
/// the threads, only this one came along.
fn forget(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let runs_here = event_loop.runs_here();
    event_loop.set_thread(if runs_here { thread::ident() } else { 0 });
    event_loop.pulse.after_fork_in_child();
    #[cfg(Py_3_14)]
    event_loop.current.set_forked(event_loop.is_running());
    let (owned, owners) = event_loop.engine.with(Engine::after_fork_in_child);
    drop(owners);
    let watched = event_loop.watched.with(std::mem::take);
    drop(watched);
    signals::forget_pipe(event_loop)?;
    executor::after_fork_in_child(event_loop)?;
    owned.map_err(|error| errors::os_error(&error))
}
