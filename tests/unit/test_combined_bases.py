"""Classes that inherit from two of asyncio's at once: a queue that is an event, a reader that is a writer."""

import abc
import asyncio
import collections
import contextlib
import copy
import gc
import itertools
import pickle
import typing
import weakref

import pytest

ITEM = typing.TypeVar("ITEM")

# What is used of each class, and what that gives: every one keeps something of its own.
LOCKS = ["Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"]
QUEUES = ["Queue", "PriorityQueue", "LifoQueue"]
OTHERS = ["TaskGroup", "Runner", "Timeout", "StreamReader", "StreamWriter", "StreamReaderProtocol"]


class Transport(asyncio.Transport):
    """Remembers what is written."""

    def __init__(self):
        super().__init__()
        self.sent = []
        self.closed = False

    def close(self):
        self.closed = True

    def write(self, data):
        self.sent.append(bytes(data))

    def is_closing(self):
        return self.closed


async def use(impl, name, thing):
    """Initialise the part that an object has of a class of this name, and use it."""
    cls = getattr(impl, name)
    if name == "Lock":
        cls.__init__(thing)
        await cls.acquire(thing)
        assert cls.locked(thing)
        cls.release(thing)
        assert not cls.locked(thing)
    elif name == "Event":
        cls.__init__(thing)
        asyncio.get_running_loop().call_soon(cls.set, thing)
        assert await cls.wait(thing)
        cls.clear(thing)
        assert not cls.is_set(thing)
    elif name == "Condition":
        cls.__init__(thing)
        async with impl.timeout(20):
            await thing._lock.acquire()
            thing._lock.release()
    elif name in ("Semaphore", "BoundedSemaphore"):
        cls.__init__(thing, 1)
        await cls.acquire(thing)
        cls.release(thing)
    elif name == "Barrier":
        cls.__init__(thing, 1)
        assert cls.parties.__get__(thing) == 1
    elif name in QUEUES:
        cls.__init__(thing, 3)
        for item in (2, 1):
            cls.put_nowait(thing, item)
        assert cls.qsize(thing) == 2
        kind = next(base for base in type(thing).__mro__ if base.__name__ in QUEUES)
        order = [2, 1] if kind is impl.Queue else [1, 2]
        assert [await cls.get(thing), cls.get_nowait(thing)] == order
    elif name == "TaskGroup":
        cls.__init__(thing)
        await cls.__aenter__(thing)
        task = cls.create_task(thing, asyncio.sleep(0, "slept"))
        await cls.__aexit__(thing, None, None, None)
        assert task.result() == "slept"
    elif name == "Runner":
        cls.__init__(thing)
        cls.close(thing)
    elif name == "Timeout":
        cls.__init__(thing, None)
        await cls.__aenter__(thing)
        await cls.__aexit__(thing, None, None, None)
        assert not cls.expired(thing)
    elif name == "StreamReader":
        cls.__init__(thing)
        cls.feed_data(thing, b"line\nrest")
        cls.feed_eof(thing)
        assert await cls.readline(thing) == b"line\n"
        assert await cls.read(thing) == b"rest"
    elif name == "StreamWriter":
        transport = Transport()
        loop = asyncio.get_running_loop()
        cls.__init__(thing, transport, impl.StreamReaderProtocol(impl.StreamReader(loop=loop)), None, loop)
        cls.write(thing, b"written")
        assert transport.sent == [b"written"]
        cls.close(thing)
        assert cls.is_closing(thing)
    else:
        assert name == "StreamReaderProtocol"
        reader = impl.StreamReader()
        cls.__init__(thing, reader)
        cls.data_received(thing, b"data")
        assert await reader.read(4) == b"data"
        thing.kept_reader = reader


def combine(*bases, **attributes):
    return type("Combined", bases, {"__module__": __name__, **attributes})


class Plain:
    """An ordinary class that stands before or between the others."""

    def greeting(self):
        return "hello"


