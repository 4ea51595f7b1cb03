"""`Page`: a page in the browser that shows the tasks of a process, live.

`python -m yibu inspect PID` serves it for another process, which is asked by its socket as `ps` does;
`--inspect=HOST:PORT` has the process itself serve it, in threads of its own. A client that reaches it
may not look: each question needs the token that is in the address that is printed. The name of the host and
the origin are checked, so that no page of another site can ask in the user's name. Called by `command.py`
and `inspecting.py`.
"""

import contextlib
import hmac
import json
import logging
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from yibu.inspection import client, listening, server
from yibu.inspection.own_socket import OwnSocket

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    **{f"/{name}": (name, "text/javascript; charset=utf-8") for name in ("page.js", "parts.js", "show.js")},
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

_log = logging.getLogger("yibu")

_FRESH = 0.4
"""Seconds for which an answer is good for all clients."""


_REQUEST = {"ask": "tasks", "sample": 0.25, "live": True}

_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Hosts that stand for all addresses of this machine, and one of these, which a browser can open."""

_PATIENCE = 5.0
"""Seconds for threads to end."""


class NoPage(Exception):
    """The page cannot be served at the address that was asked for."""


def of_process(pid: int, timeout: float = 30.0) -> Callable[[], bytes]:
    """Asks another process for its tree, as JSON; `Unreachable` when it is."""

    def ask() -> bytes:
        return json.dumps(client.exchange(pid, _REQUEST, timeout)["tree"]).encode()

    return ask


def of_this_process() -> bytes:
    """The tree of this process, as JSON."""
    return bytes(server.tree_for(_REQUEST))


class Page:
    """A page at an address; `ask` gives the tree that it shows."""

    def __init__(self, ask: Callable[[], bytes], host: str = "127.0.0.1", port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        self._ask = ask
        self._lock = threading.Lock()
        self._answer: tuple[float, bytes] = (0.0, b"")
        self._thread: threading.Thread | None = None
        self._server = _Server(self, host, port)
        self.host, self.port = host, self._server.server_address[1]

    @property
    def address(self) -> str:
        """Where the page is; the part behind # is not sent by browsers."""
        return f"http://{_in_address(_ALL.get(self.host, self.host))}:{self.port}/#{self.token}"

    def is_own(self, host: str | None, reached_at: str) -> bool:
        """Whether a `Host` header names this server, as no foreign name that leads here does.

        `reached_at` is the address by which the connection has come.
        """
        return host in {
            f"{_in_address(name)}:{self.port}" for name in (self.host, reached_at, "127.0.0.1", "localhost")
        }

    def data(self) -> bytes:
        """The tree, as it is now or was just now. `Unreachable` when the process is."""
        with self._lock:
            asked, answer = self._answer
            if time.monotonic() - asked > _FRESH:
                answer = self._ask()
                self._answer = time.monotonic(), answer
            return answer

    def serve(self) -> None:
        """Serve until interrupted, and close the address."""
        try:
            self._server.serve_forever(poll_interval=0.2)
        finally:
            self._server.server_close()

    def start(self) -> None:
        """Serve in a thread that does not keep the process alive."""
        self._thread = threading.Thread(target=self._run, name="yibu-page", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        """Serve, and go on at the same address when the program has closed the descriptor."""
        while True:
            try:
                self._server.serve_forever(poll_interval=0.2)
            except _DescriptorLost:
                try:
                    self._server.open_again()
                except OSError as error:
                    _log.warning(
                        "the program has closed the descriptor of the page at %s:%d, and it cannot be opened "
                        "again: %s",
                        _in_address(self.host),
                        self.port,
                        error,
                    )
                    return
            else:
                return

    def pause(self) -> None:
        """End all threads; who asks meanwhile waits until `start()`."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join(_PATIENCE)
            self._thread = None
            self._server.end_threads()

    def close(self) -> None:
        """End all threads and close the address."""
        self.pause()
        self.abandon()

    def abandon(self) -> None:
        """Close this process's reference to the address."""
        self._server.own.close()

    def shut_down(self) -> None:
        """End `serve()`, from another thread."""
        self._server.shutdown()


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _DescriptorLost(Exception):
    """The number of the socket is closed, or that of another file."""


class _Server(ThreadingHTTPServer):
    """Knows its connections and threads, which have to end before the process forks."""

    daemon_threads = True
    allow_reuse_port = False
    """Newer versions of Python would let several processes share the port, whose tokens differ."""

    def __init__(self, page: Page, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__((host, port), partial(_Handler, page))
        self.own = OwnSocket(self.socket)

    def open_again(self) -> None:
        """Listen at the same address with another socket."""
        self.own.close()
        self.socket = socket.socket(self.address_family, self.socket_type)
        self.own = OwnSocket(self.socket)
        self.server_bind()
        self.server_activate()

    def get_request(self) -> tuple[Any, Any]:
        """The next connection; none from a socket of the program that has got the number."""
        if not self.own.is_open:
            raise ConnectionAbortedError
        return super().get_request()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._open[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.pop(request, None)

    def service_actions(self) -> None:
        """Called every now and then by `serve_forever`."""
        if not self.own.is_open:
            raise _DescriptorLost
        server.check_onlookers()

    def end_threads(self) -> None:
        """End the connections, and wait for their threads."""
        for connection, thread in list(self._open.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            if thread is not threading.current_thread():
                thread.join(_PATIENCE)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked is gone; a program is not told of that on its standard error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD, and nothing else."""

    server_version = "yibu"
    sys_version = ""
    timeout = 30

    def __init__(self, page: Page, *arguments: Any) -> None:
        self.page = page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        hosts = self.headers.get_all("Host", [])
        if len(hosts) > 1:
            self._refuse(HTTPStatus.BAD_REQUEST, "a request names one host")
        elif not self._is_own(hosts[0] if hosts else None):
            self._refuse(HTTPStatus.FORBIDDEN, "this name does not belong to this page")
        elif not self._is_of_this_origin():
            reason = "another site has led here: open the address that was printed in a tab of its own"
            self._refuse(HTTPStatus.FORBIDDEN, reason)
        elif path in _FILES:
            name, kind = _FILES[path]
            self._give(resources.files("yibu.inspection").joinpath("page", name).read_bytes(), kind)
        elif path != "/tree":
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
        elif not self._has_token():
            self._refuse(HTTPStatus.UNAUTHORIZED, "use the address that the command has printed")
        else:
            self._give_tree()

    do_HEAD = do_GET

    def _give_tree(self) -> None:
        try:
            data = self.page.data()
        except client.Unreachable as error:
            self._refuse(HTTPStatus.BAD_GATEWAY, str(error))
        else:
            self._give(data, "application/json")

    def _is_own(self, host: str | None) -> bool:
        return self.page.is_own(host, self.connection.getsockname()[0])

    def _is_of_this_origin(self) -> bool:
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site", "none")
        own = origin is None or self._is_own(urlsplit(origin).netloc)
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
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is logged: the page asks every second."""


def main(pid: int, host: str, port: int, timeout: float) -> int:
    """Serve the page until Ctrl-C. `NoPage` where its address cannot be had."""
    client.exchange(pid, {"ask": "nothing"}, timeout)  # tells at once when that cannot be
    try:
        page = Page(of_process(pid, timeout), host, port)
    except OSError as error:
        raise NoPage(f"no page at {_in_address(host)}:{port}: {error.strerror or error}") from error
    if not listening.is_local(host):
        print(
            "Other machines can reach this page, and it is not encrypted. They open it by an address of this "
            "machine.",
            file=sys.stderr,
        )
    print(f"{page.address}\nCtrl-C ends the page.", file=sys.stderr, flush=True)
    try:
        page.serve()
    except KeyboardInterrupt:
        return 0
    return 0
