//! `FlowControlMixin`: a protocol that knows whether its transport wants a rest from writing, and the tasks
//! that wait in `drain()`. `asyncio.streams.FlowControlMixin`, native. `StreamReaderProtocol` derives from
//! it.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyAssertionError, PyConnectionResetError, PyNotImplementedError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use yibu_engine::{Ticket, WaitQueue};

use crate::attributes::{flags, objects};
use crate::coroutines::{Routine, Step};
use crate::errors;
use crate::events::loop_debug;
use crate::ffi::class::Extends;
use crate::ffi::combined::Combinable;
use crate::ffi::{
    Args, Class, ClassState, LoopCell, Obj, Output, Ref, Signature, Slot, Table, Visitor, none, stands_for,
};
use crate::frames::Frame;
use crate::futures::future_like;
use crate::mixins::create_future;
use crate::replaced::names::STREAMS;
use crate::stock;

/// The data of a `FlowControlMixin`.
#[derive(Default)]
pub struct FlowControl {
    /// `_loop`.
    pub event_loop: Slot,
    paused: Cell<bool>,
    lost: Cell<bool>,
    waiters: LoopCell<WaitQueue<Ref>>,
}

static FLOW_CONTROL: ClassState = ClassState::new();
const INIT: Signature<1> = Signature::new_method("FlowControlMixin.__init__", "loop=None");
const LOST: Signature<1> = Signature::new_method("FlowControlMixin.connection_lost", "exc");
const CLOSE_WAITER: Signature<1> = Signature::new_method("FlowControlMixin._get_close_waiter", "stream");

impl FlowControl {
    /// `__init__`.
    pub fn init(&self, event_loop: Bound<'_, PyAny>) -> PyResult<()> {
        let event_loop =
            if event_loop.is_none() { stock::current_event_loop(event_loop.py())? } else { event_loop };
        self.event_loop.put(event_loop);
        self.paused.set(false);
        self.lost.set(false);
        let forgotten = self.waiters.with(WaitQueue::take);
        drop(forgotten);
        Ok(())
    }

    /// Whether `drain()` returns at once.
    #[inline]
    pub fn is_flowing(&self) -> bool {
        !self.paused.get() && !self.lost.get()
    }

    /// Completes the futures of `drain()`, with the exception if there is one.
    fn release(&self, py: Python<'_>, exception: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let waiters: Vec<Ref> =
            self.waiters.with(|waiters| waiters.iter().map(|waiter| waiter.copy(py)).collect());
        for waiter in waiters {
            let waiter = waiter.into_any(py);
            if future_like::is_done(&waiter)? {
                continue;
            }
            match exception {
                None => future_like::set_result(&waiter, none(py))?,
                Some(exception) => future_like::set_exception(&waiter, exception)?,
            }
        }
        Ok(())
    }
}

fn log_debug(flow: &Obj<'_, FlowControl>, frame: &Frame, text: &str) -> PyResult<()> {
    let py = flow.py();
    if loop_debug(&flow.event_loop.get_or_none(py))? {
        frame.log(py, "debug", (text, flow.as_any()))?;
    }
    Ok(())
}

/// `super().__init__(loop=event_loop)` of the classes that derive from this one.
pub fn init_base<'py, T: Extends<FlowControl>>(
    protocol: &Obj<'py, T>,
    event_loop: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = protocol.py();
    let Some(init) = protocol.replaced_super_method::<FlowControl>(intern!(py, "__init__"))? else {
        return protocol.upcast().init(event_loop);
    };
    let keywords = PyDict::new(py);
    keywords.set_item("loop", event_loop)?;
    init.call((), Some(&keywords)).map(drop)
}

/// `pause_writing`.
pub fn pause_writing(flow: &Obj<'_, FlowControl>) -> PyResult<()> {
    if flow.paused.replace(true) {
        return Err(PyAssertionError::new_err(()));
    }
    static FRAME: Frame = Frame::new(&STREAMS, "FlowControlMixin.pause_writing");
    log_debug(flow, &FRAME, "%r pauses writing")
}

/// `resume_writing`.
pub fn resume_writing(flow: &Obj<'_, FlowControl>) -> PyResult<()> {
    if !flow.paused.replace(false) {
        return Err(PyAssertionError::new_err(()));
    }
    static FRAME: Frame = Frame::new(&STREAMS, "FlowControlMixin.resume_writing");
    log_debug(flow, &FRAME, "%r resumes writing")?;
    flow.release(flow.py(), None)
}

