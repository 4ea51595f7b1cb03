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
            pub fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
                static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
                TYPE.import(py, $module, $attr)
            }
        )*
    };
}

types! { all_types:
    /// `asyncio.CancelledError`
    cancelled_error = "asyncio.exceptions"."CancelledError";
    /// `asyncio.InvalidStateError`
    invalid_state_error = "asyncio.exceptions"."InvalidStateError";
    /// The standard library's `asyncio.Future`
    future = "asyncio.futures"."Future";
    /// The standard library's `asyncio.tasks._GatheringFuture`
    gathering_future = "asyncio.tasks"."_GatheringFuture";
    /// The standard library's `asyncio.Task`
    task = "asyncio.tasks"."Task";
    /// The standard library's `asyncio.Timeout`
    timeout = "asyncio.timeouts"."Timeout";
    /// `asyncio.timeouts._State`
    timeout_state = "asyncio.timeouts"."_State";
    /// The standard library's `asyncio.Handle`
    handle = "asyncio.events"."Handle";
    /// The standard library's `asyncio.TimerHandle`
    timer_handle = "asyncio.events"."TimerHandle";
    /// What is between `asyncio.Transport` and the transports that write: `sendfile()` checks for it
    transport = "asyncio.transports"."_FlowControlMixin";
    /// `asyncio.ReadTransport`
    read_transport = "asyncio.transports"."ReadTransport";
    /// `asyncio.DatagramTransport`
    datagram_transport = "asyncio.transports"."DatagramTransport";
    /// The standard library's `asyncio.Runner`
    runner = "asyncio.runners"."Runner";
    /// The standard library's `asyncio.Server`
    server = "asyncio.base_events"."Server";
    /// `asyncio.mixins._LoopBoundMixin`, a base of the classes of locks and queues
    loop_bound_mixin = "asyncio.mixins"."_LoopBoundMixin";
    /// `asyncio.locks._ContextManagerMixin`, a base of the classes that `async with` takes
    context_manager_mixin = "asyncio.locks"."_ContextManagerMixin";
    /// The standard library's `asyncio.Lock`
    lock = "asyncio.locks"."Lock";
    /// The standard library's `asyncio.Event`
    event = "asyncio.locks"."Event";
    /// The standard library's `asyncio.Condition`
    condition = "asyncio.locks"."Condition";
    /// The standard library's `asyncio.Semaphore`
    semaphore = "asyncio.locks"."Semaphore";
    /// The standard library's `asyncio.BoundedSemaphore`
    bounded_semaphore = "asyncio.locks"."BoundedSemaphore";
    /// The standard library's `asyncio.Barrier`
    barrier = "asyncio.locks"."Barrier";
    /// What `Barrier._state` is
    barrier_state = "asyncio.locks"."_BarrierState";
    /// `asyncio.BrokenBarrierError`
    broken_barrier_error = "asyncio.exceptions"."BrokenBarrierError";
    /// The standard library's `asyncio.Queue`
    queue = "asyncio.queues"."Queue";
    /// The standard library's `asyncio.PriorityQueue`
    priority_queue = "asyncio.queues"."PriorityQueue";
    /// The standard library's `asyncio.LifoQueue`
    lifo_queue = "asyncio.queues"."LifoQueue";
    /// `asyncio.QueueEmpty`
    queue_empty = "asyncio.queues"."QueueEmpty";
    /// `asyncio.QueueFull`
    queue_full = "asyncio.queues"."QueueFull";
    /// `collections.deque`
    deque = "collections"."deque";
    /// The standard library's `asyncio.sslproto.SSLProtocol`
    ssl_protocol = "asyncio.sslproto"."SSLProtocol";
    /// The transport that it makes
    ssl_transport = "asyncio.sslproto"."_SSLProtocolTransport";
    /// `asyncio.Protocol`
    protocol = "asyncio.protocols"."Protocol";
    /// The standard library's `asyncio.streams.FlowControlMixin`
    flow_control_mixin = "asyncio.streams"."FlowControlMixin";
    /// The standard library's `asyncio.StreamReader`
    stream_reader = "asyncio.streams"."StreamReader";
    /// The standard library's `asyncio.StreamReaderProtocol`
    stream_reader_protocol = "asyncio.streams"."StreamReaderProtocol";
    /// The standard library's `asyncio.StreamWriter`
    stream_writer = "asyncio.streams"."StreamWriter";
    /// `asyncio.IncompleteReadError`
    incomplete_read_error = "asyncio.exceptions"."IncompleteReadError";
    /// `asyncio.LimitOverrunError`
    limit_overrun_error = "asyncio.exceptions"."LimitOverrunError";
    /// `asyncio.SendfileNotAvailableError`
    sendfile_not_available_error = "asyncio.exceptions"."SendfileNotAvailableError";
    /// `io.UnsupportedOperation`
    unsupported_operation = "io"."UnsupportedOperation";
    /// `asyncio.BaseProtocol`
    base_protocol = "asyncio.protocols"."BaseProtocol";
    /// `asyncio.SubprocessProtocol`
    subprocess_protocol = "asyncio.protocols"."SubprocessProtocol";
    /// `asyncio.SubprocessTransport`
    subprocess_transport = "asyncio.transports"."SubprocessTransport";
    /// The standard library's `asyncio.base_subprocess.ReadSubprocessPipeProto`
    read_subprocess_pipe_proto = "asyncio.base_subprocess"."ReadSubprocessPipeProto";
    /// The standard library's `asyncio.base_subprocess.WriteSubprocessPipeProto`
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
    /// The standard library's `asyncio.base_subprocess.BaseSubprocessTransport`
    base_subprocess_transport = "asyncio.base_subprocess"."BaseSubprocessTransport";
    /// The standard library's `asyncio.subprocess.Process`
    process = "asyncio.subprocess"."Process";
    /// The standard library's `asyncio.subprocess.SubprocessStreamProtocol`
    subprocess_stream_protocol = "asyncio.subprocess"."SubprocessStreamProtocol";
    /// `asyncio.BufferedProtocol`
    buffered_protocol = "asyncio.protocols"."BufferedProtocol";
    /// `types.GeneratorType`
    generator = "types"."GeneratorType";
    /// `types.CoroutineType`
    coroutine = "types"."CoroutineType";
    /// `types.MethodType`
    method = "types"."MethodType";
    /// `selectors.DefaultSelector`
    default_selector = "selectors"."DefaultSelector";
    /// `socket.socket`
    socket = "socket"."socket";
    /// `socket.gaierror`
    gaierror = "socket"."gaierror";
    /// `asyncio.trsock.TransportSocket`
    transport_socket = "asyncio.trsock"."TransportSocket";
    /// The standard library's `asyncio.TaskGroup`
    task_group = "asyncio.taskgroups"."TaskGroup";
    /// `concurrent.futures.ThreadPoolExecutor`
    thread_pool_executor = "concurrent.futures"."ThreadPoolExecutor";
    /// What a `ThreadPoolExecutor` has in its queue
    work_item = "concurrent.futures.thread"."_WorkItem";
    /// `concurrent.futures.Future`
    concurrent_future = "concurrent.futures"."Future";
    /// `concurrent.futures.CancelledError`
    concurrent_cancelled_error = "concurrent.futures"."CancelledError";
    /// `concurrent.futures.InvalidStateError`
    concurrent_invalid_state_error = "concurrent.futures"."InvalidStateError";
}

