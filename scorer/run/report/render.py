"""The templates of the pages of runs, and what their style owes to the pictures on them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from scorer.pages import render as pages
from scorer.pages.plots import Histogram
from scorer.run.report.flow import Flow


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
    # No value of the data is in these rules: heights are numbers that we computed.
    rules = [*(_heights(one) for one in flows), *(_edges(name, one) for name, one in plots.items())]
    return pages.render("scorer.run.report", template, rules, **values)


def _heights(flow: Flow) -> str:
    """The rows of the labels, as high as the bands beside them."""
    rows = (
        f"#{flow.name}-labels>li:nth-child({at}){{height:{band.slot:.1f}px}}" for at, band in enumerate(flow.bands, 1)
    )
    return "".join(rows)


def _edges(name: str, plot: Histogram) -> str:
    """The first tick stands at the end of the first class, the last one at the beginning of the last class."""
    return f"#{name}-edges{{padding-left:{100 / len(plot.classes):.3f}%;padding-right:{100 / len(plot.classes):.3f}%}}"
