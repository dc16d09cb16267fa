"""What writers that were killed left half-written. No reader ever saw it, but it takes space."""

import contextlib
import os
from datetime import datetime
from typing import Any

from scorer.objectstore.places import Place

TEMPORARY = ".tmp"
"""End of the name of a hidden local file on its way to its place."""


def sweep_files(folder: str, before: datetime) -> int:
    """Remove temporary files below a folder that were last written before that moment; how many."""
    swept = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(parent, name)
            if name.startswith(".") and name.endswith(TEMPORARY):
                with contextlib.suppress(FileNotFoundError):  # its writer lives and has finished
                    if os.stat(path).st_mtime < before.timestamp():
                        os.unlink(path)
                        swept += 1
    return swept


def sweep_uploads(boto: Any, place: Place, before: datetime) -> int:
    """End multipart uploads below a prefix that were begun before that moment; how many. They show in no listing."""
    pages = boto.get_paginator("list_multipart_uploads").paginate(Bucket=place.bucket, Prefix=place.key)
    uploads = [upload for page in pages for upload in page.get("Uploads", ()) if upload["Initiated"] < before]
    for upload in uploads:
        boto.abort_multipart_upload(Bucket=place.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return len(uploads)
