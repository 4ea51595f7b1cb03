"""The package `yibu`: its namespace, what is still stock, the current loop, asyncio on it."""

import asyncio
import importlib
import inspect
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from textwrap import dedent

import pytest
import yibu
from yibu import stock

pytestmark = pytest.mark.yibu_only

PACKAGE_ROOT = str(Path(yibu.__file__).parent.parent)
LIMIT = 30

# What yibu has and the running Python's asyncio may lack.
EXTRAS = {
    "EventLoop",
    "EventLoopPolicy",
    "__version__",
    "allow_nested",
    "inspect",
    "install",
    "new_event_loop",
    "observe",
    "ps",
    "pstree",
    "trace",
    "uninstall",
    "watch",
}


def run_program(source, *options):
    """Run a program in an interpreter where warnings are errors; return what it printed."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    process = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", dedent(source)],
        env=env | {"PYTHONPATH": PACKAGE_ROOT},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (process.stderr, process.returncode) == ("", 0)
    return process.stdout


class TestNamespace:
    def test_has_every_name_of_asyncio(self):
        # The list of Python 3.11 leaves out TaskGroup.
        assert [name for name in [*asyncio.__all__, "TaskGroup"] if not hasattr(yibu, name)] == []
        assert set(yibu.__all__) == set(asyncio.__all__) | EXTRAS

    def test_lacks_what_this_python_lacks(self):
        own_modules = {name.rpartition(".")[2] for name in sys.modules if name.startswith("yibu.")}
        # pytest rewrites the modules of a package with a plugin, and leaves "@pytest_ar" there.
        public = {name for name in dir(yibu) if not name.startswith(("_", "@"))}
        assert public - set(dir(asyncio)) - own_modules - EXTRAS == set()

    def test_each_name_is_either_listed_as_stock_or_yibu_s_own(self):
        names = {*asyncio.__all__, "TaskGroup"}
        own = {name for name in names if getattr(yibu, name) is not getattr(asyncio, name)}
        own.discard("eager_task_factory")  # made around yibu's Task by asyncio's own function
        names.discard("eager_task_factory")
        listed = set(stock.NAMES) & names
        assert own & listed == set()
        assert own | listed == names
        assert {getattr(yibu, name).__module__.partition(".")[0] for name in own} == {"yibu"}

    def test_lists_are_in_order_and_name_nothing_twice(self):
        for names in stock.SHARED_NAMES[3:], stock.C_NAMES, stock.BORROWED_NAMES, stock.MODULES:
            assert list(names) == sorted(names)
        assert len(set(stock.NAMES)) == len(stock.NAMES)

    def test_modules(self):
        for name in dir(asyncio):
            if inspect.ismodule(getattr(asyncio, name)) and name != "sys":
                assert name in stock.MODULES or not name[0].islower(), name
                assert importlib.import_module(f"yibu.{name}") is getattr(yibu, name)
                left_out = {*dir(getattr(asyncio, name))} - {*dir(getattr(yibu, name))}
                assert all(missing.startswith("__") for missing in left_out)
        assert yibu.subprocess.PIPE is asyncio.subprocess.PIPE
        assert yibu.log is asyncio.log

    def test_modules_have_what_the_namespace_has(self):
        for name in stock.MODULES:
            module = getattr(yibu, name, None)
            for public in getattr(module, "__all__", ()):
                if hasattr(yibu, public):
                    assert getattr(module, public) is getattr(yibu, public), (name, public)

    def test_importing_from_a_module(self):
        from yibu.streams import StreamReader
        from yibu.subprocess import PIPE, Process

        assert StreamReader is yibu.StreamReader and PIPE == -1 and Process.__module__ == "yibu.subprocess"

    def test_unknown_name(self):
        with pytest.raises(AttributeError, match="module 'yibu' has no attribute 'nonsense'"):
            yibu.nonsense  # noqa: B018

    def test_import_in_every_way_without_a_warning(self):
        run_program("""
            import yibu
            import yibu as asyncio
            from yibu import *
            assert Task is yibu.Task and gather is yibu.gather
            from yibu import __version__, EventLoopPolicy
            import yibu.policy, yibu.event_loop
            from asyncio import *
        """)

    def test_version(self):
        assert isinstance(yibu.__version__, str)
        assert yibu.__version__[0].isdigit()

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="policy classes warn since Python 3.14")
    def test_policy_classes_warn_as_in_asyncio(self):
        for name in "AbstractEventLoopPolicy", "DefaultEventLoopPolicy":
            with warnings.catch_warnings(record=True) as expected:
                warnings.simplefilter("always")
                getattr(asyncio, name)
            with warnings.catch_warnings(record=True) as got:
                warnings.simplefilter("always")
                found = getattr(yibu, name)
            assert [str(w.message) for w in got] == [str(w.message) for w in expected]
            assert [(w.category, w.filename) for w in got] == [(DeprecationWarning, __file__)]
            assert issubclass(yibu.EventLoopPolicy, found)

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="policy classes warn since Python 3.14")
    def test_default_policy_is_yibu_s(self):
        assert yibu.DefaultEventLoopPolicy is yibu.EventLoopPolicy
        assert issubclass(yibu.EventLoopPolicy, asyncio.DefaultEventLoopPolicy)


def parameters(function):
    """What a caller may write: names, kinds and defaults, without the object itself."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()][1:]


