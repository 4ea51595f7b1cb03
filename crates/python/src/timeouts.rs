//! `timeout`, `timeout_at` and the `Timeout` they make: `asyncio.timeouts`, native.
//!
//! A time limit is an [`Alarm`] that cancels the task; on a native loop entering and leaving one makes no
//! Handle, no context and no Task. Called by `async with`, and by [`crate::waiting`] for `wait_for`; calls
//! `limit`.

mod limit;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::alarms::{self, Alarm};
use crate::attributes::{assigned, objects};
use crate::copying::{self, Copied};
use crate::core::{EventLoop, now, seconds};
use crate::coroutines::{Routine, Special, Step, install_special};
use crate::ffi::combined::Combinable;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Ref, Signature, Slot, Table, make, references, stands_for,
};
use crate::ffi::{boolean, none};
use crate::functions::{self, running_loop};
use crate::replaced::names as replaced;
use crate::replaced::names::running_loop::OF_TIMEOUTS;
use crate::{names, stock};

#[cfg(Py_3_12)]
pub use limit::leave;
use limit::{arm, end, on_timeout};
pub use limit::{enter, timeout_error};

/// `timeouts._State`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Created,
    Entered,
    Expiring,
    Expired,
    Exited,
}

impl State {
    const ALL: [Self; 5] = [Self::Created, Self::Entered, Self::Expiring, Self::Expired, Self::Exited];

    /// The member's name in asyncio's enum, and its value, which texts show.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Created => ("CREATED", "created"),
            Self::Entered => ("ENTERED", "active"),
            Self::Expiring => ("EXPIRING", "expiring"),
            Self::Expired => ("EXPIRED", "expired"),
            Self::Exited => ("EXITED", "finished"),
        }
    }
}

/// The data of a `Timeout`.
#[derive(Default)]
pub struct Timeout {
    state: Cell<State>,
    /// The deadline, where it is a plain number.
    seconds: Cell<Option<f64>>,
    /// The deadline as Python code gave or saw it; empty together with `seconds` when there is none.
    when: Slot,
    alarm: Slot<Alarm>,
    /// The task that entered.
    task: Slot,
    /// How many cancellations it had been asked for by then.
    cancelling: Cell<isize>,
}

static TIMEOUT: ClassState = ClassState::new();
static ENTERING: Special = Special {
    name: ENTER.function,
    begin,
    arguments: 0,
    check: |args| args.parse(&ENTER).map(drop),
    keep: None,
    in_cycles: false,
};
static EXITING: Special = Special {
    name: EXIT.function,
    begin: finish,
    arguments: 3,
    check: |args| args.parse(&EXIT).map(drop),
    keep: Some(keep_raised),
    in_cycles: true,
};
const INIT: Signature<1> = Signature::new_method("Timeout.__init__", "when");
const RESCHEDULE: Signature<1> = Signature::new("Timeout.reschedule", "when");
const ENTER: Signature<0> = Signature::new_method("Timeout.__aenter__", "");
const EXIT: Signature<3> = Signature::new_method("Timeout.__aexit__", "exc_type, exc_val, exc_tb");
const AFTER: Signature<1> = Signature::new("timeout", "delay");
const AT: Signature<1> = Signature::new("timeout_at", "when");

