"""The page of a run, and the page of many: one HTML file each that needs no network."""
