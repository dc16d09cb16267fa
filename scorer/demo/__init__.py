"""A small marketplace made up on the spot, and the whole job run on it."""