objects! { all_objects:
    /// `asyncio.base_futures._future_repr`
    future_repr = "asyncio.base_futures"."_future_repr";
    /// `asyncio.base_tasks._task_repr`
    task_repr = "asyncio.base_tasks"."_task_repr";
    /// `asyncio.base_tasks._task_get_stack`
    task_get_stack = "asyncio.base_tasks"."_task_get_stack";
    /// `asyncio.base_tasks._task_print_stack`
    task_print_stack = "asyncio.base_tasks"."_task_print_stack";
    /// `asyncio.constants._SendfileMode`
    sendfile_mode = "asyncio.constants"."_SendfileMode";
    /// The module `asyncio.coroutines`
    coroutines_module = "asyncio"."coroutines";
    /// `sys.get_asyncgen_hooks`
    get_asyncgen_hooks = "sys"."get_asyncgen_hooks";
    /// `sys.set_asyncgen_hooks`
    set_asyncgen_hooks = "sys"."set_asyncgen_hooks";
    /// The module `asyncio.events`, whose functions tests and programs replace
    events_module = "asyncio"."events";
    /// The module `asyncio.runners`
    runners_module = "asyncio"."runners";
    /// The module `signal`
    signal_module = "asyncio.runners"."signal";
    /// The module `threading`
    threading_module = "asyncio.runners"."threading";
    /// The module `os`
    os_module = "asyncio.unix_events"."os";
    /// The module `subprocess`
    subprocess_module = "asyncio.base_subprocess"."subprocess";
    /// `asyncio.coroutines.iscoroutine`
    iscoroutine = "asyncio.coroutines"."iscoroutine";
    /// `asyncio.coroutines._iscoroutinefunction`, the check behind "coroutines cannot be used with
    /// call_soon()"
    iscoroutinefunction = "inspect"."iscoroutinefunction";
    /// `inspect.isawaitable`
    isawaitable = "inspect"."isawaitable";
    /// `asyncio.format_helpers.extract_stack`
    extract_stack = "asyncio.format_helpers"."extract_stack";
    /// `sys._getframe`
    getframe = "sys"."_getframe";
    /// `asyncio.events._get_running_loop`
    get_running_loop = "asyncio.events"."_get_running_loop";
    /// `signal.set_wakeup_fd`
    set_wakeup_fd = "_signal"."set_wakeup_fd";
    /// `asyncio.events._set_running_loop`
    set_running_loop = "asyncio.events"."_set_running_loop";
    /// `asyncio.base_events._run_until_complete_cb`, by whose identity anyio finds the root task
    run_until_complete_cb = "asyncio.base_events"."_run_until_complete_cb";
    /// `_asyncio._enter_task`
    enter_task = "asyncio.tasks"."_enter_task";
    /// `_asyncio._leave_task`
    leave_task = "asyncio.tasks"."_leave_task";
    /// `concurrent.futures.thread`, whose `_python_exit` joins the workers of all pools
    concurrent_thread_module = "concurrent.futures"."thread";
    /// `logging.getLogger("concurrent.futures")`
    concurrent_logger = "concurrent.futures._base"."LOGGER";
    /// `functools.partial`
    partial = "functools"."partial";
    /// `socket.AF_INET`
    af_inet = "socket"."AF_INET";
    /// `socket.AF_INET6`
    af_inet6 = "socket"."AF_INET6";
    /// `socket.AF_UNIX`
    af_unix = "socket"."AF_UNIX";
    /// `socket.AF_UNSPEC`
    af_unspec = "socket"."AF_UNSPEC";
    /// `socket.AI_PASSIVE`
    ai_passive = "socket"."AI_PASSIVE";
    /// `socket.SOCK_DGRAM`
    sock_dgram = "socket"."SOCK_DGRAM";
    /// `socket.SOCK_STREAM`
    sock_stream = "socket"."SOCK_STREAM";
    /// `socket.SOL_SOCKET`
    sol_socket = "socket"."SOL_SOCKET";
    /// `socket.SO_ERROR`
    so_error = "socket"."SO_ERROR";
    /// `socket.NI_NUMERICHOST`
    ni_numerichost = "socket"."NI_NUMERICHOST";
    /// `socket.NI_NUMERICSERV`
    ni_numericserv = "socket"."NI_NUMERICSERV";
    /// `heapq.heappush`
    heappush = "heapq"."heappush";
    /// `heapq.heappop`
    heappop = "heapq"."heappop";
    /// `warnings.warn`
    warn = "warnings"."warn";
    /// The module `warnings`
    warnings_module = "asyncio.base_events"."warnings";
    /// `sys.get_coroutine_origin_tracking_depth`
    get_coroutine_origin_tracking_depth = "sys"."get_coroutine_origin_tracking_depth";
    /// `sys.set_coroutine_origin_tracking_depth`
    set_coroutine_origin_tracking_depth = "sys"."set_coroutine_origin_tracking_depth";
    /// `id`
    builtin_id = "builtins"."id";
}

