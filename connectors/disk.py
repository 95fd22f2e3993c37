"""Names on the disk: a file that was renamed into a folder is there after a power cut only once the folder is synced too."""

import os
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder and those above it, durably. Raises OSError."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """A folder's names onto the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
