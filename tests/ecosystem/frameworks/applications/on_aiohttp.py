"""aiohttp."""

from aiohttp import web
from work import work


async def answer(request):
    """Serve `/<number>`."""
    return web.json_response(await work(int(request.match_info["number"])))


async def app():
    """Make the application, as gunicorn's worker asks for it."""
    application = web.Application()
    application.router.add_get("/{number}", answer)
    return application


if __name__ == "__main__":
    import sys

    from choice import new_event_loop

    web.run_app(app(), host="127.0.0.1", port=int(sys.argv[1]), loop=new_event_loop())
