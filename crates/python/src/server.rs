//! `Server`: listening sockets and the connections accepted from them. `asyncio.base_events.Server`, native.
//!
//! Made by `create_server`. The sockets are listened to by the loop (`_start_serving`, `_stop_serving`), which attaches
//! every accepted transport here.

use std::cell::Cell;
use std::ffi::CStr;

use futures_util::future::{Either, select};
use pyo3::exceptions::{PyAssertionError, PyAttributeError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use crate::attributes::objects;
use crate::classes;
use crate::core::EventLoop;
use crate::coroutines::{self, Answer, GcRef, GcScope, Thrown};
use crate::ffi::combined::Combinable;
use crate::ffi::thread::attached;
use crate::ffi::{Args, Class, ClassState, Create, Obj, Output, Signature, Slot, Table, WeakMap, references};
use crate::ffi::{boolean, none};
use crate::futures::create_future;
use crate::replaced::names::TRANSPORT_SOCKET_OF_SERVERS;
use crate::stock::{self, twins};
use crate::tasks::{Awaited, yield_once};
use crate::transports::{self, ServerClass, SocketTransport};

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

// Connections.

/// How native transports attach and detach themselves.
static CLASS: ServerClass = ServerClass {
    attach: |server, transport| native(server).map(|server| attach(server, transport)),
    detach: |server, transport| native(server).map(|server| detach(server, transport)),
};

/// The server behind an object none of whose methods are replaced.
fn native<'a, 'py>(server: &'a Bound<'py, PyAny>) -> Option<&'a Obj<'py, Server>> {
    Obj::<Server>::cast(server).filter(|server| server.is_native())
}

/// Makes the class.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    transports::register_server(&CLASS);
    classes::add::<Server>(module).map(drop)
}

/// `_attach`, for a native transport.
fn attach(server: &Obj<'_, Server>, transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    still_open(server)?;
    if let Ok(number) = usize::try_from(transports::descriptor(transport)) {
        transport.client.enter(&server.clients, number, transport);
    }
    server.connected.set(server.connected.get() + 1);
    Ok(())
}

/// `_detach`, for a native transport.
fn detach(server: &Obj<'_, Server>, transport: &Obj<'_, SocketTransport>) -> PyResult<()> {
    transport.client.leave();
    one_less(server)
}

fn still_open(server: &Obj<'_, Server>) -> PyResult<()> {
    // An assertion in asyncio: only a transport that a program makes itself, for a closed server, can come here.
    if server.sockets.is_empty() { Err(PyAssertionError::new_err(())) } else { Ok(()) }
}

fn one_less(server: &Obj<'_, Server>) -> PyResult<()> {
    server.connected.set(server.connected.get().saturating_sub(1));
    wake_if_over(server)
}

fn wake_if_over(server: &Obj<'_, Server>) -> PyResult<()> {
    let connected = match server.foreign.get(server.py()) {
        Some(foreign) => server.connected.get() + foreign.len()?,
        None => server.connected.get(),
    };
    if connected != 0 || !server.sockets.is_empty() {
        return Ok(());
    }
    if server.is_native() {
        wake_up(server)
    } else {
        server.as_any().call_method0(name!("_wakeup")).map(drop)
    }
}

/// `_wakeup`: closed, and no connection left.
fn wake_up(server: &Obj<'_, Server>) -> PyResult<()> {
    let py = server.py();
    let Some(waiters) = server.waiters.take() else { return Ok(()) };
    for waiter in waiters.into_any(py).try_iter()? {
        let waiter = waiter?;
        if !waiter.call_method0(name!("done"))?.is_truthy()? {
            waiter.call_method1(name!("set_result"), (none(py),))?;
        }
    }
    Ok(())
}

/// The set of connections that are not native transports.
fn foreign<'py>(server: &Obj<'py, Server>) -> Output<'py> {
    let py = server.py();
    if let Some(set) = server.foreign.get(py) {
        return Ok(set);
    }
    let set = stock::module(py, "weakref")?.getattr(name!("WeakSet"))?.call0()?;
    server.foreign.put(set.clone());
    Ok(set)
}

/// `_attach` as Python code calls it: with the transport since 3.13, before that without.
fn attach_any<'py>(server: &Obj<'py, Server>, args: Args<'_, 'py>) -> Output<'py> {
    let py = server.py();
    match args.get(0) {
        Some(transport) => match Obj::<SocketTransport>::cast(&transport) {
            Some(native) => attach(server, native)?,
            None => {
                still_open(server)?;
                foreign(server)?.call_method1(name!("add"), (transport,))?;
            }
        },
        None => {
            still_open(server)?;
            server.connected.set(server.connected.get() + 1);
        }
    }
    Ok(none(py))
}

