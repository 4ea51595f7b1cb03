//! `BaseSubprocessTransport`: the transport of a child process. Its state and attributes, signals, closing.
//!
//! Called by programs, by the protocols of the pipes and by the watcher of the child; calls the Popen object,
//! the loop and the protocol. [`crate::unix_events`] derives the class that starts a child.

use std::ffi::CStr;

use pyo3::exceptions::{PyNotImplementedError, PyPermissionError, PyProcessLookupError, PyResourceWarning};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PySet, PyString, PyTuple};

use super::data::BaseSubprocessTransport;
use super::{connecting, ending};
use crate::attributes::{flags, objects};
use crate::coroutines::Routine;
use crate::events::loop_debug;
use crate::ffi::class::AfterSlots;
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Raised, Signature, Slot, Table, call, make, none, references,
    stands_for,
};
use crate::frames::Frame;
use crate::futures::future_like;
use crate::replaced::names::{BASE_SUBPROCESS, DEQUE_OF_SUBPROCESSES};
use crate::{names, stock};

static BASE_SUBPROCESS_TRANSPORT: ClassState = ClassState::new();
/// `subprocess.PIPE`.
const PIPE: i32 = -1;
const INIT: Signature<10> = Signature::new_method(
    "BaseSubprocessTransport.__init__",
    "loop, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter=None, extra=None, **kwargs",
);
const START: Signature<6> = Signature::new_method(
    "BaseSubprocessTransport._start",
    "args, shell, stdin, stdout, stderr, bufsize, **kwargs",
);
const GET_EXTRA_INFO: Signature<2> =
    Signature::new_method("BaseTransport.get_extra_info", "name, default=None");
const SET_PROTOCOL: Signature<1> = Signature::new_method("BaseSubprocessTransport.set_protocol", "protocol");
const GET_PIPE: Signature<1> = Signature::new_method("BaseSubprocessTransport.get_pipe_transport", "fd");
const SEND_SIGNAL: Signature<1> = Signature::new_method("BaseSubprocessTransport.send_signal", "signal");
const CONNECT: Signature<1> = Signature::new_method("BaseSubprocessTransport._connect_pipes", "waiter");

fn init<'py>(
    transport: &Obj<'py, BaseSubprocessTransport>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<()> {
    let py = transport.py();
    let (given, keywords) = Args::parse_tuple_open(&INIT, args, kwargs)?;
    let [event_loop, protocol, command, shell, stdin, stdout, stderr, bufsize, waiter, extra] =
        given.map(|value| value.unwrap_or_else(|| none(py)));
    transport.slots().into_iter().for_each(Slot::clear);
    transport.closed.set(false);
    transport.finished.set(false);
    transport.begun.set(true);
    transport.extra.put(if extra.is_none() { PyDict::new(py).into_any() } else { extra });
    transport.event_loop.put(event_loop.clone());
    transport.protocol.put(protocol);
    transport.pending_calls.put(DEQUE_OF_SUBPROCESSES.current(py)?.call0()?);
    transport.exit_waiters.put(PySet::empty(py)?);
    let pipes = PyDict::new(py);
    for (number, file) in [&stdin, &stdout, &stderr].into_iter().enumerate() {
        if file.eq(PIPE)? {
            pipes.set_item(number, none(py))?;
        }
    }
    transport.pipes.put(pipes);
    for (name, value) in [
        ("args", &command),
        ("shell", &shell),
        ("stdin", &stdin),
        ("stdout", &stdout),
        ("stderr", &stderr),
        ("bufsize", &bufsize),
    ] {
        keywords.set_item(name, value)?;
    }
    start(transport, &keywords)?;
    if loop_debug(&event_loop)? {
        log_start(transport, &command)?;
    }
    let connecting = transport.as_any().call_method1(pyo3::intern!(py, "_connect_pipes"), (waiter,))?;
    let connecting = event_loop.call_method1(names::create_task(py), (connecting,))?;
    // An eager one may be done already.
    if !future_like::is_done(&connecting)? {
        transport.connecting.put(connecting);
    }
    Ok(())
}

