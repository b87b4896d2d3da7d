"""The door: Azure Functions' triggers, one line each. Everything behind it is in scim/, which knows no Functions."""

import azure.functions as func

from scim.app import Application
from scim.http import Request

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
"""All of them on every route: the host answers a method it was not told of with an empty 404."""

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
application = Application()


async def answer(request: func.HttpRequest) -> func.HttpResponse:
    response = await application.handle(
        Request(request.method or "", request.url, dict(request.headers), request.get_body() or b"")
    )
    return func.HttpResponse(response.encoded(), status_code=response.status, headers=response.headers)


@app.route("scim/Users/{*id}", methods=METHODS)
async def users(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route("scim/Groups/{*id}", methods=METHODS)
async def groups(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route("scim/{*path}", methods=METHODS)
async def scim(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route("tenants/{*path}", methods=METHODS)
async def tenants(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route("feed/{*path}", methods=METHODS)
async def feed(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route("manage/{*path}", methods=METHODS)
async def manage(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route("console/{*path}", methods=METHODS)
async def console(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route("oauth2/token", methods=METHODS)
async def token(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route(".well-known/oauth-authorization-server", methods=METHODS)
async def metadata(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route("health", methods=METHODS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route("{*path}", methods=METHODS)
async def elsewhere(req: func.HttpRequest) -> func.HttpResponse:
    """Answer whatever is no door: a tenant URL with a typo gets a text, while the host would give an empty 404."""
    return await answer(req)


@app.timer_trigger(schedule="30 */5 * * * *", arg_name="timer")
async def housekeeping(timer: func.TimerRequest) -> None:
    await application.housekeep()