class TestParts:
    @pytest.mark.parametrize(
        "pair", list(itertools.permutations([*LOCKS, *QUEUES, *OTHERS], 2)), ids="+".join
    )
    def test_each_base_works(self, impl, pair):
        first, second = (getattr(impl, name) for name in pair)
        if issubclass(second, first):
            pytest.skip("a base cannot precede its own subclass")
        cls = combine(first, second)

        async def main():
            thing = cls.__new__(cls)
            assert isinstance(thing, first)
            assert isinstance(thing, second)
            # Some have attributes of the same name, which asyncio's share: so one after the other; and the
            # finalizer of a writer needs those that it was left with.
            for name in sorted(pair, key="StreamWriter".__eq__):
                await use(impl, name, thing)

        impl.run(main())

    def test_a_queue_is_an_event(self, impl):
        class Mailbox(impl.Queue, impl.Event):
            def __init__(self):
                impl.Queue.__init__(self)
                impl.Event.__init__(self)

        async def main():
            box = Mailbox()
            waiting = asyncio.ensure_future(box.wait())
            getting = asyncio.ensure_future(box.get())
            await asyncio.sleep(0)
            assert not waiting.done()
            box.put_nowait("letter")
            assert await getting == "letter"
            assert not box.is_set()
            box.set()
            assert await waiting
            assert (box.empty(), box.is_set()) == (True, True)

        impl.run(main())

    def test_a_duplex_reads_and_writes(self, impl):
        class Duplex(impl.StreamReader, impl.StreamWriter):
            def __init__(self, transport, loop):
                impl.StreamReader.__init__(self, loop=loop)
                protocol = impl.StreamReaderProtocol(self, loop=loop)
                impl.StreamWriter.__init__(self, transport, protocol, self, loop)

        async def main():
            transport = Transport()
            duplex = Duplex(transport, asyncio.get_running_loop())
            reading = asyncio.ensure_future(duplex.readline())
            await asyncio.sleep(0)
            duplex.feed_data(b"question\n")
            duplex.write(b"answer\n")
            await duplex.drain()
            assert await reading == b"question\n"
            assert transport.sent == [b"answer\n"]
            duplex.close()

        impl.run(main())

    def test_three_bases_and_plain_ones_between(self, impl):
        class First:
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.first = True

        class Many(First, impl.Queue, Plain, impl.Event, abc.ABC, impl.StreamReader, typing.Generic[ITEM]):
            @abc.abstractmethod
            def done(self): ...

        class Real(Many[int]):
            def __init__(self):
                super().__init__(2)
                impl.Event.__init__(self)

            def done(self):
                return "done"

        with pytest.raises(TypeError, match="abstract"):
            Many()

        async def main():
            thing = Real()
            await use(impl, "StreamReader", thing)
            thing.put_nowait(1)
            thing.set()
            assert (thing.first, thing.greeting(), thing.done()) == (True, "hello", "done")
            assert (thing.qsize(), thing.maxsize, thing.is_set()) == (1, 2, True)

        impl.run(main())

    def test_a_subclass_of_subclasses(self, impl):
        class Letters(impl.Queue):
            def __init__(self):
                super().__init__(1)
                self.letters = True

        class Bell(impl.Event):
            def __init__(self):
                super().__init__()
                self.bell = True

        class Box(Letters, Bell):
            def __init__(self):
                Letters.__init__(self)
                Bell.__init__(self)

        box = Box()
        box.set()
        assert (box.letters, box.bell, box.maxsize, box.is_set()) == (True, True, 1, True)

    def test_an_object_nobody_initialised(self, impl):
        cls = combine(impl.Queue, impl.Event, impl.StreamReader)
        thing = cls.__new__(cls)
        assert weakref.ref(thing)() is thing
        thing.attribute = 1
        assert thing.__dict__ == {"attribute": 1}
        del thing
        gc.collect()


