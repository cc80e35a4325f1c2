"""Who hears what: events, rooms, fan-out.  Lives on one event loop and never touches a socket."""
