//! `Barrier`: so many tasks wait until all of them have come. `asyncio.locks.Barrier`.
//!
//! It is built upon a [`Condition`], whose coroutines its own await; what tasks wait for is a change of
//! `_state`. Where the Condition is not a native one as it came, or one of the barrier's own steps is
//! replaced, asyncio's functions do everything by name.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ffi::CStr;

use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::async_with::{self, AsyncWith};
use super::condition::{self, Condition};
use super::waiters;
use crate::attributes::{assigned, objects};
use crate::copying::{self, Copied};
use crate::coroutines::{Resume, Routine, Start, Step};
use crate::errors;
use crate::ffi::combined::Combinable;
use crate::ffi::{
    Args, Class, ClassState, LoopCell, Obj, Output, Signature, Slot, Table, references, stands_for,
};
use crate::ffi::{boolean, none};
use crate::mixins::LoopBound;
use crate::replaced::names::CONDITION;
use crate::stock::counterparts;
use crate::{names, stock};

/// `_BarrierState`
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Filling,
    Draining,
    Resetting,
    Broken,
}

impl State {
    const ALL: [Self; 4] = [Self::Filling, Self::Draining, Self::Resetting, Self::Broken];

    /// The value of asyncio's enumeration.
    fn value(self) -> &'static str {
        match self {
            Self::Filling => "filling",
            Self::Draining => "draining",
            Self::Resetting => "resetting",
            Self::Broken => "broken",
        }
    }
}

/// The data of a `Barrier`.
#[derive(Default)]
pub struct Barrier {
    condition: Slot,
    /// How many it takes; a Python number.
    parties: Slot,
    state: Cell<State>,
    /// How many are inside.
    count: Cell<usize>,
    /// The numbers of tasks that left before the barrier was full. They are given out again, so that no two
    /// have the same.
    free: LoopCell<BinaryHeap<Reverse<usize>>>,
    bound: LoopBound,
}

static BARRIER: ClassState = ClassState::new();
const INIT: Signature<1> = Signature::new_method("Barrier.__init__", "parties");

fn init(barrier: &Obj<'_, Barrier>, parties: Bound<'_, PyAny>) -> PyResult<()> {
    if parties.lt(1)? {
        let least = if cfg!(Py_3_14) { ">= 1" } else { "> 0" };
        return Err(PyValueError::new_err(format!("parties must be {least}")));
    }
    barrier.condition.put(match CONDITION.maker::<Condition>(barrier.py())? {
        None => condition::new(barrier.py())?.into_any(),
        Some(class) => class.call0()?,
    });
    barrier.parties.put(parties);
    barrier.state.set(State::Filling);
    barrier.count.set(0);
    barrier.free.with(|free| free.clear());
    Ok(())
}

/// The Condition; AttributeError when `__init__` did not run.
fn condition<'py>(barrier: &Obj<'py, Barrier>) -> Output<'py> {
    let missing = || PyAttributeError::new_err("'Barrier' object has no attribute '_cond'");
    barrier.condition.get(barrier.py()).ok_or_else(missing)
}

/// The steps of asyncio's coroutines.
const STEPS: [&str; 4] = ["_block", "_wait", "_release", "_exit"];

/// Whether the coroutines here do what asyncio's would do by name.
fn is_plain(barrier: &Obj<'_, Barrier>) -> PyResult<bool> {
    if barrier.replaced() & 1 != 0 {
        return Ok(false);
    }
    if barrier.attribute_count() != 0 {
        for step in STEPS {
            if barrier.has_own_attribute(&PyString::new(barrier.py(), step))? {
                return Ok(false);
            }
        }
    }
    let condition = barrier.condition.get_or_none(barrier.py());
    Ok(Obj::<Condition>::cast(&condition).is_some_and(Obj::is_native))
}

/// asyncio's own method, which does everything by name.
fn by_names<'py>(barrier: &Obj<'py, Barrier>, name: &str) -> Output<'py> {
    let missing = || PyAttributeError::new_err(format!("asyncio has no {name}"));
    counterparts::function(barrier.py(), name)?.ok_or_else(missing)?.call1((barrier.as_any(),))
}

