"""One file per sink: stage what units wrote, then show it to readers."""
