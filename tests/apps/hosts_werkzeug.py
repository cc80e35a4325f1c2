"""tests/apps/hosts_app.py on Werkzeug's own server. CERT and KEY give it TLS, RELOAD=1 its reloader."""

import os

from werkzeug.serving import run_simple

from tests.apps.hosts_app import app

if __name__ == "__main__":
    cert = os.environ.get("CERT")
    run_simple(
        os.environ["HOST"],
        int(os.environ["PORT"]),
        app,
        threaded=True,
        use_reloader=bool(os.environ.get("RELOAD")),
        ssl_context=(cert, os.environ["KEY"]) if cert else None,
    )
