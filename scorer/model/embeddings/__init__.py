"""The store of image embeddings: what one run has computed, the next ones look up."""

from scorer.model.embeddings.digest import tower_digest
from scorer.model.embeddings.store import EmbeddingStore

__all__ = ["EmbeddingStore", "tower_digest"]
