"""The catalogue: what is measured, how much of it, and what stands at the other end.

Imported by the measuring process; the measured ones are `worker.py` with `servers.py` and `clients.py`.
"""

import base64
from dataclasses import dataclass

#: A masked text frame of 64 bytes, as a WebSocket client sends it.
FRAME = b"\x81\xc0" + bytes(4) + b"x" * 64
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: benchmark\r\nAccept: */*\r\n"
    b"Accept-Encoding: gzip, deflate\r\n\r\n"
)


@dataclass(frozen=True)
class Job:
    """One line of the table."""

    topic: str
    name: str
    #: What the operations are called.
    noun: str
    #: How many are measured.
    count: int
    #: The function of `servers.py` or `clients.py`.
    function: str
    #: The far end of a client: a service of tests/ecosystem/servers, or `canned`, which is `canned.py`.
    far_end: str | None = None
    #: What the load generator sends once, and for every operation, where a server is measured.
    greeting: bytes = b""
    request: bytes = b""

    @property
    def key(self) -> str:
        """How `--only` knows it."""
        return f"{self.topic}/{self.name}"

    @property
    def is_server(self) -> bool:
        """Whether the measured process serves."""
        return bool(self.request)


JOBS = [
    Job("uvicorn", "plain text", "request", 12_000, "uvicorn_plain", request=REQUEST),
    Job("uvicorn", "FastAPI, JSON", "request", 4_000, "uvicorn_fastapi", request=REQUEST),
    Job("aiohttp", "server", "request", 8_000, "aiohttp_server", request=REQUEST),
    Job("tornado", "server", "request", 5_000, "tornado_server", request=REQUEST),
    Job("aiohttp", "client", "request", 4_000, "aiohttp_client", far_end="canned"),
    Job("httpx", "client", "request", 1_500, "httpx_client", far_end="canned"),
    Job("websockets", "echo server", "message", 15_000, "websockets_server", greeting=UPGRADE, request=FRAME),
    Job("redis-py", "GET", "command", 8_000, "redis_get", far_end="redis"),
    Job("redis-py", "pipeline of 100", "command", 60_000, "redis_pipeline", far_end="redis"),
    Job("asyncpg", "SELECT 1", "query", 12_000, "asyncpg_select", far_end="postgresql"),
    Job("dask", "scheduler, worker and client", "task", 1_500, "dask_tasks"),
]