/// Has the subclass start the child, and takes note of it. When that fails the transport is closed.
fn start<'py>(transport: &Obj<'py, BaseSubprocessTransport>, keywords: &Bound<'py, PyDict>) -> PyResult<()> {
    let py = transport.py();
    if let Err(error) = transport.as_any().call_method(pyo3::intern!(py, "_start"), (), Some(keywords)) {
        let error = Raised::from_err(py, error);
        error.handling(|| transport.as_any().call_method0(names::close(py)))?;
        return Err(error.into_err());
    }
    let process = transport.process.get_or_none(py);
    transport.pid.put(process.getattr(pyo3::intern!(py, "pid"))?);
    transport.extra.get_or_none(py).set_item("subprocess", process)
}

fn log_start<'py>(
    transport: &Obj<'py, BaseSubprocessTransport>,
    command: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = transport.py();
    let is_text = command.is_instance_of::<PyBytes>() || command.is_instance_of::<PyString>();
    let program = if is_text { command.clone() } else { command.get_item(0)? };
    let arguments = ("process %r created: pid %s", program, transport.pid.get_or_none(py));
    static FRAME: Frame = Frame::new(&BASE_SUBPROCESS, "BaseSubprocessTransport.__init__");
    FRAME.log(py, "debug", arguments)
}

/// `close`: closes the pipes and kills the child, unless it is known to be over.
fn close<'py>(transport: &Obj<'py, BaseSubprocessTransport>) -> Output<'py> {
    let py = transport.py();
    if transport.closed.replace(true) {
        return Ok(none(py));
    }
    for protocol in transport.pipes(py)?.values().iter().filter(|protocol| !protocol.is_none()) {
        if is_loop_over(transport)? {
            // The pipe has no protocol that could be told that it is closed.
            continue;
        }
        protocol.getattr(pyo3::intern!(py, "pipe"))?.call_method0(names::close(py))?;
    }
    let process = transport.process.get_or_none(py);
    if process.is_none()
        || !transport.returncode.is_empty()
        || !process.call_method0(name!("poll"))?.is_none()
    {
        return Ok(none(py));
    }
    if loop_debug(&transport.event_loop.get_or_none(py))? {
        let text = "Close running child process: kill %r";
        static FRAME: Frame = Frame::new(&BASE_SUBPROCESS, "BaseSubprocessTransport.close");
        FRAME.log(py, "warning", (text, transport.as_any()))?;
    }
    match process.call_method0(name!("kill")) {
        Ok(_) => {}
        Err(error) if error.is_instance_of::<PyProcessLookupError>(py) => drop(Raised::from_err(py, error)),
        // The child runs with the rights of another user.
        Err(error) if error.is_instance_of::<PyPermissionError>(py) => drop(Raised::from_err(py, error)),
        Err(error) => return Err(error),
    }
    Ok(none(py))
}

fn is_loop_over(transport: &Obj<'_, BaseSubprocessTransport>) -> PyResult<bool> {
    let py = transport.py();
    match transport.event_loop.get(py) {
        Some(event_loop) => event_loop.call_method0(names::is_closed(py))?.is_truthy(),
        None => Ok(true),
    }
}

/// `__del__`.
fn finalize(transport: &Obj<'_, BaseSubprocessTransport>) -> PyResult<()> {
    let py = transport.py();
    if transport.closed.get() {
        return Ok(());
    }
    static FRAME: Frame = Frame::new(&BASE_SUBPROCESS, "BaseSubprocessTransport.__del__");
    let text = text!("unclosed transport {}", transport.as_any().repr()?)?;
    FRAME.warn(&text, &py.get_type::<PyResourceWarning>(), Some(transport.as_any()))?;
    transport.as_any().call_method0(names::close(py)).map(drop)
}

/// `_check_proc`: the child, or ProcessLookupError.
fn check_process<'py>(transport: &Obj<'py, BaseSubprocessTransport>) -> Output<'py> {
    let process = transport.process.get(transport.py());
    process.ok_or_else(|| PyProcessLookupError::new_err(()))
}

