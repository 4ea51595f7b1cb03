"""What programs see when they look at the functions, methods and classes of asyncio, instead of calling them.

Each public one is compared with the same of a copy of the standard library's own asyncio, loaded under
another name: what `inspect`, `typing`, `pickle`, `functools` and `unittest.mock` make of it.
"""

import asyncio
import copy
import dataclasses
import functools
import importlib.util
import inspect
import multiprocessing
import os
import pickle
import sys
import types
import typing
import unittest
import warnings
import weakref
from unittest import mock

import pytest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# A function within a function: it has no name to be found by.
CLOSURE = "eager_task_factory"
# What yibu has in Python: the loop, the policy, and the watchers, which derive from native ones.
IN_PYTHON = {
    "new_event_loop",
    "EventLoop",
    "SelectorEventLoop",
    "DefaultEventLoopPolicy",
    "PidfdChildWatcher",
    "ThreadedChildWatcher",
}


def _load_copy():
    """Asyncio as it is in the standard library, whatever has been put into it since."""
    folder = os.path.dirname(asyncio.__file__)
    path = os.path.join(folder, "__init__.py")
    spec = importlib.util.spec_from_file_location("copied_asyncio", path, submodule_search_locations=[folder])
    module = sys.modules["copied_asyncio"] = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        spec.loader.exec_module(module)
    return module


STOCK = _load_copy()


def _public_functions():
    return [
        name for name in STOCK.__all__ if inspect.isfunction(vars(STOCK).get(name)) and name not in IN_PYTHON
    ]


def _classes():
    """All but exceptions and dataclasses, which are asyncio's own."""
    classes = [name for name in STOCK.__all__ if inspect.isclass(vars(STOCK).get(name))]
    own = [name for name in classes if not issubclass(vars(STOCK)[name], BaseException)]
    return [name for name in own if name not in IN_PYTHON and not dataclasses.is_dataclass(vars(STOCK)[name])]


def _methods():
    for kind in _classes():
        for name in dir(vars(STOCK)[kind]):
            value = inspect.getattr_static(vars(STOCK)[kind], name)
            is_public = not name.startswith("_") or name.startswith("__")
            if is_public and inspect.isfunction(value) and value.__module__.startswith("copied_asyncio"):
                yield f"{kind}.{name}"


def _loop_methods():
    """Those of the loop that are asyncio's interface."""
    return [
        name
        for name, value in vars(STOCK.AbstractEventLoop).items()
        if inspect.isfunction(value) and not name.startswith("_")
    ]


def _find(module, path):
    return functools.reduce(getattr, path.split("."), module)


def _found(impl, path):
    found = _find(STOCK, path)
    try:
        return found, _find(impl, path)
    except AttributeError:
        pytest.fail(f"there is no {path}")


def _code(function):
    code = function.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    return code.co_name, code.co_varnames[:count], code.co_flags, code.co_firstlineno


def _text(value):
    """A value that may be an object of one module or the other."""
    return repr(value).replace("copied_asyncio.", "asyncio.").replace("yibu.", "asyncio.")


FACTS = {
    "isfunction": inspect.isfunction,
    "isroutine": inspect.isroutine,
    "isbuiltin": inspect.isbuiltin,
    "ismethod": inspect.ismethod,
    "ismethoddescriptor": inspect.ismethoddescriptor,
    "iscoroutinefunction": inspect.iscoroutinefunction,
    "isgeneratorfunction": inspect.isgeneratorfunction,
    "isasyncgenfunction": inspect.isasyncgenfunction,
    "isinstance": lambda f: isinstance(f, types.FunctionType),
    "__code__": _code,
    "__name__": lambda f: f.__name__,
    "__qualname__": lambda f: f.__qualname__,
    "__module__": lambda f: f.__module__.partition(".")[2],
    "__defaults__": lambda f: _text(f.__defaults__),
    "__kwdefaults__": lambda f: _text(f.__kwdefaults__),
    "__annotations__": lambda f: _text(f.__annotations__),
    "__closure__": lambda f: f.__closure__ is None,
    "__globals__": lambda f: f.__globals__["__name__"].rpartition(".")[2],
    "__doc__": lambda f: f.__doc__,
    "__dict__": vars,
    "signature": lambda f: _text(inspect.signature(f)),
    "getsource": inspect.getsource,
    "get_type_hints": lambda f: _text(typing.get_type_hints(f)),
    "unwrap": lambda f: inspect.unwrap(f) is f,
    "closure variables": lambda f: sorted(inspect.getclosurevars(f).globals),
    "repr": lambda f: repr(f).partition(" at ")[0],
    "binds": lambda f: inspect.ismethod(type("Holder", (), {"attribute": f})().attribute),
    "does not bind to None": lambda f: f.__get__(None, int) is f,
    "found by equality": lambda f: {f: 1}.get(f) == 1 and f in [len, f],
    "weak reference": lambda f: weakref.ref(f)() is f,
    "wraps": lambda f: functools.wraps(f)(lambda: None).__wrapped__ is f,
    "partial": lambda f: inspect.iscoroutinefunction(functools.partial(f)),
}


