"""Simulated devices, one module a protocol: they speak as the standard says, wait for answers, and send again what got none."""
