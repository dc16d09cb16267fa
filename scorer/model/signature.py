"""Who vouches for a bundle: an Ed25519 signature over its digest, beside its files.

Digests detect damage; a signature detects forgery, since whoever can write the bundle cannot write that. The private
key stays with whoever approves bundles; the public key stands in the settings of the jobs that score.
"""

import base64
import binascii

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from scorer.errors import BundleError, NotFound, SettingsError
from scorer.model import strict_json
from scorer.model.digests import SIGNATURE
from scorer.objectstore import ObjectStore, join

ALGORITHM = "ed25519"
MAX_BYTES = 4096
PURPOSE = b"scorer bundle\0"
"""Signed with the digest, so that a signature made for something else is none for a bundle."""


def sign(uri: str, digest: str, private_key: bytes, store: ObjectStore) -> None:
    """Put a signature beside the files of a bundle, in place of an earlier one.

    Args:
        uri: of the bundle.
        digest: of the bundle, as `load_bundle` found it.
        private_key: Ed25519, PEM, without a password.
        store: where the bundle is.

    Raises:
        SettingsError: not such a key.
    """
    try:
        key = load_pem_private_key(private_key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError("The key to sign with is no Ed25519 private key in PEM without a password.")
    signature = base64.b64encode(key.sign(PURPOSE + digest.encode())).decode()
    store.put(join(uri, SIGNATURE), strict_json.dump({"algorithm": ALGORITHM, "signature": signature}))


def insist(uri: str, digest: str, public_key: str, store: ObjectStore) -> None:
    """Raise BundleError unless the bundle bears a signature by this key.

    Args:
        uri: of the bundle.
        digest: of the bundle, as `load_bundle` found it.
        public_key: Ed25519, PEM.
        store: where the bundle is.

    Raises:
        SettingsError: not such a key.
    """
    key = _public(public_key)
    where = join(uri, SIGNATURE)
    try:
        values = strict_json.parse(store.get(where, max_bytes=MAX_BYTES).data, where, MAX_BYTES)
    except NotFound:
        raise _refusal(uri, "is not signed") from None
    try:
        signature = base64.b64decode(str(values.get("signature")), validate=True)
        key.verify(signature, PURPOSE + digest.encode())
    except (InvalidSignature, binascii.Error, ValueError):
        raise _refusal(uri, "bears a signature that is not by this key, or was made for another content") from None


def _public(text: str) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError("bundle_key is no Ed25519 public key in PEM. Nothing was read.")
    return key


def _refusal(uri: str, what: str) -> BundleError:
    return BundleError(
        f"The bundle {uri} {what}, and bundle_key asks for one. Nothing was scored. Have it signed with"
        " `scorer bundle sign`, or score by a bundle that is."
    )
