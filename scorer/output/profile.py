"""Where the time of a run went, and what set the pace: one sentence, and the setting to change."""

import os
from pathlib import Path

from scorer.settings import Settings
from scorer.telemetry import Stages

SCORING = "scoring"
"""The stage around all others: its wall time is the run's, its CPU time the process's."""

LOADING = "load TensorFlow"
"""What only the first run of a process takes long for."""

DRIVER = Path("/proc/driver/nvidia/gpus")
"""Where NVIDIA's driver lists its GPUs, one folder each: known without TensorFlow, also in a container."""


class Profile(Settings):
    """What a run's image stages cost: zero where no image was read. And on what kind of machine."""

    images: int = 0
    """Distinct images, per unit, that were fetched and decoded, or tried."""
    images_per_s: float = 0.0
    cpu_ms_per_image: float = 0.0
    """Of the whole process."""
    cores_busy: float = 0.0
    """CPU time over wall time: how many cores were at work, on average."""
    cores: int = 0
    """Of the machine."""
    gpus: int = 0
    """Of the machine."""
    batches_under_way: float = 0.0
    """Batches asked for and not yet consumed, on average. Near its bound: all others wait for the forward pass."""
    bottleneck: str = "No image was read."


def profile(stages: Stages, images: int) -> Profile:
    """The profile of what the stages have seen.

    Args:
        stages: with `SCORING` around the rest.
        images: distinct images, per unit.
    """
    seen = stages.summary()
    if not images or SCORING not in seen:
        return Profile(cores=cores(), gpus=gpus())
    wall, cpu = max(seen[SCORING]["wall_s"], 1e-3), seen[SCORING]["cpu_s"]
    return Profile(
        images=images,
        images_per_s=round(images / wall, 1),
        cpu_ms_per_image=round(1000 * cpu / images, 3),
        cores_busy=round(cpu / wall, 2),
        cores=cores(),
        gpus=gpus(),
        batches_under_way=stages.levels().get("batches under way", {"mean": 0.0})["mean"],
        bottleneck=_sentence(seen, images, cpu / wall / cores()),
    )


def cores() -> int:
    """Of this machine."""
    return os.cpu_count() or 1


def gpus() -> int:
    """NVIDIA GPUs of this machine."""
    return len(list(DRIVER.iterdir())) if DRIVER.is_dir() else 0


def _sentence(seen: dict[str, dict[str, float]], images: int, busy: float) -> str:
    def share(stage: str) -> float:
        return seen.get(stage, {"wall_s": 0.0})["wall_s"] / max(seen[SCORING]["wall_s"], 1e-3)

    if busy >= 0.8:
        decode = 1000 * seen["decode"]["cpu_s"] / images
        rest = 1000 * seen[SCORING]["cpu_s"] / images - decode
        larger = "Decoding" if decode >= rest else "The forward pass"
        return (
            f"{larger} set the pace: all cores were busy, {decode:.2f} ms of CPU an image with decoding and {rest:.2f}"
            " with the rest, mostly the forward pass. More cores help; so does a smaller image_size or precision."
        )
    if share("wait for images") >= 0.5:
        return (
            f"The object store set the pace: {share('wait for images'):.0%} of the time was spent waiting for images."
            " Raise speed.fetch_concurrency, or bring the job nearer to its bucket."
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