/// `_detach` as Python code calls it.
fn detach_any<'py>(server: &Obj<'py, Server>, args: Args<'_, 'py>) -> Output<'py> {
    let py = server.py();
    match args.get(0) {
        Some(transport) => match Obj::<SocketTransport>::cast(&transport) {
            Some(native) => detach(server, native)?,
            None => {
                foreign(server)?.call_method1(name!("discard"), (transport,))?;
                wake_if_over(server)?;
            }
        },
        None => one_less(server)?,
    }
    Ok(none(py))
}

/// Calls a method of every connection.
#[cfg(Py_3_12)]
fn each_client<'py>(server: &Obj<'py, Server>, method: &str) -> Output<'py> {
    let py = server.py();
    for (_, transport) in server.clients.living(py) {
        transport.call_method0(method)?;
    }
    if let Some(foreign) = server.foreign.get(py) {
        for transport in foreign.call_method0(name!("copy"))?.try_iter()? {
            transport?.call_method0(method)?;
        }
    }
    Ok(none(py))
}

// Serving.

/// `self._start_serving()`.
pub fn start(server: &Obj<'_, Server>) -> PyResult<()> {
    if server.is_native() {
        return start_serving(server);
    }
    server.as_any().call_method0(name!("_start_serving")).map(drop)
}

/// `_start_serving`.
fn start_serving(server: &Obj<'_, Server>) -> PyResult<()> {
    if server.serving.replace(true) {
        return Ok(());
    }
    let py = server.py();
    let event_loop = event_loop(server)?;
    let Some(sockets) = server.sockets.get(py) else {
        // As in asyncio, where iterating None fails.
        return Err(PyTypeError::new_err("'NoneType' object is not iterable"));
    };
    let backlog = server.backlog.get_or_none(py);
    for socket in sockets.try_iter()? {
        let socket = socket?;
        socket.call_method1(name!("listen"), (&backlog,))?;
        let arguments = (
            server.factory.get_or_none(py),
            &socket,
            server.ssl_context.get_or_none(py),
            server.as_any(),
            &backlog,
            server.handshake_timeout.get_or_none(py),
            server.shutdown_timeout.get_or_none(py),
        );
        let keywords = PyDict::new(py);
        if let Some(context) = server.context.get(py) {
            keywords.set_item("context", context)?;
        }
        event_loop.call_method(name!("_start_serving"), arguments, Some(&keywords))?;
    }
    Ok(())
}

fn close(server: &Obj<'_, Server>) -> PyResult<()> {
    let py = server.py();
    let Some(sockets) = server.sockets.take() else { return Ok(()) };
    let event_loop = event_loop(server)?;
    for socket in sockets.into_any(py).try_iter()? {
        event_loop.call_method1(name!("_stop_serving"), (socket?,))?;
    }
    server.serving.set(false);
    if let Some(forever) = server.forever.get(py)
        && !forever.call_method0(name!("done"))?.is_truthy()?
    {
        forever.call_method0(name!("cancel"))?;
        server.forever.clear();
    }
    wake_if_over(server)
}

/// Whether `wait_closed` has nothing to wait for. Up to 3.11 it did not wait for connections.
fn is_over(server: &Server) -> bool {
    server.waiters.is_empty() || (cfg!(not(Py_3_12)) && server.sockets.is_empty())
}

async fn wait_closed(server: GcRef<Server>, event_loop: GcRef<EventLoop>) -> Answer {
    let waiting = attached(|py| {
        let server = server.obj(py);
        if is_over(&server) {
            return Ok(None);
        }
        let event_loop = event_loop.obj(py);
        let waiter = create_future(&event_loop)?;
        server.waiters.get_or_none(py).call_method1(name!("append"), (waiter.as_any(),))?;
        Awaited::on(&event_loop, waiter.as_any()).map(Some)
    })?;
    if let Some(waiting) = waiting {
        waiting.await?;
    }
    Ok(attached(|py| py.None()))
}

/// The future that `serve_forever` waits for is not there any more when it ends.
struct Forever(GcRef<Server>);

impl Drop for Forever {
    fn drop(&mut self) {
        self.0.data().forever.clear();
    }
}

