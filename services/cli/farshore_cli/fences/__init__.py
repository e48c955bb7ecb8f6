"""Raising fences, waiting until they hold, running commands behind them, listing and lifting them."""
