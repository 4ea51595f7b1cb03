# The native module. To a type checker the native classes derive from asyncio's, because at run time
# `isinstance` says so (each answers `__class__` with the class that it stands for); what a class
# inherits by that is not repeated here. The loop's methods are asyncio's, and are all written out.

import asyncio
import ssl as _ssl
import sys
from asyncio import Runner as Runner
from asyncio import TaskGroup as TaskGroup
from asyncio import as_completed as as_completed
from asyncio import create_subprocess_exec as create_subprocess_exec
from asyncio import create_subprocess_shell as create_subprocess_shell
from asyncio import create_task as create_task
from asyncio import ensure_future as ensure_future
from asyncio import gather as gather
from asyncio import open_connection as open_connection
from asyncio import open_unix_connection as open_unix_connection
from asyncio import run_coroutine_threadsafe as run_coroutine_threadsafe
from asyncio import shield as shield
from asyncio import sleep as sleep
from asyncio import start_server as start_server
from asyncio import start_unix_server as start_unix_server
from asyncio import timeout as timeout
from asyncio import timeout_at as timeout_at
from asyncio import to_thread as to_thread
from asyncio import wait as wait
from asyncio import wait_for as wait_for
from asyncio import wrap_future as wrap_future
from asyncio.events import _ProtocolFactory, _TaskFactory
from asyncio.staggered import staggered_race as staggered_race
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import Executor
from contextvars import Context
from socket import _Address, _GetAddrInfoResult, _RetAddress, socket
from types import CodeType, FrameType, GenericAlias, TracebackType
from typing import IO, Any, ClassVar, Literal, Self, TypeAlias, TypeVar, final

from _typeshed import FileDescriptorLike, ReadableBuffer, StrPath, WriteableBuffer
from typing_extensions import TypeVarTuple, Unpack

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_Ts = TypeVarTuple("_Ts")
_ProtocolT = TypeVar("_ProtocolT", bound=asyncio.BaseProtocol)
_ExceptionContext: TypeAlias = dict[str, Any]
_ExceptionHandler: TypeAlias = Callable[[asyncio.AbstractEventLoop, _ExceptionContext], object]
_SSLContext: TypeAlias = bool | _ssl.SSLContext | None

__all__ = [
    "Barrier",
    "BaseSubprocessTransport",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "EventLoop",
    "FlowControlMixin",
    "Future",
    "Handle",
    "LifoQueue",
    "Lock",
    "NativeCoroutine",
    "PriorityQueue",
    "Process",
    "Queue",
    "ReadSubprocessPipeProto",
    "Runner",
    "SSLProtocol",
    "Semaphore",
    "Server",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "SubprocessStreamProtocol",
    "Task",
    "TaskGroup",
    "Timeout",
    "TimerHandle",
    "WriteSubprocessPipeProto",
    "_GatheringFuture",
    "_SSLProtocolTransport",
    "_SelectorDatagramTransport",
    "_SelectorSocketTransport",
    "_StepWatch",
    "_Ticker",
    "_TraceWriter",
    "_UnixReadPipeTransport",
    "_UnixSubprocessTransport",
    "_UnixWritePipeTransport",
    "__version__",
    "_chain_future",
    "_coroutine_stack",
    "_executor_jobs",
    "_faults",
    "_forget_observations",
    "_future_reactions",
    "_is_cached_to_the_end",
    "_is_cached_up_to",
    "_lock_holder",
    "_loop_transports",
    "_name_as",
    "_native_loops",
    "_native_place",
    "_native_tasks",
    "_note_ages",
    "_note_module",
    "_note_signal",
    "_observe",
    "_on_crash",
    "_on_task",
    "_open_cached",
    "_put_in_place",
    "_read_cached",
    "_routine_parts",
    "_set_installed",
    "_set_metaclass",
    "_set_result_unless_cancelled",
    "_socket_facts",
    "_stand_ins",
    "_take_cancellation",
    "_task_snapshot",
    "_thread_seconds",
    "as_completed",
    "can_use_pidfd",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "create_task",
    "ensure_future",
    "gather",
    "open_connection",
    "open_unix_connection",
    "run",
    "run_coroutine_threadsafe",
    "shield",
    "sleep",
    "staggered_race",
    "start_server",
    "start_unix_server",
    "timeout",
    "timeout_at",
    "to_thread",
    "wait",
    "wait_for",
    "wrap_future",
]