def _differences(there, here):
    wrong = {}
    for fact, ask in FACTS.items():
        expected = ask(there)
        try:
            got = ask(here)
        except Exception as error:
            got = error
        if expected != got:
            wrong[fact] = expected, got
    return wrong


def _all_functions():
    return [*_public_functions(), *_methods()]


class TestFacts:
    @pytest.mark.parametrize("path", _all_functions())
    def test_like_asyncio_s(self, impl, path):
        there, here = _found(impl, path)
        assert _differences(there, here) == {}

    @pytest.mark.parametrize("name", _loop_methods())
    def test_methods_of_the_loop(self, impl, name):
        there = getattr(STOCK.SelectorEventLoop, name)
        loop = impl.new_event_loop()
        here = getattr(type(loop), name)
        loop.close()
        assert _differences(there, here) == {}

    @pytest.mark.parametrize("path", [*_classes()])
    def test_classes(self, impl, path):
        there, here = _found(impl, path)
        assert there.__qualname__ == here.__qualname__
        assert there.__doc__ == here.__doc__
        assert _text(inspect.signature(there)) == _text(inspect.signature(here))

    @pytest.mark.parametrize("name", ["__aenter__", "__aexit__"])
    def test_methods_of_timeouts_in_the_dict_of_the_class(self, impl, name):
        there, here = vars(STOCK.Timeout)[name], vars(impl.Timeout)[name]
        # Up to 3.13 binding makes the coroutine itself.
        of_binding = {"binds", "does not bind to None", "partial", "ismethoddescriptor"}
        assert _differences(there, here).keys() <= of_binding

        async def main():
            timeout = impl.timeout(None)
            assert await vars(impl.Timeout)["__aenter__"](timeout) is timeout
            await vars(impl.Timeout)["__aexit__"](timeout, None, None, None)

        asyncio.run(main())

    @pytest.mark.parametrize("cls", ["Future", "Task"])
    def test_methods_that_are_c_functions(self, impl, cls):
        """Each has asyncio's text and signature, and is in the dict of the class that has it on asyncio."""

        def about(method):
            names = ("__doc__", "__text_signature__", "__qualname__", "__name__")
            return (
                type(method).__name__,
                [getattr(method, name) for name in names],
                method.__objclass__.__name__,
            )

        there, here = vars(getattr(STOCK, cls)), vars(getattr(impl, cls))
        methods = [name for name, value in there.items() if isinstance(value, types.MethodDescriptorType)]
        assert {"cancel", "result", "add_done_callback"} < set(methods)
        assert {name: about(here[name]) for name in methods} == {name: about(there[name]) for name in methods}

    @pytest.mark.parametrize("cls", ["Future", "Task"])
    def test_attributes_of_c_classes(self, impl, cls):
        def attributes(module):
            own = vars(getattr(module, cls)).items()
            return {name for name, value in own if isinstance(value, types.GetSetDescriptorType)}

        assert attributes(STOCK) <= attributes(impl)

    def test_no_class_inherits_a_text(self, impl):
        assert inspect.getdoc(impl.StreamReader) == inspect.getdoc(STOCK.StreamReader)


class TestByName:
    @pytest.mark.parametrize("path", [path for path in [*_all_functions(), *_classes()] if path != CLOSURE])
    def test_pickle_and_copy(self, impl, path):
        function = _find(impl, path)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(function, protocol)) is function
        assert copy.copy(function) is function and copy.deepcopy(function) is function


