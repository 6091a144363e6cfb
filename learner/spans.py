"""Spans of OpenTelemetry, where its standard variables name a collector; otherwise nothing.

Without `begin`, or where the variables are not set, nothing of it is imported and every call here
returns the same empty context. Spans carry names and numbers, never what users sent: also not the
messages of exceptions.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
Value = str | int | float
_NOTHING: AbstractContextManager[None] = nullcontext()
_tracer: Tracer | None = None


class Mark(NamedTuple):
    """A moment in a trace. since: Unix nanoseconds."""

    context: Context
    since: int


def begin(service: str) -> None:
    """Exports spans from now on, if the environment asks for it. service: unless it names one.

    Raises OSError where the environment asks for it and the packages are missing.
    """
    global _tracer
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if disabled or not any(os.environ.get(name) for name in ENDPOINTS):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise OSError(
            f"{' or '.join(ENDPOINTS)} is set, and {error.name} is not installed; "
            "pip install 'perennial[otel]', or unset it"
        ) from error
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: service}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("perennial")


def flush() -> None:
    """Sends what is still here: for processes that end without Python's own exit."""
    if _tracer is not None:
        _tracer.span_processor.force_flush()  # type: ignore[attr-defined]  # of the SDK's


def span(name: str, **attributes: Value) -> AbstractContextManager[Span | None]:
    """Around work of the running request."""
    return _NOTHING if _tracer is None else _spanning(_tracer, name, None, (), attributes)


def mark() -> Mark | None:
    """Here and now, for a thread that goes on from it."""
    if _tracer is None:
        return None
    from opentelemetry.context import get_current

    return Mark(get_current(), time.time_ns())


def passing(marks: Sequence[Mark | None]) -> AbstractContextManager[Span | None]:
    """Around a pass for several requests: in the trace of the first, linked by all others.

    Each gets a span `queue` from its mark until now.
    """
    known = [one for one in marks if one is not None]
    return _NOTHING if _tracer is None or not known else _passing(_tracer, known)


def caused(
    name: str, traceparents: Sequence[str], **attributes: Value
) -> AbstractContextManager[Span | None]:
    """Around work that requests of the past asked for: in the first one's trace, linked to all."""
    if _tracer is None:
        return _NOTHING
    contexts = [joined({"traceparent": one}) for one in dict.fromkeys(traceparents)]
    return _spanning(_tracer, name, contexts[0] if contexts else None, contexts[1:], attributes)


def joined(headers: Mapping[str, str]) -> Context:
    """The context that these headers name, by the rules of W3C Trace Context."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(headers)


def answering(name: str, context: Context) -> AbstractContextManager[Span | None]:
    """Around one request, whose caller's context this is."""
    return _NOTHING if _tracer is None else _spanning(_tracer, name, context, (), {}, server=True)


def are_on() -> bool:
    """Whether anything is exported."""
    return _tracer is not None


@contextmanager
def _spanning(
    tracer: Tracer,
    name: str,
    context: Context | None,
    linked: Sequence[Context],
    attributes: Mapping[str, Value],
    *,
    server: bool = False,
) -> Iterator[Span]:
    from opentelemetry.trace import SpanKind, StatusCode

    with tracer.start_as_current_span(
        name,
        context,
        SpanKind.SERVER if server else SpanKind.INTERNAL,
        attributes,
        [link for one in linked if (link := _link(one))],
        record_exception=False,
        set_status_on_exception=False,
    ) as running:
        try:
            yield running
        except BaseException as error:
            running.set_status(StatusCode.ERROR, type(error).__name__)
            raise


@contextmanager
def _passing(tracer: Tracer, marks: Sequence[Mark]) -> Iterator[Span]:
    first, *others = marks
    started = time.time_ns()
    with _spanning(tracer, "pass", first.context, [one.context for one in others], {}) as running:
        from opentelemetry.trace import Link

        link = Link(running.get_span_context())
        for one in marks:
            tracer.start_span("queue", one.context, links=[link], start_time=one.since).end(started)
        yield running


def _link(context: Context) -> Link | None:
    from opentelemetry.trace import Link, get_current_span

    linked = get_current_span(context).get_span_context()
    return Link(linked) if linked.is_valid else None
