"""What several test folders share: servers in subprocesses, and the way to a browser."""
