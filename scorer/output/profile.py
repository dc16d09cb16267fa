"""Where the time of a run went, and what set the pace: one sentence, and the setting to change."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from scorer.machine import all_cores, busy_seconds, cores, ended_children_seconds, gpus, own_seconds
from scorer.settings import Settings
from scorer.telemetry import Noted, Stage, Stages

SCORING = "scoring"
"""The stage around all others: its wall time is the run's, its CPU time the process's."""

LOADING = "load TensorFlow"
"""What only the first run of a process takes long for."""

OTHERS = "cores busy with other work"
"""A level: of the machine's other processes and its host, while scoring."""


BUSY = 0.8
"""Share of the cores from which on none counts as idle."""

NOISE = 0.2
"""Cores that the system itself may take."""

NOTHING_S = 0.1
"""CPU seconds of processes that decoded nothing: they started and ended."""

NONE = {"mean": 0.0}


class Spread(NamedTuple):
    """Workers of a cluster; cores and GPUs are those of all of them together."""

    workers: int
    cores: int
    gpus: int


class Effort(NamedTuple):
    """What one start of a run read: distinct images, per unit; and by whom, where it was not this process."""

    images: int = 0
    spread: Spread | None = None


@contextmanager
def scoring(stages: Stages, rows: int) -> Iterator[None]:
    """Around all that is scored, `rows` in number: its time, and what else the machine did meanwhile."""
    began, own, all_, apart = time.perf_counter(), own_seconds(), busy_seconds(), ended_children_seconds()
    try:
        with stages(SCORING, rows, own_seconds):
            yield
    finally:
        wall, own, all_ = time.perf_counter() - began, own_seconds() - own, busy_seconds() - all_
        apart, now = ended_children_seconds() - apart, time.time()
        if apart > NOTHING_S:
            stages.absorb(Noted(stages={"decode": Stage(cpu_s=apart, first=now, last=now)}))
        stages.gauge(OTHERS, round(max(0.0, all_ - own) / max(wall, 1e-3), 2))


class Profile(Settings):
    """What a run's image stages cost: zero where no image was read. And on what kind of machine."""

    images: int = 0
    """Distinct images, per unit, that were fetched and decoded, or tried."""
    images_per_s: float = 0.0
    cpu_ms_per_image: float = 0.0
    """Of the whole process, or of all processes of a cluster that were at it."""
    cores_busy: float = 0.0
    """CPU time over wall time: how many cores were at work, on average."""
    others_cores: float = 0.0
    """Cores that other processes of the machine, or its host, kept busy meanwhile, on average."""
    cores: int = 0
    """That may be used: of the machine or of the container's quota; of all workers of a cluster."""
    gpus: int = 0
    """Of the machine, or of all workers of a cluster."""
    batches_under_way: float = 0.0
    """Batches asked for and not yet consumed, on average. Near its bound: all others wait for the forward pass."""
    bottleneck: str = "No image was read."


def profile(stages: Stages, images: int, spread: Spread | None = None) -> Profile:
    """The profile of what the stages have seen.

    Args:
        stages: with `SCORING` around the rest.
        images: distinct images, per unit.
        spread: who did it; None: this process.
    """
    seen, at_work = stages.summary(), spread or Spread(1, cores(), gpus())
    if not images or SCORING not in seen:
        return Profile(cores=at_work.cores, gpus=at_work.gpus)
    wall, cpu = max(seen[SCORING]["wall_s"], 1e-3), seen[SCORING]["cpu_s"]
    levels = stages.levels()
    others = 0.0 if spread else levels.get(OTHERS, NONE)["mean"]  # of a cluster nobody knows
    return Profile(
        images=images,
        images_per_s=round(images / wall, 1),
        cpu_ms_per_image=round(1000 * cpu / images, 3),
        cores_busy=round(cpu / wall, 2),
        others_cores=round(others, 2),
        cores=at_work.cores,
        gpus=at_work.gpus,
        batches_under_way=levels.get("batches under way", NONE)["mean"],
        bottleneck=_sentence(seen, images, cpu / wall, others, at_work),
    )


def _sentence(seen: dict[str, dict[str, float]], images: int, busy: float, others: float, at_work: Spread) -> str:
    def share(stage: str) -> float:
        return seen.get(stage, {"wall_s": 0.0})["wall_s"] / max(seen[SCORING]["wall_s"], 1e-3)

    if busy >= BUSY * at_work.cores:
        decode = 1000 * seen["decode"]["cpu_s"] / images
        rest = 1000 * seen[SCORING]["cpu_s"] / images - decode
        larger = "Decoding" if decode >= rest else "The forward pass"
        return (
            f"{larger} set the pace: all cores were busy, {decode:.2f} ms of CPU an image with decoding and {rest:.2f}"
            " with the rest, mostly the forward pass. More cores help; so does a smaller image_size or precision."
        )
    waiting = share("wait for images") / at_work.workers
    if waiting >= 0.5:
        return (
            f"The object store set the pace: {waiting:.0%} of the time was spent waiting for images."
            " Raise speed.fetch_concurrency, or bring the job nearer to its bucket."
        )
    if others > NOISE and busy + others >= BUSY * all_cores():
        return (
            f"Other work on this machine set the pace: it took {others:.1f} of {all_cores()} cores, this run took"
            f" {busy:.1f}."
            " Run them one after the other, or give this one cores of its own."
        )
    if share("image tower") >= share("decode"):
        return (
            f"The forward pass set the pace: {share('image tower'):.1f} threads were in it on average, with idle cores."
            " A smaller precision, another GPU or a larger speed.batch_images help."
        )
    return (
        f"Decoding set the pace: {share('decode'):.1f} threads were at it on average, with idle cores. Raise"
        " speed.decode_threads."
    )
