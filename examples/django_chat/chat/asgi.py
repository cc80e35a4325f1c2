"""The application: Socket.IO at ``/socket.io/``, Django everywhere else.

uvicorn chat.asgi:application --ws truesocket.doors.uvicorn:Door
"""

import os

from django.core.asgi import get_asgi_application

from truesocket import ASGIApp

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chat.settings")
django = get_asgi_application()  # before anything that needs Django's models

from chat.events import server  # noqa: E402

application = ASGIApp(server, other=django)
