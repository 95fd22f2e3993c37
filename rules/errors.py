"""What is wrong with a rule, where, and how to mend it."""

import difflib
from collections.abc import Iterable


class RuleError(ValueError):
    """A rule file is wrong. `line` and `column` count from 1.

    >>> str(RuleError("packs/fire/a.yaml", 3, 5, "unknown key 'titel'; did you mean 'title'?"))
    "packs/fire/a.yaml:3:5: unknown key 'titel'; did you mean 'title'?"
    """

    def __init__(self, path: str, line: int, column: int, message: str) -> None:
        super().__init__(f"{path}:{line}:{column}: {message}")
        self.path, self.line, self.column, self.message = path, line, column, message


class SqlError(ValueError):
    """A condition is refused; `offset` is the place in its text, from 0."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.message, self.offset = message, offset


def meant(word: str, known: Iterable[str]) -> str:
    """A suggestion to put behind an error, or "".

    >>> meant("metrc", ["metric", "value"])
    "; did you mean 'metric'?"
    """
    near = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f"; did you mean '{near[0]}'?" if near else ""
