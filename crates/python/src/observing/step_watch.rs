//! `_StepWatch`: the native part of the watchdog. Its thread sleeps and looks at the loops without the
//! interpreter, and takes the interpreter only when a step blocks: so it costs the loops nothing, and can
//! tell how long it waits for the interpreter itself.
//!
//! Called by `python/yibu/observing/watching.py`.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use yibu_driver::threads::{Activity, ThreadId};
use yibu_observing::Stop;
use yibu_observing::blocked::{Found, Watched};

use super::loops;
use crate::core::current;
use crate::ffi::class::Plain;
use crate::ffi::{
    Args, Class, ClassState, LoopCell, Obj, Output, Signature, Table, none, references, thread,
};

/// The watchdog looks this many times while a step lasts as long as the threshold.
const LOOKS: u32 = 8;

/// As long as every look finds other steps, it looks only this many times.
const CALM_LOOKS: u32 = 4;

/// The time between two looks is within these.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// When the watchdog wakes this much too late, the whole process stood still: it was stopped by a signal, for
/// instance.
const STOOD_STILL: Duration = Duration::from_secs(1);

/// The data of a watchdog.
#[derive(Default)]
pub struct StepWatch {
    threshold: Cell<Duration>,
    stopped: Arc<Stop>,
    watched: LoopCell<Vec<Watched>>,
    /// How many loops of the process had been made when `watched` was made.
    made: Cell<u64>,
    is_waiting: Cell<bool>,
}

/// Why the thread wants the interpreter.
enum Wanted {
    /// It was told to stop.
    Stop,
    /// There are loops that it does not know.
    NewLoops,
    /// These loops, by their place in the list, block or block no more.
    Report(Vec<(usize, Found)>),
}

/// Looks at the loops until there is something to say. Runs without the interpreter.
fn watch(watched: &mut [Watched], stopped: &Stop, threshold: Duration, made: u64) -> Wanted {
    let every = |looks: u32| (threshold / looks).clamp(SHORTEST, LONGEST);
    let mut last = Instant::now();
    loop {
        let interval = every(if watched.iter().any(Watched::lasts) { LOOKS } else { CALM_LOOKS });
        if stopped.sleep(interval) {
            return Wanted::Stop;
        }
        let now = Instant::now();
        if now - last > interval + STOOD_STILL {
            watched.iter_mut().for_each(|watched| watched.begin_anew(now));
        }
        last = now;
        let found: Vec<_> = watched
            .iter_mut()
            .enumerate()
            .filter_map(|(index, watched)| Some((index, watched.check(now, threshold, every(LOOKS))?)))
            .collect();
        if !found.is_empty() {
            return Wanted::Report(found);
        }
        if loops::made() != made {
            return Wanted::NewLoops;
        }
    }
}

/// `wait()`: sleeps until a step blocks, goes on blocking or ends; returns a list of what was found, or None
/// after `stop()`.
fn wait<'py>(watch: &Obj<'py, StepWatch>) -> Output<'py> {
    if watch.is_waiting.replace(true) {
        return Err(PyRuntimeError::new_err("another thread waits already"));
    }
    let found = thread::outlive_interpreter(|| wait_for_report(watch));
    watch.is_waiting.set(false);
    found
}

fn wait_for_report<'py>(watch: &Obj<'py, StepWatch>) -> Output<'py> {
    let py = watch.py();
    loop {
        know_loops(watch);
        let (threshold, made) = (watch.threshold.get(), watch.made.get());
        let stopped = &*watch.stopped;
        let mut watched = watch.watched.with(std::mem::take);
        let (wanted, asked) = py.detach(|| {
            let wanted = self::watch(&mut watched, stopped, threshold, made);
            (wanted, Instant::now())
        });
        let delay = asked.elapsed();
        let list = match wanted {
            Wanted::Stop => return Ok(none(py)),
            Wanted::NewLoops => None,
            Wanted::Report(found) => Some(report(py, &mut watched, found, delay)),
        };
        watch.watched.with(|kept| *kept = watched);
        if let Some(list) = list {
            return list;
        }
    }
}

