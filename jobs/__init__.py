"""Entry points of the container: thin modules that start `scorer.run` and `scorer.training`."""
