//! `EventLoop`: the loop as Python sees it. Its state, its table of methods, and the entries of its ready ring.
//!
//! The loop proper is [`yibu_engine::EventLoop`]; this type holds one in a [`LoopCell`] and adds what is Python's. The
//! methods live in the files of `event_loop/`, one concern each, and each file lists its own in a `table` function.
//! `python/yibu/event_loop.py` derives the public class from it and from `asyncio.AbstractEventLoop`.

mod accept;
mod asyncgens;
mod connect;
mod datagrams;
mod debug;
mod exceptions;
mod executor;
pub mod faults;
pub mod fork;
mod given_selector;
mod handle_run;
pub mod handles;
mod internals;
mod kernel;
mod lifecycle;
pub mod occupied;
mod overridden;
mod pause;
mod pipes;
mod resolve;
mod schedule;
mod sendfile;
mod serve;
pub mod signals;
mod sock;
pub mod socket;
mod spawn;
mod subprocesses;
mod tls;
mod together;
mod turn;
mod unix;
pub mod watch;

pub use accept::{Acceptor, descriptor_closed};
pub use executor::{native_executor, run_job};
pub use internals::EntryCallback;
pub use kernel::Kernel;
pub use lifecycle::COMPLETION;
use overridden::Overridden;
pub use overridden::{Overridable, bit};
pub use pause::{Delay, yield_once};
pub use schedule::seconds;
pub use sendfile::protocol::SendfileProtocol;
#[cfg(not(Py_3_14))]
pub use spawn::set_task_name;
#[cfg(not(Py_3_14))]
pub use spawn::spawner;
pub use spawn::{create_future, create_task, future_maker, spawn};
pub use turn::{has_come, now, parks};
pub use watch::{Asked, Waiting};

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use yibu_engine::timers::Timer;
use yibu_engine::{Cancelled, Host, Inbox, OpId};

use crate::alarms::Alarm;
use crate::callbacks::Reaction;
use crate::coroutines::{NativeCoroutine, Waker};
use crate::current::Current;
use crate::errors;
use crate::events::{Handle, PostedHandle, TimerHandle};
use crate::executor::Job;
use crate::ffi::class::Plain;
#[cfg(Py_3_12)]
use crate::ffi::stand_ins;
use crate::ffi::{
    Args, Class, ClassState, Directory, LoopCell, Obj, Output, Ref, Registration, SendRef, Signature, Slot,
    Table, Visitor,
};
use crate::futures::Future;
use crate::tasks::Task;
use crate::transports::pipes::{ReadPipeTransport, WritePipeTransport};
use crate::transports::{Corks, DatagramTransport, SocketTransport};
use crate::{names, stock};
use signals::Signals;
use watch::Watched;

/// Something that is ready to run.
pub enum Entry {
    /// `call_soon(callback)`.
    Handle(Ref<Handle>),
    /// `call_soon_threadsafe(callback)`.
    Posted(Ref<PostedHandle>),
    /// A timer that is due.
    Timer(Ref<TimerHandle>),
    /// A native timer that is due.
    Alarm(Ref<Alarm>),
    /// The first step of a task, or the one after a bare yield, or one that throws.
    Step {
        /// The task to step.
        task: Ref<Task>,
        /// What to throw into its coroutine.
        error: Option<Ref>,
    },
    /// The future that a task awaits is done.
    Wakeup {
        /// The task to step.
        task: Ref<Task>,
        /// The future that is done.
        future: Ref<Future>,
    },
    /// A callback of a future that is done.
    Callback {
        /// Called with the future.
        function: Ref,
        /// The future.
        future: Ref<Future>,
        /// Entered for the call.
        context: Ref,
    },
    /// What a primitive does when a future is done.
    Reaction {
        /// Which one.
        reaction: &'static Reaction,
        /// The object it acts on.
        owner: Ref,
        /// The future that is done.
        future: Ref<Future>,
    },
    /// A job of the default executor has ended.
    Job(Ref<Job>),
    /// A Rust future is to be polled again.
    Wake(Waker),
    /// The kernel can finish an operation.
    Io(OpId),
    /// A datagram socket may have more than the kernel has reported.
    Look(Ref<DatagramTransport>),
}

