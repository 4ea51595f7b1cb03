"""Libraries and notebooks that make the loop, each with the line of docs/guide that puts it on yibu."""

import sys

import pytest

from tests.ecosystem.frameworks.conftest import LOOP, environment, need

pytestmark = pytest.mark.time_limit(120)


def test_asyncio(run_program):
    """The hooks of asyncio itself: `Runner`, `run`, policies."""
    source = """
        import asyncio, sys, warnings
        import yibu

        async def main():
            return type(await asyncio.sleep(0, asyncio.get_running_loop())).__module__

        with asyncio.Runner(loop_factory=yibu.new_event_loop) as runner:
            print(runner.run(main()))
        print(yibu.run(main()))
        if sys.version_info >= (3, 12):
            print(asyncio.run(main(), loop_factory=yibu.new_event_loop))
        if hasattr(asyncio, "set_event_loop_policy"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                asyncio.set_event_loop_policy(yibu.EventLoopPolicy())
            print(asyncio.run(main()))
        """
    assert set(run_program("", source).split()) == {LOOP}


def test_aiohttp_client(run_program):
    source = """
        import asyncio
        import aiohttp, yibu
        from aiohttp import web

        async def echo(request):
            return web.Response(body=await request.read())

        async def main():
            application = web.Application()
            application.router.add_post("/", echo)
            runner = web.AppRunner(application)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0]
            async with aiohttp.ClientSession() as session:
                async def ask(number):
                    async with session.post(f"http://{host}:{port}/", data=b"%d" % number * 50_000) as answer:
                        return len(await answer.read())
                assert await asyncio.gather(*map(ask, range(10))) == [50_000] * 10
            await runner.cleanup()
            print(type(asyncio.get_running_loop()).__module__)

        yibu.run(main())
        """
    assert run_program("aiohttp", source) == f"{LOOP}\n"


def test_tornado(run_program):
    source = """
        import asyncio
        import tornado.httpclient, tornado.httpserver, tornado.ioloop, tornado.testing, tornado.web
        import yibu

        class Handler(tornado.web.RequestHandler):
            async def get(self):
                await asyncio.sleep(0.001)
                self.write(type(tornado.ioloop.IOLoop.current().asyncio_loop).__module__)

        async def main():
            server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Handler)]))
            sock, port = tornado.testing.bind_unused_port()
            server.add_sockets([sock])
            client = tornado.httpclient.AsyncHTTPClient()
            answers = await asyncio.gather(*(client.fetch(f"http://127.0.0.1:{port}/") for _ in range(5)))
            server.stop()
            await server.close_all_connections()
            print({answer.body.decode() for answer in answers})

        yibu.run(main())

        # The other way: tornado makes the loop.
        yibu.install()
        tornado.ioloop.IOLoop(make_current=True).run_sync(main)
        """
    assert run_program("tornado", source) == f"{{'{LOOP}'}}\n" * 2


def test_twisted(run_program):
    source = """
        from twisted.internet import asyncioreactor
        import yibu

        asyncioreactor.install(yibu.new_event_loop())

        import asyncio
        from twisted.internet import defer, reactor, task, threads
        from twisted.web import client, resource, server

        class Page(resource.Resource):
            isLeaf = True

            def render_GET(self, request):
                task.deferLater(reactor, 0.001, self.finish, request)
                return server.NOT_DONE_YET

            def finish(self, request):
                request.write(type(asyncio.get_running_loop()).__module__.encode())
                request.finish()

        @defer.inlineCallbacks
        def main():
            port = reactor.listenTCP(0, server.Site(Page()), interface="127.0.0.1")
            url = b"http://127.0.0.1:%d/" % port.getHost().port
            answer = yield client.Agent(reactor).request(b"GET", url)
            body = yield client.readBody(answer)
            assert (yield threads.deferToThread(lambda: 7)) == 7
            assert (yield defer.Deferred.fromFuture(asyncio.ensure_future(asyncio.sleep(0, 8)))) == 8
            yield port.stopListening()
            print(body.decode())
            reactor.stop()

        reactor.callWhenRunning(main)
        reactor.run()
        """
    assert run_program("twisted", source) == f"{LOOP}\n"


