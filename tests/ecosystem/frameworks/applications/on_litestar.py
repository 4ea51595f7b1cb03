"""Litestar."""

from litestar import Litestar, get
from work import work


@get("/{number:int}")
async def answer(number: int) -> dict[str, str | int]:
    """Serve `/<number>`."""
    return await work(number)


app = Litestar([answer])