class TestSignatures:
    """Every public method takes the arguments that it takes in this Python's asyncio, by the same names."""

    @pytest.mark.parametrize(
        ("own", "of_asyncio"),
        [
            (yibu.EventLoop, asyncio.SelectorEventLoop),
            (yibu.Server, asyncio.Server),
            (yibu._yibu._SelectorSocketTransport, asyncio.selector_events._SelectorSocketTransport),
            (yibu._yibu._UnixReadPipeTransport, asyncio.unix_events._UnixReadPipeTransport),
            (yibu._yibu._UnixWritePipeTransport, asyncio.unix_events._UnixWritePipeTransport),
            (
                yibu._yibu._SelectorDatagramTransport,
                asyncio.selector_events._SelectorDatagramTransport,
            ),
            (yibu.Handle, asyncio.Handle),
            (yibu.TimerHandle, asyncio.TimerHandle),
        ],
    )
    def test_public_methods(self, own, of_asyncio):
        differing = {}
        for name, method in inspect.getmembers(of_asyncio, callable):
            # Whether create_task has keywords of its own or passes any on changed within Python 3.13.
            if not name.startswith("_") and name != "create_task":
                expected, got = parameters(method), parameters(getattr(own, name))
                if got != expected:
                    differing[name] = got, expected
        assert differing == {}

    @pytest.mark.parametrize("name", ["run", "sleep", "new_event_loop", "get_event_loop"])
    def test_functions(self, name):
        of_asyncio = [p.name for p in inspect.signature(getattr(asyncio, name)).parameters.values()]
        got = [p.name for p in inspect.signature(getattr(yibu, name)).parameters.values()]
        assert got[: len(of_asyncio)] == of_asyncio
        assert set(got) - set(of_asyncio) <= {"loop_factory"}

    def test_debug_mode_by_keyword(self, loop):
        loop.set_debug(enabled=True)
        assert loop.get_debug()
        loop.set_debug(enabled=False)


class TestEventLoopClass:
    def test_is_what_libraries_ask_for(self, loop):
        assert type(loop) is yibu.EventLoop
        assert isinstance(loop, asyncio.AbstractEventLoop)

    def test_can_be_subclassed_and_has_room_for_attributes(self, make_loop):
        class Loop(yibu.EventLoop):
            def __init__(self, tag):
                super().__init__()
                self.tag = tag

        loop = make_loop(lambda: Loop("x"))
        loop.anything = 1
        assert (loop.tag, vars(loop)["anything"]) == ("x", 1)

    def test_methods_can_be_replaced_on_one_loop(self, make_loop):
        replaced, other = make_loop(), make_loop()
        replaced.time = lambda: 42.0
        assert replaced.time() == 42.0
        assert replaced.call_later(1, int).when() == 43.0
        assert other.time() != 42.0

    def test_no_method_is_left_abstract(self):
        abstract = vars(asyncio.AbstractEventLoop)
        left = [
            name
            for name in abstract
            if not name.startswith("_") and getattr(yibu.EventLoop, name) is abstract[name]
        ]
        assert left == []

    def test_nothing_is_borrowed_from_the_loops_of_asyncio(self):
        """Every method that asyncio's classes have is found before them."""
        own, stock = yibu.EventLoop.__mro__[:3], asyncio.SelectorEventLoop.__mro__
        assert yibu.EventLoop.__mro__[3:] == stock
        names = {name for cls in stock[:-1] for name in vars(cls) if not name.startswith("__")}
        assert {name for name in names if not any(name in vars(cls) for cls in own)} == set()


