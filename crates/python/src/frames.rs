//! Python frames of asyncio's functions, under calls that native code makes in their place.
//!
//! Who looks at the stack sees by it where a call comes from: guards against blocking calls allow what
//! `subprocess_exec` of asyncio does, a log record names the function that logged, a warning the module that
//! warned. Native code has no frames, so it makes such calls through a function whose frame looks like that
//! of asyncio's. Called by whatever logs or warns, and by the loop's methods for child processes, Unix
//! servers and files.

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFunction, PyString, PyTuple, PyType};

use crate::ffi::Output;
use crate::names::interned;
use crate::replaced::names::{BASE_EVENTS, Module, UNIX_EVENTS};
use crate::stock::{self, counterparts};

/// A function of asyncio.
pub struct Frame {
    module: &'static Module,
    path: &'static str,
    function: PyOnceLock<Py<PyAny>>,
    /// The same function at the lines where it logs or warns, by the beginning of the message.
    lines: PyOnceLock<Py<PyDict>>,
}

/// `BaseEventLoop.subprocess_exec`
pub static SUBPROCESS_EXEC: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.subprocess_exec");
/// `BaseEventLoop.subprocess_shell`
pub static SUBPROCESS_SHELL: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.subprocess_shell");
/// `BaseEventLoop.create_server`
pub static CREATE_SERVER: Frame = Frame::new(&BASE_EVENTS, "BaseEventLoop.create_server");
/// `BaseEventLoop.shutdown_default_executor`
pub static SHUTDOWN_DEFAULT_EXECUTOR: Frame =
    Frame::new(&BASE_EVENTS, "BaseEventLoop.shutdown_default_executor");
/// `_UnixSelectorEventLoop.create_unix_server`
pub static CREATE_UNIX_SERVER: Frame = Frame::new(&UNIX_EVENTS, "_UnixSelectorEventLoop.create_unix_server");
/// `_UnixSelectorEventLoop._sock_sendfile_native_impl`
pub static SENDFILE: Frame = Frame::new(&UNIX_EVENTS, "_UnixSelectorEventLoop._sock_sendfile_native_impl");
/// `_UnixSelectorEventLoop._stop_serving`: removing paths came with 3.13.
#[cfg(Py_3_13)]
pub static STOP_SERVING: Frame = Frame::new(&UNIX_EVENTS, "_UnixSelectorEventLoop._stop_serving");

impl Frame {
    /// The function of `module` that has the qualified name `path`. One that this version of Python does not
    /// have is shown at the beginning of the module.
    pub const fn new(module: &'static Module, path: &'static str) -> Self {
        Self { module, path, function: PyOnceLock::new(), lines: PyOnceLock::new() }
    }

