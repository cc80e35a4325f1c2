"""A chat for Django, see ``asgi.py``."""
