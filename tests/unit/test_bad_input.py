"""Every misuse gives asyncio's own exception, with its own text, and leaves the loop as it was."""

import asyncio
import contextlib
import functools
import operator
import pathlib
import re
import signal
import socket
import ssl
import sys

import pytest


async def coroutine_function():
    """A coroutine function, where something else was asked for."""


class World:
    """What the cases are made of: an implementation, its loop, another loop, and sockets."""

    def __init__(self, impl, loop, make_loop, stack):
        self.impl = impl
        self.loop = loop
        self.other = make_loop()
        self.future = loop.create_future()
        self.coroutine = coroutine_function()
        stack.callback(self.coroutine.close)
        self.stream = stack.enter_context(socket.socket())
        self.stream.setblocking(False)
        self.datagram = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        self.datagram.setblocking(False)
        self.closed = socket.socket()
        self.closed.setblocking(False)
        self.closed.close()
        self.text_file = stack.enter_context(pathlib.Path(__file__).open(encoding="utf-8"))  # noqa: SIM115
        self.file = stack.enter_context(pathlib.Path(__file__).open("rb"))  # noqa: SIM115


@pytest.fixture
def world(impl, loop, make_loop):
    with contextlib.ExitStack() as stack:
        yield World(impl, loop, make_loop, stack)


def cases(*rows):
    """Parametrise by rows of (name, action, exception, text); a text may show parts of the world."""
    return pytest.mark.parametrize(
        ("action", "error", "text"), [row[1:] for row in rows], ids=[row[0] for row in rows]
    )


def check(world, action, error, text):
    """Do `action`, and what it gives when that is awaitable, and compare the exception."""
    with pytest.raises(error) as caught:
        result = action(world)
        if asyncio.iscoroutine(result):
            world.loop.run_until_complete(result)
    assert type(caught.value) is error
    if text is not None:
        assert str(caught.value) == text.format(world=world)


def call(method, *arguments, **keywords):
    """Return an action that calls a method of the loop; functions of the world are called for their value."""

    def action(world):
        given = [value(world) if callable(value) and is_lazy(value) else value for value in arguments]
        named = {key: value(world) if is_lazy(value) else value for key, value in keywords.items()}
        return getattr(world.loop, method)(*given, **named)

    return action


def is_lazy(value):
    return isinstance(value, operator.attrgetter)


lazy = operator.attrgetter
create_protocol = functools.partial(asyncio.Protocol)

SCHEDULERS = {
    "call_soon": (),
    "call_soon_threadsafe": (),
    "call_later": (1000,),
    "call_at": (1000,),
    "run_in_executor": (None,),
}


