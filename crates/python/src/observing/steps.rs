//! What an observed loop does when the clock has ticked in a step: see [`yibu_observing::Observation`].
//!
//! Called by the core's turn.

use pyo3::prelude::*;

use crate::core::{EventLoop, current};
use crate::ffi::Obj;
use crate::tasks::Task;
use crate::tasks::observed::stepped;

/// How many entries of the ring are looked at when the clock has ticked.
const LOOKED_AT: usize = 64;

/// The clock has ticked in a step, or entries that waited at the last tick have run.
#[cold]
pub fn reach_marks(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    let stepped_task = current::left_task(event_loop)?;
    let step = event_loop.pulse.steps();
    let (spent, used) = event_loop.marks.take_time();
    let mut place = 0;
    if let Some(task) = stepped_task.as_ref().and_then(Obj::<Task>::cast) {
        task.add_processor_time(used);
        place = task.place();
    }
    // A task that is ready again was not while its own step took its time.
    let (own, py) = (stepped_task.as_ref().map(Bound::as_ptr), event_loop.py());
    event_loop.engine.with(|engine| {
        let (now, ready) = (engine.driver.now(), engine.ready.len());
        let ends_probe = event_loop.marks.end_probe(step);
        event_loop.with_observation(|observation| {
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
    Ok(())
}
