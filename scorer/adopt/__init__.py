"""Models that were trained elsewhere: a .keras file and what belongs to it become a bundle."""
