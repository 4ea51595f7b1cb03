//! Child processes: `subprocess_exec`, `subprocess_shell`, and which watcher waits for the children.
//!
//! Called by programs and by [`crate::subprocess`]; calls [`crate::unix_events`], whose transport starts the
//! child and whose watchers wait for it. Until Python 3.13 a program may set a watcher of its own, which is
//! used then.

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PySystemExit, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

#[cfg(Py_3_14)]
use crate::attributes::assigned;
use crate::core::{EventLoop, Part};
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::{
    Args, Class, Create, Obj, Output, Raised, Ref, Signature, Slot, Table, Visitor, boolean, none,
};
use crate::frames::{Frame, SUBPROCESS_EXEC, SUBPROCESS_SHELL};
use crate::functions::running;
use crate::futures::future_like;
use crate::mixins::create_future;
use crate::replaced::names::{BASE_EVENTS, SUBPROCESS_TRANSPORT};
#[cfg(not(Py_3_14))]
use crate::stock;
use crate::unix_events::{self, PidfdWatcher, ThreadedWatcher, UnixSubprocessTransport};
use crate::{base_subprocess, names, shield};

/// `subprocess.PIPE` and `subprocess.STDOUT`.
const PIPE: i32 = -1;
const STDOUT: i32 = -2;

const EXEC: Signature<11> = Signature::new_method(
    "EventLoop.subprocess_exec",
    "protocol_factory, program, *args, stdin=-1, stdout=-1, stderr=-1, universal_newlines=False, shell=False, bufsize=0, encoding=None, errors=None, text=None, **kwargs",
);
const SHELL: Signature<11> = Signature::new_method(
    "EventLoop.subprocess_shell",
    "protocol_factory, cmd, *, stdin=-1, stdout=-1, stderr=-1, universal_newlines=False, shell=True, bufsize=0, encoding=None, errors=None, text=None, **kwargs",
);
const MAKE: Signature<8> = Signature::new_method(
    "EventLoop._make_subprocess_transport",
    "protocol, args, shell, stdin, stdout, stderr, bufsize, extra=None, **kwargs",
);
const LOG: Signature<4> = Signature::new_method("EventLoop._log_subprocess", "msg, stdin, stdout, stderr");
const ENDED: Signature<3> =
    Signature::new_method("EventLoop._child_watcher_callback", "pid, returncode, transp");

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(
        &EXEC,
        |event_loop, args| begin(event_loop, &args, &EXEC, false),
        "Coroutine: runs a program. Returns the pair of transport and protocol.",
    );
    t.method(
        &SHELL,
        |event_loop, args| begin(event_loop, &args, &SHELL, true),
        "Coroutine: runs a shell command. Returns the pair of transport and protocol.",
    );
    t.method(
        &MAKE,
        |event_loop, args| {
            let (given, keywords) = args.parse_open(&MAKE)?;
            let routine = Routine::begin(event_loop.as_any(), MAKE.function, start)?;
            let py = event_loop.py();
            routine.first.put(PyTuple::new(py, given.map(|value| value.unwrap_or_else(|| none(py))))?);
            routine.second.put(keywords);
            Ok(routine.into_any())
        },
        "Coroutine: starts a child, has a watcher wait for it, and waits until its pipes are connected.",
    );
    t.method(&LOG, log, "Logs what is to be run, and what its standard streams are.");
    t.method(&ENDED, child_ended, "Called by a watcher when a child has ended.");
    #[cfg(Py_3_14)]
    t.property(c"_watcher", own_watcher, |event_loop, value| {
        let value = assigned(value)?;
        set_own_watcher(event_loop, (!value.is_none()).then(|| Ref::new(value.clone())));
        Ok(())
    });
}

