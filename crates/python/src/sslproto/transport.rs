//! `_SSLProtocolTransport`: what the application writes to.
//!
//! Made by [`SslProtocol`]. All work is done in `sslproto/steps.rs` and the files beside it.

use std::ffi::CStr;

use pyo3::exceptions::{PyNotImplementedError, PyResourceWarning, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyType};

use super::app_transport::SslTransport;
use super::data::{SslProtocol, abort, call_soon, extra_info, set_app_protocol};
use super::limits::{self, Limits};
use super::{flow, steps, writing};
use crate::attributes::flags;
use crate::ffi::class::AfterSlots;
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Ref, Signature, Table, boolean, none, references, stands_for,
};
use crate::frames::Frame;
use crate::replaced::names::SSLPROTO;
use crate::{names, stock};

static SSL_TRANSPORT: ClassState = ClassState::new();

const NEW: Signature<2> = Signature::new_method("_SSLProtocolTransport.__init__", "loop, ssl_protocol");
const EXTRA: Signature<2> = Signature::new("_SSLProtocolTransport.get_extra_info", "name, default=None");
const SET_PROTOCOL: Signature<1> = Signature::new("_SSLProtocolTransport.set_protocol", "protocol");
const WRITE: Signature<1> = Signature::new("_SSLProtocolTransport.write", "data");
const WRITELINES: Signature<1> = Signature::new("_SSLProtocolTransport.writelines", "list_of_data");
const WRITE_LIMITS: Signature<2> =
    Signature::new("_SSLProtocolTransport.set_write_buffer_limits", "high=None, low=None");
const READ_LIMITS: Signature<2> =
    Signature::new("_SSLProtocolTransport.set_read_buffer_limits", "high=None, low=None");

type Transport<'a, 'py> = &'a Obj<'py, SslTransport>;

/// `write`.
#[inline]
fn write<'py>(transport: Transport<'_, 'py>, data: Bound<'py, PyAny>) -> Output<'py> {
    let py = transport.py();
    let empty = match data.cast::<PyBytes>() {
        Ok(bytes) => bytes.as_bytes().is_empty(),
        Err(_) if data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>() => {
            !data.is_truthy()?
        }
        Err(_) => {
            let text = format!("data: expecting a bytes-like instance, got {}", data.get_type().name()?);
            return Err(PyTypeError::new_err(text));
        }
    };
    if !empty {
        let protocol = transport.protocol(py, "_write_appdata")?;
        if writing::takes_data(&protocol)? {
            let at_once = match data.cast_exact::<PyBytes>() {
                Ok(bytes) => writing::write_at_once(&protocol, bytes)?,
                Err(_) => false,
            };
            if !at_once {
                writing::append(&protocol, data)?;
                writing::send_appended(&protocol)?;
            }
        }
    }
    Ok(none(py))
}

/// `writelines`: all of it in one write of the transport below.
fn writelines<'py>(transport: Transport<'_, 'py>, list: &Bound<'py, PyAny>) -> Output<'py> {
    let py = transport.py();
    let protocol = transport.protocol(py, "_write_appdata")?;
    if writing::takes_data(&protocol)? {
        for data in list.try_iter()? {
            writing::append(&protocol, data?)?;
        }
        writing::send_appended(&protocol)?;
    }
    Ok(none(py))
}

/// `close`.
fn close<'py>(transport: Transport<'_, 'py>) -> Output<'py> {
    let py = transport.py();
    if transport.closed.replace(true) {
        transport.protocol.clear();
    } else {
        steps::start_shutdown(&transport.protocol(py, "_start_shutdown")?)?;
    }
    Ok(none(py))
}

/// `_force_close`.
fn force_close<'py>(transport: Transport<'_, 'py>, error: &Bound<'py, PyAny>) -> Output<'py> {
    let py = transport.py();
    transport.mark_closed();
    if let Some(protocol) = transport.protocol.obj(py) {
        abort(&protocol, error)?;
    }
    Ok(none(py))
}

fn is_closing<'py>(transport: Transport<'_, 'py>) -> Output<'py> {
    let py = transport.py();
    if transport.closed.get() {
        return Ok(boolean(py, true));
    }
    match transport.protocol(py, "_is_transport_closing")?.transport.get(py) {
        Some(below) => below.call_method0(name!("is_closing")),
        None => Ok(boolean(py, false)),
    }
}

