"""Try values of a peer's recipe, alternating: the way to its TUNING table.

    python -m benchmarks.tune ray 64 '{}' '{"actors": 2}' '{"download": false, "actors": 2}'

The first argument names a peer, the second the model; each further one replaces some of the recipe's own values.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping

from benchmarks import rounds
from benchmarks.__main__ import HERE
from benchmarks.contest import DISTINCT
from benchmarks.contestants import PEERS, PeerRunner
from benchmarks.rounds import Entry, Record
from benchmarks.watch import Failed
from benchmarks.workload import Workload, say

ROUNDS = int(os.environ.get("TUNE_ROUNDS", "2"))


def main(name: str, model: str, *tried: str) -> None:
    """Run each set as often as the others and print what it took."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    workload, peer = Workload.at(HERE / ".work"), PEERS[name]
    _, keras_file = workload.model(model)
    entries = {}
    for text in tried:
        tune = tuple(f"{key}={json.dumps(value)}" for key, value in json.loads(text).items())
        runner = PeerRunner(peer, workload, keras_file, int(model), DISTINCT, tune)
        try:
            runner.run(256)
        except (Failed, RuntimeError) as error:
            say(f"{text}: {error}")
            continue
        entries[text] = Entry(runner.run, int(os.environ.get("TUNE_IMAGES", peer.small[model] // 2)))
    try:
        _print(rounds.alternate(entries, ROUNDS))
    finally:
        shutil.rmtree(workload.runs, ignore_errors=True)


def _print(records: Mapping[str, Record]) -> None:
    for text, record in records.items():
        found = record.figures()
        print(
            f"{found['images_per_s']:8,.0f} images/s {found['cpu_ms_per_image']:7.2f} CPU ms"
            f" {found['start_up_s']:6.1f} s start-up {found['peak_mib']:7,.0f} MiB  {text}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
