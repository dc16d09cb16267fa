"""HTML files that load nothing: how data becomes words and plots on them, for runs and for bundles."""
