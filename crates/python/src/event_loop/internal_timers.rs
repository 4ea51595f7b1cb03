//! `loop._scheduled`: the timers as programs see them, and what programs change of them.
//!
//! `python/yibu/loop_internals.py` makes the list. While a program has it, the loop calls `_sync_timers()` of
//! Python code when a turn begins and when it has taken out what is due, and [`added`] when a timer came, so
//! that list and heap agree. An alarm of the heap becomes a timer handle when Python code asks for it: most
//! never do.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList, PyString};

use super::handles::{self, SCHEDULED_BY_NAME};
use crate::alarms::{self, Alarm};
use crate::core::{EventLoop, Overridable, Overrides, Scheduled, clock, overridden, typed};
use crate::events::entries::SCHEDULED;
use crate::ffi::{Obj, Output, Ref, Table, none};

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.noargs(c"_timers", timers, "The timers in the order in which they are due; all are TimerHandles now.");
    t.one(c"_timers_remove", "timers", remove, "Takes timers out of the heap.");
    t.one(
        c"_timers_add",
        "timer",
        |event_loop, timer| {
            let seconds = clock::on_the_clock(&timer.call_method0(name!("when"))?)?;
            handles::schedule_timer(event_loop, seconds, timer)?;
            Ok(none(timer.py()))
        },
        "Puts a timer into the heap.",
    );
    t.answer(
        c"_timers_count",
        |event_loop| event_loop.engine.with(|engine| engine.timers.len()),
        "How many timers are in the heap.",
    );
    t.action_on(
        c"_show_timers",
        "shown",
        |event_loop, shown| {
            let name = PyString::new(event_loop.py(), "_show_timers");
            overridden::attribute_changed(event_loop, &name, shown.is_truthy()?)
        },
        "Says whether a program has the list of timers, which is to be kept up to date then.",
    );
    t.value(c"_timer_cancelled_count", |event_loop| {
        event_loop.engine.with(|engine| engine.timers.cancelled_count())
    });
}

fn is_timer(timer: &Scheduled) -> bool {
    std::ptr::eq(timer.kind(), &SCHEDULED) || std::ptr::eq(timer.kind(), &SCHEDULED_BY_NAME)
}

/// What lies in the heap and is a timer handle, with what Python code knows it by.
fn handles_in_heap<'py>(event_loop: &Obj<'py, EventLoop>) -> PyResult<Vec<(Ref, Bound<'py, PyAny>)>> {
    let py = event_loop.py();
    let timers: Vec<Ref> = event_loop.engine.with(|engine| {
        let timers = engine.timers.in_order().into_iter();
        timers.filter(|(_, timer)| is_timer(timer)).map(|(_, timer)| timer.object().copy(py)).collect()
    });
    timers
        .into_iter()
        .map(|timer| handles::shown(timer.any(py).clone()).map(|shown| (timer, shown)))
        .collect()
}

fn timers<'py>(event_loop: &Obj<'py, EventLoop>) -> Output<'py> {
    let py = event_loop.py();
    let alarms: Vec<_> = event_loop.engine.with(|engine| {
        let timers = engine.timers.in_order().into_iter();
        timers
            .filter(|(_, timer)| std::ptr::eq(timer.kind(), &alarms::SCHEDULED))
            .map(|(when, alarm)| (when, alarm.object().copy(py)))
            .collect()
    });
    for (when, alarm) in alarms {
        let alarm: Obj<'_, Alarm> = typed(alarm, py)?;
        alarms::show(event_loop, &alarm, when)?;
    }
    let timers = handles_in_heap(event_loop)?;
    Ok(PyList::new(py, timers.into_iter().map(|(_, shown)| shown))?.into_any())
}

fn remove<'py>(event_loop: &Obj<'py, EventLoop>, unwanted: &Bound<'py, PyAny>) -> Output<'py> {
    let unwanted: Vec<_> = unwanted.try_iter()?.map(|timer| Ok(timer?.as_ptr())).collect::<PyResult<_>>()?;
    let timers = handles_in_heap(event_loop)?;
    let gone: Vec<_> = timers
        .iter()
        .filter(|(_, shown)| unwanted.contains(&shown.as_ptr()))
        .map(|(timer, _)| timer.as_ptr())
        .collect();
    let removed = event_loop
        .engine
        .with(|engine| engine.timers.remove(|timer| gone.contains(&timer.object().as_ptr())));
    removed.iter().for_each(Scheduled::leave);
    Ok(none(event_loop.py()))
}

/// A timer came, and Python code may have the list.
#[inline]
pub(super) fn added<'py>(event_loop: &Obj<'py, EventLoop>, timer: &Bound<'py, PyAny>) -> PyResult<()> {
    if event_loop.overrides(Overridable::ShowTimers) {
        event_loop.as_any().call_method1(name!("_timer_added"), (timer,))?;
    }
    Ok(())
}

/// The list and the heap are to agree. `taken` says that the loop has taken out what is due.
pub(super) fn sync(event_loop: &Obj<'_, EventLoop>, taken: bool) -> PyResult<()> {
    let taken = PyBool::new(event_loop.py(), taken);
    event_loop.as_any().call_method1(name!("_sync_timers"), (taken,)).map(drop)
}
