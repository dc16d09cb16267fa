"""One model: ours and the peers, alternating, with the parts measured in every round."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import limit, rounds
from benchmarks.contestants import PEERS, PeerRunner, apart, available
from benchmarks.gateway import Gateway
from benchmarks.limit import Parts
from benchmarks.ours import Ours
from benchmarks.rounds import Entry, Record
from benchmarks.workload import Workload, say

DISTINCT = 16_384
"""Distinct images. Further listings name them again, in other units than before."""


@dataclass
class Contest:
    """What is measured with one model.

    Attributes:
        workload: images and tables.
        name: "64" or "224".
        small: n of ours by place; 4n is the large run.
        peers_small: n of the peers; 0: each its own.
        peers: names in `contestants.PEERS`; those that cannot run here are left out and named.
        seconds: how long each part is measured.
        parts: which of them, if not all.
        server: for the place "s3".
        settings: of our job, NAME=VALUE.
        one_batch: listings of the run that says after how long a batch of ours is scored and published; 0: no such run.
        left_out: peer -> why it did not run.
    """

    workload: Workload
    name: str
    small: Mapping[str, int]
    peers: Sequence[str] = ()
    peers_small: int = 0
    seconds: float = 3.0
    parts: Sequence[str] = limit.ALL
    server: Gateway | None = None
    settings: tuple[str, ...] = ()
    one_batch: int = 256
    left_out: dict[str, str] = field(default_factory=dict)
    _measured: list[Parts] = field(default_factory=list)

    def hold(self, turns: int) -> dict[str, Any]:
        """Run everything and give the figures: parts, limits, and those of each contestant."""
        bundle, keras_file = self.workload.model(self.name)
        ours, peers = {place: self._ours(bundle, place) for place in self.small}, self._peers(keras_file)
        if "s3" in ours:
            say("uploading the images")
            ours["s3"].upload(4 * self.small["s3"])
        try:
            first = {place: runner.run(self.one_batch).wall_s for place, runner in ours.items() if self.one_batch}
            batch = self._batch(next(iter(ours.values())))
            records = rounds.alternate(self._entries(ours, peers), turns, lambda: self._measure_parts(bundle, batch))
            figures = self._figures(records, first)
            if "local" in ours:
                for name in peers.keys() & figures.keys():
                    figures[name]["scores_apart"] = apart(ours["local"].outs[-1], peers[name].outs[-1])
        finally:
            shutil.rmtree(self.workload.runs, ignore_errors=True)
        return {"batch_images": batch, "left_out": self.left_out, "contestants": figures} | self._limits(figures)

    def _entries(self, ours: Mapping[str, Ours], peers: Mapping[str, PeerRunner]) -> dict[str, Entry]:
        entries = {
            name: Entry(runner.run, self.peers_small or runner.peer.small[self.name], dispensable=True)
            for name, runner in peers.items()
        }
        return entries | {place: Entry(runner.run, self.small[place]) for place, runner in ours.items()}

    def _ours(self, bundle: Path, place: str) -> Ours:
        return Ours(self.workload, bundle, DISTINCT, self.server if place == "s3" else None, self.settings)

    def _batch(self, ours: Ours) -> int:
        """As the plan of a run resolves it."""
        if not ours.batch_images and limit.NEEDED.issubset(self.parts):
            ours.run(min(self.small.values()))
        return ours.batch_images

    def _peers(self, keras_file: Path) -> dict[str, PeerRunner]:
        runners = {}
        for name in self.peers:
            peer = PEERS[name]
            if reason := available(name):
                self.left_out[name] = reason
            elif self.name in peer.small:
                runners[name] = PeerRunner(peer, self.workload, keras_file, int(self.name), DISTINCT)
        return runners

    def _measure_parts(self, bundle: Path, batch: int) -> None:
        if not self.parts:
            return
        files = self.workload.images(min(4 * max(self.small.values()), 2048))
        keys = [f"images/{file.name}" for file in files] if self.server else []
        precision = self._ours(bundle, "local").precision
        self._measured.append(
            limit.measure(bundle, files, batch, self.seconds, self.server, keys, precision, self.parts)
        )

    def _figures(self, records: Mapping[str, Record], first: Mapping[str, float]) -> dict[str, Any]:
        self.left_out |= {name: f"failed: {record.failure}" for name, record in records.items() if record.failure}
        figures = {name: record.figures() for name, record in records.items() if record.large_runs}
        for place, seconds in first.items():
            figures[place]["first_batch_s"] = seconds
        return figures

    def _limits(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Parts, and for each place the limit and the share of it that we reach."""
        if not limit.NEEDED.issubset(self.parts):
            return {"all_parts": [asdict(parts) for parts in self._measured]}
        parts = Parts.median(self._measured)
        shares = {place: share(figures[place], parts, place) for place in self.small}
        return {"parts": asdict(parts), "all_parts": [asdict(each) for each in self._measured], "limits": shares}


def share(figures: Mapping[str, float], parts: Parts, place: str) -> dict[str, Any]:
    """The limit, and what share of it a rate is; by CPU time as well, which a busy machine disturbs less."""
    rate, whole, bare = figures["images_per_s"], parts.limit(place), parts.limit(place, whole=False)
    own = {name: cost for name, cost in parts.summands(place).items() if name != "get server"}
    return {
        "parts_cpu_ms": parts.summands(place),
        "limit_images_per_s": whole,
        "limit_share": rate / whole,
        "limit_without_head_and_writing": bare,
        "share_without_head_and_writing": rate / bare,
        "cpu_share": sum(own.values()) / figures["cpu_ms_per_image"],
    }
