//! What an observed loop does when the clock has ticked in a step: see [`yibu_observing::Observation`].
//!
//! Called by the core's turn.

use pyo3::prelude::*;

use crate::core::{EventLoop, current};
use crate::ffi::Obj;
use crate::tasks::Task;
use crate::tasks::observed::{self, stepped};

/// How many entries of the ring are looked at when the clock has ticked.
const LOOKED_AT: usize = 64;

/// The clock has ticked in a step, or entries that waited at the last tick have run.
#[cold]
pub fn reach_marks(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let stepped_task = current::left_task(event_loop)?;
    let step = event_loop.pulse.steps();
    let (spent, used) = event_loop.marks.take_time();
    let stepped_task = stepped_task.as_ref().and_then(Obj::<Task>::cast);
    let (py, mut index) = (event_loop.py(), None);
    if let Some(task) = stepped_task.filter(|_| spent != 0) {
        task.add_processor_time(used);
        index = observed::index_of(event_loop, &task.code(py));
    }
    // A task that is ready again was not while its own step took its time.
    let own = stepped_task.map(|task| task.as_any().as_ptr());
    let mut waiting = Vec::new();
    let (now, ready) = event_loop.engine.with(|engine| (engine.driver.now(), engine.ready.len()));
    // Each entry that is looked at stands for as many.
    let stride = ready.div_ceil(LOOKED_AT).max(1);
    if spent != 0 {
        event_loop.engine.with(|engine| {
            let entries = (0..ready).step_by(stride).filter_map(|place| engine.ready.get(place));
            let objects = entries.filter_map(|entry| stepped(entry, py));
            waiting.extend(objects.filter(|object| Some(object.as_ptr()) != own));
        });
    }
    let ends_probe = event_loop.marks.end_probe(step);
    event_loop.with_observation(|observation| {
        if ends_probe {
            observation.end_probe(now);
        }
        if spent == 0 {
            return;
        }
        observation.spend(index, spent);
        if ready != 0 {
            observation.wait(now, spent, ready as u64, event_loop.marks.begin_probe(step + ready as u64));
        }
    });
    for object in waiting {
        if let Some(index) =
            object.data_as::<Task>().and_then(|task| observed::index_of(event_loop, &task.code(py)))
        {
            event_loop.with_observation(|observation| observation.schedule(index, spent * stride as i64));
        }
    }
    Ok(())
}
