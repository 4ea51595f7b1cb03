//! The objects of the standard library that must be the same in the whole process: exceptions, base classes,
//! task bookkeeping, and the formatting functions whose texts programs read. One lazy table, and one for
//! modules: nothing else imports.
//!
//! [`capture`] fills it when the module is imported, so that the entries are always the originals.

mod answers;
pub mod counterparts;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

pub use answers::*;

macro_rules! objects {
    ($all:ident: $($(#[$doc:meta])* $name:ident = $module:literal . $attr:literal;)*) => {
        fn $all(py: Python<'_>) -> PyResult<()> {
            $($name(py)?;)*
            Ok(())
        }
        $(
            $(#[$doc])*
            #[doc = concat!("\n\nThe standard library's `", $module, ".", $attr, "`.")]
            pub fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
                static OBJECT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                OBJECT
                    .get_or_try_init(py, || Ok(module(py, $module)?.getattr($attr)?.unbind()))
                    .map(|object| object.bind(py))
            }
        )*
    };
}

macro_rules! types {
    ($all:ident: $($(#[$doc:meta])* $name:ident = $module:literal . $attr:literal;)*) => {
        fn $all(py: Python<'_>) -> PyResult<()> {
            $($name(py)?;)*
            Ok(())
        }
        $(
            $(#[$doc])*
            #[doc = concat!("\n\nThe standard library's `", $module, ".", $attr, "`.")]
            pub fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
                static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
                TYPE.import(py, $module, $attr)
            }
        )*
    };
}

types! { all_types:
    cancelled_error = "asyncio.exceptions"."CancelledError";
    invalid_state_error = "asyncio.exceptions"."InvalidStateError";
    future = "asyncio.futures"."Future";
    gathering_future = "asyncio.tasks"."_GatheringFuture";
    task = "asyncio.tasks"."Task";
    timeout = "asyncio.timeouts"."Timeout";
    timeout_state = "asyncio.timeouts"."_State";
    handle = "asyncio.events"."Handle";
    timer_handle = "asyncio.events"."TimerHandle";
    /// What is between `asyncio.Transport` and the transports that write: `sendfile()` checks for it
    transport = "asyncio.transports"."_FlowControlMixin";
    read_transport = "asyncio.transports"."ReadTransport";
    datagram_transport = "asyncio.transports"."DatagramTransport";
    runner = "asyncio.runners"."Runner";
    server = "asyncio.base_events"."Server";
    /// `asyncio.mixins._LoopBoundMixin`, a base of the classes of locks and queues
    loop_bound_mixin = "asyncio.mixins"."_LoopBoundMixin";
    /// `asyncio.locks._ContextManagerMixin`, a base of the classes that `async with` takes
    context_manager_mixin = "asyncio.locks"."_ContextManagerMixin";
    lock = "asyncio.locks"."Lock";
    event = "asyncio.locks"."Event";
    condition = "asyncio.locks"."Condition";
    semaphore = "asyncio.locks"."Semaphore";
    bounded_semaphore = "asyncio.locks"."BoundedSemaphore";
    barrier = "asyncio.locks"."Barrier";
    /// What `Barrier._state` is
    barrier_state = "asyncio.locks"."_BarrierState";
    broken_barrier_error = "asyncio.exceptions"."BrokenBarrierError";
    queue = "asyncio.queues"."Queue";
    priority_queue = "asyncio.queues"."PriorityQueue";
    lifo_queue = "asyncio.queues"."LifoQueue";
    queue_empty = "asyncio.queues"."QueueEmpty";
    queue_full = "asyncio.queues"."QueueFull";
    deque = "collections"."deque";
    ssl_protocol = "asyncio.sslproto"."SSLProtocol";
    /// The transport that it makes
    ssl_transport = "asyncio.sslproto"."_SSLProtocolTransport";
    protocol = "asyncio.protocols"."Protocol";
    flow_control_mixin = "asyncio.streams"."FlowControlMixin";
    stream_reader = "asyncio.streams"."StreamReader";
    stream_reader_protocol = "asyncio.streams"."StreamReaderProtocol";
    stream_writer = "asyncio.streams"."StreamWriter";
    incomplete_read_error = "asyncio.exceptions"."IncompleteReadError";
    limit_overrun_error = "asyncio.exceptions"."LimitOverrunError";
    sendfile_not_available_error = "asyncio.exceptions"."SendfileNotAvailableError";
    unsupported_operation = "io"."UnsupportedOperation";
    base_protocol = "asyncio.protocols"."BaseProtocol";
    subprocess_protocol = "asyncio.protocols"."SubprocessProtocol";
    subprocess_transport = "asyncio.transports"."SubprocessTransport";
    read_subprocess_pipe_proto = "asyncio.base_subprocess"."ReadSubprocessPipeProto";
    write_subprocess_pipe_proto = "asyncio.base_subprocess"."WriteSubprocessPipeProto";
    /// The standard library's transport of child processes
    unix_subprocess_transport = "asyncio.unix_events"."_UnixSubprocessTransport";
    /// The standard library's event loop
    event_loop = "asyncio.unix_events"."_UnixSelectorEventLoop";
    /// Its base that knows of no selector
    base_event_loop = "asyncio.base_events"."BaseEventLoop";
    /// Its transport of sockets
    socket_transport = "asyncio.selector_events"."_SelectorSocketTransport";
    /// Its transport of datagrams
    selector_datagram_transport = "asyncio.selector_events"."_SelectorDatagramTransport";
    /// Its transport of the reading end of a pipe
    read_pipe_transport = "asyncio.unix_events"."_UnixReadPipeTransport";
    /// Its transport of the writing end of a pipe
    write_pipe_transport = "asyncio.unix_events"."_UnixWritePipeTransport";
    base_subprocess_transport = "asyncio.base_subprocess"."BaseSubprocessTransport";
    process = "asyncio.subprocess"."Process";
    subprocess_stream_protocol = "asyncio.subprocess"."SubprocessStreamProtocol";
    buffered_protocol = "asyncio.protocols"."BufferedProtocol";
    generator = "types"."GeneratorType";
    coroutine = "types"."CoroutineType";
    method = "types"."MethodType";
    default_selector = "selectors"."DefaultSelector";
    socket = "socket"."socket";
    gaierror = "socket"."gaierror";
    transport_socket = "asyncio.trsock"."TransportSocket";
    task_group = "asyncio.taskgroups"."TaskGroup";
    thread_pool_executor = "concurrent.futures"."ThreadPoolExecutor";
    /// What a `ThreadPoolExecutor` has in its queue
    work_item = "concurrent.futures.thread"."_WorkItem";
    concurrent_future = "concurrent.futures"."Future";
    concurrent_cancelled_error = "concurrent.futures"."CancelledError";
    concurrent_invalid_state_error = "concurrent.futures"."InvalidStateError";
}

objects! { all_objects:
    future_repr = "asyncio.base_futures"."_future_repr";
    task_repr = "asyncio.base_tasks"."_task_repr";
    task_get_stack = "asyncio.base_tasks"."_task_get_stack";
    task_print_stack = "asyncio.base_tasks"."_task_print_stack";
    sendfile_mode = "asyncio.constants"."_SendfileMode";
    coroutines_module = "asyncio"."coroutines";
    get_asyncgen_hooks = "sys"."get_asyncgen_hooks";
    set_asyncgen_hooks = "sys"."set_asyncgen_hooks";
    /// The module `asyncio.events`, whose functions tests and programs replace
    events_module = "asyncio"."events";
    runners_module = "asyncio"."runners";
    signal_module = "asyncio.runners"."signal";
    threading_module = "asyncio.runners"."threading";
    os_module = "asyncio.unix_events"."os";
    subprocess_module = "asyncio.base_subprocess"."subprocess";
    iscoroutine = "asyncio.coroutines"."iscoroutine";
    /// `asyncio.coroutines._iscoroutinefunction`, the check behind "coroutines cannot be used with
    /// call_soon()"
    iscoroutinefunction = "inspect"."iscoroutinefunction";
    isawaitable = "inspect"."isawaitable";
    extract_stack = "asyncio.format_helpers"."extract_stack";
    getframe = "sys"."_getframe";
    get_running_loop = "asyncio.events"."_get_running_loop";
    set_wakeup_fd = "_signal"."set_wakeup_fd";
    set_running_loop = "asyncio.events"."_set_running_loop";
    /// `asyncio.base_events._run_until_complete_cb`, by whose identity anyio finds the root task
    run_until_complete_cb = "asyncio.base_events"."_run_until_complete_cb";
    enter_task = "asyncio.tasks"."_enter_task";
    leave_task = "asyncio.tasks"."_leave_task";
    /// `concurrent.futures.thread`, whose `_python_exit` joins the workers of all pools
    concurrent_thread_module = "concurrent.futures"."thread";
    /// `logging.getLogger("concurrent.futures")`
    concurrent_logger = "concurrent.futures._base"."LOGGER";
    partial = "functools"."partial";
    af_inet = "socket"."AF_INET";
    af_inet6 = "socket"."AF_INET6";
    af_unix = "socket"."AF_UNIX";
    af_unspec = "socket"."AF_UNSPEC";
    ai_passive = "socket"."AI_PASSIVE";
    sock_dgram = "socket"."SOCK_DGRAM";
    sock_stream = "socket"."SOCK_STREAM";
    sol_socket = "socket"."SOL_SOCKET";
    so_error = "socket"."SO_ERROR";
    ni_numerichost = "socket"."NI_NUMERICHOST";
    ni_numericserv = "socket"."NI_NUMERICSERV";
    heappush = "heapq"."heappush";
    heappop = "heapq"."heappop";
    warn = "warnings"."warn";
    warnings_module = "asyncio.base_events"."warnings";
    get_coroutine_origin_tracking_depth = "sys"."get_coroutine_origin_tracking_depth";
    set_coroutine_origin_tracking_depth = "sys"."set_coroutine_origin_tracking_depth";
    builtin_id = "builtins"."id";
}

#[cfg(Py_3_13)]
types! { types_since_3_13:
    queue_shut_down = "asyncio.queues"."QueueShutDown";
}

#[cfg(Py_3_14)]
types! { newer_types:
    /// The standard library's watcher of children by descriptor
    pidfd_child_watcher = "asyncio.unix_events"."_PidfdChildWatcher";
    /// The standard library's watcher of children by thread
    threaded_child_watcher = "asyncio.unix_events"."_ThreadedChildWatcher";
    thread_safe_handle = "asyncio.events"."_ThreadSafeHandle";
    async_generator = "types"."AsyncGeneratorType";
}

#[cfg(Py_3_14)]
objects! { newest_objects:
    current_task = "asyncio.tasks"."current_task";
    future_add_to_awaited_by = "asyncio.futures"."future_add_to_awaited_by";
    future_discard_from_awaited_by = "asyncio.futures"."future_discard_from_awaited_by";
    frame_call_graph_entry = "asyncio.graph"."FrameCallGraphEntry";
    future_call_graph = "asyncio.graph"."FutureCallGraph";
    /// The standard library's `asyncio.all_tasks`, a C function
    all_tasks = "asyncio.tasks"."all_tasks";
}

#[cfg(Py_3_12)]
objects! { newer_objects:
    unix_events_module = "asyncio"."unix_events";
    can_use_pidfd = "asyncio.unix_events"."can_use_pidfd";
    swap_current_task = "asyncio.tasks"."_swap_current_task";
}

#[cfg(not(Py_3_12))]
types! { watcher_types:
    /// What a policy makes for a program that has set no watcher
    default_child_watcher = "asyncio.unix_events"."ThreadedChildWatcher";
}

#[cfg(all(Py_3_12, not(Py_3_14)))]
types! { watcher_types:
    /// What a policy makes for a program that has set no watcher, where the kernel allows it
    default_child_watcher = "asyncio.unix_events"."PidfdChildWatcher";
}

#[cfg(not(Py_3_14))]
types! { older_types:
    /// The standard library's watcher of children by descriptor
    pidfd_child_watcher = "asyncio.unix_events"."PidfdChildWatcher";
    /// The standard library's watcher of children by thread
    threaded_child_watcher = "asyncio.unix_events"."ThreadedChildWatcher";
}

#[cfg(not(Py_3_14))]
objects! { older_objects:
    get_child_watcher = "asyncio.events"."get_child_watcher";
    /// The module `asyncio.tasks`, where the tasks are that are not native
    tasks_module = "asyncio"."tasks";
}

/// Looks everything up: before `install()` replaces some of it, and because finalizers still need it when the
/// interpreter ends and imports fail.
pub fn capture(py: Python<'_>) -> PyResult<()> {
    all_types(py)?;
    all_objects(py)?;
    #[cfg(Py_3_12)]
    newer_objects(py)?;
    #[cfg(Py_3_13)]
    types_since_3_13(py)?;
    #[cfg(Py_3_14)]
    newer_types(py)?;
    #[cfg(Py_3_14)]
    newest_objects(py)?;
    #[cfg(not(Py_3_14))]
    older_objects(py)?;
    #[cfg(not(Py_3_14))]
    older_types(py)?;
    #[cfg(not(Py_3_14))]
    watcher_types(py)?;
    for name in PRELOADED {
        module(py, name)?;
    }
    answers::ask(py);
    counterparts::keep(py)
}

/// Modules that are looked up often, also by finalizers while the interpreter exits and nothing can be
/// imported. Importing asyncio has imported them; the last is of this package.
const PRELOADED: [&str; 15] = [
    "asyncio.constants",
    "asyncio.coroutines",
    "asyncio.streams",
    "asyncio.tasks",
    "builtins",
    "collections",
    "collections.abc",
    "inspect",
    "os",
    "signal",
    "socket",
    "sys",
    "threading",
    "weakref",
    "yibu.loop_internals",
];

/// `ssl.SSLObject`. A Python may have been built without that module.
pub fn ssl_object(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(py, "ssl", "SSLObject")
}

/// A module of the standard library or of this package: imported once, and kept as an `import` at the head of
/// a file keeps it.
pub fn module<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static KEPT: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let kept = KEPT.get_or_init(py, || PyDict::new(py).unbind()).bind(py);
    if let Some(module) = kept.get_item(name)? {
        return Ok(module);
    }
    let module = py.import(name)?.into_any();
    kept.set_item(name, &module)?;
    Ok(module)
}

/// The standard library's `asyncio.tasks._AsCompletedIterator`: up to 3.12 `as_completed` is a generator.
#[cfg(Py_3_13)]
pub fn as_completed_iterator(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(py, "asyncio.tasks", "_AsCompletedIterator")
}

/// `asyncio.events.get_event_loop()` as it is now: tests and programs replace it.
pub fn current_event_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    module(py, "asyncio.events")?.getattr(name!("get_event_loop"))?.call0()
}
