"""The store of image embeddings: what one run has computed, the next ones look up."""

from scorer.model.embeddings.digest import tower_digest
from scorer.model.embeddings.store import EmbeddingStore, NothingKept

__all__ = ["EmbeddingStore", "NothingKept", "tower_digest"]
