"""`perennial bench gpu`: its options, and what it says where there is no GPU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks.json_file import write_json

_NEEDED = (
    "bench gpu needs an NVIDIA GPU, a torch that was built for CUDA, and onnxruntime-gpu (pip "
    "install 'perennial[gpu]', in an environment without onnxruntime); here {lacking}"
)


@click.command("gpu")
@click.option(
    "--backbone",
    "names",
    multiple=True,
    help="May be repeated. Default: ViT-B/16 and a BERT of MiniLM-L12's shape, random weights.",
)
@click.option(
    "--batch",
    "batches",
    multiple=True,
    type=click.IntRange(1, 1024),
    default=(32, 256),
    show_default=True,
    help="Inputs a batch; may be repeated.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def gpu(
    names: tuple[str, ...], batches: tuple[int, ...], rounds: int, json_path: Path | None
) -> None:
    """Compare both engines on a GPU with its own matrix products, and with the CPU's features."""
    if lacking := _lacking():
        raise click.ClickException(_NEEDED.format(lacking=lacking))
    import torch

    from backbones import BackboneError
    from benchmarks.gpu import markdown, matrix_rate, run_gpu

    rates = {precision: matrix_rate(precision, "cuda") for precision in ("fp32", "bf16")}
    speeds = []
    try:
        with _backbones(names) as chosen:
            for name in chosen:
                speeds += run_gpu(name, batches, rounds=rounds, rates=rates)
    except BackboneError as error:
        raise click.ClickException(str(error)) from error
    card = torch.cuda.get_device_name()
    shown = ", ".join(f"{name} {rate / 1e12:.1f} TFLOP/s" for name, rate in rates.items())
    click.echo(f"{card}: matrix products in {shown}\n", err=True)
    click.echo(markdown(speeds))
    rows = [one.as_json() for one in speeds]
    write_json(json_path, {"card": card, "operations_per_second": rates, "rows": rows})
    if off := [one.engine for one in speeds if not one.agrees]:
        raise click.ClickException(f"other features than on the CPU: {', '.join(off)}")


def _lacking() -> str | None:
    """What of the needed is not there, None where all is."""
    import torch

    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no CUDA device"
    try:
        from backbones.onnx.session import cuda_is_here
    except ImportError as error:
        return str(error)
    return None if cuda_is_here() else "ONNX Runtime was not built for CUDA"


@contextmanager
def _backbones(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Those named; without any, random ones for as long as they are measured."""
    if names:
        yield names
        return
    from benchmarks.random_models import save_bert, save_vit

    with tempfile.TemporaryDirectory() as folder:
        vit, bert = Path(folder, "vit-base"), Path(folder, "minilm-l12")
        vit.mkdir()
        yield str(save_vit(vit)), str(save_bert(bert))
