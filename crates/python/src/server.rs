//! `Server`: listening sockets and the connections accepted from them. `asyncio.base_events.Server`, native.
//!
//! Made by `create_server`. The sockets are listened to by the loop (`_start_serving`, `_stop_serving`),
//! which attaches every accepted transport here.

mod connections;
mod serving;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::attributes::objects;
use crate::classes;
use crate::core::EventLoop;
use crate::ffi::combined::Combinable;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Signature, Slot, Table, WeakMap, references, stands_for,
};
use crate::replaced::names::TRANSPORT_SOCKET_OF_SERVERS;
use crate::stock;
use crate::transports;

pub use serving::start;

/// The data of a `Server`.
#[derive(Default)]
pub struct Server {
    /// Any loop; what is told by its methods works on all of them.
    event_loop: Slot,
    /// A list until the server is closed.
    sockets: Slot,
    factory: Slot,
    ssl_context: Slot,
    backlog: Slot,
    handshake_timeout: Slot,
    shutdown_timeout: Slot,
    /// A list of futures until closed and without connections.
    waiters: Slot,
    serving: Cell<bool>,
    forever: Slot,
    clients: WeakMap,
    /// How many connections there are.
    connected: Cell<usize>,
    /// Connections that are not native: a `WeakSet`, made when there is one.
    foreign: Slot,
    /// Where connections run (3.15).
    context: Slot,
}

static SERVER: ClassState = ClassState::new();

const NEW: Signature<7> = Signature::new_method(
    "Server.__init__",
    "loop, sockets, protocol_factory, ssl_context, backlog, ssl_handshake_timeout, ssl_shutdown_timeout=None",
);
const ATTACH: Signature<1> = Signature::new("Server._attach", "transport=None");
const DETACH: Signature<1> = Signature::new("Server._detach", "transport=None");
const EXIT: Signature<0> = Signature::new("Server.__aexit__", "*exc");

/// What `create_server` knows about its server.
pub struct Settings<'py> {
    /// The listening sockets.
    pub sockets: Bound<'py, PyList>,
    /// Makes the protocols.
    pub factory: Bound<'py, PyAny>,
    /// An `SSLContext`, or None.
    pub ssl_context: Bound<'py, PyAny>,
    /// For `listen()`.
    pub backlog: Bound<'py, PyAny>,
    /// Seconds, or None.
    pub handshake_timeout: Bound<'py, PyAny>,
    /// Seconds, or None.
    pub shutdown_timeout: Bound<'py, PyAny>,
}

/// A server on sockets that are bound.
pub fn new<'py>(event_loop: &Obj<'py, EventLoop>, settings: Settings<'py>) -> PyResult<Obj<'py, Server>> {
    let server = Server::create(event_loop.py())?;
    fill(&server, event_loop.as_any(), settings)?;
    Ok(server)
}

fn fill<'py>(
    server: &Obj<'py, Server>,
    event_loop: &Bound<'py, PyAny>,
    settings: Settings<'py>,
) -> PyResult<()> {
    server.event_loop.put(event_loop.clone());
    server.sockets.put(settings.sockets);
    server.factory.put(settings.factory);
    server.ssl_context.put(settings.ssl_context);
    server.backlog.put(settings.backlog);
    server.handshake_timeout.put(settings.handshake_timeout);
    server.shutdown_timeout.put(settings.shutdown_timeout);
    server.waiters.put(PyList::empty(server.py()));
    #[cfg(Py_3_15)]
    server.context.put(crate::ffi::context::copy_current(server.py())?);
    Ok(())
}

fn event_loop<'py>(server: &Obj<'py, Server>) -> Output<'py> {
    server
        .event_loop
        .get(server.py())
        .ok_or_else(|| PyRuntimeError::new_err("Server object is not initialized."))
}

/// The loop, when it is a native one.
fn native_loop<'py>(server: &Obj<'py, Server>) -> PyResult<Option<Obj<'py, EventLoop>>> {
    Ok(Obj::<EventLoop>::cast(&event_loop(server)?).cloned())
}

/// Makes the class. All that it inherits from asyncio's it has itself.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    transports::register_server(&connections::CLASS);
    classes::add_derived::<Server>(module, stock::server(module.py())?)
}

/// The sockets as the program sees them.
fn sockets<'py>(server: &Obj<'py, Server>) -> PyResult<Bound<'py, PyTuple>> {
    let py = server.py();
    let Some(sockets) = server.sockets.get(py) else { return Ok(PyTuple::empty(py)) };
    let class = TRANSPORT_SOCKET_OF_SERVERS.current(py)?;
    let wrapped: Vec<_> =
        sockets.try_iter()?.map(|socket| class.call1((socket?,))).collect::<PyResult<_>>()?;
    PyTuple::new(py, wrapped)
}

