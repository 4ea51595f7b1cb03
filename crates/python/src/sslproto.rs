//! `SSLProtocol`: TLS between a transport and a protocol. `asyncio.sslproto`, native.
//!
//! Below it is a transport of any kind, above it the application's protocol, which writes through the
//! [`SslTransport`] of this connection. What turns bytes into bytes is the user's own `SSLObject`, behind
//! [`tls::Tls`]. The states of a connection and what leads from one to another live in the files of
//! `sslproto/`: `data`, `handshake`, `reading`, `writing`, `steps`; `attributes` has what Python code may
//! look at.
//!
//! Made by the loop (`event_loop/tls.rs`) and by Python code that calls the class as asyncio calls its own.
//! Called by the transport below, in Rust where that is a
//! [`SocketTransport`](crate::transports::SocketTransport); calls both neighbours.

mod app_transport;
mod attributes;
mod data;
mod flow;
mod handshake;
mod limits;
mod plain_text;
mod reading;
mod steps;
mod tls;
mod transport;
mod writing;

pub use app_transport::SslTransport;
pub use data::SslProtocol;
pub use tls::{is_context, ssl_module};

use std::ffi::CStr;

use pyo3::exceptions::{PyException, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::classes;
use crate::ffi::combined::Combinable;
use crate::ffi::{
    Args, Class, ClassState, Create, Obj, Output, Signature, Slot, Table, Visitor, none, stands_for,
};
use crate::frames::Frame;
use crate::replaced::names::SSLPROTO;
use crate::transports::receiver;
use crate::{names, stock};
use data::{
    AppState, Protocol, State, below, cancel_alarm, event_loop, fatal_error, is_debugged, set_app_protocol,
    set_state, wake_waiter,
};

static SSL_PROTOCOL: ClassState = ClassState::new();

const NEW: Signature<9> = Signature::new_method(
    "SSLProtocol.__init__",
    "loop, app_protocol, sslcontext, waiter, server_side=False, server_hostname=None, call_connection_made=True, ssl_handshake_timeout=None, ssl_shutdown_timeout=None",
);
const FATAL_ERROR: Signature<2> =
    Signature::new("SSLProtocol._fatal_error", "exc, message='Fatal error on transport'");

/// A positive number of seconds, or the constant of `asyncio.constants`.
fn timeout<'py>(given: Bound<'py, PyAny>, name: &str) -> Output<'py> {
    if given.is_none() {
        return SSLPROTO.constant(given.py(), &name.to_uppercase());
    }
    if given.le(0)? {
        return Err(PyValueError::new_err(text!(
            "{name} should be a positive number, got {}",
            given.str()?
        )?));
    }
    Ok(given)
}

/// A default context for a client that said `ssl=True`.
fn default_context<'py>(server_side: bool, server_hostname: &Bound<'py, PyAny>) -> Output<'py> {
    if server_side {
        return Err(PyValueError::new_err("Server side SSL needs a valid SSLContext"));
    }
    let context = ssl_module(server_hostname.py())?.call_method0(name!("create_default_context"))?;
    if !server_hostname.is_truthy()? {
        context.setattr(name!("check_hostname"), false)?;
    }
    Ok(context)
}

/// `SSLProtocol(loop, app_protocol, sslcontext, waiter, ...)`.
fn init<'py>(
    protocol: Protocol<'_, 'py>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<()> {
    let py = protocol.py();
    let given = Args::parse_tuple_given(&NEW, args, kwargs)?;
    ssl_module(py)?;
    if !protocol.event_loop.is_empty() {
        return Err(PyRuntimeError::new_err("SSLProtocol object is already initialized"));
    }
    let [event_loop, app_protocol, context, waiter, server_side, server_hostname, call_made, rest @ ..] =
        given;
    let or_none = |value: Option<Bound<'py, PyAny>>| value.unwrap_or_else(|| none(py));
    let is_true =
        |value: Option<Bound<'py, PyAny>>, default| value.map_or(Ok(default), |value| value.is_truthy());
    let [handshake_timeout, shutdown_timeout] = rest.map(or_none);
    begin(
        protocol,
        Parts {
            event_loop: or_none(event_loop),
            app_protocol: or_none(app_protocol),
            context: or_none(context),
            waiter: or_none(waiter),
            server_side: is_true(server_side, false)?,
            server_hostname: or_none(server_hostname),
            call_connection_made: is_true(call_made, true)?,
            handshake_timeout,
            shutdown_timeout,
        },
    )
}