if sys.version_info >= (3, 12):
    from asyncio import eager_task_factory as eager_task_factory

    __all__ += ["eager_task_factory"]
else:
    from asyncio import current_task as current_task

    def _ensure_future(
        coro_or_future: object, *, loop: asyncio.AbstractEventLoop | None = None
    ) -> asyncio.Future[Any]: ...

    __all__ += ["_ensure_future", "current_task"]

if sys.version_info >= (3, 14):
    from asyncio import capture_call_graph as capture_call_graph
    from asyncio import format_call_graph as format_call_graph
    from asyncio import future_add_to_awaited_by as future_add_to_awaited_by
    from asyncio import future_discard_from_awaited_by as future_discard_from_awaited_by
    from asyncio import print_call_graph as print_call_graph

    class _PidfdChildWatcher:
        def add_child_handler(
            self, pid: int, callback: Callable[[int, int, Unpack[_Ts]], object], *args: *_Ts
        ) -> None: ...

    class _ThreadedChildWatcher:
        def add_child_handler(
            self, pid: int, callback: Callable[[int, int, Unpack[_Ts]], object], *args: *_Ts
        ) -> None: ...

    __all__ += ["_PidfdChildWatcher", "_ThreadedChildWatcher"]
    __all__ += ["capture_call_graph", "format_call_graph", "print_call_graph"]
    __all__ += ["future_add_to_awaited_by", "future_discard_from_awaited_by"]
else:
    from asyncio import all_tasks as all_tasks

    class _ChildWatcher:
        def add_child_handler(
            self, pid: int, callback: Callable[[int, int, Unpack[_Ts]], object], *args: *_Ts
        ) -> None: ...
        def remove_child_handler(self, pid: int) -> bool: ...
        def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None: ...
        def is_active(self) -> bool: ...
        def close(self) -> None: ...
        def __enter__(self) -> Self: ...
        def __exit__(
            self,
            exc_type: type[BaseException] | None,
            exc_value: BaseException | None,
            exc_traceback: TracebackType | None,
            /,
        ) -> None: ...

    class PidfdChildWatcher(_ChildWatcher): ...
    class ThreadedChildWatcher(_ChildWatcher): ...

    __all__ += ["PidfdChildWatcher", "ThreadedChildWatcher", "all_tasks"]

__version__: str

