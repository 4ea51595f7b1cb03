"""The transport of a child process, and the protocols of its pipes: what a protocol is told, and when."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import subprocess
import types
import weakref

import pytest

from tests.unit.programs import join_threads

PIPE = subprocess.PIPE


class Recorder(asyncio.SubprocessProtocol):
    """Notes what it is told."""

    def __init__(self):
        self.events = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def pipe_data_received(self, fd, data):
        self.events.append((fd, data))

    def pipe_connection_lost(self, fd, exc):
        self.events.append((fd, exc))

    def process_exited(self):
        self.events.append("exited")

    def connection_lost(self, exc):
        self.events.append(("lost", exc))
        self.lost.set_result(None)


@pytest.fixture
def each(on):
    return on.run_until_complete


def start(*command, factory=Recorder, **keywords):
    """Start a child on the running loop."""
    keywords = {"stdin": None, "stdout": None, "stderr": None} | keywords
    return asyncio.get_running_loop().subprocess_exec(factory, *command, **keywords)


class TestEvents:
    def test_order(self, each):
        async def main():
            transport, protocol = await start("/bin/sh", "-c", "echo out; exit 5", stdout=PIPE)
            await protocol.lost
            transport.close()
            return protocol.events

        events = each(main())
        assert events[0] == "made"
        assert events[-1] == ("lost", None)
        assert events.index((1, b"out\n")) < events.index((1, None))
        assert sorted(map(str, events[1:-1])) == sorted(["(1, b'out\\n')", "(1, None)", "exited"])

    def test_without_pipes(self, each):
        async def main():
            transport, protocol = await start("true")
            await protocol.lost
            transport.close()
            return protocol.events

        assert each(main()) == ["made", "exited", ("lost", None)]

    def test_pipes_that_outlive_the_child(self, each):
        """A grandchild keeps the output open: the transport ends with it, not with the child."""

        reading, writing = os.pipe()

        async def main():
            command = f"cat /proc/self/fd/{reading} & exit 6"
            transport, protocol = await start("/bin/sh", "-c", command, stdout=PIPE, pass_fds=[reading])
            os.close(reading)
            await exit_of(protocol)
            assert transport.get_returncode() == 6
            assert not protocol.lost.done()
            os.write(writing, b"late")
            os.close(writing)
            await protocol.lost
            transport.close()
            return protocol.events

        assert each(main()) == ["made", "exited", (1, b"late"), (1, None), ("lost", None)]

    def test_stdin_closed_by_the_child(self, each):
        async def main():
            transport, protocol = await start("/bin/sh", "-c", "exec <&-; read line <&0; exit 0", stdin=PIPE)
            await protocol.lost
            transport.close()
            return [event for event in protocol.events if event[0] == 0]

        ((fd, error),) = each(main())
        assert fd == 0
        assert error is None or isinstance(error, BrokenPipeError)

    def test_exceptions_of_the_protocol_are_reported(self, impl, run, reports):
        class Failing(Recorder):
            def process_exited(self):
                raise ValueError("from process_exited")

            def connection_lost(self, exc):
                super().connection_lost(exc)
                raise ValueError("from connection_lost")

        async def main():
            transport, protocol = await start("true", factory=Failing)
            code = await transport._wait()
            await protocol.lost
            transport.close()
            return code

        assert run(main()) == 0
        assert [str(report["exception"]) for report in reports] == [
            "from process_exited",
            "from connection_lost",
        ]

    def test_a_factory_that_fails(self, each):
        def fail():
            raise ValueError("no protocol")

        async def main():
            with pytest.raises(ValueError, match="no protocol"):
                await start("true", factory=fail)

        each(main())

    @pytest.mark.yibu_only(before=(3, 12))  # until then stock's thread has a context of its own
    def test_in_context(self, run):
        """Everything is told in the context in which the child was started."""
        import contextvars

        variable = contextvars.ContextVar("variable")

        class Protocol(Recorder):
            def process_exited(self):
                super().process_exited()
                self.seen = variable.get()

        async def main():
            variable.set("here")
            transport, protocol = await start("true", factory=Protocol)
            await protocol.lost
            transport.close()
            return protocol.seen

        assert run(main()) == "here"

    def test_the_end_is_told_a_turn_after_the_child_was_reaped(self, loop, run):
        class Transport:
            def __init__(self):
                self._proc = types.SimpleNamespace(returncode=None)
                self.codes = []

            def _process_exited(self, code):
                self.codes.append(code)

        async def main():
            transport = Transport()
            loop._child_watcher_callback(1, 3, transport)
            assert transport.codes == []
            await asyncio.sleep(0)
            assert transport.codes == [3]

        run(main())


class TestTransport:
    @pytest.mark.yibu_only
    def test_no_signal_is_sent_to_a_child_that_was_reaped(self, run, monkeypatch):
        async def main():
            transport, protocol = await start("cat", stdin=PIPE)
            with monkeypatch.context() as patch:
                patch.setattr(os, "kill", lambda *args: sent.append(args))
                transport._proc.returncode = 0
                transport.terminate()
                transport._proc.returncode = None
            transport.close()
            await protocol.lost

        sent = []
        run(main())
        assert sent == []

    def test_attributes(self, each):
        async def main():
            transport, protocol = await start("cat", stdin=PIPE, stdout=PIPE)
            assert isinstance(transport, asyncio.SubprocessTransport)
            popen = transport.get_extra_info("subprocess")
            assert isinstance(popen, subprocess.Popen)
            assert transport.get_extra_info("nothing") is None
            assert transport.get_extra_info("nothing", 5) == 5
            assert transport.get_pid() == popen.pid
            assert transport.get_returncode() is None
            assert transport.get_protocol() is protocol
            assert isinstance(transport.get_pipe_transport(0), asyncio.WriteTransport)
            assert isinstance(transport.get_pipe_transport(1), asyncio.ReadTransport)
            assert transport.get_pipe_transport(2) is None
            assert not transport.is_closing()
            assert set(transport._pipes) == {0, 1}
            assert weakref.ref(transport)() is transport
            transport.note = "an attribute"
            other = Recorder()
            transport.set_protocol(other)
            transport.close()
            assert transport.is_closing()
            await other.lost
            assert transport.get_returncode() == popen.returncode == -signal.SIGKILL
            assert transport._proc is transport._loop is transport._protocol is None

        each(main())

    def test_repr(self, run):
        async def main():
            transport, protocol = await start("cat", stdin=PIPE, stdout=PIPE)
            text = repr(transport)
            pid = transport.get_pid()
            assert text.startswith(f"<_UnixSubprocessTransport pid={pid} running stdin=<")
            assert " stdout=<" in text
            assert text.endswith(">")
            transport.close()
            assert repr(transport).startswith(f"<_UnixSubprocessTransport closed pid={pid} running ")
            await protocol.lost
            text = f"<_UnixSubprocessTransport closed pid={pid} returncode={-signal.SIGKILL} "
            assert repr(transport).startswith(text)

        run(main())

    def test_close_kills(self, make_loop, caplog):
        loop = make_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 3600

        async def main():
            transport, protocol = await start("cat", stdin=PIPE)
            transport.close()
            transport.close()
            await protocol.lost
            return transport.get_returncode()

        with caplog.at_level(logging.WARNING, logger="asyncio"):
            assert loop.run_until_complete(main()) == -signal.SIGKILL
        (record,) = caplog.records
        assert record.getMessage().startswith(
            "Close running child process: kill <_UnixSubprocessTransport closed"
        )

    def test_close_of_one_that_has_ended(self, each):
        async def main():
            transport, protocol = await start("true")
            await protocol.lost
            transport.close()
            return transport.get_returncode()

        assert each(main()) == 0

    def test_wait(self, each):
        async def main():
            transport, protocol = await start("cat", stdin=PIPE)
            waiting = [asyncio.ensure_future(transport._wait()) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            transport.terminate()
            codes = await asyncio.gather(*waiting, return_exceptions=True)
            assert await transport._wait() == -signal.SIGTERM
            await protocol.lost
            transport.close()
            return codes

        cancelled, *codes = each(main())
        assert isinstance(cancelled, asyncio.CancelledError)
        assert codes == [-signal.SIGTERM] * 2

    def test_never_closed(self, run):
        async def main():
            transport, protocol = await start("true")
            await protocol.lost
            protocol.transport = None
            join_threads()
            text = rf"unclosed transport <_UnixSubprocessTransport pid={transport.get_pid()} returncode=0"
            with pytest.warns(ResourceWarning, match=text):
                del transport
                gc.collect()

        run(main())

    def test_flow_control_of_stdin(self, run):
        class Protocol(Recorder):
            def pause_writing(self):
                self.events.append("pause")

            def resume_writing(self):
                self.events.append("resume")

        async def main():
            transport, protocol = await start("cat", stdin=PIPE, stdout=PIPE, factory=Protocol)
            pipe = transport.get_pipe_transport(0)
            pipe.write(bytes(1 << 20))
            pipe.close()
            await protocol.lost
            transport.close()
            return protocol.events

        events = run(main())
        assert events.index("pause") < events.index("resume")
        assert sum(len(data) for fd, data in filter(is_data, events)) == 1 << 20

    def test_pausing_an_output(self, run):
        async def main():
            transport, protocol = await start("cat", stdin=PIPE, stdout=PIPE)
            output = transport.get_pipe_transport(1)
            output.pause_reading()
            stdin = transport.get_pipe_transport(0)
            stdin.write(b"held back")
            stdin.close()
            code = await asyncio.wait_for(exit_of(protocol), 20)
            assert not any(map(is_data, protocol.events))
            output.resume_reading()
            await protocol.lost
            transport.close()
            return code, [event for event in protocol.events if is_data(event)]

        assert run(main()) == (None, [(1, b"held back")])


def is_data(event):
    return isinstance(event, tuple) and isinstance(event[1], bytes)


async def exit_of(protocol):
    while "exited" not in protocol.events:
        await asyncio.sleep(0.001)


class TestPipeProtocols:
    @pytest.fixture
    def classes(self, impl):
        module = asyncio.base_subprocess if impl.is_stock else impl.module._yibu
        return module.WriteSubprocessPipeProto, module.ReadSubprocessPipeProto

    def test_what_they_pass_on(self, classes):
        calls = []

        class Child:
            class _protocol:
                pause_writing = staticmethod(lambda: calls.append("pause"))
                resume_writing = staticmethod(lambda: calls.append("resume"))

            def _pipe_data_received(self, *args):
                calls.append(args)

            def _pipe_connection_lost(self, *args):
                calls.append(args)

        write, read = classes
        child, error = Child(), OSError()
        pipe = read(child, 1)
        assert isinstance(pipe, asyncio.Protocol)
        assert isinstance(pipe, write)
        assert not isinstance(write(child, 0), asyncio.Protocol)
        assert repr(pipe) == "<ReadSubprocessPipeProto fd=1 pipe=None>"
        pipe.connection_made("a transport")
        assert repr(pipe) == "<ReadSubprocessPipeProto fd=1 pipe='a transport'>"
        assert (pipe.proc, pipe.fd, pipe.pipe, pipe.disconnected) == (child, 1, "a transport", False)
        pipe.pause_writing()
        pipe.resume_writing()
        pipe.data_received(b"data")
        assert pipe.eof_received() is None
        pipe.connection_lost(error)
        assert calls == ["pause", "resume", (1, b"data"), (1, error)]
        assert (pipe.proc, pipe.disconnected) == (None, True)

    def test_a_subclass(self, classes):
        class Pipe(classes[0]):
            def connection_made(self, transport):
                super().connection_made([transport])

        pipe = Pipe(None, 0)
        pipe.connection_made(1)
        assert pipe.pipe == [1]
        assert repr(pipe) == "<Pipe fd=0 pipe=[1]>"


class TestSubclassOfTheTransport:
    @pytest.fixture
    def base(self, impl):
        module = asyncio.base_subprocess if impl.is_stock else impl.module._yibu
        return module.BaseSubprocessTransport

    def test_start_is_for_subclasses(self, base, run):
        async def main():
            loop = asyncio.get_running_loop()
            with pytest.raises(NotImplementedError):
                base(loop, Recorder(), ["true"], False, None, None, None, 0)

        run(main())

    def test_one_without_a_child(self, base, each):
        class Popen:
            pid, returncode = -1, None
            stdin = stdout = stderr = None

            def poll(self):
                return None

            def kill(self):
                raise ProcessLookupError

        calls = []

        class Transport(base):
            def _start(self, *, args, shell, stdin, stdout, stderr, bufsize, **keywords):
                calls.append((args, shell, bufsize, keywords))
                self._proc = Popen()

        async def main():
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            protocol = Recorder()
            transport = Transport(
                loop,
                protocol,
                ["a"],
                False,
                None,
                None,
                None,
                0,
                waiter=waiter,
                extra={"more": 1},
                key="word",
            )
            assert calls == [(["a"], False, 0, {"key": "word"})]
            assert repr(transport) == "<Transport pid=-1 running>"
            transport._process_exited(7)
            with pytest.raises(AssertionError):
                transport._process_exited(8)
            assert protocol.events == []
            await waiter
            await protocol.lost
            assert transport.get_extra_info("more") == 1
            assert transport.get_returncode() == 7
            with pytest.raises(ProcessLookupError):
                transport._check_proc()
            transport.close()
            return protocol.events

        assert each(main()) == ["made", "exited", ("lost", None)]

    def test_a_start_that_fails_closes(self, base, run):
        closed = []

        class Transport(base):
            def _start(self, **keywords):
                raise OSError("cannot")

            def close(self):
                closed.append(self)
                super().close()

        async def main():
            loop = asyncio.get_running_loop()
            with pytest.raises(OSError, match="cannot"):
                Transport(loop, Recorder(), ["true"], False, PIPE, None, None, 0)
            assert repr(closed.pop()) == "<Transport closed not started>"

        run(main())

    def test_connecting_fails(self, base, each, tmp_path):
        class Transport(base):
            def _start(self, **keywords):
                self._proc = subprocess.Popen(["true"])
                self._proc.stdout = (tmp_path / "no pipe").open("wb")

        async def main():
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            transport = Transport(loop, Recorder(), ["true"], False, None, PIPE, None, 0, waiter=waiter)
            process = transport.get_extra_info("subprocess")
            with pytest.raises(ValueError, match="Pipe transport is"):
                await waiter
            process.wait()
            process.stdout.close()
            assert repr(transport).endswith(" running>")
            transport.close()

        each(main())

    def test_lets_go_of_everything(self, run):
        async def main():
            transport, protocol = await start("true", stdout=PIPE)
            await protocol.lost
            transport.close()
            kept = weakref.ref(transport), weakref.ref(protocol)
            join_threads()
            del transport, protocol
            await asyncio.sleep(0)
            gc.collect()
            return [reference() for reference in kept]

        assert run(main()) == [None, None]


class TestLogging:
    def test_shell(self, make_loop, caplog):
        loop = make_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 3600

        async def main():
            transport, protocol = await loop.subprocess_shell(
                Recorder, "exit 3", stdin=None, stdout=PIPE, stderr=subprocess.STDOUT
            )
            await protocol.lost
            transport.close()

        with caplog.at_level(logging.DEBUG, logger="asyncio"):
            loop.run_until_complete(main())
        texts = [record.getMessage() for record in caplog.records]
        assert "run shell command 'exit 3' stdout=stderr=<pipe>" in texts
        assert any(text.startswith("process 'exit 3' created: pid ") for text in texts)
        assert any(text.startswith("run shell command 'exit 3': <_UnixSubprocess") for text in texts)

    @pytest.mark.parametrize(
        ("files", "text"),
        [
            ((None, None, None), ""),
            ((PIPE, PIPE, PIPE), " stdin=<pipe> stdout=<pipe> stderr=<pipe>"),
            ((None, PIPE, subprocess.STDOUT), " stdout=stderr=<pipe>"),
            ((None, None, subprocess.STDOUT), " stderr=<stdout>"),
            ((7, None, 8), " stdin=7 stderr=8"),
        ],
    )
    def test_streams(self, loop, caplog, files, text):
        with caplog.at_level(logging.DEBUG, logger="asyncio"):
            loop._log_subprocess("run", *files)
        assert [record.getMessage() for record in caplog.records] == ["run" + text]


@pytest.mark.yibu_only(before=(3, 14))  # stock leaves pipes to the collector
def test_a_cancelled_start_leaves_no_descriptor(loop):
    async def main():
        task = asyncio.ensure_future(start("cat", stdin=PIPE, stdout=PIPE, stderr=PIPE))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run_until_complete(asyncio.sleep(0))  # a loop has its descriptors from its first run on
    before = pipes()
    loop.run_until_complete(main())
    gc.collect()
    assert pipes() == before


def pipes():
    """The pipes that this process has."""
    files = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            files.append(os.readlink(f"/proc/self/fd/{fd}"))
    return sorted(file for file in files if file.startswith("pipe:"))
