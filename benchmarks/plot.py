"""latest.json as a picture for the README, PNG and SVG. Runs in the peers' environment: `plot.py LATEST.json`."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("MPLCONFIGDIR", tempfile.gettempdir())

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

NAMES = {
    "local": "scorer, local files",
    "s3": "scorer, S3 on the same cores",
    "keras": "Keras, loading ahead",
    "keras_loop": "Keras, load then predict",
    "daft": "Daft",
    "ray": "Ray Data",
    "spark": "Spark predict_batch_udf",
}
MODELS = {"64": "small net, 64 px", "224": "MobileNetV3-Small, 224 px"}
OURS, OTHERS, LIMIT = "#1f6f8b", "#b8bec4", "#c0392b"


def main(file: Path) -> None:
    """Two pictures beside the file."""
    found = json.loads(file.read_text())
    models = [name for name in MODELS if name in found["models"]]
    figure, axes = plt.subplots(len(models), 2, figsize=(11, 0.6 + 2.7 * len(models)), squeeze=False)
    for row, name in zip(axes, models, strict=True):
        model = found["models"][name]
        limit = model.get("limits", {}).get("local", {}).get("limit_images_per_s")
        bars(
            row[0], model["contestants"], "images_per_s", f"{MODELS[name]}: images/s (more is better)", "{:,.0f}", limit
        )
        bars(row[1], model["contestants"], "cpu_ms_per_image", "CPU ms an image (less is better)", "{:.2f}")
        row[1].set_yticklabels([])
    machine = found["machine"]
    figure.text(
        0.01, 0.005, f"{machine['cores']} cores, {machine['cpu']}; {found['made_at'][:10]}", fontsize=8, color="#666"
    )
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(file.with_suffix(".png"), dpi=150)
    mpl.rcParams["svg.hashsalt"] = "scorer"  # the same figures give the same file
    figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})


def bars(axes: Axes, found: dict[str, Any], what: str, title: str, text: str, limit: float | None = None) -> None:
    """One bar a contestant, ours on top, the limit as a line."""
    names = [name for name in NAMES if name in found]
    values = [found[name][what] for name in names]
    colours = [OURS if name in ("local", "s3") else OTHERS for name in names]
    drawn = axes.barh([NAMES[name] for name in names], values, color=colours)
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.bar_label(drawn, [text.format(value) for value in values], padding=4, fontsize=8, bbox=paper)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlim(0, max([*values, limit or 0]) * 1.15)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if limit:
        axes.axvline(limit, color=LIMIT, linestyle="--", linewidth=1)
        axes.annotate("limit of the parts", (limit, len(names) - 0.6), color=LIMIT, fontsize=7, ha="right", rotation=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
