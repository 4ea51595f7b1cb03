"""`python -m yibu inspect PID`: a page in the browser that shows the tasks of a process, live.

The page is served by the command, not by the process, which is asked by its socket as `ps` does. Whoever can
reach the address may not look: each question needs the token that is in the address the command prints. The
name of the host and the origin are checked, so that no page of somebody else's can ask in the user's name.
Called by `command.py`.
"""

import hmac
import json
import secrets
import sys
import threading
import time
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from yibu.inspection import client

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_FRESH = 0.4
"""Seconds for which an answer is good for everybody who asks."""


class Page:
    """The page for one process."""

    def __init__(self, pid: int, host: str = "127.0.0.1", port: int = 0, *, timeout: float = 30.0) -> None:
        self.pid = pid
        self.token = secrets.token_urlsafe(24)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._answer: tuple[float, bytes] = (0.0, b"")
        self._server = ThreadingHTTPServer((host, port), partial(_Handler, self))
        self._server.daemon_threads = True
        self.host, self.port = host, self._server.server_address[1]

    @property
    def address(self) -> str:
        """Where the page is; the part behind # is not sent by browsers."""
        return f"http://{self.host}:{self.port}/#{self.token}"

    def is_own(self, host: str | None) -> bool:
        """Whether a `Host` header names this server, as no name of somebody else's that leads here does."""
        return host in {f"{name}:{self.port}" for name in (self.host, "127.0.0.1", "localhost")}

    def data(self) -> bytes:
        """The tree, as it is now or was just now. `Unreachable` when the process is."""
        with self._lock:
            asked, answer = self._answer
            if time.monotonic() - asked > _FRESH:
                request = {"ask": "tasks", "sample": 0.25}
                tree = client.exchange(self.pid, request, self._timeout)["tree"]
                answer = json.dumps(tree).encode()
                self._answer = time.monotonic(), answer
            return answer

    def serve(self) -> None:
        """Serve until interrupted."""
        try:
            self._server.serve_forever(poll_interval=0.2)
        finally:
            self._server.server_close()

    def shut_down(self) -> None:
        """End `serve()`, from another thread."""
        self._server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    """Answers GET, and nothing else."""

    server_version = "yibu"
    sys_version = ""
    timeout = 30

    def __init__(self, page: Page, *arguments: Any) -> None:
        self.page = page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not self.page.is_own(self.headers.get("Host")) or not self._is_of_this_origin():
            self._refuse(HTTPStatus.FORBIDDEN, "this name does not belong to this page")
        elif path in _FILES:
            name, kind = _FILES[path]
            self._give(resources.files("yibu.inspection").joinpath("page", name).read_bytes(), kind)
        elif path != "/tree":
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
        elif not self._has_token():
            self._refuse(HTTPStatus.UNAUTHORIZED, "use the address that the command has printed")
        else:
            self._give_tree()

    def _give_tree(self) -> None:
        try:
            data = self.page.data()
        except client.Unreachable as error:
            self._refuse(HTTPStatus.BAD_GATEWAY, str(error))
        else:
            self._give(data, "application/json")

    def _is_of_this_origin(self) -> bool:
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site", "none")
        own = origin is None or self.page.is_own(urlsplit(origin).netloc)
        return own and site in ("none", "same-origin")

    def _has_token(self) -> bool:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return kind == "Bearer" and hmac.compare_digest(token.encode(), self.page.token.encode())

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._give(reason.encode(), "text/plain; charset=utf-8", status)

    def _give(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is logged: the page asks every second."""


def main(pid: int, host: str, port: int, timeout: float) -> int:
    """Serve the page until Ctrl-C."""
    client.exchange(pid, {"ask": "nothing"}, timeout)  # tells at once when that cannot be
    page = Page(pid, host, port, timeout=timeout)
    print(f"{page.address}\nCtrl-C ends the page.", file=sys.stderr, flush=True)
    try:
        page.serve()
    except KeyboardInterrupt:
        return 0
    return 0
