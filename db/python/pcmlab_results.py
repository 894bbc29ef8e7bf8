# SPDX-License-Identifier: Apache-2.0
"""Reads results databases of pcmlab: runs, sweeps, programmings and devices as NumPy arrays.

    import pcmlab_results
    lab = pcmlab_results.open("results.db")
    for run in lab.runs():
        print(run["run_id"], run["name"], run["state"])

Needs Python 3.9 and NumPy. The file is opened for reading only and may be written by a run at the same time.
Checksums are not verified here: `pcmlab verify` does. Units stand in the names. Examples: README.md.
"""
import os
import sqlite3
from urllib.parse import quote

import numpy

APPLICATION_ID = 0x50434D4C
OLDEST_VERSION = 5

VERDICTS = ("reset", "converged", "out of iterations", "stuck low", "stuck high")
DRIFT_CLASSES = ("too few points", "drifting", "stuck", "noisy", "drifting backwards")


class ResultsError(Exception):
    """Something that is not in the database, or a database that cannot be read."""


def open(path):  # pylint: disable=redefined-builtin
    """Opens a results database for reading."""
    return Results(path)


class Results:
    """An open results database. Use it as a context manager, or close() it."""

    def __init__(self, path):
        self.path = os.fspath(path)
        if not os.path.exists(self.path):
            raise ResultsError(f"there is no file {self.path}")
        uri = f"file:{quote(os.path.abspath(self.path))}?mode=ro"
        self.connection = sqlite3.connect(uri, uri=True)
        self.connection.row_factory = sqlite3.Row
        try:
            application = self._number("PRAGMA application_id")
            version = self._number("PRAGMA user_version")
        except sqlite3.DatabaseError as error:
            raise ResultsError(f"{self.path}: {error}") from error
        if application != APPLICATION_ID:
            raise ResultsError(f"{self.path} is not a results database of pcmlab")
        if version < OLDEST_VERSION:
            raise ResultsError(
                f"{self.path} has schema {version}, this module needs {OLDEST_VERSION}: the next "
                "run into it brings it up to date"
            )

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    # ---- what there is

    def runs(self):
        """All runs but the deleted ones, newest first, as dictionaries."""
        return self._rows("SELECT * FROM run_overview ORDER BY run_id DESC")

    def newest_run(self):
        """Number of the newest run."""
        runs = self.runs()
        if not runs:
            raise ResultsError(f"there is no run in {self.path}")
        return runs[0]["run_id"]

    def programmings(self, run=None):
        """Programmings of a run, in their order, as dictionaries."""
        return self._rows("SELECT * FROM programming WHERE run_id = ? ORDER BY id", self._run(run))

    def sweeps(self, run=None, complete=True):
        """Sweeps of a run, in their order, as dictionaries; `id` is what sweep() takes."""
        return self._rows(
            "SELECT * FROM sweep WHERE run_id = ? AND complete >= ? ORDER BY id",
            self._run(run),
            int(complete),
        )

    def accuracies(self, run=None):
        """Accuracies of a run against time, as dictionaries."""
        return self._rows(
            "SELECT * FROM accuracy_over_time WHERE run_id = ? ORDER BY accuracy_id", self._run(run)
        )

    def table(self, sql, *parameters):
        """Any query: a pandas.DataFrame where pandas is installed, else a dictionary of arrays."""
        cursor = self.connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        columns = list(zip(*cursor.fetchall())) or [()] * len(names)
        arrays = {name: numpy.array(column) for name, column in zip(names, columns)}
        try:
            import pandas  # pylint: disable=import-outside-toplevel
        except ImportError:
            return arrays
        return pandas.DataFrame(arrays)

    # ---- arrays, one number a device

    def sweep(self, sweep):
        """Conductances of a sweep in uS, float64, by device; NaN where a block is missing."""
        row = self._row("SELECT * FROM sweep WHERE id = ?", sweep, f"sweep {sweep}")
        codes = self.code_sums(sweep)
        g_uS = row["gain_uS_per_code"] * codes / row["samples"] + row["offset_uS"]
        if isinstance(codes, numpy.ma.MaskedArray):
            g_uS = g_uS.filled(numpy.nan)
        return g_uS

    def code_sums(self, sweep):
        """Sums of ADC codes of a sweep, uint16, by device; masked where a block is missing."""
        count = self._row(
            "SELECT coalesce(sweep.device_count, placement.device_count, 0) AS devices FROM sweep "
            "LEFT JOIN placement USING (programming_id) WHERE sweep.id = ?",
            sweep,
            f"sweep {sweep}",
        )["devices"]
        return self._blocks("sweep_block", "sweep_id", sweep, count, "code_sums_u16")

    def devices(self, programming):
        """Places and targets of a programming's devices: word_line, bit_line (uint16), target_uS
        (float32), weight (int64) and polarity (int8, 1 or -1); no weight is -1."""
        row = self._row(
            "SELECT * FROM placement WHERE programming_id = ?",
            programming,
            f"placement of programming {programming}",
        )
        count = row["device_count"]

        def of_placement(blob):
            return self._blocks("placement_block", "programming_id", programming, count, blob)

        addresses = of_placement("addresses_u32")
        index = numpy.arange(count)
        first = row["first_weight"]
        return {
            "word_line": (addresses >> 16).astype(numpy.uint16),
            "bit_line": (addresses & 0xFFFF).astype(numpy.uint16),
            "target_uS": of_placement("targets_uS_f32"),
            "weight": numpy.full(count, -1) if first is None else first + index // 2,
            "polarity": (1 - 2 * (index % 2)).astype(numpy.int8),
        }

    def programming_result(self, programming):
        """How the devices of a programming ended: verdict (index into VERDICTS), iterations, pulses,
        last_amplitude_uA, verified_uS (NaN for RESET devices) and last_pulse_tick_ns."""
        row = self._row(
            "SELECT programming.*, device_count FROM programming JOIN placement "
            "ON programming_id = id WHERE id = ?",
            programming,
            f"programming {programming}",
        )

        def of_result(blob):
            return self._blocks(
                "programming_result", "programming_id", programming, row["device_count"], blob
            )

        verdict = of_result("verdicts_u8")
        codes = of_result("last_code_sum_u16")
        verified = row["gain_uS_per_code"] * codes / row["verify_samples"] + row["offset_uS"]
        return {
            "verdict": verdict,
            "iterations": of_result("iterations_u8"),
            "pulses": of_result("pulses_u16"),
            "last_amplitude_uA": of_result("last_amplitude_10nA_u16") / 100,
            "verified_uS": numpy.where(verdict == 0, numpy.nan, verified),
            "last_pulse_tick_ns": of_result("last_pulse_tick_ns_i64"),
        }

    def drift(self, programming):
        """The newest fit of drift of a programming: exponent, exponent_error, g_t0_uS (float32) and
        class (index into DRIFT_CLASSES), and t0_s."""
        row = self._row(
            "SELECT * FROM drift_fit WHERE programming_id = ? ORDER BY id DESC LIMIT 1",
            programming,
            f"fit of drift of programming {programming}",
        )

        def of_fit(blob):
            return self._blocks(
                "drift_fit_block", "drift_fit_id", row["id"], row["device_count"], blob
            )

        return {
            "exponent": of_fit("exponents_f32"),
            "exponent_error": of_fit("exponent_errors_f32"),
            "g_t0_uS": of_fit("g_t0_uS_f32"),
            "class": of_fit("classes_u8"),
            "t0_s": row["t0_s"],
        }

    def history(self, device, programming):
        """All readings of a device: after_s (since the end of the programming, the middle of each
        block) and g_uS, one number a sweep that has it."""
        rows = self._rows(
            "SELECT gain_uS_per_code, offset_uS, samples, block.id, first_device, "
            "0.5e-9 * (block.first_tick_ns + block.last_tick_ns) - 1e-9 * end_tick_ns AS after_s "
            "FROM sweep JOIN sweep_block AS block ON sweep_id = sweep.id "
            "JOIN (SELECT id AS its, end_tick_ns FROM programming) ON its = programming_id "
            "WHERE programming_id = ?1 AND first_device <= ?2 AND first_device + block.device_count "
            "> ?2 ORDER BY sweep.id",
            programming,
            device,
        )
        g_uS = numpy.empty(len(rows))
        for i, row in enumerate(rows):
            start = 2 * (device - row["first_device"]) + 1
            bytes_of_sum = self.connection.execute(
                "SELECT substr(code_sums_u16, ?, 2) FROM sweep_block WHERE id = ?",
                (start, row["id"]),
            ).fetchone()[0]
            code_sum = int.from_bytes(bytes_of_sum, "little")
            g_uS[i] = row["gain_uS_per_code"] * code_sum / row["samples"] + row["offset_uS"]
        after_s = numpy.array([row["after_s"] for row in rows], dtype=float)
        return {"after_s": after_s, "g_uS": g_uS}

    # ---- below

    def _rows(self, sql, *parameters):
        return [dict(row) for row in self.connection.execute(sql, parameters)]

    def _row(self, sql, parameter, what):
        row = self.connection.execute(sql, (parameter,)).fetchone()
        if row is None:
            raise ResultsError(f"there is no {what} in {self.path}")
        return row

    def _number(self, sql):
        return self.connection.execute(sql).fetchone()[0]

    def _run(self, run):
        return self.newest_run() if run is None else run

    def _blocks(self, table, owner, number, count, blob):
        """One blob of all blocks as an array whose type is in the blob's name."""
        dtype = numpy.dtype(
            {"u8": "u1", "u16": "<u2", "u32": "<u4", "i64": "<i8", "f32": "<f4"}[blob.split("_")[-1]]
        )
        values = numpy.empty(count, dtype)
        there = numpy.zeros(count, bool)
        for first, held in self.connection.execute(
            f"SELECT first_device, {blob} FROM {table} WHERE {owner} = ? ORDER BY first_device",
            (number,),
        ):
            part = numpy.frombuffer(held, dtype)
            values[first : first + len(part)] = part
            there[first : first + len(part)] = True
        if there.all():
            return values
        return numpy.ma.MaskedArray(values, ~there)
