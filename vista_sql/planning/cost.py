"""What a plan costs: seconds, images and layers inferred, from shapes and rates. Pure functions.

A plan's seconds are the sum of its parts: one stream of inference has all cores, and what runs
beside it (decoding, the engine) takes its share of them. The import of TensorFlow and the loading
of a network, once in a process and the same for every plan, are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil

from msgspec import Struct, field

from vista_sql.kernels import RECENT_BYTES
from vista_sql.machine.calibration import Rates, network_key
from vista_sql.planning import memory
from vista_sql.planning.plans import Infer, Pool, Sort, Stage
from vista_sql.planning.workload import Prefix, StoredShare, Workload, pooled_values
from vista_sql.roster import Cnn, Layer
from vista_sql.settings import Placement

ASSUMED_ROWS = 1000
"""Rows where the data cannot be seen (a call that is planned while DuckDB binds its statement)."""

ASSUMED_IMAGE_BYTES = 50_000
"""An image where none was looked at: about a JPEG of 500 × 375 pixels."""

REUSE_SHARE = 0.5
"""How likely it is taken to be that layers above a materialized one are asked for later."""

NOTHING_STORED = (StoredShare(frozenset(), frozenset(), 1.0),)


class Sizes(Struct, frozen=True):
    """How much data there is, as far as it is known; the rest by stated assumptions."""

    rows: int  # of the result, below inference
    images: int  # of these, with an image
    distinct: int  # different images among them
    image_rows: int  # of the image relation
    image_bytes: float  # of one encoded image, mean
    assumed: tuple[str, ...] = ()

    @staticmethod
    def of(workload: Workload) -> Sizes:
        """Return the sizes of a workload."""
        facts, assumed = workload.facts, []
        if facts.rows is None:
            assumed.append(f"{ASSUMED_ROWS:,} rows, each with an image of its own")
        rows = ASSUMED_ROWS if facts.rows is None else facts.rows
        images = rows if facts.images is None else facts.images
        distinct = images if facts.distinct_images is None else facts.distinct_images
        image_rows = images if facts.image_rows is None else facts.image_rows
        if facts.image_bytes is None:
            assumed.append(f"{ASSUMED_IMAGE_BYTES / 1000:.0f} kB an image")
        image_bytes = ASSUMED_IMAGE_BYTES if facts.image_bytes is None else facts.image_bytes
        return Sizes(rows, images, distinct, image_rows, image_bytes, tuple(assumed))


class Price(Struct, frozen=True):
    """What running the stages of a plan takes."""

    seconds: float
    images_inferred: int  # that pass the network, counted once for each pass
    layer_evaluations: int  # images inferred × layers read off
    parts: Mapping[str, float] = field(default_factory=dict)  # seconds by what they go to


def price(
    workload: Workload,
    stages: tuple[Stage, ...],
    placement: Placement,
    batch_rows: int,
    rates: Rates,
    share_of_cores: float = 1.0,
) -> Price:
    """Return what the stages take.

    Args:
        workload: what is computed, with what is known of its data.
        stages: how.
        placement: inference 'after' or 'before' the join.
        batch_rows: rows in one micro-batch.
        rates: of this machine, all cores.
        share_of_cores: of these, how many inference and decoding may use.
    """
    if not stages:
        return Price(0.0, 0, 0)
    return _Bill(workload, stages, placement, batch_rows, rates, share_of_cores).price()


class _Bill:
    """The seconds of one plan, added up stage by stage."""

    def __init__(
        self,
        workload: Workload,
        stages: tuple[Stage, ...],
        placement: Placement,
        batch_rows: int,
        rates: Rates,
        share_of_cores: float,
    ) -> None:
        self.workload, self.stages, self.rates = workload, stages, rates
        self.batch_rows, self.share = batch_rows, share_of_cores
        self.sizes = Sizes.of(workload)
        self.before = placement == "before" and workload.has_placements
        if self.before:
            self.rows = self.images = self.passing = self.sizes.image_rows
        else:
            self.rows, self.images = self.sizes.rows, self.sizes.images
            once = infers_each_once(workload, stages)
            self.passing = self.sizes.distinct if once else self.sizes.images
        self.cnns = {cnn.name: cnn for cnn, _ in workload.passes}
        self.parts: dict[str, float] = {}
        self.inferred = self.evaluations = 0.0

    def price(self) -> Price:
        """Return the sum."""
        rates, workload = self.rates, self.workload
        bytes_read = self.rows * self.sizes.image_bytes
        self._add("rows", bytes_read / rates.rows_bytes_per_second)
        for stage in self.stages:
            if isinstance(stage, Sort):
                self._add("rows", bytes_read / rates.sort_bytes_per_second)
            elif isinstance(stage, Pool):
                self._add("calls", self._calls * rates.kernel_call_seconds)
                pooled = self.images * memory.map_bytes(stage.layer)
                self._add("pool", pooled / rates.pool_bytes_per_second)
            elif stage.start is not None:
                self._resumed(stage, stage.start)
            else:
                self._passed(stage)
        features = memory.feature_bytes(workload)
        self._add("features", self.sizes.rows * features / rates.features_bytes_per_second)
        if self.before:  # they are the join's payload, on its way in and out
            moved = (self.rows + self.sizes.rows) * features
            self._add("join", moved / rates.maps_bytes_per_second)
        return Price(
            sum(self.parts.values()), round(self.inferred), round(self.evaluations), self.parts
        )

    def _add(self, part: str, seconds: float) -> None:
        self.parts[part] = self.parts.get(part, 0.0) + seconds

    @property
    def _calls(self) -> int:
        """How often a stage's kernel is called."""
        return ceil(self.images / self.batch_rows)

    def _called(self) -> None:
        """Add what the calls of a kernel take beside pixels and inference, images in each of them.

        Rows that come in any order show, b of them to a call, D (1 - (1 - 1/D)ᵇ) of D images.
        """
        rates, images, distinct = self.rates, self.images, max(self.sizes.distinct, 1)
        come_together = self.workload.region is not None or any(
            isinstance(stage, Sort) for stage in self.stages
        )
        if self.before or distinct >= images:
            in_calls = float(images)
        elif come_together:
            in_calls = float(min(distinct + self._calls, images))
        else:
            rows = images / max(self._calls, 1)
            in_calls = self._calls * distinct * (1 - (1 - 1 / distinct) ** rows)
        self._add("calls", self._calls * rates.kernel_call_seconds)
        self._add("calls", in_calls * rates.kernel_image_seconds)
        told_apart = images * self.sizes.image_bytes
        self._add("calls", told_apart / rates.kernel_bytes_per_second)

    def _seconds_to(self, cnn: Cnn, layer: Layer) -> float:
        key = network_key_of(self.workload, cnn)
        return self.rates.infer_seconds(key, layer) / self.share

    def _resumed(self, stage: Infer, start: Layer) -> None:
        """Add a stage that goes on from raw maps, row by row."""
        cnn = self.cnns[stage.cnn or self.workload.cnn.name]
        seconds = max(self._seconds_to(cnn, layer) for layer in stage.layers)
        self._add("infer", self.images * max(seconds - self._seconds_to(cnn, start), 0.0))
        self._add("infer", self._calls * self.rates.network_call_seconds)
        self._add("calls", self._calls * self.rates.kernel_call_seconds)
        self._maps(stage)
        self.evaluations += self.images * len(stage.layers)

    def _maps(self, stage: Infer) -> None:
        """Add the way of raw maps from a stage to the next."""
        if stage.form == "features":
            return
        moved = self.images * sum(memory.map_bytes(layer) for layer in stage.layers)
        self._add("maps", moved / self.rates.maps_bytes_per_second)

    def _passed(self, stage: Infer) -> None:
        """Add a stage that starts from images, or from what the store holds of them."""
        workload, rates = self.workload, self.rates
        cnn = self.cnns[stage.cnn or workload.cnn.name]
        self._called()
        n_inferred = 0.0
        for known in self._known(stage):
            n = self.passing * known.share
            held = known.features if stage.form == "features" else known.maps
            missing = [layer for layer in stage.layers if layer.name not in held]
            loaded = [layer for layer in stage.layers if layer.name in held]
            self._load(n, loaded, stage.form)
            if not missing:
                continue
            top = max(self._seconds_to(cnn, layer) for layer in missing)
            if stage.borrows and stage.base is not None:
                moved = n * memory.map_bytes(stage.base)
                self._add("maps", moved / rates.maps_bytes_per_second)
                self._add("infer", n * max(top - self._seconds_to(cnn, stage.base), 0.0))
            elif starts_stored(stage, known, cnn, missing) and stage.base is not None:
                self._load(n, [stage.base], "maps")
                self._add("infer", n * max(top - self._seconds_to(cnn, stage.base), 0.0))
            else:
                self._add("decode", n * pixels_seconds(workload, rates) / self.share)
                self._add("infer", n * top)
            n_inferred += n
            self.evaluations += n * len(missing)
            if workload.store.folder:
                written = n * sum(self._stored_bytes(layer, stage.form) for layer in missing)
                written += n * sum(memory.map_bytes(layer) for layer in stage.materialize)
                self._add("store", written / rates.store_write_bytes_per_second)
        if workload.store.folder:
            encoded = 1 - workload.facts.prepared_share  # a prepared image has its digest with it
            hashed = self.images * encoded * self.sizes.image_bytes
            self._add("store", hashed / rates.hash_bytes_per_second)
            self._add("store", self.passing / rates.store_images_per_second)
        self._add("infer", ceil(n_inferred / self.batch_rows) * rates.network_call_seconds)
        self._maps(stage)
        self.inferred += n_inferred

    def _known(self, stage: Infer) -> tuple[StoredShare, ...]:
        """Return what is stored of the images; of another CNN's layers nothing is looked up."""
        if stage.cnn or not (self.workload.store.folder or self.workload.base):
            return NOTHING_STORED
        return self.workload.facts.stored or NOTHING_STORED

    def _load(self, n: float, layers: list[Layer], form: str) -> None:
        loaded = n * sum(self._stored_bytes(layer, form) for layer in layers)
        self._add("store", loaded / self.rates.store_read_bytes_per_second)

    def _stored_bytes(self, layer: Layer, form: str) -> int:
        pool = self.workload.kept_pool if form == "features" else "none"
        return memory.FLOAT_BYTES * pooled_values(layer.shape, pool, layer.grid)


