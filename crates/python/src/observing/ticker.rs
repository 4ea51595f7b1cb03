//! `_Ticker`: keeps the clock of observed loops, from which steps read the time by one load.
//!
//! Called by the thread that `python/yibu/observing/ticking.py` starts while loops are observed.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

use yibu_observing::{Stop, tick};

use crate::ffi::class::Plain;
use crate::ffi::{Args, Class, ClassState, Obj, Output, Signature, Table, Visitor, none, thread};

/// The time between two ticks.
const TICK: Duration = Duration::from_millis(4);

/// The data of a ticker.
#[derive(Default)]
pub struct Ticker {
    stopped: Arc<Stop>,
}

static TICKER: ClassState = ClassState::new();
const INIT: Signature<0> = Signature::new("_Ticker.__init__", "");

fn run<'py>(ticker: &Obj<'py, Ticker>) -> Output<'py> {
    let py = ticker.py();
    let stopped = &*ticker.stopped;
    thread::outlive_interpreter(|| {
        py.detach(|| {
            while !stopped.sleep(TICK) {
                tick();
            }
        });
    });
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
        t.noargs(c"run", run, "Ticks until stop() is called.");
        t.action(c"stop", |ticker| ticker.stopped.set(), "Ends run(), for good.");
    }

    fn traverse(&self, _visitor: &mut Visitor) {}

    fn clear(&self) {}
}