if sys.version_info >= (3, 12):
    def run(
        main: Coroutine[Any, Any, _T],
        *,
        debug: bool | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> _T: ...

else:
    def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T: ...

class Handle(asyncio.Handle): ...

class TimerHandle(asyncio.TimerHandle):
    def __eq__(self, value: object, /) -> bool: ...
    def __ge__(self, value: asyncio.TimerHandle, /) -> bool: ...
    def __gt__(self, value: asyncio.TimerHandle, /) -> bool: ...
    def __le__(self, value: asyncio.TimerHandle, /) -> bool: ...
    def __lt__(self, value: asyncio.TimerHandle, /) -> bool: ...

class Timeout(asyncio.Timeout): ...  # type: ignore[misc]  # final, to a type checker
class Future(asyncio.Future[_T]): ...

class _GatheringFuture(Future[list[Any]]):
    def __init__(
        self, children: Sequence[asyncio.Future[Any]], *, loop: asyncio.AbstractEventLoop
    ) -> None: ...

class Task(Future[_T_co], asyncio.Task[_T_co]): ...  # type: ignore[type-var]
class Lock(asyncio.Lock): ...
class Event(asyncio.Event): ...
class Condition(asyncio.Condition): ...
class Semaphore(asyncio.Semaphore): ...
class BoundedSemaphore(Semaphore, asyncio.BoundedSemaphore): ...
class Barrier(asyncio.Barrier): ...
class Queue(asyncio.Queue[_T]): ...
class PriorityQueue(Queue[_T], asyncio.PriorityQueue[_T]): ...  # type: ignore[type-var]
class LifoQueue(Queue[_T], asyncio.LifoQueue[_T]): ...
class StreamReader(asyncio.StreamReader): ...
class StreamWriter(asyncio.StreamWriter): ...

class FlowControlMixin(asyncio.Protocol):
    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None: ...

class StreamReaderProtocol(asyncio.StreamReaderProtocol): ...

@final
class NativeCoroutine(Coroutine[Any, Any, _T_co]):
    """What a native `async` method returns: a Rust future as a Python coroutine."""

    __name__: str
    __qualname__: str
    @property
    def cr_await(self) -> Any: ...
    @property
    def cr_code(self) -> CodeType: ...
    @property
    def cr_frame(self) -> FrameType | None: ...
    @property
    def cr_origin(self) -> tuple[tuple[str, int, str], ...] | None: ...
    @property
    def cr_running(self) -> bool: ...
    @property
    def cr_suspended(self) -> bool: ...
    def __await__(self) -> Generator[Any, Any, _T_co]: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(
        self, typ: type[BaseException] | BaseException, val: Any = None, tb: TracebackType | None = None, /
    ) -> Any: ...
    def close(self) -> None: ...
    if sys.version_info >= (3, 13):
        def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

class EventLoop:
    slow_callback_duration: float
    def _metrics(self) -> dict[str, Any]: ...
    def __init__(self, selector: object = None) -> None: ...

    # Running
    def run_forever(self) -> None: ...
    def run_until_complete(self, future: asyncio._AwaitableLike[_T]) -> _T: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...
    def is_running(self) -> bool: ...
    def is_closed(self) -> bool: ...
    async def shutdown_asyncgens(self) -> None: ...

    # Callbacks
    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> Handle: ...
    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> Handle: ...
    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle: ...
    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle: ...
    def time(self) -> float: ...

    # Futures and tasks
    def create_future(self) -> Future[Any]: ...
    if sys.version_info >= (3, 13):
        def create_task(
            self,
            coro: asyncio._CoroutineLike[_T],
            *,
            name: object = None,
            context: Context | None = None,
            eager_start: bool | None = None,
        ) -> asyncio.Task[_T]: ...
    else:
        def create_task(
            self,
            coro: asyncio._CoroutineLike[_T],
            *,
            name: object = None,
            context: Context | None = None,
        ) -> asyncio.Task[_T]: ...

    def set_task_factory(self, factory: _TaskFactory | None) -> None: ...
    def get_task_factory(self) -> _TaskFactory | None: ...

    # Exceptions and debugging
    def get_exception_handler(self) -> _ExceptionHandler | None: ...
    def set_exception_handler(self, handler: _ExceptionHandler | None) -> None: ...
    def default_exception_handler(self, context: _ExceptionContext) -> None: ...
    def call_exception_handler(self, context: _ExceptionContext) -> None: ...
    def get_debug(self) -> bool: ...
    def set_debug(self, enabled: bool) -> None: ...

    # Threads
    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]: ...
    def set_default_executor(self, executor: Executor) -> None: ...
    if sys.version_info >= (3, 12):
        async def shutdown_default_executor(self, timeout: float | None = None) -> None: ...
    else:
        async def shutdown_default_executor(self) -> None: ...

    # Names
    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> _GetAddrInfoResult: ...
    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int = 0
    ) -> tuple[str, str]: ...

    # Readiness
    def add_reader(
        self, fd: FileDescriptorLike, callback: Callable[[Unpack[_Ts]], Any], *args: *_Ts
    ) -> None: ...
    def remove_reader(self, fd: FileDescriptorLike) -> bool: ...
    def add_writer(
        self, fd: FileDescriptorLike, callback: Callable[[Unpack[_Ts]], Any], *args: *_Ts
    ) -> None: ...
    def remove_writer(self, fd: FileDescriptorLike) -> bool: ...

    # Signals
    def add_signal_handler(
        self, sig: int, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts
    ) -> None: ...
    def remove_signal_handler(self, sig: int) -> bool: ...

    # Sockets
    async def sock_recv(self, sock: socket, n: int) -> bytes: ...
    async def sock_recv_into(self, sock: socket, buf: WriteableBuffer) -> int: ...
    async def sock_recvfrom(self, sock: socket, bufsize: int) -> tuple[bytes, _RetAddress]: ...
    async def sock_recvfrom_into(
        self, sock: socket, buf: WriteableBuffer, nbytes: int = 0
    ) -> tuple[int, _RetAddress]: ...
    async def sock_sendall(self, sock: socket, data: ReadableBuffer) -> None: ...
    async def sock_sendto(self, sock: socket, data: ReadableBuffer, address: _Address) -> int: ...
    async def sock_connect(self, sock: socket, address: _Address) -> None: ...
    async def sock_accept(self, sock: socket) -> tuple[socket, _RetAddress]: ...
    async def sock_sendfile(
        self,
        sock: socket,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool | None = True,
    ) -> int: ...

    # Pipes
    async def connect_read_pipe(
        self, protocol_factory: Callable[[], _ProtocolT], pipe: Any
    ) -> tuple[asyncio.ReadTransport, _ProtocolT]: ...
    async def connect_write_pipe(
        self, protocol_factory: Callable[[], _ProtocolT], pipe: Any
    ) -> tuple[asyncio.WriteTransport, _ProtocolT]: ...

    # Connections and servers
    if sys.version_info >= (3, 12):
        async def create_connection(
            self,
            protocol_factory: Callable[[], _ProtocolT],
            host: str | None = None,
            port: int | str | None = None,
            *,
            ssl: _SSLContext = None,
            family: int = 0,
            proto: int = 0,
            flags: int = 0,
            sock: socket | None = None,
            local_addr: tuple[str, int] | None = None,
            server_hostname: str | None = None,
            ssl_handshake_timeout: float | None = None,
            ssl_shutdown_timeout: float | None = None,
            happy_eyeballs_delay: float | None = None,
            interleave: int | None = None,
            all_errors: bool = False,
        ) -> tuple[asyncio.Transport, _ProtocolT]: ...
    else:
        async def create_connection(
            self,
            protocol_factory: Callable[[], _ProtocolT],
            host: str | None = None,
            port: int | str | None = None,
            *,
            ssl: _SSLContext = None,
            family: int = 0,
            proto: int = 0,
            flags: int = 0,
            sock: socket | None = None,
            local_addr: tuple[str, int] | None = None,
            server_hostname: str | None = None,
            ssl_handshake_timeout: float | None = None,
            ssl_shutdown_timeout: float | None = None,
            happy_eyeballs_delay: float | None = None,
            interleave: int | None = None,
        ) -> tuple[asyncio.Transport, _ProtocolT]: ...

    if sys.version_info >= (3, 13):
        async def create_server(
            self,
            protocol_factory: _ProtocolFactory,
            host: str | Sequence[str] | None = None,
            port: int | str | None = None,
            *,
            family: int = ...,
            flags: int = ...,
            sock: socket | None = None,
            backlog: int = 100,
            ssl: _SSLContext = None,
            reuse_address: bool | None = None,
            reuse_port: bool | None = None,
            keep_alive: bool | None = None,
            ssl_handshake_timeout: float | None = None,
            ssl_shutdown_timeout: float | None = None,
            start_serving: bool = True,
        ) -> Server: ...
    else:
        async def create_server(
            self,
            protocol_factory: _ProtocolFactory,
            host: str | Sequence[str] | None = None,
            port: int | str | None = None,
            *,
            family: int = ...,
            flags: int = ...,
            sock: socket | None = None,
            backlog: int = 100,
            ssl: _SSLContext = None,
            reuse_address: bool | None = None,
            reuse_port: bool | None = None,
            ssl_handshake_timeout: float | None = None,
            ssl_shutdown_timeout: float | None = None,
            start_serving: bool = True,
        ) -> Server: ...

    async def connect_accepted_socket(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        sock: socket,
        *,
        ssl: _SSLContext = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _ProtocolT]: ...
    async def start_tls(
        self,
        transport: asyncio.BaseTransport,
        protocol: asyncio.BaseProtocol,
        sslcontext: _ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> asyncio.Transport | None: ...
    async def sendfile(
        self,
        transport: asyncio.WriteTransport,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool = True,
    ) -> int: ...

    # Unix sockets
    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        path: StrPath | bytes | None = None,
        *,
        ssl: _SSLContext = None,
        sock: socket | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _ProtocolT]: ...
    if sys.version_info >= (3, 13):
        async def create_unix_server(
            self,
            protocol_factory: _ProtocolFactory,
            path: StrPath | bytes | None = None,
            *,
            sock: socket | None = None,
            backlog: int = 100,
            ssl: _SSLContext = None,
            ssl_handshake_timeout: float | None = None,
            ssl_shutdown_timeout: float | None = None,
            start_serving: bool = True,
            cleanup_socket: bool = True,
        ) -> Server: ...
    else:
        async def create_unix_server(
            self,
            protocol_factory: _ProtocolFactory,
            path: StrPath | bytes | None = None,
            *,
            sock: socket | None = None,
            backlog: int = 100,
            ssl: _SSLContext = None,
            ssl_handshake_timeout: float | None = None,
            ssl_shutdown_timeout: float | None = None,
            start_serving: bool = True,
        ) -> Server: ...
    def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        local_addr: tuple[str, int] | str | None = None,
        remote_addr: tuple[str, int] | str | None = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: socket | None = None,
    ) -> Coroutine[Any, Any, tuple[asyncio.DatagramTransport, _ProtocolT]]: ...

    # Child processes
    async def subprocess_exec(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        program: Any,
        *args: Any,
        stdin: int | IO[Any] | None = -1,
        stdout: int | IO[Any] | None = -1,
        stderr: int | IO[Any] | None = -1,
        universal_newlines: Literal[False] = False,
        shell: Literal[False] = False,
        bufsize: Literal[0] = 0,
        encoding: None = None,
        errors: None = None,
        text: Literal[False] | None = None,
        **kwargs: Any,
    ) -> tuple[asyncio.SubprocessTransport, _ProtocolT]: ...
    async def subprocess_shell(
        self,
        protocol_factory: Callable[[], _ProtocolT],
        cmd: bytes | str,
        *,
        stdin: int | IO[Any] | None = -1,
        stdout: int | IO[Any] | None = -1,
        stderr: int | IO[Any] | None = -1,
        universal_newlines: Literal[False] = False,
        shell: Literal[True] = True,
        bufsize: Literal[0] = 0,
        encoding: None = None,
        errors: None = None,
        text: Literal[False] | None = None,
        **kwargs: Any,
    ) -> tuple[asyncio.SubprocessTransport, _ProtocolT]: ...

