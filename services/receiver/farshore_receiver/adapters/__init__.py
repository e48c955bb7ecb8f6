"""Step 3: what a notification says, one adapter per format, chosen by the request's content type."""

from farshore_receiver.adapters.parsed import Change, Dropped, Parsed, Rejected
from farshore_receiver.adapters.table import ADAPTERS, Adapter, Unsupported, choose_adapter

__all__ = ["ADAPTERS", "Adapter", "Change", "Dropped", "Parsed", "Rejected", "Unsupported", "choose_adapter"]
