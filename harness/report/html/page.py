"""A report as one file of HTML: style, script and pictures are inside, and nothing is fetched.

The policy of a page allows exactly the two of ours, by their hashes: whatever the answers of a shop bring into it, nothing runs.
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
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - see above

    made = Environment(
        loader=PackageLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals["style"] = Markup(static(STYLE))  # noqa: S704  ours
    made.globals["script"] = Markup(static(SCRIPT))  # noqa: S704  ours
    made.globals["policy"] = policy()
    return made


def static(name: str) -> str:
    return (files(HERE) / "static" / name).read_text("utf-8")


@cache
def policy() -> str:
    """The Content-Security-Policy of a report: nothing from anywhere, and of what is inline our style and our script alone."""
    return f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; img-src data:; {BASE}"


def current(page: str) -> bool:
    """Whether this version made a page: under the policy of another its style would not be ours, and not be allowed."""
    return str(escape(policy())) in page


def _hash(name: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(static(name).encode()).digest()).decode()}'"


def render(page: Page) -> str:
    """The whole page."""
    parts = []
    for section in SECTIONS:
        context = section.context(page)
        if context is not None:
            template = environment().get_template(f"sections/{section.name}.html.j2")
            parts.append((section.name, section.title, Markup(template.render(page=page, **context))))  # noqa: S704  escaped
    return environment().get_template("page.html.j2").render(page=page, parts=parts)