class BaseSubprocessTransport(asyncio.SubprocessTransport):
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.SubprocessProtocol,
        args: Any,
        shell: bool,
        stdin: int | IO[Any] | None,
        stdout: int | IO[Any] | None,
        stderr: int | IO[Any] | None,
        bufsize: int,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None: ...

class _UnixSubprocessTransport(BaseSubprocessTransport): ...

class WriteSubprocessPipeProto(asyncio.BaseProtocol):
    proc: Any
    fd: int
    pipe: asyncio.BaseTransport | None
    disconnected: bool
    def __init__(self, proc: asyncio.SubprocessTransport, fd: int) -> None: ...

class ReadSubprocessPipeProto(WriteSubprocessPipeProto, asyncio.Protocol):
    def data_received(self, data: bytes, /) -> None: ...

def can_use_pidfd() -> bool: ...

class Process(asyncio.subprocess.Process): ...

class SubprocessStreamProtocol(FlowControlMixin, asyncio.SubprocessProtocol):
    stdin: asyncio.StreamWriter | None
    stdout: asyncio.StreamReader | None
    stderr: asyncio.StreamReader | None
    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None: ...

class Server(asyncio.Server): ...

class _SelectorSocketTransport(asyncio.Transport):
    if sys.version_info >= (3, 15):
        def __init__(
            self,
            loop: asyncio.AbstractEventLoop,
            sock: socket,
            protocol: asyncio.BaseProtocol,
            waiter: asyncio.Future[None] | None = None,
            extra: dict[str, Any] | None = None,
            server: asyncio.AbstractServer | None = None,
            context: Context | None = None,
        ) -> None: ...
    else:
        def __init__(
            self,
            loop: asyncio.AbstractEventLoop,
            sock: socket,
            protocol: asyncio.BaseProtocol,
            waiter: asyncio.Future[None] | None = None,
            extra: dict[str, Any] | None = None,
            server: asyncio.AbstractServer | None = None,
        ) -> None: ...