/// A call of `subprocess_exec` or `subprocess_shell`: nothing is checked before the coroutine runs. The
/// routine's first slot has the arguments as a tuple, the second one the keywords for Popen.
fn begin<'py>(
    event_loop: &Obj<'py, EventLoop>,
    args: &Args<'_, 'py>,
    signature: &'static Signature<11>,
    in_shell: bool,
) -> Output<'py> {
    let py = event_loop.py();
    let (given, keywords) = args.parse_open(signature)?;
    let [factory, command, stdin, stdout, stderr, newlines, shell, bufsize, encoding, errors, text] = given;
    let mut command = command.unwrap_or_else(|| none(py));
    if !in_shell {
        let program = std::iter::once(command).chain(args.rest(signature)?.iter());
        command = PyTuple::new(py, program.collect::<Vec<_>>())?.into_any();
    }
    let number = |number: i32| number.into_pyobject(py).map(Bound::into_any);
    let pipe = number(PIPE)?;
    let call = [
        factory.unwrap_or_else(|| none(py)),
        command,
        stdin.unwrap_or_else(|| pipe.clone()),
        stdout.unwrap_or_else(|| pipe.clone()),
        stderr.unwrap_or_else(|| pipe.clone()),
        newlines.unwrap_or_else(|| boolean(py, false)),
        shell.unwrap_or_else(|| boolean(py, in_shell)),
        bufsize.map_or_else(|| number(0), Ok)?,
        encoding.unwrap_or_else(|| none(py)),
        errors.unwrap_or_else(|| none(py)),
        text.unwrap_or_else(|| none(py)),
    ];
    let run = if in_shell { run_shell } else { run_program };
    let routine = Routine::begin(event_loop.as_any(), signature.function, run)?;
    routine.first.put(PyTuple::new(py, call)?);
    routine.second.put(keywords);
    Ok(routine.into_any())
}

fn run_program<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    run(routine, false)
}

fn run_shell<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    run(routine, true)
}

/// Checks the arguments, makes the protocol, and has the transport made. The routine's number says whether it
/// is a shell.
fn run<'py>(routine: &Obj<'py, Routine>, in_shell: bool) -> PyResult<Step<'py>> {
    let py = routine.py();
    let event_loop = routine.owner::<EventLoop>(py)?;
    let call = taken(py, &routine.first).cast_into::<PyTuple>()?;
    let keywords = taken(py, &routine.second).cast_into::<PyDict>()?;
    let call: Vec<_> = call.iter().collect();
    let [factory, command, stdin, stdout, stderr, options @ ..] = call.as_slice() else {
        return Err(PyRuntimeError::new_err("the arguments are lost"));
    };
    if in_shell && !command.is_instance_of::<PyBytes>() && !command.is_instance_of::<PyString>() {
        return Err(PyValueError::new_err("cmd must be a string"));
    }
    check(options, in_shell)?;
    let protocol = factory.call0()?;
    if event_loop.debug.get() {
        // Only the program, no arguments: there may be a password among them.
        let text = if in_shell {
            text!("run shell command {}", command.repr()?)?
        } else {
            text!("execute program {}", command.get_item(0)?.repr()?)?
        };
        event_loop.as_any().call_method1(name!("_log_subprocess"), (&text, stdin, stdout, stderr))?;
        routine.second.put(PyString::new(py, &text));
    }
    let bufsize = &options[2];
    let arguments = (&protocol, command, in_shell, stdin, stdout, stderr, bufsize);
    let made =
        event_loop.as_any().call_method(name!("_make_subprocess_transport"), arguments, Some(&keywords))?;
    routine.first.put(protocol);
    routine.number.set(in_shell.into());
    Ok(Step::Await(made, |routine, transport| {
        let (py, transport) = (routine.py(), transport?);
        let protocol = taken(py, &routine.first);
        let event_loop = routine.owner::<EventLoop>(py)?;
        if let Some(text) = routine.second.get(py)
            && event_loop.debug.get()
        {
            let frame = if routine.number.get() == 0 { &SUBPROCESS_EXEC } else { &SUBPROCESS_SHELL };
            frame.log(py, "info", ("%s: %r", text, &transport))?;
        }
        Ok(Step::Return((transport, protocol).into_pyobject(py)?.into_any()))
    }))
}

