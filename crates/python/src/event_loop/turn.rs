//! One turn of the loop: `BaseEventLoop._run_once`. Called by `lifecycle`; runs every entry with nothing borrowed.

use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use pyo3::prelude::*;
use yibu_engine::{OpId, Outcome, Plan};

use super::{Acceptor, Engine, Entry, EventLoop, Overridable, Owner, Waiting};
use super::{accept, debug, handle_run, internals, signals, socket};
use crate::callbacks::ReactionCallback;
use crate::events::{self, Handle};
use crate::ffi::{Obj, Raised, Ref, audit, call, context, none};
use crate::futures::{self, Future, State};
use crate::replaced::names::MONOTONIC;
use crate::transports::pipes::{ReadPipeTransport, WritePipeTransport};
use crate::transports::{self, DatagramTransport, SocketTransport, StreamTransport, by_methods, datagram};
use crate::{alarms, current, errors, executor, names, tasks, upcall};

/// Whether the loop's clock is the program's own: its `time` or `time.monotonic` was replaced.
#[inline]
fn has_own_clock(event_loop: &Obj<'_, EventLoop>) -> bool {
    !event_loop.is_untouched()
        && (event_loop.overrides(Overridable::Time) || MONOTONIC.is_replaced(event_loop.py()))
}

/// `loop.time()`, also when a program replaced it.
#[inline]
pub fn now(event_loop: &Obj<'_, EventLoop>) -> PyResult<f64> {
    if has_own_clock(event_loop) {
        return event_loop.as_any().call_method0(names::time(event_loop.py()))?.extract();
    }
    Ok(event_loop.engine.with(|engine| engine.driver.now()))
}

/// `seconds <= loop.time()`, for less than the price of the clock when `seconds` is a while away.
#[inline]
pub fn has_come(event_loop: &Obj<'_, EventLoop>, seconds: f64) -> PyResult<bool> {
    if has_own_clock(event_loop) {
        return Ok(seconds <= now(event_loop)?);
    }
    Ok(event_loop.engine.with(|engine| engine.driver.has_come(seconds)))
}

/// Waits for work if there is none, then runs what is ready.
pub fn run_once(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    // A clock of the program's own may jump: only the program knows what is due.
    let hurried = if has_own_clock(event_loop) || !event_loop.selector.is_empty() {
        None
    } else {
        event_loop.engine.with(Engine::hurry_on)
    };
    let count = match hurried {
        Some(count) => count,
        None => gather(event_loop)?,
    };
    for _ in 0..count {
        let Some(entry) = event_loop.engine.with(|engine| engine.ready.pop()) else { break };
        event_loop.corks.open();
        let ran = if event_loop.is_untouched() && !event_loop.debug.get() {
            run_entry(event_loop, entry)
        } else {
            run_observed(event_loop, entry)
        };
        // Mostly there is nothing to tell and nothing to send: results are large, so they are not moved about.
        if event_loop.corks.shut() || ran.is_err() {
            ran.and(event_loop.corks.send(event_loop))?;
        }
    }
    Ok(())
}

/// Runs an entry where somebody may see how: in debug mode, or where something is replaced.
#[cold]
#[inline(never)]
fn run_observed(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    if event_loop.debug.get() { run_timed(event_loop, entry) } else { run_one(event_loop, entry) }
}

