//! `open_connection`, `start_server` and their kin for Unix sockets: streams over the loop's connections and
//! servers.
//!
//! Called by Python code; calls `create_connection` and the like of the running loop, whichever it is.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::reader::DEFAULT_LIMIT;
use super::{protocol, reader, writer};
use crate::coroutines::{Routine, Step, taken};
use crate::ffi::class::{Callable, make_callable};
use crate::ffi::{Args, Class, ClassState, Create, Obj, Output, Signature, Slot, Table, none, references};
use crate::functions::{self, running_loop};
use crate::names::Interned;
use crate::replaced::names::running_loop::OF_STREAMS;
use crate::replaced::names::{READER, WRITER};

const OPEN: Signature<3> = Signature::new("open_connection", "host=None, port=None, *, limit=65536, **kwds");
const OPEN_UNIX: Signature<2> = Signature::new("open_unix_connection", "path=None, *, limit=65536, **kwds");
const START: Signature<4> =
    Signature::new("start_server", "client_connected_cb, host=None, port=None, *, limit=65536, **kwds");
const START_UNIX: Signature<3> =
    Signature::new("start_unix_server", "client_connected_cb, path=None, *, limit=65536, **kwds");

/// Adds the functions.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    Table::<Factory>::build(py, None)?;
    let doc = "Coroutine that connects to host and port, with the keywords of create_connection(); returns a StreamReader and a StreamWriter.";
    functions::add(module, &OPEN, open_connection, doc)?;
    let doc = "Coroutine that connects to a Unix socket, with the keywords of create_unix_connection(); returns a StreamReader and a StreamWriter.";
    functions::add(module, &OPEN_UNIX, open_unix_connection, doc)?;
    let doc = "Coroutine that listens on host and port, with the keywords of create_server(); calls client_connected_cb(reader, writer) for each connection. Returns a Server.";
    functions::add(module, &START, start_server, doc)?;
    let doc = "Coroutine that listens on a Unix socket, with the keywords of create_unix_server(); calls client_connected_cb(reader, writer) for each connection. Returns a Server.";
    functions::add(module, &START_UNIX, start_unix_server, doc)
}

/// A call of one of the functions: what is passed on to the loop's method, what is not, and the limit.
struct Request<'py> {
    passed_on: Bound<'py, PyTuple>,
    keywords: Bound<'py, PyDict>,
    limit: Bound<'py, PyAny>,
}

/// Takes a call apart: its last parameter is the limit, its first `kept` ones are not passed on.
fn request<'py, const N: usize>(
    args: &Args<'_, 'py>,
    signature: &Signature<N>,
    kept: usize,
) -> PyResult<(Vec<Bound<'py, PyAny>>, Request<'py>)> {
    let py = args.py();
    let (found, keywords) = args.parse_open(signature)?;
    let mut found: Vec<_> = found.into_iter().collect();
    let limit = found.pop().flatten();
    let limit = match limit {
        Some(limit) => limit,
        None => DEFAULT_LIMIT.into_pyobject(py)?.into_any(),
    };
    let mut values: Vec<_> = found.into_iter().map(|value| value.unwrap_or_else(|| none(py))).collect();
    let passed_on = PyTuple::new(py, values.split_off(kept))?;
    Ok((values, Request { passed_on, keywords, limit }))
}

fn open_connection<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let (_, request) = request(&args, &OPEN, 0)?;
    open(OPEN.function, request, |routine| connect(routine, name!("create_connection")))
}

fn open_unix_connection<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let (_, request) = request(&args, &OPEN_UNIX, 0)?;
    open(OPEN_UNIX.function, request, |routine| connect(routine, name!("create_unix_connection")))
}

/// A routine keeps the arguments for the loop's method,
fn arguments_of(routine: &Routine) -> &Slot {
    &routine.first
}

/// the keywords for it,
fn keywords_of(routine: &Routine) -> &Slot {
    &routine.second
}

/// a server's function for new connections; or, when the loop has been called, a client's protocol
fn connected_of(routine: &Routine) -> &Slot {
    &routine.third
}

/// in the place of the arguments,
fn protocol_of(routine: &Routine) -> &Slot {
    &routine.first
}

/// and the reader.
fn reader_of(routine: &Routine) -> &Slot {
    &routine.third
}

fn open<'py>(name: &'static str, request: Request<'py>, start: crate::coroutines::Start) -> Output<'py> {
    let routine = Routine::begin(&request.limit, name, start)?;
    arguments_of(&routine).put(request.passed_on);
    keywords_of(&routine).put(request.keywords);
    Ok(routine.into_any())
}

