//! Unix signals: `add_signal_handler`, `remove_signal_handler`.
//!
//! The interpreter writes the number of every signal into a pipe (`signal.set_wakeup_fd`), the loop watches
//! its other end and [`deliver`]s what it reads. A pipe that is full loses numbers; therefore each signal's
//! Python handler, which the interpreter never loses, [`note`]s that the signal came. Called by Python code
//! and by the loop's turn; calls the `signal` module.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::{PyOSError, PyResourceWarning, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyModule};
use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, pipe_with};
use yibu_engine::{Fd, Interest};

use super::{debug, handles};
use crate::core::Overrides;
use crate::core::{Entry, EventLoop, Overridable, Owner, Part, watched};
use crate::events::Handle;
use crate::events::entries::HANDLE;
use crate::ffi::{Args, Obj, Output, Raised, Ref, Signature, Table, Visitor, boolean, none};
use crate::frames::Frame;
use crate::replaced::names::{COROUTINES, ISCOROUTINE_OF_SIGNALS, Name, UNIX_EVENTS};
use crate::{errors, functions, stock};

pub(super) mod wakeup;

const ADD: Signature<2> = Signature::new("EventLoop.add_signal_handler", "sig, callback, *args");
const REMOVE: Signature<1> = Signature::new("EventLoop.remove_signal_handler", "sig");
const NOTE: Signature<2> = Signature::new("_note_signal", "signum, frame");

static ISCOROUTINEFUNCTION: Name<2> = Name::new([(&UNIX_EVENTS, "coroutines"), (&COROUTINES, debug::CHECK)]);

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.one(
        c"_check_signal",
        "sig",
        |event_loop, signal| check(signal).map(|_| none(event_loop.py())),
        "TypeError or ValueError for what is no signal.",
    );
    t.action_on(
        c"_handle_signal",
        "sig",
        |event_loop, signal| handle(event_loop, signal.extract()?),
        "Runs the handler of a signal at the next turn.",
    );
    t.method(&ADD, add, "Calls callback(*args) in the loop when the process gets the signal.");
    t.method(
        &REMOVE,
        |event_loop, args| {
            let [signal] = args.parse(&REMOVE)?;
            Ok(boolean(event_loop.py(), remove(event_loop, &signal)?))
        },
        "Gives the signal its default handling back. Returns whether it had a handler of the loop.",
    );
}

/// A loop's handlers by signal, and the pipe, which lasts from the first handler or the first run in the main
/// thread until the loop is closed.
#[derive(Default)]
pub struct Signals {
    handlers: Vec<(i32, Ref<Handle>)>,
    pipe: Option<Pipe>,
    /// While the loop runs with its pipe as the interpreter's: the descriptor from before the run.
    before_run: Option<Fd>,
}

struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Signals {
    /// Each signal with its handler.
    pub fn handlers(&self, py: Python<'_>) -> Vec<(i32, Ref<Handle>)> {
        self.handlers.iter().map(|(signal, handle)| (*signal, handle.copy(py))).collect()
    }

    fn position(&self, signal: i32) -> Option<usize> {
        self.handlers.iter().position(|(candidate, _)| *candidate == signal)
    }

    fn take(&mut self, signal: i32) -> Option<Ref<Handle>> {
        Some(self.handlers.remove(self.position(signal)?).1)
    }

    fn put(&mut self, signal: i32, handle: Ref<Handle>) -> Option<Ref<Handle>> {
        match self.position(signal) {
            Some(position) => Some(std::mem::replace(&mut self.handlers[position].1, handle)),
            None => {
                self.handlers.push((signal, handle));
                None
            }
        }
    }

    /// The end of the pipe that the loop watches.
    pub fn reader(&self) -> Option<Fd> {
        self.pipe.as_ref().map(|pipe| pipe.reader.as_raw_fd())
    }

    fn wakeup_fd(&self) -> Option<Fd> {
        self.pipe.as_ref().map(|pipe| pipe.writer.as_raw_fd())
    }
}

