"""The measured servers. Each function serves on a socket that listens already, until the process ends."""

import asyncio
import socket


async def uvicorn_plain(listener: socket.socket) -> None:
    """ASGI without a framework, 13 bytes of plain text."""

    async def application(scope, receive, send):
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"Hello, World!"})

    await _uvicorn(application, listener)


async def uvicorn_fastapi(listener: socket.socket) -> None:
    """FastAPI, which makes JSON of a dictionary."""
    import fastapi

    application = fastapi.FastAPI()

    @application.get("/")
    async def answer(number: int = 1) -> dict[str, int | str]:
        return {"message": "Hello, World!", "number": number}

    await _uvicorn(application, listener)


async def _uvicorn(application, listener: socket.socket) -> None:
    import uvicorn

    quiet = {"log_level": "warning", "access_log": False}
    config = uvicorn.Config(application, http="httptools", lifespan="off", **quiet)
    await uvicorn.Server(config).serve(sockets=[listener])


async def aiohttp_server(listener: socket.socket) -> None:
    """aiohttp, JSON."""
    from aiohttp import web

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"message": "Hello, World!", "number": 1})

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    await asyncio.Event().wait()


async def tornado_server(listener: socket.socket) -> None:
    """Tornado, JSON."""
    import logging

    import tornado.httpserver
    import tornado.web

    class Answer(tornado.web.RequestHandler):
        async def get(self):
            self.write({"message": "Hello, World!", "number": 1})

    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Answer)]))
    server.add_socket(listener)
    await asyncio.Event().wait()


async def websockets_server(listener: socket.socket) -> None:
    """websockets, which sends each message back."""
    import logging

    from websockets.asyncio.server import serve

    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # the generator leaves without a word

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async with serve(echo, sock=listener, compression=None):
        await asyncio.Event().wait()
