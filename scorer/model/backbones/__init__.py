"""Image towers that others have trained, one file for each or for each family: uint8 pixels in, pooled features out."""
