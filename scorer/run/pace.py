"""How fast past runs were, and so how long another one would take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scorer.machine import cores, gpus
from scorer.objectstore import ObjectStore
from scorer.output.manifest import RunManifest
from scorer.output.profile import LOADING, SCORING
from scorer.run.history import past_runs
from scorer.settings import Job, Speed

LOOKED_AT = 30
"""Past runs read, the latest."""

USED = 10
"""Of those that fit: stores, photographs and machines change over the months."""


@dataclass(frozen=True)
class Pace:
    """Seconds that work takes on this kind of machine. Medians, so that one odd night does not count.

    Attributes:
        load_s: until TensorFlow is loaded; once a process.
        start_s: once a run: checks, ids, the publish.
        row_s: of one thread, while scoring, for each row; rows and images share the time as they share the CPU.
        image_s: of one thread, while scoring, for each distinct image; None where no past run read any.
        after_s: for each row once all are scored: putting together, audit, gates.
        bundle_s: once a run that computes anything: the bundle's graphs and golden rows.
        look_s: for each row, to find out what is known of it and to carry it; 0 where no past run did.
        basis: what it was taken from, for people.
    """

    load_s: float
    start_s: float
    row_s: float
    image_s: float | None
    after_s: float
    basis: str
    bundle_s: float = 0.0
    look_s: float = 0.0

    def seconds(
        self,
        rows: int,
        images: int,
        *,
        left: float = 1.0,
        threads: int,
        loaded: bool = False,
        computed: int | None = None,
    ) -> float | None:
        """How long a run would take, in seconds; None where its images have no precedent.

        Args:
            rows: of the partition.
            images: distinct ones, per work unit, that are fetched.
            left: share of the rows that no earlier start of the run has scored.
            threads: that decode, of this one run.
            loaded: whether its process has scored before.
            computed: rows whose score is computed, where others are carried forward; None: all, and nothing is known.
        """
        if self.image_s is None and images:
            return None
        scored = rows if computed is None else computed
        scoring = left * (scored * self.row_s + images * (self.image_s or 0.0)) / threads
        once = self.start_s + (self.bundle_s + (0.0 if loaded else self.load_s) if scored else 0.0)
        return once + scoring + rows * (self.after_s + (0.0 if computed is None else self.look_s))


class Known(Protocol):
    """What a bundle is known by in the manifests of its runs."""

    @property
    def name(self) -> str:
        """The same for all its versions."""

    @property
    def digest(self) -> str:
        """Of this version."""


@dataclass(frozen=True)
class _Taken:
    """What one past run took, in seconds; its rows and images are those of the start that published."""

    rows: float
    images: float
    load_s: float
    start_s: float
    rows_s: float
    images_s: float
    after_s: float
    bundle_s: float
    look_s: float | None


LOOKING = ("read earlier rows", "identify images", "find rows", "open embeddings", "look up embeddings", "carry rows")
"""Stages of a run that takes over from earlier ones, outside of scoring."""


def pace_of(job: Job, bundle: Known, store: ObjectStore) -> tuple[Pace | None, str]:
    """The pace for a job on this machine, and a sentence that says what it rests on, or why there is none.

    Runs of the bundle itself count; where it has none, those of its other versions.
    """
    runs = past_runs(job.state_uri, store, LOOKED_AT)
    here = [run for run in runs if SCORING in run.stages and run.stages[SCORING]["items"] and _is_alike(run, job)]
    own = [run for run in here if run.bundle.digest == bundle.digest]
    named = [run for run in here if run.bundle.name == bundle.name]
    machine = _machine(cores(), gpus())
    if not named:
        others = f" ({len(runs)} other run(s): of another bundle, precision or kind of machine)" if runs else ""
        return None, f"No past run of bundle {bundle.name} on {machine} to estimate from{others}."
    versions = "this bundle" if own else f"other versions of bundle {bundle.name}"
    used = (own or named)[:USED]
    basis = f"Estimated from {len(used)} past run(s) of {versions} on {machine}."
    return fit(used, basis), basis


def fit(runs: Sequence[RunManifest], basis: str = "") -> Pace:
    """The pace of runs that all scored something; at least one."""
    taken = [_taken(run) for run in runs]
    loads = [one.load_s for one in taken if one.load_s > 1.0]  # a process that had loaded it before paid nothing
    images = [(one.images_s / one.images, one.images) for one in taken if one.images]
    looks = [(one.look_s, 1.0) for one in taken if one.look_s is not None]
    return Pace(
        load_s=_median([(load, 1.0) for load in loads]) if loads else 0.0,
        start_s=_median([(one.start_s, 1.0) for one in taken]),
        row_s=_median([(one.rows_s / one.rows, one.rows) for one in taken]),
        image_s=_median(images) if images else None,
        after_s=_median([(one.after_s / run.counts.rows_in, one.rows) for one, run in zip(taken, runs, strict=True)]),
        basis=basis,
        bundle_s=_median([(one.bundle_s, 1.0) for one in taken]),
        look_s=_median(looks) if looks else 0.0,
    )


def threads_of(speed: Speed, among: int = 1) -> int:
    """Threads that one of so many runs at a time has for itself while it decodes."""
    share = max(1, cores() // among)
    return min(speed.decode_threads, share) or share


def _taken(run: RunManifest) -> _Taken:
    def wall(name: str) -> float:
        return run.stages.get(name, {"wall_s": 0.0})["wall_s"]

    scoring, after, load = run.stages[SCORING], wall("stage") + wall("audit") + wall("gates"), wall(LOADING)
    rows = scoring["items"]
    fresh = max(1, run.counts.rows_in - run.counts.rows_carried)
    images = run.counts.images_read * rows / fresh  # an earlier start may have read the others
    look, bundle = sum(wall(stage) for stage in LOOKING), wall("load the bundle")
    head = run.stages.get("head", {"cpu_s": 0.0})["cpu_s"]
    for_rows = min(1.0, head / max(scoring["cpu_s"], 1e-3)) if images else 1.0
    thread_s = scoring["wall_s"] * _threads(run)
    return _Taken(
        rows=rows,
        images=images,
        load_s=load,
        start_s=max(0.0, run.seconds - scoring["wall_s"] - after - load - look - bundle),
        rows_s=thread_s * for_rows,
        images_s=thread_s * (1.0 - for_rows),
        after_s=after,
        bundle_s=bundle,
        look_s=look / run.counts.rows_in if run.expected else None,
    )


def _threads(run: RunManifest) -> int:
    machine = run.profile.cores or 1
    asked = int(run.settings.get("speed", {}).get("decode_threads", 0))
    return min(asked, machine) or machine


def _is_alike(run: RunManifest, job: Job) -> bool:
    """Whether it ran on this kind of machine, with this precision, and on no cluster."""
    kind = (run.profile.cores, run.profile.gpus, run.settings.get("precision", "float32"))
    return kind == (cores(), gpus(), job.precision) and run.settings.get("engine", "local") == job.engine == "local"


def _machine(cores: int, gpus: int) -> str:
    return f"{cores} core(s)" + (f" and {gpus} GPU(s)" if gpus else "")


def _median(weighted: Sequence[tuple[float, float]]) -> float:
    """The value with half of the weight on either side; between two of equal right, their mean."""
    ordered = sorted(weighted)
    half = sum(weight for _, weight in ordered) / 2
    below = 0.0
    for position, (value, weight) in enumerate(ordered):
        below += weight
        if below == half and position + 1 < len(ordered):
            return (value + ordered[position + 1][0]) / 2
        if below >= half:
            return value
    return ordered[-1][0]
