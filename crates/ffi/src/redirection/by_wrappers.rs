//! Wrappers in the classes of asyncio's: see [`super`]. Made when the module is.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::args::{Args, Signature};
use crate::class::methods;
use crate::objects::Output;
use crate::originals::natives::natives;
use crate::originals::questions::call_native;

const CALL_NATIVE: Signature<3> = Signature::new("_call_native", "native, method, object, *args");

static CALL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Makes what the wrappers call.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "Calls a native method of an object, whatever a program has put in its place.";
    let call = methods::function(module.as_any(), &CALL_NATIVE, call, doc, None)?;
    // Only importing the module a second time finds it full, and then it is right.
    let _ = CALL.set(module.py(), call.unbind());
    Ok(())
}

/// Gives the class wrappers for those of its functions that the native class has, too.
pub fn wrap(stock: &Bound<'_, PyType>, native: &Bound<'_, PyType>, with_init: bool) -> PyResult<()> {
    let Some(call) = CALL.get(stock.py()) else { return Ok(()) };
    stock.py().import("yibu.redirection")?.call_method1("wrap", (stock, native, call, with_init)).map(drop)
}

fn call<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let py = args.py();
    let (Some(class), Some(method), Some(object)) = (args.get(0), args.get(1), args.get(2)) else {
        return Err(PyTypeError::new_err("_call_native() missing arguments"));
    };
    let keywords = pyo3::types::PyDict::new(py);
    for (name, value) in args.keywords() {
        keywords.set_item(name, value)?;
    }
    let arguments = args.tuple_from(2)?;
    // The class whose method it is, which is not the object's where a base's method is called as `super()`
    // calls it.
    let native = natives(py).iter().find(|native| native.class.is(&class));
    let native = native.ok_or_else(|| PyTypeError::new_err("_call_native() needs a native class"))?;
    call_native(native.state, &object, || method.call(arguments, Some(&keywords)))
}