class TestSuper:
    """What asyncio's classes ask their `super()` for, a class of the program may answer."""

    def test_bounded_semaphore(self, impl):
        told = []

        class Traced(impl.Semaphore):
            def __init__(self, value=1):
                told.append(("init", value))
                super().__init__(value)

            def release(self):
                told.append("release")
                super().release()

        class Both(impl.BoundedSemaphore, Traced):
            pass

        async def main():
            for arguments in ((), (2,)):
                semaphore = Both(*arguments)
                async with semaphore:
                    pass
                with pytest.raises(ValueError, match="released too many times"):
                    semaphore.release()
            assert (semaphore._value, semaphore._bound_value) == (2, 2)

        impl.run(main())
        assert told == [("init", 1), "release", ("init", 2), "release"]

    def test_stream_reader_protocol(self, impl):
        flow_control = impl.StreamReaderProtocol.__mro__[1]
        told = []

        class Traced(flow_control):
            def __init__(self, loop=None):
                told.append(("init", loop))
                super().__init__(loop=loop)

            def connection_lost(self, exc):
                told.append(("lost", exc))
                super().connection_lost(exc)

        class Both(impl.StreamReaderProtocol, Traced):
            pass

        async def main():
            loop, error = asyncio.get_running_loop(), ConnectionResetError()
            reader = impl.StreamReader(loop=loop)
            protocol = Both(reader, loop=loop)
            protocol.connection_lost(error)
            assert reader.exception() is error
            with pytest.raises(ConnectionResetError):
                await protocol._closed
            assert told == [("init", loop), ("lost", error)]

        impl.run(main())

    def test_repr(self, impl):
        class Named:
            def __repr__(self):
                return "<named>"

        class Bell(impl.Event, Named):
            pass

        class Box(impl.Lock, impl.Event, Named):
            pass

        assert repr(Bell()) == "<named [unset]>"
        box = Box()
        impl.Event.__init__(box)
        assert repr(box) == "<named [unset] [unlocked]>"

    def test_inits_in_line(self, impl):
        """Each class calls the next, in an order that only the whole class knows."""
        told = []

        class Letters(impl.Queue):
            def __init__(self, *, size=0, **others):
                told.append("letters")
                impl.Queue.__init__(self, size)
                super(impl.Queue, self).__init__(**others)

        class Bell(impl.Event):
            def __init__(self, **others):
                told.append("bell")
                impl.Event.__init__(self)
                self.others = others

        class Box(Letters, Bell):
            pass

        box = Box(size=2, colour="red")
        box.set()
        assert told == ["letters", "bell"]
        assert (box.maxsize, box.is_set(), box.others) == (2, True, {"colour": "red"})


class TestNew:
    def test_is_that_of_object(self, impl):
        assert impl.Queue.__new__ is object.__new__
        assert type(object.__new__(impl.Queue)) is impl.Queue

    def test_of_any_base(self, impl):
        class Box(impl.Queue, impl.Event):
            def __new__(cls, base):
                return base.__new__(cls)

            def __init__(self, base):
                impl.Queue.__init__(self, 2)
                impl.Event.__init__(self)

        for base in (object, impl.Event, impl.Queue, super(Box, Box)):
            box = Box(base)
            box.set()
            assert (box.maxsize, box.is_set()) == (2, True)

    @pytest.mark.parametrize("name", [*LOCKS, *QUEUES, *OTHERS])
    @pytest.mark.parametrize("last", [False, True])
    def test_of_a_mixin(self, impl, name, last):
        class Numbered:
            made = 0

            def __new__(cls, *args, **kwargs):
                cls.made += 1
                thing = super().__new__(cls)
                thing.number = cls.made
                return thing

        bases = [Numbered, getattr(impl, name)]
        cls = combine(*(reversed(bases) if last else bases))

        async def main():
            for number in (1, 2):
                thing = cls.__new__(cls)
                await use(impl, name, thing)
                assert thing.number == number

        impl.run(main())

    def test_arguments_that_init_does_not_take(self, impl):
        with pytest.raises(TypeError, match=r"__init__\(\) takes 1 positional argument but 2 were given"):
            impl.Lock(1)
        with pytest.raises(TypeError, match=r"__init__\(\) takes 1 positional argument but 2 were given"):
            combine(impl.Lock)(1)
        assert type(impl.Lock.__new__(impl.Lock, 1)) is impl.Lock

    def test_an_abstract_class(self, impl):
        class Abstract(impl.Queue, abc.ABC):
            @abc.abstractmethod
            def method(self): ...

        with pytest.raises(TypeError, match="abstract"):
            Abstract()


class TestInitSubclass:
    def test_keywords(self, impl):
        told = []

        class Registered:
            def __init_subclass__(cls, *, key=None, **others):
                super().__init_subclass__(**others)
                told.append((cls.__name__, key))

        class Before(Registered, impl.Lock, key=1):
            pass

        class Behind(impl.Lock, impl.Event, Registered, key=2):
            pass

        class Further(Behind, key=3):
            pass

        assert told == [("Before", 1), ("Behind", 2), ("Further", 3)]
        with pytest.raises(TypeError, match=r"Odd.__init_subclass__\(\) takes no keyword arguments"):
            type("Odd", (impl.Lock,), {}, key=1)

    @pytest.mark.parametrize("name", [*LOCKS, *QUEUES, *OTHERS])
    def test_one_that_calls_no_other(self, impl, name):
        """It need not: nothing that it does not know of may depend on it."""

        class Silent(getattr(impl, name)):
            def __init_subclass__(cls):
                pass

        class Below(Silent):
            pass

        class Both(Below, impl.Queue if name not in QUEUES else impl.Event):
            pass

        async def main():
            for cls in (Silent, Below, Both):
                for _ in range(3):
                    thing = cls.__new__(cls)
                    await use(impl, name, thing)
                    reference = weakref.ref(thing)
                    thing.attribute = 1
                    del thing
                    gc.collect()
                    assert reference() is None

        impl.run(main())


