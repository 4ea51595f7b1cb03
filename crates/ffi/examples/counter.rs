//! An extension module of native classes in safe Rust: a counter, one that derives from it, and two classes
//! that a Python class may inherit from together. `tests/ffi` builds it and holds the crate to what it
//! promises.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use yibu_ffi::class::DictAndWeak;
use yibu_ffi::combined::{Base, Combinable};
use yibu_ffi::{
    Args, Class, ClassState, Obj, Output, Signature, Slot, Table, WeakSet, WeakSetEntry, boolean, class,
    derived, make, none, references,
};

/// What a `Counter` holds: fields with interior mutability, because Python code may come back at any time.
#[derive(Default)]
struct Counter {
    count: Cell<usize>,
    /// Any object.
    label: Slot,
    entry: WeakSetEntry,
}

static COUNTER: ClassState = ClassState::new();
/// All counters whose `__init__` has run.
static COUNTERS: WeakSet<Counter> = WeakSet::new();
const INIT: Signature<2> = Signature::new("Counter", "start=0, *, label=None");
const ADD: Signature<2> = Signature::new("Counter.add", "amount, times=1");

impl Counter {
    fn increase(&self, amount: usize) -> PyResult<()> {
        let sum = self.count.get().checked_add(amount);
        self.count.set(sum.ok_or_else(|| PyOverflowError::new_err("the count is too large"))?);
        Ok(())
    }
}

fn init<'py>(
    counter: &Obj<'py, Counter>,
    args: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<()> {
    let [start, label] = Args::parse_tuple(&INIT, args, keywords)?;
    counter.count.set(if start.is_none() { 0 } else { start.extract()? });
    counter.label.put(label);
    counter.entry.enter(&COUNTERS, counter)
}

fn add<'py>(counter: &Obj<'py, Counter>, args: Args<'_, 'py>) -> Output<'py> {
    let [amount, times] = args.parse(&ADD)?;
    let times = if times.is_none() { 1 } else { times.extract::<usize>()? };
    for _ in 0..times {
        counter.increase(amount.extract()?)?;
    }
    Ok(none(counter.py()))
}

fn count<'py>(counter: &Obj<'py, Counter>) -> Output<'py> {
    Ok(make::size(counter.py(), counter.count.get())?.into_any())
}

fn set_label<'py>(counter: &Obj<'py, Counter>, label: Option<&Bound<'py, PyAny>>) -> PyResult<()> {
    match label {
        Some(label) => counter.label.put(label.clone()),
        None => counter.label.clear(),
    }
    Ok(())
}

#[expect(clippy::panic, reason = "shows what becomes of it")]
fn fail<'py>(_: &Obj<'py, Counter>) -> Output<'py> {
    panic!("on purpose")
}

impl Class for Counter {
    const NAME: &'static CStr = c"counter.Counter";
    type Header = DictAndWeak;
    const FREELIST: usize = 1;
    const CLASS: &'static ClassState = &COUNTER;

    fn table(t: &mut Table<Self>) {
        t.doc(c"Counter(start=0, *, label=None)\n--\n\nCounts, and keeps a label.");
        t.init(init);
        t.method(&ADD, add, "Adds an amount so many times.");
        t.noargs(c"fail", fail, "Panics.");
        t.one(c"is_labelled", "label", |c, label| Ok(boolean(c.py(), c.label.is(label))), "Compares.");
        t.getter(c"count", count);
        t.property(c"label", |c| Ok(c.label.get_or_none(c.py())), set_label);
    }

    references! { label }
}

/// What a `Limited` has beside what a `Counter` has.
#[derive(Default)]
struct Limit {
    limit: Cell<usize>,
}

derived! {
    /// A counter that refuses to count beyond its limit.
    struct Limited { base: Counter, own: Limit }
}

static LIMITED: ClassState = ClassState::new();