/// What goes in front of the arguments that are passed on.
fn with_factory<'py>(
    factory: Bound<'py, PyAny>,
    routine: &Obj<'py, Routine>,
) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
    let py = routine.py();
    let passed_on = taken(py, arguments_of(routine)).cast_into::<PyTuple>()?;
    let mut arguments = vec![factory];
    arguments.extend(passed_on.iter());
    let arguments = PyTuple::new(py, arguments)?;
    Ok((arguments, taken(py, keywords_of(routine)).cast_into()?))
}

/// Connects. The routine's owner is the limit, then the loop.
fn connect<'py>(routine: &Obj<'py, Routine>, method: &'static Interned) -> PyResult<Step<'py>> {
    let py = routine.py();
    let event_loop = running_loop(py, &OF_STREAMS)?;
    let reader = reader::made(&READER, &routine.owner.get_or_none(py), &event_loop)?;
    let protocol = protocol::made(&reader, &none(py), &event_loop)?;
    let factory = Factory::of(&protocol, none(py), none(py))?;
    let (arguments, keywords) = with_factory(factory, routine)?;
    let connecting = event_loop.call_method(method, arguments, Some(&keywords))?;
    routine.owner.put(event_loop);
    protocol_of(routine).put(protocol);
    reader_of(routine).put(reader);
    Ok(Step::Await(connecting, |routine, connected| {
        let py = routine.py();
        let transport = connected?.get_item(0)?;
        let (reader, protocol) = (taken(py, reader_of(routine)), taken(py, protocol_of(routine)));
        let writer = writer::made(&WRITER, [&transport, &protocol, &reader, &routine.owner.get_or_none(py)])?;
        Ok(Step::Return(PyTuple::new(py, [reader, writer])?.into_any()))
    }))
}

fn start_server<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let (kept, request) = request(&args, &START, 1)?;
    start(START.function, kept, request, |routine| serve(routine, name!("create_server")))
}

fn start_unix_server<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let (kept, request) = request(&args, &START_UNIX, 1)?;
    start(START_UNIX.function, kept, request, |routine| serve(routine, name!("create_unix_server")))
}

fn start<'py>(
    name: &'static str,
    kept: Vec<Bound<'py, PyAny>>,
    request: Request<'py>,
    start: crate::coroutines::Start,
) -> Output<'py> {
    let routine = open(name, request, start)?;
    if let (Some(native), Some(connected)) = (Obj::<Routine>::cast(&routine), kept.into_iter().next()) {
        connected_of(native).put(connected);
    }
    Ok(routine)
}

fn serve<'py>(routine: &Obj<'py, Routine>, method: &'static Interned) -> PyResult<Step<'py>> {
    let py = routine.py();
    let event_loop = running_loop(py, &OF_STREAMS)?;
    let limit = routine.owner.get_or_none(py);
    let factory = Factory::of(&event_loop, taken(py, connected_of(routine)), limit)?;
    let (arguments, keywords) = with_factory(factory, routine)?;
    let serving = event_loop.call_method(method, arguments, Some(&keywords))?;
    Ok(Step::Await(serving, |_, server| server.map(Step::Return)))
}

/// A protocol factory: gives a client's protocol, or makes one for each connection of a server.
#[derive(Default)]
struct Factory {
    /// The client's protocol, or the server's loop.
    subject: Slot,
    /// A server's function for new connections.
    connected: Slot,
    limit: Slot,
    is_server: Cell<bool>,
}

static FACTORY: ClassState = ClassState::new();

impl Factory {
    fn of<'py>(
        subject: &Bound<'py, PyAny>,
        connected: Bound<'py, PyAny>,
        limit: Bound<'py, PyAny>,
    ) -> Output<'py> {
        let factory = Self::create(subject.py())?;
        factory.subject.put(subject.clone());
        factory.is_server.set(!limit.is_none());
        factory.connected.put(connected);
        factory.limit.put(limit);
        make_callable(&factory, |factory, _args| {
            let py = factory.py();
            let subject = factory.subject.get_or_none(py);
            if !factory.is_server.get() {
                return Ok(subject);
            }
            let reader = reader::made(&READER, &factory.limit.get_or_none(py), &subject)?;
            protocol::made(&reader, &factory.connected.get_or_none(py), &subject)
        });
        Ok(factory.into_any())
    }
}

impl Class for Factory {
    const NAME: &'static CStr = c"yibu.StreamProtocolFactory";
    type Header = Callable;
    const INTERNAL: bool = true;
    const CLASS: &'static ClassState = &FACTORY;

    fn table(t: &mut Table<Self>) {
        t.doc(c"Makes the protocols of streams.");
    }

    references! { subject, connected, limit }
}
