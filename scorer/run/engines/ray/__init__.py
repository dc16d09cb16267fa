"""Units spread over the workers of a Ray cluster: `engine` drives, `actor` works, `errand` is what travels."""
