"""From facts to text: the jinja environment of the templates, and the page as HTML."""

import base64
import html as markup
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt

from lmcompare.report.formatting import (
    control_title,
    counted,
    engineering,
    interval,
    joined,
    plain,
    probability,
    shortened,
    signed,
)
from lmcompare.report.markdown import code, escape, slug
from lmcompare.report.sections.base import Figure, Section

Form = Literal["markdown", "html"]


def names(items: Sequence[object], last: str = "and") -> str:
    """Write names as code: '`a`, `b` and `c`'."""
    return joined([code(item) for item in items], last)


def _image(figure: Figure, alt: str, form: Form) -> str:
    if form == "markdown":
        return f"![{alt}]({figure.path})"
    data = base64.b64encode(figure.png).decode()
    return f'<p><img alt="{markup.escape(alt)}" src="data:image/png;base64,{data}"></p>'


@cache
def environment(form: Form) -> Environment:
    """Return the environment of all templates; tables and figures are written in ``form``."""
    loader = PackageLoader("lmcompare.report", "templates")
    jinja = Environment(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {
        "code": code,
        "escape": escape,
        "slug": slug,
        "names": names,
        "joined": joined,
        "counted": counted,
        "plain": plain,
        "signed": signed,
        "interval": interval,
        "engineering": engineering,
        "probability": probability,
        "shortened": shortened,
        "control_title": control_title,
        "table": lambda table: getattr(table, form),
        "figure": lambda figure, alt: _image(figure, alt, form),
    }
    return jinja


def render(template: str, facts: dict[str, Any], form: Form = "markdown") -> str:
    """Fill ``templates/<template>.md.jinja``; blank lines in a row become one."""
    text = environment(form).get_template(f"{template}.md.jinja").render(facts)
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() or (lines and lines[-1]):
            lines.append(line.rstrip())
    return "\n".join(lines).strip()


def section(of: Section, form: Form = "markdown") -> str:
    """Render a section."""
    return render(of.template, dict(of.facts), form)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1, h2 {{ line-height: 1.25; margin-top: 2rem; }}
h2 {{ border-bottom: 1px solid #ddd; padding-bottom: .2rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; font-size: .9rem; }}
th, td {{ border-bottom: 1px solid #ddd; padding: .3rem .6rem; vertical-align: top; }}
thead th {{ border-bottom: 2px solid #888; text-align: left; }}
code {{ background: #f3f3f3; padding: .05rem .25rem; }}
pre {{ background: #f3f3f3; padding: .8rem; overflow-x: auto; }}
pre code {{ padding: 0; }}
blockquote {{ border-left: 4px solid #d55e00; margin-left: 0; padding-left: 1rem; }}
img {{ max-width: 100%; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def html(title: str, text: str) -> str:
    """Return one HTML file that needs no other; all foreign text in ``text`` is escaped already."""
    parser = MarkdownIt("commonmark", {"html": True})
    return _PAGE.format(title=markup.escape(title), body=parser.render(text))
