# SPDX-License-Identifier: Apache-2.0
"""Whether volumes of a control plane are simulated here: they are where nobody else makes any."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from kubetwin.client import Api, ApiException, retry_delay
from kubetwin.controllers.volumes import DEFAULT_CLASS, PROVISIONER, ensure_storage_classes
from kubetwin.kinds import STORAGECLASSES
from kubetwin.meta import annotations_of, name_of

log = logging.getLogger(__name__)


class VolumesError(Exception):
    """It cannot be found out, or done, what volumes want."""


class Volumes(NamedTuple):
    """``simulated``: bind and provision them here. ``told``: a sentence about it."""

    simulated: bool
    told: str


async def volumes(api: Api, mode: str, provisioners: frozenset[str]) -> Volumes:
    """Look at the StorageClasses, and make some of one's own in a cluster without any.

    ``mode`` is auto (simulate volumes unless all classes are other provisioners'), on, or off.

    Raises:
        VolumesError: the classes may not be read or made.
    """
    if mode == "off":
        return Volumes(False, "volumes are not simulated: claims wait for controllers and provisioners of the cluster")
    attempt = 0
    while True:
        try:
            return await _looked(api, mode, provisioners)
        except ApiException as error:
            if error.code in (401, 403):
                raise VolumesError(
                    f"storage classes: {error.message}\nNeeded: list and create storageclasses, and update"
                    " persistentvolumeclaims and persistentvolumes; without volumes: --volumes off"
                ) from None
            log.warning("storage classes: %s", error)
        except OSError as error:
            log.warning("storage classes: %s", error)
        await asyncio.sleep(retry_delay(attempt))
        attempt += 1


async def _looked(api: Api, mode: str, provisioners: frozenset[str]) -> Volumes:
    await ensure_storage_classes(api)
    classes = (await api.list(STORAGECLASSES))["items"]
    ours = [name_of(item) for item in classes if item["provisioner"] in provisioners]
    if ours:
        told = f"volumes are simulated for the storage classes {', '.join(sorted(ours))}"
        if not any(annotations_of(item).get(DEFAULT_CLASS) == "true" for item in classes):
            told += "; none is the default: claims that name no class wait for a volume that is made by hand"
        return Volumes(True, told)
    others = ", ".join(sorted(f"{name_of(item)} ({item['provisioner']})" for item in classes))
    if mode == "on":
        return Volumes(True, f"volumes are bound, none is made: no storage class has the provisioner {PROVISIONER}")
    return Volumes(False, f"volumes are left to the cluster's own storage classes {others}")