def infers_each_once(workload: Workload, stages: tuple[Stage, ...]) -> bool:
    """Return whether rows that share an image are sure to have it inferred once a pass.

    They are where it is stored, where rows come by image (as boxes do, or sorted), and where the
    kernels still have the results of all images at hand.
    """
    results = Sizes.of(workload).images * memory.feature_bytes(workload)
    return (
        bool(workload.store.folder)
        or workload.region is not None
        or any(isinstance(stage, Sort) for stage in stages)
        or results <= RECENT_BYTES
    )


def start_name(workload: Workload) -> str:
    """Return what inference starts from that does not start from stored maps, in words."""
    return "prepared image" if workload.facts.prepared_share == 1 else "image"


def pixels_seconds(workload: Workload, rates: Rates) -> float:
    """Return the seconds until an image is pixels: decoded, or of a prepared one copied.

    A prepared image is the raw map of a layer 0 that is stored, and moves as raw maps do.
    """
    image_bytes, share = Sizes.of(workload).image_bytes, workload.facts.prepared_share
    copied = image_bytes / rates.maps_bytes_per_second
    return (1 - share) * decode_seconds(image_bytes, rates) + share * copied


def decode_seconds(image_bytes: float, rates: Rates) -> float:
    """Return the seconds that reading pixels from one encoded image takes, all cores at it."""
    return rates.decode_seconds + image_bytes / rates.decode_bytes_per_second


