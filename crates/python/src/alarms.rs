//! `Alarm`: a native function that runs on an object at a time of the loop's clock; the timer of `timeout`,
//! `wait` and `sleep`.
//!
//! On a native loop an alarm is itself what lies in the heap, with no Handle, context or callable; elsewhere,
//! and where a program replaced `call_at`, it is the callback of the loop's own timer. Called by the
//! primitives and by the loop's turn.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::core::Overrides;
use crate::core::{
    Callable, Entry, EntryKind, EventLoop, Overridable, Scheduled, TimerKind, bit, named, no_callable, now,
    seconds,
};
use crate::ffi::class::Plain;
use crate::ffi::originals::Replaced;
use crate::ffi::{Class, ClassState, Create, Obj, Output, Ref, Slot, Table, none, references};
use crate::{events, names};

/// What an alarm does to its owner. Before it runs Python code it calls [`crate::core::current::flush_leave`]
/// where that matters.
pub type Act = for<'a, 'py> fn(&'a Bound<'py, PyAny>) -> PyResult<()>;

/// The data of an alarm.
#[derive(Default)]
pub struct Alarm {
    act: Cell<Option<Act>>,
    owner: Slot,
    /// The native loop whose heap holds the alarm.
    event_loop: Slot<EventLoop>,
    /// The loop's own timer, where that runs: its callback is another alarm, which has the function and the
    /// owner.
    handle: Slot,
    /// When it is due by the loop's clock; 0 where the loop's own timer knows it.
    when: Cell<f64>,
    /// Whether a native heap holds the alarm.
    scheduled: Cell<bool>,
    cancelled: Cell<bool>,
}

static ALARM: ClassState = ClassState::new();

/// An alarm that is due.
pub static ALARM_ENTRY: EntryKind = EntryKind {
    run: |event_loop, runnable| {
        let alarm = runnable.object(event_loop.py())?;
        run(&alarm).or_else(|error| events::report_of(event_loop, alarm.as_any(), None, error))
    },
    subject: named,
    callable: Some(|runnable, py| Ok(Callable::bare(runnable.object.into_any(py)))),
    stands_for: no_callable,
};

/// An alarm in the heap.
pub static SCHEDULED: TimerKind = TimerKind {
    is_cancelled: |alarm| alarm.data_as::<Alarm>().is_some_and(Alarm::is_cancelled),
    left: |alarm| {
        if let Some(alarm) = alarm.data_as::<Alarm>() {
            alarm.leave();
        }
    },
    entry: &ALARM_ENTRY,
};

#[inline]
fn new<'py>(owner: &Bound<'py, PyAny>, act: Act) -> PyResult<Obj<'py, Alarm>> {
    let alarm = Alarm::create(owner.py())?;
    alarm.act.set(Some(act));
    alarm.owner.put(owner.clone());
    Ok(alarm)
}

/// The loop whose heap may hold alarms: a native one whose timers the program does not look at.
#[inline]
pub fn heap_of<'a, 'py>(event_loop: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, EventLoop>> {
    const TIMERS: Replaced =
        bit(Overridable::CallAt) | bit(Overridable::CallLater) | bit(Overridable::ShowTimers);
    let native = EventLoop::direct(event_loop)?;
    let is_plain =
        native.overridden_methods() & TIMERS == 0 && !events::timers_are_made_otherwise(native.py());
    is_plain.then_some(native)
}

/// [`set_at`] for a loop that [`heap_of`] gave.
#[inline]
pub fn set_in_heap<'py>(
    event_loop: &Obj<'py, EventLoop>,
    seconds: f64,
    owner: &Bound<'py, PyAny>,
    act: Act,
) -> PyResult<Obj<'py, Alarm>> {
    event_loop.check_open()?;
    let alarm = new(owner, act)?;
    alarm.event_loop.set(Ref::of(event_loop.clone()));
    alarm.scheduled.set(true);
    alarm.when.set(seconds);
    event_loop.schedule(event_loop.py(), seconds, Scheduled::new(&SCHEDULED, alarm.clone()))?;
    Ok(alarm)
}

/// Runs `act` on `owner` at the next turn, unless cancelled: `loop.call_soon(act, owner)`.
pub fn set_soon<'py>(
    event_loop: &Bound<'py, PyAny>,
    owner: &Bound<'py, PyAny>,
    act: Act,
) -> PyResult<Obj<'py, Alarm>> {
    let alarm = new(owner, act)?;
    match EventLoop::direct(event_loop) {
        Some(native) if !events::cancels_are_replaced(owner.py()) => {
            native.check_open()?;
            native.push(Entry::of(&ALARM_ENTRY, alarm.clone()))?;
            Ok(alarm)
        }
        _ => with_handle(event_loop.call_method1(names::call_soon(owner.py()), (alarm.as_any(),))?),
    }
}

/// Runs `act` on `owner` when the loop's clock shows `when`, unless cancelled:
/// `loop.call_at(when, act, owner)`.
#[inline]
pub fn set_at<'py>(
    event_loop: &Bound<'py, PyAny>,
    when: &Bound<'py, PyAny>,
    owner: &Bound<'py, PyAny>,
    act: Act,
) -> PyResult<Obj<'py, Alarm>> {
    if let (Some(native), Some(seconds)) = (heap_of(event_loop), seconds(when)) {
        return set_in_heap(native, seconds, owner, act);
    }
    set_by_name(event_loop, names::call_at(when.py()), when, owner, act)
}

