"""The floor of accepting: FastAPI reads a body, decodes it and answers 201.

`uvicorn --factory bench.bare:create`.
"""

import msgspec
from fastapi import FastAPI, Request, Response


def create() -> FastAPI:
    app = FastAPI(openapi_url=None)
    decode = msgspec.json.Decoder().decode

    async def track(request: Request) -> Response:
        document = decode(await request.body())
        answer = b'{"message":"success","attributes_processed":%d}' % len(document.get("attributes", ()))
        return Response(answer, 201, media_type="application/json")

    async def data(request: Request) -> Response:
        document = decode(await request.body())
        answer = b'{"message":"success","records_processed":%d}' % len(document["records"])
        return Response(answer, 201, media_type="application/json")

    app.add_api_route("/v1/sdk/data", data, methods=["POST"])
    app.add_api_route("/users/track", track, methods=["POST"])
    return app
