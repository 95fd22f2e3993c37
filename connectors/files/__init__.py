"""Files in: CSV, JSON lines and Parquet (also .gz), mapped onto events and replayed onto the topics."""

from connectors.files.mapping import Mapping, MappingError, load_mapping
from connectors.files.reading import FileError
from connectors.files.replay import Counts, Pace, replay, send

__all__ = ["Counts", "FileError", "Mapping", "MappingError", "Pace", "load_mapping", "replay", "send"]
