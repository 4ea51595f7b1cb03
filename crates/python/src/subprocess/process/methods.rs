//! The class `Process` and its methods.

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::{Process, init};
use crate::attributes::objects;
use crate::coroutines::{Routine, Step};
use crate::ffi::combined::Combinable;
use crate::ffi::{Args, Class, ClassState, Obj, Output, Signature, Slot, Table, Visitor, none, stands_for};
use crate::stock;
use crate::subprocess::communicate;

static PROCESS: ClassState = ClassState::new();
const INIT: Signature<3> = Signature::new_method("Process.__init__", "transport, protocol, loop");
const SEND_SIGNAL: Signature<1> = Signature::new_method("Process.send_signal", "signal");

/// A method without arguments that is the transport's.
fn pass_on<'py>(process: &Obj<'py, Process>, method: &str) -> Output<'py> {
    let py = process.py();
    process.transport.get_or_none(py).call_method0(crate::names::interned(py, method))?;
    Ok(none(py))
}

/// `wait`.
fn wait<'py>(routine: &Obj<'py, Routine>) -> PyResult<Step<'py>> {
    let py = routine.py();
    let process = routine.owner::<Process>(py)?;
    let waiting = process.transport.get_or_none(py).call_method0(name!("_wait"))?;
    Ok(Step::Await(waiting, |_, code| code.map(Step::Return)))
}

impl Class for Process {
    const NAME: &'static CStr = c"yibu.Process";
    type Header = Combinable;

    const FUNCTIONS: bool = true;

    stands_for! { PROCESS, stock::process }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Process(transport, protocol, loop)\n--\n\nA child process, with its streams.");
        t.init(|process, args, kwargs| init(process, Args::parse_tuple(&INIT, args, kwargs)?));
        t.repr(|process| {
            let class = process.as_any().get_type();
            let pid = process.pid.get_or_none(process.py());
            Ok(PyString::new(process.py(), &text!("<{} {}>", class.name()?, pid.str()?)?).into_any())
        });
        t.getter(c"returncode", |process| {
            process.transport.get_or_none(process.py()).call_method0(name!("get_returncode"))
        });
        t.noargs(
            c"wait",
            |process| Ok(Routine::begin(process.as_any(), "Process.wait", wait)?.into_any()),
            "Coroutine that waits until the child has exited, and returns its return code.",
        );
        t.command(
            &SEND_SIGNAL,
            |process, args| {
                let [number] = args.parse(&SEND_SIGNAL)?;
                process
                    .transport
                    .get_or_none(process.py())
                    .call_method1(name!("send_signal"), (number,))
                    .map(drop)
            },
            "Sends a signal to the child.",
        );
        t.noargs(c"terminate", |process| pass_on(process, "terminate"), "Asks the child to end: SIGTERM.");
        t.noargs(c"kill", |process| pass_on(process, "kill"), "Kills the child: SIGKILL.");
        communicate::table(t);
        objects! { t:
            c"_transport" => transport,
            c"_protocol" => protocol,
            c"_loop" => event_loop,
            c"stdin" => stdin,
            c"stdout" => stdout,
            c"stderr" => stderr,
            c"pid" => pid,
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.slots().into_iter().for_each(|slot| slot.traverse(visitor));
    }

    fn clear(&self) {
        self.slots().into_iter().for_each(Slot::clear);
    }
}