async fn serve_forever(server: GcRef<Server>, event_loop: GcRef<EventLoop>, thrown: Thrown) -> Answer {
    let waiting = attached(|py| {
        let server = server.obj(py);
        if !server.forever.is_empty() {
            let text =
                text!("server {} is already being awaited on serve_forever()", server.as_any().repr()?)?;
            return Err(PyRuntimeError::new_err(text));
        }
        if server.sockets.is_empty() {
            return Err(PyRuntimeError::new_err(text!("server {} is closed", server.as_any().repr()?)?));
        }
        start(&server)?;
        let event_loop = event_loop.obj(py);
        let forever = create_future(&event_loop)?;
        server.forever.put(forever.as_any().clone());
        Awaited::on(&event_loop, forever.as_any())
    })?;
    let guard = Forever(attached(|py| server.clone_ref(py)));
    let error = match select(waiting, Box::pin(thrown.next())).await {
        Either::Left((Ok(result), _)) => return Ok(result),
        Either::Left((Err(error), _)) | Either::Right((error, _)) => error,
    };
    if !attached(|py| stock::cancelled_error(py).is_ok_and(|class| error.is_instance(py, class))) {
        return Err(error);
    }
    let error = attached(|py| GcRef::error(py, error));
    // Whatever comes of closing, it is the cancellation that goes on.
    let closing = attached(|py| {
        let server = server.obj(py);
        server.as_any().call_method0(name!("close"))?;
        // Since 3.12 `wait_closed` waits for the connections.
        #[cfg(Py_3_13)]
        server.as_any().call_method0(name!("close_clients"))?;
        #[cfg(all(Py_3_12, not(Py_3_13)))]
        each_client(&server, "close")?;
        end(&server, &event_loop.obj(py))
    });
    if let Ok(closing) = closing {
        let _ = select(closing, Box::pin(thrown.next())).await;
    }
    drop(guard);
    Err(attached(|py| error.into_error(py)))
}

/// The sockets as anybody may have them.
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

/// The connections, in a set of their own.
#[cfg(Py_3_13)]
fn clients<'py>(server: &Obj<'py, Server>) -> Output<'py> {
    let py = server.py();
    let set = stock::module(py, "weakref")?.getattr(name!("WeakSet"))?.call0()?;
    for (_, transport) in server.clients.living(py) {
        set.call_method1(name!("add"), (transport,))?;
    }
    if let Some(foreign) = server.foreign.get(py) {
        set.call_method1(name!("update"), (foreign,))?;
    }
    Ok(set)
}

fn begin_serving<'py>(server: &Obj<'py, Server>) -> Output<'py> {
    coroutine(server, "Server.start_serving", |own, _| async move {
        attached(|py| start(&own.obj(py)))?;
        yield_once().await?;
        Ok(attached(|py| py.None()))
    })
}

fn enter<'py>(server: &Obj<'py, Server>) -> Output<'py> {
    coroutine(
        server,
        "Server.__aenter__",
        |own, _| async move { Ok(attached(|py| own.any(py).clone().unbind())) },
    )
}

fn exit<'py>(server: &Obj<'py, Server>, args: Args<'_, 'py>) -> Output<'py> {
    let [] = args.parse(&EXIT)?;
    coroutine(server, "Server.__aexit__", |own, event_loop| async move {
        let closing = attached(|py| {
            let server = own.obj(py);
            server.as_any().call_method0(name!("close"))?;
            end(&server, &event_loop.obj(py))
        })?;
        closing.await
    })
}

/// `await self.wait_closed()`
fn end<'py>(server: &Obj<'py, Server>, event_loop: &Obj<'py, EventLoop>) -> PyResult<Awaited> {
    Awaited::on(event_loop, &server.as_any().call_method0(name!("wait_closed"))?)
}

/// A coroutine of a native loop. On another loop it is asyncio's own, which asks the server for nothing but attributes.
fn coroutine<'py, F: Future<Output = Answer> + 'static>(
    server: &Obj<'py, Server>,
    name: &'static str,
    body: impl FnOnce(GcRef<Server>, GcRef<EventLoop>) -> F,
) -> Output<'py> {
    match native_loop(server)? {
        Some(event_loop) => {
            let gc_scope = GcScope::begin();
            let body = body(GcRef::of(server), GcRef::of(&event_loop));
            coroutines::new(gc_scope, &event_loop, name, body)
        }
        None => of_asyncio(server, name),
    }
}