impl Part for Signals {
    fn traverse(&self, visitor: &mut Visitor) {
        self.handlers.iter().for_each(|(_, handle)| visitor.visit(handle.as_ptr()));
    }
}

/// Signals whose Python handler ran and that no loop has looked at since: a bit for each.
static NOTED: AtomicU64 = AtomicU64::new(0);

fn bit(signal: i32) -> u64 {
    u32::try_from(signal - 1).ok().and_then(|shift| 1_u64.checked_shl(shift)).unwrap_or(0)
}

/// The Python handler of every signal that a loop handles.
fn note<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [signal, _frame] = args.parse(&NOTE)?;
    NOTED.fetch_or(bit(signal.extract()?), Ordering::Relaxed);
    Ok(none(args.py()))
}

/// Adds [`note`] to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "The handler of signals that a loop handles: it notes that the signal came.";
    functions::add(module, &NOTE, note, doc)
}

fn signal_module(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    stock::module(py, "signal")
}

/// `_UnixSelectorEventLoop._check_signal`: the number of a signal.
fn check(signal: &Bound<'_, PyAny>) -> PyResult<i32> {
    if !signal.is_instance_of::<PyInt>() {
        return Err(PyTypeError::new_err(text!("sig must be an int, not {}", signal.repr()?)?));
    }
    if !signal_module(signal.py())?.call_method0(name!("valid_signals"))?.contains(signal)? {
        return Err(PyValueError::new_err(text!("invalid signal number {}", signal.str()?)?));
    }
    signal.extract()
}

/// `self._check_signal(sig)`, and the number.
fn checked(event_loop: &Obj<'_, EventLoop>, signal: &Bound<'_, PyAny>) -> PyResult<i32> {
    event_loop.as_any().call_method1(name!("_check_signal"), (signal,))?;
    signal.extract()
}

/// `_UnixSelectorEventLoop.add_signal_handler`.
fn add<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    let [signal, callback] = args.parse(&ADD)?;
    if ISCOROUTINE_OF_SIGNALS.current(py)?.call1((&callback,))?.is_truthy()?
        || debug::is_coroutine_function(&ISCOROUTINEFUNCTION, &callback)?
    {
        return Err(PyTypeError::new_err("coroutines cannot be used with add_signal_handler()"));
    }
    let number = checked(event_loop, &signal)?;
    event_loop.check_open()?;
    open_pipe(event_loop)?;
    let (_, handle) = handles::watching(event_loop, callback, &args, None)?;
    let handle = Ref::of(handle);
    let replaced = event_loop.parts.with(|signals: &mut Signals| signals.put(number, handle));
    drop(replaced);
    if let Err(error) = catch(&signal) {
        let handle = event_loop.parts.with(|signals: &mut Signals| signals.take(number));
        drop(handle);
        leave_pipe_if_unused(event_loop)?;
        return Err(explain(&signal, error));
    }
    Ok(none(py))
}

/// Makes the interpreter write the signal into the pipe, and the kernel restart the system calls that it
/// interrupts.
fn catch(signal: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = signal.py();
    let handler = stock::module(py, "yibu._yibu")?.getattr(NOTE.function)?;
    let module = signal_module(py)?;
    module.call_method1(name!("signal"), (signal, handler))?;
    module.call_method1(name!("siginterrupt"), (signal, false)).map(drop)
}

/// What an OSError of `signal.signal()` is for the caller.
fn explain(signal: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = signal.py();
    let raised = Raised::from_err(py, error);
    let invalid = || -> PyResult<bool> {
        let invalid = Errno::INVAL.raw_os_error();
        Ok(raised.is::<PyOSError>() && raised.as_any().getattr(name!("errno"))?.eq(invalid)?)
    };
    match (invalid(), signal.str()) {
        (Ok(true), Ok(name)) => {
            let explained = PyRuntimeError::new_err(format!("sig {name} cannot be caught"));
            raised.handling(|| Raised::from_err(py, explained).raise())
        }
        _ => raised.into_err(),
    }
}

