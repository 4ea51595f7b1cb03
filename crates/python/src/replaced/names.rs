//! Whether a name of a module still means what the standard library has there, or yibu's own of that name.
//!
//! asyncio's functions look names up in their modules when they run, so what a program puts there is what they use:
//! `asyncio.tasks.Task`, `asyncio.base_events.logger`, `time.monotonic`. Native code takes its short cuts as long as a [`Name`]
//! says that nobody did, which costs one comparison; what a program did put there is found by looking, as in Python.
//!
//! [`capture`] remembers what the modules have before anybody replaces it; called by [`crate::stock`].

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pyo3::exceptions::{PyAttributeError, PyNameError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};

use crate::ffi::originals::{self, INIT, NOT_CALLED};
use crate::ffi::versions::Finding;
use crate::ffi::{Args, Class, Output, Signature, make, none, versions};
use crate::functions;
use crate::stock;

/// A module as its own functions see it: whatever `sys.modules` has under its name, they keep their globals.
pub struct Module {
    name: &'static str,
    /// Its names now, and when yibu was imported.
    names: PyOnceLock<(Py<PyDict>, Py<PyDict>)>,
    /// Yibu's module of that name, where that is one of its own: `import yibu as asyncio`.
    /// Its names now, and when it was made.
    twin: PyOnceLock<(Py<PyDict>, Py<PyDict>)>,
}

impl Module {
    const fn new(name: &'static str) -> Self {
        Self { name, names: PyOnceLock::new(), twin: PyOnceLock::new() }
    }

    fn capture(&self, py: Python<'_>) -> PyResult<()> {
        let dict = crate::stock::module(py, self.name)?.cast_into::<PyModule>()?.dict();
        versions::watch(&dict)?;
        let originals = dict.copy()?;
        // A module has one dict for life, and this is the only one who sets it.
        let _ = self.names.set(py, (dict.unbind(), originals.unbind()));
        Ok(())
    }

    #[inline(always)]
    pub(super) fn dict(&self, py: Python<'_>) -> Option<&Py<PyDict>> {
        self.names.get(py).map(|(dict, _)| dict)
    }

    /// What a name means now, and whether that is something of the program's own; `None` where there is no such name.
    fn look<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<(Bound<'py, PyAny>, bool)>> {
        let Some((dict, originals)) = self.names.get(py) else { return Ok(None) };
        let name = make::text(py, name)?;
        let original = originals.bind(py).get_item(&name)?;
        let native = native(py, &name)?;
        let usual = |value: &Bound<'py, PyAny>| {
            [&original, &native].into_iter().flatten().any(|known| value.is(known))
        };
        let value = dict.bind(py).get_item(&name)?;
        if let Some(value) = &value
            && usual(value)
            && let Some((twin, made)) = self.twin.get(py)
            && let Some(theirs) = twin.bind(py).get_item(&name)?
            && !usual(&theirs)
            && !made.bind(py).get_item(&name)?.is_some_and(|made| made.is(&theirs))
        {
            return Ok(Some((theirs, true)));
        }
        Ok(value.map(|value| {
            let replaced = !usual(&value);
            (value, replaced)
        }))
    }

    /// What it had under a name when yibu was imported.
    pub(super) fn original<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.names.get(py) {
            Some((_, originals)) => originals.bind(py).get_item(name),
            None => Ok(None),
        }
    }

    /// Whether its functions find something else under a name that it had, or nothing.
    pub(super) fn lacks_its_own(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        let Some((dict, originals)) = self.names.get(py) else { return Ok(false) };
        let name = make::text(py, name)?;
        let Some(value) = dict.bind(py).get_item(&name)? else { return Ok(true) };
        Ok(!originals.bind(py).get_item(&name)?.is_some_and(|original| value.is(&original))
            && !native(py, &name)?.is_some_and(|native| value.is(&native)))
    }

    /// Its names now.
    pub fn namespace<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyDict>> {
        let dict =
            self.dict(py).ok_or_else(|| PyNameError::new_err(format!("{} was not imported", self.name)))?;
        Ok(dict.bind(py))
    }

    /// Its `logger`.
    pub fn logger<'py>(&self, py: Python<'py>) -> Output<'py> {
        self.global(py, "logger")
    }

    /// A value of `asyncio.constants`, as one of its own functions reads it.
    pub fn constant<'py>(&self, py: Python<'py>, name: &str) -> Output<'py> {
        self.global(py, "constants")?.getattr(name)
    }

    /// What a name of the module means now, as one of its own functions sees it: NameError where there is none.
    pub fn global<'py>(&self, py: Python<'py>, name: &str) -> Output<'py> {
        match self.look(py, name)? {
            Some((value, _)) => Ok(value),
            None => Err(PyNameError::new_err(format!("name '{name}' is not defined"))),
        }
    }
}

