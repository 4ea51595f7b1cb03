//! The data of an `EventLoop`, and the functions that every other part uses: pushing entries, adding timers,
//! asking which thread runs the loop.

use std::cell::Cell;
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use yibu_engine::{Cancelled, Driver, Host, Inbox, OpId};
use yibu_observing::{Counters, Marks, Pulse};

use super::after_entry::AfterEntry;
use super::contexts::Contexts;
use super::entry::{Entry, Message, Other, Reaction};
use super::noted_task::NotedTask;
use super::operation::Owner;
use super::overridable::Overridden;
use super::parts::Parts;
use super::recording::{LoopTrace, Recording};
use super::timer::Scheduled;
use super::watched::Watched;
use crate::errors;
use crate::ffi::{Class, LoopCell, Obj, Ref, Slot, Visitor, WeakMap, WeakSetEntry, thread};

/// What is counted of an observed loop; code objects are the keys of functions.
pub type Observation = yibu_observing::Observation<Ref>;

/// What Python puts into the engine.
pub struct PythonHost;

impl Host for PythonHost {
    type Entry = Entry;
    type Timer = Scheduled;
    type Owner = Owner;
    type Message = Message;

    fn finish(id: OpId) -> Entry {
        Entry::Other(Other::Io(id))
    }

    fn due(timer: Scheduled) -> Entry {
        timer.entry()
    }

    fn deliver(message: Message) -> Entry {
        message.entry()
    }
}

/// The engine with Python's entries.
pub type Engine = yibu_engine::EventLoop<PythonHost>;

/// The functions that a turn calls in the parts above the core; the class of loops supplies them.
pub struct Services {
    /// Called after an entry in which the clock of observed loops has ticked: see [`Marks`].
    pub reach_marks: for<'a, 'py> fn(&'a Obj<'py, EventLoop>) -> PyResult<()>,
    /// Runs an entry in debug mode, while a trace is recorded, or where a program has replaced a part, so
    /// that handles have to be visible.
    pub run_observed: for<'a, 'py> fn(&'a Obj<'py, EventLoop>, Entry) -> PyResult<()>,
    /// Reports what a primitive's reaction raised, as a callback's failure is reported.
    pub report_reaction: ReportReaction,
    /// Begins a turn by asking the program's selector instead of the kernel.
    pub ask_selector: for<'a, 'py> fn(&'a Obj<'py, EventLoop>, &'a Bound<'py, PyAny>) -> PyResult<()>,
    /// Called before the loop blocks for the first time in a run.
    pub before_first_park: for<'a, 'py> fn(&'a Obj<'py, EventLoop>) -> PyResult<()>,
    /// Whether handles are of another class than the native one, so that each is to be made by a call.
    pub handles_are_replaced: for<'py> fn(Python<'py>) -> bool,
    /// Whether the `_run` of handles was replaced; `None` where that cannot be known for good.
    pub runs_are_replaced: for<'py> fn(Python<'py>) -> Option<bool>,
    /// Has the list of timers that a program holds agree with the heap: when a turn begins, and when what is
    /// due was taken out.
    pub sync_timers: for<'a, 'py> fn(&'a Obj<'py, EventLoop>, bool) -> PyResult<()>,
}

/// Gets the reaction, its owner, the future and what was raised.
pub type ReportReaction = for<'a, 'py> fn(
    &'a Obj<'py, EventLoop>,
    &'static Reaction,
    &'a Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    PyErr,
) -> PyResult<()>;

