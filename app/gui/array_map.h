// SPDX-License-Identifier: Apache-2.0
/// \file
/// The array of a chip as a picture: a number for every place, and how it is drawn. Plain values;
/// reading is for the reading thread, drawing for any.
#pragma once

#include <QImage>
#include <QRectF>
#include <QSize>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/run_store.h"
#include "protocol/device_address.h"

namespace pcmlab::gui {

enum class ArrayQuantity { Conductance, Error, Target, Iterations, Verdict, DriftExponent };

/// By place, word line by word line.
struct ArrayMap {
  ArrayQuantity quantity = ArrayQuantity::Conductance;
  ArrayShape shape;
  std::vector<float> values;          ///< NaN: nothing is known
  std::vector<std::int32_t> devices;  ///< index in the programming's placement; -1: none
  std::vector<std::int16_t> layers;   ///< of the network, by ordinal; -1: none
  std::vector<std::string> layer_names;
  double low = 0, high = 1;          ///< of the colours: all but one in 200 at either end
  std::vector<std::uint8_t> levels;  ///< 0: nothing; 1 .. 255 from low to high
};

/// What can be shown of a run: its complete programmings and their complete sweeps.
struct ArrayChoices {
  struct Sweep {
    db::RowId id = 0;
    double after_s = 0;
    int repeat = 0;
  };
  struct Programming {
    db::RowId id = 0;
    std::string experiment;
    std::vector<Sweep> sweeps;
    std::optional<db::RowId> drift_fit;
  };
  db::RunRow run;
  std::vector<Programming> programmings;
};
/// Errors: those of the store.
Result<ArrayChoices> read_array_choices(db::RunStore& store, db::RowId run);

/// \param sweep  of conductances and errors; none: those of the last verify reads
/// Errors: NotFound (no fit of drift), those of the store.
Result<ArrayMap> read_array(db::RunStore& store, const ArrayChoices::Programming& programming,
                            ArrayQuantity quantity, std::optional<db::RowId> sweep);

/// By device, µS. Errors: those of the store.
Result<std::vector<float>> read_sweep_uS(db::RunStore& store, db::RowId sweep);

/// Sets levels, and low and high, from values.
void set_levels(ArrayMap& map);

/// \param view  in devices: x are bit lines, y word lines. Where a pixel has several devices it has
/// the mean of their levels, of verdicts the worst, so that a single bad device is seen.
QImage draw_array(const ArrayMap& map, const QRectF& view, const QSize& size, QRgb ground);

/// Lines between the layers of the network, over what draw_array() draws; else transparent.
QImage draw_layer_edges(const ArrayMap& map, const QRectF& view, const QSize& size, QRgb line);

/// The colour of a level of 1 .. 255, as draw_array() has it.
QRgb array_colour(ArrayQuantity quantity, int level);
const char* name_of(ArrayQuantity quantity);
const char* unit_of(ArrayQuantity quantity);
/// "12.3 µS", "converged".
std::string value_text(const ArrayMap& map, float value);

}  // namespace pcmlab::gui