def test_anyio(run_program):
    source = """
        import asyncio
        import anyio, yibu

        async def serve(listener):
            async def echo(stream):
                async with stream:
                    await stream.send(await stream.receive())
            await listener.serve(echo)

        async def main():
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            async with anyio.create_task_group() as group:
                group.start_soon(serve, listener)
                port = listener.extra(anyio.abc.SocketAttribute.local_port)
                async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                    await stream.send(b"there and back")
                    assert await stream.receive() == b"there and back"
                group.cancel_scope.cancel()
            await listener.aclose()
            print(type(asyncio.get_running_loop()).__module__)

        anyio.run(main, backend_options={"loop_factory": yibu.new_event_loop})
        """
    assert run_program("anyio", source) == f"{LOOP}\n"


def test_jupyter(tmp_path):
    """A kernel on yibu, with nested runs in its cells."""
    need("ipykernel jupyter_client")
    from jupyter_client import KernelManager

    manager = KernelManager(connection_file=str(tmp_path / "connection.json"))
    manager.kernel_spec.argv = [
        *(sys.executable, "-m", "yibu", "-m", "ipykernel_launcher"),
        *("-f", "{connection_file}", "--HistoryManager.enabled=False"),
    ]
    manager.start_kernel(
        env=environment(JUPYTER_RUNTIME_DIR=str(tmp_path), IPYTHONDIR=str(tmp_path)), cwd=tmp_path
    )
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        cells = {
            "import asyncio, yibu; print(type(asyncio.get_running_loop()).__module__)": LOOP,
            "print(await asyncio.gather(*(asyncio.sleep(0.001, n) for n in range(3))))": "[0, 1, 2]",
            "yibu.allow_nested(); print(asyncio.run(asyncio.sleep(0.001, 'nested')))": "nested",
            "print(asyncio.get_event_loop().run_until_complete(asyncio.sleep(0.001, 'again')))": "again",
            "print(await asyncio.sleep(0, asyncio.run(asyncio.sleep(0, 'both'))))": "both",
        }
        for cell, expected in cells.items():
            printed = []
            reply = client.execute_interactive(cell, timeout=60, output_hook=printed.append)
            assert reply["content"]["status"] == "ok", printed
            texts = [message["content"]["text"] for message in printed if message["msg_type"] == "stream"]
            assert "".join(texts) == f"{expected}\n"
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def test_ipython(run_program):
    """The terminal of IPython, whose cells run on a loop of the policy."""
    source = """
        import asyncio
        print(type(await asyncio.sleep(0, asyncio.get_running_loop())).__module__)
        """
    need("IPython")
    from textwrap import dedent

    printed = run_program(
        "IPython", "", "-m", "yibu", "-m", "IPython", "--HistoryManager.enabled=False", "-c", dedent(source)
    )
    assert printed == f"{LOOP}\n"


