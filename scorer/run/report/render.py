"""Templates to one HTML file that loads nothing: its style is named by hash, and nothing else may run or be fetched."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scorer.contracts import reason_texts
from scorer.run.report import words
from scorer.run.report.flow import Flow
from scorer.run.report.plots import Histogram


def render(
    template: str, flows: Sequence[Flow] = (), plots: Mapping[str, Histogram] = MappingProxyType({}), **values: Any
) -> str:
    """A page.

    Args:
        template: name of its template.
        flows: pictures whose labels need rows of the picture's own heights.
        plots: by name, those whose ticks stand at the edges of classes.
        values: what the template is given.
    """
    placed = [_edges(name, one) for name, one in plots.items()]
    style = "\n".join([_style(), *(_heights(one) for one in flows), *placed])
    policy = (
        f"default-src 'none'; style-src 'sha256-{_hash(style)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    # The style is our own text, and no value of the data is in it: heights are numbers that we computed.
    values |= {"style": Markup(style), "policy": policy}
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("scorer.run.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            "data": words.data,
            "lines": words.lines,
            "visible": words.visible,
            "count": words.count,
            "number": words.number,
            "duration": words.duration,
            "percent": words.percent,
            "change": words.change,
            "moment": words.moment,
        }
    )
    environment.globals.update(share=words.share, plural=words.plural, reason_texts=reason_texts)
    return environment


def _style() -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), "style.css")[0].strip()


def _heights(flow: Flow) -> str:
    """The rows of the labels, as high as the bands beside them."""
    rows = (
        f"#{flow.name}-labels>li:nth-child({at}){{height:{band.slot:.1f}px}}" for at, band in enumerate(flow.bands, 1)
    )
    return "".join(rows)


def _edges(name: str, plot: Histogram) -> str:
    """The first tick stands at the end of the first class, the last one at the beginning of the last class."""
    return f"#{name}-edges{{padding-left:{100 / len(plot.classes):.3f}%;padding-right:{100 / len(plot.classes):.3f}%}}"


def _hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
