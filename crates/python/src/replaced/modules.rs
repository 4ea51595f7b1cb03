//! Modules of the standard library as their own functions see them, and yibu's copies of them.
//!
//! [`capture`] remembers what the modules have before a program replaces it. Called by `names` and by
//! `functions`.

use pyo3::exceptions::PyNameError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use crate::ffi::{Args, Output, Signature, class, make, none, versions};
use crate::names::interned;

/// A module as its own functions see it: whatever `sys.modules` has under its name, they keep their globals.
pub struct Module {
    pub(super) name: &'static str,
    /// Its names now, and when yibu was imported.
    names: PyOnceLock<(Py<PyDict>, Py<PyDict>)>,
    /// The names of yibu's own module in its place, now and when it was made: of what
    /// `import yibu as asyncio` gives.
    pub(super) yibu_names: PyOnceLock<(Py<PyDict>, Py<PyDict>)>,
}

impl Module {
    const fn new(name: &'static str) -> Self {
        Self { name, names: PyOnceLock::new(), yibu_names: PyOnceLock::new() }
    }

    fn capture(&self, py: Python<'_>) -> PyResult<()> {
        let dict = crate::stock::module(py, self.name)?.cast_into::<PyModule>()?.dict();
        versions::watch(&dict)?;
        let originals = dict.copy()?;
        // A module has one dict for life, and only this line sets it.
        let _ = self.names.set(py, (dict.unbind(), originals.unbind()));
        Ok(())
    }

    #[inline(always)]
    pub(super) fn dict(&self, py: Python<'_>) -> Option<&Py<PyDict>> {
        self.names.get(py).map(|(dict, _)| dict)
    }

    /// What a name means now, and whether that is something of the program's own; `None` where there is no
    /// such name.
    pub(super) fn value<'py>(
        &self,
        py: Python<'py>,
        name: &str,
    ) -> PyResult<Option<(Bound<'py, PyAny>, bool)>> {
        let Some((dict, originals)) = self.names.get(py) else { return Ok(None) };
        let name = make::text(py, name)?;
        let original = originals.bind(py).get_item(&name)?;
        let native = native(py, &name)?;
        let is_known = |value: &Bound<'py, PyAny>| {
            [&original, &native].into_iter().flatten().any(|known| value.is(known))
        };
        let value = dict.bind(py).get_item(&name)?;
        if let Some(value) = &value
            && is_known(value)
            && let Some((names, made)) = self.yibu_names.get(py)
            && let Some(theirs) = names.bind(py).get_item(&name)?
            && !is_known(&theirs)
            && !made.bind(py).get_item(&name)?.is_some_and(|made| made.is(&theirs))
        {
            return Ok(Some((theirs, true)));
        }
        Ok(value.map(|value| {
            let replaced = !is_known(&value);
            (value, replaced)
        }))
    }

    /// What it had under a name when yibu was imported.
    pub(super) fn original<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.names.get(py) {
            Some((_, originals)) => originals.bind(py).get_item(name),
            None => Ok(None),
        }
    }

    /// Whether its functions find something else under a name that it had, or nothing.
    pub(super) fn lacks_its_own(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        let Some((dict, originals)) = self.names.get(py) else { return Ok(false) };
        let name = make::text(py, name)?;
        let Some(value) = dict.bind(py).get_item(&name)? else { return Ok(true) };
        Ok(!originals.bind(py).get_item(&name)?.is_some_and(|original| value.is(&original))
            && !native(py, &name)?.is_some_and(|native| value.is(&native)))
    }

    /// Its names now.
    pub fn namespace<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyDict>> {
        let dict =
            self.dict(py).ok_or_else(|| PyNameError::new_err(format!("{} was not imported", self.name)))?;
        Ok(dict.bind(py))
    }

    /// Its `logger`.
    pub fn logger<'py>(&self, py: Python<'py>) -> Output<'py> {
        self.global(py, "logger")
    }

    /// A value of `asyncio.constants`, as one of its own functions reads it.
    pub fn constant<'py>(&self, py: Python<'py>, name: &str) -> Output<'py> {
        self.global(py, "constants")?.getattr(interned(py, name))
    }

    /// What a name of the module means now, as one of its own functions sees it: NameError where there is
    /// none.
    pub fn global<'py>(&self, py: Python<'py>, name: &str) -> Output<'py> {
        match self.value(py, name)? {
            Some((value, _)) => Ok(value),
            None => Err(PyNameError::new_err(format!("name '{name}' is not defined"))),
        }
    }
}

