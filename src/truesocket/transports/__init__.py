"""Bytes move: asyncio starts here.  Transports drive sessions and know no rooms, no handlers and no Flask."""