#[cfg(Py_3_13)]
types! { types_since_3_13:
    /// `asyncio.QueueShutDown`
    queue_shut_down = "asyncio.queues"."QueueShutDown";
}

#[cfg(Py_3_14)]
types! { newer_types:
    /// The standard library's watcher of children by descriptor
    pidfd_child_watcher = "asyncio.unix_events"."_PidfdChildWatcher";
    /// The standard library's watcher of children by thread
    threaded_child_watcher = "asyncio.unix_events"."_ThreadedChildWatcher";
    /// `asyncio.events._ThreadSafeHandle`
    thread_safe_handle = "asyncio.events"."_ThreadSafeHandle";
    /// `types.AsyncGeneratorType`
    async_generator = "types"."AsyncGeneratorType";
}

#[cfg(Py_3_14)]
objects! { newest_objects:
    /// `_asyncio.current_task`
    current_task = "asyncio.tasks"."current_task";
    /// `_asyncio.future_add_to_awaited_by`
    future_add_to_awaited_by = "asyncio.futures"."future_add_to_awaited_by";
    /// `_asyncio.future_discard_from_awaited_by`
    future_discard_from_awaited_by = "asyncio.futures"."future_discard_from_awaited_by";
    /// `asyncio.FrameCallGraphEntry`
    frame_call_graph_entry = "asyncio.graph"."FrameCallGraphEntry";
    /// `asyncio.FutureCallGraph`
    future_call_graph = "asyncio.graph"."FutureCallGraph";
    /// The standard library's `asyncio.all_tasks`, a C function
    all_tasks = "asyncio.tasks"."all_tasks";
}

#[cfg(Py_3_12)]
objects! { newer_objects:
    /// The module `asyncio.unix_events`
    unix_events_module = "asyncio"."unix_events";
    /// `asyncio.unix_events.can_use_pidfd`
    can_use_pidfd = "asyncio.unix_events"."can_use_pidfd";
    /// `_asyncio._swap_current_task`
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
    /// `asyncio.get_child_watcher`
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