class TestCurrentLoop:
    def test_running_loop_comes_first(self):
        async def main():
            return yibu.get_event_loop() is asyncio.get_event_loop() is yibu.get_running_loop()

        assert yibu.run(main())

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="loops are not made on demand since 3.14")
    def test_made_on_demand_in_the_main_thread(self):
        source = """
            import asyncio, sys, warnings
            import yibu

            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                loop = yibu.get_event_loop()
            expected = ["There is no current event loop"] if sys.version_info >= (3, 12) else []
            assert [str(w.message) for w in caught] == expected
            assert all(w.filename == "<string>" for w in caught)
            assert type(loop) is yibu.EventLoop
            assert asyncio.get_event_loop() is yibu.get_event_loop() is loop
            loop.close()
            asyncio.set_event_loop(None)
            for module in asyncio, yibu:
                try:
                    module.get_event_loop()
                except RuntimeError as error:
                    assert str(error) == "There is no current event loop in thread 'MainThread'."
                else:
                    raise AssertionError
        """
        run_program(source)

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="loops are made on demand before 3.14")
    def test_not_made_on_demand(self):
        with pytest.raises(RuntimeError, match="There is no current event loop in thread"):
            yibu.get_event_loop()

    def test_policy_of_the_program_is_asked(self):
        run_program("""
            import asyncio, warnings
            import yibu

            warnings.simplefilter("ignore", DeprecationWarning)

            class Policy(asyncio.DefaultEventLoopPolicy):
                def get_event_loop(self):
                    return "asked"

            asyncio.set_event_loop_policy(Policy())
            assert yibu.get_event_loop() == asyncio.get_event_loop() == "asked"
            loop = yibu.new_event_loop()
            assert type(loop) is yibu.EventLoop
            loop.close()
        """)

    def test_policy(self):
        run_program("""
            import asyncio, warnings
            import yibu

            policy = yibu.EventLoopPolicy()
            warnings.simplefilter("ignore", DeprecationWarning)
            asyncio.set_event_loop_policy(policy)
            assert asyncio.get_event_loop_policy() is policy

            async def main():
                return asyncio.get_running_loop()

            assert type(asyncio.run(main())) is yibu.EventLoop
            loop = asyncio.new_event_loop()
            assert type(loop) is yibu.EventLoop
            asyncio.set_event_loop(loop)
            assert asyncio.get_event_loop() is loop
            loop.close()
        """)


class ForeignTask:
    """As much of a task as `all_tasks()` asks for."""

    def __init__(self, loop):
        self._loop = loop

    def get_loop(self):
        return self._loop

    def done(self):
        return False


