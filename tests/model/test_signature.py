"""A job with a key scores by signed bundles only."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from scorer.errors import BundleError, SettingsError
from scorer.model import signature
from scorer.objectstore import ObjectStore

STORE = ObjectStore()
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
DIGEST = "ab" * 32


def private(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public(key: Ed25519PrivateKey) -> str:
    found = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return found.decode()


def test_a_signed_bundle_is_taken_and_an_unsigned_one_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not signed, and bundle_key asks for one\. Nothing was scored"):
        signature.insist(str(tmp_path), DIGEST, public(KEY), STORE)
    signature.sign(str(tmp_path), DIGEST, private(KEY), STORE)
    signature.insist(str(tmp_path), DIGEST, public(KEY), STORE)


def test_another_key_another_content_and_a_mangled_signature_are_refused(tmp_path: Path) -> None:
    signature.sign(str(tmp_path), DIGEST, private(OTHER), STORE)
    with pytest.raises(BundleError, match="not by this key"):
        signature.insist(str(tmp_path), DIGEST, public(KEY), STORE)
    with pytest.raises(BundleError, match="made for another content"):
        signature.insist(str(tmp_path), "cd" * 32, public(OTHER), STORE)
    for text in ('{"algorithm":"ed25519","signature":"AAAA"}', '{"signature":"%%"}', "{}", "[]", "\0"):
        (tmp_path / "signature.json").write_text(text)
        with pytest.raises(BundleError):
            signature.insist(str(tmp_path), DIGEST, public(OTHER), STORE)


def test_what_is_no_ed25519_key_is_a_settings_error(tmp_path: Path) -> None:
    curve = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for key in (b"nonsense", curve, public(KEY).encode()):
        with pytest.raises(SettingsError, match="no Ed25519 private key"):
            signature.sign(str(tmp_path), DIGEST, key, STORE)
    for text in ("nonsense", private(KEY).decode()):
        with pytest.raises(SettingsError, match="bundle_key is no Ed25519 public key") as raised:
            signature.insist(str(tmp_path), DIGEST, text, STORE)
        assert text not in str(raised.value), "a key that is private after all is not repeated"
