"""HTTP Digest (RFC 2617, MD5, qop=auth), with which GA/T 1400 devices register.

>>> given = parse('Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd9", uri="/dir/index.html", qop=auth, '
...               'nc=00000001, cnonce="0a4f113b", response="6629"')
>>> given["username"], given["qop"], matches(given, "GET", "Circle Of Life")
('Mufasa', 'auth', False)
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

SCHEME: Final = "digest "
LONGEST: Final = 8192
NEEDED: Final = ("username", "realm", "nonce", "uri", "response")
_PARAMETER: Final = re.compile(r'\s*([A-Za-z][\w-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)', re.ASCII)
_ESCAPED: Final = re.compile(r"\\(.)")


def parse(header: str) -> dict[str, str] | None:
    """The parameters of an `Authorization` header, names in lower case; None when it is not Digest or lacks one.

    >>> parse("Basic abc") is None
    True
    """
    text = header.strip()
    if not text.lower().startswith(SCHEME) or len(text) > LONGEST:
        return None
    found: dict[str, str] = {}
    at = len(SCHEME)
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None:
            comma = text.find(",", at)
            at = comma + 1 if comma >= 0 else len(text)
            continue
        bare = match[3] if match[2] is None else _ESCAPED.sub(r"\1", match[2])
        found[match[1].lower()] = bare
        at = match.end()
    return found if all(name in found for name in NEEDED) else None


def response(given: Mapping[str, str], method: str, password: str) -> str:
    """What the `response` of these parameters must be for a method and a password. KeyError where one is missing."""
    return response_to(given, method, _md5(f"{given['username']}:{given['realm']}:{password}"))


def response_to(given: Mapping[str, str], method: str, secret: str) -> str:
    """The same of HA1, the hash of user name, realm and password, for servers that keep no password."""
    asked = _md5(f"{method}:{given['uri']}")
    if "qop" not in given:
        return _md5(f"{secret}:{given['nonce']}:{asked}")
    middle = ":".join(given[name] for name in ("nonce", "nc", "cnonce", "qop"))
    return _md5(f"{secret}:{middle}:{asked}")


def matches(given: Mapping[str, str], method: str, password: str) -> bool:
    """Whether the parameters prove the password. Whether nonce and nc are fresh is for the server to know."""
    if "qop" in given and not {"nc", "cnonce"} <= given.keys():
        return False
    return same(response(given, method, password), given["response"])


def same(wanted: str, given: str) -> bool:
    """Whether a response is the wanted one, in either case, whatever characters it has."""
    return hmac.compare_digest(wanted.encode(), given.lower().encode("utf-8", "surrogateescape"))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()  # the standard's choice, not ours
