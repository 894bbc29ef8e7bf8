# SPDX-License-Identifier: Apache-2.0
"""Runs the examples of db/python/README.md on a database, and holds what the module reads against
what `pcmlab query` wrote.

Usage: check_python_reader.py README DATABASE READINGS.csv DEVICES.csv
"""
import csv
import os
import re
import sys

import numpy

readme, database, readings_file, devices_file = sys.argv[1:]
sys.path.insert(0, os.path.dirname(readme))
import pcmlab_results  # noqa: E402

with open(readme, encoding="utf-8") as stream:
    examples = re.findall(r"```python\n(.*?)```", stream.read(), re.S)
assert len(examples) == 3, len(examples)
for example in examples:
    exec(compile(example.replace("results.db", database), readme, "exec"), {})


def columns(path):
    with open(path, encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: [row[name] for row in rows] for name in rows[0]}


def numbers(texts, nothing=numpy.nan):
    return numpy.array([float(text) if text else nothing for text in texts])


with pcmlab_results.open(database) as lab:
    assert lab.newest_run() == 1 and lab.runs()[0]["state"] == "complete"
    assert lab.accuracies()[0]["compensation"] == "software"
    readings = columns(readings_file)
    of_sweep = numbers(readings["sweep_id"])
    for sweep in lab.sweeps():
        wanted = numbers(readings["g_uS"])[of_sweep == sweep["id"]]
        assert numpy.array_equal(lab.sweep(sweep["id"]), wanted), sweep
    history = lab.history(device=7, programming=1)
    wanted = numbers(readings["g_uS"])[numbers(readings["device"]) == 7]
    assert numpy.array_equal(history["g_uS"], wanted) and len(wanted) == 8

    devices = columns(devices_file)
    places = lab.devices(1)
    for name in ("word_line", "bit_line", "weight", "polarity"):
        assert numpy.array_equal(places[name], numbers(devices[name])), name
    assert numpy.allclose(places["target_uS"], numbers(devices["target_uS"]), rtol=1e-6, atol=0)
    result = lab.programming_result(1)
    verdicts = [pcmlab_results.VERDICTS[verdict] for verdict in result["verdict"]]
    assert verdicts == devices["verdict"]
    for name in ("iterations", "pulses", "last_pulse_tick_ns"):
        assert numpy.array_equal(result[name], numbers(devices[name])), name
    assert numpy.array_equal(result["verified_uS"], numbers(devices["verified_uS"]), equal_nan=True)
    assert numpy.array_equal(result["last_amplitude_uA"], numbers(devices["last_amplitude_uA"], 0))

    for wrong in (lambda: lab.sweep(99), lambda: lab.devices(99)):
        try:
            wrong()
        except pcmlab_results.ResultsError as error:
            assert "99" in str(error) and database in str(error)
        else:
            raise AssertionError("something that is not there was read")
try:
    pcmlab_results.open(readme)
except pcmlab_results.ResultsError as error:
    assert readme in str(error)
else:
    raise AssertionError("a README was opened as a database")
print("all as it should be")
