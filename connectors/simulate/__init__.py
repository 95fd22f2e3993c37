"""Devices that are not there: what speaks the devices' protocols to a gateway, for tests, demos and measurements."""
