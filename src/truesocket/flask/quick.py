"""The quick way into a request context: what Flask finds out for every request is found once for every *place*.

Clients of one host, scheme and path stand in the same place of an application: URLs are built in the same way for them,
and their path has the same route, or none.  So the first of them gets its request context from
``app.request_context()``, and those who follow get copies of that, with their own environ in it (24 us become 9, with
push and pop).  All that happens when a context is pushed and popped (``g``, session, signals, teardown functions) is
Flask's own.

This is the one module that leans on more of Flask than its public interface: on the attributes of its request, request
context and URL adapter.  So the first copy in every place is compared with its original, and where they are not the
same, or an application makes its contexts, requests or routes in a way of its own, ``app.request_context()`` serves
every event.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

import flask
from werkzeug.datastructures import EnvironHeaders
from werkzeug.exceptions import NotFound
from werkzeug.routing import Map, WebsocketMismatch

__all__ = ["Place", "Places"]

_log = logging.getLogger("truesocket")

#: The values of an environ that make a place.  What else there is differs from client to client.
_COMMON = (
    "REQUEST_METHOD",
    "wsgi.url_scheme",
    "SERVER_NAME",
    "SERVER_PORT",
    "SCRIPT_NAME",
    "PATH_INFO",
    "HTTP_HOST",
    "HTTP_UPGRADE",
    "HTTP_CONNECTION",
)
#: Where an application keeps them.
_EXTENSION = "truesocket.places"
#: Places that are remembered; clients may name any host they like.
_MOST = 256

#: What a request, a request context and a URL adapter consist of; a request also has some of what follows.
_REQUEST = {
    *("method", "scheme", "server", "root_path", "path", "query_string", "headers", "remote_addr"),
    *("environ", "shallow", "json_module"),
}
_OF_THE_ROUTE = {"host", "trusted_hosts", "url_rule", "view_args", "routing_exception"}
_CONTEXT = {"app", "request", "url_adapter", "flashes", "_after_request_functions", "_cv_tokens"}
_SESSION = {"session", "_session"}  # until Flask 3.1.2, and since
_ADAPTER = {
    *("map", "server_name", "script_name", "subdomain", "url_scheme", "path_info", "default_method", "query_args"),
    "websocket",
}
#: What matching a path may end in, besides a route; others say more (where to go, which methods there are).
_ROUTELESS = (type(None), NotFound, WebsocketMismatch)


class Places:
    """The places of an application, which keeps them: they are gone with it."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Place | None] = {}
        self._told = False

    @staticmethod
    def of(app: flask.Flask) -> Places:
        """Those of an application."""
        places = app.extensions.get(_EXTENSION)
        return places if isinstance(places, Places) else cast(Places, app.extensions.setdefault(_EXTENSION, Places()))

    def find(self, app: flask.Flask, environ: dict[str, Any]) -> Place | None:
        """Where a client is; ``None`` where each of its events needs ``app.request_context()``."""
        key = (*map(environ.get, _COMMON), *_settings_of(app))
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) >= _MOST:
            self._known.clear()  # connections hold on to theirs
        hindrance, place = self._look(app, environ)
        if hindrance and not self._told:
            self._told = True
            _log.debug("events of %r have their contexts from app.request_context(): %s", app.name, hindrance)
        self._known[key] = place
        return place

    def _look(self, app: flask.Flask, environ: dict[str, Any]) -> tuple[str, Place | None]:
        hindrance = _own_way(app)
        if hindrance:
            return hindrance, None
        original: Any = app.request_context(environ.copy())
        hindrance = _stranger(original)
        if hindrance:
            return hindrance, None
        original.match_request()
        if type(original.request.routing_exception) not in _ROUTELESS:
            return "its path is redirected or refused", None
        place = Place(original)
        hindrance = _difference(original, place(environ.copy()))
        return (hindrance, None) if hindrance else ("", place)