/// What yibu has under a name.
fn native<'py>(py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    static NATIVES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let natives = match NATIVES.get(py) {
        Some(natives) => natives.bind(py),
        // While the module is being made nobody has put its content anywhere.
        None => match crate::stock::module(py, "sys")?
            .getattr(name!("modules"))?
            .cast_into::<PyDict>()?
            .get_item("yibu._yibu")?
        {
            Some(module) => {
                let dict = module.cast_into::<PyModule>()?.dict().unbind();
                NATIVES.get_or_init(py, || dict).bind(py)
            }
            None => return Ok(None),
        },
    };
    natives.get_item(name)
}

/// A name of a module, and where that is a module, a name there: `["base_events.time", "time.monotonic"]`.
pub struct Name<const N: usize> {
    steps: [(&'static Module, &'static str); N],
    /// The version of the modules in which it was found to be the usual one.
    verified: AtomicU64,
}

impl<const N: usize> Name<N> {
    pub const fn new(steps: [(&'static Module, &'static str); N]) -> Self {
        // No version is this one.
        Self { steps, verified: AtomicU64::new(u64::MAX) }
    }

    #[inline(always)]
    fn version(&self, py: Python<'_>) -> u64 {
        versions::version(
            self.steps
                .iter()
                .flat_map(|(module, _)| [module.dict(py), module.twin.get(py).map(|(twin, _)| twin)]),
        )
    }

    /// What the program has put in its place, if it did.
    #[inline]
    pub fn replacement<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.is_verified(py) { Ok(None) } else { self.find(py) }
    }

    /// Whether the program has put something in its place, or taken it away.
    #[inline]
    pub fn is_replaced(&self, py: Python<'_>) -> bool {
        !self.is_verified(py) && !matches!(self.find(py), Ok(None))
    }

    #[inline(always)]
    fn is_verified(&self, py: Python<'_>) -> bool {
        self.verified.load(Ordering::Relaxed) == self.version(py)
    }

    #[cold]
    fn find<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // Before looking: what changes meanwhile is noticed next time.
        let version = self.version(py);
        for (index, (module, name)) in self.steps.iter().enumerate() {
            match module.look(py, name)? {
                Some((_, false)) => {}
                Some((mut value, true)) => {
                    for (_, name) in &self.steps[index + 1..] {
                        value = value.getattr(*name)?;
                    }
                    return Ok(Some(value));
                }
                None if index == 0 => {
                    return Err(PyNameError::new_err(format!("name '{name}' is not defined")));
                }
                None => {
                    let text = format!("module '{}' has no attribute '{name}'", module.name);
                    return Err(PyAttributeError::new_err(text));
                }
            }
        }
        self.verified.store(version, Ordering::Relaxed);
        Ok(None)
    }

    /// What makes objects where this is the name of native class `T`, if native code must not: another class, or that class
    /// because `__init__` of it is replaced, or a method that makes it refuse.
    #[inline]
    pub fn maker<'py, T: Class>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.replacement(py)? {
            None if originals::replaced_in::<T>(py) & (INIT | NOT_CALLED) != 0 => {
                Ok(Some(T::class(py).into_any()))
            }
            class => Ok(class),
        }
    }

    /// Whether there is such a maker.
    #[inline]
    pub fn has_maker<T: Class>(&self, py: Python<'_>) -> bool {
        self.is_replaced(py) || originals::replaced_in::<T>(py) & (INIT | NOT_CALLED) != 0
    }

    /// How asyncio's code spells it.
    pub fn text(&self) -> String {
        let names = self.steps.iter().map(|(_, name)| *name);
        format!("{}.{}", self.steps[0].0.name, names.collect::<Vec<_>>().join("."))
    }

    /// What it means now.
    pub fn current<'py>(&self, py: Python<'py>) -> Output<'py> {
        if let Some(value) = self.replacement(py)? {
            return Ok(value);
        }
        let (module, name) = self.steps[N - 1];
        module.global(py, name)
    }
}

