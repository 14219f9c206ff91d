"""A report as one file of HTML: style, script and charts are inside, and nothing is fetched.

The policy of a page allows exactly one style and one script, by their hashes: no text in an answer of a shop can run.
Source: Content Security Policy Level 3, section 2.3.1 (hash-source).
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from harness.report.html.sections import SECTIONS
from harness.report.html.views import Page

if TYPE_CHECKING:  # imported when a page is made
    from jinja2 import Environment

HERE = "harness.report.html"
STYLE, SCRIPT = "style.css", "script.js"
BASE = "base-uri 'none'; form-action 'none'"


@cache
def environment() -> "Environment":
    """Return the template environment of the reports."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - see above

    made = Environment(
        loader=PackageLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals["style"] = Markup(static(STYLE))  # noqa: S704  ours
    made.globals["script"] = Markup(static(SCRIPT))  # noqa: S704  ours
    made.globals["policy"] = policy()
    return made


def static(name: str) -> str:
    """Return the text of a static file."""
    return (files(HERE) / "static" / name).read_text("utf-8")


@cache
def policy() -> str:
    """Return the Content-Security-Policy of a report: no request, and inline only its own style and script."""
    return f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; img-src data:; {BASE}"


def current(page: str) -> bool:
    """Return whether this version made the page: another version has another policy, which forbids this style."""
    return str(escape(policy())) in page


def _hash(name: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(static(name).encode()).digest()).decode()}'"


def render(page: Page) -> str:
    """Return the whole page."""
    parts = []
    for section in SECTIONS:
        context = section.context(page)
        if context is not None:
            template = environment().get_template(f"sections/{section.name}.html.j2")
            parts.append((section.name, section.title, Markup(template.render(page=page, **context))))  # noqa: S704  escaped
    return environment().get_template("page.html.j2").render(page=page, parts=parts)
