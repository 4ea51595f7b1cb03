"""What comes and goes leaves nothing: tasks, futures, connections, loops."""

import pytest

MEASURE = """
    import asyncio, gc, os, socket

    def resident():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""

ROUNDS = {
    "tasks": """
        async def work():
            await asyncio.sleep(0)

        async def batch():
            for _ in range(50):
                await asyncio.gather(*[work() for _ in range(200)])
    """,
    "failing tasks": """
        async def work():
            raise ValueError

        async def batch():
            for _ in range(50):
                await asyncio.gather(*[work() for _ in range(100)], return_exceptions=True)
    """,
    "cancelled tasks": """
        async def batch():
            for _ in range(50):
                tasks = [asyncio.create_task(asyncio.sleep(1000)) for _ in range(100)]
                await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
    """,
    "futures": """
        async def batch():
            loop = asyncio.get_running_loop()
            for number in range(20_000):
                future = loop.create_future()
                future.add_done_callback(id)
                future.set_result(number)
            await asyncio.sleep(0)
    """,
    "calls from threads": """
        async def batch():
            loop = asyncio.get_running_loop()
            def call():
                for number in range(10_000):
                    loop.call_soon_threadsafe(int)
            await asyncio.to_thread(call)
    """,
    "connections": """
        class Echo(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport
            def data_received(self, data):
                self.transport.write(data)

        async def batch():
            loop = asyncio.get_running_loop()
            server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=200)
            for _ in range(3):
                pairs = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in range(50)]
                for reader, writer in pairs:
                    writer.write(b"x" * 10_000)
                for reader, writer in pairs:
                    await reader.readexactly(10_000)
                    writer.close()
                    await writer.wait_closed()
            server.close()
            await server.wait_closed()
    """,
    "readers": """
        async def batch():
            loop = asyncio.get_running_loop()
            one, two = socket.socketpair()
            for _ in range(5000):
                loop.add_reader(one, int)
                loop.add_writer(one, int)
                loop.remove_writer(one)
                loop.remove_reader(one)
            one.close()
            two.close()
    """,
}


@pytest.mark.parametrize("what", ROUNDS)
def test_rounds_of_work_do_not_grow(impl, what):
    import textwrap

    program = (
        textwrap.dedent(MEASURE)
        + textwrap.dedent(ROUNDS[what])
        + textwrap.dedent("""
    async def main():
        for _ in range(3):
            await batch()
        before = resident()
        for _ in range(6):
            await batch()
        print(resident() - before)

    aio.run(main())
    """)
    )
    finished = impl.run_source(program)
    assert finished.stderr == ""
    assert int(finished.stdout) < 6 << 20


def test_loops_do_not_grow(impl):
    program = (
        MEASURE
        + """
    import sys

    async def work():
        loop = asyncio.get_running_loop()
        loop.call_later(1000, int)
        await asyncio.sleep(0)
        one, two = socket.socketpair()
        loop.add_reader(one, int)
        loop.remove_reader(one)
        one.close()
        two.close()

    def rounds(count):
        for _ in range(count):
            loop = aio.new_event_loop()
            loop.run_until_complete(work())
            loop.close()

    rounds(100)
    before, descriptors = resident(), len(os.listdir("/proc/self/fd"))
    rounds(500)
    print(resident() - before, len(os.listdir("/proc/self/fd")) - descriptors)
    """
    )
    finished = impl.run_source(program)
    assert finished.stderr == ""
    grown, descriptors = map(int, finished.stdout.split())
    assert grown < 6 << 20
    assert descriptors == 0