/// What Popen could do and asyncio cannot: text, and buffers.
fn check(options: &[Bound<'_, PyAny>], in_shell: bool) -> PyResult<()> {
    let [newlines, shell, bufsize, encoding, errors, text] = options else { return Ok(()) };
    let problem = if newlines.is_truthy()? {
        "universal_newlines must be False"
    } else if shell.is_truthy()? != in_shell {
        if in_shell { "shell must be True" } else { "shell must be False" }
    } else if bufsize.ne(0)? {
        "bufsize must be 0"
    } else if text.is_truthy()? {
        "text must be False"
    } else if !encoding.is_none() {
        "encoding must be None"
    } else if !errors.is_none() {
        "errors must be None"
    } else {
        return Ok(());
    };
    Err(PyValueError::new_err(problem))
}

/// `_log_subprocess`.
fn log<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [text, stdin, stdout, stderr] = args.parse(&LOG)?;
    let mut text = text!("{}", text.str()?)?;
    let joined = !stdout.is_none() && stderr.eq(STDOUT)?;
    if !stdin.is_none() {
        crate::texts::append(&mut text, format_args!(" stdin={}", shown(&stdin)?))?;
    }
    if !stdout.is_none() {
        let name = if joined { "stdout=stderr" } else { "stdout" };
        crate::texts::append(&mut text, format_args!(" {name}={}", shown(&stdout)?))?;
    }
    if !joined && !stderr.is_none() {
        crate::texts::append(&mut text, format_args!(" stderr={}", shown(&stderr)?))?;
    }
    static FRAME: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop._log_subprocess");
    let py = event_loop.py();
    FRAME.log(py, "debug", (text,))?;
    Ok(none(py))
}

/// `base_events._format_pipe`.
fn shown(file: &Bound<'_, PyAny>) -> PyResult<String> {
    if file.eq(PIPE)? {
        return Ok("<pipe>".to_owned());
    }
    if file.eq(STDOUT)? {
        return Ok("<stdout>".to_owned());
    }
    text!("{}", file.repr()?)
}

/// Starts the child. From then on the routine's first slot has its transport, the second one the watcher.
fn start<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let event_loop = routine.owner::<EventLoop>(py)?;
    let arguments = taken(py, &routine.first).cast_into::<PyTuple>()?;
    let keywords = taken(py, &routine.second).cast_into::<PyDict>()?;
    let Entered { watcher, usable } = enter_watcher(&event_loop)?;
    routine.second.put(watcher);
    let waiter = spawn(&event_loop, &usable, &arguments, &keywords).map(|(transport, waiter)| {
        routine.first.put(transport);
        waiter
    });
    match waiter {
        Ok(waiter) => Ok(Step::Await(waiter, connected)),
        Err(error) => leave_watcher(routine, Err(error)),
    }
}

/// The transport of a child that runs and is watched, and the future that waits for its pipes.
fn spawn<'py>(
    event_loop: &Obj<'py, EventLoop>,
    watcher: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
    keywords: &Bound<'py, PyDict>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let py = event_loop.py();
    check_watcher(watcher)?;
    let waiter = create_future(event_loop.as_any())?;
    keywords.set_item("waiter", &waiter)?;
    keywords.set_item("extra", arguments.get_item(7)?)?;
    let positional = [event_loop.as_any().clone()].into_iter().chain(arguments.iter().take(7));
    let positional = PyTuple::new(py, positional.collect::<Vec<_>>())?;
    let class = match SUBPROCESS_TRANSPORT.replacement(py)? {
        Some(class) => class,
        None => UnixSubprocessTransport::class(py).into_any(),
    };
    let frame = if arguments.get_item(2)?.is_truthy()? { &SUBPROCESS_SHELL } else { &SUBPROCESS_EXEC };
    let transport = frame.call(&class, positional, Some(keywords))?;
    let callback = event_loop.as_any().getattr(name!("_child_watcher_callback"))?;
    let pid = transport.call_method0(name!("get_pid"))?;
    watcher.call_method1(name!("add_child_handler"), (pid, callback, &transport))?;
    Ok((transport, waiter))
}