fn reading(t: &mut Table<SslTransport>) {
    t.noargs(
        c"is_reading",
        |transport| {
            let protocol = transport.protocol(transport.py(), "_app_reading_paused")?;
            Ok(boolean(transport.py(), !protocol.app_reading_paused.get()))
        },
        "Whether the protocol gets data.",
    );
    t.action(
        c"pause_reading",
        |transport| {
            transport.protocol(transport.py(), "_pause_reading")?.app_reading_paused.set(true);
            Ok(())
        },
        "Stops calling the protocol with data.",
    );
    t.action(
        c"resume_reading",
        |transport| {
            let protocol = transport.protocol(transport.py(), "_resume_reading")?;
            if protocol.app_reading_paused.replace(false) {
                call_soon(&protocol, name!("_go_on_reading"))?;
            }
            Ok(())
        },
        "Goes on after pause_reading().",
    );
    t.command(
        &READ_LIMITS,
        |transport, args| {
            let [high, low] = args.parse(&READ_LIMITS)?;
            let protocol = transport.protocol(transport.py(), "_set_read_buffer_limits")?;
            protocol.incoming_limits.set(Limits::given(&high, &low, &limits::READING)?);
            flow::control_ssl_reading(&protocol)
        },
        "Sets the amounts of undecrypted data, in bytes, at which the transport below is paused and resumed.",
    );
    t.noargs(
        c"get_read_buffer_limits",
        |transport| {
            let protocol = transport.protocol(transport.py(), "_incoming_low_water")?;
            protocol.incoming_limits.get().as_pair(transport.py())
        },
        "The low and the high limit for reading.",
    );
    t.noargs(
        c"get_read_buffer_size",
        |transport| {
            let protocol = transport.protocol(transport.py(), "_get_read_buffer_size")?;
            let size = protocol.tls.incoming_size(transport.py())?;
            Ok(size.into_pyobject(transport.py())?.into_any())
        },
        "The number of bytes that wait to be decrypted.",
    );
}

fn writing_methods(t: &mut Table<SslTransport>) {
    t.method(
        &WRITE,
        |transport, args| write(transport, args.single(&WRITE)?),
        "Sends data, or keeps what cannot be sent at once. Does not block.",
    );
    t.method(
        &WRITELINES,
        |transport, args| {
            let [list] = args.parse(&WRITELINES)?;
            writelines(transport, &list)
        },
        "Sends several pieces of data as one.",
    );
    t.noargs(
        c"write_eof",
        |_| Err(PyNotImplementedError::new_err(())),
        "Raises NotImplementedError: TLS closes both directions together.",
    );
    t.noargs(c"can_write_eof", |transport| Ok(boolean(transport.py(), false)), "False.");
    t.command(
        &WRITE_LIMITS,
        |transport, args| {
            let [high, low] = args.parse(&WRITE_LIMITS)?;
            let protocol = transport.protocol(transport.py(), "_set_write_buffer_limits")?;
            protocol.outgoing_limits.set(Limits::given(&high, &low, &limits::WRITING)?);
            flow::control_app_writing(&protocol)
        },
        "Sets the amounts of unsent data, in bytes, at which the protocol is paused and resumed.",
    );
    t.noargs(
        c"get_write_buffer_limits",
        |transport| {
            let protocol = transport.protocol(transport.py(), "_outgoing_low_water")?;
            protocol.outgoing_limits.get().as_pair(transport.py())
        },
        "The low and the high limit for writing.",
    );
    t.noargs(
        c"get_write_buffer_size",
        |transport| {
            let protocol = transport.protocol(transport.py(), "_get_write_buffer_size")?;
            Ok(flow::write_buffer_size(&protocol)?.into_pyobject(transport.py())?.into_any())
        },
        "The number of bytes that were not handed to the transport below.",
    );
    t.action_on(
        c"_test__append_write_backlog",
        "data",
        |transport, data| {
            let protocol = transport.protocol(transport.py(), "_write_backlog")?;
            writing::append(&protocol, data.clone())
        },
        "For tests only: lets data wait as if it could not be encrypted.",
    );
    t.getter(c"_protocol_paused", |transport| {
        let protocol = transport.protocol(transport.py(), "_app_writing_paused")?;
        Ok(boolean(transport.py(), protocol.app_writing_paused.get()))
    });
}

