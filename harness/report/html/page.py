"""A report as one file of HTML: style, script and pictures are inside, and nothing is fetched."""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from markupsafe import Markup

from harness.report.html.sections import SECTIONS
from harness.report.html.views import Page

if TYPE_CHECKING:  # imported when a page is made
    from jinja2 import Environment

HERE = "harness.report.html"


@cache
def environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - see above

    made = Environment(
        loader=PackageLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals["style"] = Markup(static("style.css"))  # noqa: S704  ours
    made.globals["script"] = Markup(static("script.js"))  # noqa: S704  ours
    return made


def static(name: str) -> str:
    return (files(HERE) / "static" / name).read_text("utf-8")


def render(page: Page) -> str:
    """The whole page."""
    parts = []
    for section in SECTIONS:
        context = section.context(page)
        if context is not None:
            template = environment().get_template(f"sections/{section.name}.html.j2")
            parts.append((section.name, section.title, Markup(template.render(page=page, **context))))  # noqa: S704  escaped
    return environment().get_template("page.html.j2").render(page=page, parts=parts)