class TestSlots:
    def test_slots_of_the_subclass(self, impl):
        class Box(impl.Queue, impl.Event):
            __slots__ = ("left", "right", "unset")

            def __init__(self):
                impl.Queue.__init__(self)
                impl.Event.__init__(self)
                self.left, self.right = [1], [2]

        async def main():
            box = Box()
            for name in ("Queue", "Event"):
                await use(impl, name, box)
            assert (box.left, box.right) == ([1], [2])
            with pytest.raises(AttributeError):
                _ = box.unset
            box.other = 3
            assert box.__dict__["other"] == 3

        impl.run(main())

    def test_slots_of_one_of_the_bases(self, impl):
        class Slotted(impl.Lock):
            __slots__ = ("slot",)

        class Both(impl.Event, Slotted):
            __slots__ = ("another",)

        async def main():
            thing = Both()
            thing.slot, thing.another = "slot", "another"
            for name in ("Event", "Lock"):
                await use(impl, name, thing)
            assert (thing.slot, thing.another) == ("slot", "another")

        impl.run(main())

    @pytest.mark.parametrize("name", [*LOCKS, *QUEUES, *OTHERS])
    def test_slots_of_a_subclass_of_one(self, impl, name):
        cls = combine(getattr(impl, name), __slots__=("first", "second"))

        async def main():
            thing = cls.__new__(cls)
            thing.first, thing.second = object(), object()
            kept = (thing.first, thing.second)
            await use(impl, name, thing)
            assert (thing.first, thing.second) == kept

        impl.run(main())

    def test_two_bases_with_slots_conflict(self, impl):
        one = combine(impl.Lock, __slots__=("a",))
        other = combine(impl.Event, __slots__=("b",))
        with pytest.raises(TypeError, match=r"lay-?out conflict"):
            combine(one, other)


class TestLife:
    def test_a_cycle_through_both_parts_is_collected(self, impl):
        class Box(impl.Queue, impl.Event):
            def __init__(self):
                impl.Queue.__init__(self)
                impl.Event.__init__(self)

        async def main():
            box = Box()
            box.put_nowait(box)
            waiting = asyncio.ensure_future(box.wait())
            await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            return weakref.ref(box)

        box = impl.run(main())
        gc.collect()
        assert box() is None

    @pytest.mark.parametrize("pair", [("Event", "Queue"), ("Queue", "Event"), ("Lock", "LifoQueue")])
    def test_a_cycle_through_the_second_part(self, impl, pair):
        cls = combine(*(getattr(impl, name) for name in pair))
        thing = cls.__new__(cls)
        for name in pair:
            getattr(impl, name).__init__(thing)
        thing.put_nowait(thing)
        reference = weakref.ref(thing)
        del thing
        assert reference() is not None
        gc.collect()
        assert reference() is None

    def test_the_collector_sees_both_parts(self, impl):
        cls = combine(impl.Event, impl.Queue)
        thing = cls.__new__(cls)
        impl.Event.__init__(thing)
        impl.Queue.__init__(thing)
        item = object()
        thing.put_nowait(item)
        seen, look = [], [thing]
        for _ in range(4):
            look = gc.get_referents(*look)
            seen += [found for found in look if found is item]
        assert seen

    def test_both_parts_are_freed_with_the_object(self, impl):
        class Token:
            pass

        cls = combine(impl.Event, impl.Queue, impl.StreamReader)
        thing = cls.__new__(cls)
        impl.Event.__init__(thing)
        impl.Queue.__init__(thing)
        token = Token()
        thing.put_nowait(token)
        thing.own = token
        gone = []
        weakref.finalize(token, gone.append, "token")
        weakref.finalize(thing, gone.append, "thing")
        del token
        gc.disable()
        try:
            del thing
        finally:
            gc.enable()
        assert gone == ["thing", "token"]

    def test_a_finalizer_may_keep_the_object(self, impl):
        kept = []

        class Box(impl.Queue, impl.Event):
            def __init__(self):
                impl.Queue.__init__(self)
                impl.Event.__init__(self)

            def __del__(self):
                kept.append(self)

        box = Box()
        box.put_nowait(1)
        box.set()
        del box
        (box,) = kept
        assert (box.get_nowait(), box.is_set()) == (1, True)
        kept.clear()
        reference = weakref.ref(box)
        del box
        gc.collect()
        assert reference() is None

    def test_many_nested_ones_die_without_recursion(self, impl):
        cls = combine(impl.Event, impl.Queue)
        inner = None
        for _ in range(20_000):
            outer = cls.__new__(cls)
            impl.Queue.__init__(outer)
            outer.put_nowait(inner)
            inner = outer
        reference = weakref.ref(inner)
        del inner, outer
        assert reference() is None

    def test_many_of_many_classes(self, impl):
        classes = [
            combine(getattr(impl, first), getattr(impl, second))
            for first, second in [("Lock", "Queue"), ("TaskGroup", "Event"), ("Condition", "Runner")]
        ]
        for round_ in range(300):
            things = collections.deque()
            for cls in classes:
                thing = cls.__new__(cls)
                for base in cls.__bases__:
                    base.__init__(thing)
                thing.round = round_
                things.append(thing)
            assert [thing.round for thing in things] == [round_] * 3