class TestAttributes:
    def functions(self, impl):
        return [impl.sleep, impl.gather, impl.Lock.acquire, impl.Queue.put_nowait, impl.StreamReader.read]

    def test_can_be_set_and_deleted(self, impl):
        for function in self.functions(impl):
            function.tracer = 1
            assert vars(function) == {"tracer": 1}
            del function.tracer
            assert vars(function) == {}
            with pytest.raises(AttributeError, match="'function' object has no attribute 'tracer'"):
                _ = function.tracer

    @pytest.mark.parametrize("name", ["__name__", "__qualname__", "__module__", "__doc__"])
    def test_names_can_be_set(self, impl, name):
        for function in self.functions(impl):
            before = getattr(function, name)
            setattr(function, name, "other")
            assert getattr(function, name) == "other"
            setattr(function, name, before)
            assert getattr(function, name) == before

    def test_wrong_values_are_refused(self, impl):
        for name, text in {
            "__name__": "__name__ must be set to a string object",
            "__qualname__": "__qualname__ must be set to a string object",
            "__code__": "__code__ must be set to a code object",
            "__defaults__": "__defaults__ must be set to a tuple object",
            "__kwdefaults__": "__kwdefaults__ must be set to a dict object",
            "__annotations__": "__annotations__ must be set to a dict object",
        }.items():
            for function in self.functions(impl):
                with pytest.raises(TypeError, match=text):
                    setattr(function, name, 1)
        for name in "__globals__", "__closure__":
            with pytest.raises(AttributeError):
                setattr(impl.sleep, name, None)

    def test_annotations_are_its_own(self, impl):
        function = impl.Lock.acquire
        function.__annotations__["return"] = bool
        try:
            assert typing.get_type_hints(function) == {"return": bool}
            assert inspect.signature(function).return_annotation is bool
        finally:
            del function.__annotations__["return"]
        assert typing.get_type_hints(function) == {}

    def test_defaults_that_are_set_are_used(self, impl):
        sleep, before = impl.sleep, impl.sleep.__defaults__

        async def main():
            return await sleep(0)

        try:
            sleep.__defaults__ = ("set",)
            assert impl.run(main()) == "set"
            assert inspect.signature(sleep).parameters["result"].default == "set"
            sleep.__defaults__ = None
            with pytest.raises(
                TypeError, match=r"sleep\(\) missing 1 required positional argument: 'result'"
            ):
                impl.run(main())
        finally:
            sleep.__defaults__ = before
        assert impl.run(main()) is None

    def test_code_that_is_set_is_run(self, impl):
        def other(self):
            return "other"

        qsize, before = impl.Queue.qsize, impl.Queue.qsize.__code__
        try:
            qsize.__code__ = other.__code__
            assert impl.Queue().qsize() == "other"
        finally:
            qsize.__code__ = before
        assert impl.Queue().qsize() == 0

    def test_code_with_free_variables_is_refused(self, impl):
        variable = 1

        def other(self):
            return variable

        with pytest.raises(ValueError, match="qsize"):
            impl.Queue.qsize.__code__ = other.__code__

    def test_no_subclass(self, impl):
        with pytest.raises(TypeError, match="is not an acceptable base type"):
            type("Mine", (type(impl.sleep),), {})


def _said(call):
    with pytest.raises(TypeError) as caught:
        call()
    return str(caught.value)