fn coroutine<'py>(barrier: &Obj<'py, Barrier>, name: &'static str, begin: Start) -> Output<'py> {
    if is_plain(barrier)? { routine(barrier, name, begin) } else { by_names(barrier, name) }
}

fn routine<'py>(barrier: &Obj<'py, Barrier>, name: &'static str, begin: Start) -> Output<'py> {
    Ok(Routine::begin(barrier.as_any(), name, begin)?.into_any())
}

/// The beginning of every coroutine: acquires the Condition's lock, with which `inside` goes on.
fn enter<'py>(routine: &Obj<'py, Routine>, inside: Resume) -> PyResult<Step<'py>> {
    let barrier = routine.owner::<Barrier>(routine.py())?;
    let condition = condition(&barrier)?;
    let entering = match Obj::<Condition>::cast(&condition).filter(|condition| condition.is_native()) {
        Some(native) => async_with::entering(native)?,
        None => condition.call_method0(name!("__aenter__"))?,
    };
    Ok(Step::Await(entering, inside))
}

/// The end of every coroutine: leaves the Condition's lock.
fn leave<'py>(barrier: &Obj<'py, Barrier>, result: Output<'py>) -> PyResult<Step<'py>> {
    let condition = condition(barrier)?;
    match Obj::<Condition>::cast(&condition) {
        Some(native) => Condition::release(native)?,
        None => drop(condition.call_method0(names::release(barrier.py()))?),
    }
    result.map(Step::Return)
}

/// `self._cond.notify_all()`
fn tell_all(barrier: &Obj<'_, Barrier>) -> PyResult<()> {
    let condition = condition(barrier)?;
    match Obj::<Condition>::cast(&condition).filter(|condition| condition.is_native()) {
        Some(native) => condition::notify_all(native),
        None => condition.call_method0(name!("notify_all")).map(drop),
    }
}

/// `self._cond.wait()`
fn wait_for_change<'py>(barrier: &Obj<'py, Barrier>) -> Output<'py> {
    let condition = condition(barrier)?;
    match Obj::<Condition>::cast(&condition).filter(|condition| condition.is_native()) {
        Some(native) => condition::waiting(native),
        None => condition.call_method0(names::wait(barrier.py())),
    }
}

/// `wait()`
fn wait<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    enter(routine, |routine, entered| {
        entered?;
        block(routine)
    })
}

/// `_block()`: waits while the barrier drains or resets, then goes in.
fn block<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let barrier = routine.owner::<Barrier>(routine.py())?;
    match barrier.state.get() {
        State::Draining | State::Resetting => {
            Ok(Step::Await(wait_for_change(&barrier)?, |routine, waited| match waited {
                Ok(_) => block(routine),
                Err(error) => leave(&routine.owner::<Barrier>(routine.py())?, Err(error)),
            }))
        }
        State::Broken => leave(&barrier, Err(broken(routine.py(), "Barrier aborted")?)),
        State::Filling => go_in(routine, &barrier),
    }
}

fn broken(py: Python<'_>, text: &'static str) -> PyResult<PyErr> {
    Ok(errors::raise(stock::broken_barrier_error(py)?, text))
}

/// Takes a place inside; the last to come lets all tasks out.
fn go_in<'py>(routine: &Obj<'py, Routine>, barrier: &Obj<'py, Barrier>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let count = barrier.count.get();
    let free = barrier.free.with(|free| free.pop());
    routine.number.set(free.map_or(count, |Reverse(number)| number) as u64);
    barrier.count.set(count + 1);
    match barrier.parties.get_or_none(py).eq(count + 1) {
        Ok(false) => stay(routine),
        Ok(true) => {
            barrier.state.set(State::Draining);
            let notified = tell_all(barrier);
            go_out(routine, barrier, notified)
        }
        Err(error) => go_out(routine, barrier, Err(error)),
    }
}

