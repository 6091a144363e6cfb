from __future__ import annotations

from perennial.client.events import Event, parse


def test_fields_heartbeats_and_data_of_several_lines() -> None:
    lines = [
        ": heartbeat",
        "",
        "event: progress",
        "id: 4",
        'data: {"a":',
        "data: 1}",
        "retry: 3000",
        "",
        'data:{"b": 2}',
        "",
        'data: {"never": "finished"}',
    ]
    assert list(parse(lines)) == [
        Event("progress", {"a": 1}, "4"),
        Event("message", {"b": 2}, "4"),
    ]


def test_data_that_is_no_json_object_is_kept_as_text() -> None:
    events = list(parse(["data: hello", "", "data: [1]", ""]))
    assert [one.data for one in events] == [{"text": "hello"}, {"text": "[1]"}]
