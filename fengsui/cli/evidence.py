"""`fengsui evidence`: whether pictures that events refer to are here, and still are what was hashed at intake."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fengsui.cli.common import Failed, Wrong, say, say_json
from fengsui.settings import SettingsError, load

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object on the last line.")]


def evidence(
    *hashes: str,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    pictures: Path | None = None,
    json: Json = False,
) -> None:
    """核验图片证据: hash stored pictures once more; exit 1 where one is missing or its bytes have changed.

    Args:
        hashes: SHA-256 in hexadecimal, or references as events have them (sha256:….jpg).
        every: All pictures in the directory.
        pictures: The directory; default: the settings'.
    """
    from connectors.gateway.pictures import Pictures

    if bool(hashes) == every:
        raise Wrong("name pictures by their SHA-256, or say --all")
    try:
        store = Pictures(pictures or load().pictures_dir)
    except SettingsError as error:
        raise Wrong(str(error)) from error
    asked = sorted(path.name.partition(".")[0] for path in store.root.glob("??/*.*")) if every else list(hashes)
    found = {
        one: ("missing" if store.find(one) is None else "intact" if store.intact(one) else "changed") for one in asked
    }
    bad = {one: state for one, state in found.items() if state != "intact"}
    if json:
        say_json({"pictures": len(found), "intact": len(found) - len(bad), "bad": bad})
    else:
        for one in asked if not every else bad:
            say(f"{one}  {_WORDS[found[one]]}  {store.find(one) or ''}".rstrip())
        say(f"{len(found)} 张图片 pictures, {len(found) - len(bad)} 张完好 intact")
    if bad:
        raise Failed(f"{len(bad)} of {len(found)} pictures are missing or changed")


_WORDS = {"intact": "完好 intact", "missing": "缺失 missing", "changed": "已改动 changed"}
