"""The story of a run. Start reading at score_partition.py."""
