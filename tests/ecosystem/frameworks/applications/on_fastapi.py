"""FastAPI."""

from fastapi import FastAPI
from work import work

app = FastAPI()


@app.get("/{number}")
async def answer(number: int) -> dict[str, str | int]:
    """Serve `/<number>`."""
    return await work(number)