/// What yibu has under a name.
pub(super) fn native<'py>(
    py: Python<'py>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    static NATIVES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let natives = match NATIVES.get(py) {
        Some(natives) => natives.bind(py),
        // While the module is being made its content is nowhere else.
        None => match crate::stock::module(py, "sys")?
            .getattr(name!("modules"))?
            .cast_into::<PyDict>()?
            .get_item("yibu._yibu")?
        {
            Some(module) => {
                let dict = module.cast_into::<PyModule>()?.dict().unbind();
                NATIVES.get_or_init(py, || dict).bind(py)
            }
            None => return Ok(None),
        },
    };
    natives.get_item(name)
}

macro_rules! modules {
    ($($name:ident = $path:literal;)*) => {
        $(#[doc = concat!("`", $path, "`")] pub static $name: Module = Module::new($path);)*
        /// All of them.
        pub const MODULES: &[&Module] = &[$(&$name),*];
    };
}

modules! {
    BASE_EVENTS = "asyncio.base_events";
    BASE_SUBPROCESS = "asyncio.base_subprocess";
    COLLECTIONS = "collections";
    CONSTANTS = "asyncio.constants";
    COROUTINES = "asyncio.coroutines";
    EVENTS = "asyncio.events";
    FORMAT_HELPERS = "asyncio.format_helpers";
    HEAPQ = "heapq";
    FUTURES = "asyncio.futures";
    LOCKS = "asyncio.locks";
    MIXINS = "asyncio.mixins";
    QUEUES = "asyncio.queues";
    RUNNERS = "asyncio.runners";
    SELECTOR_EVENTS = "asyncio.selector_events";
    SELECTORS = "selectors";
    SSLPROTO = "asyncio.sslproto";
    STAGGERED = "asyncio.staggered";
    STREAMS = "asyncio.streams";
    SUBPROCESS = "asyncio.subprocess";
    TASKGROUPS = "asyncio.taskgroups";
    TASKS = "asyncio.tasks";
    THREADS = "asyncio.threads";
    TIMEOUTS = "asyncio.timeouts";
    TRSOCK = "asyncio.trsock";
    UNIX_EVENTS = "asyncio.unix_events";
    CONCURRENT = "concurrent";
    CONCURRENT_FUTURES = "concurrent.futures";
    CONCURRENT_THREAD = "concurrent.futures.thread";
    CONTEXTLIB = "contextlib";
    CONTEXTVARS = "contextvars";
    FUNCTOOLS = "functools";
    INSPECT = "inspect";
    ITERTOOLS = "itertools";
    MATH = "math";
    OS = "os";
    QUEUE = "queue";
    SOCKET = "socket";
    C_SOCKET = "_socket";
    TIME = "time";
}

const NOTE_MODULE: Signature<2> = Signature::new("_note_module", "name, names");

/// `_note_module(name, names)`: yibu's own module of that name, in which a program may put things, too.
fn note_module<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let py = args.py();
    let [name, names] = args.parse(&NOTE_MODULE)?;
    let (name, names) = (name.extract::<String>()?, names.cast_into::<PyDict>()?);
    if let Some(module) = MODULES.iter().find(|module| module.name == name) {
        versions::watch(&names)?;
        let made = names.copy()?.unbind();
        module.yibu_names.get_or_init(py, || (names.unbind(), made));
    }
    Ok(none(py))
}

/// Adds the function by which the package names its modules.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "Notes the names of yibu's own copy of a module of asyncio.";
    module.add(NOTE_MODULE.function, class::function(module.as_any(), &NOTE_MODULE, note_module, doc, None)?)
}

/// Remembers what the modules have.
pub(super) fn capture(py: Python<'_>) -> PyResult<()> {
    for module in MODULES {
        module.capture(py)?;
    }
    Ok(())
}
