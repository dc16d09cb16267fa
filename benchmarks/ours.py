"""Our job as a whole process, `python -m jobs.score`, from local files or from S3."""

import json
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import tables, watch
from benchmarks.gateway import BUCKET, Gateway
from benchmarks.watch import Sample
from benchmarks.workload import Workload

ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3"}
"""What the container sets as well."""


@dataclass
class Ours:
    """Runs of one bundle.

    Attributes:
        workload: images and tables.
        bundle: the model.
        most_images: distinct images; listings beyond them name images again, 4,096 rows (a unit) apart at least.
        server: read everything from there; None: local files.
        settings: further `--set NAME=VALUE`.
        launcher: what precedes the job's module; a Ray driver needs another environment and a network of its own.
        tree: it starts further processes.
    """

    workload: Workload
    bundle: Path
    most_images: int
    server: Gateway | None = None
    settings: tuple[str, ...] = ()
    launcher: tuple[str, ...] = (sys.executable, "-m")
    tree: bool = False
    batch_images: int = 0
    """Images a forward pass, as the last run's plan had it."""

    outs: list[Path] = field(default_factory=list)
    """Where each run's predictions lie, if local."""

    def run(self, rows: int) -> Sample:
        """Score a partition of so many listings, with one image each, into a place of its own.

        Raises:
            watch.Failed: the job did not end with 0.
            RuntimeError: it did not score every listing with its image.
        """
        run_id = uuid.uuid4().hex[:8]
        folder = self.workload.runs / run_id
        listings, out = self._places(rows, folder, run_id)
        command = [*self.launcher, "jobs.score", "--listings", listings, "--partition", tables.KEY]
        command += ["--bundle", str(self.bundle), "--predictions", f"{out}/predictions", "--state", f"{out}/state"]
        # The gateway overlooks the condition of a conditional PUT, which the job finds out and refuses.
        single = ("single_writer=true",) if self.server else ()
        for setting in (*self.settings, *single):
            command += ["--set", setting]
        environment = {**ENVIRONMENT, **(self.server.environment if self.server else {})}
        if self.tree:
            environment |= {"PYTHONPATH": str(watch.CHECKOUT), "BENCH_OWN_CPU": str(folder / "own-cpu")}
        sample = watch.run(command, folder / "log", environment=environment, tree=self.tree)
        self._check(run_id, folder, rows)
        self.outs.append(folder / "predictions" / tables.KEY)
        return sample

    @property
    def precision(self) -> str:
        """Of the forward pass, by the settings."""
        named = dict(setting.split("=", 1) for setting in self.settings)
        return named.get("precision", "float32")

    def upload(self, rows: int) -> None:
        """Images and one table into the server's bucket, once a server."""
        assert self.server is not None
        files = self.workload.images(min(rows, self.most_images))
        self.server.upload({f"images/{file.name}": file for file in files})

    def _places(self, rows: int, folder: Path, run_id: str) -> tuple[str, str]:
        if self.server is None:
            return str(self.workload.listings(rows, self.most_images)), str(folder)
        names = [f"s3://{BUCKET}/images/{file.name}" for file in self.workload.images(min(rows, self.most_images))]
        table = tables.write(tables.listings(names, rows), folder / "listings")
        self.server.upload({f"{run_id}/listings/{tables.KEY}/{table.name}": table})
        return f"s3://{BUCKET}/{run_id}/listings", f"s3://{BUCKET}/{run_id}"

    def _check(self, run_id: str, folder: Path, rows: int) -> None:
        plan, manifest = (json.loads(self._state(run_id, folder, name)) for name in ("plan.json", "manifest.json"))
        self.batch_images = plan["batch_images"]
        scored = manifest["counts"]["scored"]
        if scored != rows:
            raise RuntimeError(f"{scored:,} of {rows:,} listings were scored without a flaw; see {folder}.")

    def _state(self, run_id: str, folder: Path, name: str) -> bytes:
        if self.server is not None:
            return self.server.read(f"{run_id}/state/", f"/{name}")
        (path,) = (folder / "state").rglob(name)
        return path.read_bytes()
