#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads what `pcmlab export` wrote, with NumPy and Python's csv and zipfile alone.

Usage: read_export.py NPZ CSV FUSION_TARGETS FUSION_MEASURED SWEEP

Ends with an AssertionError if NPZ and CSV differ, or the Fusion files are not what aihwkit's
FusionConductanceConverter makes of the same weights (aihwkit/inference/converter/fusion.py).
"""
import csv
import sys
import zipfile

import numpy as np


def fusion(name):
    with open(name, newline="", encoding="utf-8") as file:
        reader = csv.reader(file, delimiter=",")
        header = [next(reader) for _ in range(5)]
        layers = {name: [float(x) for x in next(reader)] for name in next(reader)}
        assert list(reader) == []
    return header, layers


npz_name, csv_name, targets_name, measured_name, sweep = sys.argv[1:]
with zipfile.ZipFile(npz_name) as archive:
    assert archive.testzip() is None
npz = np.load(npz_name, allow_pickle=False)
with open(csv_name, newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))

devices = len(rows)
assert devices > 100 and npz["weight"].shape == (devices,)
for name in ("weight", "row", "column", "polarity", "word_line", "bit_line", "iterations", "pulses"):
    assert [int(row[name]) for row in rows] == npz[name].tolist(), name
layer_name = npz["layer_name"]
assert [row["layer"] for row in rows] == [layer_name[i] for i in npz["layer"]]
assert [row["verdict"] for row in rows] == [npz["verdict_name"][i] for i in npz["verdict"]]
assert np.array_equal(np.float32([row["target_uS"] for row in rows]), npz["target_uS"])
assert npz["measured_uS"].shape == (len(npz["sweep_number"]), devices)
for number, measured in zip(npz["sweep_number"], npz["measured_uS"]):
    assert np.array_equal(np.float32([row[f"sweep_{number}_uS"] for row in rows]), measured)
assert np.array_equal(np.float32([row["weight_per_uS"] for row in rows]), npz["weight_per_uS"])
per_uS = npz["layer_max_abs_weight"] / npz["layer_g_max_uS"]
assert np.allclose(npz["weight_per_uS"], per_uS[npz["layer"]], rtol=1e-6)
places = set(zip(npz["word_line"].tolist(), npz["bit_line"].tolist()))
assert len(places) == devices
assert npz["weight"].tolist() == [i // 2 for i in range(devices)]
assert set(npz["polarity"].tolist()) == {1, -1}

# |W| of each weight up to a factor a layer: what Fusion's rows are scaled from.
signed = (npz["target_uS"][0::2] - npz["target_uS"][1::2]).astype(np.float64)
read = npz["measured_uS"][list(npz["sweep_number"]).index(int(sweep))].astype(np.float64)
active = np.where(signed > 0, read[0::2], np.where(signed < 0, read[1::2], 0.0))
header, targets = fusion(targets_name)
measured_header, measured = fusion(measured_name)
assert header == measured_header and list(targets) == list(layer_name) == list(measured)
for i, name in enumerate(layer_name):
    height, width = int(header[3][i]), int(header[4][i])
    assert int(header[2][i]) == height * width == len(targets[name]) == len(measured[name])
    first, columns = npz["layer_first_weight"][i], npz["layer_columns"][i]
    block = slice(first, first + height * columns)
    w = np.abs(signed[block]).reshape(height, columns)[:, :width]
    g = active[block].reshape(height, columns)[:, :width]
    scale = 40.0 / w.max(axis=1, keepdims=True)
    assert np.allclose(np.reshape(targets[name], (height, width)), w * scale, rtol=1e-5), name
    assert np.allclose(np.reshape(measured[name], (height, width)), g * scale, rtol=1e-5), name
print(devices, "devices,", len(layer_name), "layers,", len(npz["sweep_number"]), "sweeps")
