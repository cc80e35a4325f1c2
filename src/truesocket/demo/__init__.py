"""The app behind ``truesocket demo``: one page on which everything that is promised can be seen to work."""

from __future__ import annotations

from .app import create_app

__all__ = ["create_app"]
