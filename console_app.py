"""The door of the console, if it has a function app of its own: the setting PYTHON_SCRIPT_FILE_NAME names this file in
place of function_app.py. Its functions alone are there then: no SCIM endpoint and no timer."""

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


@app.route("console/{*path}", methods=METHODS)
async def console(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route("health", methods=METHODS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    return await answer(req)


@app.route("{*path}", methods=METHODS)
async def elsewhere(req: func.HttpRequest) -> func.HttpResponse:
    """Whoever types the host's name alone finds the console."""
    return func.HttpResponse(status_code=302, headers={"Location": "/console"})
