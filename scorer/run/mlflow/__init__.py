"""A bundle as a model of MLflow's: a folder for its registry, loaded through our own predictor."""