impl Entry {
    /// Shows what it refers to to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        match self {
            Self::Handle(handle) => visitor.visit(handle.as_ptr()),
            Self::Posted(handle) => visitor.visit(handle.as_ptr()),
            Self::Timer(timer) => visitor.visit(timer.as_ptr()),
            Self::Alarm(alarm) => visitor.visit(alarm.as_ptr()),
            Self::Job(job) => visitor.visit(job.as_ptr()),
            Self::Reaction { owner, future, .. } => {
                visitor.visit(owner.as_ptr());
                visitor.visit(future.as_ptr());
            }
            Self::Step { task, error } => {
                visitor.visit(task.as_ptr());
                error.iter().for_each(|error| visitor.visit(error.as_ptr()));
            }
            Self::Wakeup { task, future } => {
                visitor.visit(task.as_ptr());
                visitor.visit(future.as_ptr());
            }
            Self::Callback { function, future, context } => {
                visitor.visit(function.as_ptr());
                visitor.visit(future.as_ptr());
                visitor.visit(context.as_ptr());
            }
            Self::Look(transport) => visitor.visit(transport.as_ptr()),
            Self::Wake(waker) => waker.traverse(visitor),
            Self::Io(_) => {}
        }
    }
}

/// A timer in the heap.
pub enum Due {
    /// `call_at(callback)`.
    Handle(Ref<TimerHandle>),
    /// A primitive's own.
    Alarm(Ref<Alarm>),
}

impl Due {
    /// It left the heap: it runs, or was dropped.
    #[inline]
    fn leave(&self) {
        match self {
            Self::Handle(timer) => timer.data().own.leave(),
            Self::Alarm(alarm) => alarm.data().leave(),
        }
    }

    fn as_ptr(&self) -> *mut pyo3::ffi::PyObject {
        match self {
            Self::Handle(timer) => timer.as_ptr(),
            Self::Alarm(alarm) => alarm.as_ptr(),
        }
    }
}

impl Timer for Due {
    #[inline]
    fn cancelled(&self) -> bool {
        match self {
            Self::Handle(timer) => timer.data().base.is_cancelled(),
            Self::Alarm(alarm) => alarm.data().is_cancelled(),
        }
    }
}

/// What other threads send.
pub enum Message {
    /// `call_soon_threadsafe(callback)`.
    Posted(SendRef<PostedHandle>),
    /// A worker of the default executor has ended a job.
    Job(SendRef<Job>),
    /// A Rust future's waker fired on another thread.
    Wake(SendRef<NativeCoroutine>),
}

/// Who gets the outcomes of an operation.
pub enum Owner {
    /// `add_reader`, `add_writer`: the handle to run at every readiness.
    Handle(Ref<Handle>),
    /// The pipe of signals.
    Signals,
    /// A connection.
    Transport(Ref<SocketTransport>),
    /// A reading pipe.
    ReadPipe(Ref<ReadPipeTransport>),
    /// A writing pipe.
    WritePipe(Ref<WritePipeTransport>),
    /// A datagram socket.
    Datagrams(Ref<DatagramTransport>),
    /// A listening socket.
    Acceptor(Ref<Acceptor>),
    /// A Rust future that waits for readiness.
    Waiting(Asked),
    /// A future that is to be done when the descriptor is ready.
    Future(Ref<Future>),
}

/// What Python puts into the engine.
pub struct PythonHost;

impl Host for PythonHost {
    type Entry = Entry;
    type Timer = Due;
    type Owner = Owner;
    type Message = Message;

    fn finish(id: OpId) -> Entry {
        Entry::Io(id)
    }

    fn due(timer: Due) -> Entry {
        timer.leave();
        match timer {
            Due::Handle(timer) => Entry::Timer(timer),
            Due::Alarm(alarm) => Entry::Alarm(alarm),
        }
    }

