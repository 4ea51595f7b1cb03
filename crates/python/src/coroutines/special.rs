//! `SpecialMethod`: `__aenter__` and `__aexit__` for the interpreters up to 3.13, made cheap to bind.
//!
//! The `async with` of those interpreters binds both methods to the object before it calls them, and binding
//! a builtin method makes an object: two of them cost more than all that a free lock does. Here what binding
//! makes is the coroutine itself, callable as a bound method is: the first call returns it, every other one a
//! coroutine of its own. Later interpreters call these methods unbound. Made by the classes for `async with`;
//! called by the interpreter.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyType;

use super::protocol;
use super::routine::{Routine, Start, lost};
use crate::ffi::class::{Callable, Weak, make_callable};
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Slot, Table, derived, new_reference, references,
};

/// The definition of a special method.
pub struct Special {
    /// The name of its coroutine.
    pub name: &'static str,
    /// The first piece of its coroutine.
    pub begin: Start,
    /// The number of arguments that `async with` passes.
    pub arguments: usize,
    /// Raises TypeError for wrong arguments.
    pub check: fn(Args<'_, '_>) -> PyResult<()>,
    /// Stores the arguments that the first piece needs in the routine.
    pub keep: Option<Keep>,
    /// Whether its object may refer to the task that entered, whose frame refers to what is bound while the
    /// task waits to enter and while the body runs.
    pub in_cycles: bool,
}

/// See [`Special::keep`].
pub type Keep = for<'a, 'py> fn(&Obj<'py, Routine>, Args<'a, 'py>) -> PyResult<()>;

/// The data of a `SpecialMethod`.
#[derive(Default)]
pub struct SpecialMethod {
    special: Cell<Option<&'static Special>>,
    /// The ordinary method, returned when the attribute is read from the class.
    plain: Slot,
}

static SPECIAL_METHOD: ClassState = ClassState::new();

/// Replaces a method of a class by a [`SpecialMethod`], on the interpreters where that is faster.
pub fn install_special(class: &Bound<'_, PyType>, method: &str, special: &'static Special) -> PyResult<()> {
    if cfg!(Py_3_14) {
        return Ok(());
    }
    let descriptor = SpecialMethod::create(class.py())?;
    descriptor.plain.put(class.getattr(method)?);
    descriptor.special.set(Some(special));
    class.setattr(method, descriptor.into_any())
}

/// `__get__`: the method of an object, or of the class.
fn get<'py>(descriptor: &Obj<'py, SpecialMethod>, object: Option<&Bound<'py, PyAny>>) -> Output<'py> {
    let py = descriptor.py();
    let (Some(object), Some(special)) = (object, descriptor.special.get()) else {
        return Ok(descriptor.plain.get_or_none(py));
    };
    // What enters is tracked only when it waits for something. That it is bound and kept, and never awaited,
    // is so rare that a cycle through it may stay.
    let bound =
        if special.in_cycles { BoundRoutine::create(py)? } else { BoundRoutine::create_untracked(py)? };
    bound.base.bind(object, special.name, special.begin);
    bound.own.special.set(Some(special));
    make_callable(&bound, call);
    Ok(bound.into_any())
}

/// What a program finds in the class's `__dict__` says of itself what the ordinary method says.
fn facts(t: &mut Table<SpecialMethod>) {
    macro_rules! of_plain {
        ($($fact:literal)*) => {
            $(t.getter(
                const { match CStr::from_bytes_with_nul(concat!($fact, "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("a name has no null in it"),
                } },
                |descriptor| descriptor.plain.get_or_none(descriptor.py()).getattr(name!($fact)),
            );)*
        };
    }
    of_plain!("__class__" "__name__" "__qualname__" "__module__" "__doc__" "__dict__");
    of_plain!("__code__" "__defaults__" "__kwdefaults__" "__annotations__");
    of_plain!("__globals__" "__closure__" "__builtins__");
    #[cfg(Py_3_12)]
    of_plain!("__type_params__");
}

impl Class for SpecialMethod {
    const NAME: &'static CStr = c"yibu.SpecialMethod";
    type Header = Weak;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &SPECIAL_METHOD;

    fn table(t: &mut Table<Self>) {
        t.descriptor(get);
        t.call(|descriptor, args, kwargs| descriptor.plain.get_or_none(descriptor.py()).call(args, kwargs));
        t.repr(|descriptor| Ok(descriptor.plain.get_or_none(descriptor.py()).repr()?.into_any()));
        facts(t);
    }

    references! { plain }
}

/// What a BoundRoutine adds to a Routine.
#[derive(Default)]
pub struct BoundState {
    special: Cell<Option<&'static Special>>,
}

derived! {
    /// The data of a bound special method.
    pub struct BoundRoutine { base: Routine, own: BoundState }
}

static BOUND_ROUTINE: ClassState = ClassState::new();

fn call<'py>(bound: &Obj<'py, BoundRoutine>, args: Args<'_, 'py>) -> Output<'py> {
    let Some(special) = bound.own.special.get() else { return Err(lost()) };
    if args.len() != special.arguments || args.has_keywords() {
        (special.check)(args)?;
    }
    if !bound.base.called(bound.py())? {
        let owner = bound.base.owner.get(bound.py()).ok_or_else(lost)?;
        let routine = Routine::begin(&owner, special.name, special.begin)?;
        special.keep.map_or(Ok(()), |keep| keep(&routine, args))?;
        return Ok(routine.into_any());
    }
    special.keep.map_or(Ok(()), |keep| keep(bound.upcast(), args))?;
    Ok(new_reference(bound.as_any()))
}

impl Class for BoundRoutine {
    const NAME: &'static CStr = c"builtins.coroutine";
    const BARE_NAME: bool = true;
    type Header = Callable;
    const FREELIST: usize = 64;
    const AWAITED: bool = true;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &BOUND_ROUTINE;

    fn table(t: &mut Table<Self>) {
        // Classes do not inherit `am_send`, by which tasks drive coroutines.
        t.send(|bound, value| protocol::send(bound.upcast(), value));
        t.iterate(|bound, _| protocol::next(bound.upcast()));
        // As a bound method has them.
        t.getter(c"__self__", |bound| Ok(bound.base.owner.get_or_none(bound.py())));
        t.getter(c"__func__", |bound| {
            let Some(special) = bound.own.special.get() else { return Err(lost()) };
            let method = special.name.rsplit('.').next().unwrap_or(special.name);
            bound.base.owner.get_or_none(bound.py()).get_type().getattr(method)
        });
    }

    references! { base }

    fn wants_finalizer(&self) -> bool {
        self.base.wants_finalizer()
    }
}