/// `send_signal`.
fn send_signal<'py>(
    transport: &Obj<'py, BaseSubprocessTransport>,
    number: &Bound<'py, PyAny>,
) -> Output<'py> {
    let py = transport.py();
    transport.as_any().call_method0(name!("_check_proc"))?;
    let process = transport.process.get_or_none(py);
    // The `Popen` knows of the end as soon as the child was reaped, the transport a turn later.
    if !transport.returncode.is_empty() || !process.getattr(name!("returncode"))?.is_none() {
        return Ok(none(py));
    }
    // Not by Popen, which would wait for the child first and take its return code from the watcher.
    let pid = process.getattr(pyo3::intern!(py, "pid"))?;
    match stock::os_module(py)?.call_method1(name!("kill"), (pid, number)) {
        Err(error) if !error.is_instance_of::<PyProcessLookupError>(py) => Err(error),
        Err(error) => {
            drop(Raised::from_err(py, error));
            Ok(none(py))
        }
        Ok(_) => Ok(none(py)),
    }
}

/// `terminate` and `kill`.
fn send<'py>(transport: &Obj<'py, BaseSubprocessTransport>, signal: &str) -> Output<'py> {
    let py = transport.py();
    let number = stock::signal_module(py)?.getattr(names::interned(py, signal))?;
    transport.as_any().call_method1(name!("send_signal"), (number,))?;
    Ok(none(py))
}

fn get_pipe_transport<'py>(
    transport: &Obj<'py, BaseSubprocessTransport>,
    number: &Bound<'py, PyAny>,
) -> Output<'py> {
    let py = transport.py();
    match transport.pipes(py)?.get_item(number)? {
        Some(protocol) => protocol.getattr(pyo3::intern!(py, "pipe")),
        None => Ok(none(py)),
    }
}

fn get_extra_info<'py>(transport: &Obj<'py, BaseSubprocessTransport>, args: Args<'_, 'py>) -> Output<'py> {
    let [name, default] = args.parse(&GET_EXTRA_INFO)?;
    let extra = transport.extra.get_or_none(transport.py());
    call::method(pyo3::intern!(transport.py(), "get"), [&extra, &name, &default])
}

fn repr<'py>(transport: &Obj<'py, BaseSubprocessTransport>) -> Output<'py> {
    let py = transport.py();
    let mut text = text!("<{}", transport.as_any().get_type().name()?)?;
    if transport.closed.get() {
        crate::texts::append(&mut text, format_args!(" closed"))?;
    }
    let pid = transport.pid.get(py);
    if let Some(pid) = &pid {
        crate::texts::append(&mut text, format_args!(" pid={}", pid.str()?))?;
    }
    match (transport.returncode.get(py), pid) {
        (Some(code), _) => crate::texts::append(&mut text, format_args!(" returncode={}", code.str()?))?,
        (None, Some(_)) => crate::texts::append(&mut text, format_args!(" running"))?,
        (None, None) => crate::texts::append(&mut text, format_args!(" not started"))?,
    }
    let pipes = transport.pipes(py)?;
    let pipe = |number: u8| -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(pipes.get_item(number)?.filter(|protocol| !protocol.is_none()))
    };
    let shown = |protocol: &Bound<'py, PyAny>| protocol.getattr(pyo3::intern!(py, "pipe"))?.str();
    let (stdout, stderr) = (pipe(1)?, pipe(2)?);
    let same = stdout.as_ref().zip(stderr.as_ref()).is_some_and(|(stdout, stderr)| stdout.is(stderr));
    if let Some(stdin) = pipe(0)? {
        crate::texts::append(&mut text, format_args!(" stdin={}", shown(&stdin)?))?;
    }
    if let Some(stdout) = stdout {
        let name = if same { "stdout=stderr" } else { "stdout" };
        crate::texts::append(&mut text, format_args!(" {name}={}", shown(&stdout)?))?;
    }
    if let Some(stderr) = stderr.filter(|_| !same) {
        crate::texts::append(&mut text, format_args!(" stderr={}", shown(&stderr)?))?;
    }
    Ok(make::text(py, &text!("{text}>")?)?.into_any())
}

