from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.cli.examples_file import ExamplesFileError, read_examples

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
LABELS = st.text(
    st.characters(categories=["L", "N", "P", "S"], exclude_characters="/"), min_size=1, max_size=40
)
ROWS = st.lists(st.tuples(TEXTS.filter(str.strip), LABELS), min_size=1)


def _file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@given(rows=ROWS)
def test_csv_and_json_lines_bring_back_what_was_written(
    rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("examples")
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    expected = [{"input": text, "label": label} for text, label in rows]
    assert list(read_examples(folder / "a.csv")) == expected
    assert list(read_examples(_file(folder, "a.jsonl", lines))) == expected


def test_csv_with_byte_order_mark_quotes_pairs_and_other_columns(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "a.csv",
        b'\xef\xbb\xbfid,label,text,text_pair\r\n1,x,"a, ""b""\nc",\r\n\r\n2,y,d,e\r\n',
    )
    assert list(read_examples(path)) == [
        {"input": 'a, "b"\nc', "label": "x"},
        {"input": {"text": "d", "text_pair": "e"}, "label": "y"},
    ]


def test_json_lines_take_text_or_input_and_skip_empty_lines(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "a.ndjson",
        '\ufeff{"input": "a", "label": "x"}\n\n{"input": {"image": "aGk="}, "label": "y"}\n'
        '{"text": "b", "text_pair": "c", "label": "z", "source": 3}',
    )
    assert list(read_examples(path)) == [
        {"input": "a", "label": "x"},
        {"input": {"image": "aGk="}, "label": "y"},
        {"input": {"text": "b", "text_pair": "c"}, "label": "z"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "", "a.csv: is empty; it needs a header"),
        ("a.csv", "text,label\n", "a.csv: holds no examples"),
        ("a.csv", "text,labels\na,b\n", r"a.csv:1: the header lacks \['label'\]; it has"),
        ("a.csv", "text,label\na,x\nb\n", "a.csv:3: has not as many fields"),
        ("a.csv", "text,label\na,b,x\n", "a.csv:2: has not as many fields"),
        ("a.csv", "text,label\na,x\n ,x\n", "a.csv:3: needs a text that is not empty, not ' '"),
        ("a.csv", "text,label\na,\n", "a.csv:2: needs a label that is text, not ''"),
        ("a.csv", 'text,label\n"a,x\n', "a.csv:2: .*check the quotes"),
        ("a.csv", 'text,label\na,x\n"b"c,x\n', "a.csv:3: .*check the quotes"),
        ("a.csv", 'text,"lab', "a.csv:1: .*check the quotes"),
        ("a.csv", b"text,label\n\xff,x\n", "a.csv: is not UTF-8"),
        ("a.jsonl", "\n", "a.jsonl: holds no examples"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text"', "a.jsonl:2: is not JSON"),
        ("a.jsonl", '["a", "x"]', "a.jsonl:1: must be an object"),
        ("a.jsonl", '{"text": "a", "label": 3}', "a.jsonl:1: needs a label that is text, not 3"),
        ("a.jsonl", '{"label": "x"}', "a.jsonl:1: needs a text that is not empty, not None"),
        (
            "a.txt",
            "a",
            r"a.txt: unknown kind of file '.txt'; use one of .csv, .jsonl, .ndjson, .json",
        ),
        ("a.csv", "text,label\na,x\nb,x/y\n", "a.csv:3: the label cannot be used: .* no '/'"),
        ("a.csv", "text,label\na," + "x" * 129, "a.csv:2: the label .* this one has 129"),
        ("a.jsonl", '{"text": "a", "label": "x\\u0007"}', "a.jsonl:1: the label .* printable"),
        ("a.jsonl", '{"input": {"text": " "}, "label": "x"}', "a.jsonl:1: needs a text"),
        ("a.json", '{"examples": [\n{]}', "a.json:2: is not JSON"),
        ("a.json", '[{"text": "a", "label": "x"}]', "a.json: must be an object like"),
        ("a.json", '{"examples": []}', "a.json: holds no examples"),
        ("a.json", '{"examples": ["a"]}', "a.json:#/examples/0: must be an object"),
        ("a.json", '{"examples": [{"text": "a"}]}', "a.json:#/examples/0: needs a label"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, says: str
) -> None:
    with pytest.raises(ExamplesFileError, match=says):
        list(read_examples(_file(tmp_path, name, content)))


def test_lines_are_counted_through_texts_of_several_lines(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", 'text,label\n"one\ntwo\nthree",x\nfour\n')
    with pytest.raises(ExamplesFileError, match=r"a\.csv:5: "):
        list(read_examples(path))


def test_a_long_text_is_no_error(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", "text,label\n" + "a" * 200_000 + ",x\n")
    assert len(next(read_examples(path))["input"]) == 200_000
