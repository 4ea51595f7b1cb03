"""Links from pages to files of the repository that are no pages: in the site they lead into the repository.

A page says `[it](../../crates/python/src/coroutines.rs)`, which works where the pages are read as files. MyST
knows the pages, and complains of those that do not exist; a file that does not exist is a warning here, and
so ends the build.
"""

from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)


def resolve(app: Sphinx, doctree: nodes.document) -> None:
    """Replace references to such files by addresses."""
    root = Path(app.srcdir).parent
    page = Path(app.env.doc2path(app.env.docname))
    for reference, target in list(files(doctree, app)):
        path = (page.parent / target).resolve()
        if not path.exists() or root not in path.parents:
            log.warning("no such file: %s", target, location=reference, type="yibu", subtype="link")
            continue
        kind = "tree" if path.is_dir() else "blob"
        repository = app.config.html_theme_options["source_repository"]
        address = f"{repository}/{kind}/main/{path.relative_to(root)}"
        link = nodes.reference("", "", *reference.children, refuri=address, internal=False)
        reference.replace_self(link)


def files(doctree: nodes.document, app: Sphinx) -> Iterator[tuple[nodes.Element, str]]:
    """References to what is not a page of the site, with the path that they name."""
    for reference in doctree.findall(addnodes.download_reference):
        yield reference, reference["reftarget"]
    for reference in doctree.findall(addnodes.pending_xref):
        target = reference["reftarget"]
        if reference["refdomain"] == "doc":
            # A Markdown file outside of docs/, of which MyST has made the name of a page, is none.
            if target not in app.env.found_docs:
                yield reference, f"{target}.md"
        elif reference["reftype"] == "myst" and "/" in target:
            yield reference, target


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
