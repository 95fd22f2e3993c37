"""GA/T 1400 as the pipe uses it: uploaded objects with their pictures stored, and parked ones read again.

What an unknown device sends is parked with its pictures inside; they are stored when it is replayed, so that nobody who is not
registered fills the disk.
"""

import asyncio
import json
from collections.abc import Iterable
from typing import Any, Final

import structlog

from connectors.devices import gat1400 as gat1400_events
from connectors.devices.device import Device
from connectors.devices.gat1400 import Finding, Shown, Upload, findings_of, key_of
from connectors.devices.rows import Rows
from connectors.gateway.fetching import FetchError, Fetches, Fetching
from connectors.gateway.pictures import PictureRefused, Pictures
from connectors.protocols.gat1400 import Message, Object, decode_value, read_json
from connectors.protocols.gat1400_objects import ENVELOPES, Picture, text
from topics.wire import Refused

log = structlog.get_logger(__name__)
PICTURES: Final = 10  # of one object
_OURS: Final = "Fengsui"  # member of parked bodies: whose they are
_URLS: Final = tuple(f"StorageUrl{number}" for number in range(1, 6))
_LONGEST_REFERENCE: Final = 1000


class Gat1400:
    """GA/T 1400: objects of uploads and notifications; devices have proved who they are before."""

    name = gat1400_events.GATEWAY

    def __init__(self, pictures: Pictures, fetching: Fetching | None = None, most: int = PICTURES) -> None:
        """`most`: pictures of one object that are kept."""
        self.pictures, self._most = pictures, most
        self._fetching = fetching or Fetching()

    def events(self, device: Device, upload: Upload, arrived: int, rows: Rows) -> None:
        gat1400_events.events(device, upload, arrived, rows)

    def sent_at(self, upload: Upload) -> int | None:
        return gat1400_events.sent_at(upload)

    def password(self, _upload: Upload) -> str | None:
        return None

    def again(self, raw: bytes) -> Iterable[tuple[str, Upload]]:
        """Parked bytes as an upload, its pictures stored: not for event loops. Raises Refused; TimeoutError when closing."""
        value = read_json(raw)
        message = decode_value(value)
        if not isinstance(message, Message) or not message.objects or not isinstance(value.get(_OURS), dict):
            raise Refused("unknown-envelope", "a parked body holds no object")
        return [(str(value[_OURS].get("device")), asyncio.run(self.prepared(message.objects[0])))]

    def raw(self, key: str, one: Object) -> bytes:
        """An object as it is parked, or kept as a dead letter: the standard's envelope, and the device's key beside it."""
        name = f"{one.kind}ListObject"
        body = {name: {ENVELOPES[name].member: [one.fields]}, _OURS: {"device": key}}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    def fetches(self) -> Fetches:
        """What fetches the pictures of one upload request, within one deadline that begins now."""
        return Fetches(self._fetching)

    async def prepared(self, one: Object, fetches: Fetches | None = None) -> Upload:
        """An object with its pictures in the directory. `fetches`: of the request that it came in. Raises TimeoutError when
        closing."""
        upload, ours = Upload([], one.id or ""), fetches or self.fetches()
        found = list(findings_of(one))
        shown = await asyncio.gather(*(self._pictures(finding.object, upload, ours) for finding in found))
        for finding, pictures in zip(found, shown, strict=True):
            pictures.sort(key=lambda picture: picture.sha256 is None)  # what is fixed stands first
            upload.findings.append(Finding(finding.object, finding.title, tuple(pictures)))
        return upload

    async def _pictures(self, one: Object, upload: Upload, fetches: Fetches) -> list[Shown]:
        """The pictures of an object, or those that it names without describing them, as vehicles do."""
        if not one.pictures:
            urls = filter(None, (text(one.fields.get(name)) for name in _URLS))
            return list(await asyncio.gather(*(self._reference(url, {}, fetches) for url in urls)))
        if len(one.pictures) > self._most:
            self._refuse(upload, PictureRefused("too-many-pictures", f"{len(one.pictures)}"))
        kept = one.pictures[: self._most]
        shown = await asyncio.gather(*(self._shown(picture, upload, fetches) for picture in kept))
        return [picture for some in shown for picture in some]

    async def _shown(self, picture: Picture, upload: Upload, fetches: Fetches) -> list[Shown]:
        if picture.data is not None:
            try:
                return [await self.pictures.take(picture.data, picture.fields)]
            except PictureRefused as refused:
                self._refuse(upload, refused)
        return [await self._reference(picture.path, picture.fields, fetches)] if picture.path else []

    async def _reference(self, url: str, fields: dict[str, Any], fetches: Fetches) -> Shown:
        """A picture by its address: fetched and stored where its host is allowed and answers, else as the device says."""
        ours = url.lower().startswith("sha256:")  # only what is stored here is called so
        named = Shown(("named:" if ours else "") + "%20".join(url.split())[:_LONGEST_REFERENCE])
        metrics = self.pictures.metrics
        if not self._fetching.allows(url):
            metrics.picture("referenced")
            return named
        try:
            kept = await self.pictures.keep(await fetches.fetch(url), fields)
        except (FetchError, PictureRefused) as error:
            metrics.picture("unreachable")
            log.warning("pictures.unreachable", error=str(error)[:200])
            return named
        metrics.picture("fetched")
        return kept

    def _refuse(self, upload: Upload, refused: PictureRefused) -> None:
        self.pictures.metrics.picture("refused")
        upload.refused.append((refused.reason, refused.detail))


def unprepared(one: Object) -> Upload:
    """An object of a device that is not registered: its pictures are stored when it is replayed."""
    return Upload([Finding(finding.object, finding.title) for finding in findings_of(one)], one.id or "", bare=True)


__all__ = ["PICTURES", "Gat1400", "key_of", "unprepared"]
