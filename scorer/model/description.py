"""A bundle as a plain text for people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from scorer.model.bundle import Bundle


def describe(bundle: Bundle) -> str:
    """What the bundle is, what it takes and gives, how good it was, what it was made with."""
    document, pixels = bundle.document, bundle.pixels
    facts = [
        ("bundle", f"{bundle.name} {bundle.version}"),
        ("digest", bundle.digest),
        ("place", bundle.uri),
        ("created", bundle.digests.created_at),
        ("predicts", f"{bundle.target_column} ({_kind(bundle)}; standard deviation {bundle.target_sd:,.6g})"),
        ("outputs", ", ".join(bundle.outputs)),
        ("images", f"the first {bundle.max_images} of a listing, {_kept(bundle)}"),
        (
            "pixels",
            f"{pixels.size} x {pixels.size}, filter {pixels.filter}, decode {pixels.decode},"
            f" scaled to {pixels.scaling}, {'' if pixels.metadata == 'applied' else 'EXIF and ICC ignored, '}"
            f"version {document.pixels_version}",
        ),
    ]
    features = [(feature.name, feature.kind, feature.type) for feature in document.features]
    sections = [
        _columns(facts),
        _section(f"{len(features)} features", _columns(features)),
        *_intervals(bundle),
        _section("metrics of the training", _columns(_flat(bundle.metrics))),
        _section("made with", _columns(bundle.versions.items())),
    ]
    return "\n\n".join(sections) + "\n"


def _kind(bundle: Bundle) -> str:
    readout = bundle.readout
    if readout.task == "regression":
        return bundle.target.kind
    calibrated = f", calibrated by {readout.calibration.method}" if readout.calibration else ""
    return f"{readout.task}: {', '.join(readout.classes)}{calibrated}"


def _intervals(bundle: Bundle) -> Iterator[str]:
    """A section for each output that has intervals, with what they held in training."""
    for output, intervals in bundle.readout.intervals.items():
        title = f"{intervals.level:.0%} intervals of {output}, and the share of truths that they held in training"
        yield _section(title, _columns([(band.group, band.seen) for band in intervals.bands]))


def _kept(bundle: Bundle) -> str:
    if bundle.document.not_reusable is None:
        return f"{bundle.embedding_size} values each"
    return f"nothing of them can be reused: {bundle.document.not_reusable}"


def _section(title: str, body: str) -> str:
    return f"{title}\n{body}" if body else f"{title}: none"


def _columns(rows: Iterable[Sequence[str]]) -> str:
    """Left-aligned, two spaces apart, two spaces in."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line.rstrip()}" for line in lines)


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        else:
            yield path, f"{value:,.6g}" if isinstance(value, float) else str(value)