    fn deliver(message: Message) -> Entry {
        match message {
            Message::Posted(handle) => Entry::Posted(handle.into_ref()),
            Message::Job(job) => Entry::Job(job.into_ref()),
            Message::Wake(coroutine) => Entry::Wake(Waker::received(coroutine)),
        }
    }
}

/// The engine with Python's entries.
pub type Engine = yibu_engine::EventLoop<PythonHost>;

/// The data of an `EventLoop`.
pub struct EventLoop {
    pub(crate) engine: LoopCell<Engine>,
    inbox: Arc<Inbox<Message>>,
    /// `set_debug`.
    pub(crate) debug: Cell<bool>,
    closed: Cell<bool>,
    stopping: Cell<bool>,
    /// Whether the future of `run_until_complete` is done: then the loop stops for that, and not because somebody said so.
    completed: Cell<bool>,
    /// The identity of the thread that runs the loop, as `threading.get_ident()`; 0 when none does.
    thread: Cell<u64>,
    /// Which methods Python code has replaced on the object itself; see `overridden`.
    overridden: Overridden,
    pub(crate) current: Current,
    /// Transports whose writes wait for the end of the entry.
    pub(crate) corks: Corks,
    /// The native transports that are not closing, by descriptor; see `occupied`.
    transports: Directory,
    transport_mapping: Slot,
    watched: LoopCell<Watched>,
    signals: LoopCell<Signals>,
    /// Its place among the loops that a forked child finds.
    registration: Registration,
    /// Whether somebody does not accept for lack of a descriptor.
    lacks_descriptors: Cell<bool>,
    /// Those who accept connections, on listening sockets.
    acceptors: LoopCell<Vec<Ref<Acceptor>>>,
    /// The inodes of the paths that listening Unix sockets are to remove: a dict, once there is one.
    #[cfg(Py_3_13)]
    unix_servers: Slot,
    task_factory: Slot,
    exception_handler: Slot,
    slow_callback_duration: Slot,
    /// The handle being run, in debug mode.
    current_handle: Slot,
    asyncgens: Slot,
    asyncgens_closed: Cell<bool>,
    /// The hooks of asynchronous generators that were there before the loop ran.
    hooks: LoopCell<Option<asyncgens::Hooks>>,
    origin_tracking: Cell<Option<i32>>,
    pub(crate) default_executor: Slot,
    /// The native pool that a program's patch of the standard library's class has put out of use.
    former_executor: Slot,
    pub(crate) executor_shut_down: Cell<bool>,
    /// What is asked in the place of the kernel: an object with `select()`, where a program has put one there.
    selector: Slot,
    /// Whether it is one that the program has given to the loop, to wait by.
    selector_is_given: Cell<bool>,
    /// The poller's descriptor, as that has been told.
    poller: Cell<Option<i32>>,
    /// Who waits for child processes; made when there is the first one.
    child_watcher: Slot,
}

impl Default for EventLoop {
    fn default() -> Self {
        let engine = Engine::new(faults::driver());
        Self {
            inbox: Arc::clone(engine.inbox()),
            engine: LoopCell::new(engine),
            debug: Cell::new(false),
            closed: Cell::new(false),
            stopping: Cell::new(false),
            completed: Cell::new(false),
            thread: Cell::new(0),
            overridden: Overridden::default(),
            current: Current::default(),
            corks: Corks::default(),
            transports: Directory::default(),
            transport_mapping: Slot::default(),
            watched: LoopCell::default(),
            signals: LoopCell::default(),
            registration: Registration::default(),
            lacks_descriptors: Cell::new(false),
            acceptors: LoopCell::default(),
            #[cfg(Py_3_13)]
            unix_servers: Slot::default(),
            task_factory: Slot::default(),
            exception_handler: Slot::default(),
            slow_callback_duration: Slot::default(),
            current_handle: Slot::default(),
            asyncgens: Slot::default(),
            asyncgens_closed: Cell::new(false),
            hooks: LoopCell::default(),
            origin_tracking: Cell::new(None),
            default_executor: Slot::default(),
            former_executor: Slot::default(),
            executor_shut_down: Cell::new(false),
            selector: Slot::default(),
            selector_is_given: Cell::new(false),
            poller: Cell::new(None),
            child_watcher: Slot::default(),
        }
    }
}

