"""The live view of clues in Redis, made from the clue log and from nothing else; and the way to the dispatch desk.

`Projector` writes it, `ViewReader` reads it, `DeskClient` sends commands and hears answers.
"""

from connectors.view.client import DeskClient, NoAnswer, command
from connectors.view.logged import Logged
from connectors.view.projector import Projector
from connectors.view.reader import Page, ViewReader
from connectors.view.writer import ViewGap, ViewLost, ViewWriter

__all__ = [
    "DeskClient",
    "Logged",
    "NoAnswer",
    "Page",
    "Projector",
    "ViewGap",
    "ViewLost",
    "ViewReader",
    "ViewWriter",
    "command",
]
