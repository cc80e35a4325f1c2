"""Connections come in: one file per kind of host.

Each door builds a :class:`~truesocket.core.ports.Handshake`, asks the :class:`~truesocket.doors.entrance.Entrance`
that all doors share, and introduces transports and core to one another.
"""
