"""A Redis server, or one that speaks its protocol, on a free port of this machine and with nothing on disk.

Called by `running.py` for suites that need one. Debian: `apt-get install redis-server`.
"""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


def program() -> str | None:
    """The server's program, if there is one on this machine."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Start a server that works in `folder`; gives its URL. It is gone afterwards, whatever happens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "no"}
    command = [str(program())]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    with open(folder / "redis.log", "wb") as log:
        server = subprocess.Popen(
            [*command, "--enable-debug-command", "yes"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        _wait_until_it_answers(server, port, folder / "redis.log")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


def _wait_until_it_answers(server: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(b"PING\r\n")
            if client.recv(5) == b"+PONG":
                return
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the Redis server does not start: {log.read_text(errors='replace')[-500:]}")
        time.sleep(0.05)
