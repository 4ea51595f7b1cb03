//! `Queue`, `PriorityQueue` and `LifoQueue`: `asyncio.queues`, native. They run on any loop.
//!
//! Called by Python code; calls futures, and `_finished` is an `Event`. What is left open to subclasses is in
//! `hooks`, the items are in `container` and `items`, the waiting tasks in `waiters`, what they wait for in
//! `exchange`, the end of the work in `work`.

mod container;
mod data;
mod exchange;
mod finished;
mod hooks;
mod items;
mod waiters;
mod work;

pub use data::{LifoQueue, PriorityQueue, Queue};

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyString;

#[cfg(Py_3_13)]
use crate::attributes::flags;
use crate::attributes::{assigned, objects};
use crate::classes;
use crate::copying::{self, Copied};
use crate::ffi::call::recursing;
use crate::ffi::combined::{Combinable, Extended};
use crate::ffi::originals::Replaced;
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Signature, Table, Visitor, boolean, make, none, references,
    stands_for,
};
use crate::stock;
use data::Kind;
use hooks::Hook;

static QUEUE: ClassState = ClassState::new();
static PRIORITY_QUEUE: ClassState = ClassState::new();
static LIFO_QUEUE: ClassState = ClassState::new();

const INIT: Signature<1> = Signature::new_method("Queue.__init__", "maxsize=0");
const MAKE: Signature<1> = Signature::new_method("Queue._init", "maxsize");
const PUT: Signature<1> = Signature::new_method("Queue.put", "item");
const PUT_NOWAIT: Signature<1> = Signature::new_method("Queue.put_nowait", "item");
const STORE: Signature<1> = Signature::new_method("Queue._put", "item");
const WAKEUP_NEXT: Signature<1> = Signature::new_method("Queue._wakeup_next", "waiters");
#[cfg(Py_3_13)]
const SHUTDOWN: Signature<1> = Signature::new_method("Queue.shutdown", "immediate=False");
const MAKE_HEAP: Signature<1> = Signature::new_method("PriorityQueue._init", "maxsize");
const STORE_IN_HEAP: Signature<2> = Signature::new_method("PriorityQueue._put", "item, heappush=None");
const TAKE_FROM_HEAP: Signature<1> = Signature::new_method("PriorityQueue._get", "heappop=None");
const MAKE_STACK: Signature<1> = Signature::new_method("LifoQueue._init", "maxsize");
const STORE_ON_STACK: Signature<1> = Signature::new_method("LifoQueue._put", "item");

/// Makes the classes.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let queue = classes::add_on::<Queue>(module, &[stock::loop_bound_mixin(module.py())?])?;
    classes::add_derived::<PriorityQueue>(module, &queue)?;
    classes::add_derived::<LifoQueue>(module, &queue)
}

/// `Queue.__init__`.
fn init<'py>(queue: &Obj<'py, Queue>, maxsize: Bound<'py, PyAny>) -> PyResult<()> {
    queue.limit.put(maxsize.clone());
    queue.getters.begin(queue.py())?;
    queue.putters.begin(queue.py())?;
    queue.unfinished.set(0);
    queue.finished.begin(queue.py())?;
    let hooks = hooks::of(queue)?;
    if hooks.replace(Hook::Init) {
        Hook::Init.call_with(queue, &maxsize)?;
    } else {
        items::init(queue, hooks, hooks.kind)?;
    }
    queue.shut_down.set(false);
    Ok(())
}

/// `_format()`.
fn format<'py>(queue: &Obj<'py, Queue>) -> PyResult<String> {
    let py = queue.py();
    let mut text = text!("maxsize={}", queue.limit.object(py).repr()?)?;
    if let Some(items) = items::listed(queue)? {
        crate::texts::append(&mut text, format_args!(" _queue={}", items.repr()?))?;
    }
    for (name, waiters) in [("_getters", &queue.getters), ("_putters", &queue.putters)] {
        match waiters.len(py)? {
            0 => {}
            waiting => crate::texts::append(&mut text, format_args!(" {name}[{waiting}]"))?,
        }
    }
    match queue.unfinished.get() {
        0 => {}
        unfinished => crate::texts::append(&mut text, format_args!(" tasks={unfinished}"))?,
    }
    if queue.shut_down.get() {
        crate::texts::append(&mut text, format_args!(" shutdown"))?;
    }
    Ok(text)
}

