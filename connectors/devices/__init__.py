"""Devices: who they are (the register on the topic `devices`), and what they say as events of the subject they watch."""
