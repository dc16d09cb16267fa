"""Train a bundle: `python -m jobs.train` is `scorer train`, same flags, same exit codes."""

import sys

from scorer.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    main()
