"""The jobs B1 to B9: what they start from, who does them, who does not and why, what is checked."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import dirty
import prepared
from photos import PHONE_HEIGHT, PHONE_QUALITY, PHONE_WIDTH, photo, photos
from prepared import EARLY, LAYERS, VARIANTS

FOODS_ROWS = 20_129  # of the paper's data set
COPIES = 10
MORE = 0.1
PRODUCTS_PER_PHOTO = 4
DISTINCT_PHONE_PHOTOS = 4
RESNET = ("resnet50", *LAYERS["resnet50"])
FIRST_FOUR = ("resnet50", *LAYERS["resnet50"][1:])


@dataclass(frozen=True)
class Step:
    """A process of a job.

    Attributes:
        title: of its column.
        arguments: of the script: the network, then its layers.
        before: what is done to the folder first: '', 'more photos', or 'fresh', a new folder.
        killed: it is killed (-9) after half the time that the first step took.
    """

    title: str
    arguments: tuple[str, ...]
    before: str = ""
    killed: bool = False


@dataclass(frozen=True)
class Job:
    """A job, and the script of each peer that does it.

    Attributes:
        images: pictures by default, on a machine of 1 TFLOP/s; B6: 1 % of the paper's.
        rounds: by default.
        scripts: of a peer's name, in the order in which they run.
        absent: who does not do it, and why.
        networks: what is prepared for it.
        check: 'features', 'dirty', 'scores' or 'files'.
        limit_bytes: of memory.
    """

    name: str
    title: str
    images: int
    smoke_images: int
    rounds: int
    steps: tuple[Step, ...]
    scripts: dict[str, str]
    absent: dict[str, str]
    networks: tuple[str, ...] = ("resnet50",)
    check: str = "features"
    limit_bytes: int | None = None


def everyone(script: str, *but: str) -> dict[str, str]:
    names = ("vista", "openvino", "daft", "pixeltable", "tfdata", "torch", "duckdb", "pyspark")
    return {name: script for name in (*names, "keras") if name not in but}


NO_STORE = "keeps nothing between runs; by hand it would be the script of OpenVINO"
ONLY_FEATURES = "makes features; the rest would be the script of OpenVINO by hand"
AS_BY_HAND = "the pictures are read by the same lines as by hand"
NO_NEW_IDEA = "does this as it does B1"

JOBS = {
    job.name: job
    for job in (
        Job(
            "B1",
            "features of five layers of ResNet50 to Parquet",
            512,
            8,
            2,
            (Step("seconds", RESNET),),
            everyone("features.py"),
            {},
        ),
        Job(
            "B2",
            "whole maps of two early layers to Parquet, in 2 GB of memory",
            256,
            8,
            1,
            (Step("seconds", ("resnet50", *EARLY)),),
            everyone("features.py", "torch") | {"vista": "maps.py"},
            {"torch": "the loop is the same as by hand"},
            limit_bytes=2 * 10**9,
        ),
        Job(
            "B3",
            "200 dirty files: 140 pictures of fourteen kinds, 60 that are none",
            200,
            20,
            1,
            (Step("seconds", RESNET),),
            {
                "vista": "features.py",
                "openvino": "dirty.py",
                "daft": "dirty.py",
                "pixeltable": "dirty.py",
                "tfdata": "dirty.py",
            },
            {
                "torch": AS_BY_HAND,
                "duckdb": AS_BY_HAND,
                "pyspark": AS_BY_HAND,
                "keras": "stops at the first file that Pillow cannot read",
            },
            networks=("resnet50", "dirty"),
            check="dirty",
        ),
        Job(
            "B4",
            "10 % more rows, one more layer, kill -9 at half: what each costs again",
            256,
            10,
            1,
            (
                Step("first", FIRST_FOUR),
                Step("again", FIRST_FOUR),
                Step("10 % more", FIRST_FOUR, "more photos"),
                Step("a layer more", RESNET),
                Step("killed", FIRST_FOUR, "fresh", killed=True),
                Step("after the kill", FIRST_FOUR),
            ),
            {
                "vista": "features.py",
                "openvino": "resume.py",
                "daft": "resume.py",
                "pixeltable": "incremental.py",
            },
            dict.fromkeys(("tfdata", "torch", "duckdb", "pyspark", "keras"), NO_STORE),
            check="files",
        ),
        Job(
            "B5",
            "a tenth of the rows, N:1 join, five layers, five models",
            1000,
            40,
            2,
            (Step("seconds", RESNET),),
            dict.fromkeys(("vista", "openvino", "daft", "duckdb", "pyspark"), "models.py"),
            dict.fromkeys(("pixeltable", "tfdata", "torch"), ONLY_FEATURES)
            | {"keras": "B6 has it"},
            check="scores",
        ),
        Job(
            "B6",
            "the paper's three Foods workloads: features of each layer and a model of each",
            201,
            40,
            1,
            tuple(Step(cnn, (cnn, *LAYERS[cnn])) for cnn in ("alexnet", "vgg16", "resnet50")),
            dict.fromkeys(("vista", "openvino", "pyspark", "keras"), "foods.py"),
            dict.fromkeys(("daft", "pixeltable", "tfdata", "torch"), ONLY_FEATURES)
            | {"duckdb": "B5 has it"},
            networks=("alexnet", "vgg16", "resnet50"),
            check="scores",
        ),
        Job(
            "B7",
            "features of photographs of 12 megapixels, of a phone",
            96,
            4,
            2,
            (Step("seconds", RESNET),),
            dict.fromkeys(("vista", "openvino", "daft", "tfdata", "torch"), "features.py"),
            dict.fromkeys(("pixeltable", "duckdb", "pyspark", "keras"), NO_NEW_IDEA),
        ),
        Job(
            "B8",
            "each picture ten times, as in Daft's own benchmark",
            1024,
            20,
            2,
            (Step("seconds", RESNET),),
            {"vista": "features.py", "openvino": "distinct.py", "daft": "features.py"}
            | {"daft-distinct": "distinct.py"},
            dict.fromkeys(("pixeltable", "tfdata", "torch", "duckdb", "pyspark"), NO_NEW_IDEA)
            | {"keras": NO_NEW_IDEA},
        ),
        Job(
            "B9",
            "which of ten fine-tuned variants of a ResNet50 is best, by avg_pool",
            128,
            20,
            1,
            (Step("seconds", ("resnet50", "avg_pool")),),
            dict.fromkeys(("vista", "openvino", "torch"), "variants.py"),
            dict.fromkeys(("daft", "pixeltable", "pyspark", "duckdb"), ONLY_FEATURES)
            | dict.fromkeys(("tfdata", "keras"), "ten times B1's script"),
            networks=(VARIANTS,),
            check="scores",
        ),
    )
}


def link(source: Path, target: Path) -> None:
    """Copy a file or a folder without its bytes."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)
    else:
        os.link(source, target)


