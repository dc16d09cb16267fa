"""`python -m benchmarks.quick` is `python -m benchmarks quick`."""

import sys

from benchmarks.__main__ import main

if __name__ == "__main__":
    main(["quick", *sys.argv[1:]])
