"""Predictions in Iceberg tables: their layout, how a partition is replaced, and what is taken away later."""