/// `self._format()` between brackets, behind the class's name and `place`.
fn describe<'py>(queue: &Obj<'py, Queue>, place: &str) -> Output<'py> {
    let state = if hooks::of(queue)?.replace(Hook::Format) {
        text!("{}", Hook::Format.call(queue)?.str()?)?
    } else {
        // A queue may be in itself.
        recursing(queue.py(), c" while formatting a queue", || format(queue))?
    };
    let class = queue.as_any().get_type();
    Ok(make::text(queue.py(), &text!("<{}{place} {state}>", class.name()?)?)?.into_any())
}

/// The methods that move items.
fn methods(t: &mut Table<Queue>) {
    t.method(
        &PUT,
        |queue, args| exchange::put(queue, args.single(&PUT)?),
        "Coroutine that puts an item in, when there is room for it.",
    );
    t.method(
        &PUT_NOWAIT,
        |queue, args| exchange::put_nowait(queue, args.single(&PUT_NOWAIT)?),
        "Puts an item in. Raises QueueFull when there is no room for it.",
    );
    t.noargs(c"get", exchange::get, "Coroutine that takes an item out, when there is one.");
    t.noargs(c"get_nowait", exchange::get_nowait, "Takes an item out. Raises QueueEmpty when there is none.");
    t.noargs(
        c"task_done",
        work::task_done,
        "Tells that the work on an item is done. Raises ValueError when that was told for every item.",
    );
    t.noargs(c"join", work::join, "Coroutine that waits until the work on every item is done.");
    #[cfg(Py_3_13)]
    t.method(
        &SHUTDOWN,
        |queue, args| {
            let [immediate] = args.parse(&SHUTDOWN)?;
            work::shutdown(queue, immediate.is_truthy()?)
        },
        "Makes put() raise QueueShutDown, and get() once the queue is empty, which it is at once if immediate.",
    );
}

/// The questions, and the methods that subclasses may define for themselves.
fn hook_methods(t: &mut Table<Queue>) {
    t.noargs(
        c"qsize",
        |queue| Ok(items::len(queue, hooks::of(queue)?)?.into_pyobject(queue.py())?.into_any()),
        "The number of items.",
    );
    t.noargs(
        c"empty",
        |queue| Ok(boolean(queue.py(), items::holds_nothing(queue, hooks::of(queue)?)?)),
        "Whether there is no item.",
    );
    t.noargs(
        c"full",
        |queue| Ok(boolean(queue.py(), items::fills_limit(queue, hooks::of(queue)?)?)),
        "Whether there are maxsize items; never when maxsize is 0.",
    );
    t.command(
        &MAKE,
        |queue, args| {
            let [_] = args.parse(&MAKE)?;
            items::init(queue, hooks::of(queue)?, Kind::Fifo)
        },
        "Makes the container of the items.",
    );
    t.command(
        &STORE,
        |queue, args| items::put(queue, hooks::of(queue)?, Kind::Fifo, &args.single(&STORE)?),
        "Puts an item into the container.",
    );
    t.noargs(
        c"_get",
        |queue| items::get(queue, hooks::of(queue)?, Kind::Fifo),
        "Takes the next item out of the container.",
    );
    t.method(
        &WAKEUP_NEXT,
        |queue, args| waiters::wake_next_of(&args.single(&WAKEUP_NEXT)?).map(|()| none(queue.py())),
        "Wakes the first of the waiters that is not done.",
    );
    t.noargs(
        c"_get_loop",
        |queue| queue.bound.get_loop(queue.as_any()),
        "The running loop, to which the queue is bound from its first wait on.",
    );
    t.noargs(
        c"_format",
        |queue| Ok(PyString::new(queue.py(), &format(queue)?).into_any()),
        "The state, for repr().",
    );
}

