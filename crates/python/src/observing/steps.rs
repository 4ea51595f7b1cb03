//! Runs the entries of a loop that somebody observes, and counts them: see [`crate::core::observation`].
//!
//! Called by `event_loop/observed.rs`.

use pyo3::prelude::*;

use crate::core::observation::Ending;
use crate::core::{Entry, EventLoop};
use crate::ffi::{Obj, Ref};
use crate::tasks::Task;
use crate::tasks::observed::stepped;

/// How many entries of the ring are looked at when the clock has ticked.
const LOOKED_AT: usize = 64;

/// Runs an entry by `run` and counts it.
#[inline]
pub fn run(
    event_loop: &Obj<'_, EventLoop>,
    entry: Entry,
    run: impl FnOnce(&Obj<'_, EventLoop>, Entry) -> PyResult<()>,
) -> PyResult<()> {
    let task = stepped(&entry, event_loop.py());
    let data = task.as_ref().and_then(Ref::data_as::<Task>);
    if let Some(task) = data {
        if event_loop.marks.index(task.place()).is_none() {
            begin_task(event_loop, task)?;
        }
        if task.count_poll() {
            add_polls(event_loop, task);
        }
    }
    let result = run(event_loop, entry);
    if event_loop.marks.are_reached(event_loop.pulse.steps()) {
        spend(event_loop, task.as_ref());
    }
    if let Some(task) = data
        && let Some(ending) = task.ending()
    {
        end_task(event_loop, task, ending);
    }
    result
}

/// A task that was not seen before.
#[inline(never)]
fn begin_task(event_loop: &Obj<'_, EventLoop>, task: &Task) -> PyResult<()> {
    if task.ending().is_some() {
        return Ok(());
    }
    let code = task.code(event_loop.py())?;
    let address = code.as_ptr().addr();
    let tick = event_loop.marks.tick();
    let place = event_loop.observation.with(|observation| {
        let observation = observation.as_mut()?;
        Some(observation.begin_task(tick, address, || Ref::new(code.clone())))
    });
    task.begin_observation(place.unwrap_or(0));
    Ok(())
}

/// The steps that a task has counted become steps of its function.
#[cold]
pub fn add_polls(event_loop: &Obj<'_, EventLoop>, task: &Task) {
    let (place, polls) = (task.place(), task.take_polls());
    event_loop.observation.with(|observation| {
        if let Some(observation) = observation {
            observation.add_polls(place, polls);
        }
    });
}

/// The step was the last one of its task.
#[inline(never)]
fn end_task(event_loop: &Obj<'_, EventLoop>, task: &Task, ending: Ending) {
    let tick = event_loop.marks.tick();
    let (place, polls) = (task.end_observation(), task.take_polls());
    event_loop.observation.with(|observation| {
        if let Some(observation) = observation {
            observation.end_task(tick, place, polls, ending);
        }
    });
}

/// The clock has ticked in a step, or entries that waited at the last tick have run.
#[cold]
fn spend(event_loop: &Obj<'_, EventLoop>, stepped_task: Option<&Ref>) {
    let step = event_loop.pulse.steps();
    let (spent, used) = event_loop.marks.take_time();
    let mut place = 0;
    if let Some(task) = stepped_task.and_then(Ref::data_as::<Task>) {
        task.add_processor_time(used);
        place = task.place();
    }
    // A task that is ready again was not while its own step took its time.
    let (own, py) = (stepped_task.map(Ref::as_ptr), event_loop.py());
    event_loop.engine.with(|engine| {
        let (now, ready) = (engine.driver.now(), engine.ready.len());
        let ends_probe = event_loop.marks.end_probe(step);
        event_loop.observation.with(|observation| {
            let Some(observation) = observation else { return };
            if ends_probe {
                observation.end_probe(now);
            }
            if spent == 0 {
                return;
            }
            observation.spend(place, spent);
            if ready == 0 {
                return;
            }
            observation.wait(now, spent, ready as u64, event_loop.marks.begin_probe(step + ready as u64));
            // Each entry that is looked at stands for as many.
            let stride = ready.div_ceil(LOOKED_AT).max(1);
            for place in (0..ready).step_by(stride) {
                if let Some(object) = engine.ready.get(place).and_then(|entry| stepped(entry, py))
                    && Some(object.as_ptr()) != own
                    && let Some(task) = object.data_as::<Task>()
                {
                    observation.schedule(task.place(), spent * stride as i64);
                }
            }
        });
    });
}