/// The pipes are connected, or will not be: then the child is killed, and its end waited for.
fn connected<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let transport = routine.first.get_or_none(py);
    let error = match waited {
        Ok(_) => return leave_watcher(routine, Ok(Step::Return(transport))),
        Err(error) => Raised::from_err(py, error),
    };
    if error.is::<PySystemExit>() || error.is::<PyKeyboardInterrupt>() {
        return leave_watcher(routine, Err(error.into_err()));
    }
    let ending = error.handling(|| {
        transport.call_method0(names::close(py))?;
        if let Some(connecting) = connecting(&transport) {
            future_like::cancel(&connecting)?;
        }
        let ending = transport.call_method0(name!("_wait"))?;
        shield::protect(&ending)
    });
    match ending {
        Ok(ending) => {
            routine.third.put(error.into_any());
            Ok(Step::Await(ending, undone))
        }
        Err(error) => leave_watcher(routine, Err(error)),
    }
}

/// The task that still connects the pipes of a transport.
fn connecting<'py>(transport: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    Obj::<UnixSubprocessTransport>::cast(transport)?.base.connecting(transport.py())
}

/// The child is gone, and when its pipes are, too, the exception may leave.
fn undone<'py>(routine: &Obj<'py, Routine>, waited: Output<'py>) -> PyResult<Step<'py>> {
    let transport = routine.first.get_or_none(routine.py());
    if let Some(connecting) = connecting(&transport) {
        if waited.is_ok() && !future_like::is_done(&connecting)? {
            return Ok(Step::Await(shield::protect(&connecting)?, undone));
        }
        if let Some(native) = Obj::<UnixSubprocessTransport>::cast(&transport) {
            // It was cancelled before it began.
            base_subprocess::close_files(native.upcast())?;
        }
    }
    let error = PyErr::from_value(taken(routine.py(), &routine.third));
    leave_watcher(routine, Err(waited.err().unwrap_or(error)))
}

/// `_child_watcher_callback`.
fn child_ended<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let py = event_loop.py();
    let [_, code, transport] = args.parse(&ENDED)?;
    // The child was reaped this moment: from now on a signal could go to the process that gets the id next, so
    // the `Popen` is to send none. A watcher of the program's calls from a thread of its own.
    if running(py)?.is_some_and(|running| running.is(event_loop.as_any()))
        && let Some(process) = transport.getattr_opt(name!("_proc"))?.filter(|process| !process.is_none())
    {
        process.setattr(name!("returncode"), &code)?;
    }
    let exited = transport.getattr(name!("_process_exited"))?;
    event_loop.as_any().call_method1(names::call_soon_threadsafe(py), (exited, code))?;
    Ok(none(py))
}

/// The watcher of the loop's children, made with the first of them.
#[derive(Default)]
struct OwnWatcher(Slot);

impl Part for OwnWatcher {
    fn traverse(&self, visitor: &mut Visitor) {
        self.0.traverse(visitor);
    }
}

fn set_own_watcher(event_loop: &Obj<'_, EventLoop>, watcher: Option<Ref>) {
    let former = event_loop.parts.with(|OwnWatcher(slot): &mut OwnWatcher| slot.replace(watcher));
    drop(former);
}

/// The loop's own watcher.
fn own_watcher<'py>(event_loop: &Obj<'py, EventLoop>) -> Output<'py> {
    let py = event_loop.py();
    if let Some(watcher) = event_loop.parts.with(|OwnWatcher(slot): &mut OwnWatcher| slot.get(py)) {
        return Ok(watcher);
    }
    let watcher = if unix_events::can_use_pidfd(py)? {
        PidfdWatcher::create(py)?.into_any()
    } else {
        ThreadedWatcher::create(py)?.into_any()
    };
    set_own_watcher(event_loop, Some(Ref::new(watcher.clone())));
    Ok(watcher)
}

/// A watcher inside its `with` block.
struct Entered<'py> {
    /// To be left.
    watcher: Bound<'py, PyAny>,
    /// To be used: what `__enter__` returned, or since 3.12 the watcher itself.
    usable: Bound<'py, PyAny>,
}

