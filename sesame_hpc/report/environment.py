"""What pages are made with: templates by name, numbers as they are printed, the style sheet."""

import re
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from sesame_hpc.report.charts import readable

__all__ = ["page_environment", "style"]

_STYLE = "style.css"


def page_environment(package: str = "sesame_hpc.report") -> Environment:
    """The templates of the report and of `package`; what is not said to be markup is escaped."""
    sources: dict[str, str] = {}
    for name in ("sesame_hpc.report", package):
        for file in resources.files(name).iterdir():
            if file.name.endswith(".j2"):
                sources[file.name] = file.read_text("utf-8")
    environment = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "nme": _printed("{:.3f}"),
        "rate": _printed("{:.2f}"),
        "auc": _printed("{:.3f}"),
        "signed": _printed("{:+.3f}"),
        "signed_rate": _printed("{:+.1f}"),
        "share": _printed("{:.1f}"),
        "seconds": _printed("{:,.1f}"),
        "whole": _printed("{:,.0f}"),
        "interval": _interval,
        "rate_interval": lambda bounds: _interval(bounds, "{:.2f}"),
        "signed_interval": lambda bounds: _interval(bounds, "{:+.3f}"),
        "readable": readable,
        "breakable": _breakable,
    }
    environment.filters |= filters
    return environment


def style() -> Markup:
    """The style sheet of all pages."""
    return Markup((resources.files("sesame_hpc.report") / _STYLE).read_text("utf-8"))


def _printed(form: str) -> Callable[[Any], str]:
    return lambda value: "–" if value is None else form.format(value).replace("-", "−")


def _breakable(name: str) -> Markup:
    """A file's name, whose lines break between its words if they can."""
    return Markup(re.sub(r"(?<=[_/-])(?=\w)|(?<=\w)(?=\.\w+$)", "<wbr>", str(escape(name))))


def _interval(bounds: Sequence[float] | None, form: str = "{:.3f}") -> str:
    if bounds is None:
        return ""
    low, high = (form.format(bound).replace("-", "−") for bound in bounds)
    return f"[{low}, {high}]"
