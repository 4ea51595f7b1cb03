//! What a [`Function`] consists of, and what it says of itself.

use std::cell::Cell;
use std::mem::offset_of;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::class::header::Header;
use crate::class::object::Obj;
use crate::class::state::ClassState;
use crate::gc::Visitor;
use crate::objects::Output;
use crate::reference::Slot;
use crate::versions::Verified;

/// Weak references, a `__dict__`, and calls by the vectorcall protocol.
#[repr(C)]
pub struct FunctionHeader {
    dict: *mut ffi::PyObject,
    weak: *mut ffi::PyObject,
    pub(crate) vectorcall: Option<ffi::vectorcallfunc>,
}

// SAFETY: the offsets are the compiler's; a null function pointer is `None`.
unsafe impl Header for FunctionHeader {
    const DICT: Option<usize> = Some(offset_of!(FunctionHeader, dict));
    const WEAK: Option<usize> = Some(offset_of!(FunctionHeader, weak));
    const VECTORCALL: Option<usize> = Some(offset_of!(FunctionHeader, vectorcall));
}

/// The data of a native function. What is set by the program is empty until then.
#[derive(Default)]
pub struct Function {
    /// What calls the Rust code.
    pub(crate) code: Cell<Option<ffi::vectorcallfunc>>,
    /// The class whose method it is.
    pub(crate) owner: Cell<Option<&'static ClassState>>,
    /// The C function, method or slot, as an object.
    pub(crate) native: Slot,
    /// What asyncio has in its place.
    pub(crate) counterpart: Slot,
    /// The same for objects of native classes; see [`Function::counterpart_for`].
    pub(crate) counterpart_of_natives: Slot,
    /// Binds arguments to parameters; see `binding.rs`.
    pub(crate) binder: Slot,
    /// The Python function that runs instead: the program has set `__code__`.
    pub(crate) replacement: Slot,
    /// Of a module's function: that nothing was replaced which the counterpart looks up, and the function
    /// that finds out.
    pub(crate) verified: Verified,
    pub(crate) lookups: Cell<Option<&'static dyn Lookups>>,
    pub(crate) set: Set,
}

/// What the counterpart of a module's function looks up by name when it runs.
pub trait Lookups: 'static {
    /// Whether something of that was replaced, so that the counterpart has to run itself. Where nothing was,
    /// `verified` is told.
    fn are_replaced(&self, counterpart: &Bound<'_, PyAny>, verified: &Verified) -> bool;
}

/// The Python function that a function of a module stands for, and what that looks up.
pub type Counterpart<'py> = (Bound<'py, PyAny>, &'static dyn Lookups);

pub(crate) static FUNCTION: ClassState = ClassState::new();

impl Function {
    /// Whether the counterpart has to run in the place of the Rust code, after something has changed.
    #[cold]
    pub(crate) fn must_run_twin(&self, py: Python<'_>) -> bool {
        let counterpart = self.counterpart.get_or_none(py);
        self.lookups.get().is_some_and(|lookups| lookups.are_replaced(&counterpart, &self.verified))
    }

    /// Whether an object is one that the Rust code can work on.
    pub(crate) fn serves(&self, object: &Bound<'_, PyAny>) -> bool {
        self.owner.get().is_none_or(|owner| owner.serves(object.as_ptr()))
    }

    /// What does the work on an object that the Rust code does not work on: the counterpart. On one of a
    /// native class its `super()` is to be that class.
    pub(crate) fn counterpart_for<'py>(&self, object: &Bound<'py, PyAny>) -> Output<'py> {
        let py = object.py();
        let counterpart = self.counterpart.get_or_none(py);
        let Some(owner) = self.owner.get().filter(|owner| owner.has(object.as_ptr())) else {
            return Ok(counterpart);
        };
        if let Some(counterpart) = self.counterpart_of_natives.get(py) {
            return Ok(counterpart);
        }
        let code = counterpart.getattr("__code__")?;
        let counterpart = if code.getattr("co_freevars")?.eq(("__class__",))? {
            let cell = py.import("types")?.getattr("CellType")?.call1((owner.class(py),))?;
            let parts = ["__globals__", "__name__", "__defaults__"].map(|part| counterpart.getattr(part));
            let [globals, name, defaults] = parts;
            let counterpart = counterpart.get_type().call1((code, globals?, name?, defaults?, (cell,)))?;
            counterpart.setattr("__kwdefaults__", self.of_twin(py, "__kwdefaults__")?)?;
            counterpart
        } else {
            counterpart
        };
        self.counterpart_of_natives.put(counterpart.clone());
        Ok(counterpart)
    }

    /// What the counterpart has under a name.
    pub(crate) fn of_twin<'py>(&self, py: Python<'py>, name: &str) -> Output<'py> {
        self.counterpart.get_or_none(py).getattr(name)
    }

    /// What was set, else what the counterpart has under a name.
    pub(crate) fn get<'py>(&self, py: Python<'py>, slot: &Slot, name: &str) -> Output<'py> {
        slot.get(py).map_or_else(|| self.of_twin(py, name), Ok)
    }

    pub(crate) fn qualname<'py>(&self, py: Python<'py>) -> Output<'py> {
        self.get(py, &self.set.qualname, "__qualname__")
    }

    pub(crate) fn code<'py>(&self, py: Python<'py>) -> Output<'py> {
        self.get(py, &self.set.code, "__code__")
    }

    pub(crate) fn defaults<'py>(&self, py: Python<'py>) -> Output<'py> {
        self.get(py, &self.set.defaults, "__defaults__")
    }

    pub(crate) fn kwdefaults<'py>(&self, py: Python<'py>) -> Output<'py> {
        self.get(py, &self.set.kwdefaults, "__kwdefaults__")
    }
}

/// Whether an object is a Function that does not do what its Rust code does: the program has set its code or
/// its defaults.
pub(crate) fn has_other_behaviour(object: &Bound<'_, PyAny>) -> bool {
    Obj::<Function>::cast_exact(object)
        .is_some_and(|function| !function.replacement.is_empty() || function.set.defaults_differ())
}

/// What the program has set; empty until then.
#[derive(Default)]
pub struct Set {
    pub(crate) name: Slot,
    pub(crate) qualname: Slot,
    pub(crate) module: Slot,
    pub(crate) doc: Slot,
    pub(crate) annotations: Slot,
    pub(crate) annotate: Slot,
    pub(crate) type_params: Slot,
    pub(crate) code: Slot,
    pub(crate) defaults: Slot,
    pub(crate) kwdefaults: Slot,
}

impl Set {
    fn slots(&self) -> [&Slot; 10] {
        [
            &self.name,
            &self.qualname,
            &self.module,
            &self.doc,
            &self.annotations,
            &self.annotate,
            &self.type_params,
            &self.code,
            &self.defaults,
            &self.kwdefaults,
        ]
    }

    /// Whether parameters have other defaults than the Rust code knows.
    pub fn defaults_differ(&self) -> bool {
        !(self.defaults.is_empty() && self.kwdefaults.is_empty())
    }

    /// For the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        for slot in self.slots() {
            slot.traverse(visitor);
        }
    }

    /// For the collector.
    pub fn clear(&self) {
        for slot in self.slots() {
            slot.clear();
        }
    }
}