/// Runs `act` on `owner` after `delay` seconds, unless cancelled: `loop.call_later(delay, act, owner)`.
#[inline]
pub fn set_after<'py>(
    event_loop: &Bound<'py, PyAny>,
    delay: &Bound<'py, PyAny>,
    owner: &Bound<'py, PyAny>,
    act: Act,
) -> PyResult<Obj<'py, Alarm>> {
    if let (Some(native), Some(seconds)) = (heap_of(event_loop), seconds(delay)) {
        return set_in_heap(native, now(native)? + seconds, owner, act);
    }
    set_by_name(event_loop, names::call_later(delay.py()), delay, owner, act)
}

/// An alarm as the callback of a timer that is the loop's own: `method` is `call_at` or `call_later`.
fn set_by_name<'py>(
    event_loop: &Bound<'py, PyAny>,
    method: &Bound<'py, PyString>,
    time: &Bound<'py, PyAny>,
    owner: &Bound<'py, PyAny>,
    act: Act,
) -> PyResult<Obj<'py, Alarm>> {
    let callback = new(owner, act)?;
    with_handle(event_loop.call_method1(method, (time, callback.as_any()))?)
}

/// An alarm that is only there to be cancelled: what runs is the callback of the handle, which is another
/// alarm. So the two do not refer to each other.
fn with_handle<'py>(handle: Bound<'py, PyAny>) -> PyResult<Obj<'py, Alarm>> {
    let alarm = Alarm::create(handle.py())?;
    alarm.handle.put(handle);
    Ok(alarm)
}

/// The alarm will not run. Doing it again, or too late, changes nothing, but a handle is told each time.
#[inline]
pub fn cancel(alarm: &Obj<'_, Alarm>) -> PyResult<()> {
    let py = alarm.py();
    if !alarm.handle.is_empty() || alarm.scheduled.get() && events::cancels_are_replaced(py) {
        return cancel_handle(alarm);
    }
    if alarm.cancelled.replace(true) {
        return Ok(());
    }
    drop(alarm.owner.take());
    if alarm.scheduled.get()
        && let Some(event_loop) = alarm.event_loop.obj(py)
    {
        event_loop.note_cancelled_timer(py);
    }
    Ok(())
}

/// `handle.cancel()`, also where a program has replaced that since the alarm was set, and so is to get a
/// handle.
#[cold]
fn cancel_handle(alarm: &Obj<'_, Alarm>) -> PyResult<()> {
    let py = alarm.py();
    if let Some(event_loop) = alarm.event_loop.obj(py).filter(|_| alarm.scheduled.get()) {
        let address = alarm.as_any().as_ptr();
        let when = event_loop.engine.with(|engine| {
            let mut timers = engine.timers.in_order().into_iter();
            timers.find(|(_, timer)| timer.object().as_ptr() == address).map(|(when, _)| when)
        });
        if let Some(when) = when {
            show(&event_loop, alarm, when)?;
        }
    }
    match alarm.handle.get(py) {
        Some(handle) => handle.call_method0(names::cancel(py)).map(drop),
        None => Ok(()),
    }
}

/// Puts a timer of asyncio's kind into the heap in the place of an alarm, for programs that look at timers.
pub fn show(event_loop: &Obj<'_, EventLoop>, alarm: &Obj<'_, Alarm>, when: f64) -> PyResult<()> {
    let callback = Alarm::create(alarm.py())?;
    let timer = events::timer_for(event_loop.as_any(), when, callback.as_any().clone())?;
    if alarm.is_cancelled() {
        events::cancel(timer.upcast())?;
    }
    callback.act.set(alarm.act.get());
    drop(callback.owner.replace(alarm.owner.take()));
    alarm.scheduled.set(false);
    alarm.handle.put(timer.as_any().clone());
    let address = alarm.as_any().as_ptr();
    let replaced = event_loop.engine.with(|engine| {
        engine.timers.replace(|due| {
            (due.object().as_ptr() == address)
                .then(|| Scheduled::new(&events::entries::SCHEDULED, timer.clone()))
        })
    });
    drop(replaced);
    Ok(())
}

/// Runs a due alarm.
pub fn run(alarm: &Obj<'_, Alarm>) -> PyResult<()> {
    let py = alarm.py();
    if alarm.cancelled.replace(true) {
        return Ok(());
    }
    match (alarm.act.get(), alarm.owner.take()) {
        (Some(act), Some(owner)) => act(owner.any(py)),
        _ => Ok(()),
    }
}

/// When an alarm is due by its loop's clock; None once it has run or was cancelled.
fn when<'py>(alarm: &Obj<'py, Alarm>) -> Output<'py> {
    let py = alarm.py();
    if alarm.cancelled.get() {
        return Ok(none(py));
    }
    match (alarm.when.get(), alarm.handle.get(py)) {
        (0.0, Some(handle)) => handle.call_method0(name!("when")),
        (0.0, None) => Ok(none(py)),
        (when, _) => Ok(when.into_pyobject(py)?.into_any()),
    }
}

impl Alarm {
    /// What it acts on, until it has run or was cancelled.
    pub fn owner<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.owner.get(py)
    }

    /// Whether it was cancelled, or has run.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// It left the heap.
    #[inline]
    pub fn leave(&self) {
        self.scheduled.set(false);
    }
}

impl Class for Alarm {
    const NAME: &'static CStr = c"yibu.Alarm";
    type Header = Plain;
    const FREELIST: usize = 256;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &ALARM;

    fn table(t: &mut Table<Self>) {
        t.doc(c"A native timer.");
        t.call(|alarm, _args, _kwargs| run(alarm).map(|()| none(alarm.py())));
        t.getter(c"_when", when);
    }

    references! { owner, event_loop, handle }
}