/// `_wait()`: waits while the barrier fills.
fn stay<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let barrier = routine.owner::<Barrier>(py)?;
    match barrier.state.get() {
        State::Filling => match wait_for_change(&barrier) {
            Ok(waiting) => Ok(Step::Await(waiting, |routine, waited| match waited {
                Ok(_) => stay(routine),
                Err(error) => go_out(routine, &routine.owner::<Barrier>(routine.py())?, Err(error)),
            })),
            Err(error) => go_out(routine, &barrier, Err(error)),
        },
        State::Draining => go_out(routine, &barrier, Ok(())),
        State::Resetting | State::Broken => {
            go_out(routine, &barrier, Err(broken(py, "Abort or reset of barrier")?))
        }
    }
}

/// Gives the place back. The last one out lets in the tasks that wait for the barrier to drain. Returns the
/// place's number.
fn go_out<'py>(
    routine: &Obj<'py, Routine>,
    barrier: &Obj<'py, Barrier>,
    outcome: PyResult<()>,
) -> PyResult<Step<'py>> {
    let py = routine.py();
    barrier.count.set(barrier.count.get().saturating_sub(1));
    if barrier.count.get() == 0 {
        barrier.free.with(|free| free.clear());
    } else if barrier.state.get() == State::Filling {
        barrier.free.with(|free| free.push(Reverse(routine.number.get() as usize)));
    }
    if barrier.count.get() == 0 {
        if matches!(barrier.state.get(), State::Resetting | State::Draining) {
            barrier.state.set(State::Filling);
        }
        if let Err(error) = tell_all(barrier) {
            return leave(barrier, Err(error));
        }
    }
    let index = routine.number.get().into_pyobject(py)?.into_any();
    leave(barrier, outcome.map(|()| index))
}

/// `reset()`
fn reset<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    enter(routine, |routine, entered| {
        entered?;
        let barrier = routine.owner::<Barrier>(routine.py())?;
        let empty = barrier.count.get() == 0;
        change(&barrier, if empty { State::Filling } else { State::Resetting })
    })
}

/// `abort()`
fn abort<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    enter(routine, |routine, entered| {
        entered?;
        change(&routine.owner::<Barrier>(routine.py())?, State::Broken)
    })
}

/// Sets the state and wakes all tasks.
fn change<'py>(barrier: &Obj<'py, Barrier>, state: State) -> PyResult<Step<'py>> {
    barrier.state.set(state);
    let notified = tell_all(barrier);
    leave(barrier, notified.map(|()| none(barrier.py())))
}

/// `async with` on entry: `wait()`, which a subclass may have replaced.
fn enter_by_wait<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let waiting = routine.owner.get_or_none(routine.py()).call_method0(names::wait(routine.py()))?;
    Ok(Step::Await(waiting, |_, waited| waited.map(Step::Return)))
}

/// `async with` on exit: nothing is left to be done.
fn finish<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    Ok(Step::Return(none(routine.py())))
}

/// What asyncio's barriers have in their `__dict__`.
fn attributes(t: &mut Table<Barrier>) {
    t.property(c"_cond", condition, |barrier, value| {
        barrier.condition.put(assigned(value)?.clone());
        Ok(())
    });
    t.property(
        c"_state",
        |barrier| stock::barrier_state(barrier.py())?.call1((barrier.state.get().value(),)),
        |barrier, value| {
            let value = assigned(value)?.getattr(name!("value"))?.extract::<String>()?;
            let Some(state) = State::ALL.into_iter().find(|state| state.value() == value) else {
                return Err(PyValueError::new_err(format!("{value:?} is not a valid _BarrierState")));
            };
            barrier.state.set(state);
            Ok(())
        },
    );
    t.property(
        c"_count",
        |barrier| Ok(barrier.count.get().into_pyobject(barrier.py())?.into_any()),
        |barrier, value| assigned(value)?.extract().map(|value| barrier.count.set(value)),
    );
    objects! { t: c"_parties" => parties, c"_loop" => bound.event_loop }
    t.noargs(
        c"_get_loop",
        |barrier| barrier.bound.get_loop(barrier.as_any()),
        "The running loop, to which the barrier is bound from the first call on.",
    );
}