/// What a connection is made of; None where something is not given.
pub struct Parts<'py> {
    /// Any loop.
    pub event_loop: Bound<'py, PyAny>,
    /// The protocol that gets the plain text.
    pub app_protocol: Bound<'py, PyAny>,
    /// An `SSLContext`.
    pub context: Bound<'py, PyAny>,
    /// A future to complete when the handshake has ended.
    pub waiter: Bound<'py, PyAny>,
    /// Which end this is.
    pub server_side: bool,
    /// The host name that the certificate is checked against.
    pub server_hostname: Bound<'py, PyAny>,
    /// Whether the protocol is to be told of the transport.
    pub call_connection_made: bool,
    /// Seconds.
    pub handshake_timeout: Bound<'py, PyAny>,
    /// Seconds.
    pub shutdown_timeout: Bound<'py, PyAny>,
}

/// A new connection; the transport below is told of it by the caller.
pub fn new(parts: Parts<'_>) -> PyResult<Obj<'_, SslProtocol>> {
    let py = parts.event_loop.py();
    ssl_module(py)?;
    let protocol = SslProtocol::create(py)?;
    begin(&protocol, parts)?;
    Ok(protocol)
}

fn begin<'py>(protocol: Protocol<'_, 'py>, parts: Parts<'py>) -> PyResult<()> {
    let py = protocol.py();
    let Parts { event_loop, app_protocol, context, waiter, server_side, server_hostname, .. } = parts;
    let handshake_timeout = timeout(parts.handshake_timeout, "ssl_handshake_timeout")?;
    let shutdown_timeout = timeout(parts.shutdown_timeout, "ssl_shutdown_timeout")?;
    let context =
        if context.is_truthy()? { context } else { default_context(server_side, &server_hostname)? };
    let server_hostname =
        if !server_side && server_hostname.is_truthy()? { server_hostname } else { none(py) };
    protocol.tls.wrap(&context, server_side, &server_hostname)?;
    protocol.server_side.set(server_side);
    protocol.server_hostname.put(server_hostname);
    let extra = PyDict::new(py);
    extra.set_item("sslcontext", &context)?;
    protocol.extra.put(extra);
    protocol.context.put(context);
    if !waiter.is_none() {
        protocol.waiter.put(waiter);
    }
    protocol.event_loop.put(event_loop);
    set_app_protocol(protocol, &app_protocol)?;
    protocol.handshake_timeout.put(handshake_timeout);
    protocol.shutdown_timeout.put(shutdown_timeout);
    protocol.app_state.set(if parts.call_connection_made { AppState::Init } else { AppState::Made });
    protocol.incoming_limits.set(limits::READING.limits(py)?);
    protocol.outgoing_limits.set(limits::WRITING.limits(py)?);
    protocol.app_transport.put(app_transport::new(protocol)?);
    Ok(())
}

/// `connection_made`: the handshake begins.
fn connection_made<'py>(protocol: Protocol<'_, 'py>, transport: &Bound<'py, PyAny>) -> PyResult<()> {
    protocol.transport.put(transport.clone());
    handshake::start(protocol)
}

/// `connection_lost`: the application is told at the next turn, and everything is let go.
fn connection_lost<'py>(protocol: Protocol<'_, 'py>, error: &Bound<'py, PyAny>) -> PyResult<()> {
    let py = protocol.py();
    drop(protocol.backlog.with(std::mem::take));
    protocol.tls.discard_outgoing(py)?;
    protocol.conn_lost.set(protocol.conn_lost.get() + 1);
    app_transport::mark_closed(protocol)?;
    if protocol.state.get() != State::DoHandshake
        && matches!(protocol.app_state.get(), AppState::Made | AppState::Eof)
        && let Some(app_protocol) = protocol.app_protocol.get(py)
    {
        protocol.app_state.set(AppState::Lost);
        let lost = app_protocol.getattr(names::connection_lost(py))?;
        event_loop(protocol)?.call_method1(names::call_soon(py), (lost, error))?;
    }
    set_state(protocol, State::Unwrapped)?;
    protocol.transport.clear();
    protocol.app_transport.clear();
    protocol.app_protocol.clear();
    wake_waiter(protocol, (!error.is_none()).then_some(error))?;
    cancel_alarm(py, &protocol.shutdown_alarm)?;
    cancel_alarm(py, &protocol.handshake_alarm)
}

