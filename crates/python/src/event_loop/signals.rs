//! Unix signals: `add_signal_handler`, `remove_signal_handler`.

use pyo3::prelude::*;

use super::EventLoop;
use crate::ffi::Obj;

/// Takes every handler of the loop away: the loop closes.
pub(super) fn remove_all(_event_loop: &Obj<'_, EventLoop>) -> PyResult<()> {
    Ok(())
}
