//! TLS on connections: `start_tls`, and the making of a transport with TLS for any connected socket.
//!
//! Called by Python code and by the loop's connecting and accepting methods; calls [`crate::sslproto`].

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::core::EventLoop;
use crate::coroutines::{self, GcRef, GcScope};
use crate::ffi::thread::attached;
use crate::ffi::{Args, Obj, Output, Signature, Table};
use crate::mixins::create_future;
use crate::names;
use crate::replaced::names::{Name, SSL_PROTOCOL, SSL_PROTOCOL_OF_LOOPS};
use crate::sslproto::{self, Parts, SslProtocol};
use crate::tasks::Awaited;
use crate::transports::descriptors;

const START_TLS: Signature<7> = Signature::new(
    "EventLoop.start_tls",
    "transport, protocol, sslcontext, *, server_side=False, server_hostname=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None",
);
#[cfg(not(Py_3_15))]
const MAKE_TRANSPORT: Signature<10> = Signature::new(
    "EventLoop._make_ssl_transport",
    "rawsock, protocol, sslcontext, waiter=None, *, server_side=False, server_hostname=None, extra=None, server=None, ssl_handshake_timeout=60.0, ssl_shutdown_timeout=30.0",
);
#[cfg(Py_3_15)]
const MAKE_TRANSPORT: Signature<11> = Signature::new(
    "EventLoop._make_ssl_transport",
    "rawsock, protocol, sslcontext, waiter=None, *, server_side=False, server_hostname=None, extra=None, server=None, ssl_handshake_timeout=60.0, ssl_shutdown_timeout=30.0, context=None",
);

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.method(
        &START_TLS,
        start_tls,
        "Coroutine: goes on with TLS on a connection. Returns the transport that the protocol is to use from now on.",
    );
    t.method(
        &MAKE_TRANSPORT,
        make_ssl_transport,
        "A transport with TLS for a connected, non-blocking socket; the handshake begins.",
    );
}

fn make_ssl_transport<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let [sock, app_protocol, context, waiter, server_side, server_hostname, extra, server, rest @ ..] =
        args.parse(&MAKE_TRANSPORT)?;
    #[cfg(not(Py_3_15))]
    let [handshake_timeout, shutdown_timeout] = rest;
    #[cfg(Py_3_15)]
    let [handshake_timeout, shutdown_timeout, callback_context] = rest;
    descriptors::check(event_loop, &sock, descriptors::number_of(&sock)?)?;
    let parts = Parts {
        event_loop: event_loop.as_any().clone(),
        app_protocol,
        context,
        waiter,
        server_side: server_side.is_truthy()?,
        server_hostname,
        call_connection_made: true,
        handshake_timeout,
        shutdown_timeout,
    };
    let protocol = protocol_of(&SSL_PROTOCOL, parts)?;
    let keywords = PyDict::new(event_loop.py());
    keywords.set_item("extra", extra)?;
    keywords.set_item("server", server)?;
    #[cfg(Py_3_15)]
    keywords.set_item("context", callback_context)?;
    event_loop.as_any().call_method(name!("_make_socket_transport"), (sock, &protocol), Some(&keywords))?;
    app_transport(&protocol)
}

/// `SSLProtocol(...)`, where `class` is that name as the caller's module has it.
fn protocol_of<'py>(class: &Name<2>, parts: Parts<'py>) -> Output<'py> {
    let Some(class) = class.maker::<SslProtocol>(parts.event_loop.py())? else {
        return Ok(sslproto::new(parts)?.into_any());
    };
    let keywords = PyDict::new(class.py());
    keywords.set_item("ssl_handshake_timeout", parts.handshake_timeout)?;
    keywords.set_item("ssl_shutdown_timeout", parts.shutdown_timeout)?;
    if !parts.call_connection_made {
        keywords.set_item("call_connection_made", false)?;
    }
    let Parts { event_loop, app_protocol, context, waiter, server_side, server_hostname, .. } = parts;
    class.call((event_loop, app_protocol, context, waiter, server_side, server_hostname), Some(&keywords))
}

fn app_transport<'py>(protocol: &Bound<'py, PyAny>) -> Output<'py> {
    match Obj::<SslProtocol>::cast(protocol) {
        Some(native) => Ok(native.app_transport(protocol.py())),
        None => protocol.getattr(name!("_app_transport")),
    }
}

