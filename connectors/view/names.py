"""Names of the live view's keys in Redis. All begin with `<prefix>view:`; nothing else of the engine lies there."""

import re
from dataclasses import dataclass
from typing import Final

INDEXED: Final = ("department", "state", "sector", "severity", "subject")
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Names:
    """Key names under a topic prefix.

    >>> Names("fengsui.").clue("c1"), Names("fengsui.").index("state", "claimed")
    ('fengsui.view:clue:c1', 'fengsui.view:ix:state:claimed')
    """

    prefix: str

    @property
    def base(self) -> str:
        """What every key begins with."""
        return f"{self.prefix}view:"

    @property
    def pattern(self) -> str:
        """All keys of the view, as Redis matches them."""
        return re.sub(r"([*?\[\]\\^])", r"\\\1", self.base) + "*"

    @property
    def epoch(self) -> str:
        """Set when the view is begun; missing or different when Redis lost its data since."""
        return f"{self.base}epoch"

    @property
    def position(self) -> str:
        """Hash: partition of clue-log -> next offset to apply."""
        return f"{self.base}position"

    @property
    def building(self) -> str:
        """There while the view is built from the beginning of the log."""
        return f"{self.base}building"

    @property
    def counts(self) -> str:
        """Hash: department|state|sector|severity -> clues."""
        return f"{self.base}counts"

    @property
    def due(self) -> str:
        """Sorted set: clue id by the limit that runs out next, ms UTC."""
        return f"{self.base}due"

    @property
    def closed(self) -> str:
        """Sorted set: closed clue id by time of closing, ms UTC."""
        return f"{self.base}closed"

    @property
    def replies(self) -> str:
        """Channel: the answer to each command, JSON."""
        return f"{self.base}replies"

    @property
    def changes(self) -> str:
        """Channel: JSON list of ids of clues that changed."""
        return f"{self.base}changes"

    def clue(self, clue_id: str) -> str:
        """Hash of one clue: `json`, the whole state, and the fields its indexes go by."""
        return f"{self.base}clue:{clue_id}"

    def reply(self, command_id: str) -> str:
        """The answer to one command, JSON, for a while."""
        return f"{self.base}reply:{command_id}"

    def index(self, name: str, value: str = "") -> str:
        """Sorted set: clue id by time raised, of the clues whose `name` is `value`; `all` has no value."""
        return f"{self.base}ix:{name}:{value}"
