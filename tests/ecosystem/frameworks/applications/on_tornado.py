"""Tornado, which takes no new connections at the end, but gives an answer to each request."""

import asyncio
import signal
import sys

import tornado.httpserver
import tornado.web
from choice import new_event_loop
from work import work


class Answer(tornado.web.RequestHandler):
    """Serve `/<number>`."""

    in_progress = 0

    async def get(self, number):
        """Answer one request."""
        Answer.in_progress += 1
        try:
            self.write(await work(int(number)))
            await self.finish()
        finally:
            Answer.in_progress -= 1


async def main(port):
    """Serve until the process is told to end."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    server = tornado.httpserver.HTTPServer(tornado.web.Application([(r"/(\d+)", Answer)]))
    server.listen(port, "127.0.0.1")
    await told.wait()
    server.stop()
    while Answer.in_progress:
        await asyncio.sleep(0.01)
    await server.close_all_connections()


with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main(int(sys.argv[1])))
