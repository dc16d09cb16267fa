"""Score missing partitions: `python -m jobs.backfill` is `scorer backfill`, same flags, same exit codes."""

import sys

from scorer.cli import main

if __name__ == "__main__":
    main(["backfill", *sys.argv[1:]])
