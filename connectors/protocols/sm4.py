"""What HJ 212-2025 (6.4.2, appendix A.2) makes of a data area: SM4-ECB over whole blocks, the rest left as it is.

>>> area = b"DataTime=20240520210600;a01011-Rtd=1.35"
>>> sealed = seal(area, EXAMPLE_KEY)
>>> sealed[:20], sealed[-7:], unseal(sealed, EXAMPLE_KEY) == area
(b'{0xE4,0x3E,0x15,0x9A', b'td=1.35', True)
"""

import re
from typing import Final

EXAMPLE_KEY: Final = b"0" * 16  # the standard's own example uses sixteen 0x30; devices may be found left at it
BLOCK: Final = 16
_SEALED: Final = re.compile(rb"\{\s*(0[xX][0-9A-Fa-f]{1,2}(?:\s*,\s*0[xX][0-9A-Fa-f]{1,2})*)\s*\}", re.ASCII)


def key_of(digits: str) -> bytes | None:
    """A key of 32 hexadecimal digits; None where they are none.

    >>> key_of("30" * 16) == EXAMPLE_KEY, key_of("30"), key_of("key")
    (True, None, None)
    """
    try:
        key = bytes.fromhex(digits)
    except ValueError:
        return None
    return key if len(key) == BLOCK else None


def unseal(area: bytes, key: bytes) -> bytes | None:
    """The plain data area of `{0xE4,…}` and its tail; None when it is not written like that. `key`: 16 bytes."""
    match = _SEALED.match(area)
    if match is None:
        return None
    blocks = bytes(int(digits, 16) for digits in match[1].split(b","))
    if len(blocks) % BLOCK:
        return None
    return _ecb(blocks, key, encrypt=False) + area[match.end() :]


def seal(area: bytes, key: bytes) -> bytes:
    """A data area as it is sent encrypted: `{0xE4,…}`, then what is left of it under 16 bytes. `key`: 16 bytes."""
    whole = len(area) - len(area) % BLOCK
    if not whole:
        return area
    blocks = _ecb(area[:whole], key, encrypt=True)
    return b"{" + b",".join(b"0x%02X" % byte for byte in blocks) + b"}" + area[whole:]


def _ecb(blocks: bytes, key: bytes, *, encrypt: bool) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # only encrypted frames need it

    cipher = Cipher(algorithms.SM4(key), modes.ECB())  # noqa: S305 - the standard's choice of mode, not ours
    context = cipher.encryptor() if encrypt else cipher.decryptor()
    return context.update(blocks) + context.finalize()