/// What a loop and its transports keep their entries in, and yibu's do not: not to be replaced.
pub static CONTAINERS: [&Name<2>; 4] = [&HEAPPUSH, &HEAPPOP, &DEQUE_OF_LOOPS, &DEQUE_OF_TRANSPORTS];

/// Methods of a class of the standard library that native code stands in for.
pub struct Methods {
    class: fn(Python<'_>) -> PyResult<&Bound<'_, PyType>>,
    names: &'static [&'static str],
    originals: PyOnceLock<Vec<Py<PyAny>>>,
    /// The version of the class in which all were found to be the usual ones; 0 for none.
    verified: AtomicU32,
    /// The same while nothing has changed anywhere.
    found_usual: Finding,
}

impl Methods {
    const fn new(
        class: fn(Python<'_>) -> PyResult<&Bound<'_, PyType>>,
        names: &'static [&'static str],
    ) -> Self {
        Self {
            class,
            names,
            originals: PyOnceLock::new(),
            verified: AtomicU32::new(0),
            found_usual: Finding::new(),
        }
    }

    fn found(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let class = (self.class)(py)?;
        self.names.iter().map(|name| class.getattr(*name).map(Bound::unbind)).collect()
    }

    /// Whether the class has them all as it came.
    #[inline(always)]
    pub fn are_original(&self, py: Python<'_>) -> PyResult<bool> {
        if self.found_usual.holds() { Ok(true) } else { self.look(py) }
    }

    #[inline(never)]
    fn look(&self, py: Python<'_>) -> PyResult<bool> {
        let changes = versions::changes();
        let original = self.compare_versions(py)?;
        if original {
            let mut bases = (self.class)(py)?.mro().iter();
            if bases.all(|base| base.cast::<PyType>().is_ok_and(versions::watch_class)) {
                self.found_usual.set(changes);
            }
        }
        Ok(original)
    }

    fn compare_versions(&self, py: Python<'_>) -> PyResult<bool> {
        let version = versions::class_version((self.class)(py)?);
        match version {
            Some(version) if version == self.verified.load(Ordering::Relaxed) => Ok(true),
            _ => self.compare(py),
        }
    }

    #[cold]
    fn compare(&self, py: Python<'_>) -> PyResult<bool> {
        let found = self.found(py)?;
        let originals = self.originals.get(py).map(Vec::as_slice).unwrap_or_default();
        let same = found.len() == originals.len() && found.iter().zip(originals).all(|(a, b)| a.is(b));
        // The lookups have given the class a version.
        let version = versions::class_version((self.class)(py)?).filter(|_| same);
        self.verified.store(version.unwrap_or(0), Ordering::Relaxed);
        Ok(same)
    }
}

