"""Devices that speak as real ones do, for tests, demonstrations and load: each with its standard's answers and repeats."""
