//! `EventLoop._metrics()` and `_observe()`: begins to observe all loops, and gives what a loop has counted.
//!
//! `python/yibu/observing/metrics.py` makes the object of it that programs get.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyModule};
use yibu_observing::Function;
use yibu_observing::histogram::Histogram;

use super::loops;
use crate::core::{EventLoop, Observation};
use crate::executor::{ThreadPool, current_default};
use crate::ffi::{Args, Obj, Output, Ref, Signature, Table, none};
use crate::functions;
use crate::tasks::observed;

const OBSERVE: Signature<1> = Signature::new("_observe", "slow");
const FORGET: Signature<0> = Signature::new("_forget_observations", "");

/// What a step takes that is slow, in nanoseconds, while loops are observed; else 0.
static SLOW: AtomicU64 = AtomicU64::new(0);

/// The limits of the buckets that exporters show: in milliseconds.
const LIMITS: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000];

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc =
        "Observes all loops; a step that takes this many seconds is slow, unless they are observed already.";
    functions::add(module, &OBSERVE, observe, doc)?;
    functions::add(module, &FORGET, forget, "Ends the observation; what was counted is dropped.")
}

/// The method of the loop.
pub fn table(t: &mut Table<EventLoop>) {
    t.noargs(c"_metrics", metrics, "What the loop has counted, as a dict.");
}

fn observe<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [slow] = args.parse(&OBSERVE)?;
    let slow = match Duration::try_from_secs_f64(slow.extract()?) {
        Ok(slow) if !slow.is_zero() => u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX),
        _ => return Err(PyValueError::new_err("slow must be a positive number of seconds")),
    };
    if SLOW.load(Ordering::Relaxed) != 0 {
        return Ok(none(args.py()));
    }
    SLOW.store(slow, Ordering::Relaxed);
    // The clock stood still while no loop was observed, and that time belongs to no step and to no task.
    yibu_observing::tick();
    for event_loop in loops::living(args.py()) {
        begin(&event_loop);
        observed::alive_on(&event_loop).iter().for_each(|task| observed::begin_anew(task));
    }
    Ok(none(args.py()))
}

fn forget<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [] = args.parse(&FORGET)?;
    SLOW.store(0, Ordering::Relaxed);
    for event_loop in loops::living(args.py()) {
        drop(event_loop.observe(None));
    }
    Ok(none(args.py()))
}

/// Begins to observe a loop, if loops are observed.
pub fn begin(event_loop: &Obj<'_, EventLoop>) {
    let slow = Duration::from_nanos(SLOW.load(Ordering::Relaxed));
    if slow.is_zero() || event_loop.has_observer() {
        return;
    }
    let now = event_loop.engine.with(|engine| engine.driver.now());
    let begun = Observation::new(now, event_loop.pulse.steps(), slow);
    drop(event_loop.observe(Some(Box::new(begun))));
}

fn metrics<'py>(event_loop: &Obj<'py, EventLoop>) -> Output<'py> {
    let py = event_loop.py();
    let dict = PyDict::new(py);
    let (now, ready, timers, traffic) = event_loop.engine.with(|engine| {
        let driver = &engine.driver;
        let timers = engine.timers.len() - engine.timers.cancelled_count();
        (driver.now(), engine.ready.len(), timers, driver.traffic())
    });
    let counters = &event_loop.counters;
    dict.set_item("turns", counters.turns())?;
    dict.set_item("steps", event_loop.pulse.steps())?;
    dict.set_item("parks", event_loop.pulse.park_count())?;
    dict.set_item("ready", ready)?;
    dict.set_item("timers", timers)?;
    dict.set_item("tasks_made", counters.tasks_made())?;
    dict.set_item("tasks_alive", count_tasks(event_loop))?;
    dict.set_item("times", counters.times(now))?;
    let moved = traffic.map(|traffic| {
        (traffic.received_bytes, traffic.receives, traffic.sent_bytes, traffic.sends, traffic.accepted)
    });
    dict.set_item("traffic", moved)?;
    let executor = current_default(event_loop);
    let pool = Obj::<ThreadPool>::cast_exact(&executor).map(|pool| pool.load(py)).transpose()?;
    dict.set_item("executor", pool)?;
    dict.set_item("has_executor", !executor.is_none())?;
    dict.set_item("observation", observation(event_loop, now)?)?;
    Ok(dict.into_any())
}

/// How many tasks of the loop are not done. The observation of the loop counts them, too.
fn count_tasks(event_loop: &Obj<'_, EventLoop>) -> usize {
    let tasks = observed::alive_on(event_loop);
    observed::see_alive(event_loop, &tasks);
    tasks.len()
}

/// What was counted while loops are observed; `None` when none is.
fn observation<'py>(event_loop: &Obj<'py, EventLoop>, now: f64) -> PyResult<Option<Bound<'py, PyDict>>> {
    let py = event_loop.py();
    let seen = event_loop.with_observation(|observation| {
        let functions: Vec<_> = observation.functions.iter().map(|function| Row::of(py, function)).collect();
        (
            now - observation.began,
            observation.lag.summary(now),
            observation.job_waits.summary(now),
            observation.endings(),
            (observation.callbacks_until(event_loop.pulse.steps()), observation.callbacks),
            functions,
        )
    });
    let Some((seconds, lag, job_waits, endings, (callbacks, busy), functions)) = seen else {
        return Ok(None);
    };
    let dict = PyDict::new(py);
    dict.set_item("seconds", seconds)?;
    dict.set_item("lag", summary(&lag))?;
    dict.set_item("job_waits", summary(&job_waits))?;
    dict.set_item("endings", endings)?;
    dict.set_item("callbacks", (callbacks, nanoseconds(busy)))?;
    let list = PyList::empty(py);
    for row in functions {
        list.append((row.key, row.tasks, row.polls, row.busy, row.scheduled, row.idle, row.slow_polls))?;
    }
    dict.set_item("functions", list)?;
    Ok(Some(dict))
}

/// The figures of one function, taken while the observation is borrowed.
struct Row<'py> {
    key: Option<Bound<'py, PyAny>>,
    tasks: u64,
    polls: u64,
    busy: f64,
    scheduled: f64,
    idle: f64,
    slow_polls: u64,
}

impl<'py> Row<'py> {
    fn of(py: Python<'py>, function: &Function<Ref>) -> Self {
        let idle = function.lived() - function.busy - function.scheduled;
        Self {
            key: function.key.as_ref().map(|key| key.copy(py).into_any(py)),
            tasks: function.tasks(),
            polls: function.polls,
            busy: nanoseconds(function.busy),
            scheduled: nanoseconds(function.scheduled),
            idle: nanoseconds(idle.max(0)),
            slow_polls: function.slow_polls,
        }
    }
}

fn nanoseconds(count: i64) -> f64 {
    count as f64 / 1e9
}

/// Count, sum, mean, median, 99th percentile, the longest one, and how many do not exceed each limit of
/// [`LIMITS`].
type Summary = (u64, f64, f64, f64, f64, f64, Vec<(f64, u64)>);

fn summary(histogram: &Histogram) -> Summary {
    let (count, sum) = (histogram.count(), histogram.sum().as_secs_f64());
    let limits = LIMITS.map(Duration::from_millis);
    let buckets = limits.iter().map(Duration::as_secs_f64).zip(histogram.at_most(limits)).collect();
    let mean = if count == 0 { 0.0 } else { sum / count as f64 };
    let [median, high] = [0.5, 0.99].map(|part| histogram.quantile(part).as_secs_f64());
    (count, sum, mean, median, high, histogram.max().as_secs_f64(), buckets)
}
