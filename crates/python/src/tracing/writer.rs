//! `_TraceWriter`: one trace: has the loops record, and writes what they have recorded to a file, in a thread
//! that runs no Python.
//!
//! Called by `python/yibu/trace_recording.py`, which opens the file.

use std::ffi::CStr;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use yibu_driver::{Fd, files, threads};
use yibu_observing::Stop;
use yibu_observing::trace::{Story, now};

use crate::core::recording::{self, Recording};
use crate::core::tracing;
use crate::errors;
use crate::ffi::class::Plain;
use crate::ffi::{Args, Class, ClassState, LoopCell, Obj, Output, Signature, Table, none, references};
use crate::observing::loops;
use crate::tasks::traced::last_number;

/// How often the ring is emptied.
const INTERVAL: Duration = Duration::from_millis(10);

/// The file is written in pieces of about this size.
const PIECE: usize = 1 << 16;

/// A file and what goes into it.
struct Target {
    fd: Fd,
    story: Story,
    /// What has gone wrong: nothing is written any more.
    error: Option<io::Error>,
}

impl Target {
    fn write(&mut self) {
        if self.error.is_none() {
            self.error = files::write_all(self.fd, &self.story.out).err();
        }
        self.story.out.clear();
    }

    /// Writes what the ring has, all of it: a process that is killed leaves whole events.
    fn follow(&mut self, recording: &Recording) {
        recording.ring.take(|record, text| {
            self.story.tell(record, text);
            if self.story.out.len() >= PIECE {
                self.write();
            }
        });
        self.write();
    }
}

/// What the object and its thread share.
struct Shared {
    recording: Arc<Recording>,
    target: Mutex<Target>,
}

impl Shared {
    fn with<R>(&self, f: impl FnOnce(&mut Target) -> R) -> R {
        f(&mut self.target.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The data of a writer.
#[derive(Default)]
pub struct TraceWriter {
    shared: LoopCell<Option<Arc<Shared>>>,
    /// The thread that writes, and what ends it.
    thread: LoopCell<Option<(JoinHandle<()>, Arc<Stop>)>>,
}

impl TraceWriter {
    fn shared(&self) -> PyResult<Arc<Shared>> {
        let shared = self.shared.with(|shared| shared.clone());
        shared.ok_or_else(|| PyRuntimeError::new_err("_TraceWriter() was not called"))
    }
}

static TRACE_WRITER: ClassState = ClassState::new();
const INIT: Signature<4> = Signature::new("_TraceWriter.__init__", "fd, records, process, program");

/// `begin()`: has all loops record, also those that are made later.
fn begin<'py>(writer: &Obj<'py, TraceWriter>) -> Output<'py> {
    let py = writer.py();
    if recording::current().is_some() {
        return Err(PyRuntimeError::new_err("a trace is being recorded already"));
    }
    let recording = &writer.shared()?.recording;
    recording::set_current(Some(Arc::clone(recording)));
    for event_loop in loops::living(py) {
        event_loop.record(Some(Arc::clone(recording)));
    }
    Ok(none(py))
}

/// `end()`: nothing is recorded any more.
fn end<'py>(writer: &Obj<'py, TraceWriter>) -> Output<'py> {
    let py = writer.py();
    let recording = &writer.shared()?.recording;
    if recording::current().is_some_and(|current| Arc::ptr_eq(&current, recording)) {
        recording::set_current(None);
        for event_loop in loops::living(py) {
            tracing::finish(&event_loop);
            event_loop.record(None);
        }
        recording.forget_names();
    }
    Ok(none(py))
}

/// `start()`: writes what is recorded, in a thread, until `stop()` is called.
fn start<'py>(writer: &Obj<'py, TraceWriter>) -> Output<'py> {
    if writer.thread.with(|thread| thread.is_some()) {
        return Err(PyRuntimeError::new_err("a thread writes already"));
    }
    let (shared, stopped) = (writer.shared()?, Arc::new(Stop::default()));
    let stop = Arc::clone(&stopped);
    let fd = shared.with(|target| target.fd);
    let work = move || {
        loop {
            let ends = stop.sleep(INTERVAL);
            shared.with(|target| target.follow(&shared.recording));
            if ends {
                break;
            }
        }
    };
    let thread =
        threads::spawn_apart("yibu-trace", Some(fd), work).map_err(|error| errors::os_error(&error))?;
    writer.thread.with(|slot| *slot = Some((thread, stopped)));
    Ok(none(writer.py()))
}

/// `stop()`: has the thread write what there is, and end.
fn stop<'py>(writer: &Obj<'py, TraceWriter>) -> Output<'py> {
    let py = writer.py();
    if let Some((thread, stopped)) = writer.thread.with(Option::take) {
        stopped.set();
        if py.detach(|| thread.join()).is_err() {
            return Err(PyRuntimeError::new_err("the thread that writes the trace has failed"));
        }
    }
    Ok(none(py))
}

/// `finish()`: the end of the file. Returns how many events were written and lost; raises what went wrong
/// while the file was written.
fn finish<'py>(writer: &Obj<'py, TraceWriter>) -> Output<'py> {
    let py = writer.py();
    let shared = writer.shared()?;
    let (events, lost, error) = py.detach(|| {
        let recording = &shared.recording;
        shared.with(|target| {
            target.follow(recording);
            target.story.end(recording.ring.lost(), recording.ring.untold(), now());
            target.write();
            (target.story.events, recording.ring.lost(), target.error.take())
        })
    });
    match error {
        Some(error) => Err(errors::os_error(&error)),
        None => Ok((events, lost).into_pyobject(py)?.into_any()),
    }
}

impl Class for TraceWriter {
    const NAME: &'static CStr = c"yibu._yibu._TraceWriter";
    type Header = Plain;
    const SUBCLASSABLE: bool = false;
    const CLASS: &'static ClassState = &TRACE_WRITER;

    fn table(t: &mut Table<Self>) {
        t.doc(c"_TraceWriter(fd, records, process, program)\n--\n\nRecords what loops do, and writes it.");
        t.init(|writer, args, kwargs| {
            let [fd, records, process, program] = Args::parse_tuple(&INIT, args, kwargs)?;
            let story = Story::begin(process.extract()?, &program.extract::<String>()?, now());
            let recording = Arc::new(Recording::new(records.extract()?, last_number()));
            let target = Mutex::new(Target { fd: fd.extract()?, story, error: None });
            let shared = Arc::new(Shared { recording, target });
            let former = writer.shared.with(|slot| slot.replace(shared));
            drop(former);
            Ok(())
        });
        t.noargs(c"begin", begin, "Has all loops record, also those that are made later.");
        t.noargs(c"end", end, "Nothing is recorded any more.");
        t.noargs(c"start", start, "Writes what is recorded, in a thread, until stop().");
        t.noargs(
            c"stop",
            stop,
            "Ends the thread when everything is written. Another one may be started then.",
        );
        t.noargs(c"finish", finish, "Writes the end of the file; how many events were written and lost.");
    }

    references! {}
}
