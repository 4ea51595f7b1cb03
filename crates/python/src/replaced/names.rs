//! Whether a name of a module still means what the standard library has there, or yibu's own of that name.
//!
//! asyncio's functions look names up in their modules when they run, so what a program puts there is what
//! they use: `asyncio.tasks.Task`, `asyncio.base_events.logger`, `time.monotonic`. Native code takes its
//! short cuts as long as a [`Name`] says that no program did, which costs one comparison; what a program did
//! put there is found by looking, as in Python.
//!
//! [`capture`] remembers what the modules have before a program replaces it; called when the module is made.
//! A [`Module`] is in `modules`, how a name is looked up is in `name`, and the methods of classes are in
//! `methods`.

use pyo3::prelude::*;

use super::methods;
use super::modules;

pub use super::methods::*;
pub use super::modules::*;
pub use super::name::Name;

/// What a loop and its transports keep their entries in, and yibu's do not: not to be replaced.
pub static CONTAINERS: [&Name<2>; 4] = [&HEAPPUSH, &HEAPPOP, &DEQUE_OF_LOOPS, &DEQUE_OF_TRANSPORTS];

macro_rules! name {
    ($name:ident: $($module:ident . $attribute:ident),*) => {
        #[doc = concat!($("`", stringify!($module.$attribute), "` "),*)]
        pub static $name: Name<{ [$(stringify!($attribute)),*].len() }> =
            Name::new([$((&$module, stringify!($attribute))),*]);
    };
}

name! { OS_SENDFILE: UNIX_EVENTS.os, OS.sendfile }
name! { READ_PIPE: UNIX_EVENTS._UnixReadPipeTransport }
name! { WRITE_PIPE: UNIX_EVENTS._UnixWritePipeTransport }
name! { SELECTOR: SELECTOR_EVENTS.selectors, SELECTORS.DefaultSelector }
name! { GET_CLOCK_INFO: BASE_EVENTS.time, TIME.get_clock_info }
name! { GATHER: TASKS.gather }
name! { MONOTONIC: BASE_EVENTS.time, TIME.monotonic }
name! { TASK: BASE_EVENTS.tasks, TASKS.Task }
name! { FUTURE: BASE_EVENTS.futures, FUTURES.Future }
name! { WRAP_FUTURE: BASE_EVENTS.futures, FUTURES.wrap_future }
name! { SET_RUNNING_LOOP: BASE_EVENTS.events, EVENTS._set_running_loop }
name! { COPY_CONTEXT: CONTEXTVARS.copy_context }
name! { HANDLE: BASE_EVENTS.events, EVENTS.Handle }
#[cfg(Py_3_14)]
name! { THREADSAFE_HANDLE: BASE_EVENTS.events, EVENTS._ThreadSafeHandle }
#[cfg(not(Py_3_14))]
name! { THREADSAFE_HANDLE: BASE_EVENTS.events, EVENTS.Handle }
name! { TIMER_HANDLE: BASE_EVENTS.events, EVENTS.TimerHandle }
#[cfg(not(Py_3_12))]
name! { GET_EVENT_LOOP: EVENTS._get_event_loop }
#[cfg(Py_3_12)]
name! { GET_EVENT_LOOP: EVENTS.get_event_loop }
#[cfg(not(Py_3_12))]
name! { ENSURE_FUTURE: TASKS._ensure_future }
#[cfg(Py_3_12)]
name! { ENSURE_FUTURE: TASKS.ensure_future }
name! { RUNNER: RUNNERS.Runner }
name! { TIMEOUT: TIMEOUTS.Timeout }
name! { READER: STREAMS.StreamReader }
name! { WRITER: STREAMS.StreamWriter }
name! { READER_PROTOCOL: STREAMS.StreamReaderProtocol }
name! { SUBPROCESS_READER: SUBPROCESS.streams, STREAMS.StreamReader }
name! { SUBPROCESS_WRITER: SUBPROCESS.streams, STREAMS.StreamWriter }
name! { SUBPROCESS_PROTOCOL: SUBPROCESS.SubprocessStreamProtocol }
name! { SUBPROCESS_TRANSPORT: UNIX_EVENTS._UnixSubprocessTransport }
name! { PROCESS: SUBPROCESS.Process }
name! { SERVER: BASE_EVENTS.Server }
name! { TRANSPORT_SOCKET: SELECTOR_EVENTS.trsock, TRSOCK.TransportSocket }
name! { TRANSPORT_SOCKET_OF_SERVERS: BASE_EVENTS.trsock, TRSOCK.TransportSocket }
name! { SSL_READ_HIGH_WATER: SSLPROTO.constants, CONSTANTS.FLOW_CONTROL_HIGH_WATER_SSL_READ }
name! { SSL_WRITE_HIGH_WATER: SSLPROTO.constants, CONSTANTS.FLOW_CONTROL_HIGH_WATER_SSL_WRITE }
name! { SSL_TRANSPORT: SSLPROTO._SSLProtocolTransport }
name! { READ_PIPE_PROTOCOL: BASE_SUBPROCESS.ReadSubprocessPipeProto }
name! { WRITE_PIPE_PROTOCOL: BASE_SUBPROCESS.WriteSubprocessPipeProto }
name! { DEQUE_OF_SUBPROCESSES: BASE_SUBPROCESS.collections, COLLECTIONS.deque }
name! { DEQUE_OF_LOCKS: LOCKS.collections, COLLECTIONS.deque }
name! { DEQUE_OF_QUEUES: QUEUES.collections, COLLECTIONS.deque }
name! { EVENT_OF_QUEUES: QUEUES.locks, LOCKS.Event }
name! { LOCK: LOCKS.Lock }
name! { INTERLEAVE: BASE_EVENTS._interleave_addrinfos }
name! { SET_REUSE_PORT: BASE_EVENTS._set_reuseport }
name! { SET_NODELAY: SELECTOR_EVENTS.base_events, BASE_EVENTS._set_nodelay }
name! { CHECK_SSL_SOCKET: BASE_EVENTS._check_ssl_socket }
name! { ISCOROUTINE: BASE_EVENTS.coroutines, COROUTINES.iscoroutine }
name! { ISCOROUTINE_OF_RUNNERS: RUNNERS.coroutines, COROUTINES.iscoroutine }
name! { ISCOROUTINE_OF_SIGNALS: UNIX_EVENTS.coroutines, COROUTINES.iscoroutine }
name! { ISCOROUTINE_OF_STREAMS: STREAMS.coroutines, COROUTINES.iscoroutine }
name! { HEAPPUSH: BASE_EVENTS.heapq, HEAPQ.heappush }
name! { HEAPPOP: BASE_EVENTS.heapq, HEAPQ.heappop }
name! { DEQUE_OF_LOOPS: BASE_EVENTS.collections, COLLECTIONS.deque }
name! { DEQUE_OF_TRANSPORTS: SELECTOR_EVENTS.collections, COLLECTIONS.deque }
name! { CONDITION: LOCKS.Condition }
name! { FORMAT_CALLBACK: EVENTS.format_helpers, FORMAT_HELPERS._format_callback_source }
name! { EXTRACT_STACK: EVENTS.format_helpers, FORMAT_HELPERS.extract_stack }
name! { EXTRACT_STACK_OF_STREAMS: STREAMS.format_helpers, FORMAT_HELPERS.extract_stack }
name! { SOCKET_TRANSPORT: SELECTOR_EVENTS._SelectorSocketTransport }
name! { DATAGRAM_TRANSPORT: SELECTOR_EVENTS._SelectorDatagramTransport }
name! { SSL_PROTOCOL: SELECTOR_EVENTS.sslproto, SSLPROTO.SSLProtocol }
name! { SSL_PROTOCOL_OF_LOOPS: BASE_EVENTS.sslproto, SSLPROTO.SSLProtocol }
name! { CONCURRENT_FUTURE: TASKS.concurrent, CONCURRENT.futures, CONCURRENT_FUTURES.Future }
name! { WORKER: CONCURRENT_THREAD._worker }
name! { WORK_ITEM: CONCURRENT_THREAD._WorkItem }
name! { WORK_QUEUE: CONCURRENT_THREAD.queue, QUEUE.SimpleQueue }

