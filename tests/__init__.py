"""The tests, laid out like `src/truesocket`: one file per module, and folders for real clients and a real browser."""
