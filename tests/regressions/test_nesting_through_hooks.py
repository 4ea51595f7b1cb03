"""Native methods in the place of others, so that they reach each other, and chains of native objects.

Between two native calls there is no Python frame then, so the interpreter does not count them. Each program
runs in an interpreter of its own, in a thread of that stack size, and must end with status 0.
"""

import pytest

STACKS = {"8 MiB": 8 << 20, "256 KiB": 256 << 10}

START = """
import asyncio, functools, inspect, logging, os, sys, threading

stack = int(sys.argv[1])
logging.disable(logging.CRITICAL)
sys.unraisablehook = lambda *args: None
loop = aio.new_event_loop()
loop.set_exception_handler(lambda loop, context: None)
"""

END = """
threading.stack_size(stack)
thread = threading.Thread(target=main)
thread.start()
thread.join()
print("ended", flush=True)
os._exit(0)
"""

HOOKS = """
async def nothing():
    pass

def protocol(cls=aio.StreamReaderProtocol):
    return cls(aio.StreamReader(loop=loop), loop=loop)

MAKE = {
    aio.Queue: lambda cls: cls(),
    aio.LifoQueue: lambda cls: cls(),
    aio.PriorityQueue: lambda cls: cls(),
    aio.Lock: lambda cls: cls(),
    aio.Event: lambda cls: cls(),
    aio.Condition: lambda cls: cls(),
    aio.Semaphore: lambda cls: cls(),
    aio.BoundedSemaphore: lambda cls: cls(),
    aio.Barrier: lambda cls: cls(2),
    aio.Future: lambda cls: cls(loop=loop),
    aio.Task: lambda cls: cls(nothing(), loop=loop),
    aio.Handle: lambda cls: cls(int, (), loop),
    aio.TimerHandle: lambda cls: cls(1, int, (), loop),
    aio.StreamReader: lambda cls: cls(loop=loop),
    aio.StreamReaderProtocol: protocol,
    aio.StreamWriter: lambda cls: cls(asyncio.Transport(), protocol(), None, loop),
    aio.Timeout: lambda cls: cls(1),
    aio.TaskGroup: lambda cls: cls(),
    aio.Runner: lambda cls: cls(),
    aio.EventLoop: lambda cls: cls(),
}
ARGUMENTS = [(), (1,), (int,), (1, int), ({"message": "m"},), (b"x",), (ValueError(),)]
SPECIAL = {"__init__", "__repr__", "__del__", "__await__", "__iter__"}
# They wait for what never comes, or print.
SKIPPED = {"run_forever", "run_until_complete", "run", "_run_once", "_select", "print_stack"}

def methods(cls):
    for name in dir(cls):
        method = getattr(cls, name)
        wanted = name in SPECIAL or not name.startswith("__")
        # CPython itself does not survive its own methods in the place of each other, nor Python functions on
        # a stack that is too small for its limit of recursion.
        wanted = wanted and name not in SKIPPED and method is not getattr(object, name, None)
        wanted = wanted and type(method) is not type(attempt)
        if wanted and callable(method) and not inspect.iscoroutinefunction(method):
            yield name, method

def attempt(function, *args):
    try:
        return function(*args)
    except Exception:
        return None

def main():
    for cls, make in MAKE.items():
        names = [name for name in dir(cls) if name in SPECIAL or not name.startswith("__")]
        for entry, method in methods(cls):
            for hook in names:
                # The method itself in the place of another, then its bound form with arguments.
                hooked = attempt(make, type("Hooked", (cls,), {hook: method}))
                if hooked is not None:
                    for args in ARGUMENTS:
                        attempt(lambda: getattr(hooked, entry)(*args))
                plain = make(type("Plain", (cls,), {}))
                for args in ARGUMENTS:
                    bound = functools.partial(getattr(plain, entry), *args)
                    if attempt(lambda: setattr(plain, hook, bound) or True):
                        attempt(bound)
                if cls is aio.EventLoop:
                    for made in filter(None, (hooked, plain)):
                        attempt(cls.close, made)
"""

CHAINS = """
from yibu import _yibu

# More than a small stack has room for.
DEPTH = 5_000
MANAGED_DICT = 1 << 4

def is_native(cls):
    # Classes made in Python are freed by the interpreter, which may nest too deep on small stacks.
    python = "__slots__" in vars(cls) or any(type(value) is type(main) for value in vars(cls).values())
    return not (python or cls.__flags__ & MANAGED_DICT or issubclass(cls, BaseException))

def makers(cls):
    # That constructor loads the certificates of the system.
    if cls.__name__ != "SSLProtocol":
        for count in range(5):
            yield lambda inner: cls(*[inner] * count)
    yield lambda inner: cls.__new__(cls)

def settable(make):
    made = make(None)
    for name in sorted({*dir(made), "inner"} - {"__class__", "__dict__", "__doc__", "__module__"}):
        marker = object()
        try:
            setattr(made, name, marker)
            kept = getattr(made, name) is marker
        except Exception:
            continue
        if kept:
            yield name

def drop_chain(link):
    last = None
    for _ in range(DEPTH):
        last = link(last)

async def walk():
    values = [*vars(aio).values(), *vars(_yibu).values()]
    native = {value for value in values if isinstance(value, type) and is_native(value)}
    chains = 0
    for cls in sorted(native, key=lambda cls: cls.__name__):
        for make in makers(cls):
            try:
                names = list(settable(make))
            except Exception:
                continue
            # Setting what is a method makes an ordinary attribute, like any other.
            fields = [name for name in names if name == "inner" or not callable(getattr(cls, name, None))]
            for name in fields:
                def link(inner):
                    made = make(None)
                    setattr(made, name, inner)
                    return made
                drop_chain(link)
                chains += 1
            break
    assert chains > 40

def main():
    try:
        loop.run_until_complete(walk())
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
"""


def run(impl, body, stack):
    process = impl.run_source(
        "\n".join([START, body, END]), str(stack), python_options=("-W", "ignore"), timeout=110
    )
    assert process.returncode == 0, f"status {process.returncode}\n{process.stderr[-2000:]}"
    assert process.stdout == "ended\n"


@pytest.mark.yibu_only
@pytest.mark.time_limit(120)
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_native_methods_in_the_place_of_others(impl, stack):
    run(impl, HOOKS, stack)


@pytest.mark.yibu_only
@pytest.mark.time_limit(120)
def test_deaths_of_chains_through_any_attribute(impl):
    run(impl, CHAINS, STACKS["256 KiB"])
