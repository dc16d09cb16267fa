"""What one night leaves to the next."""

from typing import Literal

from pydantic import Field

from scorer.settings.base import Settings

Reuse = Literal["none", "embeddings", "rows"]
"""What a run may take over from earlier ones."""

EmbeddingType = Literal["float32", "float16"]
"""How embeddings are stored."""


class Embeddings(Settings):
    """Where `reuse` keeps the embeddings of images, and how an image is known again."""

    uri: str | None = None
    """Folder or S3 prefix of the store; by default PREDICTIONS.embeddings. Several jobs may share one. Whoever may
    write there can change scores."""

    identity: Literal["etag", "uri", "content"] = "etag"
    """How an image is known again. etag: by URI and ETag, which listings of the store tell (of local files: time, size
    and inode). uri: by its name alone, which is your word that what lies under a name never changes or goes. content:
    by the SHA-256 of its bytes; every image is fetched, known ones are not decoded, and no row is carried forward."""

    dtype: EmbeddingType = "float32"
    """float32: scores as without a store. float16: half the space; every embedding is rounded, also a fresh one, which
    moves scores by some thousandths of their deviation. It counts as other work then."""

    max_gb: float = Field(50.0, gt=0.0)
    """Most gigabytes that the embeddings of one image tower take. Beyond it, those longest out of use go."""

    keep_days: int = Field(30, gt=0)
    """Embeddings of other image towers in the same store are removed when no run used them for so many days."""

    cache: str | None = None
    """Local folder that the files of a store in S3 are copied to, once each. By default one below TMPDIR."""