fn life(t: &mut Table<SslTransport>) {
    t.noargs(c"close", close, "Closes the connection when everything written has been sent.");
    t.noargs(
        c"abort",
        |transport| {
            transport.as_any().call_method1(names::_force_close(transport.py()), (none(transport.py()),))
        },
        "Closes the connection at once; what has not been sent is lost.",
    );
    t.one(c"_force_close", "exc", force_close, "Closes the connection at once.");
    t.noargs(c"is_closing", is_closing, "Whether the connection is closing, or closed.");
    flags! { t: c"_closed" => closed }
    t.finalize(|transport| {
        if transport.closed.replace(true) {
            return Ok(());
        }
        let py = transport.py();
        let text = "unclosed transport <asyncio._SSLProtocolTransport object>";
        static FRAME: Frame = Frame::new(&SSLPROTO, "_SSLProtocolTransport.__del__");
        FRAME.warn(text, &py.get_type::<PyResourceWarning>(), None)
    });
}

/// Attributes of the class that are not methods: `start_tls` and `sendfile` read them.
pub fn complete(class: &Bound<'_, PyType>) -> PyResult<()> {
    class.setattr(name!("_start_tls_compatible"), true)?;
    let modes = class.py().import("asyncio.constants")?.getattr(name!("_SendfileMode"))?;
    class.setattr(name!("_sendfile_compatible"), modes.getattr(name!("FALLBACK"))?)
}

impl Class for SslTransport {
    const NAME: &'static CStr = c"yibu._SSLProtocolTransport";
    // `_extra`, `_loop`, `_protocol_paused`, `_high_water` and `_low_water` of `_FlowControlMixin`.
    type Header = AfterSlots<5>;
    const FREELIST: usize = 64;
    const STANDS_FOR_STOCK: bool = true;
    const FUNCTIONS: bool = true;

    stands_for! { SSL_TRANSPORT, stock::ssl_transport }

    fn table(t: &mut Table<Self>) {
        t.doc(c"_SSLProtocolTransport(loop, ssl_protocol)\n--\n\nThe transport of a TLS connection.");
        t.init(|transport, args, kwargs| {
            let [event_loop, protocol] = Args::parse_tuple(&NEW, args, kwargs)?;
            let Some(protocol) = Obj::<SslProtocol>::cast(&protocol) else {
                let text =
                    text!("an _SSLProtocolTransport needs an SSLProtocol of yibu, got {}", protocol.repr()?)?;
                return Err(PyTypeError::new_err(text));
            };
            transport.protocol.set(Ref::of(protocol.clone()));
            transport.event_loop.put(event_loop);
            Ok(())
        });
        t.method(
            &EXTRA,
            |transport, args| {
                let [name, default] = args.parse(&EXTRA)?;
                extra_info(&transport.protocol(transport.py(), "_get_extra_info")?, name, default)
            },
            "What is known about the connection: 'peercert', 'cipher', 'ssl_object', and what the transport below knows.",
        );
        t.command(
            &SET_PROTOCOL,
            |transport, args| {
                let [protocol] = args.parse(&SET_PROTOCOL)?;
                set_app_protocol(&transport.protocol(transport.py(), "_set_app_protocol")?, &protocol)
            },
            "Gives what is read from now on to another protocol.",
        );
        t.noargs(
            c"get_protocol",
            |transport| {
                let protocol = transport.protocol(transport.py(), "_app_protocol")?;
                Ok(protocol.app_protocol.get_or_none(transport.py()))
            },
            "The protocol; None when the connection was lost.",
        );
        t.getter(c"_loop", |transport| Ok(transport.event_loop.get_or_none(transport.py())));
        t.getter(c"_ssl_protocol", |transport| {
            Ok(transport.protocol.obj(transport.py()).map_or_else(|| none(transport.py()), Obj::into_any))
        });
        reading(t);
        writing_methods(t);
        life(t);
    }

    references! { protocol, event_loop }

    fn wants_finalizer(&self) -> bool {
        !self.closed.get()
    }
}
