"""Servers under clients that hang up, send slowly and are cancelled, and their end with requests in flight.

Each runs on asyncio and then on yibu, and does the same on both. `make load` runs each for a minute.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.ecosystem.frameworks.conftest import APPLICATIONS, LOOP, ask, environment, need
from tests.ecosystem.frameworks.load import Load, Question

SECONDS = float(os.environ.get("YIBU_LOAD_SECONDS", "0.5"))
IN_FLIGHT = 5
STOCK_LOOP = "asyncio.unix_events"
SUSPICIOUS = re.compile(r"(?i)traceback|error|exception|warning|never|unclosed|destroyed|lost")

pytestmark = pytest.mark.time_limit(150 + 3 * SECONDS)

#: The commands of each server: what it needs, how it is started on asyncio, and how on yibu.
UVICORN = "-m uvicorn --port PORT --no-access-log --loop"
HYPERCORN = "-m hypercorn --keep-alive 1 --bind 127.0.0.1:PORT plain:app"
GUNICORN = "-m gunicorn --bind 127.0.0.1:PORT --no-control-socket"
GRANIAN = "-m granian --interface asgi --loop asyncio --port PORT"
SERVERS = {
    "uvicorn": ("uvicorn", f"{UVICORN} asyncio plain:app", f"{UVICORN} yibu:new_event_loop plain:app"),
    "uvicorn workers": (
        "uvicorn",
        f"{UVICORN} asyncio --workers 2 plain:app",
        f"{UVICORN} yibu:new_event_loop --workers 2 plain:app",
    ),
    "hypercorn": ("hypercorn", HYPERCORN, f"-m yibu {HYPERCORN}"),
    "gunicorn": (
        "gunicorn",
        f"{GUNICORN} -k asgi --asgi-loop asyncio plain:app",
        f"{GUNICORN} -k yibu.gunicorn.ASGIWorker plain:app",
    ),
    "gunicorn workers": (
        "gunicorn aiohttp",
        f"{GUNICORN} -w 2 -k aiohttp.GunicornWebWorker on_aiohttp:app",
        f"{GUNICORN} -w 2 -k yibu.gunicorn.AiohttpWorker on_aiohttp:app",
    ),
    "granian": ("granian", f"{GRANIAN} plain:app", f"-m yibu {GRANIAN} plain:app"),
    "granian workers": (
        "granian",
        f"{GRANIAN} --workers 2 plain:app",
        f"-m yibu {GRANIAN} --workers 2 plain:app",
    ),
    **{
        framework: (framework, f"on_{framework}.py PORT asyncio", f"on_{framework}.py PORT")
        for framework in ("aiohttp", "tornado", "twisted")
    },
    **{
        framework: (
            f"uvicorn {framework}",
            f"{UVICORN} asyncio on_{framework}:app",
            f"{UVICORN} yibu:new_event_loop on_{framework}:app",
        )
        for framework in ("fastapi", "starlette", "litestar", "quart", "sanic")
    },
}


class Server:
    """One server process, with those that it starts."""

    def __init__(self, folder, command, loop, applications=APPLICATIONS):
        self.folder, self.loop = folder, loop
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *(part.replace("PORT", str(self.port)) for part in command.split())],
                cwd=applications,
                env=environment(WAITING_FOLDER=str(folder), PYTHONWARNINGS="default::ResourceWarning"),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self):
        assert ask(self.process, self.port, 3) == {"loop": self.loop, "twice": 6}, self.log.read_text()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def live(self):
        """Serve for a while, then end with requests in flight; what is to be the same on every loop."""
        load = Load(self.port, self.loop)
        load.run(SECONDS)
        self.wait_until(lambda: self.connections() == 0)
        questions = [Question(self.port) for _ in range(IN_FLIGHT)]
        self.wait_until(lambda: len(list(self.folder.glob("waiting-*"))) == IN_FLIGHT)
        self.process.terminate()
        time.sleep(0.2)  # the server takes notice of the signal, or has ended
        (self.folder / "release").touch()
        answers = [question.answer() for question in questions]
        return {"answers": answers, "status": self.process.wait(40), "complaints": self.complaints()}

    def wait_until(self, is_true):
        """Wait for something that the server does."""
        deadline = time.monotonic() + 20
        while not is_true():
            assert time.monotonic() < deadline, self.log.read_text()[-5000:]
            time.sleep(0.01)

    def connections(self):
        """How many connections to its port the server still has open."""
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        port, closed_or_listening = f"0100007F:{self.port:04X}", ("06", "0A")
        return sum(
            fields[1] == port and fields[3] not in closed_or_listening and fields[9] != "0"
            for fields in lines
        )

    def complaints(self):
        """The lines of the log that tell of something wrong, without numbers and addresses."""
        found = filter(SUSPICIOUS.search, self.log.read_text().splitlines())
        return {re.sub(r"0x[0-9a-f]+|\d+", "N", line) for line in found}


@pytest.mark.parametrize("name", SERVERS)
def test_load_and_end(tmp_path, name):
    packages, on_asyncio, on_yibu = SERVERS[name]
    need(packages)
    with Server(tmp_path / "asyncio", on_asyncio, STOCK_LOOP) as server:
        expected = server.live()
    with Server(tmp_path / "yibu", on_yibu, LOOP) as server:
        found = server.live()
    new_complaints = found.pop("complaints") - expected.pop("complaints")
    assert not new_complaints, (tmp_path / "yibu" / "log").read_text()[-5000:]
    assert found == expected
    assert found["answers"] == [[b"200"]] * IN_FLIGHT


#: The same for servers that watch the files of an application.
RELOADING = {
    "uvicorn": (
        "uvicorn",
        f"{UVICORN} asyncio --reload plain:app",
        f"{UVICORN} yibu:new_event_loop --reload plain:app",
    ),
    "hypercorn": ("hypercorn", f"{HYPERCORN} --reload", f"-m yibu {HYPERCORN} --reload"),
    "gunicorn": (
        "gunicorn",
        f"{GUNICORN} --reload -k asgi --asgi-loop asyncio plain:app",
        f"{GUNICORN} --reload -k yibu.gunicorn.ASGIWorker plain:app",
    ),
}


@pytest.mark.parametrize("name", RELOADING)
def test_reload(tmp_path, name):
    """The application changes while it is served."""
    packages, *commands = RELOADING[name]
    need(packages)
    results = []
    for command, loop in zip(commands, (STOCK_LOOP, LOOP), strict=True):
        folder = tmp_path / loop
        applications = shutil.copytree(APPLICATIONS, tmp_path / f"applications on {loop}")
        with Server(folder, command, loop, applications) as server:
            service = applications / "work.py"
            service.write_text(service.read_text().replace('"twice": sum', '"thrice": number + sum'))

            def is_new(server=server, loop=loop, service=service):
                if ask(server.process, server.port, 3) == {"loop": loop, "thrice": 9}:
                    return True
                # A reloader that saw the file for the first time after the change waits for another one.
                if time.time() - service.stat().st_mtime > 3:
                    service.touch()
                return False

            server.wait_until(is_new)
            server.process.terminate()
            results.append((server.process.wait(40), server.complaints()))
    (expected, known), (found, complaints) = results
    assert found == expected
    assert complaints <= known, server.log.read_text()[-5000:]
