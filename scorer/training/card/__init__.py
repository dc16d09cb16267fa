"""The model card: what a bundle was made from, how wrong it is and where, as HTML and Markdown inside the bundle."""
