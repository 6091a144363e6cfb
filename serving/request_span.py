"""A span for each request, outermost, where spans are exported (`learner/spans.py`)."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from learner.spans import answering, joined
from serving.trace import Trace, trace


class RequestSpan:
    """Makes the span whose ids `RequestRecord` then answers and logs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with answering(scope["method"], joined(_headers(scope))) as span:
            assert span is not None, "it is only put in where spans are exported"
            known = span.get_span_context()
            ids = Trace(
                f"{known.trace_id:032x}", f"{known.span_id:016x}", f"{known.trace_flags:02x}"
            )

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            token = trace.set(ids)
            try:
                await self._app(scope, receive, send_noted)
            finally:
                trace.reset(token)
                route = getattr(scope.get("route"), "path", "unmatched")
                span.update_name(f"{scope['method']} {route}")
                span.set_attributes({"http.request.method": scope["method"], "http.route": route})


def _headers(scope: Scope) -> dict[str, str]:
    """Of the trace. One that is sent twice is none."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        if name in (b"traceparent", b"tracestate"):
            found.setdefault(name.decode(), []).append(value.decode("latin-1"))
    if len(found.get("traceparent", [])) != 1:
        return {}
    return {name: ",".join(values) for name, values in found.items()}