impl Timeout {
    /// `Timeout(when)`.
    #[inline]
    fn at<'py>(when: &Bound<'py, PyAny>) -> PyResult<Obj<'py, Self>> {
        let timeout = Self::create(when.py())?;
        timeout.set_when(when);
        Ok(timeout)
    }

    /// `Timeout(event_loop.time() + delay)`, or one without a deadline when `delay` is None.
    #[inline]
    pub fn after<'py>(event_loop: &Bound<'py, PyAny>, delay: &Bound<'py, PyAny>) -> PyResult<Obj<'py, Self>> {
        let py = delay.py();
        if delay.is_none() {
            return Self::create(py);
        }
        if let (Some(native), Some(delay)) = (Obj::<EventLoop>::cast(event_loop), seconds(delay)) {
            let timeout = Self::create(py)?;
            timeout.seconds.set(Some(now(native)? + delay));
            return Ok(timeout);
        }
        Self::at(&event_loop.call_method0(names::time(py))?.add(delay)?)
    }

    #[inline]
    fn set_when(&self, when: &Bound<'_, PyAny>) {
        self.seconds.set(seconds(when));
        if when.is_none() { self.when.clear() } else { self.when.put(when.clone()) }
    }

    /// `Timeout.when()`: the same object every time.
    fn when<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        if let (true, Some(seconds)) = (self.when.is_empty(), self.seconds.get()) {
            self.when.put(pyo3::types::PyFloat::new(py, seconds));
        }
        self.when.get_or_none(py)
    }

    fn has_deadline(&self) -> bool {
        self.seconds.get().is_some() || !self.when.is_empty()
    }

    fn disarm(&self, py: Python<'_>) -> PyResult<()> {
        match self.alarm.take() {
            Some(alarm) => alarms::cancel(&alarm.into_obj(py)),
            None => Ok(()),
        }
    }
}

/// `Timeout.reschedule`.
fn reschedule<'py>(timeout: &Obj<'py, Timeout>, when: &Bound<'py, PyAny>) -> PyResult<()> {
    match timeout.state.get() {
        State::Entered => {}
        State::Created => return Err(PyRuntimeError::new_err("Timeout has not been entered")),
        other => {
            let text = format!("Cannot change state of {} Timeout", other.names().1);
            return Err(PyRuntimeError::new_err(text));
        }
    }
    timeout.set_when(when);
    timeout.disarm(timeout.py())?;
    if when.is_none() { Ok(()) } else { arm(timeout, &running_loop(timeout.py(), &OF_TIMEOUTS)?) }
}

fn begin<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let timeout = routine.owner::<Timeout>(routine.py())?;
    enter(&timeout, &running_loop(routine.py(), &OF_TIMEOUTS)?)?;
    Ok(Step::Return(timeout.into_any()))
}

/// Keeps what was raised, if something was: its class and the instance.
fn keep_raised<'py>(routine: &Obj<'py, Routine>, args: Args<'_, 'py>) -> PyResult<()> {
    let [class, exception, _traceback] = args.parse(&EXIT)?;
    if !class.is_none() {
        routine.first.put(class);
        routine.second.put(exception);
    }
    Ok(())
}

fn finish<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let timeout = routine.owner::<Timeout>(py)?;
    let raised = routine.first.take().map(|class| (class.into_any(py), routine.second.get_or_none(py)));
    end(&timeout, raised)?;
    Ok(Step::Return(none(py)))
}

fn repr<'py>(timeout: &Obj<'py, Timeout>) -> Output<'py> {
    let py = timeout.py();
    let state = timeout.state.get();
    let mut text = format!("<Timeout [{}]", state.names().1);
    if state == State::Entered {
        let when = timeout.when(py);
        let shown = if when.is_none() {
            when
        } else {
            stock::module(py, "builtins")?.getattr(name!("round"))?.call1((when, 3))?
        };
        crate::texts::append(&mut text, format_args!(" when={}", shown.str()?))?;
    }
    Ok(make::text(py, &text!("{text}>")?)?.into_any())
}

fn timeout<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let delay = args.single(&AFTER)?;
    make(&delay)
}

/// `timeout(delay)`
pub fn make<'py>(delay: &Bound<'py, PyAny>) -> Output<'py> {
    let py = delay.py();
    let event_loop = running_loop(py, &OF_TIMEOUTS)?;
    match replaced::TIMEOUT.maker::<Timeout>(py)? {
        None => Ok(Timeout::after(&event_loop, delay)?.into_any()),
        Some(class) if delay.is_none() => class.call1((delay,)),
        Some(class) => class.call1((event_loop.call_method0(names::time(py))?.add(delay)?,)),
    }
}

fn timeout_at<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [when] = args.parse(&AT)?;
    match replaced::TIMEOUT.maker::<Timeout>(args.py())? {
        None => Ok(Timeout::at(&when)?.into_any()),
        Some(class) => class.call1((when,)),
    }
}

