"""The one door to S3 and to local files: objects by URI, the same calls for both."""

from scorer.objectstore.conditions import trusted
from scorer.objectstore.places import Blob, ObjectInfo, Place, canonical, file_name, join, parse
from scorer.objectstore.store import ObjectStore

__all__ = ["Blob", "ObjectInfo", "ObjectStore", "Place", "canonical", "file_name", "join", "parse", "trusted"]