class TestScheduling:
    @pytest.mark.parametrize("method", SCHEDULERS)
    @pytest.mark.parametrize("what", ["coroutine", "coroutine function"])
    def test_coroutines_in_debug_mode(self, world, method, what):
        world.loop.set_debug(True)
        callback = world.coroutine if what == "coroutine" else coroutine_function
        shown = "call_at" if method == "call_later" else method
        with pytest.raises(TypeError) as caught:
            getattr(world.loop, method)(*SCHEDULERS[method], callback)
        assert str(caught.value) == f"coroutines cannot be used with {shown}()"

    @pytest.mark.parametrize("method", SCHEDULERS)
    @pytest.mark.parametrize("value", [1, "text", None])
    def test_no_callable_in_debug_mode(self, world, method, value):
        world.loop.set_debug(True)
        shown = "call_at" if method == "call_later" else method
        with pytest.raises(TypeError) as caught:
            getattr(world.loop, method)(*SCHEDULERS[method], value)
        assert str(caught.value) == f"a callable object was expected by {shown}(), got {value!r}"

    def test_no_callable_outside_debug_mode_is_reported_when_it_is_called(self, loop, reports):
        loop.call_soon(1)
        loop.call_soon(loop.stop)
        loop.run_forever()
        (context,) = reports
        assert context["message"] == "Exception in callback 1()"
        assert str(context["exception"]) == "'int' object is not callable"

    @cases(
        ("call_later of None", call("call_later", None, print), TypeError, "delay must not be None"),
        ("call_at of None", call("call_at", None, print), TypeError, "when cannot be None"),
        (
            "call_later of text",
            call("call_later", "x", print),
            TypeError,
            "unsupported operand type(s) for +: 'float' and 'str'",
        ),
        ("call_soon of nothing", call("call_soon"), TypeError, None),
        ("call_later of nothing", call("call_later", 1), TypeError, None),
        ("call_soon with a wrong keyword", call("call_soon", print, key=1), TypeError, None),
        (
            "set_task_factory",
            call("set_task_factory", 1),
            TypeError,
            "task factory must be a callable or None",
        ),
        (
            "set_exception_handler",
            call("set_exception_handler", 1),
            TypeError,
            "A callable object or None is expected, got 1",
        ),
        (
            "set_default_executor of None",
            call("set_default_executor", None),
            TypeError,
            "executor must be ThreadPoolExecutor instance",
        ),
        (
            "set_default_executor of a number",
            call("set_default_executor", 1),
            TypeError,
            "executor must be ThreadPoolExecutor instance",
        ),
        (
            "run_in_executor of a number",
            call("run_in_executor", 1, print),
            AttributeError,
            "'int' object has no attribute 'submit'",
        ),
        ("create_task of a number", call("create_task", 1), TypeError, "a coroutine was expected, got 1"),
        (
            "create_task of a coroutine function",
            call("create_task", coroutine_function),
            TypeError,
            f"a coroutine was expected, got {coroutine_function!r}",
        ),
        (
            "create_task of a future",
            call("create_task", lazy("future")),
            TypeError,
            "a coroutine was expected, got {world.future!r}",
        ),
    )
    def test_texts(self, world, action, error, text):
        check(world, action, error, text)

    @pytest.mark.yibu_only  # stock keeps the timer, and fails at it when it runs
    def test_deadline_that_cannot_be_compared(self, loop, run):
        loop.call_at(1, int)
        with pytest.raises(TypeError):
            loop.call_at("x", print)
        assert run(asyncio.sleep(0.001, "runs")) == "runs"

    def test_negative_and_infinite_delays_are_taken(self, loop):
        for delay in (-1, -1e300, float("inf"), float("-inf")):
            loop.call_later(delay, print).cancel()

    def test_a_nan_deadline_is_taken(self, loop):
        timer = loop.call_later(float("nan"), print)
        assert timer.when() != timer.when()
        timer.cancel()

    @pytest.mark.yibu_only  # on stock the loop itself fails, or the order of other timers does
    def test_a_nan_deadline_harms_nobody(self, loop):
        called = []
        now = loop.time()
        for number in range(10):
            loop.call_later(float("nan"), int)
            loop.call_at(now + number / 1e4, called.append, number)
        loop.call_at(now + 0.002, loop.stop)
        loop.run_forever()
        assert called == list(range(10))

    @pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
    def test_sleep_of_nan(self, impl, run):
        with pytest.raises(ValueError, match=r"^Invalid delay: NaN \(not a number\)$"):
            run(impl.sleep(float("nan")))