/// The data of an `EventLoop`.
pub struct EventLoop {
    pub(crate) engine: LoopCell<Engine>,
    pub(crate) inbox: Arc<Inbox<Message>>,
    pub(super) services: &'static Services,
    /// `set_debug`.
    pub(crate) debug: Cell<bool>,
    pub(crate) closed: Cell<bool>,
    pub(crate) stopping: Cell<bool>,
    /// Whether the future of `run_until_complete` is done: then the loop stops because of the future, not
    /// because `stop()` was called.
    pub(crate) completed: Cell<bool>,
    /// Whether the loop has blocked in this run.
    pub(crate) has_parked: Cell<bool>,
    /// The identity of the thread that runs the loop, as `threading.get_ident()`; 0 when none does.
    pub(super) thread: Cell<u64>,
    /// What threads without the interpreter see of the loop.
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) counters: Counters,
    /// Whether entries run by [`Services::run_observed`]: in debug mode, and while a trace is recorded.
    pub(super) steps_are_seen: Cell<bool>,
    /// What is counted while the loop is observed.
    observation: LoopCell<Option<Box<Observation>>>,
    /// What each step looks at while the loop is observed.
    pub(crate) marks: Marks,
    /// What the loop keeps while a trace is recorded, and whether one is.
    trace: LoopCell<Option<Box<LoopTrace>>>,
    is_traced: Cell<bool>,
    /// Which methods Python code has replaced on the object itself; see `overridden`.
    pub(super) overridden: Overridden,
    pub(crate) current: NotedTask,
    /// The functions to run when the running entry has ended.
    pub(crate) after_entry: AfterEntry,
    /// The copies of contexts that handles share.
    pub(crate) contexts: Contexts,
    /// The state that other parts keep in the loop.
    pub(crate) parts: Parts,
    /// The watched descriptors, and the native transports that are not closing, by descriptor. Fields and not
    /// a `Part`, because each `add_reader` asks.
    pub(crate) watched: LoopCell<Watched>,
    pub(crate) transports: WeakMap,
    pub(crate) transport_mapping: Slot,
    /// The loop's place in the list of loops that the child of a fork resets.
    pub(crate) registration: WeakSetEntry,
    /// The objects to tell when a descriptor is closed, because the process had no descriptor left for them.
    wants_descriptor: LoopCell<Vec<(DescriptorClosed, Ref)>>,
    pub(crate) task_factory: Slot,
    pub(crate) exception_handler: Slot,
    pub(crate) slow_callback_duration: Slot,
    /// The handle being run, in debug mode.
    pub(crate) current_handle: Slot,
    pub(crate) origin_tracking: Cell<Option<i32>>,
    /// The program's selector, an object with `select()` that is asked instead of the kernel; empty without
    /// one. A field and not a `Part`, because each turn asks whether there is one.
    pub(crate) selector: Slot,
}

/// The function of an object that lacked a descriptor, called when a descriptor was closed.
pub type DescriptorClosed = for<'a, 'py> fn(&'a Obj<'py, EventLoop>, Ref);

impl EventLoop {
    /// A loop on a driver.
    pub fn new(driver: Driver, services: &'static Services) -> Self {
        let engine = Engine::new(driver);
        Self {
            inbox: Arc::clone(engine.inbox()),
            engine: LoopCell::new(engine),
            services,
            debug: Cell::new(false),
            closed: Cell::new(false),
            stopping: Cell::new(false),
            completed: Cell::new(false),
            has_parked: Cell::new(false),
            thread: Cell::new(0),
            pulse: Arc::default(),
            counters: Counters::default(),
            steps_are_seen: Cell::new(false),
            observation: LoopCell::default(),
            marks: Marks::default(),
            trace: LoopCell::default(),
            is_traced: Cell::new(false),
            overridden: Overridden::default(),
            current: NotedTask::default(),
            after_entry: AfterEntry::default(),
            contexts: Contexts::default(),
            parts: Parts::default(),
            watched: LoopCell::default(),
            transports: WeakMap::default(),
            transport_mapping: Slot::default(),
            registration: WeakSetEntry::default(),
            wants_descriptor: LoopCell::default(),
            task_factory: Slot::default(),
            exception_handler: Slot::default(),
            slow_callback_duration: Slot::default(),
            current_handle: Slot::default(),
            origin_tracking: Cell::new(None),
            selector: Slot::default(),
        }
    }