SUITE = """
import asyncio
import pytest

{mark}
async def test_loop():
    assert type(asyncio.get_running_loop()).__module__ == "yibu.event_loop"
    assert await asyncio.gather(asyncio.sleep(0, 1), asyncio.to_thread(lambda: 2)) == [1, 2]
"""
OF_ANYIO = """
import pytest, yibu

@pytest.fixture
def anyio_backend():
    return "asyncio", {"loop_factory": yibu.new_event_loop}
"""
OF_PYTEST_ASYNCIO = """
import yibu

def pytest_asyncio_loop_factories(config, item):
    return {"yibu": yibu.new_event_loop}
"""
SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")  # without it the plugin warns
ANYIO_ON_ASYNCIO = """
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


@pytest.mark.parametrize(
    ("plugin", "mark", "conftest", "options"),
    [
        ("pytest_asyncio", "asyncio", OF_PYTEST_ASYNCIO, SCOPE),
        ("pytest_asyncio", "asyncio", "", (*SCOPE, "-p", "yibu.pytest_plugin", "--yibu")),
        ("anyio", "anyio", OF_ANYIO, ()),
        ("anyio", "anyio", ANYIO_ON_ASYNCIO, ("-p", "yibu.pytest_plugin", "--yibu")),
    ],
)
def test_plugins_of_pytest(run_program, tmp_path, plugin, mark, conftest, options):
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_suite.py").write_text(SUITE.format(mark=f"@pytest.mark.{mark}"))
    module = {"pytest_asyncio": "pytest_asyncio.plugin", "anyio": "anyio.pytest_plugin"}[plugin]
    printed = run_program(
        f"{plugin} pytest",
        "",
        *("-m", "pytest", "-p", module, *options, "-W", "error", "-p", "no:cacheprovider", "test_suite.py"),
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    assert "1 passed" in printed


DASK = """
    import sys
    from dask.distributed import Client, LocalCluster, worker_client

    def square(number):
        return number * number

    def fan_out(number):
        with worker_client() as client:
            return sum(client.gather(client.map(square, range(number))))

    def loop_of(dask_worker=None, dask_scheduler=None):
        import asyncio
        return type((dask_worker or dask_scheduler).loop.asyncio_loop).__module__

    if __name__ == "__main__":
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            with Client(cluster) as client:
                assert client.submit(sum, client.map(square, range(50))).result() == 40425
                assert client.submit(fan_out, 10).result() == 285
                print({*client.run(loop_of).values(), client.run_on_scheduler(loop_of)})
    """


@pytest.mark.parametrize("event_loop", ["tornado", "uvloop"])
def test_dask(run_program, event_loop):
    """Scheduler and workers, which are processes of multiprocessing."""
    options = ("-m", "yibu", *(("--uvloop-alias",) if event_loop == "uvloop" else ()))
    chosen = {"DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": event_loop}
    printed = run_program("distributed dask", DASK, *options, timeout=110, **chosen)
    assert printed == f"{{'{LOOP}'}}\n"


def test_dask_s_commands(run_program):
    """A scheduler and a worker started from the command line.

    A worker that is told to end while it sends waits 30 seconds for its own sender, which it has cancelled
    (`BatchedSend.close`), on every loop.
    """
    source = """
        import contextlib, re, subprocess, sys
        from dask.distributed import Client

        def loop_of(dask_worker=None, dask_scheduler=None):
            return type((dask_worker or dask_scheduler).loop.asyncio_loop).__module__

        @contextlib.contextmanager
        def command(name, *arguments):
            # Start a part of the cluster, and wait until it says where it is.
            start = [sys.executable, "-m", "yibu", "-m", f"distributed.cli.dask_{name}", "--no-dashboard"]
            process = subprocess.Popen([*start, *arguments], stderr=subprocess.PIPE, text=True)
            try:
                yield next(
                    re.search(r"tcp://[0-9.:]+", line)[0] for line in process.stderr if "tcp://" in line
                )
            finally:
                process.terminate()
                process.communicate(timeout=60)

        where = ("--host", "127.0.0.1", "--port", "0")
        with command("scheduler", *where) as address:
            with command("worker", address, "--host", "127.0.0.1", "--no-nanny"), Client(address) as client:
                client.wait_for_workers(1, timeout=60)
                assert client.submit(sum, range(10)).result() == 45
                print({*client.run(loop_of).values(), client.run_on_scheduler(loop_of)})
        """
    printed = run_program("distributed dask", source, timeout=240)
    assert printed == f"{{'{LOOP}'}}\n"


def test_ray(run_program):
    """An asynchronous actor, in a worker process that has installed yibu when it started."""
    source = """
        import asyncio, os
        import ray, yibu

        ray.init(
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=False,
            runtime_env={"worker_process_setup_hook": yibu.install, "env_vars": {"RAY_USE_UVLOOP": "0"}},
        )

        @ray.remote
        class Actor:
            async def work(self, number):
                await asyncio.sleep(0.001)
                return type(asyncio.get_running_loop()).__module__, number * 2

        actor = Actor.remote()
        answers = ray.get([actor.work.remote(number) for number in range(20)])
        assert [twice for _, twice in answers] == [number * 2 for number in range(20)]
        print({loop for loop, _ in answers})
        ray.shutdown()
        """
    printed = run_program("ray", source, timeout=110, RAY_USE_UVLOOP="0", RAY_USAGE_STATS_ENABLED="0")
    assert printed == f"{{'{LOOP}'}}\n"
