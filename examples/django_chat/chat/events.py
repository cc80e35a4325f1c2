"""The chat's events.  Handlers are `def`: they run in threads, where Django's ORM may be used as in a view."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import close_old_connections
from django.http import HttpRequest

from truesocket import Event, Handshake, Proceed, Refused, Server, Socket

server = Server()


# begin: user
def user_of(handshake: Handshake) -> AbstractBaseUser | AnonymousUser:
    """Who is logged in, by the session cookie that the handshake carried."""
    request = HttpRequest()
    key = handshake.cookies().get(settings.SESSION_COOKIE_NAME)
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return auth.get_user(request)


@server.event
def connect(socket: Socket) -> None:
    user = user_of(socket.handshake)
    if not user.is_authenticated:
        raise Refused("log in first")
    socket.data["name"] = user.get_username()
    socket.enter("lobby")
    socket.to("lobby").emit("joined", socket.data["name"])


# end: user
# begin: database
@server.middleware("connect", "*", "disconnect")
def with_database(event: Event, proceed: Proceed) -> Any:
    """What Django does around a request, around an event: broken and old database connections are given up."""
    close_old_connections()
    try:
        return proceed()
    finally:
        close_old_connections()


# end: database
@server.event
def say(socket: Socket, text: str) -> str:
    server.to("lobby").emit("said", socket.data["name"], text)
    return "ok"


@server.event
def disconnect(socket: Socket, reason: str) -> None:
    server.to("lobby").emit("left", socket.data["name"])