/// Asks kernel and timers what is ready, blocking when nothing is; the number of entries of the turn.
#[inline(never)] // most turns do not
fn gather(event_loop: &Obj<'_, EventLoop>) -> PyResult<usize> {
    let py = event_loop.py();
    let engine = &event_loop.engine;
    current::settle(event_loop)?;
    while let Some(timer) = engine.with(Engine::pop_cancelled_timer) {
        timer.leave();
    }
    if let Some(selector) = event_loop.selector.get(py) {
        internals::ask_selector(event_loop, &selector)?;
        let time = now(event_loop)?;
        return Ok(engine.with(|engine| engine.begin_turn(time)));
    }
    let mut time = now(event_loop)?;
    match engine.with(|engine| engine.plan(time, event_loop.stopping.get())) {
        Plan::Run => {}
        Plan::Poll => {
            engine.with(Engine::poll).map_err(|error| errors::os_error(&error))?;
            py.check_signals()?;
            time = now(event_loop)?;
        }
        Plan::Park(timeout) => {
            // A signal that came after the last Python instruction does not interrupt a wait that begins after it.
            py.check_signals()?;
            park(event_loop, timeout)?;
            py.check_signals()?;
            time = now(event_loop)?;
        }
    }
    Ok(engine.with(|engine| engine.begin_turn(time)))
}

/// How often loops have let go of the interpreter to park: by this a thread that a loop has woken sees that it may go on.
static PARKS: AtomicU32 = AtomicU32::new(1);

/// See [`PARKS`].
#[inline]
pub fn parks() -> u32 {
    PARKS.load(Ordering::Relaxed)
}

/// Blocks with the interpreter released.
pub(super) fn park(event_loop: &Obj<'_, EventLoop>, timeout: Option<std::time::Duration>) -> PyResult<()> {
    let engine = &event_loop.engine;
    let Some(mut wait) = engine.with(Engine::begin_wait).map_err(|error| errors::os_error(&error))? else {
        return Ok(());
    };
    let blocked = if timeout.is_some_and(|t| t.is_zero()) {
        wait.block(timeout)
    } else {
        event_loop.py().detach(|| {
            PARKS.fetch_add(1, Ordering::Relaxed);
            wait.block(timeout)
        })
    };
    let ended = engine.with(|engine| engine.end_wait(wait));
    blocked.and(ended).map_err(|error| errors::os_error(&error))
}

/// Runs one entry, by way of its handle where Python code sees that.
fn run_one(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    if !event_loop.is_untouched() && handle_run::is_replaced(event_loop.py(), &entry) {
        return handle_run::run(event_loop, entry);
    }
    run_entry(event_loop, entry)
}

/// Runs one entry. Only what must leave the loop comes out.
#[inline]
pub(super) fn run_entry(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    let py = event_loop.py();
    match entry {
        Entry::Step { task, error } => {
            let error = match error {
                Some(error) => Some(Raised(error.into_any(py).cast_into()?)),
                None => None,
            };
            tasks::run_step(event_loop, &task.into_obj(py), error)
        }
        Entry::Wakeup { task, future } => {
            tasks::run_wakeup(event_loop, &task.into_obj(py), &future.into_obj(py))
        }
        Entry::Handle(handle) => {
            current::settle(event_loop)?;
            run_handle(&handle.into_obj(py))
        }
        Entry::Posted(handle) => {
            current::settle(event_loop)?;
            let handle = handle.into_obj(py);
            if handle.is_shared() {
                handle.track();
            }
            if events::posted(&handle).is_cancelled() { Ok(()) } else { events::run_posted(&handle) }
        }
        Entry::Timer(timer) => {
            current::settle(event_loop)?;
            run_handle(timer.into_obj(py).upcast())
        }
        Entry::Callback { function, future, context } => {
            current::settle(event_loop)?;
            run_callback(event_loop, function, future.into_any(py), context)
        }
        Entry::Reaction { reaction, owner, future } => {
            let (owner, future) = (owner.into_any(py), future.into_any(py));
            match (reaction.run)(&owner, &future) {
                Ok(()) => Ok(()),
                Err(error) => {
                    report_native(event_loop, &ReactionCallback::of(reaction, &owner)?, Some(future), error)
                }
            }
        }
        Entry::Alarm(alarm) => {
            let alarm = alarm.into_obj(py);
            match alarms::run(&alarm) {
                Ok(()) => Ok(()),
                Err(error) => report_native(event_loop, alarm.as_any(), None, error),
            }
        }
        Entry::Job(job) => {
            let job = job.into_obj(py);
            match executor::deliver(&job) {
                Ok(()) => Ok(()),
                Err(error) => report_native(event_loop, job.as_any(), job.future.get(py), error),
            }
        }
        Entry::Wake(waker) => {
            current::settle(event_loop)?;
            waker.wake();
            Ok(())
        }
        Entry::Io(id) => {
            current::settle(event_loop)?;
            run_io(event_loop, id)
        }
        Entry::Look(transport) => {
            current::settle(event_loop)?;
            datagram::look(event_loop, &transport.into_obj(py))
        }
    }
}

