//! `_loop_transports` and `_socket_facts`: the sockets that a loop's transports have, and what the kernel
//! says of each.
//!
//! A transport is not asked for its socket object: one that has given it away cannot assume any more that
//! nobody else uses it.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyModule};
use yibu_driver::sockets;

use crate::addresses;
use crate::core::EventLoop;
use crate::ffi::{Args, Obj, Output, Signature, none};
use crate::functions;
use crate::transports::descriptors;

const TRANSPORTS: Signature<1> = Signature::new("_loop_transports", "loop");
const FACTS: Signature<1> = Signature::new("_socket_facts", "descriptor");

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc =
        "For each socket of a transport of a native loop that is not closing: its descriptor, the transport.";
    functions::add(module, &TRANSPORTS, transports, doc)?;
    let doc = "The family of a socket, whether it is a stream, its own name, that of the other side, the bytes received and sent where the kernel counts them; None for what is no open socket.";
    functions::add(module, &FACTS, facts, doc)
}

fn transports<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [event_loop] = args.parse(&TRANSPORTS)?;
    match Obj::<EventLoop>::cast(&event_loop) {
        Some(native) => descriptors::all(native),
        None => Ok(PyList::empty(args.py()).into_any()),
    }
}

fn facts<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let [descriptor] = args.parse(&FACTS)?;
    let py = args.py();
    let Ok(seen) = sockets::facts(descriptor.extract()?) else { return Ok(none(py)) };
    let local = addresses::from_kernel(py, seen.local.as_ref())?;
    let peer = addresses::from_kernel(py, seen.peer.as_ref())?;
    let (received, sent) = seen.bytes.unzip();
    Ok((seen.family, seen.is_stream, local, peer, received, sent).into_pyobject(py)?.into_any())
}