    /// Appends an entry to the ready ring, behind the messages that other threads have sent before.
    #[inline]
    pub fn push(&self, entry: Entry) -> PyResult<()> {
        self.push_made(|| entry)
    }

    /// The same for an entry that is built in the ring itself. Building it may only take references.
    #[inline(always)]
    pub fn push_made(&self, make: impl FnOnce() -> Entry) -> PyResult<()> {
        // The values that the closure holds must not be dropped while the engine is borrowed.
        let mut make = Some(make);
        let has_room = self.engine.with(|engine| {
            let has_room = engine.ready.make_room();
            if has_room && let Some(make) = make.take() {
                engine.push(make);
            }
            has_room
        });
        if has_room { Ok(()) } else { Err(errors::no_memory()) }
    }

    /// The queue through which other threads send messages.
    pub fn inbox(&self) -> &Arc<Inbox<Message>> {
        &self.inbox
    }

    /// RuntimeError when the loop is closed.
    #[inline]
    pub fn check_open(&self) -> PyResult<()> {
        if self.closed.get() { Err(is_closed()) } else { Ok(()) }
    }

    /// The identity of the thread that runs the loop; 0 when none does.
    #[inline]
    pub fn thread(&self) -> u64 {
        self.thread.get()
    }

    /// Notes which thread runs the loop: this one, another one, or none (0).
    pub fn set_thread(&self, identity: u64) {
        self.thread.set(identity);
        self.pulse.set_running(identity != 0 && identity == thread::ident());
    }

