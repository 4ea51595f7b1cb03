//! `_UnixSubprocessTransport`: starts a child with `subprocess.Popen`, which gets every keyword that the program gave.
//!
//! Made by [`crate::event_loop`]; all but the start is [`crate::base_subprocess`].

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::base_subprocess::BaseSubprocessTransport;
use crate::ffi::class::AfterSlots;
use crate::ffi::{Args, Class, ClassState, Obj, Output, Signature, Table, derived, none, references};
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
    // Looked up now: programs replace it.
    let popen = stock::subprocess_module(py)?.getattr(name!("Popen"))?;
    transport.base.set_process(popen.call((command,), Some(&keywords))?);
    Ok(none(py))
}

impl Class for UnixSubprocessTransport {
    const NAME: &'static CStr = c"yibu._UnixSubprocessTransport";
    // `_extra` of `SubprocessTransport`.
    type Header = AfterSlots<1>;

    const NOT_CALLED: &'static [&'static str] = &["__init__"];
    const STANDS_FOR_STOCK: bool = true;
    const FUNCTIONS: bool = true;

    fn state() -> &'static ClassState {
        &UNIX_SUBPROCESS_TRANSPORT
    }

    fn stock(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        stock::unix_subprocess_transport(py).map(Some)
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"_UnixSubprocessTransport(loop, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter=None, extra=None, **kwargs)\n--\n\nA child process.");
        t.method(&START, start, "Starts the child.");
    }

    references! { base }

    fn wants_finalizer(&self) -> bool {
        self.base.wants_finalizer()
    }
}
