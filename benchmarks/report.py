"""Figures as a file for machines and as a table for people."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.contestants import PEERS_PYTHON
from benchmarks.workload import Workload, say

OURS = ("scorer", "tensorflow", "keras", "numpy", "pyarrow", "simplejpeg", "opencv-python-headless", "obstore")
THEIRS = ("tensorflow", "keras", "ray", "daft", "pyspark", "pillow", "pandas", "numpy", "pyarrow")
RATIOS = ("keras", "ray", "daft", "spark")


def result(what: str, workload: Workload, models: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was measured, on what, and the two summaries that are asked for.

    `limit_share`: ours over the limit, by place and model. `ratio`: our images/s from local files over a peer's.
    """
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "what": what,
        "limit_share": {
            f"{place}_{name}": limits["limit_share"]
            for name, found in models.items()
            for place, limits in found.get("limits", {}).items()
            if "limit_share" in limits
        },
        "ratio": {name: ratios(found.get("contestants", {})) for name, found in models.items()},
        "machine": machine(),
        "versions": {"ours": _versions(OURS), "peers": versions_in(PEERS_PYTHON, THEIRS)},
        "images": images(workload),
        "models": dict(models),
    }


def alone(figures: Mapping[str, Any]) -> str:
    """What of ours alone was measured, as JSON, with when, on what and by which versions."""
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"made_at": made_at, **figures, "machine": machine(), "versions": _versions(OURS)}, indent=1)


def ratios(contestants: Mapping[str, Any]) -> dict[str, float]:
    """Our images/s over each peer's; the peers that ran, whatever else they are called, come after the four."""
    if "local" not in contestants:
        return {}
    ours = contestants["local"]["images_per_s"]
    peers = [*RATIOS, *(name for name in contestants if name not in (*RATIOS, "local", "s3"))]
    return {name: ours / contestants[name]["images_per_s"] for name in peers if name in contestants}


def machine() -> dict[str, Any]:
    """What it ran on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "gpu": "none used",
    }


def write(found: Mapping[str, Any], folder: Path) -> None:
    """latest.json, and the plot where the peers' environment, which has matplotlib, is there."""
    folder.mkdir(exist_ok=True)
    file = folder / "latest.json"
    file.write_text(json.dumps(found, indent=1) + "\n")
    say(f"wrote {file}")
    if PEERS_PYTHON.exists():
        script = Path(__file__).with_name("plot.py")
        subprocess.run([str(PEERS_PYTHON), str(script), str(file)], check=True)


def table(found: Mapping[str, Any]) -> str:
    """For people."""
    lines = []
    for name, model in found["models"].items():
        if parts := model.get("parts"):
            lines += [f"\n{name} px, {model['batch_images']} images a forward pass", "", *_parts(parts)]
        for place, limits in model.get("limits", {}).items():
            share = f", of which {limits['limit_share']:.1%} reached" if "limit_share" in limits else ""
            lines.append(f"  limit {place:20} {limits['limit_images_per_s']:7,.0f} images/s{share}")
        lines += [*_contestants(name, model)]
    if "growth" in found:
        lines += ["\ngrowth at 64 px, local"]
        lines += [
            f"  {run['images']:7,} images {run['wall_s']:6.1f} s {run['peak_mib']:6,.0f} MiB" for run in found["growth"]
        ]
    return "\n".join(lines)


def _parts(parts: Mapping[str, Mapping[str, float]]) -> list[str]:
    """With the cores that each kept busy: all of them, or its cost is not what it would be in a run."""
    return [
        f"  {part:26} {cost:7.3f} CPU ms an image, {cost * parts['per_s'][part] / 1e3:.2f} cores"
        for part, cost in parts["cpu_ms"].items()
    ]


def _contestants(name: str, model: Mapping[str, Any]) -> list[str]:
    contestants = model.get("contestants", {})
    if not contestants:
        return []
    lines = [f"\n{name} px     images/s  CPU ms  start-up  first batch  peak MiB  others' cores   ours over it"]
    compared = ratios(contestants)
    for who, figures in contestants.items():
        first = f"{figures['first_batch_s']:9.1f} s" if figures["first_batch_s"] else "          -"
        ratio = f"{compared[who]:.2f}" if who in compared else ""
        lines.append(
            f"  {who:10} {figures['images_per_s']:8,.0f} {figures['cpu_ms_per_image']:7.2f}"
            f" {figures['start_up_s']:7.1f} s {first} {figures['peak_mib']:10,.0f} {figures['others_cores']:12.2f}"
            f" {ratio:>14}"
        )
    lines += [f"  {who}: left out: {reason}" for who, reason in model["left_out"].items()]
    return lines


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {name: metadata.version(name) for name in packages}


def versions_in(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Of what another environment has, as its interpreter finds it; nothing where it is not there."""
    if not python.exists():
        return {}
    program = (
        f"import json; from importlib.metadata import version as v; print(json.dumps({{n: v(n) for n in {packages}}}))"
    )
    answer = subprocess.run([str(python), "-c", program], check=True, capture_output=True, text=True)
    versions: dict[str, str] = json.loads(answer.stdout)
    return versions


def images(workload: Workload) -> dict[str, Any]:
    """What was scored."""
    sizes = sorted(path.stat().st_size for path in (workload.folder / "images").iterdir())
    source = "a folder of JPEGs" if os.environ.get("BENCH_IMAGES") else "generated, 720x480"
    return {"source": source, "distinct": len(sizes), "median_bytes": sizes[len(sizes) // 2]}
