"""Write weights as older versions of Keras wrote them."""

from __future__ import annotations

import h5py
import numpy as np


def write_old_format(network, path, names_at_once=1000):
    """Write what Keras 1 and 2 wrote, which is what its published files are."""
    with h5py.File(path, "w") as file:
        names = [layer.name.encode() for layer in network.layers]
        if len(names) <= names_at_once:
            file.attrs["layer_names"] = names
        for start in range(0, len(names), names_at_once):
            if len(names) > names_at_once:
                part = names[start : start + names_at_once]
                file.attrs[f"layer_names{start // names_at_once}"] = part
        for layer in network.layers:
            group = file.create_group(layer.name)
            own = [f"{layer.name}/{variable.name}:0" for variable in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in own]
            for name, variable in zip(own, layer.weights, strict=True):
                group[name] = np.asarray(variable)
