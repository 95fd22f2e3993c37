"""`fengsui demo`: the whole journey on real services, driven by the simulated city."""

from fengsui.demo.run import run_demo

__all__ = ["run_demo"]
