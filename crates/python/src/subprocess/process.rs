//! `Process`: what a program has of its child.
//!
//! Made by `creating`; called by programs. What waits for both streams at once is in `communicate`, the other
//! methods are in `methods`.

mod methods;

use pyo3::prelude::*;

use crate::attributes::write;
use crate::ffi::{Create, Obj, Slot};

/// The data of a `Process`.
#[derive(Default)]
pub struct Process {
    pub(super) transport: Slot,
    protocol: Slot,
    pub(super) event_loop: Slot,
    pub(super) stdin: Slot,
    pub(super) stdout: Slot,
    pub(super) stderr: Slot,
    pid: Slot,
    /// What was read to the end of standard output and error by a `communicate` that has not returned it.
    pub(super) outputs: [Slot; 2],
}

/// A process, made by native code.
pub(super) fn new<'py>(
    transport: Bound<'py, PyAny>,
    protocol: Bound<'py, PyAny>,
    event_loop: Bound<'py, PyAny>,
) -> PyResult<Obj<'py, Process>> {
    let process = Process::create(transport.py())?;
    init(&process, [transport, protocol, event_loop])?;
    Ok(process)
}

fn init<'py>(
    process: &Obj<'py, Process>,
    [transport, protocol, event_loop]: [Bound<'py, PyAny>; 3],
) -> PyResult<()> {
    write(&process.stdin, Some(&protocol.getattr(name!("stdin"))?))?;
    write(&process.stdout, Some(&protocol.getattr(name!("stdout"))?))?;
    write(&process.stderr, Some(&protocol.getattr(name!("stderr"))?))?;
    process.pid.put(transport.call_method0(name!("get_pid"))?);
    process.transport.put(transport);
    process.protocol.put(protocol);
    process.event_loop.put(event_loop);
    Ok(())
}

impl Process {
    fn slots(&self) -> [&Slot; 9] {
        [
            &self.transport,
            &self.protocol,
            &self.event_loop,
            &self.stdin,
            &self.stdout,
            &self.stderr,
            &self.pid,
            &self.outputs[0],
            &self.outputs[1],
        ]
    }
}