/// Makes the pipe if there is none, and makes the interpreter write into it. Only the main thread may do
/// that, which this is the first to find out.
fn open_pipe(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let writer = make_pipe(event_loop)?;
    set_wakeup_fd(event_loop.py(), writer)
}

/// Makes the pipe if there is none, and returns the end for the interpreter.
fn make_pipe(event_loop: &Obj<'_, EventLoop>) -> PyResult<Fd> {
    let known = event_loop.parts.with(|signals: &mut Signals| signals.wakeup_fd());
    if let Some(writer) = known {
        return Ok(writer);
    }
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .map_err(|error| errors::os_error(&error.into()))?;
    watched::watch(event_loop, reader.as_raw_fd(), Interest::Read, Owner::Loop(deliver))?;
    let fd = writer.as_raw_fd();
    event_loop.parts.with(|signals: &mut Signals| signals.pipe = Some(Pipe { reader, writer }));
    Ok(fd)
}

fn set_wakeup_fd(py: Python<'_>, fd: Fd) -> PyResult<()> {
    let keywords = PyDict::new(py);
    // A full pipe is provided for.
    keywords.set_item("warn_on_full_buffer", false)?;
    let set = signal_module(py)?.call_method(name!("set_wakeup_fd"), (fd,), Some(&keywords));
    set.map(drop).map_err(|error| {
        let refused = error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyOSError>(py);
        match error.value(py).str() {
            Ok(text) if refused => PyRuntimeError::new_err(text.unbind()),
            _ => error,
        }
    })
}

/// Without handlers the interpreter writes into the pipe only while the loop runs.
fn leave_pipe_if_unused(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let unused = event_loop.parts.with(|signals: &mut Signals| {
        if signals.handlers.is_empty() && signals.before_run.is_none() { signals.wakeup_fd() } else { None }
    });
    let Some(writer) = unused else { return Ok(()) };
    let py = event_loop.py();
    let Err(error) = leave_wakeup_fd(py, writer) else { return Ok(()) };
    if !error.is_instance_of::<PyValueError>(py) && !error.is_instance_of::<PyOSError>(py) {
        return Err(error);
    }
    static FRAME: Frame = Frame::new(&UNIX_EVENTS, "_UnixSelectorEventLoop.remove_signal_handler");
    FRAME.log(py, "info", ("set_wakeup_fd(-1) failed: %s", error.value(py)))
}

/// Takes `fd` back from `signal.set_wakeup_fd`, unless the program has set another descriptor since.
fn leave_wakeup_fd(py: Python<'_>, fd: Fd) -> PyResult<()> {
    let module = signal_module(py)?;
    let before: Fd = module.call_method1(name!("set_wakeup_fd"), (-1,))?.extract()?;
    if before != fd && before != -1 {
        module.call_method1(name!("set_wakeup_fd"), (before,))?;
    }
    Ok(())
}

/// `_UnixSelectorEventLoop.remove_signal_handler`.
fn remove(event_loop: &Obj<'_, EventLoop>, signal: &Bound<'_, PyAny>) -> PyResult<bool> {
    let number = checked(event_loop, signal)?;
    let Some(handle) = event_loop.parts.with(|signals: &mut Signals| signals.take(number)) else {
        return Ok(false);
    };
    drop(handle);
    let module = signal_module(event_loop.py())?;
    let default = if signal.eq(module.getattr(name!("SIGINT"))?)? {
        name!("default_int_handler")
    } else {
        name!("SIG_DFL")
    };
    module
        .call_method1(name!("signal"), (signal, module.getattr(default)?))
        .map_err(|error| explain(signal, error))?;
    leave_pipe_if_unused(event_loop)?;
    Ok(true)
}