fn init<'py>(
    server: &Obj<'py, Server>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<()> {
    let [event_loop, sockets, factory, ssl_context, backlog, handshake_timeout, shutdown_timeout] =
        Args::parse_tuple(&NEW, args, kwargs)?;
    let sockets = sockets.try_iter()?.collect::<PyResult<Vec<_>>>()?;
    let sockets = PyList::new(server.py(), sockets)?;
    let settings = Settings { sockets, factory, ssl_context, backlog, handshake_timeout, shutdown_timeout };
    fill(server, &event_loop, settings)
}

impl Class for Server {
    const NAME: &'static CStr = c"yibu.Server";
    type Header = Combinable;
    const STANDS_FOR_STOCK: bool = true;
    const FUNCTIONS: bool = true;

    const SHOWN: &'static [&'static str] = &[
        "_loop",
        "_sockets",
        "_waiters",
        "_protocol_factory",
        "_backlog",
        "_ssl_context",
        "_ssl_handshake_timeout",
        "_ssl_shutdown_timeout",
        "_serving",
        "_serving_forever_fut",
    ];

    stands_for! { SERVER, stock::server }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Listening sockets and the connections accepted from them; made by create_server().");
        t.init(init);
        t.repr(|server| {
            let name = server.as_any().get_type().name()?;
            let text = text!("<{name} sockets={}>", server.as_any().getattr(name!("sockets"))?.repr()?)?;
            Ok(pyo3::types::PyString::new(server.py(), &text).into_any())
        });
        t.noargs(c"get_loop", event_loop, "The loop that the server is attached to.");
        t.answer(c"is_serving", |server| server.serving.get(), "Whether connections are accepted.");
        t.getter(c"sockets", |server| Ok(sockets(server)?.into_any()));
        t.action(
            c"close",
            serving::close,
            "Stops accepting and closes the listening sockets. Connections stay.",
        );
        #[cfg(Py_3_13)]
        t.noargs(
            c"close_clients",
            |server| connections::each_client(server, name!("close")),
            "Closes all connections, after what was written has been sent.",
        );
        #[cfg(Py_3_13)]
        t.noargs(
            c"abort_clients",
            |server| connections::each_client(server, name!("abort")),
            "Closes all connections at once.",
        );
        t.noargs(c"start_serving", serving::begin_serving, "Coroutine: starts accepting connections.");
        t.noargs(
            c"serve_forever",
            serving::serve_forever,
            "Coroutine: accepts connections until it is cancelled, which closes the server.",
        );
        t.noargs(
            c"wait_closed",
            |server| serving::coroutine(server, "Server.wait_closed", serving::wait_closed),
            "Coroutine: waits until the server is closed and all connections have ended.",
        );
        t.noargs(c"__aenter__", serving::enter, "Coroutine: the server itself.");
        t.method(&EXIT, serving::exit, "Coroutine: closes the server and waits until that is done.");
        t.action(c"_start_serving", serving::start_serving, "Starts accepting connections.");
        t.method(&ATTACH, connections::attach_any, "A connection was accepted.");
        t.method(&DETACH, connections::detach_any, "A connection has ended.");
        t.action(c"_wakeup", connections::wake_up, "Wakes the tasks in wait_closed().");
        t.getter(c"_loop", event_loop);
        t.getter(c"_sockets", |server| Ok(server.sockets.get_or_none(server.py())));
        t.getter(c"_waiters", |server| Ok(server.waiters.get_or_none(server.py())));
        t.value(c"_serving", |server| server.serving.get());
        objects! { t:
            c"_serving_forever_fut" => forever,
            c"_protocol_factory" => factory,
            c"_ssl_context" => ssl_context,
        }
        t.getter(c"_backlog", |server| Ok(server.backlog.get_or_none(server.py())));
        t.getter(c"_ssl_handshake_timeout", |server| Ok(server.handshake_timeout.get_or_none(server.py())));
        t.getter(c"_ssl_shutdown_timeout", |server| Ok(server.shutdown_timeout.get_or_none(server.py())));
        #[cfg(not(Py_3_13))]
        t.value(c"_active_count", |server| server.connected.get());
        #[cfg(Py_3_13)]
        t.getter(c"_clients", connections::clients);
    }

    references! {
        event_loop, sockets, factory, ssl_context, backlog, handshake_timeout, shutdown_timeout, waiters,
        forever, foreign, context,
    }
}
