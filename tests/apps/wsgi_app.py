"""The contract's application for WSGI hosts, with a page that tells what its process holds."""

import os
import threading

from flask import jsonify

from tests.apps.contract_app import app, socketio

__all__ = ["app", "socketio"]


rings: list[str] = []


@app.get("/ring")
def ring():
    """What must not happen unseen."""
    rings.append("ring")
    return "rung"


@app.get("/inside")
def inside():
    """Of the process that answers: threads by name, descriptors, and connections taken over from the host."""
    return jsonify(
        pid=os.getpid(),
        threads=[thread.name for thread in threading.enumerate()],
        descriptors=len(os.listdir("/proc/self/fd")),
        taken=len(socketio.entrance.streams),
        rings=len(rings),
    )