impl<'py> Entered<'py> {
    /// One that has no use for the block, or none at all.
    fn without_block(watcher: Bound<'py, PyAny>) -> Self {
        Self { usable: watcher.clone(), watcher }
    }
}

#[cfg(Py_3_14)]
fn enter_watcher<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<Entered<'py>> {
    Ok(Entered::without_block(event_loop.as_any().getattr(name!("_watcher"))?))
}

#[cfg(Py_3_14)]
fn check_watcher(_watcher: &Bound<'_, PyAny>) -> PyResult<()> {
    Ok(())
}

#[cfg(Py_3_14)]
fn leave_watcher<'py>(_routine: &Obj<'py, Routine>, result: PyResult<Step<'py>>) -> PyResult<Step<'py>> {
    result
}

/// The watcher that the program has set, or else the loop's own.
#[cfg(not(Py_3_14))]
fn enter_watcher<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<Entered<'py>> {
    let Some(watcher) = watcher_of_program(event_loop.py())? else {
        return Ok(Entered::without_block(own_watcher(event_loop)?));
    };
    let entered = watcher.call_method0(name!("__enter__"))?;
    let usable = if cfg!(Py_3_12) { watcher.clone() } else { entered };
    Ok(Entered { watcher, usable })
}

/// The watcher of the policy, if the policy has one or a way of its own to get one.
#[cfg(not(Py_3_14))]
fn watcher_of_program(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let events = stock::events_module(py)?;
    let (Some(function), Some(policy)) = (
        events.getattr_opt(name!("get_child_watcher"))?,
        events.getattr_opt(name!("get_event_loop_policy"))?,
    ) else {
        return Ok(None);
    };
    if function.is(stock::get_child_watcher(py)?) {
        let policy = policy.call0()?;
        let module = policy.get_type().getattr(name!("get_child_watcher"))?.getattr(name!("__module__"))?;
        let is_of_asyncio = module.eq("asyncio.unix_events")? || module.eq("yibu.policy")?;
        if is_of_asyncio && is_default(&policy.getattr(name!("_watcher"))?)? {
            return Ok(None);
        }
    }
    // To ask is deprecated; it was not the program that did.
    let warnings = stock::module(py, "warnings")?;
    let caught = warnings.call_method0(name!("catch_warnings"))?;
    caught.call_method0(name!("__enter__"))?;
    let watcher = warnings
        .call_method1(
            name!("simplefilter"),
            ("ignore", py.get_type::<pyo3::exceptions::PyDeprecationWarning>()),
        )
        .and_then(|_| function.call0());
    caught.call_method1(name!("__exit__"), (none(py), none(py), none(py)))?;
    watcher.map(Some)
}

/// Whether a policy's watcher is none, or of the class that stock loops have made there: the loop's own does
/// what that does.
#[cfg(not(Py_3_14))]
fn is_default(watcher: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(watcher.is_none() || watcher.get_type().is(stock::default_child_watcher(watcher.py())?))
}

/// RuntimeError when the watcher would not notice the end of a child: then there shall be none.
#[cfg(not(Py_3_14))]
fn check_watcher(watcher: &Bound<'_, PyAny>) -> PyResult<()> {
    if watcher.call_method0(name!("is_active"))?.is_truthy()? {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(
        "asyncio.get_child_watcher() is not activated, subprocess support is not installed.",
    ))
}

/// Leaves the watcher's `with` block.
#[cfg(not(Py_3_14))]
fn leave_watcher<'py>(routine: &Obj<'py, Routine>, result: PyResult<Step<'py>>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let watcher = taken(py, &routine.second);
    match result {
        Ok(step) => {
            watcher.call_method1(name!("__exit__"), (none(py), none(py), none(py)))?;
            Ok(step)
        }
        Err(error) => {
            let error = Raised::from_err(py, error);
            let (class, traceback) =
                (error.as_any().get_type(), error.as_any().getattr(name!("__traceback__"))?);
            error.handling(|| watcher.call_method1(name!("__exit__"), (class, error.as_any(), traceback)))?;
            Err(error.into_err())
        }
    }
}
