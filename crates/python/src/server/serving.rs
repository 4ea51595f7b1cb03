//! The life of a server: starts to serve, serves until it is cancelled, closes, and waits until it has
//! closed.
//!
//! The coroutines of `Server` on a native loop. Called by the class; calls the loop's `_start_serving` and
//! `_stop_serving`.

use pyo3::exceptions::{PyAttributeError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::connections::wake_if_over;
use super::{EXIT, Server, event_loop, native_loop};
use crate::core::EventLoop;
use crate::coroutines::{self, Answer, GcRef, GcScope, Routine, Step, taken};
use crate::ffi::thread::attached;
use crate::ffi::{Args, Obj, Output, Raised};
use crate::futures;
use crate::mixins::create_future;
use crate::stock::{self, counterparts};
use crate::tasks::{Awaited, yield_once};

/// `self._start_serving()`.
pub fn start(server: &Obj<'_, Server>) -> PyResult<()> {
    if server.is_native() {
        return start_serving(server);
    }
    server.as_any().call_method0(name!("_start_serving")).map(drop)
}

/// `_start_serving`.
pub(super) fn start_serving(server: &Obj<'_, Server>) -> PyResult<()> {
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

pub(super) fn close(server: &Obj<'_, Server>) -> PyResult<()> {
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

pub(super) async fn wait_closed(server: GcRef<Server>, event_loop: GcRef<EventLoop>) -> Answer {
    let waiting = attached(|py| {
        let server = server.obj(py);
        if is_over(&server) {
            return Ok(None);
        }
        let event_loop = event_loop.obj(py);
        let waiter = futures::create_future(&event_loop)?;
        server.waiters.get_or_none(py).call_method1(name!("append"), (waiter.as_any(),))?;
        Awaited::on(&event_loop, waiter.as_any()).map(Some)
    })?;
    if let Some(waiting) = waiting {
        waiting.await?;
    }
    Ok(attached(|py| py.None()))
}

/// `serve_forever`.
pub(super) fn serve_forever<'py>(server: &Obj<'py, Server>) -> Output<'py> {
    const NAME: &str = "Server.serve_forever";
    if native_loop(server)?.is_none() {
        return of_asyncio(server, NAME);
    }
    Ok(Routine::begin(server.as_any(), NAME, serve)?.into_any())
}

fn serve<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let server = routine.owner::<Server>(py)?;
    if !server.forever.is_empty() {
        let text = text!("server {} is already being awaited on serve_forever()", server.as_any().repr()?)?;
        return Err(PyRuntimeError::new_err(text));
    }
    if server.sockets.is_empty() {
        return Err(PyRuntimeError::new_err(text!("server {} is closed", server.as_any().repr()?)?));
    }
    start(&server)?;
    let forever = create_future(&event_loop(&server)?)?;
    server.forever.put(forever.clone());
    Ok(Step::Await(forever, served))
}

/// A cancellation closes the server and waits for that.
fn served<'py>(routine: &Obj<'py, Routine>, outcome: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let server = routine.owner::<Server>(py)?;
    let closing = match outcome {
        Ok(result) => Ok(Step::Return(result)),
        Err(error) if error.is_instance(py, stock::cancelled_error(py)?) => {
            let cancellation = Raised::from_err(py, error);
            let closing = cancellation.handling(|| begin_closing(&server));
            routine.first.put(cancellation.into_any());
            closing.map(|closing| Step::Await(closing, closed))
        }
        Err(error) => Err(error),
    };
    if !matches!(closing, Ok(Step::Await(..))) {
        server.forever.clear();
    }
    closing
}

fn begin_closing<'py>(server: &Obj<'py, Server>) -> Output<'py> {
    server.as_any().call_method0(name!("close"))?;
    // Since 3.12 `wait_closed` waits for the connections.
    #[cfg(Py_3_13)]
    server.as_any().call_method0(name!("close_clients"))?;
    #[cfg(all(Py_3_12, not(Py_3_13)))]
    super::connections::each_client(server, name!("close"))?;
    server.as_any().call_method0(name!("wait_closed"))
}

/// The cancellation goes on, or what ended the wait for the connections.
fn closed<'py>(routine: &Obj<'py, Routine>, outcome: Output<'py>) -> PyResult<Step<'py>> {
    let py = routine.py();
    routine.owner::<Server>(py)?.forever.clear();
    let cancellation = Raised(taken(py, &routine.first).cast_into()?);
    match outcome {
        Ok(_) => Err(cancellation.into_err()),
        Err(error) => {
            let error = Raised::from_err(py, error);
            Err(cancellation.handling(|| error.raise()))
        }
    }
}

pub(super) fn begin_serving<'py>(server: &Obj<'py, Server>) -> Output<'py> {
    coroutine(server, "Server.start_serving", |own, _| async move {
        attached(|py| start(&own.obj(py)))?;
        yield_once().await?;
        Ok(attached(|py| py.None()))
    })
}

pub(super) fn enter<'py>(server: &Obj<'py, Server>) -> Output<'py> {
    coroutine(
        server,
        "Server.__aenter__",
        |own, _| async move { Ok(attached(|py| own.any(py).clone().unbind())) },
    )
}

pub(super) fn exit<'py>(server: &Obj<'py, Server>, args: Args<'_, 'py>) -> Output<'py> {
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

/// A coroutine of a native loop. On another loop it is asyncio's own, which asks the server for nothing but
/// attributes.
pub(super) fn coroutine<'py, F: Future<Output = Answer> + 'static>(
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

pub(super) fn of_asyncio<'py>(server: &Obj<'py, Server>, name: &str) -> Output<'py> {
    match counterparts::function(server.py(), name)? {
        Some(function) => counterparts::copy(&function)?.call1((server.as_any(),)),
        None => Err(PyAttributeError::new_err(format!("asyncio has no {name}()"))),
    }
}
