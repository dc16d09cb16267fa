"""Score one partition: `python -m jobs.score` is `scorer score`, same flags, same exit codes."""

import sys

from scorer.cli import main

if __name__ == "__main__":
    main(["score", *sys.argv[1:]])
