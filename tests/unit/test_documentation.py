"""The pages as they are read in the repository: links lead somewhere. `make docs` looks at the site."""

import re
from pathlib import Path

import pytest

from scripts import documentation
from scripts.failure import Failure

pytestmark = pytest.mark.yibu_only

ROOT = Path(__file__).parent.parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]


def links(page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def test_links_between_files():
    assert len(PAGES) > 50
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link in links(page)
        if not (page.parent / link.partition("#")[0]).exists()
    ]
    assert broken == []


def test_guide_lists_every_page_of_its_own():
    listed = set(links(ROOT / "docs" / "guide" / "README.md"))
    assert listed == {path.name for path in (ROOT / "docs" / "guide").glob("*.md")} - {"README.md"}


class TestSite:
    """What `make docs` looks for in the pages that Sphinx has made."""

    @pytest.fixture
    def site(self, tmp_path, monkeypatch):
        monkeypatch.setattr(documentation, "SITE", tmp_path)
        (tmp_path / "other.html").write_text('<h1 id="title">x</h1>')
        return tmp_path / "page.html"

    def test_good_links(self, site, capsys):
        site.write_text(
            '<a id="here" href="#here">x</a><a href="other.html#title">y</a><a href="https://x.y/z">z</a>'
        )
        documentation.check_links()
        assert capsys.readouterr().out.startswith("3 links on 2 pages")

    @pytest.mark.parametrize("link", ["#nowhere", "other.html#nowhere", "missing.html", "missing.png"])
    def test_broken_links(self, site, link):
        site.write_text(f'<a href="{link}">x</a>')
        with pytest.raises(Failure, match=f"page.html: {link}"):
            documentation.check_links()