#[inline]
fn run_handle(handle: &Obj<'_, Handle>) -> PyResult<()> {
    if handle.is_shared() {
        handle.track();
    }
    if handle.is_cancelled() { Ok(()) } else { events::run(handle) }
}

/// Calls a future's callback; when it raises, a Handle is made after the fact for the report.
fn run_callback<'py>(
    event_loop: &Obj<'py, EventLoop>,
    function: Ref,
    future: Bound<'py, PyAny>,
    context: Ref,
) -> PyResult<()> {
    let py = event_loop.py();
    let (function, context) = (function.into_any(py), context.into_any(py));
    match context::run(&context, |_| call::call1(&function, &future)) {
        Ok(_) => Ok(()),
        Err(error) => events::report(
            &Handle::with_arg(event_loop.as_any(), function, Some(future), Some(context))?,
            error,
        ),
    }
}

/// What a native function raised goes where the exception of a callback goes.
#[cold]
fn report_native<'py>(
    event_loop: &Obj<'py, EventLoop>,
    callback: &Bound<'py, PyAny>,
    arg: Option<Bound<'py, PyAny>>,
    error: PyErr,
) -> PyResult<()> {
    current::settle(event_loop)?;
    events::report(&Handle::with_arg(event_loop.as_any(), callback.clone(), arg, None)?, error)
}

/// What an operation's report leads to.
enum Action {
    Run(Ref<Handle>),
    Deliver,
    Wake(Rc<Waiting>),
    Complete(Ref<Future>),
    Transport(Ref<SocketTransport>),
    Datagrams(Ref<DatagramTransport>),
}

/// Whose descriptor Python code may have closed, or whose socket has methods of the program's own.
enum Exposed {
    Transport(Ref<SocketTransport>),
    Datagrams(Ref<DatagramTransport>),
    ReadPipe(Ref<ReadPipeTransport>),
    WritePipe(Ref<WritePipeTransport>),
    Acceptor(Ref<Acceptor>),
}

