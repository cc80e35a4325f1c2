"""The pages of the chat, and one that pushes."""

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_POST

from chat.events import server


@login_required
def page(request: HttpRequest) -> HttpResponse:
    return render(request, "chat.html")


# begin: push
@login_required
@require_POST
def announce(request: HttpRequest) -> JsonResponse:
    server.to("lobby").emit("announced", request.POST["text"])
    return JsonResponse({"heard_by": server.count("lobby").result()})


# end: push
urlpatterns = [
    path("", page),
    path("announce/", announce),
    path("login/", LoginView.as_view(template_name="login.html"), name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
]
