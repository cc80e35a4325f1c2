"""What must be found without importing truesocket: the alias at the interpreter's start, and pytest's fixtures.

Both are looked at by every interpreter, and by every run of pytest, of an environment that truesocket is installed in;
so these modules are small, and import truesocket when somebody uses them.

PYTEST_DONT_REWRITE: the alias is there before pytest is, which would warn that it comes too late to rewrite asserts.
"""
