//! What libraries use of asyncio's loops under private names, as far as it is state of the native loop: what
//! the selector would say, one turn by hand, entries as handles. [`super::internal_timers`] has what is due.
//!
//! `python/yibu/loop_internals.py` makes the objects of it that Python code sees (`_selector`); here is what
//! they call. An entry of the ring that is no handle becomes one when Python code asks for it
//! ([`super::ready_view`]): most never are.

use std::ffi::CStr;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList};
use yibu_engine::{Interest, OpId};

use super::signals::Signals;
use super::{debug, given_selector, handles};
use crate::attributes::assigned;
use crate::callbacks::ReactionCallback;
use crate::core::current;
use crate::core::{Callable, now, turn};
use crate::core::{Engine, Entry, EventLoop, Other};
use crate::errors;
use crate::events::Handle;
use crate::ffi::class::Plain;
use crate::ffi::thread::attached;
use crate::ffi::{Class, ClassState, Create, LoopCell, Obj, Output, Ref, Signature, Table, Visitor, none};
use crate::replaced::names::GET_CLOCK_INFO;

const SELECT: Signature<1> = Signature::new("EventLoop._select", "timeout=None");
const CHECK_CALLBACK: Signature<2> = Signature::new("EventLoop._check_callback", "callback, method");
const CALL_SOON: Signature<3> = Signature::new("EventLoop._call_soon", "callback, args, context");

pub(super) fn table(t: &mut Table<EventLoop>) {
    selecting(t);
    t.action(
        c"_run_once",
        run_once,
        "One turn of the loop: waits for work if there is none, then runs what is ready.",
    );
    t.command(
        &CHECK_CALLBACK,
        |_, args| {
            let [callback, method] = args.parse(&CHECK_CALLBACK)?;
            debug::check_callback(&callback, method.extract::<std::borrow::Cow<'_, str>>()?.as_ref())
        },
        "TypeError for what cannot be called back.",
    );
    t.method(
        &CALL_SOON,
        |event_loop, args| {
            let [callback, arguments, context] = args.parse(&CALL_SOON)?;
            let handle =
                Handle::class(event_loop.py()).call1((callback, arguments, event_loop.as_any(), context))?;
            event_loop.push(handles::entry(&handle))?;
            Ok(handle)
        },
        "call_soon() without its checks.",
    );
    t.getter(c"_signal_handlers", |event_loop| {
        let (py, handlers) = (event_loop.py(), PyDict::new(event_loop.py()));
        for (signal, handle) in event_loop.parts.with(|signals: &mut Signals| signals.handlers(py)) {
            handlers.set_item(signal, handle.any(py))?;
        }
        // A copy: what is written to it would be lost, so it cannot be written to.
        crate::stock::module(py, "types")?.getattr(name!("MappingProxyType"))?.call1((handlers,))
    });
    t.property(
        c"_clock_resolution",
        |event_loop| {
            let resolution = event_loop.engine.with(|engine| engine.clock_resolution);
            Ok(PyFloat::new(event_loop.py(), resolution).into_any())
        },
        |event_loop, value| {
            let resolution = assigned(value)?.extract()?;
            event_loop.engine.with(|engine| engine.clock_resolution = resolution);
            Ok(())
        },
    );
}

/// Takes the clock's resolution from what a program has put in the place of `time.get_clock_info`.
pub(super) fn take_resolution(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    if let Some(clock_info) = GET_CLOCK_INFO.replacement(event_loop.py())? {
        let resolution = clock_info.call1(("monotonic",))?.getattr(name!("resolution"))?.extract()?;
        event_loop.engine.with(|engine| engine.clock_resolution = resolution);
    }
    Ok(())
}

/// One turn, wherever it is called: within a callback, too.
fn run_once(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    event_loop.check_open()?;
    let ran = attached(|_| turn::run_once(event_loop));
    ran.and(current::flush_leave(event_loop))
}

/// An entry as the handle that asyncio would have made.
pub(super) fn as_handle<'py>(event_loop: &Obj<'py, EventLoop>, entry: Entry) -> Output<'py> {
    match callable(event_loop, entry)? {
        Callable::Handle(handle) => handles::shown(handle),
        call @ Callable::Call { .. } => calling(event_loop, call),
    }
}

/// What a handle of the entry would call, or the handle that the entry is.
pub(super) fn callable<'py>(event_loop: &Obj<'py, EventLoop>, entry: Entry) -> PyResult<Callable<'py>> {
    let py = event_loop.py();
    match entry {
        Entry::Other(Other::React { reaction, owner, future }) => {
            let argument = Some(future.into_any(py));
            let callback = ReactionCallback::of(reaction, owner.any(py))?;
            Ok(Callable::Call { callback, argument, context: None })
        }
        Entry::Run(runnable) if let Some(callable) = runnable.kind.callable => callable(runnable, py),
        entry => Ok(Callable::bare(EntryCallback::of(event_loop, entry)?)),
    }
}

/// The handle that calls it.
pub(super) fn calling<'py>(event_loop: &Obj<'py, EventLoop>, call: Callable<'py>) -> Output<'py> {
    match call {
        Callable::Handle(handle) => Ok(handle),
        Callable::Call { callback, argument, context } => {
            Ok(Handle::with_arg(event_loop.as_any(), callback, argument, context)?.into_any())
        }
    }
}

