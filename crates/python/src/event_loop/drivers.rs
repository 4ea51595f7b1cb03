//! `YIBU_DRIVER`: which driver a new loop has. Called when a loop is made; calls the driver.

use std::env;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use yibu_engine::Driver;

use crate::core::EventLoop;
use crate::ffi::{Obj, Table};
use crate::frames::Frame;
use crate::replaced::names::SELECTOR_EVENTS;

use super::faults;

pub(super) fn table(t: &mut Table<EventLoop>) {
    t.getter(c"_driver", |event_loop| {
        let kind = event_loop.engine.with(|engine| engine.driver.kind());
        Ok(PyString::new(event_loop.py(), kind).into_any())
    });
}

const VARIABLE: &str = "YIBU_DRIVER";

/// What the variable says.
enum Wish {
    /// Also `auto`: in docs/decisions/0016-io-uring.md stands why.
    Epoll,
    IoUring,
    /// Something that means nothing.
    Unknown(String),
}

fn wish() -> Wish {
    let Some(value) = env::var_os(VARIABLE) else { return Wish::Epoll };
    match value.to_str() {
        Some("auto" | "epoll") => Wish::Epoll,
        Some("io_uring") => Wish::IoUring,
        _ => Wish::Unknown(value.to_string_lossy().into_owned()),
    }
}

/// The driver of a new loop: that of the variable, or epoll where the kernel refuses it.
pub(super) fn driver() -> Driver {
    let mut driver = match wish() {
        Wish::IoUring => Driver::io_uring().unwrap_or_else(|_| Driver::epoll()),
        Wish::Epoll | Wish::Unknown(_) => Driver::epoll(),
    };
    faults::inject(&mut driver);
    driver
}

/// ValueError for a value that means nothing; a line in asyncio's log, at the level of debugging, where the
/// kernel has refused what the variable asks for.
pub(super) fn report(event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    static FRAME: Frame = Frame::new(&SELECTOR_EVENTS, "BaseSelectorEventLoop.__init__");
    match wish() {
        Wish::Epoll => Ok(()),
        Wish::Unknown(value) => Err(PyValueError::new_err(text!(
            "{VARIABLE} must be 'auto', 'epoll' or 'io_uring', not {value:?}"
        )?)),
        Wish::IoUring => match Driver::io_uring() {
            Ok(_) => Ok(()),
            Err(error) => {
                let text = text!("io_uring cannot be used, the loop uses epoll: {error}")?;
                FRAME.log(event_loop.py(), "debug", (text,))
            }
        },
    }
}