class TestFuturesAndTasks:
    @cases(
        ("set_exception", lambda w: w.future.set_exception(1), TypeError, "invalid exception object"),
        ("result", lambda w: w.future.result(), asyncio.InvalidStateError, "Result is not set."),
        ("exception", lambda w: w.future.exception(), asyncio.InvalidStateError, "Exception is not set."),
        ("add_done_callback of nothing", lambda w: w.future.add_done_callback(), TypeError, None),
        ("cancel with two messages", lambda w: w.future.cancel(1, 2), TypeError, None),
        (
            "a loop that is none",
            lambda w: w.impl.Future(loop=1),
            AttributeError,
            "'int' object has no attribute 'get_debug'",
        ),
        (
            "a task's loop that is none",
            lambda w: w.impl.Task(w.coroutine, loop=1),
            AttributeError,
            "'int' object has no attribute 'get_debug'",
        ),
        (
            "Task of a number",
            lambda w: w.impl.Task(123, loop=w.loop),
            TypeError,
            "a coroutine was expected, got 123",
        ),
        ("Task of nothing", lambda w: w.impl.Task(loop=w.loop), TypeError, None),
        ("_state", lambda w: setattr(w.future, "_state", "x"), AttributeError, None),
        ("_loop", lambda w: setattr(w.future, "_loop", None), AttributeError, None),
        ("_result", lambda w: setattr(w.future, "_result", 1), AttributeError, None),
        ("_log_traceback", lambda w: delattr(w.future, "_log_traceback"), AttributeError, None),
        (
            "ensure_future of a number",
            lambda w: w.impl.ensure_future(1, loop=w.loop),
            TypeError,
            "An asyncio.Future, a coroutine or an awaitable is required",
        ),
        (
            "ensure_future on another loop",
            lambda w: w.impl.ensure_future(w.other.create_future(), loop=w.loop),
            ValueError,
            "The future belongs to a different loop than the one specified as the loop argument",
        ),
        (
            "run_coroutine_threadsafe of a number",
            lambda w: w.impl.run_coroutine_threadsafe(1, w.loop),
            TypeError,
            "A coroutine object is required",
        ),
        ("wait of nothing", lambda w: w.impl.wait([]), ValueError, "Set of Tasks/Futures is empty."),
        (
            "wait of coroutines",
            lambda w: w.impl.wait([w.coroutine]),
            TypeError,
            "Passing coroutines is forbidden, use tasks explicitly.",
        ),
        (
            "wait of a future",
            lambda w: w.impl.wait(w.future),
            TypeError,
            "expect a list of futures, not " + asyncio.Future.__name__,
        ),
        (
            "wait for something else",
            lambda w: w.impl.wait([w.future], return_when="NEVER"),
            ValueError,
            "Invalid return_when value: NEVER",
        ),
        ("gather of a number", lambda w: gather(w, 1), TypeError, None),
        ("sleep of text", lambda w: w.impl.sleep("x"), TypeError, None),
    )
    def test_texts(self, world, action, error, text):
        check(world, action, error, text)

    @pytest.mark.skipif(sys.version_info < (3, 15), reason="3.14 took anything")
    def test_task_context(self, impl, world):
        with pytest.raises(TypeError) as caught:
            impl.Task(world.coroutine, loop=world.loop, context=1)
        assert str(caught.value) == "a contextvars.Context was expected, got int"

    def test_future_without_a_loop(self, impl):
        asyncio.set_event_loop(None)
        with pytest.raises(RuntimeError, match=r"^There is no current event loop in thread 'MainThread'\.$"):
            impl.Future()
        coroutine = coroutine_function()
        with pytest.raises(RuntimeError, match=r"^There is no current event loop in thread 'MainThread'\.$"):
            impl.Task(coroutine)
        coroutine.close()

    def test_create_task_without_a_loop(self, impl):
        coroutine = coroutine_function()
        with pytest.raises(RuntimeError, match=r"^no running event loop$"):
            impl.create_task(coroutine)
        coroutine.close()


async def gather(world, *values):
    return await world.impl.gather(*values)