fn of_asyncio<'py>(server: &Obj<'py, Server>, name: &str) -> Output<'py> {
    match twins::function(server.py(), name)? {
        Some(function) => twins::copy(&function)?.call1((server.as_any(),)),
        None => Err(PyAttributeError::new_err(format!("asyncio has no {name}()"))),
    }
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

    fn state() -> &'static ClassState {
        &SERVER
    }

    fn stock(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
        stock::server(py).map(Some)
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Listening sockets and the connections accepted from them; made by create_server().");
        t.init(init);
        t.repr(|server| {
            let name = server.as_any().get_type().name()?;
            let text = text!("<{name} sockets={}>", server.as_any().getattr(name!("sockets"))?.repr()?)?;
            Ok(pyo3::types::PyString::new(server.py(), &text).into_any())
        });
        t.noargs(c"get_loop", event_loop, "The loop that the server is attached to.");
        t.noargs(
            c"is_serving",
            |server| Ok(boolean(server.py(), server.serving.get())),
            "Whether connections are accepted.",
        );
        t.getter(c"sockets", |server| Ok(sockets(server)?.into_any()));
        t.noargs(
            c"close",
            |server| {
                close(server)?;
                Ok(none(server.py()))
            },
            "Stops accepting and closes the listening sockets. Connections stay.",
        );
        #[cfg(Py_3_13)]
        t.noargs(
            c"close_clients",
            |server| each_client(server, "close"),
            "Closes all connections, after what was written has been sent.",
        );
        #[cfg(Py_3_13)]
        t.noargs(c"abort_clients", |server| each_client(server, "abort"), "Closes all connections at once.");
        t.noargs(c"start_serving", begin_serving, "Coroutine: starts accepting connections.");
        t.noargs(
            c"serve_forever",
            |server| {
                let name = "Server.serve_forever";
                let Some(event_loop) = native_loop(server)? else { return of_asyncio(server, name) };
                let gc_scope = GcScope::begin();
                let (own, own_loop) = (GcRef::of(server), GcRef::of(&event_loop));
                coroutines::catching(gc_scope, &event_loop, name, |thrown| {
                    serve_forever(own, own_loop, thrown)
                })
            },
            "Coroutine: accepts connections until it is cancelled, which closes the server.",
        );
        t.noargs(
            c"wait_closed",
            |server| coroutine(server, "Server.wait_closed", wait_closed),
            "Coroutine: waits until the server is closed and all connections have ended.",
        );
        t.noargs(c"__aenter__", enter, "Coroutine: the server itself.");
        t.method(&EXIT, exit, "Coroutine: closes the server and waits until that is done.");
        t.noargs(
            c"_start_serving",
            |server| {
                start_serving(server)?;
                Ok(none(server.py()))
            },
            "Starts accepting connections.",
        );
        t.method(&ATTACH, attach_any, "A connection was accepted.");
        t.method(&DETACH, detach_any, "A connection has ended.");
        t.noargs(
            c"_wakeup",
            |server| {
                wake_up(server)?;
                Ok(none(server.py()))
            },
            "Wakes those who wait for the end.",
        );
        t.getter(c"_loop", event_loop);
        t.getter(c"_sockets", |server| Ok(server.sockets.get_or_none(server.py())));
        t.getter(c"_waiters", |server| Ok(server.waiters.get_or_none(server.py())));
        t.getter(c"_serving", |server| Ok(boolean(server.py(), server.serving.get())));
        objects! { t:
            c"_serving_forever_fut" => forever,
            c"_protocol_factory" => factory,
            c"_ssl_context" => ssl_context,
        }
        t.getter(c"_backlog", |server| Ok(server.backlog.get_or_none(server.py())));
        t.getter(c"_ssl_handshake_timeout", |server| Ok(server.handshake_timeout.get_or_none(server.py())));
        t.getter(c"_ssl_shutdown_timeout", |server| Ok(server.shutdown_timeout.get_or_none(server.py())));
        #[cfg(not(Py_3_13))]
        t.getter(c"_active_count", |server| {
            Ok(server.connected.get().into_pyobject(server.py())?.into_any())
        });
        #[cfg(Py_3_13)]
        t.getter(c"_clients", clients);
    }

    references! {
        event_loop, sockets, factory, ssl_context, backlog, handshake_timeout, shutdown_timeout, waiters,
        forever, foreign, context,
    }
}