fn properties(t: &mut Table<Queue>) {
    t.documented_getter(
        c"maxsize",
        |queue| Ok(queue.limit.object(queue.py())),
        c"The number of items that the queue may hold; 0 or less: as many as there are.",
    );
    t.property(
        c"_maxsize",
        |queue| Ok(queue.limit.object(queue.py())),
        |queue, value| assigned(value).map(|value| queue.limit.put(value.clone())),
    );
    t.property(
        c"_queue",
        |queue| queue.items.show(queue.py())?.map_or_else(|| Err(items::no_content(queue)), Ok),
        |queue, value| {
            queue.items.put(value);
            Ok(())
        },
    );
    t.property(
        c"_getters",
        |queue| queue.getters.show(queue.py()),
        |queue, value| assigned(value).map(|value| queue.getters.put(value.clone())),
    );
    t.property(
        c"_putters",
        |queue| queue.putters.show(queue.py()),
        |queue, value| assigned(value).map(|value| queue.putters.put(value.clone())),
    );
    t.property(
        c"_unfinished_tasks",
        |queue| Ok(queue.unfinished.get().into_pyobject(queue.py())?.into_any()),
        |queue, value| assigned(value)?.extract().map(|value| queue.unfinished.set(value)),
    );
    t.property(
        c"_finished",
        |queue| queue.finished.event(queue.py()),
        |queue, value| assigned(value).map(|value| queue.finished.put(value.clone())),
    );
    #[cfg(Py_3_13)]
    flags! { t: c"_is_shutdown" => shut_down }
    objects! { t: c"_loop" => bound.event_loop }
}

#[cfg(Py_3_13)]
const STATE: [&str; 7] =
    ["_maxsize", "_getters", "_putters", "_unfinished_tasks", "_finished", "_queue", "_is_shutdown"];
#[cfg(not(Py_3_13))]
const STATE: [&str; 6] = ["_maxsize", "_getters", "_putters", "_unfinished_tasks", "_finished", "_queue"];

impl Copied for Queue {}

impl Class for Queue {
    const NAME: &'static CStr = c"yibu.Queue";
    type Header = Combinable;
    const HOOKS: &'static [&'static [&'static str]] = &hooks::NAMES;
    const FUNCTIONS: bool = true;
    const OBSERVABLE: bool = true;

    fn replaced_elsewhere(py: Python<'_>) -> Replaced {
        if finished::calls_events(py) { Hook::Finished.bit() } else { 0 }
    }

    const SHOWN: &'static [&'static str] = &STATE;
    const SHOWN_WHEN_SET: &'static [&'static str] = &["_loop"];
    const NONE_BEFORE_INIT: Option<&'static str> = Some("_maxsize");

    stands_for! { QUEUE, stock::queue }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Queue(maxsize=0)\n--\n\nItems on their way from some tasks to others, at most maxsize of them if that is more than 0.");
        t.init(|queue, args, kwargs| {
            if args.is_empty() && kwargs.is_none_or(|kwargs| kwargs.is_empty()) {
                return init(queue, 0i64.into_pyobject(queue.py())?.into_any());
            }
            let [maxsize] = Args::parse_tuple(&INIT, args, kwargs)?;
            init(queue, maxsize)
        });
        t.setattr(|queue, _name, _is_set| {
            queue.known.forget();
            Ok(())
        });
        methods(t);
        hook_methods(t);
        properties(t);
        copying::table(t);
        t.generic();
        t.repr(|queue| describe(queue, &format!(" at {:p}", queue.as_any().as_ptr())));
        t.str(|queue| describe(queue, ""));
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.items.traverse(visitor);
        self.limit.traverse(visitor);
        self.finished.traverse(visitor);
        self.getters.traverse(visitor);
        self.putters.traverse(visitor);
        self.bound.event_loop.traverse(visitor);
    }

    fn clear(&self) {
        self.items.clear();
        self.limit.clear();
        self.finished.forget();
        self.getters.clear();
        self.putters.clear();
        self.bound.event_loop.clear();
    }
}