class TestRunning:
    def test_run_of_what_is_no_coroutine(self, impl):
        for value in (1, coroutine_function):
            with pytest.raises((ValueError, TypeError)) as caught:
                impl.run(value)
            if sys.version_info < (3, 14):
                assert type(caught.value) is ValueError
                assert str(caught.value) == f"a coroutine was expected, got {value!r}"
            else:
                assert type(caught.value) is TypeError
                assert str(caught.value) == "An asyncio.Future, a coroutine or an awaitable is required"

    def test_run_inside_run(self, impl):
        async def main():
            coroutine = coroutine_function()
            text = r"^asyncio.run\(\) cannot be called from a running event loop$"
            with pytest.raises(RuntimeError, match=text):
                impl.run(coroutine)
            coroutine.close()

        impl.run(main())

    def test_runner_inside_run(self, impl):
        async def main():
            coroutine, runner = coroutine_function(), impl.Runner()
            with pytest.raises(
                RuntimeError, match=r"^Runner.run\(\) cannot be called from a running event loop$"
            ):
                runner.run(coroutine)
            coroutine.close()

        impl.run(main())

    def test_closed_runner(self, impl):
        runner = impl.Runner()
        runner.get_loop()
        runner.close()
        coroutine = coroutine_function()
        with pytest.raises(RuntimeError, match=r"^Runner is closed$"):
            runner.run(coroutine)
        with pytest.raises(RuntimeError, match=r"^Runner is closed$"):
            runner.get_loop()
        coroutine.close()

    def test_set_event_loop_of_a_number(self, impl):
        text = r"^loop must be an instance of AbstractEventLoop or None, not 'int'$"
        with pytest.raises(TypeError, match=text):
            impl.set_event_loop(1)

    def test_a_loop_used_twice(self, world):
        async def main():
            with pytest.raises(RuntimeError, match=r"^Cannot close a running event loop$"):
                world.loop.close()
            with pytest.raises(RuntimeError, match=r"^This event loop is already running$"):
                world.loop.run_forever()

        if sys.version_info[:3] == (3, 13, 0) and world.impl.is_stock:
            pytest.skip("stock forgets its running loop there")
        world.loop.run_until_complete(main())


class TestSignals:
    @cases(
        ("text", call("add_signal_handler", "x", print), TypeError, "sig must be an int, not 'x'"),
        ("too large", call("add_signal_handler", 1000, print), ValueError, "invalid signal number 1000"),
        ("zero", call("add_signal_handler", 0, print), ValueError, "invalid signal number 0"),
        ("uncatchable", call("add_signal_handler", 9, print), RuntimeError, "sig 9 cannot be caught"),
        ("stop", call("add_signal_handler", signal.SIGSTOP, print), RuntimeError, None),
        (
            "coroutine",
            call("add_signal_handler", 10, lazy("coroutine")),
            TypeError,
            "coroutines cannot be used with add_signal_handler()",
        ),
        (
            "coroutine function",
            call("add_signal_handler", 10, coroutine_function),
            TypeError,
            "coroutines cannot be used with add_signal_handler()",
        ),
        ("remove text", call("remove_signal_handler", "x"), TypeError, "sig must be an int, not 'x'"),
        ("remove zero", call("remove_signal_handler", 0), ValueError, "invalid signal number 0"),
    )
    def test_texts(self, world, action, error, text):
        check(world, action, error, text)
        assert signal.set_wakeup_fd(-1) in (-1, 0) or world.loop.remove_signal_handler(10) is False


ADDRESS = ("127.0.0.1", 0)
STREAM_EXPECTED = "A Stream Socket was expected, got {world.datagram!r}"
HANDSHAKE = "ssl_handshake_timeout is only meaningful with ssl"
SHUTDOWN = "ssl_shutdown_timeout is only meaningful with ssl"


