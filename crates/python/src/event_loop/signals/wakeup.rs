//! Signals end the wait of a running loop, whether the loop, the program or the interpreter handles them.
//!
//! A Python handler of the program's (`signal.signal`, and that of `Runner` for Ctrl-C) runs in the main
//! thread, when that thread looks for signals. A signal that comes after the loop looked and before it blocks
//! in the kernel interrupts nothing, and its handler would wait as long as the loop does. So a loop that
//! blocks in the main thread lets the interpreter write each signal into the loop's pipe, unless the program
//! has a descriptor of its own there. Called when a run begins, before the loop blocks for the first time in
//! a run (most runs never block, and the interpreter's checks of the descriptor are system calls), and when
//! the run ends.

use std::sync::atomic::{AtomicI32, Ordering};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use yibu_driver::threads;
use yibu_engine::Fd;

use super::{Signals, make_pipe};
use crate::core::EventLoop;
use crate::ffi::Obj;
use crate::stock;

/// What `signal.set_wakeup_fd` takes and returns where there is none.
const NONE: Fd = -1;

/// The descriptor of the loop that runs in the main thread; of loops that run within each other, the
/// innermost.
static OF_RUNNING: AtomicI32 = AtomicI32::new(NONE);

/// Makes the pipe before the first run: a program that counts descriptors in its coroutines sees no new ones
/// later. Returns the end for the interpreter; `None` in other threads, for a program's selector, and in a
/// process with no descriptor left, where the loop runs without the pipe.
pub fn open(event_loop: &Obj<'_, EventLoop>) -> PyResult<Option<Fd>> {
    if !threads::is_main() || !event_loop.selector.is_empty() {
        return Ok(None);
    }
    match make_pipe(event_loop) {
        Err(error) if error.is_instance_of::<PyOSError>(event_loop.py()) => Ok(None),
        made => made.map(Some),
    }
}

/// Signals wake the loop until the run ends.
pub fn watch_signals(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let py = event_loop.py();
    let Some(mine) = open(event_loop)? else { return Ok(()) };
    let before = match replace(py, mine) {
        Ok(before) => before,
        // The interpreter was not started in the first thread of the process: its handlers run elsewhere.
        Err(error) if error.is_instance_of::<PyValueError>(py) => return Ok(()),
        Err(error) => return Err(error),
    };
    if before != mine && before != NONE && before != OF_RUNNING.load(Ordering::Relaxed) {
        return replace(py, before).map(drop);
    }
    // Where handlers of the loop have set it already, the last of them may go during the run.
    let before = if before == mine { NONE } else { before };
    event_loop.parts.with(|signals: &mut Signals| signals.before_run = Some(before));
    OF_RUNNING.store(mine, Ordering::Relaxed);
    Ok(())
}

/// The descriptor from before the run is the interpreter's again, unless the program has set another one
/// since. Handlers of the loop keep the pipe.
pub fn unwatch_signals(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let (mine, before, is_unused) = event_loop.parts.with(|signals: &mut Signals| {
        (signals.wakeup_fd(), signals.before_run.take(), signals.handlers.is_empty())
    });
    let (Some(mine), Some(before)) = (mine, before) else { return Ok(()) };
    OF_RUNNING.store(before, Ordering::Relaxed);
    if !is_unused {
        return Ok(());
    }
    let py = event_loop.py();
    match replace(py, before)? {
        current if current == mine => Ok(()),
        set_since => replace(py, set_since).map(drop),
    }
}

/// `signal.set_wakeup_fd`: puts `fd` in the place of the descriptor that it returns.
fn replace(py: Python<'_>, fd: Fd) -> PyResult<Fd> {
    static OPTIONS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let options = OPTIONS.get_or_try_init(py, || {
        let options = PyDict::new(py);
        // A pipe that is full has woken the loop already.
        options.set_item("warn_on_full_buffer", false)?;
        PyResult::Ok(options.unbind())
    })?;
    stock::set_wakeup_fd(py)?.call((fd,), Some(options.bind(py)))?.extract()
}
