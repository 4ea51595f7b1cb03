//! The docstrings of a future's methods, which tasks share.

pub const RESULT: &str = "Return the result of the future.

Raises the exception that was set. Raises CancelledError when the future was cancelled, and InvalidStateError
when it is not done yet.";

pub const EXCEPTION: &str = "Return the exception that was set, or None when the future has a result.

Raises CancelledError when the future was cancelled, and InvalidStateError when it is not done yet. Who asks for the
exception is told of it: it is not logged as never retrieved any more.";

pub const ADD_DONE_CALLBACK: &str = "Have fn(future) called by the loop when the future is done.

A future that is done already calls it soon, by call_soon(). The keyword argument context is the
contextvars.Context that fn runs in; without it, a copy of the current one.";

pub const REMOVE_DONE_CALLBACK: &str = "Remove all occurrences of fn from the callbacks.

Returns how many there were.";

pub const CANCEL: &str = "Cancel the future and schedule its callbacks.

Returns True, or False when the future is done already; then nothing changes. msg becomes the argument of the
CancelledError that result(), exception() and await raise.";

pub const DONE: &str = "Return whether the future is done.

It is done when it has a result or an exception, and when it was cancelled.";