class Place:
    """What the request contexts in one place have in common."""

    __slots__ = (
        "_adapter",
        "_adapter_class",
        "_context",
        "_context_class",
        "_request",
        "_request_class",
        "_routeless",
    )

    def __init__(self, original: Any) -> None:
        request, adapter = original.request, original.url_adapter
        self._context_class: Any = type(original)
        self._request_class: Any = type(request)
        self._adapter_class: Any = type(adapter)
        self._routeless: Any = type(request.routing_exception) if "routing_exception" in vars(request) else None
        self._context = {**vars(original), "match_request": _matched}
        self._request = {name: value for name, value in vars(request).items() if name != "routing_exception"}
        self._adapter = dict(vars(adapter))
        for of_one_client in ("environ", "headers", "query_string", "remote_addr"):
            del self._request[of_one_client]
        del self._context["request"], self._context["url_adapter"], self._adapter["query_args"]

    def __call__(self, environ: dict[str, Any]) -> Any:
        """A request context, as ``app.request_context(environ)`` gives it, which knows its route already."""
        query: bytes = environ.get("QUERY_STRING", "").encode("latin-1")
        request = object.__new__(self._request_class)
        request.__dict__ = {
            **self._request,
            "environ": environ,
            "headers": EnvironHeaders(environ),
            "query_string": query,
            "remote_addr": environ.get("REMOTE_ADDR"),
        }
        if self._routeless is not None:
            request.routing_exception = self._routeless()
        elif request.view_args:
            request.view_args = dict(request.view_args)
        environ["werkzeug.request"] = request
        adapter = object.__new__(self._adapter_class)
        adapter.__dict__ = {**self._adapter, "query_args": query.decode(errors="replace")}
        context = object.__new__(self._context_class)
        context.__dict__ = {
            **self._context,
            "request": request,
            "url_adapter": adapter,
            "_after_request_functions": [],
            "_cv_tokens": [],
        }
        return context


def _matched() -> None:
    """Instead of a context's ``match_request``: its place has the route."""


def _settings_of(app: flask.Flask) -> tuple[object, ...]:
    """What an application may change while it runs."""
    rules = sum(1 for _ in app.url_map.iter_rules())
    hosts = app.config["SERVER_NAME"], str(app.config.get("TRUSTED_HOSTS"))
    return rules, app.subdomain_matching, *hosts, app.request_class, id(app.json)


def _own_way(app: flask.Flask) -> str:
    """What an application does in its own way; or nothing."""
    for name in ("request_context", "create_url_adapter"):
        if getattr(getattr(app, name), "__func__", None) is not getattr(flask.Flask, name):
            return f"it has its own {name}()"
    for name in ("__new__", "__init__"):
        if getattr(app.request_class, name) is not getattr(flask.Request, name):
            return f"its request_class has its own {name}()"
    if app.url_map.converters != Map.default_converters:
        return "it has URL converters of its own, which may look at the session"
    return ""


def _stranger(context: Any) -> str:
    """What in a context is not as this module knows it; or nothing."""
    if vars(context).keys() - _SESSION != _CONTEXT or not callable(getattr(context, "match_request", None)):
        return "this version of Flask has other request contexts"
    if not _REQUEST <= vars(context.request).keys() <= _REQUEST | _OF_THE_ROUTE:
        return "this version of Werkzeug has other requests"
    if context.url_adapter is None:
        return "its host is not trusted"
    if vars(context.url_adapter).keys() != _ADAPTER:
        return "this version of Werkzeug has other URL adapters"
    return ""


def _difference(original: Any, copy: Any) -> str:
    """Where a copy differs from its original; or nothing."""
    same: dict[str, Callable[[Any, Any], str]] = {
        "request": lambda one, other: _compare(one, other, {"environ": _nothing, "headers": _headers}),
        "url_adapter": lambda one, other: _compare(one, other, {}),
    }
    del copy.match_request
    found = _compare(original, copy, same)
    copy.match_request = _matched
    return found


def _compare(one: Any, other: Any, special: dict[str, Callable[[Any, Any], str]]) -> str:
    if vars(one).keys() != vars(other).keys():
        return f"a copied {type(one).__name__} has other attributes"
    for name, value in vars(one).items():
        another = vars(other)[name]
        if name in special:
            found = special[name](value, another)
            if found:
                return found
        elif value != another and not (type(value) is type(another) and type(value) in _ROUTELESS):
            return f"the {name} of a copied {type(one).__name__} differs"
    return ""


def _nothing(one: object, other: object) -> str:
    return ""


def _headers(one: Any, other: Any) -> str:
    return "" if list(one) == list(other) else "the headers of a copied request differ"
