"""`Inspection`: what `yibu.inspect()` turns on: the socket, the page, signals, the ages of tasks.

Called by `inspect()`; a fork, the end of the process and the signals call it again.
"""

import atexit
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from yibu import _yibu
from yibu.inspection.handlers import Handler
from yibu.inspection.server import Server, end_onlookers
from yibu.inspection.standard_error import tell, tell_in_time

if TYPE_CHECKING:
    from yibu.inspection.page_server import Page


class Inspection:
    """What is on until `close()`, or the end of its `with` block."""

    def __init__(
        self,
        *,
        socket: bool = True,
        dump_signal: int | None = None,
        open_signal: int | None = None,
        crash: bool = False,
        address: str | None = None,
        remote: bool = False,
    ) -> None:
        self._server: Server | None = None
        self._page: Page | None = None
        self._former: dict[int, Any] = {}
        self._threads_shown: int | None = None
        self._on_crash = False
        self._lock = threading.RLock()
        self._begin()
        try:
            if address is not None:
                self._serve_page(address, remote)
            if socket:
                self._open()
            if open_signal is not None:
                self._handle(open_signal, self._open_and_tell)
            if dump_signal is not None:
                from yibu.inspection import dumping

                self._handle(dump_signal, dumping.dump_by_signal)
                if dumping.show_threads(dump_signal):
                    self._threads_shown = dump_signal
            if crash:
                from yibu.inspection import dumping

                _yibu._on_crash(dumping.dump)
                self._on_crash = True
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> str | None:
        """The path of the socket, while it is open."""
        return None if self._server is None else self._server.path

    @property
    def address(self) -> str | None:
        """Where the page is, with the token that it needs; None where there is none."""
        return None if self._page is None else self._page.address

    def _begin(self) -> None:
        _current.append(self)
        _yibu._note_ages(True)
        if not _registered.is_set():
            _registered.set()
            atexit.register(_close_all)
            os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)

    def _open(self) -> None:
        with self._lock:
            if self._server is None:
                self._server = _shared_server()

    def _serve_page(self, address: str, remote: bool) -> None:
        from yibu.inspection import listening
        from yibu.inspection.page_server import Page, of_this_process

        host, port = listening.parse(address)
        listening.check(host, remote)
        self._page = Page(of_this_process, host, port)
        self._page.start()
        _pages.append(self._page)
        tell(f"yibu: {self._page.address}")

    def _open_and_tell(self) -> None:
        self._open()
        tell_in_time(f"yibu: python -m yibu ps {os.getpid()}")

    def _handle(self, signum: int, act: Callable[[], object]) -> None:
        """Do something whenever a signal comes."""
        try:
            self._former[signum] = signal.signal(signum, Handler(act))
        except OSError:
            raise ValueError(f"no program can handle {signal.Signals(signum).name}") from None

    def close(self) -> None:
        """Turn everything off again. Doing it twice changes nothing."""
        with self._lock:
            if self not in _current:
                return
            _current.remove(self)
            if self._threads_shown is not None:
                from yibu.inspection import dumping

                dumping.hide_threads(self._threads_shown)
            if self._on_crash and not any(other._on_crash for other in _current):
                _yibu._on_crash(None)
            for signum, former in self._former.items():
                with contextlib.suppress(ValueError):  # not in the main thread: the handler stays
                    signal.signal(signum, signal.SIG_DFL if former is None else former)
            self._former.clear()
            server, self._server = self._server, None
            page, self._page = self._page, None
        if page is not None:
            _pages.remove(page)
            page.close()
        if server is not None and not any(other._server is server for other in _current):
            _servers.remove(server)
            server.close()
        if not _pages and not _servers:
            end_onlookers()
        if not _current:
            _yibu._note_ages(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self not in _current else self.path or "without a socket"
        return f"<yibu.inspect() {state}>"


_current: list[Inspection] = []
_servers: list[Server] = []
"""One, or none: all inspections of the process share it."""
_pages: "list[Page]" = []
_registered = threading.Event()


def _shared_server() -> Server:
    if not _servers:
        _servers.append(Server())
    _servers[0].follow_user()
    return _servers[0]


def _close_all() -> None:
    for inspection in list(_current):
        inspection.close()


def _before_fork() -> None:
    for page in _pages:
        page.pause()
    for server in _servers:
        server.pause()


def _after_fork() -> None:
    for server in _servers:
        server.start()
    for page in _pages:
        page.start()


def _in_child() -> None:
    """The child leaves its parent's socket and page alone, and opens a socket of its own."""
    for inspection in _current:
        inspection._page = None
    while _pages:
        _pages.pop().abandon()
    for server in _servers:
        server.abandon()
        try:
            server.open()
        except OSError as error:
            tell(f"yibu: this forked process cannot be inspected: {error}")
