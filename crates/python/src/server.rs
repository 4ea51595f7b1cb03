//! `Server`: listening sockets and the connections accepted from them. `asyncio.base_events.Server`, native.

use std::ffi::CStr;

use crate::events::isinstance_class;
use crate::ffi::class::DictAndWeak;
use crate::ffi::{Class, ClassState, Slot, Table, Visitor};
use crate::stock;

/// The data of a `Server`.
#[derive(Default)]
pub struct Server {
    sockets: Slot,
}

static SERVER: ClassState = ClassState::new();

impl Class for Server {
    const NAME: &'static CStr = c"yibu.Server";
    type Header = DictAndWeak;

    fn state() -> &'static ClassState {
        &SERVER
    }

    fn table(t: &mut Table<Self>) {
        t.doc(c"Listening sockets and the connections accepted from them.");
        t.getter(c"__class__", |server| isinstance_class(server.as_any(), stock::server));
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.sockets.traverse(visitor);
    }

    fn clear(&self) {
        self.sockets.clear();
    }
}
