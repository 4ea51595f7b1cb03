"""Where log records and warnings come from: asyncio's modules and functions, by which filters know them."""

import asyncio
import gc
import logging
import os
import pathlib
import socket
import warnings

import pytest

PACKAGE = pathlib.Path(asyncio.__file__).parent


@pytest.fixture
def places(caplog):
    """The places of the records so far: module and function."""
    caplog.set_level(logging.DEBUG, "asyncio")

    def places():
        assert {pathlib.Path(record.pathname).parent for record in caplog.records} <= {PACKAGE}
        return {(record.module, record.funcName) for record in caplog.records}

    return places


class TestRecords:
    def test_of_the_default_exception_handler(self, loop, places):
        loop.set_exception_handler(None)
        loop.call_exception_handler({"message": "nobody caught it"})
        loop.call_soon(lambda: 1 / 0)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert places() >= {("base_events", "default_exception_handler")}

    def test_of_a_handler_that_fails(self, loop, places):
        loop.set_exception_handler(lambda loop, context: 1 / 0)
        loop.default_exception_handler = None
        loop.call_exception_handler({"message": "nobody caught it"})
        assert places() >= {("base_events", "call_exception_handler")}

    def test_of_a_slow_callback(self, loop, places):
        loop.set_debug(True)
        loop.slow_callback_duration = 0
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert ("base_events", "_run_once") in places()

    def test_of_connections_in_debug_mode(self, impl, loop, places):
        loop.set_debug(True)

        async def main():
            server = await impl.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
            reader, writer = await impl.open_connection(*server.sockets[0].getsockname())
            await reader.read()
            writer.transport.pause_reading()
            writer.transport.resume_reading()
            writer.close()
            server.close()
            await server.wait_closed()

        loop.run_until_complete(main())
        assert places() >= {
            ("base_events", "create_server"),
            ("base_events", "create_connection"),
            ("selector_events", "_accept_connection"),
        }

    def test_of_pipes_in_debug_mode(self, impl, loop, places):
        loop.set_debug(True)
        reading, writing = os.pipe()

        async def main():
            transport, _ = await loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reading, "rb"))
            transport.close()

        loop.run_until_complete(main())
        os.close(writing)
        assert ("base_events", "connect_read_pipe") in places()

    def test_of_writes_after_the_connection_was_lost(self, loop, connect, places):
        async def main():
            transport, *_ = await connect()
            transport.abort()
            for _ in range(10):
                transport.write(b"too late")

        loop.run_until_complete(main())
        assert ("selector_events", "write") in places()


class TestWarnings:
    def test_come_from_the_module_of_what_was_not_closed(self, make_loop):
        """A filter for warnings of asyncio's modules holds."""
        loop = make_loop()
        ours, peer = socket.socketpair()

        async def main():
            await loop.create_connection(asyncio.Protocol, sock=ours)

        loop.run_until_complete(main())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", category=ResourceWarning, module=r"asyncio\.selector_events")
            loop.close()
            del main
            gc.collect()
        peer.close()
        files = {os.path.basename(warning.filename) for warning in caught}
        assert files <= {"selector_events.py"}
        assert [str(warning.message)[:18] for warning in caught] == ["unclosed transport"]

    def test_of_a_loop(self, impl):
        with pytest.warns(ResourceWarning, match="unclosed event loop") as caught:
            impl.new_event_loop().__del__()
        assert [os.path.basename(warning.filename) for warning in caught] == ["base_events.py"]


class TestLines:
    """Records and warnings name the line in which asyncio's function makes them."""

    @pytest.fixture
    def line(self):
        def line(module, text):
            """The first line of a module that contains a text."""
            lines = (PACKAGE / module).read_text().splitlines()
            return next(number for number, line in enumerate(lines, 1) if text in line)

        return line

    def test_of_a_slow_callback(self, loop, caplog, line):
        loop.set_debug(True)
        loop.slow_callback_duration = 0
        loop.call_soon(loop.stop)
        with caplog.at_level(logging.WARNING, "asyncio"):
            loop.run_forever()
        record = next(record for record in caplog.records if record.funcName == "_run_once")
        assert record.lineno == line("base_events.py", "Executing %s took")

    def test_of_an_error_that_nobody_caught(self, loop, caplog, line):
        loop.set_exception_handler(None)
        loop.call_exception_handler({"message": "nobody caught it"})
        (record,) = caplog.records
        assert record.lineno == line("base_events.py", "logger.error('\\n'.join(log_lines)")

    def test_of_a_warning(self, make_loop, line):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            transport_of(make_loop())
            gc.collect()
        found = next(one for one in caught if "unclosed transport" in str(one.message))
        assert found.lineno == line("selector_events.py", 'f"unclosed transport {self!r}"')


def transport_of(loop):
    """Leave a transport open."""
    ours, peer = socket.socketpair()
    loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=ours))
    peer.close()
    loop.close()
