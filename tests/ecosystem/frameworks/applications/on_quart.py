"""Quart."""

from quart import Quart
from work import work

app = Quart(__name__)


@app.get("/<int:number>")
async def answer(number):
    """Serve `/<number>`."""
    return await work(number)
