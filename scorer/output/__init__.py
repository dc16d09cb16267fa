"""What leaves, and when it counts."""
