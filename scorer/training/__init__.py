"""Examples, split, fit, evaluation: from listings to a bundle. Start reading at train.py."""
