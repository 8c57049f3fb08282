"""Names of stages, of any characters, inside names of files and channels."""

from __future__ import annotations

import hashlib
import re

NAME_BYTES_MAX = 200
"""Of one name: files' names end at 255 bytes and a temporary file has some more, channels' end at 512 characters."""
_TAKEN = re.compile(r"[%/\\>\x00-\x1f\x7f\ud800-\udfff]")


def plain(name: str) -> str:
    """The name with what separates names percent-encoded, and the end of a long one replaced by a digest.

    Different names give different texts, and common names stay as they are.
    """
    text = _TAKEN.sub(lambda found: "".join(f"%{b:02X}" for b in found[0].encode("utf-8", "surrogatepass")), name)
    encoded = text.encode()
    if len(encoded) <= NAME_BYTES_MAX:
        return text
    digest = hashlib.sha256(encoded).hexdigest()[:32]
    return f"{encoded[: NAME_BYTES_MAX - len(digest) - 1].decode(errors='ignore')}-{digest}"
