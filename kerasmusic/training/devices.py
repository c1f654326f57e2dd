"""The devices of a training run: one, or all devices of one or of several hosts.

With several devices training is data-parallel (`keras.distribution.DataParallel`): each device holds the whole model
and takes its rows of each batch, and gradients are all-reduced, so that a step equals that of one device but for
rounding. On several hosts one process runs on each. They find one another by the environment variables that Keras
defines for it, and only the first writes files. On two hosts::

    export KERAS_DISTRIBUTION_JOB_ADDRESSES=10.0.0.1:1234 KERAS_DISTRIBUTION_NUM_PROCESSES=2
    KERAS_DISTRIBUTION_PROCESS_ID=0 kerasmusic train --devices all --run runs/mine    # on 10.0.0.1
    KERAS_DISTRIBUTION_PROCESS_ID=1 kerasmusic train --devices all --run runs/mine    # on the other

Each host reads the same data; a run is resumed from a folder that all hosts see.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from kerasmusic.errors import ArgumentError, KerasMusicError

DEVICES = ("one", "all")
ADDRESSES, COUNT, INDEX = (f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))


@dataclass(frozen=True)
class Devices:
    """The devices of a training run, and the part of this process.

    Args:
        distribution: splits batches among the devices; None for one device.
        process: the number of this process, from 0.
        processes: the number of processes, one on each host.

    >>> Devices().rows(8), Devices(process=1, processes=2).rows(8)
    (slice(0, 8, None), slice(4, 8, None))
    """

    distribution: keras.distribution.DataParallel | None = None
    process: int = 0
    processes: int = 1

    @property
    def count(self) -> int:
        """The number of devices on all hosts."""
        return 1 if self.distribution is None else self.distribution.device_mesh.devices.size

    @property
    def writes(self) -> bool:
        """Whether this process writes the files."""
        return self.process == 0

    def rows(self, batch_size: int) -> slice:
        """The windows of each batch that this process takes.

        Raises:
            ArgumentError: the devices cannot take equal shares.
        """
        if batch_size % self.count:
            raise ArgumentError(
                f"{batch_size} windows in a batch cannot be shared equally by {self.count} devices; "
                f"pass a --batch-size that is a multiple of {self.count}"
            )
        share = batch_size // self.processes
        return slice(self.process * share, (self.process + 1) * share)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Places models that are made, loaded or trained in this block on these devices."""
        with _distributed(self.distribution):
            yield

    def total(self, value: float) -> float:
        """All-reduces a number: the sum over all processes, in float32. Each must call it at the same point."""
        if self.processes == 1:
            return value
        share = self.count // self.processes
        shares = np.full((share, 1), value / share, np.float32)
        # Keras reports the mean of all batches since the last reset.
        self._adder.reset_metrics()
        # Before Keras 3.15, labels and weights that are left out cannot be distributed.
        return float(self._adder.test_on_batch(shares, shares, shares[:, 0]))

    @functools.cached_property
    def _adder(self) -> keras.Model:
        adder = _Adder()
        adder.compile(optimizer=None)
        return adder


class _Adder(keras.Model):
    """A model whose loss is the sum of its batch: the all-reduce that Keras's public API offers."""

    def call(self, inputs: KerasTensor) -> KerasTensor:
        return inputs

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> KerasTensor:
        return ops.sum(y_pred)


def check_devices(which: str) -> None:
    """Raises an ArgumentError where there is no such choice, or its backend or environment is missing."""
    if which not in DEVICES:
        raise ArgumentError(f"{which}: no such devices; there are {' and '.join(DEVICES)}")
    if which == "one":
        if os.environ.get(ADDRESSES):
            raise ArgumentError(f"{ADDRESSES} is set, but hosts train together only with --devices all; add it")
        return
    _hosts()
    if keras.backend.backend() != "jax":
        # On other backends Keras accepts a distribution and trains on one device all the same.
        raise ArgumentError(
            f"{keras.backend.backend()}: Keras trains on several devices on JAX alone; add --backend jax"
        )


def open_devices(which: str = "one") -> Devices:
    """Opens one device, or all of them; on several hosts it waits until all have joined.

    Args:
        which: "one" or "all".

    Raises:
        ArgumentError: see `check_devices`; or there is one device only.
        KerasMusicError: the other hosts cannot be reached.

    >>> open_devices("one").count
    1
    """
    check_devices(which)
    if which == "one":
        return Devices()
    process, processes = _join(*hosts) if (hosts := _hosts()) else (0, 1)
    names = keras.distribution.list_devices()
    if len(names) == 1:
        raise ArgumentError(f"there is only one device, {names[0]}; leave out --devices all")
    distribution = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
    return Devices(distribution, process, processes)


@contextmanager
def undistributed() -> Iterator[None]:
    """Places models that are made or loaded in this block on one device, whatever the scope around it."""
    with _distributed(None):
        yield


@contextmanager
def _distributed(distribution: keras.distribution.DataParallel | None) -> Iterator[None]:
    former = keras.distribution.distribution()
    keras.distribution.set_distribution(distribution)
    try:
        yield
    finally:
        keras.distribution.set_distribution(former)


def _hosts() -> tuple[str, int, int] | None:
    """The address of the first host, the number of processes and that of this one; None for a single process."""
    given = {name: os.environ.get(name, "") for name in (ADDRESSES, COUNT, INDEX)}
    if not any(given.values()):
        return None
    for name, value in given.items():
        if not value:
            raise ArgumentError(f"{name} is not set; for several hosts set {', '.join(given)}")
    address = given[ADDRESSES].split(",")[0]
    if not address.rpartition(":")[2].isdecimal():
        raise ArgumentError(f"{ADDRESSES}={given[ADDRESSES]}: write the first host's address as HOST:PORT")
    if not (given[COUNT].isdecimal() and given[INDEX].isdecimal() and int(given[INDEX]) < int(given[COUNT])):
        raise ArgumentError(
            f"{COUNT}={given[COUNT]}, {INDEX}={given[INDEX]}: write how many processes there are, and this one's "
            "number from 0"
        )
    return address, int(given[COUNT]), int(given[INDEX])


# A process can join once; later runs in it train with the same hosts.
@functools.cache
def _join(address: str, processes: int, process: int) -> tuple[int, int]:
    try:
        keras.distribution.initialize(address, processes, process)
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise KerasMusicError(f"{address}: cannot join the {processes} processes there ({reason})") from None
    return process, processes
