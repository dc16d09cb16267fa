"""What turns numbers and pixels into scores: preprocessing, towers, fusions, graphs, the bundle and its predictor."""
