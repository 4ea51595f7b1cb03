"""Sanic."""

from sanic import Sanic
from sanic.response import json
from work import work

app = Sanic("service")


@app.get("/<number:int>")
async def answer(request, number):
    """Serve `/<number>`."""
    return json(await work(number))
