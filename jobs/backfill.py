"""Score missing partitions: `python -m jobs.backfill` is `scorer backfill`, same flags, same exit codes."""

import sys

from scorer.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "backfill")
    main()
