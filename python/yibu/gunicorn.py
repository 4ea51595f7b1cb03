"""Worker classes for gunicorn: `gunicorn -k yibu.gunicorn.ASGIWorker application:app`.

`ASGIWorker` is gunicorn's own worker for ASGI (since gunicorn 24), `UvicornWorker` that of the package
uvicorn-worker, `AiohttpWorker` that of aiohttp. Each installs yibu in the worker process before the loop is
made, and takes that loop where the worker would choose uvloop. A class is made when gunicorn asks for it,
because each needs a package that the others do not.
"""

import importlib
from typing import Any

import yibu

_BASES = {
    "ASGIWorker": ("gunicorn.workers.gasgi", "ASGIWorker"),
    "UvicornWorker": ("uvicorn_worker", "UvicornWorker"),
    "AiohttpWorker": ("aiohttp.worker", "GunicornWebWorker"),
}


def __getattr__(name: str) -> Any:
    if name not in _BASES:
        raise AttributeError(f"module 'yibu.gunicorn' has no attribute {name!r}")
    module, stock = _BASES[name]
    base = getattr(importlib.import_module(module), stock)

    def init_process(self: Any) -> None:
        yibu.install()
        if self.cfg.asgi_loop == "auto":
            self.cfg.set("asgi_loop", "asyncio")  # which asks the policy
        base.init_process(self)

    members = {"__module__": __name__, "__doc__": f"{base.__name__} on yibu.", "init_process": init_process}
    if name == "UvicornWorker":
        members["CONFIG_KWARGS"] = {**base.CONFIG_KWARGS, "loop": "yibu:new_event_loop"}
    worker = globals()[name] = type(name, (base,), members)
    return worker
