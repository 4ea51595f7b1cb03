//! The docstrings of what a task has beyond a future.

pub const CANCEL: &str = "Ask the task to cancel itself.

At the task's next step its coroutine gets a CancelledError where it waits, with msg as its argument. The coroutine may
clean up in try/except/finally, and may even refuse by catching the error: then the task is not cancelled, though
that is unusual, and cancelling() still counts the request. A task that waits for a future cancels that future.

Returns True, or False when the task is done already. The task is not cancelled() when this returns: it is after
its coroutine has ended with the CancelledError.";

pub const CANCELLING: &str = "Return how many requests to cancel the task were not taken back.

cancel() adds one, uncancel() takes one back.";

pub const UNCANCEL: &str = "Take one request to cancel the task back.

Who has called cancel(), caught the CancelledError and wants the task to go on calls it. Returns how many requests are
left; 0 means that no other request is left, so the task may go on.";

pub const GET_STACK: &str = "Return the list of stack frames of the task's coroutine.

A task that waits has one frame, where its coroutine waits. A task that was cancelled or has its result has none. A task
that failed has the frames of the exception's traceback. The oldest frame comes first.

limit bounds the number of frames: the newest of a stack, the oldest of a traceback, as the traceback module has it.
Without it all are returned.";

pub const PRINT_STACK: &str = "Print the stack of the task's coroutine, or the traceback of its exception.

The output is that of the traceback module for the frames of get_stack(limit=limit). file is what is written to;
sys.stderr without it.";
