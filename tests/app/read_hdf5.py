#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds what `pcmlab export --format hdf5` wrote against the database, asked in SQL.

Usage: read_hdf5.py HDF5 DATABASE EXTENSION

Ends with an AssertionError if a value differs or a dataset lacks its dimensions.
"""
import sqlite3
import sys

import h5py
import numpy as np

hdf5_name, database, extension = sys.argv[1:]
lab = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
lab.enable_load_extension(True)
lab.load_extension(extension)
file = h5py.File(hdf5_name, "r")


def rows(sql):
    return list(zip(*lab.execute(sql).fetchall()))


def texts(name):
    return file[name].asstr()[()].tolist()


def same(name, column):
    """As the database has it, NULL as NaN; float32 where the file has that."""
    stored = file[name][()].ravel()
    expected = np.array([np.nan if value is None else value for value in column])
    if stored.dtype == np.float32:
        assert np.allclose(stored, expected, rtol=3e-7, atol=1e-5, equal_nan=True), name
    else:
        assert np.array_equal(stored, expected), name


# Every axis has a scale, whose labels are as many.
for name, dataset in file.items():
    assert "long_name" in dataset.attrs, name
    for axis in range(dataset.ndim):
        if not h5py.h5ds.is_scale(dataset.id):
            (scale,) = dataset.dims[axis].values()
            assert scale.shape == (dataset.shape[axis],), name
    if name.endswith("_uS"):
        assert dataset.attrs["units"] == ("uS-1" if "_per_" in name else "uS"), name

uuid, plan, seed, board, network = lab.execute(
    "SELECT uuid, plan_text, seed, serial, network_name FROM run JOIN board ON board.id = board_id"
).fetchone()
said = file.attrs
assert (said["run_uuid"], said["plan"], said["seed"]) == (uuid, plan, seed)
assert (said["board_serial"], said["network_name"], said["state"]) == (board, network, "complete")

# Readings of the sweeps that are in the file, filling after filling.
sweeps, fillings = file["sweep_id"].shape
devices = file["device"].shape[0]
for place, ids in enumerate(file["sweep_id"][()].tolist()):
    of_sweep = [rows("SELECT code_sum, g_uS, age_s, word_line, bit_line, target_uS, polarity "
                     f"FROM reading WHERE sweep_id = {id} ORDER BY device") for id in ids]
    code_sums, g_uS, ages_s, word_lines, bit_lines, targets_uS, polarities = (
        np.concatenate(columns) for columns in zip(*of_sweep))
    assert np.array_equal(file["code_sum"][place], code_sums)
    assert np.allclose(file["measured_uS"][place], g_uS, rtol=3e-7, atol=1e-5)
    assert np.allclose(file["age_s"][place], ages_s, rtol=3e-7)
    for name, column in (("word_line", word_lines), ("bit_line", bit_lines),
                         ("target_uS", targets_uS), ("polarity", polarities)):
        assert np.array_equal(file[name][()], column), name
    gain, offset, samples, after_s, slip_s = zip(*(lab.execute(
        "SELECT gain_uS_per_code, offset_uS, samples, after_s, slip_s FROM sweep WHERE id = ?",
        (id,)).fetchone() for id in ids))
    for name, column in (("gain_uS_per_code", gain), ("offset_uS", offset), ("samples", samples),
                         ("after_s", after_s), ("slip_s", slip_s)):
        assert np.array_equal(file[name][place], column), name
    assert file["sweep_after_s"][place] == after_s[0]

# How programming ended.
words = file["verdict"].attrs["flag_meanings"].split()
results = rows("SELECT replace(verdict, ' ', '_'), iterations, pulses, last_amplitude_uA, "
               "last_pulse_tick_ns, dense_rank() OVER (ORDER BY programming_id) - 1 "
               "FROM programmed_device ORDER BY programming_id, device")
assert [words[v] for v in file["verdict"]] == list(results[0])
for name, column in zip(("iterations", "pulses", "last_amplitude_uA", "last_pulse_tick_ns",
                         "filling"), results[1:]):
    same(name, column)
assert texts("layer_name") == list(rows("SELECT DISTINCT name FROM layer ORDER BY ordinal")[0])

# Fits, accuracies, events.
if "drift_exponent" in file:
    fits = rows("SELECT exponent, exponent_error, g_t0_uS, class FROM device_drift "
                "ORDER BY programming_id, device")
    for name, column in zip(("drift_exponent", "drift_exponent_error", "drift_g_t0_uS"), fits):
        same(name, column)
    words = [word.replace("_", " ") for word in file["drift_class"].attrs["flag_meanings"].split()]
    assert [words[c] for c in file["drift_class"]] == list(fits[3])
wanted = f"sweep_id IS NULL OR sweep_id IN ({','.join(map(str, file['sweep_id'][:, 0]))})"
accuracies = rows("SELECT correct, images, after_s, compensation FROM accuracy "
                  f"WHERE {wanted} ORDER BY id") or [()] * 4
same("accuracy_correct", accuracies[0])
same("accuracy_images", accuracies[1])
same("accuracy_after_s", accuracies[2])
assert texts("accuracy_compensation") == list(accuracies[3])
events = rows("SELECT kind, text FROM event ORDER BY id") or [(), ()]
assert texts("event_kind") == list(events[0]) and texts("event_text") == list(events[1])
print(devices, "devices,", fillings, "fillings,", sweeps, "sweeps,", len(accuracies[0]),
      "accuracies,", "drift" if "drift_exponent" in file else "no drift")