class _SelectorDatagramTransport(asyncio.Transport, asyncio.DatagramTransport):
    max_size: ClassVar[int]
    if sys.version_info >= (3, 13):
        _header_size: ClassVar[int]
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket,
        protocol: asyncio.BaseProtocol,
        address: tuple[Any, ...] | str | bytes | None = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...

class _UnixReadPipeTransport(asyncio.ReadTransport):
    max_size: ClassVar[int]
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...

class _UnixWritePipeTransport(asyncio.Transport):
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...

class SSLProtocol(asyncio.BufferedProtocol):
    max_size: ClassVar[int]
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        app_protocol: asyncio.BaseProtocol,
        sslcontext: _ssl.SSLContext | None,
        waiter: asyncio.Future[None] | None,
        server_side: bool = False,
        server_hostname: str | None = None,
        call_connection_made: bool = True,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None: ...
    def data_received(self, data: bytes, /) -> None: ...
    def get_buffer(self, n: int) -> memoryview: ...
    def buffer_updated(self, nbytes: int) -> None: ...

class _SSLProtocolTransport(asyncio.Transport):
    def __init__(self, loop: asyncio.AbstractEventLoop, ssl_protocol: SSLProtocol) -> None: ...
    def set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def get_read_buffer_limits(self) -> tuple[int, int]: ...
    def get_read_buffer_size(self) -> int: ...

