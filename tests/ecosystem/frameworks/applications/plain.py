"""ASGI without a framework."""

import json

from work import work


async def app(scope, receive, send):
    """Serve `/<number>`."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    answer = json.dumps(await work(int(scope["path"].removeprefix("/")))).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