impl Class for PriorityQueue {
    const NAME: &'static CStr = c"yibu.PriorityQueue";
    type Header = Combinable;
    const HOOKS: &'static [&'static [&'static str]] = &hooks::NAMES;
    const FUNCTIONS: bool = true;
    const OBSERVABLE: bool = true;

    fn extended() -> Option<Extended<Self>> {
        Some(Extended::by::<Queue>())
    }

    const SHOWN: &'static [&'static str] = Queue::SHOWN;
    const SHOWN_WHEN_SET: &'static [&'static str] = Queue::SHOWN_WHEN_SET;
    const NONE_BEFORE_INIT: Option<&'static str> = Queue::NONE_BEFORE_INIT;

    stands_for! { PRIORITY_QUEUE, stock::priority_queue }

    fn table(t: &mut Table<Self>) {
        t.doc(c"PriorityQueue(maxsize=0)\n--\n\nA queue that gives the least item first; mostly they are tuples (priority, data).");
        t.method(
            &MAKE_HEAP,
            |queue, args| {
                let [_] = args.parse(&MAKE_HEAP)?;
                items::init(queue.upcast(), hooks::of(queue.upcast())?, Kind::Priority)
                    .map(|()| none(queue.py()))
            },
            "Makes the container of the items.",
        );
        t.method(
            &STORE_IN_HEAP,
            |queue, args| {
                let [item, given] = args.parse_given(&STORE_IN_HEAP)?;
                let (item, py) = (item.unwrap_or_else(|| none(queue.py())), queue.py());
                let heappush = given.map_or_else(|| stock::heappush(py).cloned(), Ok)?;
                items::put_on_heap(queue.upcast(), hooks::of(queue.upcast())?, &item, &heappush)
                    .map(|()| none(queue.py()))
            },
            "Puts an item into the container.",
        );
        t.method(
            &TAKE_FROM_HEAP,
            |queue, args| {
                let [given] = args.parse_given(&TAKE_FROM_HEAP)?;
                let heappop = given.map_or_else(|| stock::heappop(queue.py()).cloned(), Ok)?;
                items::get_from_heap(queue.upcast(), hooks::of(queue.upcast())?, &heappop)
            },
            "Takes the next item out of the container.",
        );
    }

    references! { base }
}

impl Class for LifoQueue {
    const NAME: &'static CStr = c"yibu.LifoQueue";
    type Header = Combinable;
    const HOOKS: &'static [&'static [&'static str]] = &hooks::NAMES;
    const FUNCTIONS: bool = true;
    const OBSERVABLE: bool = true;

    fn extended() -> Option<Extended<Self>> {
        Some(Extended::by::<Queue>())
    }

    const SHOWN: &'static [&'static str] = Queue::SHOWN;
    const SHOWN_WHEN_SET: &'static [&'static str] = Queue::SHOWN_WHEN_SET;
    const NONE_BEFORE_INIT: Option<&'static str> = Queue::NONE_BEFORE_INIT;

    stands_for! { LIFO_QUEUE, stock::lifo_queue }

    fn table(t: &mut Table<Self>) {
        t.doc(c"LifoQueue(maxsize=0)\n--\n\nA queue that gives the newest item first.");
        t.command(
            &MAKE_STACK,
            |queue, args| {
                let [_] = args.parse(&MAKE_STACK)?;
                items::init(queue.upcast(), hooks::of(queue.upcast())?, Kind::Lifo)
            },
            "Makes the container of the items.",
        );
        t.method(
            &STORE_ON_STACK,
            |queue, args| {
                let item = args.single(&STORE_ON_STACK)?;
                items::put(queue.upcast(), hooks::of(queue.upcast())?, Kind::Lifo, &item)
                    .map(|()| none(queue.py()))
            },
            "Puts an item into the container.",
        );
        t.noargs(
            c"_get",
            |queue| items::get(queue.upcast(), hooks::of(queue.upcast())?, Kind::Lifo),
            "Takes the next item out of the container.",
        );
    }

    references! { base }
}
