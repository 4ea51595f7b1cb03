"""A crawler that stays on one site, asks at most so many times a second, and has so many requests under way.

    python examples/crawler.py http://localhost:8000/ [--rate 10] [--workers 4] [--pages 100]

Shows a queue that its own consumers fill, a rate limit, and `queue.join()` as the end of the work. Needs
aiohttp.
"""

import argparse
import re
from urllib.parse import urldefrag, urljoin, urlsplit

import aiohttp
import yibu as asyncio

LINK = re.compile(r'href="([^"]+)"')


class RateLimit:
    """Lets one through every 1/rate seconds. Who comes early waits for its turn, in order of arrival."""

    def __init__(self, rate: float) -> None:
        self.interval = 1 / rate
        self.next = 0.0

    async def __aenter__(self) -> None:
        now = asyncio.get_running_loop().time()
        turn = max(self.next, now)
        self.next = turn + self.interval  # taken before the wait, so that two never get the same turn
        await asyncio.sleep(turn - now)

    async def __aexit__(self, *_exc: object) -> None:
        pass


class Crawler:
    def __init__(self, start: str, rate: float, most_pages: int) -> None:
        self.host = urlsplit(start).netloc
        self.limit = RateLimit(rate)
        self.most_pages = most_pages
        self.seen: set[str] = set()
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self.add(start)

    def add(self, address: str) -> None:
        """Queue an address of this site that was not seen yet."""
        address = urldefrag(address).url
        if urlsplit(address).netloc != self.host or address in self.seen:
            return
        if len(self.seen) < self.most_pages:
            self.seen.add(address)
            self.queue.put_nowait(address)

    async def work(self, session: aiohttp.ClientSession) -> None:
        """One worker: fetch what is queued, queue what it links to, until cancelled."""
        while True:
            address = await self.queue.get()
            try:
                async with self.limit, asyncio.timeout(30), session.get(address) as response:
                    print(response.status, address)
                    if response.content_type == "text/html":
                        for link in LINK.findall(await response.text()):
                            self.add(urljoin(address, link))
            except (aiohttp.ClientError, TimeoutError) as error:
                print("failed", address, repr(error))
            finally:
                self.queue.task_done()


async def main(start: str, rate: float, workers: int, pages: int) -> None:
    crawler = Crawler(start, rate, pages)
    async with aiohttp.ClientSession() as session:
        tasks = [asyncio.create_task(crawler.work(session)) for _ in range(workers)]
        await crawler.queue.join()  # every page that was queued is done, and its links with it
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(len(crawler.seen), "pages")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A crawler for one site.")
    parser.add_argument("start")
    parser.add_argument("--rate", type=float, default=10, help="requests per second")
    parser.add_argument("--workers", type=int, default=4, help="requests under way")
    parser.add_argument("--pages", type=int, default=100, help="stop finding new ones after so many")
    options = parser.parse_args()
    asyncio.run(main(options.start, options.rate, options.workers, options.pages))