/// Adds the loops that were made since.
fn know_loops(watch: &Obj<'_, StepWatch>) {
    let made = loops::made();
    if watch.made.replace(made) == made {
        return;
    }
    let pulses: Vec<_> =
        loops::living(watch.py()).iter().map(|event_loop| Arc::clone(&event_loop.pulse)).collect();
    watch.watched.with(|watched| {
        watched.retain(|known| pulses.iter().any(|pulse| Arc::ptr_eq(pulse, &known.pulse)));
        for pulse in pulses {
            if watched.iter().all(|known| !Arc::ptr_eq(&pulse, &known.pulse)) {
                watched.push(Watched::new(pulse));
            }
        }
    });
}

/// The list for Python. What each tuple holds is written in the stub of the class.
fn report<'py>(
    py: Python<'py>,
    watched: &mut [Watched],
    found: Vec<(usize, Found)>,
    delay: Duration,
) -> Output<'py> {
    let list = PyList::empty(py);
    for (index, found) in found {
        let watched = &mut watched[index];
        let Some(event_loop) = loops::of_pulse(py, &watched.pulse) else { continue };
        let nothing = || none(py);
        match found {
            Found::Ended { steps, after } => {
                let ended = (event_loop.as_any(), steps, after.as_secs_f64(), nothing());
                list.append(ended.into_pyobject(py)?)?;
            }
            Found::Blocks(activity) => {
                let Some(sample) = watched.sample() else { continue };
                let task = if sample.still_runs {
                    current::running_task(event_loop.as_any())?.unwrap_or_else(nothing)
                } else {
                    nothing()
                };
                let others: Vec<(ThreadId, f64)> = sample
                    .used
                    .others
                    .iter()
                    .take(3)
                    .map(|(thread, time)| (*thread, time.as_secs_f64()))
                    .collect();
                let details = (
                    sample.still_runs,
                    event_loop.thread(),
                    task,
                    word(activity),
                    delay.as_secs_f64(),
                    sample.used.interval.as_secs_f64(),
                    sample.used.own.map(|time| time.as_secs_f64()),
                    others,
                );
                let blocks = (event_loop.as_any(), sample.steps, sample.so_far.as_secs_f64(), details);
                list.append(blocks.into_pyobject(py)?)?;
            }
        }
    }
    Ok(list.into_any())
}

fn word(activity: Activity) -> &'static str {
    match activity {
        Activity::Runs => "runs",
        Activity::Futex => "futex",
        Activity::Blocked => "blocked",
        Activity::Unknown => "unknown",
    }
}

static STEP_WATCH: ClassState = ClassState::new();
const INIT: Signature<1> = Signature::new("_StepWatch.__init__", "threshold");

impl Class for StepWatch {
    const NAME: &'static CStr = c"yibu._yibu._StepWatch";
    type Header = Plain;
    const SUBCLASSABLE: bool = false;
    const CLASS: &'static ClassState = &STEP_WATCH;

    fn table(t: &mut Table<Self>) {
        t.doc(c"_StepWatch(threshold)\n--\n\nTells of steps of any loop that take longer than the threshold, in seconds.");
        t.init(|watch, args, kwargs| {
            let [threshold] = Args::parse_tuple(&INIT, args, kwargs)?;
            let threshold = Duration::try_from_secs_f64(threshold.extract()?);
            match threshold {
                Ok(threshold) if !threshold.is_zero() => watch.threshold.set(threshold),
                _ => return Err(PyValueError::new_err("the threshold must be a positive number of seconds")),
            }
            Ok(())
        });
        t.noargs(c"wait", wait, "Sleeps until a step blocks, goes on blocking or ends; returns what was found, None after stop().");
        t.action(c"stop", |watch| watch.stopped.set(), "Ends wait(), for good.");
    }

    references! {}
}
