"""Builds the documentation, for `make docs`: the site of docs/ with Sphinx, and that of the Rust crates.

A warning is an error, and so is a link within the site that leads nowhere. Addresses of other sites are not
asked: whether they answer today is not for this build to say.
"""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scripts import checks
from scripts.environments import Environment
from scripts.failure import Failure
from scripts.requirements import ROOT
from scripts.steps import Steps

SITE = ROOT / "build" / "site"
# Private items are documented too, so a link to one leads somewhere.
FLAGS = "-D warnings -A rustdoc::private_intra_doc_links"


def build(steps: Steps, environment: Environment) -> None:
    """Everything, as steps. yibu has to be installed: the API's pages are made from its docstrings."""
    command = [environment.python, "-m", "sphinx", "--builder", "html", "--fresh-env", "--quiet"]
    command += ["--fail-on-warning", "--keep-going", "--nitpicky", "docs", str(SITE)]
    if steps.command("site", command):
        steps.call("links", check_links)
    steps.command(
        "cargo doc",
        ["cargo", "doc", "--workspace", "--no-deps", "--document-private-items", "--locked"],
        env={**checks.rust_environment(environment), "RUSTDOCFLAGS": FLAGS},
    )


def check_links() -> None:
    """Look for each link of each page: the file, and the place in it."""
    pages = {path: Page(path) for path in SITE.rglob("*.html")}
    broken = [line for page in pages.values() for line in page.broken(pages)]
    if broken:
        raise Failure("links that lead nowhere:\n  " + "\n  ".join(broken))
    print(f"{sum(len(page.links) for page in pages.values())} links on {len(pages)} pages in {SITE}")


class Page(HTMLParser):
    """The links and the places of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, _tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what an element links to, and what it is called."""
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name == "id" and value:
                self.places.add(value)

    def broken(self, pages: "dict[Path, Page]") -> Iterator[str]:
        """The links of this page that lead nowhere in the site."""
        for link in sorted(self.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            path = (self.path.parent / unquote(parts.path)).resolve() if parts.path else self.path
            place = unquote(parts.fragment)
            if not path.exists() or (place and path in pages and place not in pages[path].places):
                yield f"{self.path.relative_to(SITE)}: {link}"
