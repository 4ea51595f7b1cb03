"""Starlette."""

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from work import work


async def answer(request):
    """Serve `/<number>`."""
    return JSONResponse(await work(request.path_params["number"]))


app = Starlette(routes=[Route("/{number:int}", answer)])
