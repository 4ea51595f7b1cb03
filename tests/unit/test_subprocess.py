"""Child processes as streams: `create_subprocess_exec`, `create_subprocess_shell`, `Process`."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import shlex
import signal
import subprocess
import sys
import threading
import warnings

import pytest

from tests.unit.programs import forever, join_threads, turn

PIPE = subprocess.PIPE
MEGABYTE = 1 << 20
ECHO = (sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())")


def descriptors():
    """What is open, except for what a loop opens for itself when it is first needed."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    own = "anon_inode:[eventpoll]", "anon_inode:[eventfd]"
    return {fd: file for fd, file in found.items() if file not in own and "/proc/" not in file}


def zombies():
    """The process ids of our children that have ended and that nobody has waited for."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
            if state == "Z" and int(parent) == os.getpid():
                found.append(int(name))
    return found


def wait_for_zombie(pid):
    """Block until a child has ended, without taking note of it."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture
def each(on):
    """Run a coroutine on the implementation's loop, and on the standard library's."""
    return on.run_until_complete


class TestCommunicate:
    def test_much_in_both_directions(self, impl, each):
        data = os.urandom(10 * MEGABYTE)

        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            return await process.communicate(data), process.returncode

        assert each(main()) == ((data, None), 0)

    def test_both_outputs_at_once(self, impl, each):
        source = "import sys\nfor _ in range(64):\n print('o' * 9999)\n print('e' * 9999, file=sys.stderr)"

        async def main():
            process = await impl.create_subprocess_exec(
                sys.executable, "-c", source, stdout=PIPE, stderr=PIPE
            )
            return await process.communicate()

        assert each(main()) == ((b"o" * 9999 + b"\n") * 64, (b"e" * 9999 + b"\n") * 64)

    def test_without_pipes(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("true")
            assert process.stdin is process.stdout is process.stderr is None
            return await process.communicate(), process.returncode

        assert each(main()) == ((None, None), 0)

    def test_empty_input(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            return await process.communicate(b"")

        assert each(main()) == (b"", None)

    @pytest.mark.yibu_only(before=(3, 12))  # until then stock leaves stdin open, and both wait for each other
    def test_no_input_closes_stdin(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            return await process.communicate()

        assert each(main()) == (b"", None)

    def test_a_child_that_does_not_read(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("true", stdin=PIPE, stdout=PIPE)
            return await process.communicate(bytes(4 * MEGABYTE)), process.returncode

        assert each(main()) == ((b"", None), 0)

    def test_other_errors_come_out(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            with pytest.raises((AssertionError, TypeError)):
                await process.communicate("text")
            process.kill()
            return await process.wait()

        assert each(main()) == -signal.SIGKILL

    def test_cancelled(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            communicating = asyncio.ensure_future(process._read_stream(1))
            waiting = asyncio.ensure_future(process.wait())
            whole = asyncio.ensure_future(impl.gather(communicating, waiting))
            await asyncio.sleep(0)
            whole.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await whole
            assert communicating.cancelled()
            assert waiting.cancelled()
            process.stdin.write(b"still there")
            process.stdin.close()
            output = await process.stdout.read()
            return output, await process.wait()

        assert each(main()) == (b"still there", 0)

    def test_cancelled_as_a_whole(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            task = asyncio.ensure_future(process.communicate(bytes(MEGABYTE)))
            for _ in range(3):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            process.kill()
            await process.stdout.read()
            return await process.wait()

        assert each(main()) == -signal.SIGKILL

    def test_debug_log(self, impl, make_loop, caplog):
        loop = make_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 3600

        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            await process.communicate(b"abc")
            return process

        with caplog.at_level(logging.DEBUG, logger="asyncio"):
            process = loop.run_until_complete(main())
        texts = [record.getMessage() for record in caplog.records]
        assert "execute program 'cat' stdin=<pipe> stdout=<pipe>" in texts
        assert f"process 'cat' created: pid {process.pid}" in texts
        steps = [text for text in texts if "communicate" in text]
        assert steps == [
            f"{process!r} communicate: feed stdin (3 bytes)",
            f"{process!r} communicate: close stdin",
            f"{process!r} communicate: read stdout",
            f"{process!r} communicate: close stdout",
        ]
        assert any(text.endswith("exited with return code 0") for text in texts)
        assert any(text.startswith("execute program 'cat': <_UnixSubprocessTransport ") for text in texts)


class TestCommunicateAgain:
    """What a cancelled communicate() has read comes out of the next one."""

    @pytest.mark.yibu_only
    @pytest.mark.parametrize("ended", [1, 2])
    def test_when_one_output_has_ended(self, impl, each, ended):
        other = 3 - ended

        async def main():
            process = await impl.create_subprocess_exec(
                "sh",
                "-c",
                f"echo ended >&{ended}; exec {ended}>&-; cat >&{other}",
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
            )
            feeding = process._feed_stdin
            process._feed_stdin = lambda _input: asyncio.sleep(3600)
            task = asyncio.ensure_future(process.communicate())
            while not process._transport.get_pipe_transport(ended).is_closing():
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            process._feed_stdin = feeding
            outputs = await process.communicate(b"other")
            assert await process.communicate() == (b"", b"")
            return outputs

        assert each(main()) == ((b"ended\n", b"other") if ended == 1 else (b"other", b"ended\n"))

    @pytest.mark.yibu_only
    def test_while_the_child_goes_on(self, impl, each):
        """Both outputs have ended, but not the child."""

        async def main():
            process = await impl.create_subprocess_exec(
                "sh", "-c", "echo all; exec >&-; read line", stdin=PIPE, stdout=PIPE
            )
            feeding = process._feed_stdin
            process._feed_stdin = lambda _input: asyncio.sleep(0)
            task = asyncio.ensure_future(process.communicate())
            while not process._transport.get_pipe_transport(1).is_closing():
                await asyncio.sleep(0)
            for _ in range(5):
                await asyncio.sleep(0)
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            process._feed_stdin = feeding
            return await process.communicate(b"end\n")

        assert each(main()) == (b"all\n", None)


class TestProcess:
    def test_attributes(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            assert isinstance(process, asyncio.subprocess.Process)
            assert repr(process) == f"<Process {process.pid}>"
            assert process.returncode is None
            assert process.pid == process._transport.get_pid()
            assert isinstance(process.stdin, asyncio.StreamWriter)
            assert isinstance(process.stdout, asyncio.StreamReader)
            assert process.stderr is None
            process.note = "an attribute"
            process.stdin.close()
            assert await process.wait() == process.returncode == 0
            assert await process.wait() == 0

        each(main())

    def test_several_wait(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE)
            waiting = [asyncio.ensure_future(process.wait()) for _ in range(5)]
            await asyncio.sleep(0)
            waiting[1].cancel()
            process.terminate()
            return await asyncio.gather(*waiting, return_exceptions=True)

        codes = each(main())
        assert isinstance(codes.pop(1), asyncio.CancelledError)
        assert codes == [-signal.SIGTERM] * 4

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
    def test_send_signal(self, impl, each, number):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE)
            process.send_signal(number)
            return await process.wait()

        assert each(main()) == -number

    def test_signals_right_after_wait(self, impl, run):
        """Also to a child that ended before anybody waited for it."""

        async def main():
            for _ in range(10):
                process = await impl.create_subprocess_exec("/bin/true")
                await process.wait()
                with pytest.raises(ProcessLookupError):
                    process.kill()

        run(main())

    def test_signals_after_the_end(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("true")
            await process.wait()
            for _ in range(3):
                await asyncio.sleep(0)
            for method in process.terminate, process.kill, lambda: process.send_signal(signal.SIGINT):
                with pytest.raises(ProcessLookupError):
                    method()
            return process.returncode

        assert each(main()) == 0

    def test_timeout(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE)
            with pytest.raises(TimeoutError):
                await impl.wait_for(process.wait(), 0.001)
            process.kill()
            return await process.wait()

        assert each(main()) == -signal.SIGKILL

    def test_lines_and_limit(self, impl, each):
        async def main():
            process = await impl.create_subprocess_shell(
                "echo short; echo a line too long", stdout=PIPE, limit=8
            )
            assert await process.stdout.readline() == b"short\n"
            with pytest.raises(ValueError, match="limit"):
                await process.stdout.readline()
            assert await process.stdout.read() == b""
            return await process.wait()

        assert each(main()) == 0

    def test_a_slow_reader_stops_the_child(self, impl, run):
        async def main():
            process = await impl.create_subprocess_exec(
                sys.executable, "-c", f"print('x' * {4 * MEGABYTE}, end='')", stdout=PIPE, limit=1024
            )
            first = await process.stdout.readexactly(1)
            assert len(process.stdout._buffer) < MEGABYTE
            return first + await process.stdout.read(), await process.wait()

        assert run(main()) == (b"x" * 4 * MEGABYTE, 0)

    def test_drain_waits_for_the_child(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            process.stdin.write(bytes(MEGABYTE))
            draining = asyncio.ensure_future(process.stdin.drain())
            await asyncio.sleep(0)
            assert not draining.done()
            received = await process.stdout.readexactly(MEGABYTE)
            await draining
            process.stdin.close()
            await process.stdin.wait_closed()
            return received, await process.stdout.read(), await process.wait()

        assert each(main()) == (bytes(MEGABYTE), b"", 0)

    def test_broken_pipe(self, impl, each):
        async def main():
            process = await impl.create_subprocess_exec("true", stdin=PIPE)
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                while True:
                    process.stdin.write(bytes(MEGABYTE))
                    await process.stdin.drain()
            return await process.wait()

        assert each(main()) == 0

    def test_subclasses(self, impl, each):
        calls = []

        class Process(impl.module.subprocess.Process if impl.is_stock else impl.module._yibu.Process):
            async def wait(self):
                calls.append("wait")
                return await super().wait()

            async def _feed_stdin(self, data):
                calls.append("feed")
                await super()._feed_stdin(data)

        protocols = impl.module.subprocess if impl.is_stock else impl.module._yibu

        class Protocol(protocols.SubprocessStreamProtocol):
            def pipe_data_received(self, fd, data):
                calls.append((fd, data))
                super().pipe_data_received(fd, data)

            def process_exited(self):
                calls.append("exited")
                super().process_exited()

        async def main():
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.subprocess_exec(
                lambda: Protocol(limit=1000, loop=loop), "cat", stdin=PIPE, stdout=PIPE, stderr=None
            )
            process = Process(transport, protocol, loop)
            assert repr(protocol).startswith("<Protocol stdin=<StreamWriter ")
            assert repr(process) == f"<Process {transport.get_pid()}>"
            return await process.communicate(b"data")

        assert each(main()) == (b"data", None)
        assert calls[0] == "feed"
        assert sorted(map(str, calls[1:])) == sorted(["(1, b'data')", "exited", "wait"])


class TestCreation:
    def test_is_a_coroutine_function(self, impl):
        import inspect

        if sys.version_info >= (3, 12):
            for function in impl.create_subprocess_exec, impl.create_subprocess_shell:
                assert inspect.iscoroutinefunction(function)
        signature = inspect.signature(impl.create_subprocess_exec)
        names = ["program", "args", "stdin", "stdout", "stderr", "limit", "kwds"]
        assert list(signature.parameters) == names

    @pytest.mark.parametrize(
        "arguments",
        [
            {"universal_newlines": True},
            {"bufsize": 4096},
            {"text": True},
            {"encoding": "utf-8"},
            {"errors": "strict"},
        ],
        ids=lambda arguments: next(iter(arguments)),
    )
    def test_refuses_text(self, impl, each, arguments):
        (name, _value) = next(iter(arguments.items()))

        async def main():
            for create in impl.create_subprocess_exec, impl.create_subprocess_shell:
                with pytest.raises(ValueError, match=f"^{name} must be (False|None|0)$"):
                    await create("true", **arguments)

        each(main())

    def test_refuses_the_other_kind(self, impl, each):
        async def main():
            with pytest.raises(ValueError, match=r"^shell must be False$"):
                await impl.create_subprocess_exec("true", shell=True)
            with pytest.raises(ValueError, match=r"^shell must be True$"):
                await impl.create_subprocess_shell("true", shell=False)
            with pytest.raises(ValueError, match=r"^cmd must be a string$"):
                await impl.create_subprocess_shell(["true"])

        each(main())

    def test_bad_arguments(self, impl, each):
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'program'"):
            impl.create_subprocess_exec()
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'cmd'"):
            impl.create_subprocess_shell()

        async def main():
            with pytest.raises(TypeError, match="nonsense"):
                await impl.create_subprocess_exec("true", nonsense=1)
            with pytest.raises(FileNotFoundError):
                await impl.create_subprocess_exec("/nonexistent/program")
            with pytest.raises(NotADirectoryError):
                await impl.create_subprocess_exec("true", cwd="/dev/null")

        each(asyncio.sleep(0))  # a loop has its descriptors from its first run on
        before = descriptors()
        each(main())
        assert descriptors() == before

    def test_outside_a_loop(self, impl):
        coroutine = impl.create_subprocess_exec("true")
        with pytest.raises(RuntimeError, match="no running event loop"):
            coroutine.send(None)

    def test_popen_keywords(self, impl, each, tmp_path):
        source = """
import os, resource
print(os.getcwd(), os.environ["GREETING"], os.getsid(0) == os.getpid(),
      resource.getrlimit(resource.RLIMIT_CORE)[0],
      os.read(int(os.environ["FD"]), 9).decode(), oct(os.umask(0)))
"""

        def limit():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        async def main():
            reading, writing = os.pipe()
            os.write(writing, b"inherited")
            with warnings.catch_warnings():
                # Python 3.12 and later warn of a fork while there are threads.
                warnings.simplefilter("ignore", DeprecationWarning)
                process = await impl.create_subprocess_exec(
                    sys.executable,
                    "-c",
                    source,
                    stdout=PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    cwd=tmp_path,
                    env={"GREETING": "hello", "FD": str(reading), "PATH": os.environ["PATH"]},
                    start_new_session=True,
                    preexec_fn=limit,
                    pass_fds=[reading],
                    umask=0o077,
                )
            output, _ = await process.communicate()
            os.close(reading)
            os.close(writing)
            return output.decode()

        assert each(main()) == f"{tmp_path} hello True 0 inherited 0o77\n"

    def test_a_failing_preexec_fn(self, impl, each):
        def fail():
            raise ValueError

        async def main():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                with pytest.raises(subprocess.SubprocessError):
                    await impl.create_subprocess_exec("true", preexec_fn=fail)

        each(main())

    @pytest.mark.parametrize(
        "text", ["plain", "two words", "it's", '"quoted"', "$HOME `true` \\", "; exit 3"]
    )
    def test_shell_quoting(self, impl, each, text):
        async def main():
            process = await impl.create_subprocess_shell(f"printf %s {shlex.quote(text)}", stdout=PIPE)
            return await process.communicate(), process.returncode

        assert each(main()) == ((text.encode(), None), 0)

    def test_shell_command_in_bytes(self, impl, each):
        async def main():
            process = await impl.create_subprocess_shell(b"exit 9")
            return await process.wait()

        assert each(main()) == 9

    def test_output_to_a_file_and_to_nowhere(self, impl, each, tmp_path):
        path = tmp_path / "output"

        async def main():
            with path.open("wb") as file:
                process = await impl.create_subprocess_shell(
                    "cat; echo out; echo err >&2",
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=file,
                    stderr=asyncio.subprocess.DEVNULL,
                )
                return await process.communicate()

        assert each(main()) == (None, None)
        assert path.read_bytes() == b"out\n"

    @pytest.mark.parametrize("turns", range(6))
    def test_cancelled_at_each_await(self, impl, each, turns):
        """Whenever the creation is cancelled, the child is gone when it raises."""

        each(asyncio.sleep(0))  # a loop has its descriptors from its first run on
        before = descriptors()

        async def main():
            task = asyncio.ensure_future(impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE))
            for _ in range(turns):
                await asyncio.sleep(0)
            if not task.cancel("enough"):
                process = task.result()
                await process.communicate()
                assert process.returncode == 0
                return
            with pytest.raises(asyncio.CancelledError):
                await task
            assert zombies() == []

        each(main())
        # Until 3.14 stock leaves pipes that were not connected to the collector.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        assert descriptors() == before


class TestExit:
    @pytest.mark.yibu_only(before=(3, 12))  # until then a thread of stock's takes note of the end
    def test_while_the_loop_is_busy(self, impl, run):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE)
            process.kill()
            wait_for_zombie(process.pid)
            assert process.returncode is None
            return await process.wait()

        assert run(main()) == -signal.SIGKILL

    @pytest.mark.yibu_only(before=(3, 14))  # until then stock waits for the pipes, too
    def test_while_a_grandchild_has_the_pipe(self, impl, run):
        async def main():
            command = "exec 3<&0; cat <&3 & exit 3"
            process = await impl.create_subprocess_shell(command, stdin=PIPE, stdout=PIPE)
            code = await process.wait()
            process.stdin.write(b"still there")
            process.stdin.close()
            return code, await process.stdout.read()

        assert run(main()) == (3, b"still there")

    def test_while_the_loop_is_stopped(self, impl, loop):
        process = loop.run_until_complete(impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE))
        process.kill()
        with contextlib.suppress(ChildProcessError):
            wait_for_zombie(process.pid)
        assert process.returncode is None
        assert loop.run_until_complete(process.wait()) == -signal.SIGKILL
        assert zombies() == []

    @pytest.mark.yibu_only  # stock leaves the descriptor of the process open
    def test_loop_closed_while_a_child_lives(self, impl, make_loop):
        before = descriptors()
        loop = make_loop()
        process = loop.run_until_complete(impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE))
        pid = process.pid
        loop.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(RuntimeError):
                process._transport.close()
            os.kill(pid, signal.SIGKILL)
            wait_for_end(pid)
            join_threads()
            del process, loop
            gc.collect()
        left = [file for fd, file in descriptors().items() if fd not in before]
        assert left == []

    @pytest.mark.skipif(sys.version_info >= (3, 12), reason="nobody waits for it since 3.12")
    def test_after_the_loop_was_closed(self, impl, make_loop, caplog):
        loop = make_loop()
        process = loop.run_until_complete(impl.create_subprocess_exec("cat", stdin=PIPE))
        loop.close()
        os.kill(process.pid, signal.SIGKILL)
        join_threads()
        (record,) = caplog.records
        assert record.getMessage() == f"Loop {loop!r} that handles pid {process.pid} is closed"
        assert zombies() == []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(RuntimeError):
                process._transport.close()
            del process
            gc.collect()

    @pytest.mark.yibu_only(before=(3, 12))  # until then a thread of stock's is first
    def test_somebody_else_waits_for_it(self, impl, loop, caplog):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE)
            process.kill()
            wait_for_zombie(process.pid)
            os.waitpid(process.pid, 0)
            return process.pid, await process.wait()

        pid, code = loop.run_until_complete(main())
        assert code == 255
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        if sys.version_info >= (3, 12):
            text = f"child process pid {pid} exit status already read:  will report returncode 255"
        else:
            text = f"Unknown child process pid {pid}, will report returncode 255"
        assert record.getMessage() == text

    def test_in_a_thread(self, impl):
        async def main():
            process = await impl.create_subprocess_exec(*ECHO, stdin=PIPE, stdout=PIPE)
            return await process.communicate(b"hello")

        async def outer():
            return await impl.to_thread(impl.run, main())

        assert impl.run(outer()) == (b"hello", None)

    def test_many_at_once(self, impl, run):
        async def one(number):
            process = await impl.create_subprocess_shell(f"cat; exit {number}", stdin=PIPE, stdout=PIPE)
            output, _ = await process.communicate(b"%d" % number)
            return int(output), process.returncode

        async def main():
            return await impl.gather(*map(one, range(50)))

        assert run(main()) == [(number, number) for number in range(50)]

    @pytest.mark.time_limit(120)
    def test_many_in_a_row_leave_nothing(self, impl, run):
        async def rounds(count):
            for _ in range(count):
                process = await impl.create_subprocess_exec("true", stdin=PIPE, stdout=PIPE, stderr=PIPE)
                assert await process.communicate() == (b"", b"")
                del process
                # At once: many that die together fill the stores of objects for reuse.
                gc.collect()

        run(rounds(20))
        before, objects = descriptors(), len(gc.get_objects())
        run(rounds(300))
        assert descriptors() == before
        assert zombies() == []
        assert len(gc.get_objects()) - objects < 30


def wait_for_end(pid):
    """Block until a child is gone, whoever takes note of its end."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there are no public child watchers since 3.14")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestWatchers:
    @pytest.fixture
    def with_watcher(self, impl, loop):
        """Run a coroutine while the policy has a watcher."""
        policy = asyncio.get_event_loop_policy()

        def run(watcher, main):
            asyncio.set_event_loop(loop)
            watcher.attach_loop(loop)
            policy.set_child_watcher(watcher)
            try:
                return loop.run_until_complete(main)
            finally:
                policy.set_child_watcher(None)
                asyncio.set_event_loop(None)

        return run

    @pytest.mark.parametrize(
        "name", ["PidfdChildWatcher", "ThreadedChildWatcher", "SafeChildWatcher", "FastChildWatcher"]
    )
    def test_each_kind(self, impl, with_watcher, name):
        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            assert await process.communicate(b"data") == (b"data", None)
            return process.returncode

        assert with_watcher(getattr(impl, name)(), main()) == 0

    def test_one_of_the_program_s_own(self, impl, with_watcher):
        calls = []

        class Watcher(impl.ThreadedChildWatcher):
            def __enter__(self):
                calls.append("enter")
                return super().__enter__()

            def __exit__(self, *exc_info):
                calls.append(exc_info[0])
                return super().__exit__(*exc_info)

            def is_active(self):
                calls.append("is_active")
                return super().is_active()

            def add_child_handler(self, pid, callback, *args):
                calls.append("add")
                super().add_child_handler(pid, callback, *args)

        async def main():
            process = await impl.create_subprocess_exec("true")
            return await process.wait()

        assert with_watcher(Watcher(), main()) == 0
        assert calls == ["enter", "is_active", "add", None]

    def test_one_that_is_not_active(self, impl, with_watcher):
        class Watcher(impl.ThreadedChildWatcher):
            def is_active(self):
                return False

        async def main():
            text = "asyncio.get_child_watcher() is not activated, subprocess support is not installed."
            with pytest.raises(RuntimeError) as caught:
                await impl.create_subprocess_exec("true")
            assert str(caught.value) == text

        with_watcher(Watcher(), main())

    def test_are_what_policies_want(self, impl):
        for name in "PidfdChildWatcher", "ThreadedChildWatcher":
            watcher = getattr(impl, name)()
            assert isinstance(watcher, asyncio.AbstractChildWatcher)
            assert watcher.remove_child_handler(1) is (
                name != "PidfdChildWatcher" or sys.version_info >= (3, 12)
            )
            with watcher as entered:
                assert entered is watcher
            watcher.attach_loop(None)
            watcher.close()

    def test_the_default_one(self, impl):
        policy = impl.DefaultEventLoopPolicy()
        watcher = policy.get_child_watcher()
        pidfd = sys.version_info >= (3, 12) and asyncio.unix_events.can_use_pidfd()
        assert type(watcher) is (impl.PidfdChildWatcher if pidfd else impl.ThreadedChildWatcher)
        assert policy.get_child_watcher() is watcher

    def test_threads(self, impl, run, caplog):
        watcher = impl.ThreadedChildWatcher()
        ended = []

        async def main():
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            child = subprocess.Popen(["cat"], stdin=PIPE)

            def callback(*args):
                ended.append((threading.current_thread(), *args))
                loop.call_soon_threadsafe(done.set_result, None)

            watcher.add_child_handler(child.pid, callback, "argument")
            (thread,) = watcher._threads.values()
            assert thread.name == "asyncio-waitpid-0"
            assert thread.daemon
            child.stdin.close()
            await done
            thread.join()
            child.returncode = 0
            return child.pid

        pid = run(main())
        assert ended == [(threading.main_thread(), pid, 0, "argument")]
        assert watcher._threads == {}

    def test_thread_of_a_closed_loop(self, impl, make_loop, caplog):
        watcher = impl.ThreadedChildWatcher()
        loop = make_loop()
        child = subprocess.Popen(["cat"], stdin=PIPE)

        async def main():
            watcher.add_child_handler(child.pid, lambda *args: pytest.fail("called"))

        loop.run_until_complete(main())
        (thread,) = watcher._threads.values()
        loop.close()
        child.stdin.close()
        thread.join()
        child.returncode = 0
        (record,) = caplog.records
        assert record.getMessage() == f"Loop {loop!r} that handles pid {child.pid} is closed"

    def test_thread_too_late(self, impl, run, caplog):
        watcher = impl.ThreadedChildWatcher()

        async def main():
            done = asyncio.get_running_loop().create_future()
            child = subprocess.Popen(["true"])
            child.wait()
            watcher.add_child_handler(child.pid, lambda *args: done.set_result(args))
            assert await done == (child.pid, 255)
            return child.pid

        pid = run(main())
        (record,) = caplog.records
        assert record.getMessage() == f"Unknown child process pid {pid}, will report returncode 255"

    def test_a_watcher_dropped_too_early(self, impl, run):
        watcher = impl.ThreadedChildWatcher()
        waiting = watcher._threads

        class Alive:
            def is_alive(self):
                return True

        waiting[1] = Alive()
        with pytest.warns(ResourceWarning, match="has registered but not finished child processes"):
            watcher.__del__()
        waiting.clear()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="a loop has a watcher of its own since 3.14")
class TestWatcherOfTheLoop:
    def test_kinds(self, impl, make_loop, monkeypatch):
        unix_events = asyncio.unix_events
        expected = unix_events._PidfdChildWatcher
        assert isinstance(make_loop()._watcher, expected if unix_events.can_use_pidfd() else object)
        monkeypatch.setattr(unix_events, "can_use_pidfd", lambda: False)
        loop = make_loop()
        assert isinstance(loop._watcher, unix_events._ThreadedChildWatcher)

        async def main():
            process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            return await process.communicate(b"data"), process.returncode

        assert loop.run_until_complete(main()) == ((b"data", None), 0)


def test_tasks_that_wait_for_ever_do_not_keep_the_child(impl, make_loop):
    """A loop that is closed over everything leaves no child that runs."""
    loop = make_loop()
    process = loop.run_until_complete(impl.create_subprocess_exec("cat", stdin=PIPE))
    task = loop.create_task(forever())
    turn(loop)
    task.cancel()
    turn(loop)
    process.kill()
    assert loop.run_until_complete(process.wait()) == -signal.SIGKILL
