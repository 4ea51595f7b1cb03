"""`Inspection`: what `yibu.inspect()` turns on: the socket, the page, signals, the ages of tasks.

Called by `inspect()`; a fork, the end of the process and the signals call it again.
"""

import atexit
import contextlib
import faulthandler
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from yibu import _yibu
from yibu.inspection.server import Server, end_onlookers
from yibu.inspection.wording import encodable

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
                self._handle(open_signal, self._opened)
            if dump_signal is not None:
                self._handle(dump_signal, _dumped)
                self._show_threads(dump_signal)
            if crash:
                _yibu._on_crash(dump)
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
        _tell(f"yibu: {self._page.address}")

    def _opened(self, _signum: int, _frame: FrameType | None) -> None:
        self._open()
        _tell(f"yibu: python -m yibu ps {os.getpid()}")

    def _handle(self, signum: int, handler: Any) -> None:
        try:
            self._former[signum] = signal.signal(signum, handler)
        except OSError:
            raise ValueError(f"no program can handle {signal.Signals(signum).name}") from None

    def _show_threads(self, signum: int) -> None:
        """Have the interpreter print the threads first: it can while native code runs that never ends."""
        with contextlib.suppress(
            OSError, ValueError, AttributeError, RuntimeError
        ):  # no usable standard error
            faulthandler.register(signum, chain=True)
            self._threads_shown = signum

    def close(self) -> None:
        """Turn everything off again. Doing it twice changes nothing."""
        with self._lock:
            if self not in _current:
                return
            _current.remove(self)
            if self._threads_shown is not None:
                faulthandler.unregister(self._threads_shown)
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


def _dumped(_signum: int, _frame: FrameType | None) -> None:
    """Print the tasks; the handler runs in the main thread, between two instructions of Python code."""
    dump()


def dump() -> None:
    """Print the task tree to standard error."""
    from yibu.inspection.snapshot import take
    from yibu.inspection.tree import tree_text

    _tell(tree_text(take()))


def _tell(text: str) -> None:
    """Print to standard error, unless the process has none or that is closed."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(encodable(text, sys.stderr), file=sys.stderr, flush=True)


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
            _tell(f"yibu: this forked process cannot be inspected: {error}")