class TestClassAssignment:
    def test_between_the_classes(self, impl):
        async def main():
            lock = impl.Lock()
            lock.mark = "mark"
            lock.__class__ = impl.Event
            await use(impl, "Event", lock)
            lock.__class__ = impl.Queue
            await use(impl, "Queue", lock)
            lock.__class__ = impl.Lock
            await use(impl, "Lock", lock)
            assert lock.mark == "mark"

        impl.run(main())

    def test_to_a_subclass_and_back(self, impl):
        both = combine(impl.Queue, impl.Event)

        async def main():
            queue = impl.Queue()
            queue.put_nowait("item")
            queue.__class__ = both
            impl.Event.__init__(queue)
            queue.set()
            assert (queue.get_nowait(), queue.is_set()) == ("item", True)
            queue.__class__ = impl.Queue
            assert queue.empty()

        impl.run(main())

    def test_what_a_queue_holds_stays_in_it(self, impl):
        queue = impl.Queue()
        queue.put_nowait(1)
        queue.put_nowait(2)
        queue.__class__ = impl.LifoQueue
        assert type(queue) is impl.LifoQueue
        assert queue.qsize() == 2
        semaphore = impl.Semaphore(2)
        semaphore.__class__ = impl.BoundedSemaphore
        assert semaphore._value == 2

    def test_objects_made_by_another_class_die_as_what_they_are(self, impl):
        names = ["StreamReader", "TaskGroup", "Queue", "Lock", "Timeout"]
        for first, second in itertools.permutations(names, 2):
            for _ in range(3):
                thing = getattr(impl, first).__new__(getattr(impl, first))
                thing.__class__ = getattr(impl, second)
                thing.__dict__["attribute"] = []
                reference = weakref.ref(thing)
                del thing
                assert reference() is None
                fresh = getattr(impl, second).__new__(getattr(impl, second))
                assert not hasattr(fresh, "attribute")

    def test_classes_with_other_slots_are_refused(self, impl):
        lock = impl.Lock()
        with pytest.raises(TypeError, match=r"lay-?out differs"):
            lock.__class__ = combine(impl.Lock, __slots__=("a",))
        with pytest.raises(TypeError, match=r"lay-?out differs"):
            combine(impl.Lock, __slots__=("a",))().__class__ = impl.Lock


def pickled(protocol):
    return lambda thing: pickle.loads(pickle.dumps(thing, protocol))


class TestCopies:
    @pytest.fixture(params=["copy", "deepcopy", *range(2, pickle.HIGHEST_PROTOCOL + 1)], ids=str)
    def copied(self, request):
        return getattr(copy, request.param) if isinstance(request.param, str) else pickled(request.param)

    @pytest.mark.parametrize("pair", [("Event", "Queue"), ("Queue", "Event")])
    def test_both_states_are_copied(self, impl, copied, pair):
        cls = combine(*(getattr(impl, name) for name in pair), __slots__=("slot",))
        globals()["Combined"] = cls
        thing = cls.__new__(cls)
        impl.Queue.__init__(thing, 3)
        impl.Event.__init__(thing)
        thing.put_nowait("item")
        thing.set()
        thing.own, thing.slot = "own", "slot"
        made = copied(thing)
        assert type(made) is cls
        assert (made.get_nowait(), made.maxsize, made.is_set()) == ("item", 3, True)
        assert (made.own, made.slot) == ("own", "slot")
        made.clear()
        assert thing.is_set()