fn check<'py>(counter: &Obj<'py, Limited>) -> Output<'py> {
    if counter.base.count.get() > counter.own.limit.get() {
        return Err(PyValueError::new_err("beyond the limit"));
    }
    count(counter.upcast())
}

fn set_limit<'py>(counter: &Obj<'py, Limited>, limit: Option<&Bound<'py, PyAny>>) -> PyResult<()> {
    counter.own.limit.set(limit.map_or(Ok(0), |limit| limit.extract())?);
    Ok(())
}

impl Class for Limited {
    const NAME: &'static CStr = c"counter.Limited";
    type Header = DictAndWeak;
    const CLASS: &'static ClassState = &LIMITED;

    fn table(t: &mut Table<Self>) {
        t.noargs(c"check", check, "The count; ValueError when it is beyond the limit.");
        t.property(c"limit", |c| Ok(make::size(c.py(), c.own.limit.get())?.into_any()), set_limit);
    }

    references! { base }
}

/// A class for [`combined`](yibu_ffi::combined) layouts: a name.
#[derive(Default)]
struct Named(Slot);

/// Another one: a size.
#[derive(Default)]
struct Sized(Slot);

static NAMED: ClassState = ClassState::new();
static SIZED: ClassState = ClassState::new();

fn put<'py>(slot: &Slot, value: Option<&Bound<'py, PyAny>>) -> PyResult<()> {
    value.map_or_else(|| slot.clear(), |value| slot.put(value.clone()));
    Ok(())
}

impl Class for Named {
    const NAME: &'static CStr = c"counter.Named";
    type Header = Combinable;
    const CLASS: &'static ClassState = &NAMED;

    fn table(t: &mut Table<Self>) {
        t.property(c"name", |own| Ok(own.0.get_or_none(own.py())), |own, value| put(&own.0, value));
    }

    references! { 0 }
}

impl Class for Sized {
    const NAME: &'static CStr = c"counter.Sized";
    type Header = Combinable;
    const CLASS: &'static ClassState = &SIZED;

    fn table(t: &mut Table<Self>) {
        t.property(c"size", |own| Ok(own.0.get_or_none(own.py())), |own, value| put(&own.0, value));
    }

    references! { 0 }
}

const LIVING: Signature<0> = Signature::new("living", "");

/// `living()`: all counters.
fn living<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [] = args.parse(&LIVING)?;
    let counters = COUNTERS.living(args.py()).into_iter().map(Obj::into_any);
    Ok(PyList::new(args.py(), counters)?.into_any())
}

const TOTAL: Signature<1> = Signature::new("total", "first, *others");

/// `total(first, *others)`: the sum of counters.
fn total<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [first] = args.parse(&TOTAL)?;
    let sum = Obj::<Counter>::cast(&first).map_or(0, |counter| counter.count.get());
    let others = args.positional().skip(1);
    let sum =
        others.filter_map(|other| Some(Obj::<Counter>::cast_into(other)?.count.get())).sum::<usize>() + sum;
    Ok(make::size(args.py(), sum)?.into_any())
}

fn add_class<'py, T: Class>(
    module: &Bound<'py, PyModule>,
    base: Option<&Bound<'py, PyType>>,
) -> PyResult<Bound<'py, PyType>> {
    let class = Table::<T>::build(module.py(), base)?;
    module.add(class.name()?, &class)?;
    Ok(class)
}

/// The module.
#[pymodule(gil_used = true)]
fn counter(module: &Bound<'_, PyModule>) -> PyResult<()> {
    yibu_ffi::interpreter::first(module)?;
    Table::<Base>::build(module.py(), None)?;
    let counter = add_class::<Counter>(module, None)?;
    add_class::<Limited>(module, Some(&counter))?;
    add_class::<Named>(module, None)?;
    add_class::<Sized>(module, None)?;
    let doc = "All counters.";
    module.add("living", class::function(module.as_any(), &LIVING, living, doc, None)?)?;
    let doc = "The sum of counters.";
    module.add("total", class::function(module.as_any(), &TOTAL, total, doc, None)?)
}
