//! What the running interpreter's asyncio does where bug-fix releases changed it, asked of its code.
//!
//! Asked by [`super::capture`], before `install()` replaces what is asked. Where there is nothing to ask any more, the answer is
//! the given one: that of the newest release known.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident = $ask:expr, or $newest:expr;)*) => {
        struct Answers {
            $($name: bool,)*
        }

        static ANSWERS: PyOnceLock<Answers> = PyOnceLock::new();

        fn answers(py: Python<'_>) -> &Answers {
            ANSWERS.get_or_init(py, || {
                $(let $name: fn(Python<'_>) -> PyResult<bool> = $ask;)*
                Answers { $($name: $name(py).unwrap_or($newest),)* }
            })
        }

        $(
            $(#[$doc])*
            #[inline]
            pub fn $name(py: Python<'_>) -> bool {
                answers(py).$name
            }
        )*
    };
}

answers! {
    /// Whether `create_task` hands all its keywords to a task factory; before, `name` was set afterwards.
    factory_gets_keywords = |py| takes_any_keyword(py, "asyncio.base_events", "BaseEventLoop.create_task"), or true;
    /// Whether an eager task factory hands all keywords to the class of its tasks; before, it knew two.
    eager_factory_takes_keywords = |py| takes_any_keyword(py, "asyncio.tasks", "eager_task_factory"), or cfg!(Py_3_14);
    /// Whether `start_tls` gives to TLS what a stream has read too early.
    start_tls_takes_over = |py| {
        let code = find(py, "asyncio.base_events", "BaseEventLoop.start_tls")?.getattr("__code__")?;
        code.getattr("co_consts")?.contains("_stream_reader")
    }, or false;
    /// Whether a TLS transport that is asked whether it is closing asks the transport below as well.
    tls_asks_below = |py| find(py, "asyncio.sslproto", "SSLProtocol")?.hasattr("_is_transport_closing"), or true;
    /// Whether TLS that is aborted without an exception calls `abort()` of the transport below.
    tls_aborts_below = |py| mentions(py, "asyncio.sslproto", "SSLProtocol._abort", "abort"), or false;
    /// Whether the time limit of a TLS shutdown goes on until `connection_lost`.
    tls_limits_closing =
        |py| mentions(py, "asyncio.sslproto", "SSLProtocol._on_shutdown_complete", "call_later"), or true;
    /// Whether `TaskGroup.create_task` closes the coroutine that it refuses.
    group_closes_refused = |py| mentions(py, "asyncio.taskgroups", "TaskGroup.create_task", "close"), or true;
    /// Whether `TaskGroup.create_task` deals at once with a task that is done at birth.
    group_settles_at_once = |py| {
        let mentions = |name| mentions(py, "asyncio.taskgroups", "TaskGroup.create_task", name);
        Ok(mentions("done")? && !mentions("cancel")?)
    }, or false;
    /// Whether a `TaskGroup` that was left forgets its errors and its parent task.
    group_forgets = |py| find(py, "asyncio.taskgroups", "TaskGroup")?.hasattr("_aexit"), or true;
    /// Whether chained futures are completed at once in the thread of the running loop, not of the other future's loop.
    chain_asks_for_running_loop =
        |py| mentions(py, "asyncio.futures", "_chain_future", "_get_running_loop"), or true;
    /// Whether an exception that is converted on its way between threads keeps its traceback.
    conversion_keeps_traceback =
        |py| mentions(py, "asyncio.futures", "_convert_future_exc", "with_traceback"), or true;
    /// Whether TimeoutErrors are converted too.
    conversion_of_timeouts =
        |py| mentions(py, "asyncio.futures", "_convert_future_exc", "TimeoutError"), or false;
    /// Whether a `Timeout` looks for its cancellation in the contexts of other exceptions.
    timeout_searches_contexts =
        |py| find(py, "asyncio.timeouts", "Timeout")?.hasattr("_insert_timeout_error"), or true;
    /// Whether `_wait` of a child's transport ends when the child exits; before, it ended when the pipes were closed, too.
    exit_ends_waiting =
        |py| mentions(py, "asyncio.base_subprocess", "BaseSubprocessTransport._process_exited", "_exit_waiters"), or true;
    /// Whether the pipes of a child are closed when they could not all be connected.
    lost_pipes_are_closed =
        |py| mentions(py, "asyncio.base_subprocess", "BaseSubprocessTransport._connect_pipes", "close"), or true;
    /// Whether closing a child's transport leaves the pipes alone when the loop is closed.
    closed_loops_keep_pipes =
        |py| mentions(py, "asyncio.base_subprocess", "BaseSubprocessTransport.close", "is_closed"), or true;
    /// Whether a transport closes though it may not kill its child.
    closing_needs_no_permission =
        |py| mentions(py, "asyncio.base_subprocess", "BaseSubprocessTransport.close", "PermissionError"), or true;
    /// Whether a child's transport sends signals itself, not by way of Popen.
    signals_go_by_kill =
        |py| mentions(py, "asyncio.base_subprocess", "BaseSubprocessTransport.send_signal", "kill"), or true;
    /// Whether a child that has exited gets no signals.
    signals_ask_for_exit =
        |py| mentions(py, "asyncio.base_subprocess", "BaseSubprocessTransport.send_signal", "_returncode"), or true;
    /// Whether `communicate()` closes standard input though there is nothing to write.
    communicate_closes_input =
        |py| mentions(py, "asyncio.subprocess", "Process.communicate", "stdin"), or true;
    /// Whether cancelling the start of a child waits for its end however often it is cancelled.
    start_is_undone_shielded = |py| {
        mentions(py, "asyncio.unix_events", "_UnixSelectorEventLoop._make_subprocess_transport", "shield")
    }, or true;
    /// Whether a child's transport is told of the exit at once; before, at the next turn.
    exits_are_told_at_once = |py| {
        let path = "_UnixSelectorEventLoop._child_watcher_callback";
        Ok(!mentions(py, "asyncio.unix_events", path, "call_soon_threadsafe")?)
    }, or true;
    /// Whether the threads that wait for children leave it to the loop to take note of their ends.
    children_are_reaped_by_loop = |py| {
        let public = find(py, "asyncio.unix_events", "ThreadedChildWatcher._do_waitpid").is_ok();
        let class = if public { "ThreadedChildWatcher" } else { "_ThreadedChildWatcher" };
        mentions(py, "asyncio.unix_events", &format!("{class}._do_waitpid"), "waitid")
    }, or true;
    /// Whether a coroutine of `as_completed` whose wait was given up counts as not handed out.
    as_completed_gives_turns_back =
        |py| mentions(py, "asyncio.tasks", "_AsCompletedIterator._wait_for_one", "_todo_left"), or cfg!(Py_3_13);
}

/// Asks all there is to ask.
pub(super) fn ask(py: Python<'_>) {
    answers(py);
}

/// A function or class of asyncio.
fn find<'py>(py: Python<'py>, module: &str, path: &str) -> PyResult<Bound<'py, PyAny>> {
    path.split('.').try_fold(py.import(module)?.into_any(), |object, name| object.getattr(name))
}

/// Whether a Python function has `**kwargs`.
fn takes_any_keyword(py: Python<'_>, module: &str, path: &str) -> PyResult<bool> {
    const VARKEYWORDS: u32 = 0x08;
    let flags: u32 = find(py, module, path)?.getattr("__code__")?.getattr("co_flags")?.extract()?;
    Ok(flags & VARKEYWORDS != 0)
}

/// Whether the code of a function mentions a name, also in a function within it.
fn mentions(py: Python<'_>, module: &str, path: &str, name: &str) -> PyResult<bool> {
    fn in_code(code: &Bound<'_, PyAny>, name: &str) -> PyResult<bool> {
        if code.getattr("co_names")?.contains(name)? {
            return Ok(true);
        }
        for constant in code.getattr("co_consts")?.try_iter()? {
            let constant = constant?;
            if constant.hasattr("co_names")? && in_code(&constant, name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
    in_code(&find(py, module, path)?.getattr("__code__")?, name)
}
