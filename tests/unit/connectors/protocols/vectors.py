"""The shared frames with their expected values; tests that need them are skipped where they are absent."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[5] / "shared" / "vectors"
needed = pytest.mark.skipif(not FOLDER.exists(), reason="the shared vectors are not here")
# Not in the bytes of the frame: a label of the collection, and what a checker of passwords would be given.
LABELS = ("group", "method", "password", "error")


def load(protocol: str) -> list[dict[str, Any]]:
    """The vectors of a protocol, `data` their bytes; none where they are absent."""
    path = FOLDER / f"{protocol}.json"
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []
    for vector in found:
        vector["data"] = _bytes(vector, "gb18030" if protocol == "hj212" else "utf-8")
    return found


def _bytes(vector: dict[str, Any], encoding: str) -> bytes:
    if vector.get("raw_encoding") == "hex":
        return bytes.fromhex(vector["raw"])
    return str(vector["raw"]).encode(encoding)


def expected(vector: dict[str, Any]) -> dict[str, Any]:
    """What decoding must show."""
    computed = ("crc_computed", "checksum_computed")
    return {name: value for name, value in vector["expected"].items() if name not in (*LABELS, *computed)}


def described(protocol: Any, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each vector of a stream protocol that is one frame, and what decoding shows of it: as good or bad as it should be, the good
    ones with all that is expected, the bad ones with the reason that fits."""
    for vector in load(name):
        if vector["kind"] != "stream":
            (about,) = map(protocol.describe, protocol.decode(vector["data"]))
            assert about["ok"] is vector["valid"], vector["source"]
            if vector["valid"]:
                assert contains(expected(vector), about), vector["source"]
            else:
                assert about["reason"] == f"bad-{vector['expected']['error']}", vector["source"]
            yield vector, about


def contains(want: Any, got: Any) -> bool:
    """Whether `got` has all that is wanted, nested alike."""
    if isinstance(want, dict):
        return isinstance(got, dict) and all(key in got and contains(value, got[key]) for key, value in want.items())
    if isinstance(want, list):
        return isinstance(got, list) and len(want) == len(got) and all(map(contains, want, got))
    return bool(want == got)
