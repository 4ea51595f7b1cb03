"""What libraries use of asyncio's loops under private names: `_ready`, `_scheduled`, `_selector` and more.

asyncio keeps these as a deque, a heap and a selector. yibu keeps them natively, and the objects here show
them: reading is cheap, and what is changed through them is changed in the loop. prompt_toolkit, nest_asyncio,
looptime and others rely on it; the native side is `event_loop/internals.rs`, for `_ready` `ready_view.rs`.
Mixed into `EventLoop`.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from heapq import heappush
from operator import is_, methodcaller
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from weakref import WeakKeyDictionary, ref

TYPE_CHECKING = False  # importing typing takes a while
if TYPE_CHECKING:
    from typing import Any, Self, SupportsIndex, TypeVar

    _Result = TypeVar("_Result")
    _Handle = Any  # asyncio's, or anything that runs by `_run()`


# What asyncio's loops have in their `__dict__`, and `vars()` shows.
SHOWN = (
    "_timer_cancelled_count",
    "_closed",
    "_stopping",
    "_ready",
    "_scheduled",
    "_default_executor",
    "_internal_fds",
    "_thread_id",
    "_clock_resolution",
    "_exception_handler",
    "_debug",
    "slow_callback_duration",
    "_current_handle",
    "_task_factory",
    "_coroutine_origin_tracking_enabled",
    "_coroutine_origin_tracking_saved_depth",
    "_asyncgens",
    "_asyncgens_shutdown_called",
    "_executor_shutdown_called",
    "_selector",
    "_ssock",
    "_csock",
    "_transports",
    "_signal_handlers",
    "_unix_server_sockets",
    "_old_agen_hooks",
)


class Ready(deque["_Handle"]):
    """`_ready`: the handles that run next.

    A deque, because that is what asyncio's is. What it holds is in the loop; the memory of the deque itself
    stays empty.
    """

    def __init__(self, loop: Any) -> None:
        super().__init__()
        self._loop = loop

    def __len__(self) -> int:
        count: int = self._loop._ready_count()
        return count

    def _changed(self, change: Callable[[deque[_Handle]], _Result]) -> _Result:
        """Make a change to all of it."""
        handles = deque(self._loop._ready_take())
        try:
            return change(handles)
        finally:
            self._loop._ready_restore(list(handles))

    def __iter__(self) -> Iterator[_Handle]:
        handles: Iterator[_Handle] = self._loop._ready_iterate()
        return handles

    def __reversed__(self) -> Iterator[_Handle]:
        handles: Iterator[_Handle] = self._loop._ready_iterate_reversed()
        return handles

    def __contains__(self, handle: object) -> bool:
        return handle in self.copy()

    def __getitem__(self, index: SupportsIndex) -> _Handle:  # type: ignore[override]
        return self.copy()[index]

    def __setitem__(self, index: SupportsIndex, handle: _Handle) -> None:  # type: ignore[override]
        self._changed(lambda handles: handles.__setitem__(index, handle))

    def __delitem__(self, index: SupportsIndex) -> None:  # type: ignore[override]
        self._changed(lambda handles: handles.__delitem__(index))

    def __repr__(self) -> str:
        return repr(self.copy())

    def __eq__(self, other: object) -> bool:
        return self.copy() == (other.copy() if isinstance(other, Ready) else other)

    __hash__ = None

    def __lt__(self, other: deque[_Handle]) -> bool:
        return self.copy() < other

    def __le__(self, other: deque[_Handle]) -> bool:
        return self.copy() <= other

    def __gt__(self, other: deque[_Handle]) -> bool:
        return self.copy() > other

    def __ge__(self, other: deque[_Handle]) -> bool:
        return self.copy() >= other

    def __add__(self, other: deque[_Handle]) -> deque[_Handle]:  # type: ignore[override]
        return self.copy() + other

    def __radd__(self, other: deque[_Handle]) -> deque[_Handle]:
        return other + self.copy() if isinstance(other, deque) else NotImplemented

    def __mul__(self, times: int) -> deque[_Handle]:  # type: ignore[override]
        return self.copy() * times

    __rmul__ = __mul__  # type: ignore[assignment]

    def __iadd__(self, other: Iterable[_Handle]) -> Self:
        self.extend(other)
        return self

    def __imul__(self, times: int) -> Self:
        self._changed(lambda handles: handles.__imul__(times))
        return self

    def __reduce__(self) -> Any:
        return self.copy().__reduce__()

    def append(self, handle: _Handle) -> None:
        """Append a handle."""
        self._loop._ready_push(handle)

    def extend(self, handles: Iterable[_Handle]) -> None:
        """Append handles."""
        for handle in list(handles) if handles is self else handles:
            self._loop._ready_push(handle)

    def popleft(self) -> _Handle:
        """Take the first handle; IndexError when there is none."""
        return self._loop._ready_pop()

    def pop(self) -> _Handle:  # type: ignore[override]
        """Take the last handle; IndexError when there is none."""
        return self._changed(deque.pop)

    def appendleft(self, handle: _Handle) -> None:
        """Put a handle before all others."""
        self._changed(lambda handles: handles.appendleft(handle))

    def extendleft(self, handles: Iterable[_Handle]) -> None:
        """Put handles before all others, the last of them first."""
        wanted = list(handles)
        self._changed(lambda handles: handles.extendleft(wanted))

    def insert(self, index: int, handle: _Handle) -> None:
        """Put a handle at a place."""
        self._changed(lambda handles: handles.insert(index, handle))

    def remove(self, handle: _Handle) -> None:
        """Take a handle out; ValueError when it is not there."""
        self._changed(lambda handles: handles.remove(handle))

    def rotate(self, steps: int = 1) -> None:
        """Move the last `steps` handles before the first."""
        self._changed(lambda handles: handles.rotate(steps))

    def reverse(self) -> None:
        """Turn the order round."""
        self._changed(deque.reverse)

    def index(self, handle: _Handle, *bounds: int) -> int:
        """Find a handle; ValueError when it is not there."""
        return self.copy().index(handle, *bounds)

    def count(self, handle: _Handle) -> int:
        """Count a handle."""
        return self.copy().count(handle)

    def copy(self) -> deque[_Handle]:  # type: ignore[override]
        """Return the handles as a deque of their own."""
        return deque(self._loop._ready_list())

    __copy__ = copy  # type: ignore[assignment]

    def clear(self) -> None:
        """Drop all handles."""
        self._loop._ready_take()


_due = methodcaller("when")


class Scheduled(list["Any"]):
    """`_scheduled`: the timers in the order in which they are due, which is one of the orders of a heap.

    A list, because that is what `heapq` takes, which goes past all methods. So what it holds is its own:
    the loop tells it of each timer that comes, and at each turn, when the list is asked for and when it is
    dropped, what was put in and taken out is done to the loop's own timers.
    """

    def __init__(self, loop: Any) -> None:
        super().__init__(loop._timers())
        self._loop = loop
        self._known = list(self)

    def __del__(self) -> None:
        self.adopt()

    def _unchanged(self) -> bool:
        return len(self) == len(self._known) and all(map(is_, self, self._known))

    def adopt(self) -> None:
        """Do to the loop what was done to the list."""
        if self._unchanged():
            return
        present, known = {id(timer) for timer in self}, {id(timer) for timer in self._known}
        gone = [timer for timer in self._known if id(timer) not in present]
        new = [timer for timer in self if id(timer) not in known]
        self.sort(key=_due)
        self._known = list(self)
        self._loop._timers_remove(gone)
        for timer in new:
            self._loop._timers_add(timer)

    def refresh(self) -> None:
        """Take what the loop has."""
        self[:] = self._loop._timers()
        self._known = list(self)

    def came(self, timer: Any) -> None:
        """Add a timer that the loop has already.

        Who walks over the list expects what is due first to come first, whether the list was asked for now
        or is held. A list that the program has just changed is a heap at best, until `adopt()` sorts it.
        """
        if self._unchanged():
            insort(self, timer, key=_due)
        else:
            heappush(self, timer)
        insort(self._known, timer, key=_due)


class Selector:
    """`_selector`: the kernel as the loop asks it.

    A program may put a function of its own in the place of `select`, or an object in the place of the
    selector: from then on every turn of the loop asks that, as asyncio does.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "select":
            self._loop._selector_in_charge = self

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name == "select":
            self._loop._selector_in_charge = None

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait until something is ready, at most `timeout` seconds; it will run in the next turn."""
        return [(SelectorKey(fd, fd, mask, None), mask) for fd, mask in self._loop._select(timeout)]

    def get_map(self) -> Mapping[int, SelectorKey]:
        """Return what is watched, by descriptor."""
        return {fd: SelectorKey(fd, fd, mask, None) for fd, mask in self._loop._watched()}

    def get_key(self, fileobj: Any) -> SelectorKey:
        """Return the key of what is watched; KeyError when it is not."""
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        try:
            return self.get_map()[fd]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None

    def unregister(self, fileobj: Any) -> SelectorKey:
        """Stop watching a descriptor; KeyError when it is not watched."""
        key = self.get_key(fileobj)
        self._loop._remove_reader(key.fd)
        self._loop._remove_writer(key.fd)
        return key


# What programs hold of each loop. It holds the loop.
_READY: WeakKeyDictionary[LoopInternals, ref[Ready]] = WeakKeyDictionary()
_SCHEDULED: WeakKeyDictionary[LoopInternals, ref[Scheduled]] = WeakKeyDictionary()


def _shown_timers(loop: LoopInternals) -> Scheduled | None:
    view = _SCHEDULED.get(loop)
    return None if view is None else view()


def _hide_timers(loop: ref[LoopInternals], view: ref[Scheduled]) -> None:
    """Tell the loop that nobody has its list of timers any more."""
    native: Any = loop()
    if native is not None and _SCHEDULED.get(native) is view:
        del _SCHEDULED[native]
        native._show_timers(False)


class LoopInternals:
    """The part of `EventLoop` that shows what is inside."""

    _ssock = None
    _csock = None
    _internal_fds = 0

    @property
    def _ready(self) -> Ready:
        view = _READY.get(self)
        ready = None if view is None else view()
        if ready is None:
            ready = Ready(self)
            _READY[self] = ref(ready)
        return ready

    @_ready.setter
    def _ready(self, handles: Iterable[_Handle]) -> None:
        handles = list(handles)
        self._ready.clear()
        self._ready.extend(handles)

    @property
    def _scheduled(self) -> Scheduled:
        scheduled = _shown_timers(self)
        if scheduled is not None:
            scheduled.adopt()
            return scheduled
        loop: Any = self
        scheduled = Scheduled(loop)
        _SCHEDULED[self] = ref(scheduled, partial(_hide_timers, ref(self)))
        loop._show_timers(True)
        return scheduled

    @_scheduled.setter
    def _scheduled(self, timers: Iterable[Any]) -> None:
        scheduled = self._scheduled
        scheduled[:] = timers
        scheduled.adopt()

    def _sync_timers(self, taken: bool) -> None:
        """Have the list of timers, if there is one, agree with the loop's own."""
        scheduled = _shown_timers(self)
        if scheduled is None:
            return
        loop: Any = self
        if not taken:
            scheduled.adopt()
        elif len(scheduled) != loop._timers_count():
            scheduled.refresh()

    def _timer_added(self, timer: Any) -> None:
        scheduled = _shown_timers(self)
        if scheduled is not None:
            scheduled.came(timer)

    @property
    def _selector(self) -> Any:
        loop: Any = self
        return loop._selector_in_charge or own_attributes(self).setdefault("_kernel_selector", Selector(self))

    @_selector.setter
    def _selector(self, selector: object) -> None:
        loop: Any = self
        ours = own_attributes(self).get("_kernel_selector")
        loop._selector_in_charge = None if selector is ours and "select" not in vars(ours) else selector

    def _process_events(self, events: Iterable[tuple[SelectorKey, int]]) -> None:
        """Take what the selector gave: what the kernel reported is among the ready entries already.

        What a program has registered with a selector of its own comes with the handles to run.
        """
        for key, mask in events:
            if key.data is None:
                continue
            reader, writer = key.data
            if mask & EVENT_READ and reader is not None:
                self._add_callback(reader)
            if mask & EVENT_WRITE and writer is not None:
                self._add_callback(writer)

    def _add_callback(self, handle: _Handle) -> None:
        if not handle._cancelled:
            Ready(self).append(handle)

    def _add_callback_signalsafe(self, handle: _Handle) -> None:
        loop: Any = self
        self._add_callback(handle)
        loop._write_to_self()

    def _read_from_self(self) -> None:
        """Empty what wakes the loop: there is nothing to be read."""


# The `__dict__` of a loop, without what `vars()` shows of the native part.
own_attributes: Callable[[object], dict[str, Any]] = LoopInternals.__dict__["__dict__"].__get__
