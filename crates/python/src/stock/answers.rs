//! How the running interpreter's asyncio calls what programs replace, where bug-fix releases changed that;
//! asked of its code. What they mended needs no question: it is mended on every Python
//! (`docs/decisions/0007-version-gates.md`).
//!
//! Asked by [`super::capture`], before `install()` replaces what is asked. Where there is nothing to ask any
//! more, the answer is the given one: that of the newest release known.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident = $ask:expr, or $newest:expr;)*) => {
        struct Answers {
            $($name: bool,)*
        }

        static ANSWERS: PyOnceLock<Answers> = PyOnceLock::new();

        fn answers(py: Python<'_>) -> &Answers {
            ANSWERS.get_or_init(py, || {
                $(let $name: fn(Python<'_>) -> PyResult<bool> = $ask;)*
                Answers { $($name: $name(py).unwrap_or($newest),)* }
            })
        }

        $(
            $(#[$doc])*
            #[inline]
            pub fn $name(py: Python<'_>) -> bool {
                answers(py).$name
            }
        )*
    };
}

answers! {
    /// Whether `create_task` hands all its keywords to a task factory; before, `name` was set afterwards.
    factory_gets_keywords = |py| takes_any_keyword(py, "asyncio.base_events", "BaseEventLoop.create_task"), or true;
    /// Whether TLS that is aborted without an exception calls `abort()` of the transport below.
    tls_aborts_below = |py| mentions(py, "asyncio.sslproto", "SSLProtocol._abort", "abort"), or false;
}

/// Asks all there is to ask.
pub(super) fn ask(py: Python<'_>) {
    answers(py);
}

/// A function or class of asyncio.
fn find<'py>(py: Python<'py>, module: &str, path: &str) -> PyResult<Bound<'py, PyAny>> {
    path.split('.').try_fold(py.import(module)?.into_any(), |object, name| object.getattr(name))
}

/// Whether a Python function has `**kwargs`.
fn takes_any_keyword(py: Python<'_>, module: &str, path: &str) -> PyResult<bool> {
    const VARKEYWORDS: u32 = 0x08;
    let flags: u32 =
        find(py, module, path)?.getattr(name!("__code__"))?.getattr(name!("co_flags"))?.extract()?;
    Ok(flags & VARKEYWORDS != 0)
}

/// Whether the code of a function mentions a name, also in a function within it.
fn mentions(py: Python<'_>, module: &str, path: &str, name: &str) -> PyResult<bool> {
    fn in_code(code: &Bound<'_, PyAny>, name: &str) -> PyResult<bool> {
        if code.getattr(name!("co_names"))?.contains(name)? {
            return Ok(true);
        }
        for constant in code.getattr(name!("co_consts"))?.try_iter()? {
            let constant = constant?;
            if constant.hasattr(name!("co_names"))? && in_code(&constant, name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
    in_code(&find(py, module, path)?.getattr(name!("__code__"))?, name)
}