    /// Counts a task that is being made on a loop of any kind; returns that if it is native.
    #[inline]
    pub fn count_task<'a, 'py>(event_loop: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Self>> {
        let native = Obj::<Self>::cast(event_loop)?;
        native.counters.count_task();
        Some(native)
    }

    /// Turns debug mode on or off.
    pub fn set_debug_mode(&self, enabled: bool) {
        self.debug.set(enabled);
        self.decide_who_sees_steps();
    }

    fn decide_who_sees_steps(&self) {
        self.steps_are_seen.set(self.debug.get() || self.is_traced());
    }

    /// Whether a trace of the loop is recorded.
    #[inline]
    pub fn is_traced(&self) -> bool {
        self.is_traced.get()
    }

    /// Begins to record a trace, or records none any more.
    pub fn record(&self, begun: Option<Arc<Recording>>) {
        let begun = begun.map(|recording| Box::new(LoopTrace::new(recording, self.pulse.park_count())));
        self.is_traced.set(begun.is_some());
        self.decide_who_sees_steps();
        let former = self.trace.with(|trace| std::mem::replace(trace, begun));
        drop(former);
    }

    /// Lets `f` act on what the loop keeps for the trace that is recorded. `f` must not call into Python.
    #[inline]
    pub fn with_trace<R>(&self, f: impl FnOnce(&mut LoopTrace) -> R) -> Option<R> {
        self.trace.with(|trace| trace.as_deref_mut().map(f))
    }

    /// Whether the loop is observed.
    #[inline]
    pub fn has_observer(&self) -> bool {
        self.marks.are_set()
    }

    /// Lets `f` act on what is counted, while the loop is observed. `f` must not call into Python.
    #[inline]
    pub fn with_observation<R>(&self, f: impl FnOnce(&mut Observation) -> R) -> Option<R> {
        self.observation.with(|observation| observation.as_deref_mut().map(f))
    }

    /// Begins to observe the loop, or ends its observation. Returns what was counted before, to be dropped.
    pub fn observe(&self, begun: Option<Box<Observation>>) -> Option<Box<Observation>> {
        self.marks.begin(begun.is_some());
        self.observation.with(|observation| std::mem::replace(observation, begun))
    }

    /// Whether this thread runs the loop.
    pub fn runs_here(&self) -> bool {
        self.thread.get() == thread::ident()
    }

    /// Whether some thread runs the loop.
    #[inline]
    pub fn is_running(&self) -> bool {
        self.thread.get() != 0
    }

    /// Whether a thread other than this one runs the loop.
    #[inline]
    pub fn runs_elsewhere(&self) -> bool {
        let running = self.thread.get();
        running != 0 && running != thread::ident()
    }

    /// Whether `close()` was called.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Adds a timer, due at `seconds` of the loop's clock.
    #[inline(always)] // the timer is moved through memory otherwise
    pub fn schedule(&self, py: Python<'_>, seconds: f64, timer: Scheduled) -> PyResult<()> {
        if self.is_traced() {
            self.with_trace(|trace| trace.note_timer(py, timer.object()));
        }
        let refused = self.engine.with(|engine| {
            if !engine.timers.make_room() {
                return Some(timer);
            }
            engine.schedule(seconds, timer);
            None
        });
        match refused {
            None => Ok(()),
            Some(_timer) => Err(errors::no_memory()),
        }
    }

    /// A timer in the heap was cancelled.
    pub fn note_cancelled_timer(&self, _py: Python<'_>) {
        match self.engine.with(Engine::note_cancelled) {
            Cancelled::Nothing => {}
            Cancelled::One(timer) => timer.leave(),
            Cancelled::Many(timers) => timers.iter().for_each(Scheduled::leave),
        }
    }

    /// `tell` is called once, on `object`, when a descriptor of the loop is closed: `object` lacks one.
    pub fn want_descriptor<T: Class>(&self, tell: DescriptorClosed, object: Obj<'_, T>) {
        self.wants_descriptor.with(|list| {
            if list.iter().all(|(_, listed)| listed.as_ptr() != object.as_any().as_ptr()) {
                list.push((tell, Ref::new(object.into_any())));
            }
        });
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        [
            &self.transport_mapping,
            &self.task_factory,
            &self.exception_handler,
            &self.slow_callback_duration,
            &self.current_handle,
            &self.selector,
        ]
        .into_iter()
    }

    /// Shows every reference to the collector.
    pub fn traverse_all(&self, visitor: &mut Visitor) {
        for slot in self.slots() {
            slot.traverse(visitor);
        }
        self.contexts.traverse(visitor);
        self.parts.traverse(visitor);
        self.watched.try_with(|watched| watched.traverse(visitor));
        self.observation.try_with(|observation| {
            let keys = observation.iter().flat_map(|observation| observation.keys());
            keys.for_each(|key| visitor.visit(key.as_ptr()));
        });
        self.wants_descriptor
            .try_with(|list| list.iter().for_each(|(_, object)| visitor.visit(object.as_ptr())));
        self.engine.try_with(|engine| {
            let visitor = std::cell::RefCell::new(visitor);
            engine.inspect(
                |entry| entry.traverse(&mut visitor.borrow_mut()),
                |timer| visitor.borrow_mut().visit(timer.object().as_ptr()),
                |owner| owner.traverse(&mut visitor.borrow_mut()),
            );
        });
    }

    /// Drops every reference.
    pub fn clear_all(&self) {
        let content = self.engine.with(Engine::clear);
        drop(content);
        self.contexts.clear();
        drop(self.parts.take_all());
        let watched = self.watched.with(std::mem::take);
        drop(watched);
        let observation = self.observation.with(Option::take);
        drop(observation);
        let list = self.wants_descriptor.with(std::mem::take);
        drop(list);
        for slot in self.slots() {
            slot.clear();
        }
    }
}

/// A descriptor of the loop was closed: objects that lacked a descriptor may have one now, and the kernel may
/// have events to report.
pub fn descriptor_closed(event_loop: &Obj<'_, EventLoop>) {
    event_loop.engine.with(|engine| engine.driver.note_activity());
    for (tell, object) in event_loop.wants_descriptor.with(std::mem::take) {
        tell(event_loop, object);
    }
}

#[cold]
fn is_closed() -> PyErr {
    PyRuntimeError::new_err("Event loop is closed")
}
