"""One file per engine: each hands its workers a stream of units, and nothing more."""