macro_rules! modules {
    ($($name:ident = $path:literal;)*) => {
        $(#[doc = concat!("`", $path, "`")] pub static $name: Module = Module::new($path);)*
        /// All of them.
        pub(super) const MODULES: &[&Module] = &[$(&$name),*];
    };
}

modules! {
    BASE_EVENTS = "asyncio.base_events";
    BASE_SUBPROCESS = "asyncio.base_subprocess";
    COLLECTIONS = "collections";
    CONSTANTS = "asyncio.constants";
    COROUTINES = "asyncio.coroutines";
    EVENTS = "asyncio.events";
    FORMAT_HELPERS = "asyncio.format_helpers";
    HEAPQ = "heapq";
    FUTURES = "asyncio.futures";
    LOCKS = "asyncio.locks";
    MIXINS = "asyncio.mixins";
    QUEUES = "asyncio.queues";
    RUNNERS = "asyncio.runners";
    SELECTOR_EVENTS = "asyncio.selector_events";
    SELECTORS = "selectors";
    SSLPROTO = "asyncio.sslproto";
    STAGGERED = "asyncio.staggered";
    STREAMS = "asyncio.streams";
    SUBPROCESS = "asyncio.subprocess";
    TASKGROUPS = "asyncio.taskgroups";
    TASKS = "asyncio.tasks";
    THREADS = "asyncio.threads";
    TIMEOUTS = "asyncio.timeouts";
    TRSOCK = "asyncio.trsock";
    UNIX_EVENTS = "asyncio.unix_events";
    CONCURRENT_THREAD = "concurrent.futures.thread";
    CONTEXTVARS = "contextvars";
    OS = "os";
    SOCKET = "socket";
    TIME = "time";
}

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
name! { WORKER: CONCURRENT_THREAD._worker }
name! { WORK_ITEM: CONCURRENT_THREAD._WorkItem }

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
    name! { GETNAMEINFO: BASE_EVENTS.socket, SOCKET.getnameinfo }
}

/// What connections and the loop's `sock_` methods do with a socket without asking its methods.
pub static SOCKET_METHODS: Methods = Methods::new(
    stock::socket,
    &[
        "accept",
        "close",
        "detach",
        "fileno",
        "getsockopt",
        "recv",
        "recv_into",
        "recvfrom",
        "recvfrom_into",
        "recvmsg",
        "send",
        "sendall",
        "sendmsg",
        "sendto",
        "setsockopt",
        "shutdown",
    ],
);

/// What a TLS connection does without asking the methods of its `ssl.SSLObject`.
pub static TLS_METHODS: Methods = Methods::new(stock::ssl_object, &["read", "write", "pending"]);

/// What the loop does in place of a selector.
pub static SELECTOR_METHODS: Methods = Methods::new(
    stock::default_selector,
    &["__init__", "close", "modify", "register", "select", "unregister"],
);
/// What the loop does with what a selector gives.
pub static PROCESS_EVENTS: Methods = Methods::new(stock::event_loop, &["_process_events"]);

/// What the native pool does in place of a `ThreadPoolExecutor`.
pub static EXECUTOR_METHODS: Methods =
    Methods::new(stock::thread_pool_executor, &["__init__", "submit", "_adjust_thread_count", "shutdown"]);

/// What a worker of the native pool does in place of a `_WorkItem`.
pub static WORK_METHODS: Methods = Methods::new(stock::work_item, &["__init__", "run"]);

const TWIN: Signature<2> = Signature::new("_twin", "name, names");

/// `_twin(name, names)`: yibu's own module of that name, in which a program may put things, too.
fn twin<'py>(args: Args<'_, 'py>) -> Output<'py> {
    let py = args.py();
    let [name, names] = args.parse(&TWIN)?;
    let (name, names) = (name.extract::<String>()?, names.cast_into::<PyDict>()?);
    if let Some(module) = MODULES.iter().find(|module| module.name == name) {
        versions::watch(&names)?;
        let made = names.copy()?.unbind();
        module.twin.get_or_init(py, || (names.unbind(), made));
    }
    Ok(none(py))
}

/// Adds the function by which the package names its modules.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = "Notes the names of yibu's own copy of a module of asyncio.";
    functions::add(module, &TWIN, twin, doc)
}

/// Remembers what the modules have. The first thing that yibu does.
pub fn capture(py: Python<'_>) -> PyResult<()> {
    for module in MODULES {
        module.capture(py)?;
    }
    for methods in [&SOCKET_METHODS, &SELECTOR_METHODS, &PROCESS_EVENTS, &EXECUTOR_METHODS, &WORK_METHODS] {
        let originals = methods.found(py)?;
        methods.originals.get_or_init(py, || originals);
    }
    // A Python may have been built without `ssl`.
    if let Ok(originals) = TLS_METHODS.found(py) {
        TLS_METHODS.originals.get_or_init(py, || originals);
    }
    Ok(())
}
