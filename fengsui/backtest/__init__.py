"""Back-test: the clues that rules would have raised on the archive, by the same `Judge` that the stream uses."""

from fengsui.backtest.run import Backtest, backtest

__all__ = ["Backtest", "backtest"]