def starts_stored(stage: Infer, known: StoredShare, cnn: Cnn, missing: list[Layer]) -> bool:
    """Return whether images of which `known` is stored start from the stage's base."""
    base = stage.base
    return (
        base is not None
        and base.name in known.maps
        and all(layer.name == base.name or cnn.determines(base, layer) for layer in missing)
    )


def network_key_of(workload: Workload, cnn: Cnn) -> str:
    """Return the name under which a CNN's seconds are kept, as a workload runs it."""
    return network_key(cnn.name, workload.dtype, workload.device, workload.engine.name)


def loading_gain_seconds(workload: Workload, cnn: Cnn, base: Layer, rates: Rates) -> float:
    """Return what an image saves that starts from a stored raw map; below 0, it costs.

    The Vista paper (section 5.2, its Figure 16) found conv4_6 of ResNet50 dearer to load from its
    disks than to compute again, and VGG16's fully connected layers far cheaper.
    """
    key = network_key_of(workload, cnn)
    computed = pixels_seconds(workload, rates)
    computed += rates.infer_seconds(key, base)
    return computed - memory.map_bytes(base) / rates.store_read_bytes_per_second


def handing_on_pays(workload: Workload, prefix: Prefix, rates: Rates) -> bool:
    """Return whether a raw map is cheaper to hand on to another CNN than to compute in it."""
    key = network_key_of(workload, workload.cnn_named(prefix.taker))
    moving = memory.map_bytes(prefix.layer) / rates.maps_bytes_per_second
    return rates.infer_seconds(key, prefix.layer) > moving


def flops_per_image(stages: tuple[Stage, ...]) -> int:
    """Return the floating-point operations that the stages spend on one image."""
    total = 0
    for stage in stages:
        if isinstance(stage, Infer):
            given = stage.base if stage.borrows else stage.start
            below = given.flops if given else 0
            total += max(layer.flops for layer in stage.layers) - below
    return total


def bases(workload: Workload) -> Iterator[Layer]:
    """Yield the layers whose raw maps are stored of some images and lead to what is missing."""
    cnn, stored = workload.cnn, workload.facts.stored
    everywhere = frozenset.intersection(*(known.features for known in stored)) if stored else ()
    missing = [
        tap.layer
        for tap in workload.used_taps
        if tap.cnn is None and tap.layer.name not in everywhere
    ]
    names = {name for known in stored for name in known.maps}
    for layer in cnn.layers:
        if layer.name in names and missing and all(cnn.determines(layer, m) for m in missing):
            yield layer