/// Gives an operation's readiness to its owner.
#[inline]
fn run_io(event_loop: &Obj<'_, EventLoop>, id: OpId) -> PyResult<()> {
    let py = event_loop.py();
    let by_method = !socket::are_as_they_came(py)?;
    let exposed = |owner: &Owner| match owner {
        Owner::Transport(transport) if by_method || transport.data().is_exposed() => {
            Some(Exposed::Transport(transport.copy(py)))
        }
        Owner::Datagrams(transport) if by_method || transport.data().is_exposed() => {
            Some(Exposed::Datagrams(transport.copy(py)))
        }
        Owner::ReadPipe(transport) => Some(Exposed::ReadPipe(transport.copy(py))),
        Owner::WritePipe(transport) => Some(Exposed::WritePipe(transport.copy(py))),
        Owner::Acceptor(acceptor) => Some(Exposed::Acceptor(acceptor.copy(py))),
        _ => None,
    };
    let found = event_loop.engine.with(|engine| {
        if let Some(transport) = engine.owner(id).and_then(exposed) {
            return Err(transport);
        }
        Ok(engine.finish(id, |owner| match owner {
            Owner::Handle(handle) => Some(Action::Run(handle.copy(py))),
            Owner::Signals => Some(Action::Deliver),
            Owner::Waiting(asked) => Some(Action::Wake(asked.waiting())),
            Owner::Future(future) => Some(Action::Complete(future.copy(py))),
            Owner::Transport(transport) => Some(Action::Transport(transport.copy(py))),
            Owner::Datagrams(transport) => Some(Action::Datagrams(transport.copy(py))),
            // Always exposed.
            Owner::ReadPipe(_) | Owner::WritePipe(_) | Owner::Acceptor(_) => None,
        }))
    });
    let found = match found {
        Ok(found) => found,
        Err(Exposed::Transport(transport)) => {
            let transport = transport.into_obj(py);
            return match SocketTransport::own_methods(&transport)? {
                Some(socket) => by_methods::ready(event_loop, &transport, &socket, id),
                None => upcall::finish_carefully(event_loop, &transport, id),
            };
        }
        Err(Exposed::Datagrams(transport)) => {
            return datagram::finish_carefully(event_loop, &transport.into_obj(py), id);
        }
        Err(Exposed::ReadPipe(transport)) => {
            return upcall::finish_carefully(event_loop, &transport.into_obj(py), id);
        }
        Err(Exposed::WritePipe(transport)) => {
            return upcall::finish_carefully(event_loop, &transport.into_obj(py), id);
        }
        Err(Exposed::Acceptor(acceptor)) => {
            let acceptor = acceptor.into_obj(py);
            if by_method || acceptor.is_by_method() || audit::is_watched(py) {
                return accept::knocked(event_loop, &acceptor);
            }
            return accept::finish_carefully(event_loop, &acceptor, id);
        }
    };
    match found {
        Some((Some(Action::Transport(transport)), outcome)) => {
            let transport = transport.into_obj(py);
            if matches!(outcome, Outcome::Ready) && audit::is_watched(py) {
                // Several pieces sent at once are an event.
                let socket = transports::socket(&transport)?;
                return by_methods::ready(event_loop, &transport, &socket, id);
            }
            upcall::finished(event_loop, &transport, id, outcome)
        }
        Some((Some(Action::Datagrams(transport)), outcome)) => {
            datagram::finished(event_loop, &transport.into_obj(py), id, outcome)
        }
        Some((Some(Action::Run(handle)), _)) if handle.data().is_cancelled() => {
            // Somebody has the handle of a watcher and cancelled it: nobody watches any more.
            let owner = event_loop.engine.with(|engine| engine.cancel(id));
            drop(owner);
            Ok(())
        }
        Some((Some(Action::Run(handle)), _)) => run_handle(&handle.into_obj(py)),
        Some((Some(Action::Deliver), _)) => signals::deliver(event_loop),
        Some((Some(Action::Wake(waiting)), _)) => {
            waiting.report();
            Ok(())
        }
        Some((Some(Action::Complete(future)), _)) => {
            let future = future.into_obj(py);
            // Reported again before its task has run, or cancelled: then the task sees to it.
            if future.state() == State::Pending { futures::set_result(&future, none(py)) } else { Ok(()) }
        }
        // Cancelled since it was reported.
        None | Some((None, _)) => Ok(()),
    }
}

/// Runs an entry in debug mode: measures it, and names it when it was slow.
#[cold]
fn run_timed(event_loop: &Obj<'_, EventLoop>, entry: Entry) -> PyResult<()> {
    let py = event_loop.py();
    let subject = debug::subject(py, &entry);
    let began = Instant::now();
    event_loop.current_handle.clear();
    if let Some(subject) = &subject {
        event_loop.current_handle.put(subject.clone());
    }
    let result = run_one(event_loop, entry);
    event_loop.current_handle.clear();
    let spent = began.elapsed().as_secs_f64();
    result?;
    match subject {
        Some(subject) => debug::warn_if_slow(event_loop, &subject, spent),
        None => Ok(()),
    }
}
