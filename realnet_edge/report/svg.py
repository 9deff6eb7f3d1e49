"""Figures inside a page: an SVG that follows the page's text colour and fetches nothing."""

from __future__ import annotations

import html
import re

from realnet_edge.report.figures import GRID, INK

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_STYLE_BLOCK = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_NAMESPACE = re.compile(r'\s(?:xmlns(?::\w+)?|version|width|height)="[^"]*"')
_FAMILY = re.compile(r"(font(?:-family)?: ?[^;\"']*)'DejaVu Sans'[^;\"]*")
_TAG = re.compile(r"<[^>]*>")
_LONG_NUMBER = re.compile(r"(\d\.\d\d)\d+")


def inline_svg(figure: bytes, prefix: str, label: str) -> str:
    """Markup of a figure made by `figures`, for an HTML page.

    Ids get `prefix`, since all figures of a page share one space of ids. Ink becomes `currentColor`
    and the grid `var(--line)`, so a dark page gets a light figure.

    Args:
        figure: SVG bytes.
        prefix: Letters and digits, other for every figure of a page.
        label: What the figure shows, for those who cannot see it; escaped here.
    """
    source = figure.decode("utf-8")
    source = _COMMENT.sub("", source[source.index("<svg") :])
    source = _STYLE_BLOCK.sub("", source, count=1)
    head, body = source.split(">", 1)
    head = _NAMESPACE.sub("", head)
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = body.replace("url(#", f"url(#{prefix}-").replace('xlink:href="#', f'href="#{prefix}-')
    body = _FAMILY.sub(r"\1system-ui, sans-serif", body)
    body = body.replace(INK, "currentColor").replace(GRID, "var(--line)")
    # Coordinates alone: a number in the text is what the figure says.
    body = _TAG.sub(lambda tag: _LONG_NUMBER.sub(r"\1", tag[0]), body)
    body = re.sub(r"\s*\n\s*", " ", body).replace("> <", "><")
    return f'{head} class="figure" role="img" aria-label="{html.escape(label)}">{body}'
