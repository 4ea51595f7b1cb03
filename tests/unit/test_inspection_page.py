"""`python -m yibu inspect`: the page in the browser, who may see it, and what it shows of a real program."""

import contextlib
import http.client
import json
import os
import re
import shutil
import threading

import pytest
import yibu
from yibu.inspection.page_server import Page, main, of_process, of_this_process
from yibu.inspection.server import end_onlookers

pytestmark = [pytest.mark.yibu_only, pytest.mark.time_limit(90)]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(params=["by the socket", "by itself"])
def page(request, monkeypatch):
    """The page of this process, which runs a loop with a deadlock and some workers in another thread."""
    folder = f"/tmp/yp{os.getpid()}"
    os.mkdir(folder, 0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    ready, over = threading.Event(), threading.Event()

    async def take(first, second):
        async with first:
            await yibu.sleep(0)
            async with second:
                pass

    async def program():
        queue, first, second = yibu.Queue(), yibu.Lock(), yibu.Lock()
        tasks = [yibu.create_task(queue.get(), name=f"worker {number}") for number in range(50)]
        tasks.append(yibu.create_task(take(first, second), name="<b>ann</b>"))
        tasks.append(yibu.create_task(take(second, first), name="bob"))
        ready.set()
        while not over.is_set():
            await yibu.sleep(0.01)
        for task in tasks:
            task.cancel()

    with yibu.inspect():
        loop = threading.Thread(target=lambda: yibu.run(program()))
        loop.start()
        ready.wait()
        served = Page(of_process(os.getpid()) if request.param == "by the socket" else of_this_process)
        serving = threading.Thread(target=served.serve)
        serving.start()
        yield served
        served.shut_down()
        serving.join()
        over.set()
        loop.join()
    shutil.rmtree(folder)


def get(page, path, **headers):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


class TestWhoMaySee:
    def test_the_token_is_needed(self, page):
        own = {"Authorization": f"Bearer {page.token}"}
        assert get(page, "/tree")[0] == 401
        assert get(page, "/tree", Authorization="Bearer x")[0] == 401
        assert get(page, f"/tree?token={page.token}")[0] == 401
        status, _, content = get(page, "/tree", **own)
        assert status == 200
        assert {task["name"] for task in json.loads(content)["tasks"]} >= {"bob", "worker 49"}

    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "evil.example"},
            {"Host": "evil.example:{port}"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
    )
    @pytest.mark.parametrize("path", ["/", "/tree"])
    def test_other_sites_are_refused(self, page, headers, path):
        headers = {name: value.format(port=page.port) for name, value in headers.items()}
        headers["Authorization"] = f"Bearer {page.token}"
        assert get(page, path, **headers)[0] == 403

    def test_a_link_of_another_site(self, page):
        status, _, content = get(page, "/", **{"Sec-Fetch-Site": "cross-site"})
        assert status == 403 and content.startswith(b"another site has led here: ")

    def test_two_hosts(self, page):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)) as connection:
            connection.putrequest("GET", "/")
            connection.putheader("Host", "evil.example")
            connection.endheaders()
            assert connection.getresponse().status == 400

    def test_head(self, page):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)) as connection:
            for _ in range(2):
                connection.request("HEAD", "/")
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, b"")
                assert int(answer.headers["Content-Length"]) > 100

    @pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")])
    def test_an_address_for_a_browser(self, host, shown, monkeypatch, capsys):
        monkeypatch.setattr("yibu.inspection.client.exchange", lambda *_arguments: {})
        monkeypatch.setattr(Page, "serve", lambda page: page.abandon())
        assert main(os.getpid(), host, 0, 1.0) == 0
        told = capsys.readouterr().err
        assert f"http://{shown}:" in told
        assert ("Other machines can reach this page, and it is not encrypted" in told) is (host != shown)

    def test_headers(self, page):
        for path in ("/", "/page.js", "/page.css", "/nothing"):
            status, headers, _ = get(page, path)
            assert status == (404 if path == "/nothing" else 200)
            assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
            assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_other_methods_are_refused(self, page, method):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)) as connection:
            connection.request(method, "/tree")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 501

    def test_a_process_that_is_gone(self):
        page = Page(of_process(2**22 + 1))
        page.start()
        try:
            status, _, content = get(page, "/tree", Authorization=f"Bearer {page.token}")
        finally:
            page.close()
        assert status == 502 and b"there is no process" in content


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser(page):
    """What a reader sees, with the keyboard alone."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 390, "height": 800})
        errors = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.goto(page.address)
        tab.wait_for_selector(".row")
        tab.wait_for_selector("#problems .kind")
        assert "'<b>ann</b>' waits for a Lock held by 'bob'" in tab.inner_text("#problems")
        long = "import('/show.js').then((show) => show.shortened('x'.repeat(3000)))"
        assert tab.evaluate(long) == 200 * "x" + "..."
        tab.fill("#filter", "worker 4")
        tab.wait_for_function("document.querySelectorAll('.row').length == 11")
        tab.locator("#list").focus()
        tab.keyboard.press("End")
        assert tab.inner_text("[aria-selected=true] .name") == "worker 49"
        assert tab.get_attribute("#list", "aria-activedescendant") == tab.get_attribute(
            "[aria-selected=true]", "id"
        )
        assert "Queue.get" in tab.inner_text("#stack")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        browser.close()
    assert errors == []


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_blockages_in_a_browser():
    """A line that blocks the loop is shown with its stack, and named among what is wrong."""
    playwright = pytest.importorskip("playwright.sync_api")
    ready, over = threading.Event(), threading.Event()

    def make_thumbnail():
        over.wait(0.2)

    async def program():
        ready.set()
        while not over.is_set():
            make_thumbnail()
            await yibu.sleep(0.05)

    loop = threading.Thread(target=lambda: yibu.run(program()))
    loop.start()
    ready.wait()
    served = Page(of_this_process)
    served.start()
    try:
        with playwright.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            tab = browser.new_page()
            errors = []
            tab.on("pageerror", lambda error: errors.append(str(error)))
            tab.goto(served.address)
            tab.locator("#blockages", has_text="make_thumbnail").wait_for(timeout=60000)
            tab.locator("#problems", has_text="blockages").wait_for(timeout=60000)
            # The place of the task is the program's line, as the table of the command has it.
            assert re.search(r"(program|make_thumbnail) \(test_inspection_page\.py:", tab.inner_text("#list"))
            browser.close()
    finally:
        served.close()
        end_onlookers()  # as yibu.inspect() does at its end
        over.set()
        loop.join()
    assert errors == []
