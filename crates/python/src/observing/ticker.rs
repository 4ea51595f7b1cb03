//! `_Ticker`: keeps the clock of observed loops, from which steps read the time by one load.
//!
//! Started by `python/yibu/observing/ticking.py` while loops are observed. Its thread runs no Python.

use std::ffi::CStr;
use std::sync::Arc;
use std::thread::JoinHandle;

use pyo3::exceptions::PyRuntimeError;
use yibu_driver::threads;
use yibu_observing::{Stop, TICK, tick};

use crate::errors;
use crate::ffi::class::Plain;
use crate::ffi::{Args, Class, ClassState, LoopCell, Obj, Output, Signature, Table, none, references};

/// The data of a ticker.
#[derive(Default)]
pub struct Ticker {
    stopped: Arc<Stop>,
    thread: LoopCell<Option<JoinHandle<()>>>,
}

static TICKER: ClassState = ClassState::new();
const INIT: Signature<0> = Signature::new("_Ticker.__init__", "");

fn start<'py>(ticker: &Obj<'py, Ticker>) -> Output<'py> {
    if ticker.thread.with(|thread| thread.is_some()) {
        return Err(PyRuntimeError::new_err("it ticks already"));
    }
    let stopped = Arc::clone(&ticker.stopped);
    let work = move || {
        while !stopped.sleep(TICK) {
            tick();
        }
    };
    let thread = threads::spawn_apart("yibu-clock", None, work).map_err(|error| errors::os_error(&error))?;
    ticker.thread.with(|slot| *slot = Some(thread));
    Ok(none(ticker.py()))
}

fn stop<'py>(ticker: &Obj<'py, Ticker>) -> Output<'py> {
    let py = ticker.py();
    ticker.stopped.set();
    if let Some(thread) = ticker.thread.with(Option::take) {
        // The thread cannot have panicked: it only sleeps and stores a number.
        py.detach(|| thread.join().is_ok());
    }
    Ok(none(py))
}

impl Class for Ticker {
    const NAME: &'static CStr = c"yibu._yibu._Ticker";
    type Header = Plain;
    const SUBCLASSABLE: bool = false;
    const CLASS: &'static ClassState = &TICKER;

    fn table(t: &mut Table<Self>) {
        t.doc(c"_Ticker()\n--\n\nKeeps the clock of observed loops.");
        t.init(|_, args, kwargs| {
            let [] = Args::parse_tuple(&INIT, args, kwargs)?;
            // Since the former ticker has stopped, for a fork or because no loop was observed, the clock
            // stood still.
            tick();
            Ok(())
        });
        t.noargs(c"start", start, "Ticks in a thread of its own until stop() is called.");
        t.noargs(c"stop", stop, "Ends the thread, for good.");
    }

    references! {}
}