@final
class _StepWatch:
    def __init__(self, threshold: float) -> None: ...
    # The loop, the number of the step, and for how many seconds the step has been running. Then None when the
    # step has ended, else whether the step still runs, the identity of its thread, its task, what the thread
    # does ("runs", "futex", "blocked" or "unknown"), how long the caller waited for the interpreter, the time
    # since the last sample, and how much processor time the thread has used in it, and which other threads,
    # by native identity.
    def wait(
        self,
    ) -> (
        list[
            tuple[
                asyncio.AbstractEventLoop,
                int,
                float,
                tuple[
                    bool,
                    int,
                    asyncio.Task[Any] | None,
                    str,
                    float,
                    float,
                    float | None,
                    list[tuple[int, float]],
                ]
                | None,
            ]
        ]
        | None
    ): ...
    def stop(self) -> None: ...

@final
class _Ticker:
    def __init__(self) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...

@final
class _TraceWriter:
    def __init__(self, fd: int, records: int, process: int, program: str) -> None: ...
    def begin(self) -> None: ...
    def end(self) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def finish(self) -> tuple[int, int]: ...

def _observe(slow: float) -> None: ...
def _forget_observations() -> None: ...
def _chain_future(source: object, destination: object) -> None: ...
def _faults(
    seed: int = 0,
    *,
    again: int = 0,
    short_read: int = 0,
    short_write: int = 0,
    reset: int = 0,
    no_buffers: int = 0,
    no_descriptors: int = 0,
    spurious: int = 0,
) -> int: ...
def _coroutine_stack(coroutine: object) -> tuple[tuple[Any, Any, Any], ...]: ...
def _executor_jobs() -> list[tuple[Any, Any, bool]]: ...
def _future_reactions(future: object) -> list[tuple[str, Any]]: ...
def _stand_ins(future: object) -> list[tuple[str, int, int, int | None, list[Any]]]: ...
def _is_cached_to_the_end(descriptor: int) -> bool | None: ...
def _is_cached_up_to(descriptor: int, end: int, more: int) -> bool | None: ...
def _lock_holder(lock: object) -> tuple[Callable[[], Task[Any] | None], float] | None: ...
def _loop_transports(loop: object) -> list[tuple[int, Any]]: ...
def _native_loops() -> list[tuple[EventLoop, int, tuple[int, int, int] | None]]: ...
def _native_place(name: str, awaited: str | None, waits: bool) -> tuple[str, int, str] | None: ...
def _native_tasks() -> list[Task[Any]]: ...
def _note_ages(wanted: bool) -> None: ...
def _read_cached(descriptor: int, length: int, offset: int) -> bytes | None: ...
def _routine_parts(object: object) -> tuple[Any, Any, Any, Any] | None: ...
def _socket_facts(
    descriptor: int,
) -> tuple[int, bool, Any, Any, int | None, int | None] | None: ...
def _task_snapshot(tasks: list[Task[Any]], held: int) -> list[tuple[Any, ...]]: ...
def _thread_seconds(native_id: int) -> float | None: ...
def _on_task(function: Callable[[Task[Any], Context, bool], object] | None) -> None: ...
def _on_crash(function: Callable[[], object] | None) -> None: ...
def _open_cached(path: bytes) -> int | None: ...
def _name_as(class_: type, stock: type) -> None: ...
def _put_in_place(class_: type, in_place: bool) -> None: ...
def _set_installed(installed: bool) -> None: ...
def _set_metaclass(class_: type, metaclass: type) -> type: ...
def _note_signal(signum: int, frame: FrameType | None) -> None: ...
def _take_cancellation(task: object) -> bool: ...
def _set_result_unless_cancelled(fut: asyncio.Future[_T], result: _T) -> None: ...
def _note_module(name: str, names: dict[str, Any]) -> None: ...