impl Copied for Barrier {}

const AEXIT: Signature<0> = Signature::new_method("Barrier.__aexit__", "*args");

impl Class for Barrier {
    const NAME: &'static CStr = c"yibu.Barrier";
    type Header = Combinable;
    const HOOKS: &'static [&'static [&'static str]] = &[&STEPS];
    const FUNCTIONS: bool = true;
    const OBSERVABLE: bool = true;

    const SHOWN: &'static [&'static str] = &["_cond", "_parties", "_state", "_count"];
    const SHOWN_WHEN_SET: &'static [&'static str] = &["_loop"];

    stands_for! { BARRIER, stock::barrier }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Barrier(parties)\n--\n\nSo many tasks wait for each other, and go on together.");
        t.init(|barrier, args, kwargs| {
            let [parties] = Args::parse_tuple(&INIT, args, kwargs)?;
            init(barrier, parties)
        });
        t.noargs(
            c"wait",
            |barrier| coroutine(barrier, "Barrier.wait", wait),
            "Waits until all parties wait. Returns a number below `parties`, a different one for each.",
        );
        t.noargs(
            c"reset",
            |barrier| coroutine(barrier, "Barrier.reset", reset),
            "Empties the barrier: waiting tasks get BrokenBarrierError.",
        );
        t.noargs(
            c"abort",
            |barrier| coroutine(barrier, "Barrier.abort", abort),
            "Breaks the barrier: tasks that wait, or will wait, get BrokenBarrierError.",
        );
        t.noargs(
            c"__aenter__",
            |barrier| routine(barrier, "Barrier.__aenter__", enter_by_wait),
            "Waits; `async with` gives what wait() returns.",
        );
        t.method(
            &AEXIT,
            |barrier, args| {
                let [] = args.parse(&AEXIT)?;
                routine(barrier, AEXIT.function, finish)
            },
            "Does nothing.",
        );
        t.documented_getter(
            c"parties",
            |barrier| Ok(barrier.parties.get_or_none(barrier.py())),
            c"The number of tasks that have to wait before the barrier lets them pass.",
        );
        t.documented_getter(
            c"n_waiting",
            |barrier| {
                let waiting = if barrier.state.get() == State::Filling { barrier.count.get() } else { 0 };
                Ok(waiting.into_pyobject(barrier.py())?.into_any())
            },
            c"The number of tasks that wait at the barrier now.",
        );
        t.documented_getter(
            c"broken",
            |barrier| Ok(boolean(barrier.py(), barrier.state.get() == State::Broken)),
            c"Whether the barrier was broken, by abort().",
        );
        t.noargs(c"_block", |barrier| by_names(barrier, "Barrier._block"), "Waits while the barrier drains.");
        t.noargs(c"_wait", |barrier| by_names(barrier, "Barrier._wait"), "Waits while the barrier fills.");
        t.noargs(c"_release", |barrier| by_names(barrier, "Barrier._release"), "Lets all tasks out.");
        t.noargs(
            c"_exit",
            |barrier| by_names(barrier, "Barrier._exit"),
            "Lets in waiting tasks, once all are out.",
        );
        attributes(t);
        copying::table(t);
        t.repr(|barrier| {
            let object = barrier.as_any();
            let mut state = barrier.state.get().value().to_owned();
            if !object.getattr(name!("broken"))?.is_truthy()? {
                let (waiting, parties) =
                    (object.getattr(name!("n_waiting"))?, object.getattr(name!("parties"))?);
                state = text!("{state}, waiters:{}/{}", waiting.str()?, parties.str()?)?;
            }
            waiters::repr(barrier, &state, 0)
        });
    }

    references! { bound.event_loop, condition, parties }
}
