"""A FastAPI service with work in the background.

    python examples/fastapi_service.py [--port 8000]
    curl -X POST 'localhost:8000/jobs?text=hello'; curl localhost:8000/jobs/1; curl localhost:8000/loop

Nothing in it knows of yibu but the line that starts uvicorn, which gets yibu's loop. Started with `python
-m yibu examples/fastapi_service.py` the queue and everything else of asyncio are native, too. Shows a
lifespan that starts and stops workers, a bounded queue, and an answer when there is no room. Needs fastapi,
uvicorn.
"""

import argparse
import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, HTTPException

WORKERS, ROOM = 2, 100
jobs: dict[int, str] = {}
numbers = itertools.count(1)
queue: asyncio.Queue[tuple[int, str]] = asyncio.Queue(ROOM)


async def work() -> None:
    """One worker: what a request should not wait for."""
    while True:
        number, text = await queue.get()
        await asyncio.sleep(0.01)  # a call of another service, say
        jobs[number] = text.upper()
        queue.task_done()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
    """Workers run as long as the service does; what is queued is done before it ends."""
    workers = [asyncio.create_task(work()) for _ in range(WORKERS)]
    yield
    try:
        async with asyncio.timeout(10):
            await queue.join()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


app = FastAPI(lifespan=lifespan)


@app.post("/jobs", status_code=202)
async def add(text: str) -> dict[str, int]:
    number = next(numbers)
    try:
        queue.put_nowait((number, text))
    except asyncio.QueueFull:
        raise HTTPException(503, "too much to do: try again later") from None
    jobs[number] = ""
    return {"number": number}


@app.get("/jobs/{number}")
async def look(number: int) -> dict[str, str]:
    if number not in jobs:
        raise HTTPException(404, "no such job")
    return {"state": "done", "result": jobs[number]} if jobs[number] else {"state": "waiting"}


@app.get("/loop")
async def loop() -> str:
    return repr(type(asyncio.get_running_loop()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A service with jobs.")
    parser.add_argument("--port", type=int, default=8000)
    uvicorn.run(app, port=parser.parse_args().port, loop="yibu:new_event_loop")
