"""Templates to one HTML file that loads nothing: its style is named by hash, and nothing else may run or be fetched."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scorer.contracts import reason_texts
from scorer.pages import words


def render(package: str, template: str, rules: Sequence[str] = (), **values: Any) -> str:
    """A page.

    Args:
        package: whose templates; those of this package, `base.html` and `macros.html`, can be named from them.
        template: name of its template.
        rules: CSS beyond the common style. No value of the data may be in it.
        values: what the template is given.
    """
    environment = _environment(package)
    style = "\n".join([_style(environment), *rules])
    policy = (
        f"default-src 'none'; style-src 'sha256-{_hash(style)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(template).render(values | {"style": Markup(style), "policy": policy})


@cache
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("scorer.pages")]),
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


def _style(environment: Environment) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, "style.css")[0].strip()


def _hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
