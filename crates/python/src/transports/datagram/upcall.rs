//! What the machine answers ([`Upcall`]) is executed here. Nothing of a machine or of the loop is borrowed
//! meanwhile, so a protocol may call its transport from anywhere.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::net::SocketAddrAny;
use yibu_engine::Lease;
use yibu_engine::transport::{Channel, Socket};

use super::by_methods::{self, Upcall, receive};
use super::data::DatagramTransport;
use super::protocol::{datagram_received, error_received, tell};
use crate::ffi::{Obj, Raised, none};
use crate::frames::Frame;
use crate::replaced::names::SELECTOR_EVENTS;
use crate::transports::closing::connection_lost;
use crate::transports::endpoint::{Transport, act, refused};
use crate::{errors, names};

/// Does everything that an upcall leads to.
pub(super) fn execute(transport: &Obj<'_, DatagramTransport>, upcall: Upcall) -> PyResult<()> {
    let mut next = Some(upcall);
    while let Some(upcall) = next {
        next = step(transport, upcall)?;
    }
    Ok(())
}

fn step(transport: &Obj<'_, DatagramTransport>, upcall: Upcall) -> PyResult<Option<Upcall>> {
    let py = transport.py();
    match upcall {
        Upcall::Received(lease, sender) => received(transport, lease, sender).map(|()| None),
        Upcall::Readable => receive(transport).map(|()| None),
        Upcall::Error(error) => {
            let error = Raised::from_err(py, errors::os_error(&error));
            error_received(transport, &error).map(|()| None)
        }
        Upcall::PauseWriting => {
            tell(transport, names::pause_writing(py), "protocol.pause_writing() failed")?;
            Ok(None)
        }
        Upcall::ResumeWriting => {
            tell(transport, names::resume_writing(py), "protocol.resume_writing() failed")?;
            act(transport, |machine, kernel| machine.end_if_sent(kernel))
        }
        Upcall::HandOver(datagram) => by_methods::hand_over(transport, datagram),
        Upcall::ConnectionLost => connection_lost(transport, &none(py)).map(|()| None),
        Upcall::LostSend(before) => {
            static FRAME: Frame = Frame::new(&SELECTOR_EVENTS, "_SelectorDatagramTransport.sendto");
            FRAME.log_lost_write(py, before, Socket::LOST_WRITE_WARNING).map(|()| None)
        }
        Upcall::Raise(error) => Err(refused(transport, &error)),
    }
}

/// Copies a datagram, gives the buffer back, and tells the protocol.
#[inline]
fn received(
    transport: &Obj<'_, DatagramTransport>,
    lease: Lease,
    sender: Option<SocketAddrAny>,
) -> PyResult<()> {
    let py = transport.py();
    let data = transport.event_loop(py)?.engine.with(|engine| {
        let data = PyBytes::new(py, engine.driver.bytes(&lease));
        engine.driver.recycle(lease);
        data
    });
    let sender = transport.peers.sender(py, sender)?;
    datagram_received(transport, data.as_any(), &sender)
}
