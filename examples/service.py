"""A tea house on the web: an aiohttp service, its staff, and a crowd of HTTP customers, in one process.

Nothing in this file knows of yibu. `make run` starts it with `python -m yibu`; with plain `python` it
runs on asyncio, and says so:

    python -m yibu examples/service.py
    python examples/service.py

Customers order over HTTP (producers), brewers take the orders from a bounded queue (consumers), and a
customer who waits too long leaves (timeouts). The house closes when everybody has been served. Needs aiohttp.
"""

import asyncio
import itertools
import time
from collections import Counter

from aiohttp import ClientSession, TCPConnector, web

CUSTOMERS = 60
CUPS_EACH = 100
BREWERS = 8
QUEUE_SIZE = 32
TEAS = ("oolong", "pu-erh", "longjing", "tieguanyin", "chrysanthemum")
PATIENCE = 0.25
"""Seconds that a customer waits for the ceremony, which takes far longer."""


class TeaHouse:
    """The service: takes orders, keeps them in a queue, and answers when a cup is ready."""

    def __init__(self) -> None:
        self.orders: asyncio.Queue[tuple[int, str, asyncio.Future[str]]] = asyncio.Queue(QUEUE_SIZE)
        self.numbers = itertools.count(1)
        self.served: Counter[str] = Counter()
        self.abandoned = 0

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/orders", self.order)
        application.router.add_get("/ceremony", self.ceremony)
        application.router.add_get("/board", self.board)
        return application

    async def order(self, request: web.Request) -> web.Response:
        """Queue an order, which waits while the queue is full, and answer with the cup."""
        tea = (await request.json())["tea"]
        number = next(self.numbers)
        cup: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self.orders.put((number, tea, cup))
        return web.json_response({"number": number, "cup": await cup})

    async def ceremony(self, _request: web.Request) -> web.Response:
        """An answer that nobody has the patience to wait for."""
        await asyncio.sleep(3600)
        return web.Response(text="at last")

    async def board(self, _request: web.Request) -> web.Response:
        return web.json_response(self.served)

    async def brew(self) -> None:
        """One brewer: make what was ordered, in the order in which it was ordered."""
        while True:
            _number, tea, cup = await self.orders.get()
            await asyncio.sleep(0.001)
            self.served[tea] += 1
            if not cup.done():
                cup.set_result(f"a cup of {tea}")
            self.orders.task_done()


async def visit(house: TeaHouse, session: ClientSession, address: str, number: int) -> None:
    """One customer: order some cups, check each, and give up on the ceremony."""
    for i in range(CUPS_EACH):
        tea = TEAS[(number + i) % len(TEAS)]
        async with asyncio.timeout(30), session.post(f"{address}/orders", json={"tea": tea}) as answer:
            assert (await answer.json())["cup"] == f"a cup of {tea}"
    try:
        async with asyncio.timeout(PATIENCE), session.get(f"{address}/ceremony"):
            raise AssertionError("the ceremony ended before its time")
    except TimeoutError:
        house.abandoned += 1


async def report(house: TeaHouse, started: float) -> None:
    """Say every half second how far things are."""
    while True:
        await asyncio.sleep(0.5)
        waiting = house.orders.qsize()
        seconds = time.perf_counter() - started
        print(f"  {seconds:4.1f} s   {house.served.total():5} cups   {waiting:2} orders waiting")


def class_name(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def tell(label: str, value: object) -> None:
    print(f"  {label:<22}{value}")


async def main() -> None:
    loop = asyncio.get_running_loop()
    print("running on")
    tell("event loop", class_name(loop))
    tell("future", class_name(loop.create_future()))
    tell("task", class_name(asyncio.current_task()))

    house = TeaHouse()
    # A handler is cancelled when its client leaves: nobody holds a ceremony for an empty room.
    runner = web.AppRunner(house.application(), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    address = f"http://{host}:{port}"
    print(f"\nopen at {address}: {CUSTOMERS} customers, {CUPS_EACH} cups each, {BREWERS} brewers")

    started = time.perf_counter()
    staff = [asyncio.create_task(house.brew(), name=f"brewer {i}") for i in range(BREWERS)]
    staff.append(asyncio.create_task(report(house, started), name="reporter"))
    async with ClientSession(connector=TCPConnector(limit=CUSTOMERS)) as session:
        async with asyncio.TaskGroup() as crowd:
            for number in range(CUSTOMERS):
                crowd.create_task(visit(house, session, address, number), name=f"customer {number}")
        await house.orders.join()
        async with session.get(f"{address}/board") as answer:
            board = await answer.json()
    seconds = time.perf_counter() - started

    for task in staff:
        task.cancel()
    await asyncio.gather(*staff, return_exceptions=True)
    await runner.cleanup()

    assert sum(board.values()) == CUSTOMERS * CUPS_EACH
    print("\nclosed")
    tell("cups served", sum(board.values()))
    tell("by tea", ", ".join(f"{tea} {cups}" for tea, cups in sorted(board.items())))
    tell("ceremonies given up", f"{house.abandoned}, after {PATIENCE} s each")
    tell("requests per second", round(CUSTOMERS * CUPS_EACH / seconds))
    tell("tasks left", len(asyncio.all_tasks()) - 1)


if __name__ == "__main__":
    asyncio.run(main())
