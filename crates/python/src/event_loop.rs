//! `EventLoop`: the class of loops as Python sees it, and its table of methods.
//!
//! Its data and the order of a turn are the [`crate::core`]. The methods live in the files of `event_loop/`,
//! one concern each, and each file lists its own in a `table` function. `python/yibu/event_loop.py` derives
//! the public class from it and from `asyncio.AbstractEventLoop`.

mod accept;
mod asyncgens;
mod bases;
mod connect;
mod datagrams;
mod debug;
mod drivers;
mod exceptions;
mod executor;
pub mod faults;
pub mod fork;
mod given_selector;
pub mod handles;
mod internal_timers;
mod internals;
mod lifecycle;
mod numeric;
mod observed;
mod pipes;
mod ready_view;
mod resolve;
mod schedule;
mod sendfile;
mod serve;
pub mod signals;
mod sock;
pub mod socket;
mod subprocesses;
mod tasks;
mod tls;
mod unix;
mod watch;

pub use accept::Acceptor;
pub use executor::{native_executor, run_job};
pub use internals::EntryCallback;
pub use ready_view::ReadyIterator;

pub use sendfile::protocol::SendfileProtocol;

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::core::Overrides;
use crate::core::{EventLoop, Overridable, Services, overridable, overridden};
use crate::ffi::class::Plain;
#[cfg(Py_3_12)]
use crate::ffi::redirection;
use crate::ffi::{Args, Class, ClassState, Obj, Output, Signature, Table, Visitor, stands_for};
use crate::observing::{loops, metrics, steps};
use crate::{callbacks, events, names, stock};

/// What the core leaves to the class.
static SERVICES: Services = Services {
    reach_marks: steps::reach_marks,
    run_observed: observed::run,
    report_reaction: callbacks::report,
    ask_selector: internals::ask_selector,
    before_first_park: signals::wakeup::watch_signals,
    handles_are_replaced: events::handles_are_made_otherwise,
    runs_are_replaced: events::runs_are_replaced,
    sync_timers: internal_timers::sync,
};

impl Default for EventLoop {
    fn default() -> Self {
        Self::new(drivers::driver(), &SERVICES)
    }
}

const INIT: Signature<1> = Signature::new_method("EventLoop.__init__", "selector=None");

static EVENT_LOOP: ClassState = ClassState::new();

fn repr<'py>(event_loop: &Obj<'py, EventLoop>) -> Output<'py> {
    let debug = event_loop.as_any().call_method0(names::get_debug(event_loop.py()))?.is_truthy()?;
    let word = |flag| if flag { "True" } else { "False" };
    let text = format!(
        "<{} running={} closed={} debug={}>",
        event_loop.as_any().get_type().name()?,
        word(event_loop.says_it_runs()?),
        word(event_loop.as_any().call_method0(names::is_closed(event_loop.py()))?.is_truthy()?),
        word(debug),
    );
    Ok(PyString::new(event_loop.py(), &text).into_any())
}

impl Class for EventLoop {
    const NAME: &'static CStr = c"yibu._yibu.EventLoop";
    type Header = Plain;
    const HOOKS: &'static [&'static [&'static str]] = overridable::HOOKS;
    const STANDS_FOR_STOCK: bool = true;
    const DERIVES_FROM_STOCK: bool = true;
    const FUNCTIONS: bool = true;

    stands_for! { EVENT_LOOP, stock::event_loop }

    fn table(t: &mut Table<Self>) {
        t.doc(c"EventLoop(selector=None)\n--\n\nThe native part of yibu.EventLoop.");
        t.init(|event_loop, args, kwargs| {
            event_loop.expect_this_class();
            // Counts as closed until every step has succeeded, so that a loop whose creation fails need not
            // be closed.
            event_loop.closed.set(true);
            let [selector] = Args::parse_tuple(&INIT, args, kwargs)?;
            event_loop.refuse_overridden()?;
            drivers::report(event_loop)?;
            #[cfg(Py_3_12)]
            redirection::redirect_all(event_loop.py())?;
            loops::enter(event_loop)?;
            debug::init(event_loop)?;
            internals::take_resolution(event_loop)?;
            if selector.is_none() {
                given_selector::take_replaced(event_loop)?;
            } else {
                given_selector::take(event_loop, &selector)?;
            }
            event_loop.closed.set(false);
            given_selector::log(event_loop)?;
            bases::call_replaced_inits(event_loop, &selector)?;
            if event_loop.overrides(Overridable::MakeSelfPipe) {
                event_loop.as_any().call_method0(name!("_make_self_pipe"))?;
            }
            Ok(())
        });
        t.setattr(overridden::attribute_changed);
        t.repr(repr);
        t.finalize(lifecycle::finalize);
        overridable::table(t);
        bases::table(t);
        schedule::table(t);
        lifecycle::table(t);
        tasks::table(t);
        exceptions::table(t);
        debug::table(t);
        drivers::table(t);
        asyncgens::table(t);
        accept::table(t);
        connect::table(t);
        pipes::table(t);
        serve::table(t);
        unix::table(t);
        datagrams::table(t);
        tls::table(t);
        watch::table(t);
        sock::table(t);
        sendfile::table(t);
        resolve::table(t);
        signals::table(t);
        executor::table(t);
        subprocesses::table(t);
        internals::table(t);
        ready_view::table(t);
        internal_timers::table(t);
        metrics::table(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.traverse_all(visitor);
    }

    fn clear(&self) {
        self.clear_all();
    }

    fn wants_finalizer(&self) -> bool {
        !self.is_closed()
    }
}