class TestConnections:
    @cases(
        (
            "nothing",
            call("create_connection", create_protocol),
            ValueError,
            "host and port was not specified and no sock specified",
        ),
        (
            "host and socket",
            call("create_connection", create_protocol, "localhost", 1, sock=lazy("stream")),
            ValueError,
            "host/port and sock can not be specified at the same time",
        ),
        (
            "datagram socket",
            call("create_connection", create_protocol, sock=lazy("datagram")),
            ValueError,
            STREAM_EXPECTED,
        ),
        (
            "server_hostname without ssl",
            call("create_connection", create_protocol, *ADDRESS, server_hostname="x"),
            ValueError,
            "server_hostname is only meaningful with ssl",
        ),
        (
            "ssl without a name",
            call("create_connection", create_protocol, sock=lazy("stream"), ssl=True),
            ValueError,
            "You must set server_hostname when using ssl without a host",
        ),
        (
            "handshake timeout without ssl",
            call("create_connection", create_protocol, *ADDRESS, ssl_handshake_timeout=1),
            ValueError,
            HANDSHAKE,
        ),
        (
            "shutdown timeout without ssl",
            call("create_connection", create_protocol, *ADDRESS, ssl_shutdown_timeout=1),
            ValueError,
            SHUTDOWN,
        ),
        (
            "a number as socket",
            call("create_connection", create_protocol, sock=1),
            AttributeError,
            "'int' object has no attribute 'type'",
        ),
        ("closed socket", call("create_connection", create_protocol, sock=lazy("closed")), OSError, None),
        (
            "accepted datagram",
            call("connect_accepted_socket", create_protocol, lazy("datagram")),
            ValueError,
            STREAM_EXPECTED,
        ),
        (
            "accepted, handshake timeout without ssl",
            call("connect_accepted_socket", create_protocol, lazy("stream"), ssl_handshake_timeout=1),
            ValueError,
            HANDSHAKE,
        ),
        (
            "accepted, shutdown timeout without ssl",
            call("connect_accepted_socket", create_protocol, lazy("stream"), ssl_shutdown_timeout=1),
            ValueError,
            SHUTDOWN,
        ),
        (
            "start_tls without a context",
            call("start_tls", 1, asyncio.Protocol(), 1),
            TypeError,
            "sslcontext is expected to be an instance of ssl.SSLContext, got 1",
        ),
        (
            "start_tls of a number",
            call("start_tls", 1, asyncio.Protocol(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
            TypeError,
            "transport 1 is not supported by start_tls()",
        ),
    )
    def test_client_texts(self, world, action, error, text):
        check(world, action, error, text)

    @cases(
        (
            "nothing",
            call("create_server", create_protocol),
            ValueError,
            "Neither host/port nor sock were specified",
        ),
        (
            "host and socket",
            call("create_server", create_protocol, "localhost", 1, sock=lazy("stream")),
            ValueError,
            "host/port and sock can not be specified at the same time",
        ),
        (
            "datagram socket",
            call("create_server", create_protocol, sock=lazy("datagram")),
            ValueError,
            STREAM_EXPECTED,
        ),
        (
            "ssl as a flag",
            call("create_server", create_protocol, *ADDRESS, ssl=True),
            TypeError,
            "ssl argument must be an SSLContext or None",
        ),
        (
            "handshake timeout without ssl",
            call("create_server", create_protocol, *ADDRESS, ssl_handshake_timeout=1),
            ValueError,
            HANDSHAKE,
        ),
        (
            "shutdown timeout without ssl",
            call("create_server", create_protocol, *ADDRESS, ssl_shutdown_timeout=1),
            ValueError,
            SHUTDOWN,
        ),
        (
            "unknown service",
            call("create_server", create_protocol, "127.0.0.1", "nosuchservice"),
            socket.gaierror,
            "[Errno -8] Servname not supported for ai_socktype",
        ),
        (
            "port out of range",
            call("create_server", create_protocol, "127.0.0.1", 99999),
            OverflowError,
            "bind(): port must be 0-65535.",
        ),
        (
            "address of another family",
            call("create_server", create_protocol, *ADDRESS, family=socket.AF_INET6),
            socket.gaierror,
            "[Errno -9] Address family for hostname not supported",
        ),
        (
            "unknown family",
            call("create_server", create_protocol, *ADDRESS, family=999),
            socket.gaierror,
            "[Errno -6] ai_family not supported",
        ),
        ("closed socket", call("create_server", create_protocol, sock=lazy("closed")), OSError, None),
    )
    def test_server_texts(self, world, action, error, text):
        check(world, action, error, text)

    @pytest.mark.yibu_only  # stock forgets the socket
    def test_backlog_that_is_no_number(self, loop, run):
        with pytest.raises(TypeError, match=r"^'str' object cannot be interpreted as an integer$"):
            run(loop.create_server(asyncio.Protocol, *ADDRESS, backlog="x"))

    def test_host_that_is_no_text(self, loop, run):
        with pytest.raises(TypeError):
            run(loop.create_server(asyncio.Protocol, 1, 0))

    def test_factory_that_is_no_callable(self, loop, run):
        async def main():
            with socket.create_server(("127.0.0.1", 0)) as listener:
                with socket.create_connection(listener.getsockname()) as sock:
                    with pytest.raises(TypeError, match=r"^'int' object is not callable$"):
                        await loop.create_connection(1, sock=sock)

        run(main())

    @cases(
        (
            "unix connection to nothing",
            call("create_unix_connection", create_protocol),
            ValueError,
            "no path and sock were specified",
        ),
        (
            "unix connection to two things",
            call("create_unix_connection", create_protocol, "p", sock=lazy("stream")),
            ValueError,
            "path and sock can not be specified at the same time",
        ),
        (
            "unix connection over TCP",
            call("create_unix_connection", create_protocol, sock=lazy("stream")),
            ValueError,
            "A UNIX Domain Stream Socket was expected, got {world.stream!r}",
        ),
        (
            "unix server at nothing",
            call("create_unix_server", create_protocol),
            ValueError,
            "path was not specified, and no sock specified",
        ),
        (
            "unix server over TCP",
            call("create_unix_server", create_protocol, sock=lazy("stream")),
            ValueError,
            "A UNIX Domain Stream Socket was expected, got {world.stream!r}",
        ),
        (
            "datagrams from nothing",
            call("create_datagram_endpoint", create_protocol),
            ValueError,
            "unexpected address family",
        ),
        (
            "datagrams over a stream",
            call("create_datagram_endpoint", create_protocol, sock=lazy("stream")),
            ValueError,
            ("A datagram" if sys.version_info >= (3, 13) else "A UDP")
            + (" socket" if sys.version_info >= (3, 13) else " Socket")
            + " was expected, got {world.stream!r}",
        ),
        (
            "datagrams with an address that is none",
            call("create_datagram_endpoint", create_protocol, local_addr="x"),
            TypeError,
            "2-tuple is expected",
        ),
    )
    def test_texts_of_the_other_kinds(self, world, action, error, text):
        check(world, action, error, text)


class TestSockets:
    @cases(
        ("negative size", call("sock_recv", lazy("stream"), -1), ValueError, "negative buffersize in recv"),
        (
            "size as text",
            call("sock_recv", lazy("stream"), "x"),
            TypeError,
            "'str' object cannot be interpreted as an integer",
        ),
        (
            "read-only buffer",
            call("sock_recv_into", lazy("stream"), b"x"),
            TypeError,
            "recv_into() argument 1 must be read-write bytes-like object, not bytes",
        ),
        (
            "text to send",
            call("sock_sendall", lazy("stream"), "x"),
            TypeError,
            "a bytes-like object is required, not 'str'",
        ),
        (
            "datagram of text",
            call("sock_sendto", lazy("datagram"), "x", ("127.0.0.1", 1)),
            TypeError,
            "a bytes-like object is required, not 'str'",
        ),
        (
            "datagram to a number",
            call("sock_sendto", lazy("datagram"), b"x", 1),
            TypeError,
            "sendto(): AF_INET address must be tuple, not int",
        ),
        ("connect to a number", call("sock_connect", lazy("stream"), 1), TypeError, None),
        (
            "connect to half an address",
            call("sock_connect", lazy("stream"), ("127.0.0.1",)),
            ValueError,
            None,
        ),
        (
            "connect to an unknown service",
            call("sock_connect", lazy("stream"), ("127.0.0.1", "x")),
            socket.gaierror,
            "[Errno -8] Servname not supported for ai_socktype",
        ),
        (
            "connect to a port out of range",
            call("sock_connect", lazy("stream"), ("127.0.0.1", 99999)),
            OverflowError,
            "connect(): port must be 0-65535.",
        ),
        ("closed, receive", call("sock_recv", lazy("closed"), 1), OSError, "[Errno 9] Bad file descriptor"),
        (
            "closed, send",
            call("sock_sendall", lazy("closed"), b"x"),
            OSError,
            "[Errno 9] Bad file descriptor",
        ),
        ("closed, accept", call("sock_accept", lazy("closed")), OSError, "[Errno 9] Bad file descriptor"),
        (
            "closed, connect",
            call("sock_connect", lazy("closed"), ("127.0.0.1", 1)),
            OSError,
            "[Errno 9] Bad file descriptor",
        ),
        (
            "closed, reader",
            call("add_reader", lazy("closed"), print),
            ValueError,
            "Invalid file descriptor: -1",
        ),
        ("None as reader", call("add_reader", None, print), ValueError, "Invalid file object: None"),
        ("1.5 as reader", call("add_reader", 1.5, print), ValueError, "Invalid file object: 1.5"),
        (
            "sendfile of text",
            call("sock_sendfile", lazy("stream"), lazy("text_file")),
            ValueError,
            "file should be opened in binary mode",
        ),
        (
            "sendfile over datagrams",
            call("sock_sendfile", lazy("datagram"), lazy("file")),
            ValueError,
            "only SOCK_STREAM type sockets are supported",
        ),
        *[
            (
                f"sendfile {key}={value!r}",
                call("sock_sendfile", lazy("stream"), lazy("file"), **{key: value}),
                error,
                f"{key} must be a {wanted} integer (got {value!r})",
            )
            for key, value, error, wanted in [
                ("count", "x", TypeError, "positive"),
                ("count", 0, ValueError, "positive"),
                ("count", -1, ValueError, "positive"),
                ("offset", "x", TypeError, "non-negative"),
                ("offset", -1, ValueError, "non-negative"),
            ]
        ],
    )
    def test_texts(self, world, action, error, text):
        check(world, action, error, text)

    @pytest.mark.parametrize(
        "method",
        ["sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall", "sock_accept"],
    )
    def test_a_number_is_no_socket(self, loop, run, method):
        arguments = {"sock_accept": (), "sock_sendall": (b"x",), "sock_recv": (1,), "sock_recvfrom": (1,)}
        with pytest.raises(AttributeError):
            run(getattr(loop, method)(1, *arguments.get(method, (bytearray(1),))))


class TestNames:
    @cases(
        (
            "service with a space",
            call("getaddrinfo", "127.0.0.1", "x y"),
            socket.gaierror,
            "[Errno -8] Servname not supported for ai_socktype",
        ),
        (
            "host as a number",
            call("getaddrinfo", 1, 80),
            TypeError,
            "getaddrinfo() argument 1 must be string or None",
        ),
        (
            "unknown type",
            call("getaddrinfo", "127.0.0.1", 80, type=999),
            socket.gaierror,
            "[Errno -7] ai_socktype not supported",
        ),
        (
            "unknown family",
            call("getaddrinfo", "127.0.0.1", 80, family=999),
            socket.gaierror,
            "[Errno -6] ai_family not supported",
        ),
        ("port as a list", call("getaddrinfo", "127.0.0.1", []), OSError, "Int or String expected"),
        (
            "nothing",
            call("getaddrinfo", None, None),
            socket.gaierror,
            "[Errno -2] Name or service not known",
        ),
        (
            "label too long",
            call("getaddrinfo", "a" * 100, 80),
            UnicodeEncodeError if sys.version_info >= (3, 13) else UnicodeError,
            None,
        ),
        (
            "negative port",
            call("getaddrinfo", "127.0.0.1", -1),
            socket.gaierror,
            "[Errno -8] Servname not supported for ai_socktype",
        ),
        ("no address", call("getnameinfo", 1), TypeError, "getnameinfo() argument 1 must be a tuple"),
        (
            "half an address",
            call("getnameinfo", ("127.0.0.1",)),
            TypeError,
            "getnameinfo(): illegal sockaddr argument",
        ),
        (
            "flags as text",
            call("getnameinfo", ("127.0.0.1", 80), "x"),
            TypeError,
            "'str' object cannot be interpreted as an integer",
        ),
    )
    def test_texts(self, world, action, error, text):
        check(world, action, error, text)

    @pytest.mark.parametrize("port", [70000, 1 << 40, "00080", "80 ", 0, "", b"80", True, 80])
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "::1", "127.1", " 127.0.0.1", "0x7f000001", "1", "::1%1", "[::1]"]
    )
    def test_odd_numeric_addresses_are_what_socket_makes_of_them(self, loop, run, host, port):
        def outcome(resolve):
            try:
                return resolve()
            except (OSError, TypeError, ValueError, OverflowError) as error:
                return type(error), str(error)

        kind = socket.SOCK_STREAM
        expected = outcome(lambda: socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST))
        flags = socket.AI_NUMERICHOST
        assert outcome(lambda: run(loop.getaddrinfo(host, port, type=kind, flags=flags))) == expected


