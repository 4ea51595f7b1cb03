"""httpx and a server of aiohttp's: a pool of connections, streams both ways, time limits, cancellation."""

import asyncio
import os

import httpx
from aiohttp import web

PIECES = 200


async def echo(request):
    """Send back what comes, piece by piece."""
    response = web.StreamResponse()
    await response.prepare(request)
    async for piece in request.content.iter_any():
        await response.write(piece)
    return response


async def late(_request):
    """Answer too late."""
    await asyncio.sleep(60)


async def number(request):
    """Twice the number."""
    return web.json_response(int(request.match_info["number"]) * 2)


async def pieces():
    """The body of a request that is made while it is sent."""
    for each in range(PIECES):
        yield b"%07d\n" % each * 1000
        await asyncio.sleep(0)


async def main():
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    application = web.Application(client_max_size=1 << 30)
    application.router.add_get("/number/{number}", number)
    application.router.add_post("/echo", echo)
    application.router.add_get("/late", late)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    limits = httpx.Limits(max_connections=8)
    address = "http://{}:{}".format(*runner.addresses[0])
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=30) as client:
        answers = await asyncio.gather(*(client.get(f"/number/{n}") for n in range(200)))
        assert [answer.json() for answer in answers] == [2 * n for n in range(200)]
        async with client.stream("POST", "/echo", content=pieces()) as answer:
            received = b"".join([piece async for piece in answer.aiter_bytes()])
        assert received == b"".join(b"%07d\n" % each * 1000 for each in range(PIECES))
        try:
            await client.get("/late", timeout=0.05)
        except httpx.ReadTimeout:
            pass
        else:
            raise AssertionError("a time limit that was over did nothing")
        waiting = [asyncio.create_task(client.get("/late")) for _ in range(20)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in results)
        assert (await client.get("/number/4")).json() == 8
    await runner.cleanup()


asyncio.run(main())