const INIT: Signature<1> = Signature::new_method("EventLoop.__init__", "selector=None");

static EVENT_LOOP: ClassState = ClassState::new();

impl EventLoop {
    /// The native loop behind an object, when its `get_debug` is the native one.
    #[inline]
    pub fn plain<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Self>> {
        Obj::<Self>::cast(object).filter(|native| !native.overrides(Overridable::GetDebug))
    }

    /// The native loop behind an object, when entries may be pushed to it without anybody noticing that `call_soon` was not
    /// called: it is not replaced, and debug mode, which wants handles with sources, is off.
    #[inline]
    pub fn direct<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Self>> {
        Obj::<Self>::cast(object)
            .filter(|native| !native.debug.get() && (native.is_untouched() || native.lets_push()))
    }

    /// Appends an entry to the ready ring, behind what other threads have sent before.
    #[inline]
    pub fn push(&self, entry: Entry) -> PyResult<()> {
        self.push_made(|| entry)
    }

    /// The same for an entry that is made in its place, by taking references and nothing else.
    #[inline(always)]
    pub fn push_made(&self, make: impl FnOnce() -> Entry) -> PyResult<()> {
        // What the closure holds must not be dropped inside.
        let mut make = Some(make);
        let has_room = self.engine.with(|engine| {
            let has_room = engine.ready.make_room();
            if has_room && let Some(make) = make.take() {
                engine.push(make());
            }
            has_room
        });
        if has_room { Ok(()) } else { Err(errors::no_memory()) }
    }

    /// The loop stops to run and may become garbage: the collector shall know what it was about to run.
    fn track_handles(&self, py: Python<'_>) {
        let copy = |entry: &Entry| match entry {
            Entry::Handle(handle) => (Some(handle.copy(py)), None),
            Entry::Posted(handle) => (None, Some(handle.copy(py))),
            _ => (None, None),
        };
        let entry = |place| self.engine.with(|engine| engine.ready.get(place).map(copy));
        for (handle, posted) in (0..).map_while(entry) {
            handle.into_iter().for_each(|handle| handle.into_obj(py).track());
            posted.into_iter().for_each(|handle| handle.into_obj(py).track());
        }
    }

    /// The door for other threads.
    pub fn inbox(&self) -> &Arc<Inbox<Message>> {
        &self.inbox
    }

    /// RuntimeError when the loop is closed.
    #[inline]
    pub fn check_open(&self) -> PyResult<()> {
        if self.closed.get() { Err(is_closed()) } else { Ok(()) }
    }

    /// Whether this thread runs the loop.
    pub fn runs_here(&self) -> bool {
        self.thread.get() == lifecycle::thread_ident()
    }

    /// Whether some thread runs the loop.
    #[inline]
    pub fn is_running(&self) -> bool {
        self.thread.get() != 0
    }

    /// Whether another thread than this one runs the loop.
    #[inline]
    fn runs_elsewhere(&self) -> bool {
        let running = self.thread.get();
        running != 0 && running != lifecycle::thread_ident()
    }

    /// Whether `close()` was called.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Adds a timer, due at `seconds` of the loop's clock.
    #[inline]
    pub fn schedule(&self, seconds: f64, due: Due) -> PyResult<()> {
        let refused = self.engine.with(|engine| {
            if !engine.timers.make_room() {
                return Some(due);
            }
            engine.schedule(seconds, due);
            None
        });
        match refused {
            None => Ok(()),
            Some(_due) => Err(errors::no_memory()),
        }
    }

    /// A timer in the heap was cancelled.
    pub fn note_cancelled_timer(&self, _py: Python<'_>) {
        match self.engine.with(Engine::note_cancelled) {
            Cancelled::Nothing => {}
            Cancelled::One(timer) => timer.leave(),
            Cancelled::Many(timers) => timers.iter().for_each(Due::leave),
        }
    }
}

