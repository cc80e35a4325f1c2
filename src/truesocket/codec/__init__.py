"""Bytes to values and back: pure functions, one file per format on the wire.

No state, no clock, no asyncio, no logging: what comes out depends on what goes in and on nothing else.  The sessions
call downward into this package; it calls nobody but :mod:`truesocket.errors`.
"""
