//! Runs the entries of a loop that somebody observes, and counts them: see [`crate::core::observation`].
//!
//! Called by `event_loop/observed.rs`.

use pyo3::prelude::*;

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
    let Some(task) = stepped(&entry, event_loop.py()) else {
        let result = run(event_loop, entry);
        end(event_loop, None, None);
        return result;
    };
    let Some(data) = task.data_as::<Task>() else { return run(event_loop, entry) };
    let index = match event_loop.observed_index(data.place()) {
        None => begin_task(event_loop, data)?,
        index => index,
    };
    let result = run(event_loop, entry);
    end(event_loop, Some((&task, data)), index);
    result
}

/// A task that was not seen before.
#[inline(never)]
fn begin_task(event_loop: &Obj<'_, EventLoop>, task: &Task) -> PyResult<Option<usize>> {
    let code = task.code(event_loop.py())?;
    let address = code.as_ptr().addr();
    let place = event_loop.observation.with(|observation| {
        let observation = observation.as_mut()?;
        Some(observation.begin_task(address, || Ref::new(code.clone())))
    });
    let Some(place) = place else { return Ok(None) };
    task.set_place(place);
    Ok(event_loop.observed_index(place))
}

/// After a step.
#[inline]
fn end(event_loop: &Obj<'_, EventLoop>, task: Option<(&Ref, &Task)>, index: Option<usize>) {
    let ending = task.and_then(|(_, task)| task.ending());
    let step = event_loop.pulse.steps();
    let spent = event_loop.observation.with(|observation| {
        let observation = observation.as_mut()?;
        if let Some(ending) = ending {
            observation.end_task(index, ending);
        }
        observation.end_step(index, step)
    });
    if let Some(spent) = spent {
        spend(event_loop, task.map(|(task, _)| task), index, spent);
    }
}

/// The clock has ticked in a step, or entries that waited at the last tick have run.
#[cold]
fn spend(event_loop: &Obj<'_, EventLoop>, stepped_task: Option<&Ref>, index: Option<usize>, spent: i64) {
    let step = event_loop.pulse.steps();
    // A task that is ready again was not while its own step took its time.
    let (own, py) = (stepped_task.map(Ref::as_ptr), event_loop.py());
    event_loop.engine.with(|engine| {
        let (now, ready) = (engine.driver.now(), engine.ready.len());
        event_loop.observation.with(|observation| {
            let Some(observation) = observation else { return };
            observation.end_probe(now, step);
            if spent == 0 {
                return;
            }
            observation.spend(index, spent);
            observation.wait(now, spent, ready as u64, step);
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
