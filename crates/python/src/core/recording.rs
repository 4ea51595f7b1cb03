//! [`Recording`]: a trace (`yibu.trace()`) that is being recorded: its ring, and the names that the ring has
//! told; and [`LoopTrace`], what a traced loop keeps.
//!
//! The thread that pushes holds the interpreter, so there is one at a time. The reader is a thread without
//! the interpreter (`tracing/writer.rs`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use yibu_driver::threads::{self, ThreadId};
use yibu_observing::trace::{Kind, Record, Ring, Steps, halves, now};

use super::naming::Names;
use crate::ffi::Ref;

/// A trace that is being recorded.
pub struct Recording {
    /// The number of the last task of older traces.
    pub first_task: u32,
    /// What the writer has not taken yet.
    pub ring: Ring,
    /// The names that the ring has told.
    pub(super) names: Mutex<Names>,
    known_threads: Mutex<Vec<ThreadId>>,
}

impl Recording {
    /// With a ring for so many records, rounded up.
    pub fn new(records: usize, first_task: u32) -> Self {
        Self {
            first_task,
            ring: Ring::new(records),
            names: Mutex::default(),
            known_threads: Mutex::default(),
        }
    }

    /// Writes records that belong together; whether there was room for them.
    #[inline]
    pub fn push(&self, _py: Python<'_>, records: &[Record]) -> bool {
        self.ring.push(records)
    }

    /// Writes a record with a text behind its first words.
    pub fn push_text(&self, _py: Python<'_>, kind: Kind, head: [u64; 3], text: &str) -> bool {
        self.ring.push_text(kind, head, text)
    }

    /// Tells the name of this thread, unless it was told before.
    #[cold]
    pub fn know_thread(&self, py: Python<'_>, thread: ThreadId) -> PyResult<()> {
        let mut known = self.known_threads.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&thread) {
            return Ok(());
        }
        known.push(thread);
        drop(known);
        let name = super::naming::name_of_this_thread(py)?;
        if !self.push_text(py, Kind::Thread, [thread.cast_unsigned().into(), 0, 0], &name) {
            let mut known = self.known_threads.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|other| *other != thread);
        }
        Ok(())
    }

    /// Forgets what the names refer to.
    pub fn forget_names(&self) {
        let names = std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner));
        drop(names);
    }
}

/// What a loop keeps while a trace is recorded.
pub struct LoopTrace {
    /// Where the loop records.
    pub recording: Arc<Recording>,
    pub(super) steps: Steps,
}

impl LoopTrace {
    /// Nothing was seen yet of a loop that has parked so often.
    pub fn new(recording: Arc<Recording>, park_count: u64) -> Self {
        Self { recording, steps: Steps::new(park_count) }
    }

    /// Writes records, while there is room for them.
    #[inline]
    pub(super) fn push(&self, py: Python<'_>, records: impl IntoIterator<Item = Record>) {
        for record in records {
            self.recording.push(py, &[record]);
        }
    }

    /// A timer is set.
    #[cold]
    pub(super) fn note_timer(&mut self, py: Python<'_>, timer: &Ref) {
        let record = self.steps.set_timer(timer.as_ptr().addr() as u64);
        self.push(py, record);
    }
}

static IS_ON: AtomicBool = AtomicBool::new(false);
static CURRENT: Mutex<Option<Arc<Recording>>> = Mutex::new(None);

/// Begins or ends what is recorded; returns the recording before.
pub fn set_current(recording: Option<Arc<Recording>>) -> Option<Arc<Recording>> {
    IS_ON.store(recording.is_some(), Ordering::Relaxed);
    std::mem::replace(&mut *CURRENT.lock().unwrap_or_else(PoisonError::into_inner), recording)
}

/// The trace that is being recorded.
#[inline]
pub fn current() -> Option<Arc<Recording>> {
    if IS_ON.load(Ordering::Relaxed) { ask_current() } else { None }
}

#[cold]
fn ask_current() -> Option<Arc<Recording>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What this thread does now has the object of this address run later, in another thread: notes that while a
/// trace is recorded. The moment is a point on the track of the thread if it is `shown`.
#[inline]
pub fn note_cause(object: &Bound<'_, PyAny>, shown: bool) -> PyResult<()> {
    match current() {
        None => Ok(()),
        Some(recording) => record_cause(&recording, object, shown),
    }
}

#[cold]
fn record_cause(recording: &Recording, object: &Bound<'_, PyAny>, shown: bool) -> PyResult<()> {
    let (py, thread) = (object.py(), threads::current());
    recording.know_thread(py, thread)?;
    let (thread, key) = (u64::from(thread.cast_unsigned()), object.as_ptr().addr() as u64);
    recording.push(py, &[[Kind::Cause as u64, now(), thread, key, shown.into(), 0, 0, 0]]);
    Ok(())
}

/// A call that a worker makes, while a trace is recorded.
pub struct JobTrace {
    recording: Arc<Recording>,
    name: u32,
    begun: u64,
}

impl JobTrace {
    /// The call of a function begins.
    #[inline]
    pub fn begin<'py>(function: impl FnOnce() -> Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        match current() {
            None => Ok(None),
            Some(recording) => Self::begin_call(recording, &function()).map(Some),
        }
    }

    #[cold]
    fn begin_call(recording: Arc<Recording>, function: &Bound<'_, PyAny>) -> PyResult<Self> {
        recording.know_thread(function.py(), threads::current())?;
        let name = recording.name_of_callable(function)?;
        Ok(Self { recording, name, begun: now() })
    }

    /// The call has ended. `job` is what will run in the loop because of it.
    pub fn end(self, job: &Bound<'_, PyAny>) {
        let thread = halves(threads::current().cast_unsigned(), self.name);
        let key = job.as_ptr().addr() as u64;
        self.recording.push(job.py(), &[[Kind::Job as u64, self.begun, now(), thread, key, 0, 0, 0]]);
    }
}
