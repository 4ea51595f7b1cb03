//! What Python code calls to end a connection.

use super::data::SocketTransport;
use crate::ffi::{Signature, Table, none};
use crate::transports::closing::{abort_table, common_table, fail, force_close};

const FATAL_ERROR: Signature<2> =
    Signature::new("_SelectorSocketTransport._fatal_error", "exc, message='Fatal error on transport'");

pub(super) fn table(t: &mut Table<SocketTransport>) {
    common_table(t);
    abort_table(t);
    t.one(
        c"_force_close",
        "exc",
        |transport, error| {
            force_close(transport, error)?;
            Ok(none(transport.py()))
        },
        "Closes the connection at once; connection_lost() gets the exception.",
    );
    t.method(
        &FATAL_ERROR,
        |transport, args| {
            let [error, message] = args.parse(&FATAL_ERROR)?;
            fail(transport, error, &message, "Fatal error on transport")
        },
        "Reports an exception, unless it is an OSError, and closes the connection at once.",
    );
}
