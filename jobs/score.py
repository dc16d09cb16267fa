"""Score one partition: `python -m jobs.score` is `scorer score`, same flags, same exit codes."""

import sys

from scorer.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "score")
    main()