/// `eof_received`: True keeps the transport below open.
fn eof_received<'py>(protocol: Protocol<'_, 'py>) -> Output<'py> {
    let py = protocol.py();
    protocol.eof_received.set(true);
    match end_of_stream(protocol) {
        Ok(keep_open) if keep_open => Ok(crate::ffi::boolean(py, true)),
        Ok(_) => Ok(none(py)),
        Err(error) => {
            if error.is_instance_of::<PyException>(py) {
                below(protocol, "close")?.call_method0(names::close(py))?;
            }
            Err(error)
        }
    }
}

fn end_of_stream(protocol: Protocol<'_, '_>) -> PyResult<bool> {
    let py = protocol.py();
    if is_debugged(protocol)? {
        static FRAME: Frame = Frame::new(&SSLPROTO, "SSLProtocol.eof_received");
        FRAME.log(py, "debug", ("%r received EOF", protocol.as_any()))?;
    }
    match protocol.state.get() {
        State::DoHandshake => {
            let reset = py.get_type::<pyo3::exceptions::PyConnectionResetError>().call0()?;
            handshake::complete(protocol, Some(PyErr::from_value(reset)))?;
        }
        State::Wrapped => {
            set_state(protocol, State::Flushing)?;
            if protocol.app_reading_paused.get() {
                return Ok(true);
            }
            steps::flush(protocol)?;
        }
        State::Flushing => {
            writing::send_backlog(protocol)?;
            set_state(protocol, State::Shutdown)?;
            steps::shut_down(protocol)?;
        }
        State::Shutdown => steps::shut_down(protocol)?,
        State::Unwrapped => {}
    }
    Ok(false)
}

impl Class for SslProtocol {
    const NAME: &'static CStr = c"yibu.SSLProtocol";
    type Header = Combinable;
    const FREELIST: usize = 64;
    const STANDS_FOR_STOCK: bool = true;
    const FUNCTIONS: bool = true;
    const NOT_CALLED: &'static [&'static str] =
        &["_abort", "_do_read", "_fatal_error", "_start_shutdown", "_wakeup_waiter"];

    stands_for! { SSL_PROTOCOL, stock::ssl_protocol }

    fn table(t: &mut Table<Self>) {
        t.doc(c"SSLProtocol(loop, app_protocol, sslcontext, waiter, server_side=False, server_hostname=None, call_connection_made=True, ssl_handshake_timeout=None, ssl_shutdown_timeout=None)\n--\n\nTLS between a transport and a protocol.");
        t.init(init);
        t.action_on(
            c"connection_made",
            "transport",
            connection_made,
            "The transport below is there: the handshake begins.",
        );
        t.action_on(c"connection_lost", "exc", connection_lost, "The transport below is gone.");
        t.noargs(c"eof_received", eof_received, "The peer has closed its half of the transport below.");
        t.command(
            &FATAL_ERROR,
            |protocol, args| {
                let [error, message] = args.parse(&FATAL_ERROR)?;
                let message = if message.is_none() {
                    "Fatal error on transport".into()
                } else {
                    text!("{}", message.str()?)?
                };
                fatal_error(protocol, &error, &message)
            },
            "Reports an exception, unless it is an OSError, and closes the transport below at once.",
        );
        reading::table(t);
        writing::table(t);
        steps::table(t);
        attributes::table(t);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.slots().into_iter().for_each(|slot| slot.traverse(visitor));
        self.tls.traverse(visitor);
        self.handshake_alarm.traverse(visitor);
        self.shutdown_alarm.traverse(visitor);
        self.backlog.try_with(|backlog| backlog.items().for_each(|item| visitor.visit(item.as_ptr())));
    }

    fn clear(&self) {
        self.slots().into_iter().for_each(Slot::clear);
        self.tls.clear();
        self.handshake_alarm.clear();
        self.shutdown_alarm.clear();
        drop(self.backlog.with(std::mem::take));
    }
}

/// Builds the classes and adds them to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    classes::add_derived::<SslProtocol>(module, stock::buffered_protocol(py)?)?;
    SslProtocol::class(py).setattr(name!("max_size"), reading::BUFFER_SIZE)?;
    receiver::register(&reading::RECEIVER)?;
    classes::add_derived::<SslTransport>(module, stock::transport(py)?)?;
    transport::complete(&SslTransport::class(py))
}
