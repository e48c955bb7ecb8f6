"""What the commands' exit codes mean; numbers as in sysexits.h where that has one."""

OK = 0
FAILED = 1
"""What was asked about is not so."""
USAGE = 2
PENDING = 3
"""`plan --detailed-exitcode`: there is something that apply would do."""
UNAVAILABLE = 69
"""An outside program is missing, or Kafka or the receiver can't be reached."""
SOFTWARE = 70
"""A part failed to start, or something unexpected went wrong."""
UNKNOWN = 75
"""What was asked about couldn't be found out: something didn't answer. Try again later."""
CONFIG = 78
"""A setting or file is wrong, or a state folder is in use."""
OUT_OF_TIME = 124
"""A command was ended because its time was over; `timeout` of GNU coreutils says the same."""
NOT_EXECUTABLE = 126
NOT_FOUND = 127
"""A command that couldn't be started; as shells have it."""
INTERRUPTED = 130
"""Ended by Ctrl-C, in order."""
