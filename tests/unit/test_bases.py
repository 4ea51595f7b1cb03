"""`issubclass()`: what libraries know of the classes of asyncio's objects holds for the native ones."""

import asyncio
import functools

import pytest

LOCKS = ["Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"]
QUEUES = ["Queue", "PriorityQueue", "LifoQueue"]


@pytest.mark.parametrize("name", LOCKS + QUEUES)
def test_mixins(impl, name):
    cls, stock = getattr(impl, name), getattr(asyncio, name)
    bases = {base for base in stock.__mro__ if base.__name__.endswith("Mixin")}
    assert bases
    assert bases <= set(cls.__mro__)
    assert all(issubclass(cls, base) and isinstance(cls(*[2][: name == "Barrier"]), base) for base in bases)


def test_a_subclass_with_a_mixin_first(impl, run):
    class Gate(asyncio.locks._ContextManagerMixin, impl.Event):
        async def acquire(self):
            return await self.wait()

        def release(self):
            self.clear()

    async def main():
        gate = Gate()
        gate.set()
        async with gate:
            assert gate.is_set()
        assert not gate.is_set()
        assert gate._get_loop() is asyncio.get_running_loop()

    run(main())


def test_servers(impl, loop, run):
    async def main():
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        kind = functools.singledispatch(lambda thing: "other")
        kind.register(asyncio.AbstractServer, lambda thing: "server")
        assert issubclass(type(server), asyncio.AbstractServer)
        assert issubclass(type(server), asyncio.base_events.Server)
        assert kind(server) == "server"
        server.close()

    run(main())


TRANSPORTS = """
    import asyncio, os, socket, sys
    from asyncio import selector_events, unix_events

    CLASSES = [
        selector_events._SelectorTransport, selector_events._SelectorSocketTransport,
        selector_events._SelectorDatagramTransport,
        unix_events._UnixReadPipeTransport, unix_events._UnixWritePipeTransport,
    ]

    def known(transport):
        found = [cls.__name__ for cls in CLASSES if issubclass(type(transport), cls)]
        assert found == [cls.__name__ for cls in CLASSES if isinstance(transport, cls)]
        transport.abort() if hasattr(transport, "abort") else transport.close()
        print(*found)

    async def main():
        loop = asyncio.get_running_loop()
        one, two = socket.socketpair()
        known((await loop.create_connection(asyncio.Protocol, sock=one))[0])
        two.close()
        address = "127.0.0.1", 0
        known((await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=address))[0])
        read, write = os.pipe()
        known((await loop.connect_read_pipe(asyncio.Protocol, os.fdopen(read, "rb")))[0])
        known((await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(write, "wb")))[0])
        print(*[issubclass(asyncio.StreamReader, cls) for cls in CLASSES])

        class Own(selector_events._SelectorSocketTransport):
            pass

        print(*[issubclass(Own, cls) for cls in CLASSES])

    asyncio.run(main())
    if sys.argv[1:]:
        import yibu
        yibu.uninstall()
        print(*{type(cls).__name__ for cls in CLASSES})
"""


@pytest.mark.yibu_only
def test_transports(impl):
    stock = impl.run_source(TRANSPORTS)
    native = impl.run_source(TRANSPORTS, "uninstall", python_options=("-m", "yibu"))
    assert stock.stderr == native.stderr == ""
    assert stock.stdout.startswith("_SelectorTransport _SelectorSocketTransport\n")
    assert native.stdout == stock.stdout + "type\n"
