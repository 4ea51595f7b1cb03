"""Methods of asyncio's classes that a program replaces: in subclasses, and in the classes themselves.

Each replacement notes that it was called and calls the original, so a trace tells where the implementation
calls by name and where it does not. Called by `implementations.py` and `world.py`.
"""

import asyncio
import inspect
import sys
from types import SimpleNamespace

METHODS = {
    "Lock": ["acquire", "release"],
    "Event": ["set", "clear", "wait"],
    "Condition": ["wait", "notify", "notify_all"],
    "Semaphore": ["acquire", "release", "locked"],
    "Barrier": ["wait", "reset", "abort"],
    "Queue": ["get", "put", "get_nowait", "put_nowait", "task_done", "join", "_get", "_put"],
    "PriorityQueue": ["_get", "_put", "put"],
    "TaskGroup": ["create_task", "__aenter__", "__aexit__"],
    "Timeout": ["__aenter__", "__aexit__"],
}
if sys.version_info >= (3, 13):
    METHODS["Queue"].append("shutdown")

OF_FUTURES = {
    "Future": ["cancel", "set_result", "set_exception"],
    "Task": ["cancel", "uncancel"],
}
"""On asyncio these are classes in C: they can be subclassed, not changed.

Callbacks are added in the order of a set by `wait` and `as_completed`, which a trace cannot show.
"""

OF_LOOPS = ["call_soon", "call_later", "call_at", "create_task", "create_future"]


def places(table):
    """Return the name of a class and of a method of it, of each of those in a table."""
    return [(kind, method) for kind, methods in table.items() for method in methods]


UNPATCHED = [("Lock", "acquire"), ("Lock", "release"), ("Barrier", "wait"), ("Event", "wait")]
"""asyncio's conditions keep the methods of their lock, whatever is patched later; barriers are in `mended`;
yibu's queues call `wait` of their event, which is nobody's business (`PARTS`).
"""

PATCHES = [place for place in places(METHODS | {"BaseEventLoop": OF_LOOPS}) if place not in UNPATCHED]

OVERRIDES = places(METHODS | OF_FUTURES | {"loop": OF_LOOPS})


OF_AS_COMPLETED = {
    ("asyncio.tasks", name)
    for name in (
        "as_completed",
        "__init__",
        "_wait_for_one",
        "_on_completion",
        "_on_timeout",
        "_handle_completion",
        "_handle_timeout",
    )
}

PARTS = {
    "Event": OF_AS_COMPLETED,
    "Queue": OF_AS_COMPLETED,
}
"""Who uses these classes for what it is made of: `as_completed`, with a queue and its event.

Programs cannot rely on that, so such calls are not noted.
"""


def is_part(kind):
    """Tell whether the replaced method that runs was called by another part of asyncio, named in `PARTS`."""
    if kind not in PARTS:
        return False
    frame, own = sys._getframe(2), {__name__, getattr(asyncio, kind).__module__, "asyncio.queues"}
    while (module := frame.f_globals.get("__name__")) in own:
        frame = frame.f_back
    return not PARTS[kind].isdisjoint({(module, None), (module, frame.f_code.co_name)})


def traced(kind, name, original, note):
    """Return a function in the place of a method that says that it was called."""
    if inspect.iscoroutinefunction(original):

        async def method(self, *args, **keywords):
            if not is_part(kind):
                note("method", f"{kind}.{name}")
            return await original(self, *args, **keywords)

    else:

        def method(self, *args, **keywords):
            if not is_part(kind) and (name != "call_soon" or getattr(args[0], "__name__", "") == "called"):
                note("method", f"{kind}.{name}")
            return original(self, *args, **keywords)

    method.__name__ = name
    return method


class Notes:
    """Where replaced methods note their calls: the trace of the run that goes on, if there is one."""

    def __init__(self):
        self.world = None

    def __call__(self, *what):
        if self.world is not None:
            self.world.note(*what)


def with_overrides(implementation, chosen):
    """Give an implementation subclasses that override the chosen ones of `OVERRIDES`."""
    note, own = Notes(), {}
    bases = {name: getattr(implementation.aio, name) for name in METHODS | OF_FUTURES}
    bases["loop"] = implementation.loop
    for kind, method in chosen:
        own.setdefault(kind, {})[method] = traced(kind, method, getattr(bases[kind], method), note)
    made = {kind: type(kind, (bases[kind],), members) for kind, members in own.items()}
    implementation.notes = note
    implementation.loop = made.pop("loop", implementation.loop)
    implementation.aio = SimpleNamespace(**vars(implementation.aio) | made)
    if "Future" in made:
        implementation.future = made["Future"]


class Patches:
    """The methods of classes that a program replaces and puts back while it runs."""

    def __init__(self, module, note):
        self.module = module
        self.note = note
        self.inherited = {}

    def turn(self, number):
        """Replace a method, or put the original back; say what was done."""
        kind, name = place = PATCHES[number % len(PATCHES)]
        # The loop that runs may be a native one: programs speak of asyncio's class in any case.
        owner = getattr(asyncio if kind == "BaseEventLoop" else self.module, kind)
        if place in self.inherited:
            self.put_back(place)
            return f"{kind}.{name} is itself again"
        self.inherited[place] = owner, vars(owner).get(name)
        setattr(owner, name, traced(kind, name, getattr(owner, name), self.note))
        return f"{kind}.{name} is patched"

    def put_back(self, place):
        owner, original = self.inherited.pop(place)
        if original is None:
            delattr(owner, place[1])
        else:
            setattr(owner, place[1], original)

    def end(self):
        for place in list(self.inherited):
            self.put_back(place)