    /// `function(*args, **keywords)`, called from the frame.
    pub fn call<'py>(
        &self,
        function: &Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> Output<'py> {
        let py = function.py();
        let caller = self.function.get_or_try_init(py, || self.make(py, None))?.bind(py);
        self.call_by(caller, function, args, keywords)
    }

    fn call_by<'py>(
        &self,
        caller: &Bound<'py, PyAny>,
        function: &Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> Output<'py> {
        let py = function.py();
        let keywords = keywords.map_or_else(|| PyDict::new(py), Clone::clone);
        caller.call1((function, args, keywords))
    }

    /// The same from the line where asyncio's function calls it with the message that is the first argument.
    /// `names` are those by which it may call the function.
    fn say<'py>(
        &self,
        names: &[&str],
        function: &Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        if self.module.namespace(args.py())?.get_item("__file__")?.is_none_or(|file| file.is_none()) {
            // The interpreter ends and has emptied its modules: nothing is left to make a frame of.
            return function.call(args, keywords).map(drop);
        }
        let caller = match args.get_item(0)?.cast::<PyString>() {
            Ok(text) => self.at_line_of(text, names)?,
            Err(_) => None,
        };
        match caller {
            Some(caller) => self.call_by(&caller, function, args, keywords),
            None => self.call(function, args, keywords),
        }
        .map(drop)
    }

    /// The function at the line where it says `text`, unless there is no such line.
    fn at_line_of<'py>(
        &self,
        text: &Bound<'py, PyString>,
        names: &[&str],
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = text.py();
        let lines = self.lines.get_or_init(py, || PyDict::new(py).unbind()).bind(py);
        let mut without_text = None;
        for (beginning, caller) in lines.iter() {
            match beginning.extract::<&str>()? {
                "" => without_text = Some(caller),
                beginning if text.to_str()?.starts_with(beginning) => return Ok(Some(caller)),
                _ => {}
            }
        }
        if without_text.is_some() {
            return Ok(without_text);
        }
        let Some(code) = self.code(py)? else { return Ok(None) };
        let module = match stock::module(py, "yibu.call_lines") {
            Ok(module) => module,
            // The interpreter ends and imports nothing more: the record is of the function, without a line.
            Err(error) if error.is_instance_of::<PyImportError>(py) => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = module.call_method1(name!("line_of_call"), (code, text, PyTuple::new(py, names)?))?;
        if found.is_none() {
            return Ok(None);
        }
        let (beginning, line): (Bound<'py, PyString>, u32) = found.extract()?;
        let caller = self.make(py, Some(line))?.into_bound(py);
        lines.set_item(beginning, &caller)?;
        Ok(Some(caller))
    }

    /// `function(argument)`, called from the frame.
    pub fn call_with<'py>(&self, function: &Bound<'py, PyAny>, argument: &Bound<'py, PyAny>) -> Output<'py> {
        self.call(function, PyTuple::new(function.py(), [argument])?, None)
    }

    /// `logger.LEVEL(*args)` with the logger of the function's module.
    pub fn log<'py, A>(&self, py: Python<'py>, level: &str, args: A) -> PyResult<()>
    where
        A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>>,
    {
        let args = args.into_pyobject(py).map_err(Into::into)?;
        self.say(&[level], &self.module.logger(py)?.getattr(interned(py, level))?, args, None)
    }

    /// Warns of a write to what is closed, when there were too many `before` it.
    pub fn log_lost_write(&self, py: Python<'_>, before: u32, text: &str) -> PyResult<()> {
        let threshold = self.module.constant(py, "LOG_THRESHOLD_FOR_CONNLOST_WRITES")?;
        if threshold.le(before)? { self.log(py, "warning", (text,)) } else { Ok(()) }
    }

    /// `logger.LEVEL(*args, exc_info=error)`
    pub fn log_error<'py, A>(
        &self,
        py: Python<'py>,
        level: &str,
        args: A,
        error: &Bound<'py, PyAny>,
    ) -> PyResult<()>
    where
        A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>>,
    {
        let keywords = PyDict::new(py);
        keywords.set_item("exc_info", error)?;
        let log = self.module.logger(py)?.getattr(interned(py, level))?;
        let args = args.into_pyobject(py).map_err(Into::into)?;
        self.say(&[level], &log, args, Some(&keywords))
    }

    /// `warnings.warn(text, category, source=source)`
    pub fn warn<'py>(
        &self,
        text: &str,
        category: &Bound<'py, PyType>,
        source: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let py = category.py();
        let keywords = PyDict::new(py);
        keywords.set_item("source", source)?;
        let args = (text, category).into_pyobject(py)?;
        self.say(&["_warn", "warn"], stock::warn(py)?, args, Some(&keywords))
    }

    fn make(&self, py: Python<'_>, line: Option<u32>) -> PyResult<Py<PyAny>> {
        let module = self.module.namespace(py)?;
        let caller = c"lambda function, args, keywords: function(*args, **keywords)";
        let caller = py.eval(caller, Some(module), None)?;
        let names = PyDict::new(py);
        match self.original(module)? {
            Some(original) => {
                for name in ["co_filename", "co_firstlineno", "co_name", "co_qualname"] {
                    names.set_item(name, original.getattr(name)?)?;
                }
            }
            None => {
                names.set_item("co_filename", module.get_item("__file__")?)?;
                names.set_item("co_name", self.path.rsplit('.').next())?;
                names.set_item("co_qualname", self.path)?;
            }
        }
        if let Some(line) = line {
            names.set_item("co_firstlineno", line)?;
        }
        let code = caller.getattr(name!("__code__"))?.call_method(name!("replace"), (), Some(&names))?;
        // Setting `__code__` of the function would be an event for audit hooks.
        Ok(py.get_type::<PyFunction>().call1((code, module))?.unbind())
    }

    /// The code that asyncio's function runs: before 3.12 a function that only calls it stands in its place.
    fn code<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !cfg!(Py_3_12)
            && let Some(counterpart) = counterparts::function(py, self.path)?
        {
            return counterpart.getattr(name!("__code__")).map(Some);
        }
        self.original(self.module.namespace(py)?)
    }

    /// The code of asyncio's function, unless there is none, or something else in its place.
    fn original<'py>(&self, module: &Bound<'py, PyDict>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut steps = self.path.split('.');
        let mut found = steps.next().map_or(Ok(None), |name| module.get_item(name))?;
        for name in steps {
            found = match found {
                Some(object) => object.getattr_opt(name)?,
                None => None,
            };
        }
        let code = match found {
            Some(function) => function.getattr_opt(name!("__code__"))?,
            None => None,
        };
        Ok(code.filter(|code| code.is_instance_of::<pyo3::types::PyCode>()))
    }
}

/// `warnings.warn(text, category)`.
pub fn warn(py: Python<'_>, category: &str, text: &str) -> PyResult<()> {
    let category = stock::module(py, "builtins")?.getattr(category)?;
    stock::warn(py)?.call1((text, category)).map(drop)
}