fn attributes(t: &mut Table<BaseSubprocessTransport>) {
    objects! { t:
        c"_protocol" => protocol,
        c"_loop" => event_loop,
        c"_proc" => process,
        c"_pid" => pid,
        c"_returncode" => returncode,
        c"_exit_waiters" => exit_waiters,
        c"_pending_calls" => pending_calls,
        c"_pipes" => pipes,
        c"_extra" => extra,
    }
    flags! { t: c"_closed" => closed, c"_finished" => finished }
}

fn methods(t: &mut Table<BaseSubprocessTransport>) {
    t.method(
        &GET_EXTRA_INFO,
        get_extra_info,
        "What is known of the child: \"subprocess\" is its Popen object.",
    );
    t.method(
        &SET_PROTOCOL,
        |transport, args| {
            let [protocol] = args.parse(&SET_PROTOCOL)?;
            transport.protocol.put(protocol);
            Ok(none(transport.py()))
        },
        "Sets another protocol.",
    );
    t.noargs(
        c"get_protocol",
        |transport| Ok(transport.protocol.get_or_none(transport.py())),
        "The protocol.",
    );
    t.answer(c"is_closing", |transport| transport.closed.get(), "Whether close() was called.");
    t.noargs(c"close", close, "Closes the pipes and kills the child if it still runs.");
    t.noargs(
        c"get_pid",
        |transport| Ok(transport.pid.get_or_none(transport.py())),
        "The child's process id.",
    );
    t.noargs(
        c"get_returncode",
        |transport| Ok(transport.returncode.get_or_none(transport.py())),
        "The child's return code, None while it runs.",
    );
    t.method(
        &GET_PIPE,
        |transport, args| {
            let [number] = args.parse(&GET_PIPE)?;
            get_pipe_transport(transport, &number)
        },
        "The transport of the pipe to descriptor fd of the child, None when that is no pipe.",
    );
    t.noargs(
        c"_check_proc",
        |transport| check_process(transport).map(|_| none(transport.py())),
        "ProcessLookupError when there is no child any more.",
    );
    t.method(
        &SEND_SIGNAL,
        |transport, args| {
            let [number] = args.parse(&SEND_SIGNAL)?;
            send_signal(transport, &number)
        },
        "Sends a signal to the child.",
    );
    t.noargs(c"terminate", |transport| send(transport, "SIGTERM"), "Asks the child to end: SIGTERM.");
    t.noargs(c"kill", |transport| send(transport, "SIGKILL"), "Kills the child: SIGKILL.");
    t.method(
        &START,
        |_, args| {
            args.parse_open(&START)?;
            Err(PyNotImplementedError::new_err(()))
        },
        "Starts the child and sets _proc; for subclasses.",
    );
    t.method(
        &CONNECT,
        |transport, args| {
            let [waiter] = args.parse(&CONNECT)?;
            let routine = Routine::begin(transport.as_any(), CONNECT.function, connecting::begin)?;
            connecting::waiter_of(&routine).put(waiter);
            Ok(routine.into_any())
        },
        "Coroutine that connects the pipes, tells the protocol, and completes waiter.",
    );
}

impl Class for BaseSubprocessTransport {
    const NAME: &'static CStr = c"yibu.BaseSubprocessTransport";
    // `_extra` of `SubprocessTransport`.
    type Header = AfterSlots<1>;

    const NOT_CALLED: &'static [&'static str] = &["__init__"];
    const STANDS_FOR_STOCK: bool = true;
    const FUNCTIONS: bool = true;

    stands_for! { BASE_SUBPROCESS_TRANSPORT, stock::base_subprocess_transport }

    fn table(t: &mut Table<Self>) {
        t.doc(c"BaseSubprocessTransport(loop, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter=None, extra=None, **kwargs)\n--\n\nA child process. Subclasses start it.");
        t.init(init);
        t.repr(repr);
        t.finalize(finalize);
        methods(t);
        ending::table(t);
        attributes(t);
    }

    references! {
        event_loop, protocol, process, pid, returncode, exit_waiters, connecting, pending_calls, pipes, extra,
    }

    fn wants_finalizer(&self) -> bool {
        self.begun.get() && !self.closed.get()
    }
}