/// Makes the class and adds the names.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let class = Table::<Timeout>::build(module.py(), None)?;
    install_special(&class, "__aenter__", &ENTERING)?;
    install_special(&class, "__aexit__", &EXITING)?;
    module.add(class.name()?, &class)?;
    let doc = "An asynchronous context manager that limits its body to delay seconds; None means no limit.";
    functions::add(module, &AFTER, timeout, doc)?;
    let doc = "An asynchronous context manager that limits its body to the time when of the loop's clock.";
    functions::add(module, &AT, timeout_at, doc)
}

/// What asyncio's timeouts have in their `__dict__`.
fn attributes(t: &mut Table<Timeout>) {
    t.property(
        c"_state",
        |timeout| stock::timeout_state(timeout.py())?.getattr(timeout.state.get().names().0),
        |timeout, value| {
            let name = assigned(value)?.getattr(name!("name"))?.extract::<String>()?;
            let Some(state) = State::ALL.into_iter().find(|state| state.names().0 == name) else {
                return Err(PyValueError::new_err(format!("{name:?} is not a state of a Timeout")));
            };
            timeout.state.set(state);
            Ok(())
        },
    );
    t.property(
        c"_when",
        |timeout| Ok(timeout.when(timeout.py())),
        |timeout, value| assigned(value).map(|value| timeout.set_when(value)),
    );
    t.property(
        c"_timeout_handler",
        |timeout| Ok(timeout.alarm.get(timeout.py()).unwrap_or_else(|| none(timeout.py()))),
        |timeout, value| {
            let value = assigned(value)?;
            let alarm = Obj::<Alarm>::cast(value);
            if alarm.is_none() && !value.is_none() {
                return Err(PyTypeError::new_err("the handle of a Timeout is made by the Timeout"));
            }
            match alarm {
                Some(alarm) => timeout.alarm.set(Ref::of(alarm.clone())),
                None => timeout.alarm.clear(),
            }
            Ok(())
        },
    );
    objects! { t: c"_task" => task }
}

impl Copied for Timeout {}

impl Class for Timeout {
    const NAME: &'static CStr = c"yibu.Timeout";
    type Header = Combinable;
    const FREELIST: usize = 256;
    const FUNCTIONS: bool = true;

    const SHOWN: &'static [&'static str] = &["_state", "_timeout_handler", "_task", "_when"];

    stands_for! { TIMEOUT, stock::timeout }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Timeout(when)\n--\n\nA limit on the time its body takes: what is not done by when is cancelled and raises TimeoutError.");
        t.init(|timeout, args, kwargs| {
            let [when] = Args::parse_tuple(&INIT, args, kwargs)?;
            timeout.disarm(timeout.py())?;
            timeout.state.set(State::Created);
            timeout.task.clear();
            timeout.set_when(&when);
            Ok(())
        });
        t.noargs(
            c"__aenter__",
            |timeout| Ok(Routine::begin(timeout.as_any(), ENTER.function, begin)?.into_any()),
            "Starts the limit.",
        );
        t.method(
            &EXIT,
            |timeout, args| {
                (EXITING.check)(args)?;
                let routine = Routine::begin(timeout.as_any(), EXIT.function, finish)?;
                keep_raised(&routine, args)?;
                Ok(routine.into_any())
            },
            "Ends the limit; raises TimeoutError when it was exceeded.",
        );
        t.noargs(c"when", |timeout| Ok(timeout.when(timeout.py())), "The deadline, or None.");
        t.action(c"_on_timeout", on_timeout, "The deadline has come: cancels the task.");
        t.command(
            &RESCHEDULE,
            |timeout, args| {
                let [when] = args.parse(&RESCHEDULE)?;
                reschedule(timeout, &when)
            },
            "Moves the deadline; None takes it away.",
        );
        t.noargs(
            c"expired",
            |timeout| {
                let expired = matches!(timeout.state.get(), State::Expiring | State::Expired);
                Ok(boolean(timeout.py(), expired))
            },
            "Whether the limit was exceeded.",
        );
        t.repr(repr);
        attributes(t);
        copying::table(t);
    }

    references! { alarm, when, task }
}