#[cold]
fn is_closed() -> PyErr {
    PyRuntimeError::new_err("Event loop is closed")
}

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
    const HOOKS: &'static [&'static [&'static str]] = overridden::HOOKS;
    const STANDS_FOR_STOCK: bool = true;
    const DERIVES_FROM_STOCK: bool = true;
    const FUNCTIONS: bool = true;

    fn state() -> &'static ClassState {
        &EVENT_LOOP
    }

    fn stock(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        stock::event_loop(py).map(Some)
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"EventLoop(selector=None)\n--\n\nThe native part of yibu.EventLoop.");
        t.init(|event_loop, args, kwargs| {
            event_loop.expect_this_class();
            // Of no use unless all of it is done, so nobody has to close it.
            event_loop.closed.set(true);
            let [selector] = Args::parse_tuple(&INIT, args, kwargs)?;
            event_loop.refuse_overridden()?;
            #[cfg(Py_3_12)]
            stand_ins::stand_in(event_loop.py())?;
            event_loop.registration.enter(&fork::LOOPS, event_loop)?;
            debug::init(event_loop)?;
            if selector.is_none() {
                given_selector::take_replaced(event_loop)?;
            } else {
                given_selector::take(event_loop, &selector)?;
            }
            event_loop.closed.set(false);
            Ok(())
        });
        t.setattr(overridden::attribute_changed);
        t.repr(repr);
        t.finalize(lifecycle::finalize);
        overridden::table(t);
        schedule::table(t);
        lifecycle::table(t);
        spawn::table(t);
        exceptions::table(t);
        debug::table(t);
        asyncgens::table(t);
        occupied::table(t);
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
    }

    fn traverse(&self, visitor: &mut Visitor) {
        for slot in self.slots() {
            slot.traverse(visitor);
        }
        self.watched.try_with(|watched| watched.traverse(visitor));
        self.signals.try_with(|signals| signals.traverse(visitor));
        self.acceptors.try_with(|all| all.iter().for_each(|acceptor| visitor.visit(acceptor.as_ptr())));
        self.engine.try_with(|engine| {
            let visitor = std::cell::RefCell::new(visitor);
            let visit = |pointer| visitor.borrow_mut().visit(pointer);
            engine.inspect(
                |entry| entry.traverse(&mut visitor.borrow_mut()),
                |timer| visit(timer.as_ptr()),
                |owner| match owner {
                    Owner::Handle(handle) => visit(handle.as_ptr()),
                    Owner::Transport(transport) => visit(transport.as_ptr()),
                    Owner::ReadPipe(transport) => visit(transport.as_ptr()),
                    Owner::WritePipe(transport) => visit(transport.as_ptr()),
                    Owner::Datagrams(transport) => visit(transport.as_ptr()),
                    Owner::Acceptor(acceptor) => visit(acceptor.as_ptr()),
                    Owner::Future(future) => visit(future.as_ptr()),
                    Owner::Waiting(asked) => asked.traverse(&mut visitor.borrow_mut()),
                    Owner::Signals => {}
                },
            );
        });
    }

    fn clear(&self) {
        let content = self.engine.with(Engine::clear);
        drop(content);
        let watched = self.watched.with(std::mem::take);
        drop(watched);
        let signals = self.signals.with(std::mem::take);
        drop(signals);
        let acceptors = self.acceptors.with(std::mem::take);
        drop(acceptors);
        for slot in self.slots() {
            slot.clear();
        }
    }

    fn wants_finalizer(&self) -> bool {
        !self.closed.get()
    }
}

impl EventLoop {
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        let slots = [
            &self.transport_mapping,
            &self.task_factory,
            &self.exception_handler,
            &self.slow_callback_duration,
            &self.current_handle,
            &self.asyncgens,
            &self.default_executor,
            &self.former_executor,
            &self.child_watcher,
            &self.selector,
        ];
        #[cfg(Py_3_13)]
        let slots = slots.into_iter().chain([&self.unix_servers]);
        slots.into_iter()
    }
}
