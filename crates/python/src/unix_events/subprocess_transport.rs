//! `_UnixSubprocessTransport`: starts a child with `subprocess.Popen`, which gets every keyword that the
//! program gave; without keywords `python/yibu/starting.py` does what Popen would, in fewer steps.
//!
//! Made by [`crate::event_loop`]; all but the start is [`crate::base_subprocess`].

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt};

use crate::base_subprocess::BaseSubprocessTransport;
use crate::ffi::class::AfterSlots;
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Signature, Table, boolean, derived, none, references, stands_for,
};
use crate::stock;

derived! {
    /// The data of a `_UnixSubprocessTransport`.
    pub struct UnixSubprocessTransport { base: BaseSubprocessTransport, own: () }
}

static UNIX_SUBPROCESS_TRANSPORT: ClassState = ClassState::new();
const START: Signature<6> = Signature::new_method(
    "_UnixSubprocessTransport._start",
    "args, shell, stdin, stdout, stderr, bufsize, **kwargs",
);

/// `_start`.
fn start<'py>(transport: &Obj<'py, UnixSubprocessTransport>, args: Args<'_, 'py>) -> Output<'py> {
    let py = transport.py();
    let (given, keywords) = args.parse_open(&START)?;
    let [command, shell, stdin, stdout, stderr, bufsize] =
        given.map(|value| value.unwrap_or_else(|| none(py)));
    // Looked up now: programs replace it.
    let popen = stock::subprocess_module(py)?.getattr(name!("Popen"))?;
    if is_ordinary(&shell, &bufsize, &keywords)? {
        let start = stock::module(py, "yibu.starting")?.getattr(name!("start"))?;
        let process = start.call1((&command, &stdin, &stdout, &stderr))?;
        if !process.is_none() {
            transport.base.set_process(process);
            return Ok(none(py));
        }
    }
    for (name, value) in [
        ("shell", shell),
        ("stdin", stdin),
        ("stdout", stdout),
        ("stderr", stderr),
        ("universal_newlines", pyo3::types::PyBool::new(py, false).to_owned().into_any()),
        ("bufsize", bufsize),
    ] {
        keywords.set_item(name, value)?;
    }
    transport.base.set_process(popen.call((command,), Some(&keywords))?);
    Ok(none(py))
}

/// Whether nothing is asked of Popen but a program with its arguments and streams: then there may be a
/// shorter way to start it.
fn is_ordinary(
    shell: &Bound<'_, PyAny>,
    bufsize: &Bound<'_, PyAny>,
    keywords: &Bound<'_, PyDict>,
) -> PyResult<bool> {
    let py = shell.py();
    Ok(keywords.is_empty()
        && shell.is(boolean(py, false))
        && bufsize.is_exact_instance_of::<PyInt>()
        && bufsize.eq(0)?)
}

impl Class for UnixSubprocessTransport {
    const NAME: &'static CStr = c"yibu._UnixSubprocessTransport";
    // `_extra` of `SubprocessTransport`.
    type Header = AfterSlots<1>;

    const NOT_CALLED: &'static [&'static str] = &["__init__"];
    const STANDS_FOR_STOCK: bool = true;
    const FUNCTIONS: bool = true;

    stands_for! { UNIX_SUBPROCESS_TRANSPORT, stock::unix_subprocess_transport }

    fn table(t: &mut Table<Self>) {
        t.doc(c"_UnixSubprocessTransport(loop, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter=None, extra=None, **kwargs)\n--\n\nA child process.");
        t.method(&START, start, "Starts the child.");
    }

    references! { base }

    fn wants_finalizer(&self) -> bool {
        self.base.wants_finalizer()
    }
}