class TestTransports:
    @pytest.fixture
    def transport(self, loop, run):
        one, two = socket.socketpair()

        async def connect():
            return await loop.create_connection(asyncio.Protocol, sock=one)

        transport, _ = run(connect())
        yield transport
        transport.abort()
        run(asyncio.sleep(0))
        run(asyncio.sleep(0))
        two.close()

    @pytest.mark.parametrize("data", ["text", 1, None, [b"x"], object()])
    def test_write(self, transport, data):
        with pytest.raises(TypeError) as caught:
            transport.write(data)
        new = sys.version_info >= (3, 14)
        wanted = "bytes, bytearray, or memoryview object" if new else "bytes-like object"
        assert str(caught.value) == f"data argument must be a {wanted}, not {type(data).__name__!r}"

    @pytest.mark.parametrize("lines", [["text"], [1], 1, [b"x", 5]])
    def test_writelines(self, transport, lines):
        with pytest.raises(TypeError):
            transport.writelines(lines)

    @pytest.mark.parametrize(("high", "low"), [(1, 2), (-1, None), (None, -1), (0, 1)])
    def test_limits(self, transport, high, low):
        with pytest.raises(ValueError) as caught:
            transport.set_write_buffer_limits(high, low)
        assert re.fullmatch(r"high \(-?\d+\) must be >= low \(-?\d+\) must be >= 0", str(caught.value))
        assert transport.get_write_buffer_limits() == (16384, 65536)

    def test_limits_of_text(self, transport):
        with pytest.raises(TypeError):
            transport.set_write_buffer_limits("x")

    def test_sendfile_of_a_closing_transport(self, transport, loop, run):
        transport.close()
        with open(__file__, "rb") as file:
            with pytest.raises(RuntimeError, match=r"^Transport is closing$"):
                run(loop.sendfile(transport, file))


class TestRunningOn:
    def test_after_all_that_the_loop_still_runs(self, world):
        """Misuse leaves no trace: what was refused was not half done."""
        for misuse in (
            lambda: world.loop.call_later(None, print),
            lambda: world.loop.create_task(1),
            lambda: world.loop.run_until_complete(1),
            lambda: world.loop.set_task_factory(1),
            lambda: world.loop.add_reader(None, print),
        ):
            with pytest.raises((TypeError, ValueError)):
                misuse()
        assert world.loop.run_until_complete(asyncio.sleep(0, "runs")) == "runs"
        assert asyncio.all_tasks(world.loop) == set()
