"""State machines: what one remote side has said so far, and what must be answered.

Nothing here waits, sleeps, logs or opens anything: bytes and messages go in through method calls, the state machine
calls the listener it was given, and time is a clock that it is handed.  ``transports/`` drives these machines.
"""