/// A pipe that was full held at least this many numbers (`PIPE_BUF`).
const MAYBE_FULL: usize = 4096;

/// `_read_from_self`: the pipe can be read.
fn deliver(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let mut came = Vec::new();
    read_pipe(event_loop, &mut came);
    if came.len() >= MAYBE_FULL {
        // Numbers may be lost. What they stood for is noted when the Python handlers have run.
        event_loop.py().check_signals()?;
        read_pipe(event_loop, &mut came);
        let seen = came.iter().fold(0, |seen, number| seen | bit((*number).into()));
        let lost = NOTED.swap(0, Ordering::Relaxed) & !seen;
        came.extend((1..=64_u8).filter(|number| lost & bit((*number).into()) != 0));
    } else {
        NOTED.store(0, Ordering::Relaxed);
    }
    for number in came {
        event_loop.as_any().call_method1(name!("_handle_signal"), (number,))?;
    }
    Ok(())
}

fn read_pipe(event_loop: &EventLoop, came: &mut Vec<u8>) {
    event_loop.parts.with(|signals: &mut Signals| {
        let Some(pipe) = &signals.pipe else { return };
        let mut room = [0_u8; MAYBE_FULL];
        // Empty (EAGAIN) ends it; the pipe's other end is never closed before this one.
        while let Ok(count @ 1..) = read(&pipe.reader, &mut room) {
            came.extend_from_slice(&room[..count]);
        }
    });
}

fn handle(event_loop: &Obj<'_, EventLoop>, number: i32) -> PyResult<()> {
    let py = event_loop.py();
    let found = event_loop.parts.with(|signals: &mut Signals| {
        let position = signals.position(number)?;
        Some(signals.handlers[position].1.copy(py))
    });
    match found {
        Some(handle) if handle.data().is_cancelled() => {
            remove(event_loop, number.into_pyobject(py)?.as_any()).map(drop)
        }
        Some(handle) => {
            event_loop.push(Entry::of(&HANDLE, handle.into_obj(py)))?;
            Ok(())
        }
        // Removed since, or another loop's.
        None => Ok(()),
    }
}

/// Takes every handler of the loop away: the loop has closed.
pub(super) fn remove_all(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let py = event_loop.py();
    let numbers: Vec<i32> = event_loop
        .parts
        .with(|signals: &mut Signals| signals.handlers.iter().map(|(number, _)| *number).collect());
    if numbers.is_empty() {
        event_loop.parts.with(|signals: &mut Signals| signals.pipe.take());
        return Ok(());
    }
    if stock::module(py, "sys")?.call_method0(name!("is_finalizing"))?.is_truthy()? {
        let text = text!(
            "Closing the loop {} on interpreter shutdown stage, skipping signal handlers removal",
            event_loop.as_any().repr()?
        )?;
        static FRAME: Frame = Frame::new(&UNIX_EVENTS, "_UnixSelectorEventLoop.close");
        let warned = FRAME.warn(&text, &py.get_type::<PyResourceWarning>(), Some(event_loop.as_any()));
        let signals = event_loop.parts.take::<Signals>();
        drop(signals);
        return warned;
    }
    for number in numbers {
        let number = number.into_pyobject(py)?.into_any();
        if event_loop.overrides(Overridable::RemoveSignalHandler) {
            event_loop.as_any().call_method1(name!("remove_signal_handler"), (number,))?;
        } else {
            remove(event_loop, &number)?;
        }
    }
    event_loop.parts.with(|signals: &mut Signals| signals.pipe.take());
    Ok(())
}

/// In the child of a fork: the pipe is the parent's, which alone is to hear of its signals.
pub(super) fn forget_pipe(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let pipe = event_loop.parts.with(|signals: &mut Signals| {
        signals.before_run = None;
        signals.pipe.take()
    });
    match pipe {
        Some(pipe) => leave_wakeup_fd(event_loop.py(), pipe.writer.as_raw_fd()),
        None => Ok(()),
    }
}
