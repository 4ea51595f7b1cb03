"""Puts the pictures of docs/figures into the page itself, instead of as images beside it.

Then they follow the switch between light and dark, by the variables `--ink` and `--faint` of style/yibu.css,
and their text can be searched and read aloud.
"""

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx


def put_in(app: Sphinx, doctree: nodes.document, _docname: str) -> None:
    """Replace each image whose file is an SVG by the file's contents."""
    if app.builder.format != "html":
        return
    for image in list(doctree.findall(nodes.image)):
        path = Path(app.srcdir, image["uri"])
        if path.suffix == ".svg":
            label = escape(image.get("alt", path.stem))
            drawing = path.read_text().replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
            html = f'<div class="drawing">{drawing}</div>'
            image.replace_self(nodes.raw("", html, format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", put_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
