"""fal's side of a webhook: a key of its own, and calls signed with it as fal's documents say."""

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class Signer:
    """Signs calls; `account` is whose requests they are about."""

    account: str = "us"
    _key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    @property
    def key_set(self) -> bytes:
        """The JSON Web Key Set that its public key is in."""
        x = base64.urlsafe_b64encode(self.public).rstrip(b"=").decode()
        return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "one"}]}).encode()

    def headers(self, body: bytes, *, age_s: float = 0, sent_at: str = "", **changed: Any) -> dict[str, str]:
        """The headers of a call with this body, signed `age_s` ago; those in `changed` are changed after signing."""
        sent_at = sent_at or str(int(time.time() - age_s))
        parts = {"request-id": "call", "user-id": self.account, "timestamp": sent_at}
        message = "\n".join((*parts.values(), hashlib.sha256(body).hexdigest())).encode()
        parts["signature"] = self._key.sign(message).hex()
        changes = {name.replace("_", "-"): value for name, value in changed.items()}
        return {f"x-fal-webhook-{name}": value for name, value in (parts | changes).items()}


def call_body(request_id: Any, **more: Any) -> bytes:
    """The body of a call about a request that has ended well."""
    return json.dumps({"request_id": request_id, "status": "OK", "payload": {}} | more).encode()