/// `connection_lost`: no `drain()` waits for a connection that is gone.
pub fn connection_lost(flow: &Obj<'_, FlowControl>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    flow.lost.set(true);
    if !flow.paused.get() {
        return Ok(());
    }
    flow.release(flow.py(), (!exception.is_none()).then_some(exception))
}

/// `_drain_helper`, as the first piece of a routine of this object; the ticket is the routine's number.
pub fn drain<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let flow = routine.owner::<FlowControl>(routine.py())?;
    wait_for_flow(routine, &flow)
}

/// The same as a later piece, of a routine whose first slot has the object.
pub(super) fn drain_later<'py>(
    routine: &Obj<'py, Routine>,
    flow: &Obj<'py, FlowControl>,
) -> PyResult<Step<'py>> {
    routine.owner.put(flow.as_any().clone());
    wait_for_flow(routine, flow)
}

fn wait_for_flow<'py>(routine: &Obj<'py, Routine>, flow: &Obj<'py, FlowControl>) -> PyResult<Step<'py>> {
    let py = routine.py();
    if flow.lost.get() {
        return Err(PyConnectionResetError::new_err("Connection lost"));
    }
    if !flow.paused.get() {
        return Ok(Step::Return(none(py)));
    }
    let waiter = create_future(&flow.event_loop.get_or_none(py))?;
    let kept = Ref::new(waiter.clone());
    let ticket = flow.waiters.with(|waiters| waiters.make_room().then(|| waiters.push(kept)));
    routine.number.set(ticket.ok_or_else(errors::no_memory)?.number());
    Ok(Step::Await(waiter, |routine, waited| {
        let py = routine.py();
        let flow = routine.owner::<FlowControl>(py)?;
        let ticket = Ticket::from_number(routine.number.get());
        drop(flow.waiters.with(|waiters| waiters.remove(ticket)));
        waited.map(|_| Step::Return(none(py)))
    }))
}

impl Class for FlowControl {
    const NAME: &'static CStr = c"yibu.FlowControlMixin";
    type Header = Combinable;

    const FUNCTIONS: bool = true;

    stands_for! { FLOW_CONTROL, stock::flow_control_mixin }

    fn table(t: &mut Table<Self>) {
        t.doc(c"FlowControlMixin(loop=None)\n--\n\nA protocol for whose transport drain() waits.");
        t.init(|flow, args, kwargs| {
            let [event_loop] = Args::parse_tuple(&INIT, args, kwargs)?;
            flow.init(event_loop)
        });
        t.action(
            c"pause_writing",
            pause_writing,
            "The transport's buffer is above its high-water mark: drain() waits.",
        );
        t.action(c"resume_writing", resume_writing, "The transport has room again: tasks in drain() go on.");
        t.command(
            &LOST,
            |flow, args| {
                let [exception] = args.parse(&LOST)?;
                connection_lost(flow, &exception)
            },
            "The connection is gone: tasks in drain() get the exception.",
        );
        t.noargs(
            c"_drain_helper",
            |flow| {
                let name = "FlowControlMixin._drain_helper";
                Ok(Routine::begin(flow.as_any(), name, drain)?.into_any())
            },
            "Coroutine that waits until the transport has room.",
        );
        t.method(
            &CLOSE_WAITER,
            |_, args| {
                let [_] = args.parse(&CLOSE_WAITER)?;
                Err(PyNotImplementedError::new_err(()))
            },
            "The future that is done when the connection is closed; for subclasses.",
        );
        flags! { t:
            c"_paused" => paused,
            c"_connection_lost" => lost,
        }
        objects! { t: c"_loop" => event_loop }
        t.getter(c"_drain_waiters", waiters);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.event_loop.traverse(visitor);
        self.waiters.try_with(|waiters| waiters.iter().for_each(|waiter| visitor.visit(waiter.as_ptr())));
    }

    fn clear(&self) {
        self.event_loop.clear();
        let forgotten = self.waiters.with(WaitQueue::take);
        drop(forgotten);
    }
}

/// `_drain_waiters`: a deque of the waiters.
fn waiters<'py>(flow: &Obj<'py, FlowControl>) -> Output<'py> {
    let py = flow.py();
    let waiters: Vec<Ref> =
        flow.waiters.with(|waiters| waiters.iter().map(|waiter| waiter.copy(py)).collect());
    let waiters: Vec<_> = waiters.into_iter().map(|waiter| waiter.into_any(py)).collect();
    stock::module(py, "collections")?.getattr(name!("deque"))?.call1((waiters,))
}
