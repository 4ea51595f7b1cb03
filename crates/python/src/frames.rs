//! Python frames of asyncio's functions, under calls that native code makes in their place.
//!
//! Guards against blocking calls look at the stack: what `subprocess_exec` or `create_unix_server` of asyncio does is allowed, the
//! same call from elsewhere is not. Native code has no frames, so it makes such calls through a function whose frame looks like that of
//! asyncio's. Called by the loop's methods for child processes and Unix servers.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::ffi::Output;
use crate::stock;

/// A method of a loop of asyncio.
pub struct Frame {
    module: &'static str,
    class: &'static str,
    method: &'static str,
    function: PyOnceLock<Py<PyAny>>,
}

/// `BaseEventLoop.subprocess_exec`
pub static SUBPROCESS_EXEC: Frame = Frame::new("asyncio.base_events", "BaseEventLoop", "subprocess_exec");
/// `BaseEventLoop.subprocess_shell`
pub static SUBPROCESS_SHELL: Frame = Frame::new("asyncio.base_events", "BaseEventLoop", "subprocess_shell");
/// `BaseEventLoop.shutdown_default_executor`
pub static SHUTDOWN_DEFAULT_EXECUTOR: Frame =
    Frame::new("asyncio.base_events", "BaseEventLoop", "shutdown_default_executor");
/// `_UnixSelectorEventLoop.create_unix_server`
pub static CREATE_UNIX_SERVER: Frame =
    Frame::new("asyncio.unix_events", "_UnixSelectorEventLoop", "create_unix_server");
/// `_UnixSelectorEventLoop._stop_serving`
#[cfg(Py_3_13)]
pub static STOP_SERVING: Frame = Frame::new("asyncio.unix_events", "_UnixSelectorEventLoop", "_stop_serving");

impl Frame {
    const fn new(module: &'static str, class: &'static str, method: &'static str) -> Self {
        Self { module, class, method, function: PyOnceLock::new() }
    }

    /// `function(*args, **keywords)`, called from the frame.
    pub fn call<'py>(
        &self,
        function: &Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> Output<'py> {
        let py = function.py();
        let caller = self.function.get_or_try_init(py, || self.make(py))?.bind(py);
        let keywords = keywords.map_or_else(|| PyDict::new(py), Clone::clone);
        caller.call1((function, args, keywords))
    }

    /// `function(argument)`, called from the frame.
    pub fn call_with<'py>(&self, function: &Bound<'py, PyAny>, argument: &Bound<'py, PyAny>) -> Output<'py> {
        self.call(function, PyTuple::new(function.py(), [argument])?, None)
    }

    fn make(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let module = stock::module(py, self.module)?;
        let original = module.getattr(self.class)?.getattr(self.method)?.getattr("__code__")?;
        let caller = c"lambda function, args, keywords: function(*args, **keywords)";
        let caller = py.eval(caller, Some(&module.cast::<PyModule>()?.dict()), None)?;
        let names = PyDict::new(py);
        for name in ["co_filename", "co_firstlineno", "co_name", "co_qualname"] {
            names.set_item(name, original.getattr(name)?)?;
        }
        let code = caller.getattr("__code__")?.call_method("replace", (), Some(&names))?;
        caller.setattr("__code__", code)?;
        Ok(caller.unbind())
    }
}
