"""Libraries above anyio, and uvicorn with its worker processes."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.ecosystem.conftest import PACKAGE_ROOT

APPLICATION = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    loop = type(asyncio.get_running_loop()).__module__.encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": loop})
"""


@pytest.mark.parametrize("arguments", [(), ("--workers", "2"), ("--loop", "asyncio")])
def test_uvicorn(tmp_path, arguments):
    """It names the class of asyncio's loop, and starts its workers by multiprocessing."""
    if importlib.util.find_spec("uvicorn") is None:
        pytest.skip("not installed: uvicorn")
    (tmp_path / "application.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "yibu",
        "-m",
        "uvicorn",
        "application:app",
        "--port",
        str(port),
        *arguments,
    ]
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": PACKAGE_ROOT},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        assert ask(server, port) == "yibu.event_loop", (tmp_path / "log").read_text()
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def ask(server, port):
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
                return answer.read().decode()
        except urllib.error.URLError:
            time.sleep(0.05)  # it is not there yet
    return None


def test_anyio(run):
    run(
        "anyio",
        """
        import anyio

        async def main():
            found = []
            async with anyio.create_task_group() as group:
                async def work(number):
                    await anyio.sleep(0.001)
                    found.append(number)
                for number in range(3):
                    group.start_soon(work, number)
            assert sorted(found) == [0, 1, 2]
            with anyio.move_on_after(0.01) as scope:
                await anyio.sleep(60)
            assert scope.cancelled_caught
            assert await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(anyio.sleep, 0) or 1) == 1
            send, receive = anyio.create_memory_object_stream(1)
            async with send, receive:
                await send.send(1)
                assert await receive.receive() == 1
            process = await anyio.run_process(["true"])
            assert process.returncode == 0

        anyio.run(main)
        """,
    )


def test_httpx_and_fastapi(run):
    run(
        "fastapi httpx",
        """
        import asyncio
        import fastapi, httpx

        app = fastapi.FastAPI()

        @app.get("/{number}")
        async def double(number: int):
            await asyncio.sleep(0)
            return {"twice": number * 2}

        @app.get("/thread/{number}")
        def triple(number: int):
            return {"thrice": number * 3}

        async def main():
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                answers = await asyncio.gather(*(client.get(f"/{number}") for number in range(5)))
                assert [answer.json()["twice"] for answer in answers] == [0, 2, 4, 6, 8]
                assert (await client.get("/thread/3")).json() == {"thrice": 9}

        asyncio.run(main())
        """,
    )