/// `events.get_running_loop` and `events._get_running_loop`, as each module has them.
pub mod running_loop {
    use super::*;

    name! { OF_TASKS: TASKS.events, EVENTS.get_running_loop }
    name! { OF_TASKGROUPS: TASKGROUPS.events, EVENTS.get_running_loop }
    name! { OF_TIMEOUTS: TIMEOUTS.events, EVENTS.get_running_loop }
    name! { OF_THREADS: THREADS.events, EVENTS.get_running_loop }
    name! { OF_STREAMS: STREAMS.events, EVENTS.get_running_loop }
    name! { OF_SUBPROCESS: SUBPROCESS.events, EVENTS.get_running_loop }
    name! { OF_UNIX_EVENTS: UNIX_EVENTS.events, EVENTS.get_running_loop }
    name! { OF_MIXINS: MIXINS.events, EVENTS._get_running_loop }
    name! { OF_GATHER: TASKS.events, EVENTS._get_running_loop }
    name! { OF_STAGGERED: STAGGERED.events, EVENTS.get_running_loop }
    name! { OF_RUNNERS: RUNNERS.events, EVENTS._get_running_loop }
    name! { OF_LOOPS: BASE_EVENTS.events, EVENTS._get_running_loop }
}

/// `tasks.current_task`, as each module has it.
pub mod current_task {
    use super::*;

    name! { OF_TASKGROUPS: TASKGROUPS.tasks, TASKS.current_task }
    name! { OF_TIMEOUTS: TIMEOUTS.tasks, TASKS.current_task }
}

/// `socket.socket`, as the modules that make sockets have it.
pub mod sockets {
    use super::*;

    name! { CLASS: BASE_EVENTS.socket, SOCKET.socket }
    name! { CLASS_FOR_UNIX: UNIX_EVENTS.socket, SOCKET.socket }
    /// What `socket.accept()` makes.
    pub static CLASS_FOR_ACCEPT: Name<1> = Name::new([(&SOCKET, "socket")]);
    name! { INET_PTON: BASE_EVENTS.socket, SOCKET.inet_pton }
    name! { IPADDR_INFO: BASE_EVENTS._ipaddr_info }
    name! { GETADDRINFO: BASE_EVENTS.socket, SOCKET.getaddrinfo }
    /// What `socket.getaddrinfo` calls.
    pub static C_GETADDRINFO: Name<2> = Name::new([(&SOCKET, "_socket"), (&C_SOCKET, "getaddrinfo")]);
    name! { GETNAMEINFO: BASE_EVENTS.socket, SOCKET.getnameinfo }
}

/// Remembers what the modules and classes have. The first thing that yibu does.
pub fn capture(py: Python<'_>) -> PyResult<()> {
    modules::capture(py)?;
    methods::capture(py)
}
