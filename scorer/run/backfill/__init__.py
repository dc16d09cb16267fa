"""Partition after partition by the same code as a nightly run: what is there, what shall be scored, and the doing."""