def prepare(job: Job, n_images: int, data: Path, n_variants: int, of_each: int) -> Path:
    """Make a job's folder, and the networks that it needs if they are not made yet."""
    networks = data / "networks"
    for network in job.networks:
        made = networks / _folder_of(network, n_variants)
        if network != "dirty" and not made.exists():
            print(f"  making {network} …", flush=True)
            prepared.make_network(network, made, n_variants)
    folder = data / "jobs" / job.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pictures = _pictures(job, n_images)
    if job.name == "B3":
        dirty.make(folder, of_each)
    else:
        names = prepared.write_photos(folder / "photos", pictures)
    match job.name:
        case "B4":
            n_more = max(1, round(MORE * n_images))
            prepared.write_photos(folder / "more", photos(n_images + n_more)[n_images:], n_images)
        case "B5":
            prepared.write_products(folder, names, PRODUCTS_PER_PHOTO * n_images)
        case "B6":
            prepared.write_foods(folder, names)
        case "B9":
            prepared.write_labels(folder, names)
    _link_networks(job, networks, folder, n_variants)
    return folder


def _folder_of(network: str, n_variants: int) -> str:
    return f"{network}-{n_variants}" if network == VARIANTS else network


def _pictures(job: Job, n_images: int) -> list[bytes]:
    match job.name:
        case "B3":
            return []
        case "B7":
            few = min(n_images, DISTINCT_PHONE_PHOTOS)
            made = [photo(i, PHONE_WIDTH, PHONE_HEIGHT, 6, PHONE_QUALITY) for i in range(few)]
            return [made[i % few] + i.to_bytes(8, "big") for i in range(n_images)]  # no two equal
        case "B8":
            made = photos(max(1, n_images // COPIES))
            return [made[i % len(made)] for i in range(n_images)]
        case _:
            return photos(n_images)


def _link_networks(job: Job, networks: Path, folder: Path, n_variants: int) -> None:
    match job.name:
        case "B2":
            for name in ("network.weights.h5", "early/network.keras", "early/network.xml"):
                link(networks / "resnet50" / name, folder / Path(name).name)
            link(networks / "resnet50" / "early" / "network.bin", folder / "network.bin")
        case "B6":
            for cnn in job.networks:
                link(networks / cnn, folder / cnn)
        case "B9":
            link(networks / _folder_of(VARIANTS, n_variants), folder / VARIANTS)
        case _:
            link(networks / "resnet50", folder)