class TestTaskRegistry:
    def test_all_tasks_sees_native_tasks_of_this_loop_only(self):
        async def main():
            mine = asyncio.create_task(asyncio.sleep(3600), name="mine")
            done = asyncio.create_task(asyncio.sleep(0))
            await done
            assert asyncio.all_tasks() == {mine, asyncio.current_task()}
            assert asyncio.all_tasks() == yibu.all_tasks()
            return asyncio.all_tasks(other)

        other = yibu.new_event_loop()
        elsewhere = other.create_task(asyncio.sleep(0))
        try:
            assert yibu.run(main()) == {elsewhere}
            other.run_until_complete(elsewhere)
            assert asyncio.all_tasks(other) == set()
        finally:
            other.close()

    def test_stock_tasks_are_still_seen(self):
        async def main():
            loop = asyncio.get_running_loop()
            stock_task = asyncio.Task(asyncio.sleep(3600), loop=loop)
            native = asyncio.create_task(asyncio.sleep(3600))
            foreign = ForeignTask(loop)
            asyncio._register_task(foreign)
            assert asyncio.all_tasks() == {stock_task, native, foreign, asyncio.current_task()}
            asyncio._unregister_task(foreign)
            stock_task.cancel()
            await asyncio.wait([stock_task])
            assert asyncio.all_tasks() == {native, asyncio.current_task()}

        yibu.run(main())

    def test_does_not_keep_tasks_alive(self):
        run_program("""
            import asyncio, gc, weakref
            import yibu

            async def main():
                task = asyncio.create_task(asyncio.sleep(0))
                await task
                ref = weakref.ref(task)
                asyncio.all_tasks()
                del task
                await asyncio.sleep(0)  # out of the step that the task's end began
                gc.collect()
                return ref() is None

            assert yibu.run(main())
        """)


async def exchange(reader, writer, message):
    """Send one line and return the answer."""
    writer.write(message)
    await writer.drain()
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


async def echo(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()
    await writer.wait_closed()


class TestThroughAsyncio:
    """What programs reach through `asyncio`, without `install()`, does its work on a native loop."""

    def test_tls(self, run, contexts):
        server_side, client_side = contexts

        async def main():
            server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_side)
            address = server.sockets[0].getsockname()
            streams = await asyncio.open_connection(*address, ssl=client_side, server_hostname="localhost")
            assert streams[1].get_extra_info("ssl_object").version().startswith("TLS")
            assert await exchange(*streams, b"secret\n") == b"secret\n"
            server.close()
            await server.wait_closed()

        run(main())

    def test_start_tls(self, run, contexts):
        server_side, client_side = contexts

        async def upgrade(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            await writer.start_tls(server_side)
            await echo(reader, writer)

        async def main():
            server = await asyncio.start_server(upgrade, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"plain\n")
            assert await reader.readline() == b"plain\n"
            await writer.start_tls(client_side, server_hostname="localhost")
            assert await exchange(reader, writer, b"secret\n") == b"secret\n"
            server.close()
            await server.wait_closed()

        run(main())

    def test_tls_failure_is_the_caller_s(self, run, contexts):
        import ssl

        async def main():
            server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=contexts[0])
            address = server.sockets[0].getsockname()
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection(*address, ssl=contexts[1], server_hostname="elsewhere")
            server.close()
            await server.wait_closed()

        run(main())

    def test_pipes(self, run, loop):
        async def main():
            read_end, write_end = os.pipe()
            reader = asyncio.StreamReader()
            with open(read_end, "rb", 0) as source, open(write_end, "wb", 0) as sink:
                reading, _ = await loop.connect_read_pipe(
                    lambda: asyncio.StreamReaderProtocol(reader), source
                )
                writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sink)
                assert isinstance(reading, asyncio.ReadTransport)
                assert isinstance(writing, asyncio.WriteTransport)
                writing.write(b"through the pipe")
                writing.close()
                assert await reader.read() == b"through the pipe"
                reading.close()
                await asyncio.sleep(0)

        run(main())

    def test_subprocesses(self, run):
        async def main():
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "import sys; print(sys.stdin.read().upper()); sys.exit(7)",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert await process.communicate(b"quiet") == (b"QUIET\n", None)
            assert process.returncode == 7
            shell = await asyncio.create_subprocess_shell("exit 3")
            assert await shell.wait() == 3
            sleeping = await asyncio.create_subprocess_exec("sleep", "3600")
            sleeping.terminate()
            assert await sleeping.wait() == -signal.SIGTERM

        run(main())


@pytest.fixture(scope="module")
def contexts():
    """The TLS contexts of a server with a certificate for localhost and of a client that trusts it."""
    import ssl

    certificate = str(Path(__file__).parent / "localhost.pem")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    return server, ssl.create_default_context(cafile=certificate)
