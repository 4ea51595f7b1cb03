"""Twisted, whose reactor waits with its end until each request has its answer."""

import asyncio
import json
import sys

from choice import new_event_loop
from twisted.internet import asyncioreactor

asyncioreactor.install(new_event_loop())

from twisted.internet import defer, reactor  # noqa: E402
from twisted.web import resource, server  # noqa: E402
from work import work  # noqa: E402

in_progress = set()


class Answer(resource.Resource):
    """Serve `/<number>`."""

    isLeaf = True

    def render_GET(self, request):
        """Begin an answer."""
        answer = defer.Deferred.fromFuture(asyncio.ensure_future(work(int(request.path[1:]))))
        in_progress.add(answer)
        request.notifyFinish().addErrback(lambda _reason: answer.cancel())
        answer.addCallback(lambda found: (request.write(json.dumps(found).encode()), request.finish()))
        answer.addErrback(lambda failure: failure.trap(asyncio.CancelledError, defer.CancelledError))
        answer.addBoth(lambda _result: in_progress.discard(answer))
        return server.NOT_DONE_YET


async def end():
    """Wait for what is in progress."""
    while in_progress:
        await asyncio.sleep(0.01)


reactor.listenTCP(int(sys.argv[1]), server.Site(Answer()), interface="127.0.0.1")
reactor.addSystemEventTrigger(
    "before", "shutdown", lambda: defer.Deferred.fromFuture(asyncio.ensure_future(end()))
)
reactor.run()
