"""Row "subprocesses": exec and shell, pipes, communicate, signals, waiting, Popen's keywords."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

PIPE = subprocess.PIPE


def test_exec_and_communicate(aio):
    async def main():
        process = await aio.create_subprocess_exec(
            sys.executable, "-c", "print(input().upper())", stdin=PIPE, stdout=PIPE
        )
        output, errors = await process.communicate(b"hello\n")
        return output, errors, process.returncode

    assert aio.run(main()) == (b"HELLO\n", None, 0)


def test_shell(aio):
    async def main():
        process = await aio.create_subprocess_shell(
            "echo out; echo err >&2; exit 3", stdout=PIPE, stderr=PIPE
        )
        return await process.communicate(), process.returncode

    assert aio.run(main()) == ((b"out\n", b"err\n"), 3)


def test_line_by_line(aio):
    program = "import sys\nfor line in sys.stdin: print(len(line), flush=True)"

    async def main():
        process = await aio.create_subprocess_exec(sys.executable, "-c", program, stdin=PIPE, stdout=PIPE)
        lengths = []
        for line in (b"a\n", b"bcd\n", b"\n"):
            process.stdin.write(line)
            await process.stdin.drain()
            lengths.append(int(await process.stdout.readline()))
        process.stdin.close()
        return lengths, await process.wait()

    assert aio.run(main()) == ([2, 4, 1], 0)


@pytest.mark.parametrize(
    ("method", "arguments", "number"),
    [("kill", (), signal.SIGKILL), ("terminate", (), signal.SIGTERM), ("send_signal", (signal.SIGINT,), 2)],
)
def test_signals(aio, method, arguments, number):
    async def main():
        process = await aio.create_subprocess_exec("sleep", "1000")
        getattr(process, method)(*arguments)
        return await process.wait()

    assert aio.run(main()) == -number


def test_several_at_once(aio):
    async def main():
        processes = await aio.gather(*[aio.create_subprocess_shell(f"exit {code}") for code in range(8)])
        return await aio.gather(*[process.wait() for process in processes])

    assert aio.run(main()) == list(range(8))


def test_popen_keywords(aio, tmp_path):
    async def main():
        process = await aio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            "pwd; echo $GREETING",
            stdout=PIPE,
            stderr=aio.subprocess.STDOUT,
            cwd=tmp_path,
            env={"GREETING": "hello", "PATH": os.environ["PATH"]},
            start_new_session=True,
        )
        return (await process.communicate())[0]

    assert aio.run(main()) == f"{tmp_path}\nhello\n".encode()


def test_devnull_and_files(aio, tmp_path):
    path = tmp_path / "output"

    async def main():
        with path.open("wb") as output:
            process = await aio.create_subprocess_exec("cat", stdin=aio.subprocess.DEVNULL, stdout=output)
            return await process.wait()

    assert aio.run(main()) == 0
    assert path.read_bytes() == b""


def test_protocol_of_a_subprocess(aio):
    class Watch(asyncio.SubprocessProtocol):
        def __init__(self):
            self.events = []
            self.exited = asyncio.get_running_loop().create_future()

        def pipe_data_received(self, descriptor, data):
            self.events.append((descriptor, data))

        def process_exited(self):
            self.events.append("exited")

        def connection_lost(self, error):
            self.exited.set_result(error)

    async def main():
        transport, protocol = await aio.get_running_loop().subprocess_exec(
            Watch, "/bin/sh", "-c", "echo out; echo err >&2; exit 4", stdin=None
        )
        await protocol.exited
        result = transport.get_returncode(), sorted(e for e in protocol.events if e != "exited")
        transport.close()
        return result, "exited" in protocol.events

    assert aio.run(main()) == ((4, [(1, b"out\n"), (2, b"err\n")]), True)


def test_missing_program(aio):
    async def main():
        with pytest.raises(FileNotFoundError):
            await aio.create_subprocess_exec("/nonexistent/program")

    aio.run(main())


def test_timeout_and_kill(aio):
    async def main():
        process = await aio.create_subprocess_exec("sleep", "1000")
        with pytest.raises(TimeoutError):
            await aio.wait_for(process.wait(), 0.01)
        process.kill()
        return await process.wait()

    assert aio.run(main()) == -signal.SIGKILL
