"""Takes the picture of the live page in docs/inspecting.md: `python docs/figures/page.py`.

Needs yibu, Playwright for Python and Chromium. The program that is shown has everything that the page has a
word for: a deadlock, a queue that grows, a callback that blocks, connections, jobs.
"""

import asyncio
import base64
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yibu
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).with_name("page.webp")
SECONDS = 60


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line * 10)
        await writer.drain()
    writer.close()


async def visit(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(b"x" * 200 + b"\n")
        for _ in range(10):
            await reader.readline()
        await asyncio.sleep(random.random() / 10)


async def measure(queue: asyncio.Queue[int]) -> None:
    while True:
        await asyncio.sleep(0.05)
        queue.put_nowait(1)
        queue.put_nowait(2)


async def store(queue: asyncio.Queue[int]) -> None:
    while True:
        await queue.get()
        await asyncio.sleep(0.1)


async def transfer(source: asyncio.Lock, target: asyncio.Lock) -> None:
    async with source:
        await asyncio.sleep(0.1)
        async with target:
            pass


def make_thumbnail() -> None:
    time.sleep(0.15)


async def thumbnails() -> None:
    while True:
        await asyncio.sleep(random.uniform(2, 6))
        make_thumbnail()


def read_file() -> None:
    time.sleep(0.3)


async def files() -> None:
    while True:
        await asyncio.gather(*(asyncio.to_thread(read_file) for _ in range(8)))


async def main() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    orders: asyncio.Queue[int] = asyncio.Queue(maxsize=100)
    ann, bob = asyncio.Lock(), asyncio.Lock()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.TaskGroup() as group:
        for number in range(1, 6):
            group.create_task(visit(port), name=f"visitor {number}")
            group.create_task(orders.get(), name=f"worker {number}")
        group.create_task(measure(queue), name="measure")
        group.create_task(store(queue), name="store")
        group.create_task(transfer(ann, bob), name="ann to bob")
        group.create_task(transfer(bob, ann), name="bob to ann")
        group.create_task(thumbnails(), name="thumbnails")
        group.create_task(files(), name="files")


def take(address: str) -> None:
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1100, "height": 640})
        tab.goto(address)
        tab.wait_for_selector(".row")
        time.sleep(SECONDS)
        height = tab.evaluate("document.documentElement.scrollHeight")

        session = tab.context.new_cdp_session(tab)
        whole = {"x": 0, "y": 0, "width": 1100, "height": height, "scale": 1}
        how = {"format": "webp", "quality": 60, "captureBeyondViewport": True, "clip": whole}
        taken = session.send("Page.captureScreenshot", how)
        PICTURE.write_bytes(base64.b64decode(taken["data"]))
        browser.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["program"]:
        with yibu.observe():
            asyncio.run(main())
    command = [sys.executable, "-m", "yibu", "--inspect=127.0.0.1:0", __file__, "program"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        take(program.stderr.readline().removeprefix("yibu: ").strip() if program.stderr else "")
        program.terminate()
    sys.exit(0 if PICTURE.stat().st_size < 300_000 else f"{PICTURE} is too large")
