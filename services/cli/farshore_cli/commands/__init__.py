"""One file a command: options, and what they set in motion."""