fn start_tls<'py>(event_loop: &Obj<'py, EventLoop>, args: Args<'_, 'py>) -> Output<'py> {
    let gc_scope = GcScope::begin();
    let own = GcRef::of(event_loop);
    let given = args.parse(&START_TLS)?.map(GcRef::new);
    coroutines::new(gc_scope, event_loop, "EventLoop.start_tls", async move {
        let (protocol, upgrade, handshake) = attached(|py| {
            let event_loop = own.obj(py);
            let [transport, app_protocol, context, server_side, rest @ ..] =
                given.map(|value| value.to_bound(py));
            let [server_hostname, handshake_timeout, shutdown_timeout] = rest;
            check(&transport, &context)?;
            let waiter = create_future(event_loop.as_any())?;
            let parts = Parts {
                event_loop: event_loop.as_any().clone(),
                app_protocol: app_protocol.clone(),
                context,
                waiter: waiter.clone(),
                server_side: server_side.is_truthy()?,
                server_hostname,
                call_connection_made: false,
                handshake_timeout,
                shutdown_timeout,
            };
            let protocol = protocol_of(&SSL_PROTOCOL_OF_LOOPS, parts)?;
            if server_side.is_truthy()? {
                take_over_what_was_read(&app_protocol, &protocol)?;
            }
            let handshake = Awaited::on(&event_loop, &waiter)?;
            let upgrade = Upgrade::begin(&event_loop, transport, &protocol)?;
            Ok::<_, PyErr>((GcRef::new(protocol), upgrade, handshake))
        })?;
        handshake.await?;
        upgrade.done();
        attached(|py| Ok(app_transport(protocol.bind(py))?.unbind()))
    })
}

/// TypeError for what is no context, and for a transport that was not made for this.
fn check(transport: &Bound<'_, PyAny>, context: &Bound<'_, PyAny>) -> PyResult<()> {
    sslproto::ssl_module(context.py())?;
    if !sslproto::is_context(context)? {
        return Err(PyTypeError::new_err(text!(
            "sslcontext is expected to be an instance of ssl.SSLContext, got {}",
            context.repr()?
        )?));
    }
    match transport.getattr_opt(name!("_start_tls_compatible"))? {
        Some(compatible) if compatible.is_truthy()? => Ok(()),
        _ => {
            let text = text!("transport {} is not supported by start_tls()", transport.repr()?)?;
            Err(PyTypeError::new_err(text))
        }
    }
}

/// A client may begin its handshake before the server asks for it; then a stream has read the first of it.
fn take_over_what_was_read<'py>(
    app_protocol: &Bound<'py, PyAny>,
    protocol: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = app_protocol.py();
    if !app_protocol
        .is_instance(&crate::stock::module(py, "asyncio.streams")?.getattr(name!("StreamReaderProtocol"))?)?
    {
        return Ok(());
    }
    let Some(reader) = app_protocol.getattr_opt(name!("_stream_reader"))? else { return Ok(()) };
    if reader.is_none() {
        return Ok(());
    }
    let buffer = reader.getattr(name!("_buffer"))?;
    if buffer.is_truthy()? {
        protocol.getattr(name!("_incoming"))?.call_method1(names::write(py), (&buffer,))?;
        buffer.call_method0(name!("clear"))?;
    }
    Ok(())
}

/// A transport on its way to TLS: unless that succeeds, the transport is closed, and what was arranged is
/// cancelled.
struct Upgrade(Option<[GcRef; 3]>);

impl Upgrade {
    /// Puts TLS in the place of the protocol, and lets it begin at the next turn.
    fn begin<'py>(
        event_loop: &Obj<'py, EventLoop>,
        transport: Bound<'py, PyAny>,
        protocol: &Bound<'py, PyAny>,
    ) -> PyResult<Self> {
        let py = event_loop.py();
        // Until then nothing may be read: it would come before `connection_made`.
        transport.call_method0(names::pause_reading(py))?;
        transport.call_method1(name!("set_protocol"), (protocol,))?;
        // Where the protocol before it was told to pause, TLS will be told to resume, and is to pass that on.
        if let Some(native) = Obj::<SslProtocol>::cast(protocol)
            && transport
                .getattr_opt(name!("_protocol_paused"))?
                .map_or(Ok(false), |paused| paused.is_truthy())?
        {
            native.begin_paused();
        }
        let soon = |function: Bound<'py, PyAny>, argument: Option<&Bound<'py, PyAny>>| match argument {
            Some(argument) => event_loop.as_any().call_method1(names::call_soon(py), (function, argument)),
            None => event_loop.as_any().call_method1(names::call_soon(py), (function,)),
        };
        let made = protocol.getattr(names::connection_made(py))?;
        let made = soon(made, Some(&transport))?;
        let resumed = soon(transport.getattr(names::resume_reading(py))?, None)?;
        Ok(Self(Some([transport, made, resumed].map(GcRef::new))))
    }

    /// TLS is there.
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        let Some([transport, made, resumed]) = self.0.take() else { return };
        attached(|py| {
            let undo = || {
                transport.bind(py).call_method0(names::close(py))?;
                made.bind(py).call_method0(names::cancel(py))?;
                resumed.bind(py).call_method0(names::cancel(py))
            };
            if let Err(error) = undo() {
                error.write_unraisable(py, Some(transport.bind(py)));
            }
        });
    }
}
