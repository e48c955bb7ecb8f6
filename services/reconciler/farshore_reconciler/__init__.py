"""Compares what the primary holds with what farshore said of it, and announces what notifications lost.

The steps: `read_log.py` (what readiness and the log say) and `look.py` (what registries serve) → `knowledge.py` (facts
on disk, sorted) → `facts.py` (merged by name) → `judge.py` (what follows) → `announce.py` (the missing events).
"""