/// The kernel.
fn selecting(t: &mut Table<EventLoop>) {
    t.method(
        &SELECT,
        |event_loop, args| {
            let [timeout] = args.parse(&SELECT)?;
            select(event_loop, &timeout)
        },
        "Waits until a descriptor is ready or a thread wakes the loop; gives (descriptor, mask) of what became ready.",
    );
    t.noargs(
        c"_watched",
        |event_loop| {
            let watched = event_loop.engine.with(|engine| engine.driver.watched());
            let own = event_loop.parts.with(|signals: &mut Signals| signals.reader());
            let theirs = watched.into_iter().filter(|(fd, ..)| Some(*fd) != own);
            let rows: Vec<_> = theirs.map(|(fd, read, write)| (fd, mask(read, write))).collect();
            Ok(PyList::new(event_loop.py(), rows)?.into_any())
        },
        "(descriptor, mask) of all that is watched, but for what the loop has for itself.",
    );
    t.property(
        c"_selector_in_charge",
        |event_loop| Ok(event_loop.selector.get_or_none(event_loop.py())),
        |event_loop, value| {
            given_selector::forget_given(event_loop);
            crate::attributes::write(&event_loop.selector, value)
        },
    );
}

/// `selectors.EVENT_READ` and `EVENT_WRITE`.
const fn mask(read: bool, write: bool) -> u32 {
    read as u32 | (write as u32) << 1
}

fn select<'py>(event_loop: &Obj<'py, EventLoop>, timeout: &Bound<'py, PyAny>) -> Output<'py> {
    let py = event_loop.py();
    let engine = &event_loop.engine;
    let (before, is_ready) = engine.with(|engine| {
        let before = engine.ready.len();
        engine.drain_inbox();
        (before, !engine.ready.is_empty())
    });
    if is_ready {
        // What threads have posted makes a descriptor of asyncio's loop readable, and the selector does not
        // block.
        engine.with(Engine::poll).map_err(|error| errors::os_error(&error))?;
    } else if timeout.is_none() {
        turn::park(event_loop, None)?;
    } else {
        let seconds: f64 = timeout.extract()?;
        if seconds <= 0.0 {
            engine.with(Engine::poll).map_err(|error| errors::os_error(&error))?;
        } else {
            turn::park(event_loop, Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))?;
        }
    }
    py.check_signals()?;
    let came: Vec<(i32, u32)> = engine.with(|engine| {
        let ids: Vec<Option<OpId>> = engine.ready.iter().skip(before).map(io_of).collect();
        ids.into_iter()
            .map(|id| match id.and_then(|id| engine.driver.subject(id)) {
                Some((fd, interest)) => (fd, mask(interest == Interest::Read, interest == Interest::Write)),
                // Another thread: what asyncio's loop reads from its own socket pair.
                None => (-1, mask(true, false)),
            })
            .collect()
    });
    Ok(PyList::new(py, came)?.into_any())
}

fn io_of(entry: &Entry) -> Option<OpId> {
    match entry {
        Entry::Other(Other::Io(id)) => Some(*id),
        _ => None,
    }
}

/// How a turn begins where a program has its own selector: it is asked, as `BaseEventLoop._run_once` asks it.
#[cold]
pub(super) fn ask_selector(event_loop: &Obj<'_, EventLoop>, selector: &Bound<'_, PyAny>) -> PyResult<()> {
    let now = now(event_loop)?;
    let (busy, deadline) = event_loop.engine.with(|engine| {
        engine.drain_inbox();
        (!engine.ready.is_empty(), engine.timers.next_deadline())
    });
    let timeout = match deadline {
        _ if busy || event_loop.stopping.get() => Some(0.0),
        Some(when) => Some((when - now).clamp(0.0, yibu_engine::PARK_MAX)),
        None => None,
    };
    let came = event_loop.pulse.parked(|| {
        if given_selector::is_given(event_loop) {
            given_selector::select(event_loop, selector, timeout)
        } else {
            selector.call_method1(name!("select"), (timeout,))
        }
    })?;
    given_selector::process(event_loop, came)
}

/// An entry of the ring that has no callable of its own, as one.
#[derive(Default)]
pub struct EntryCallback {
    event_loop: crate::ffi::Slot<EventLoop>,
    entry: LoopCell<Option<Entry>>,
}

static ENTRY_CALLBACK: ClassState = ClassState::new();

impl EntryCallback {
    fn of<'py>(event_loop: &Obj<'py, EventLoop>, entry: Entry) -> Output<'py> {
        let callback = Self::create(event_loop.py())?;
        callback.event_loop.set(Ref::of(event_loop.clone()));
        callback.entry.with(|slot| *slot = Some(entry));
        Ok(callback.into_any())
    }
}

impl Class for EntryCallback {
    const NAME: &'static CStr = c"yibu.EntryCallback";
    type Header = Plain;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &ENTRY_CALLBACK;

    fn table(t: &mut Table<Self>) {
        t.call(|callback, _args, _kwargs| {
            let py = callback.py();
            let entry = callback.entry.with(Option::take);
            if let (Some(entry), Some(event_loop)) = (entry, callback.event_loop.obj(py)) {
                turn::run_entry(&event_loop, entry)?;
            }
            Ok(none(py))
        });
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.event_loop.traverse(visitor);
        self.entry.try_with(|entry| entry.iter().for_each(|entry| entry.traverse(visitor)));
    }

    fn clear(&self) {
        self.event_loop.clear();
        drop(self.entry.with(Option::take));
    }
}