class TestCalls:
    def test_parameters_have_names(self, impl):
        queue = impl.Queue()
        queue.put_nowait(item=1)
        assert queue.get_nowait() == 1
        assert impl.Queue.qsize(self=queue) == 0
        impl.StreamReader.feed_data(self=(reader := impl.StreamReader(loop=mock.Mock())), data=b"x")
        assert bytes(reader._buffer) == b"x"

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("Queue", "put"), ("Queue", "put_nowait"), ("Queue", "qsize"), ("Queue", "__repr__"),
            ("Queue", "__init__"), ("Lock", "acquire"), ("Lock", "locked"), ("Event", "wait"),
            ("Semaphore", "release"), ("Condition", "wait_for"), ("Condition", "notify"),
            ("Runner", "run"), ("Runner", "close"),
        ],
    )  # fmt: skip
    def test_wrong_arguments(self, impl, kind, name):
        texts = []
        for module in STOCK, impl:
            method = getattr(getattr(module, kind)(), name)
            function = getattr(getattr(module, kind), name)
            said = []
            for call in (
                lambda method=method: method(1, 2, 3, 4, 5),
                lambda method=method: method(1, nonsense=1),
                lambda method=method: method(nonsense=1, further=2),
                lambda function=function: function(),
            ):
                said.append(_said(call))
            texts.append(said)
        assert texts[0] == texts[1]

    def test_methods_of_other_objects(self, impl):
        """As functions they take whatever has what they use."""

        class Alike:
            _value = True

        assert impl.Event.is_set(Alike()) is True
        with pytest.raises(AttributeError, match="'int' object has no attribute '_value'"):
            impl.Event.is_set(1)

    def test_bound_methods(self, impl):
        queue = impl.Queue()
        assert type(queue.put) is types.MethodType
        assert queue.put.__func__ is impl.Queue.put and queue.put.__self__ is queue
        assert queue.put == queue.put
        assert types.MethodType(impl.Queue.qsize, queue)() == 0

    def test_functools(self, impl):
        class Sized(impl.Queue):
            size = impl.Queue.qsize
            put_one = functools.partialmethod(impl.Queue.put_nowait, 1)

        queue = Sized()
        queue.put_one()
        assert queue.size() == 1 and queue.get_nowait() == 1
        assert functools.lru_cache(impl.Queue.qsize)(queue) == 0
        dispatched = functools.singledispatch(impl.iscoroutine)
        assert dispatched(1) is False
        functools.update_wrapper(wrapper := mock.Mock(), impl.Queue.put)
        assert wrapper.__wrapped__ is impl.Queue.put and wrapper.__name__ == "put"


class TestMocks:
    @pytest.mark.parametrize("name", ["Queue", "Lock", "StreamReader", "StreamWriter", "TaskGroup", "Runner"])
    def test_children(self, impl, name):
        for make in mock.Mock, mock.MagicMock, mock.create_autospec:
            kinds = []
            for module in STOCK, impl:
                kind = getattr(module, name)
                made = make(kind) if make is mock.create_autospec else make(spec=kind)
                methods = [m for m in dir(vars(STOCK)[name]) if not m.startswith("_")]
                kinds.append({m: type(getattr(made, m)).__name__ for m in methods})
            assert kinds[0] == kinds[1]

    def test_autospec_checks_arguments(self, impl):
        fake = mock.create_autospec(impl.sleep)
        assert inspect.isfunction(fake) and asyncio.iscoroutinefunction(fake)
        with pytest.raises(TypeError, match="missing a required argument: 'delay'"):
            fake().send(None)
        queue = mock.create_autospec(impl.Queue, instance=True)
        with pytest.raises(TypeError, match="too many positional arguments"):
            queue.put_nowait(1, 2)
        assert asyncio.iscoroutinefunction(queue.put)

    def test_cleanups(self, impl):
        done = []

        class Case(unittest.IsolatedAsyncioTestCase):
            async def test(self):
                queue = impl.Queue()
                self.addAsyncCleanup(self.check, queue)
                self.addAsyncCleanup(queue.put, 1)

            async def check(self, queue):
                done.append(queue.qsize())

        result = unittest.TestResult()
        Case("test").run(result)
        assert result.wasSuccessful() and done == [1]


def _slept(function):
    return asyncio.run(function())


def test_in_another_process(impl):
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        assert pool.apply(_slept, (functools.partial(impl.sleep, 0, "woke up"),)) == "woke up"


class TestClassesInMessages:
    """The interpreter names native classes as it names asyncio's."""

    @pytest.mark.parametrize("name", ["Lock", "Queue", "StreamReader", "TaskGroup", "Runner", "Handle"])
    def test_of_missing_attributes(self, impl, name):
        text = f"^type object '{name}' has no attribute 'missing'$"
        with pytest.raises(AttributeError, match=text):
            getattr(impl, name).missing  # noqa: B018

    def test_of_instances(self, impl):
        with pytest.raises(AttributeError, match=r"^'Lock' object has no attribute 'missing'"):
            impl.Lock().missing  # noqa: B018
        loop = impl.new_event_loop()
        try:
            with pytest.raises(
                AttributeError, match=r"^'_asyncio\.Future' object has no attribute 'missing'"
            ):
                loop.create_future().missing  # noqa: B018
        finally:
            loop.close()

    @pytest.mark.parametrize("name", ["Lock", "Queue", "TaskGroup", "Runner"])
    def test_weak_references(self, impl, name):
        """What makes classes with slots looks whether a base has them already."""
        thing = getattr(impl, name)()
        assert thing.__weakref__ is None
        reference = weakref.ref(thing)
        assert thing.__weakref__ is reference
