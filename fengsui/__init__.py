"""The front door: command line, settings, straight-line wiring, embedded services."""

__version__ = "0.1.0"
